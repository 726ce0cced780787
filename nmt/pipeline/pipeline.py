"""The stages: what each reads and writes, and whether it is still good or has to run.

Each stage leaves a `manifest.json` in its folder, written with the folder or not at all: the fingerprint of
all that it was made from, and digests of what it made. A stage is skipped where its fingerprint still holds.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nmt import console, devices, runtime
from nmt.errors import RecipeError
from nmt.evaluation.metrics import Scores, resolve_tokenizer, score
from nmt.files import (
    differing,
    digest,
    digest_file,
    digest_json,
    read_json,
    read_record,
    remove,
    remove_partials,
    write_json,
    write_text,
)
from nmt.pipeline.bundle import fill_bundle
from nmt.pipeline.run import DataStages
from nmt.pipeline.stage import MANIFEST, Stage, made, making, work_folder
from nmt.version import __version__

if TYPE_CHECKING:
    from nmt.training.plan import TrainingPlan

SAMPLES = 5
"""Translations shown at the end of a run."""


class Pipeline(DataStages):
    """A recipe with its run folder, and all of its stages."""

    @cached_property
    def stages(self) -> list[Stage]:
        """All stages, in their order."""
        return [
            *self.data_stages,
            Stage("train", self.run.checkpoints, self.train_inputs, self.train),
            Stage("bundle", self.run.bundle, self.bundle_inputs, self.make_bundle),
            Stage("evaluate", self.run.evaluation, self.evaluate_inputs, self.evaluate),
        ]

    def run_through(self, last: str = "evaluate") -> None:
        """Run every stage up to `last` whose fingerprint does not hold. Raises NmtError.

        Under torchrun the first rank does all but the training, which is everybody's.
        """
        from nmt.training.distributed import joined

        names = [stage.name for stage in self.stages]
        with joined() as self.ranks:
            console.QUIET = not self.ranks.is_main
            if self.ranks.is_main:
                self.begin()
            for stage in self.stages[: names.index(last) + 1]:
                if self.ranks.is_main:
                    self.run_stage(stage)
                elif stage.name == "train" and self.ranks.any(False)[0]:  # waits for what the first rank decides
                    self.train({})

    def begin(self) -> None:
        """Create the run folder with its recipe and lock; refuse one that another recipe made."""
        resolve_tokenizer(self.recipe.evaluation.tokenize, self.recipe.languages.target)  # it fails now or never
        lock = self.refuse_other_folder()
        now = {"versions": runtime.versions(), "machine": devices.machine()}
        sessions = lock.get("sessions", [])
        changes = differing({key: sessions[-1].get(key) for key in now}, now) if sessions else []
        if changes:
            console.warn(
                f"{', '.join(changes)} changed since this run began: what is computed from here on "
                "may differ in its last bits"
            )
        if changes or not sessions:
            sessions = [*sessions, {"began": datetime.now(UTC).isoformat(timespec="seconds"), **now}]
        self.run.path.mkdir(parents=True, exist_ok=True)
        for folder in (self.run.path, self.run.text.parent, self.run.bundle):
            remove_partials(folder)
        write_text(self.run.recipe, self.loaded.text)
        self.write_lock(sessions)

    def refuse_other_folder(self) -> dict[str, Any]:
        """Return the run folder's lock, if it has one; raise RecipeError or ArtifactError where it is another's."""
        lock = read_record(self.run.lock, "recipe", "sessions") or {}
        if lock and (other := lock["recipe"].get("name")) != self.recipe.name:
            raise RecipeError(f"{self.run.path}: the run folder of recipe {other!r}", hint="take another --run-dir")
        self.refuse_other_symbols()
        self.refuse_other_checkpoints()
        return lock

    def refuse_other_checkpoints(self) -> None:
        """Raise ArtifactError, before anything is made anew, where the checkpoints are of other settings."""
        from nmt.training.checkpoint import Checkpoints

        store = Checkpoints(self.run.checkpoints, self.recipe.training.keep_checkpoints)
        store.refuse_other(self.plan.identity)

    def run_stage(self, stage: Stage) -> None:
        """Run `stage` unless what it made is still good."""
        manifest = stage.open_manifest()
        if stage.name == "train":
            self.ranks.any(manifest is not None)  # what the other ranks wait to hear
        if manifest is not None:
            stage.work(manifest)
        else:
            remove(work_folder(stage.folder))

    # Train.

    def train_inputs(self) -> dict[str, Any]:
        """Return what the weights depend on."""
        return {
            "data": digest_json(made(self.run.ids)),
            "model": self.recipe.model.model_dump(),
            "batching": self.recipe.batching.model_dump(),
            "optimizer": self.recipe.optimizer.model_dump(),
            "training": self.recipe.training.model_dump(exclude={"init_from"}),
            "init": self.start and self.start.weights,
            **self.recipe.data.given_weights,
            "sampling": self.recipe.tokenizer.sampling,
            "protect": self.recipe.data.protect,
            "decoding": self.recipe.decoding.model_dump(),
            "evaluation": self.recipe.evaluation.model_dump(),
        }

    @cached_property
    def plan(self) -> TrainingPlan:
        """The plan of the training."""
        from nmt.training.plan import TrainingPlan

        return TrainingPlan(self.recipe, self.start.weights if self.start else None)

    def train(self, manifest: dict[str, Any]) -> None:
        """Train, from the newest checkpoint if there is one."""
        from nmt.data.cleaning.corpus_text import read_text
        from nmt.data.encoding.dataset import PreparedPairs
        from nmt.data.encoding.tokenizer import Tokenizer
        from nmt.training.checkpoint import MOMENTS
        from nmt.training.loop import Trainer
        from nmt.training.plan import TrainingFiles
        from nmt.training.validation import DevSet

        dev = DevSet(*read_text(self.run.text, "dev"), PreparedPairs(self.run.ids / "dev"))
        self.run.checkpoints.mkdir(parents=True, exist_ok=True)
        pairs = PreparedPairs(self.run.ids / "train")
        trainer = Trainer(
            self.plan,
            Tokenizer.load(self.run.tokenizer),
            pairs,
            dev,
            TrainingFiles(self.run.checkpoints, self.run.log, self.run.lock, self.run.tensorboard, self.run.diverged),
            data=digest_json(made(self.run.ids)),
            initial=self.start,
            ranks=self.ranks,
        )
        state = trainer.run()
        if not self.ranks.is_main:
            return
        kept = [path for kind in ("step", "best") for path in self.run.checkpoints.glob(f"{kind}-*/*.safetensors")]
        files = sorted(path for path in kept if path.name != MOMENTS)
        manifest["files"] = {str(path.relative_to(self.run.checkpoints)): digest_file(path) for path in files}
        manifest["counts"] = {
            "steps": state.step,
            "best_step": state.best_step,
            "best": state.best,
            "corpora": self.recipe.data.shares({name: end - start for name, (start, end) in pairs.corpora.items()}),
        }
        write_json(self.run.checkpoints / MANIFEST, manifest)

    # Bundle: average and ship.

    def bundle_inputs(self) -> dict[str, Any]:
        """Return what the bundle depends on."""
        return {
            "checkpoints": made(self.run.checkpoints),
            "average": {"of": self.recipe.training.average, "count": self.recipe.training.average_checkpoints},
            "tokenizer": made(self.run.tokenizer),
            "languages": self.recipe.languages.model_dump(),
            "protect": self.recipe.data.protect,
            "decoding": self.recipe.decoding.model_dump(),
            "evaluation": self.recipe.evaluation.model_dump(),
        }

    def make_bundle(self, manifest: dict[str, Any]) -> None:
        """Average the checkpoints that the recipe names and write the folder that is shipped."""
        from nmt.inference.bundle import CARD, SCORES, add_scores, open_bundle
        from nmt.training.checkpoint import Checkpoints

        training = self.recipe.training
        store = Checkpoints(self.run.checkpoints, training.keep_checkpoints)
        weights = store.average(training.average_checkpoints, training.average)
        with making(self.run.bundle, manifest, changing=(SCORES, CARD)) as scratch:
            fill_bundle(scratch, weights, self.run, self.recipe, read_json(self.run.lock))
        scored = read_record(self.run.evaluation / MANIFEST, "inputs")
        if scored and not differing({"nmt": __version__, **self.evaluate_inputs()}, scored["inputs"]):
            add_scores(self.run.bundle, open_bundle(self.run.bundle).config, read_json(self.run.scores))
        console.log(f"bundle: {self.run.bundle}")

    # Evaluate: translate every test set with the bundle, and score.

    def evaluate_inputs(self) -> dict[str, Any]:
        """Return what the scores depend on."""
        text = {name: value for name, value in made(self.run.text).items() if name.startswith("test.")}
        bundle = made(self.run.bundle)
        return {"text": text, "weights": bundle["model.safetensors"], "config": bundle["config.json"]}

    def evaluate(self, manifest: dict[str, Any]) -> None:
        """Translate and score every test set; the scores go into the bundle too."""
        from nmt.data.cleaning.corpus_text import read_text
        from nmt.inference.bundle import add_scores, open_bundle
        from nmt.inference.translator import Translator

        config = open_bundle(self.run.bundle).config
        translator = Translator.load(self.run.bundle, device=self.recipe.training.device)
        evaluation = self.recipe.evaluation
        scores: dict[str, Scores] = {}
        with making(self.run.evaluation, manifest) as scratch:
            scratch.mkdir()
            for split in self.tests:
                sources, references = read_text(self.run.text, f"test.{split}")
                hypotheses = translator.translate_all(sources)
                text = "".join(line + "\n" for line in hypotheses)
                (scratch / f"{split}.{self.recipe.languages.target}").write_text(text, encoding="utf-8", newline="\n")
                scores[split] = score(
                    hypotheses,
                    [references],
                    tokenize=resolve_tokenizer(evaluation.tokenize, self.recipe.languages.target),
                    lowercase=evaluation.lowercase,
                    chrf_word_order=evaluation.chrf_word_order,
                )
            write_json(scratch / "scores.json", scores)
            add_scores(self.run.bundle, config, scores)

    @property
    def tests(self) -> list[str]:
        """Names of the test sets, split off or given."""
        folders = sorted(path.name for path in self.run.text.glob("test.*"))
        names = [name.removeprefix("test.") for name in folders]
        return sorted(names, key=[*self.recipe.data.test, *names].index)

    def show_results(self) -> None:
        """Print sample translations, the scores with their signatures, and what to type next."""
        from nmt.data.cleaning.corpus_text import read_text

        languages = self.recipe.languages
        first = self.tests[0]
        sources, references = read_text(self.run.text, f"test.{first}")
        hypotheses = (self.run.evaluation / f"{first}.{languages.target}").read_text(encoding="utf-8").split("\n")
        chosen = sorted(range(len(sources)), key=lambda index: digest(sources[index]))[:SAMPLES]
        console.out(f"Samples of {first}:")
        for index in sorted(chosen):
            console.out(f"  {languages.source}  {sources[index]}")
            console.out(f"  {languages.target}  {hypotheses[index]}")
            if hypotheses[index] != references[index]:
                console.out(f"  ref {references[index]}")
        console.out("")
        console.scores(read_json(self.run.scores))
        console.out("")
        console.out(f"Next: echo {shlex.quote(sources[chosen[0]])} | nmt translate {shlex.quote(str(self.run.bundle))}")
