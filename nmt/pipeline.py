"""The stages: what each reads and writes, and whether it is still good or has to run.

Each stage leaves a `manifest.json` in its folder, written with the folder or not at all: the fingerprint of
all that it was made from, and digests of what it made. A stage is skipped where its fingerprint still holds.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nmt
from nmt import console, runtime
from nmt.config import CorpusConfig
from nmt.data.corpus import corpus_digests, hub_revision
from nmt.errors import RecipeError, UsageError
from nmt.evaluation.metrics import Scores, resolve_tokenizer, score
from nmt.files import (
    RunFolder,
    differing,
    digest,
    digest_file,
    digest_json,
    read_json,
    remove_partials,
    write_json,
    write_text,
)
from nmt.recipe import LoadedRecipe
from nmt.shipping import fill_bundle
from nmt.stages import MANIFEST, Stage, made, making, read_record, show_funnel

if TYPE_CHECKING:
    from nmt.training.start import Start

SAMPLES = 5
"""Translations shown at the end of a run."""


class Pipeline:
    """A recipe with its run folder."""

    def __init__(self, loaded: LoadedRecipe, *, data_dir: Path | None = None, run_dir: Path | None = None) -> None:
        self.loaded = loaded
        self.recipe = loaded.recipe
        self.root = data_dir or loaded.path.parent
        self.local = data_dir is not None
        self.run = RunFolder(run_dir or Path("runs") / self.recipe.name)
        self.ranks: Any = None
        """The processes that train together, this one among them, while stages run."""
        self.stages = [
            Stage("text", self.run.text, self.text_inputs, self.make_text),
            Stage("tokenizer", self.run.tokenizer, self.tokenizer_inputs, self.make_tokenizer),
            Stage("prepare", self.run.ids, self.prepare_inputs, self.make_ids),
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
        now = {"versions": runtime.versions(), "machine": runtime.machine()}
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

    def write_lock(self, sessions: list[Any]) -> None:
        """Write down what the run is made from, and where and with what."""
        text = read_record(self.run.text / MANIFEST, "hub_commits") or {}
        before = read_json(self.run.lock) or {}
        lock = {
            "recipe": self.recipe.model_dump(),
            "seed": self.recipe.training.seed,
            "data": self.data_digests,
            "hub_commits": text.get("hub_commits", {}),
            "sessions": sessions,
            **({"init": asdict(self.start)} if self.start else {}),
            **{key: before[key] for key in ("passes",) if key in before},  # what the training fitted to the memory
        }
        write_json(self.run.lock, lock)

    def refuse_other_folder(self) -> dict[str, Any]:
        """Return the run folder's lock, if it has one; raise RecipeError or ArtifactError where it is another's."""
        lock = read_record(self.run.lock, "recipe", "sessions") or {}
        if lock and (other := lock["recipe"].get("name")) != self.recipe.name:
            raise RecipeError(f"{self.run.path}: the run folder of recipe {other!r}", hint="take another --run-dir")
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

    # Text: read, split, clean by characters and leakage.

    @cached_property
    def data_digests(self) -> dict[str, dict[str, str]]:
        """SHA-256 of every input file, by corpus."""
        return {name: corpus_digests(corpus, root=self.root, local=self.local) for name, corpus in self.corpora.items()}

    @property
    def corpora(self) -> dict[str, CorpusConfig]:
        """The corpora that the recipe names."""
        data = self.recipe.data
        tests = {f"test.{name}": corpus for name, corpus in data.test.items()}
        return {"train": data.train, **({"dev": data.dev} if data.dev else {}), **tests}

    def text_inputs(self) -> dict[str, Any]:
        """Return what the cleaned text depends on."""
        return {
            "languages": self.recipe.languages.model_dump(),
            "data": self.recipe.data.model_dump(),
            "cleaning": self.recipe.cleaning.model_dump(exclude={"max_pieces"}),
            "files": self.data_digests,
        }

    def make_text(self, manifest: dict[str, Any]) -> None:
        """Read, split and clean."""
        from nmt.data.prepare import write_text as write_pairs

        recipe = self.recipe
        with making(self.run.text, manifest) as scratch:
            scratch.mkdir()
            counts = write_pairs(
                recipe.data, recipe.cleaning, recipe.languages, scratch, root=self.root, local=self.local
            )
            manifest["counts"] = {key: value for key, value in counts.items() if key != "samples"}
            commits = {} if self.local else {name: hub_revision(corpus) for name, corpus in self.corpora.items()}
            manifest["hub_commits"] = {name: commit for name, commit in commits.items() if commit}
        self.write_lock(read_json(self.run.lock)["sessions"])
        pairs = counts["pairs"]
        show_funnel("text", counts)
        tests = ", ".join(f"{name} {count:,}" for name, count in pairs["test"].items())
        console.log(f"text: pairs of train {pairs['train']:,}, dev {pairs['dev']:,}, test {tests}")

    # Tokenizer: trained on the cleaned training text alone, or taken over with the weights.

    @cached_property
    def start(self) -> Start | None:
        """The trained model that `training.init_from` names. Raises ArtifactError where it cannot be one to begin with.

        It is what the lock says on all ranks but the first, which wrote it, and where it is gone but no longer needed,
        for there is a checkpoint.
        """
        from nmt.training.checkpoint import Checkpoints
        from nmt.training.start import Start, open_start

        name = self.recipe.training.init_from
        if name is None:
            return None
        path = self.root / name
        lock = read_record(self.run.lock, "init", "recipe")
        store = Checkpoints(self.run.checkpoints, self.recipe.training.keep_checkpoints)
        is_gone = not path.exists() and lock and lock["recipe"]["training"]["init_from"] == name and store.has_begun()
        if lock and (is_gone or (self.ranks and not self.ranks.is_main)):
            return Start(**lock["init"])
        start = open_start(path, self.recipe.model, self.recipe.languages)
        if Path(start.file).is_relative_to(self.run.path.resolve()):
            raise UsageError(f"{path}: lies in the run folder that is to begin with it", hint="take another --run-dir")
        return start

    def tokenizer_inputs(self) -> dict[str, Any]:
        """Return what the tokenizer depends on."""
        if self.start:
            return {"init": self.start.tokenizer_files}
        train = {name: value for name, value in made(self.run.text).items() if name.startswith("train")}
        return {"tokenizer": self.recipe.tokenizer.model_dump(), "seed": self.recipe.training.seed, "text": train}

    def make_tokenizer(self, manifest: dict[str, Any]) -> None:
        """Train SentencePiece, or take the tokenizer over."""
        from nmt.data import tokenizer
        from nmt.data.prepare import iterate_text

        if self.start:
            with making(self.run.tokenizer, manifest) as scratch:
                scratch.mkdir()
                self.start.copy_tokenizer(scratch)
            console.log(
                f"tokenizer: taken over from {self.start.tokenizer}; the recipe's section [tokenizer] is not used"
            )
            return

        def side(index: int) -> Iterator[str]:
            return (pair[index] for pair in iterate_text(self.run.text, "train"))

        config = self.recipe.tokenizer
        with making(self.run.tokenizer, manifest) as scratch:
            scratch.mkdir()
            manifest["counts"] = tokenizer.train(side(0), side(1), config, scratch, seed=self.recipe.training.seed)
        kind = "joint" if config.joint else "separate"
        console.log(
            f"tokenizer: {kind} {config.model_type} of {config.vocab_size:,} pieces, "
            f"normalisation {config.normalization}"
        )

    # Prepare: encode, clean by pieces, write.

    def prepare_inputs(self) -> dict[str, Any]:
        """Return what the ids depend on."""
        return {
            "max_pieces": self.recipe.cleaning.max_pieces,
            "max_length": self.recipe.model.max_length,
            "text": {name: value for name, value in made(self.run.text).items() if not name.startswith("test.")},
            "tokenizer": made(self.run.tokenizer),
        }

    def make_ids(self, manifest: dict[str, Any]) -> None:
        """Write memory-mapped ids."""
        from nmt.data.prepare import write_ids
        from nmt.data.tokenizer import Tokenizer

        with making(self.run.ids, manifest) as scratch:
            scratch.mkdir()
            counts = write_ids(
                self.run.text,
                Tokenizer.load(self.run.tokenizer),
                self.recipe.cleaning,
                self.recipe.model.max_length,
                scratch,
            )
            manifest["counts"] = {key: value for key, value in counts.items() if key != "samples"}
        show_funnel("prepare", counts)
        tokens = counts["tokens"]["train"]
        console.log(
            f"prepare: {counts['pairs']['train']:,} training pairs, {tokens['source']:,} source and "
            f"{tokens['target']:,} target pieces"
        )
        if counts["dev_cut"]:
            console.warn(
                f"{counts['dev_cut']} dev pairs are longer than model.max_length and were cut for the dev loss"
            )

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
            "decoding": self.recipe.decoding.model_dump(),
            "evaluation": self.recipe.evaluation.model_dump(),
        }

    @cached_property
    def plan(self) -> Any:
        """The sections that training reads."""
        from nmt.training.loop import TrainingPlan

        recipe = self.recipe
        return TrainingPlan(
            model=recipe.model,
            batching=recipe.batching,
            optimizer=recipe.optimizer,
            training=recipe.training,
            decoding=recipe.decoding,
            evaluation=recipe.evaluation,
            target_language=recipe.languages.target,
            init=self.start.weights if self.start else None,
        )

    def train(self, manifest: dict[str, Any]) -> None:
        """Train, from the newest checkpoint if there is one."""
        from nmt.data.dataset import PreparedPairs
        from nmt.data.prepare import read_text
        from nmt.data.tokenizer import Tokenizer
        from nmt.training.checkpoint import MOMENTS
        from nmt.training.loop import TrainingFiles, train
        from nmt.training.validation import DevSet

        dev = DevSet(*read_text(self.run.text, "dev"), PreparedPairs(self.run.ids / "dev"))
        self.run.checkpoints.mkdir(parents=True, exist_ok=True)
        state = train(
            self.plan,
            Tokenizer.load(self.run.tokenizer),
            PreparedPairs(self.run.ids / "train"),
            dev,
            TrainingFiles(self.run.checkpoints, self.run.log, self.run.lock, self.run.tensorboard, self.run.diverged),
            data=digest_json(made(self.run.ids)),
            start=self.start,
            ranks=self.ranks,
        )
        if not self.ranks.is_main:
            return
        kept = [path for kind in ("step", "best") for path in self.run.checkpoints.glob(f"{kind}-*/*.safetensors")]
        files = sorted(path for path in kept if path.name != MOMENTS)
        manifest["files"] = {str(path.relative_to(self.run.checkpoints)): digest_file(path) for path in files}
        manifest["counts"] = {"steps": state.step, "best_step": state.best_step, "best": state.best}
        write_json(self.run.checkpoints / MANIFEST, manifest)

    # Bundle: average and ship.

    def bundle_inputs(self) -> dict[str, Any]:
        """Return what the bundle depends on."""
        return {
            "checkpoints": made(self.run.checkpoints),
            "average": {"of": self.recipe.training.average, "count": self.recipe.training.average_checkpoints},
            "tokenizer": made(self.run.tokenizer),
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
        if scored and not differing({"nmt": nmt.__version__, **self.evaluate_inputs()}, scored["inputs"]):
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
        from nmt.data.prepare import read_text
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
        from nmt.data.prepare import read_text

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
