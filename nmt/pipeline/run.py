"""The stages from raw text to ids: text, tokenizer, prepare; and what a run is made from, written down in its lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from nmt import console, runtime
from nmt.config.data import CORPUS, CleaningConfig, CorpusConfig
from nmt.config.toml import LoadedRecipe
from nmt.data.cleaning.funnel import numbers, show_funnel
from nmt.data.reading.corpus import corpus_digests
from nmt.data.reading.hub import hub_commit
from nmt.errors import RecipeError, UsageError
from nmt.files import read_json, read_record, write_json
from nmt.pipeline.stage import MANIFEST, Stage, made, making, resuming
from nmt.run_folder import RunFolder

if TYPE_CHECKING:
    from nmt.data.cleaning.corpus_text import TextPlan
    from nmt.data.encoding.tokenizer import Tokenizer
    from nmt.training.init_from import InitialModel

PIECES = {"max_pieces", "max_piece_ratio"}
"""The filters of encoded pairs."""


def train_key(name: str) -> str:
    """Return what a training corpus is called among all corpora."""
    return CORPUS if name == CORPUS else f"train.{name}"


class DataStages:
    """A recipe with its run folder, as far as its data go."""

    def __init__(
        self,
        loaded: LoadedRecipe,
        *,
        data_dir: Path | None = None,
        run_dir: Path | None = None,
        workers: int | None = None,
    ) -> None:
        """Bind `loaded` to its folders; `workers` processes prepare the data, by default one a core."""
        self.loaded = loaded
        self.recipe = loaded.recipe
        self.root = data_dir or loaded.path.parent
        self.local = data_dir is not None
        self.workers = workers or runtime.cores()
        self.run = RunFolder(run_dir or Path("runs") / self.recipe.name)
        self.ranks: Any = None
        """The processes that train together, this one among them, while stages run."""
        self.data_stages = [
            Stage("text", self.run.text, self.text_inputs, self.make_text),
            Stage("tokenizer", self.run.tokenizer, self.tokenizer_inputs, self.make_tokenizer),
            Stage("prepare", self.run.ids, self.prepare_inputs, self.make_ids),
        ]

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

    # Text: read, split, clean by characters and leakage.

    @cached_property
    def data_digests(self) -> dict[str, dict[str, str]]:
        """SHA-256 of every input file, by corpus."""
        downloads = self.recipe.data.downloads
        return {
            name: corpus_digests(
                corpus, root=self.root, local=self.local, downloads=downloads, languages=self.recipe.languages
            )
            for name, corpus in self.corpora.items()
        }

    @property
    def corpora(self) -> dict[str, CorpusConfig]:
        """The corpora that the recipe names."""
        data = self.recipe.data
        train = {train_key(name): corpus for name, corpus in data.train.items()}
        tests = {f"test.{name}": corpus for name, corpus in data.test.items()}
        return {**train, **({"dev": data.dev} if data.dev else {}), **tests}

    def text_inputs(self) -> dict[str, Any]:
        """Return what the cleaned text depends on."""
        data = self.recipe.data.model_dump(exclude={"downloads", "temperature"})
        for corpus in data["train"].values():
            del corpus["weight"]
            corpus["cleaning"] = corpus["cleaning"] and {k: v for k, v in corpus["cleaning"].items() if k not in PIECES}
        return {
            "languages": self.recipe.languages.model_dump(),
            "data": data,
            "order": list(data["train"]),  # which no digest of the section shows
            "cleaning": self.recipe.cleaning.model_dump(exclude=PIECES),
            "placeholders": self.placeholders if data["protect"] else None,
            "files": self.data_digests,
        }

    def text_plan(self, commits: Mapping[str, str | None]) -> TextPlan:
        """Return what the cleaned text is made from, each dataset of the Hub as it was at its commit."""
        from nmt.data.cleaning.corpus_text import TextPlan

        def at_commit(name: str, corpus: CorpusConfig) -> CorpusConfig:
            return corpus.model_copy(update={"revision": commits.get(name) or corpus.revision})

        recipe, data = self.recipe, self.recipe.data
        pinned = data.model_copy(
            update={
                "train": {name: at_commit(train_key(name), corpus) for name, corpus in data.train.items()},
                "dev": data.dev and at_commit("dev", data.dev),
                "test": {name: at_commit(f"test.{name}", corpus) for name, corpus in data.test.items()},
            }
        )
        return TextPlan(
            pinned, recipe.cleaning, recipe.languages, self.root, self.local, placeholders=self.placeholders
        )

    def hub_commits(self) -> dict[str, str | None]:
        """Find the commits to read the datasets of the Hub at, by corpus; None where one cannot be found."""
        corpora = {} if self.local else {name: corpus for name, corpus in self.corpora.items() if corpus.dataset}
        # Asked once for all splits of a dataset, which are to be of one commit.
        found = {(corpus.dataset, corpus.revision): corpus for corpus in corpora.values()}
        commits = {key: hub_commit(corpus) for key, corpus in found.items()}
        return {name: commits[corpus.dataset, corpus.revision] for name, corpus in corpora.items()}

    def make_text(self, manifest: dict[str, Any]) -> None:
        """Read, split and clean."""
        from nmt.data.cleaning.corpus_text import write_text as write_pairs

        commits = self.hub_commits()
        # What a killed run has read of a dataset without a commit may be another one's by now.
        also = {name: commit or uuid4().hex for name, commit in commits.items()}
        with resuming(self.run.text, manifest, also=also) as folder:
            counts = manifest["counts"] = write_pairs(self.text_plan(commits), folder, workers=self.workers)
            manifest["hub_commits"] = {name: commit for name, commit in commits.items() if commit}
        self.write_lock(read_json(self.run.lock)["sessions"])
        pairs = counts["pairs"]
        show_funnel("text", counts)
        for name, odd in [*((name, found["odd"]) for name, found in counts["corpora"].items()), *counts["odd"].items()]:
            if odd:
                console.log(f"text: found in {name}: {numbers(odd)}")
        if "protected" in counts:
            console.log(f"text: training pairs with placeholders: {counts['protected']:,}")
        tests = ", ".join(f"{name} {count:,}" for name, count in pairs["test"].items())
        console.log(f"text: pairs of train {pairs['train']:,}, dev {pairs['dev']:,}, test {tests}")

    # Tokenizer: trained on the cleaned training text alone, or taken over with the weights.

    @cached_property
    def start(self) -> InitialModel | None:
        """The trained model that `training.init_from` names. Raises ArtifactError where it cannot be one to begin with.

        It is what the lock says on all ranks but the first, which wrote it, and where it is gone but no longer needed,
        for there is a checkpoint.
        """
        from nmt.training.checkpoint import Checkpoints
        from nmt.training.init_from import InitialModel, open_initial_model

        name = self.recipe.training.init_from
        if name is None:
            return None
        path = self.root / name
        lock = read_record(self.run.lock, "init", "recipe")
        store = Checkpoints(self.run.checkpoints, self.recipe.training.keep_checkpoints)
        is_gone = not path.exists() and lock and lock["recipe"]["training"]["init_from"] == name and store.has_begun()
        if lock and (is_gone or (self.ranks and not self.ranks.is_main)):
            return InitialModel(**lock["init"])
        start = open_initial_model(path, self.recipe.model, self.recipe.languages)
        if Path(start.file).is_relative_to(self.run.path.resolve()):
            raise UsageError(f"{path}: lies in the run folder that is to begin with it", hint="take another --run-dir")
        return start

    @cached_property
    def taken_over(self) -> Tokenizer | None:
        """The tokenizer of the model that training begins with."""
        from nmt.data.encoding.tokenizer import Tokenizer

        if self.start is None:
            return None
        folder = Path(self.start.tokenizer)
        return Tokenizer.load(folder if folder.exists() else self.run.tokenizer)

    @property
    def placeholders(self) -> int:
        """How many the tokenizer has, the recipe's or that of the model that training begins with."""
        return self.taken_over.placeholders if self.taken_over else self.recipe.tokenizer.placeholders

    def refuse_other_symbols(self) -> None:
        """Raise RecipeError where a tokenizer that is taken over lacks the recipe's tags or placeholders."""
        data, tokenizer = self.recipe.data, self.taken_over
        if tokenizer and (missing := [tag for tag in data.tags if tag not in tokenizer.tags]):
            raise RecipeError(
                f"tags {', '.join(missing)}: not of the model that training.init_from names, "
                f"which has {', '.join(tokenizer.tags) or 'none'}",
                hint="take the tag off the corpus, or train without init_from",
            )
        if tokenizer and data.protect is not None and not tokenizer.placeholders:
            raise RecipeError(
                "data.protect: the model that training.init_from names has no placeholders",
                hint='set data.protect = "none", or train without init_from',
            )

    def tokenizer_inputs(self) -> dict[str, Any]:
        """Return what the tokenizer depends on."""
        if self.start:
            return {"init": self.start.tokenizer_files}
        train = {name: value for name, value in made(self.run.text).items() if name.startswith("train")}
        return {
            "tokenizer": self.recipe.tokenizer.model_dump(exclude={"sampling"}),
            "tags": self.recipe.data.tags,
            "seed": self.recipe.training.seed,
            "text": train,
        }

    def make_tokenizer(self, manifest: dict[str, Any]) -> None:
        """Train SentencePiece, or take the tokenizer over."""
        from nmt.data.cleaning.corpus_text import iterate_text
        from nmt.data.encoding import tokenizer

        if self.start:
            with making(self.run.tokenizer, manifest) as scratch:
                scratch.mkdir()
                self.start.copy_tokenizer(scratch)
            console.log(
                f"tokenizer: taken over from {self.start.tokenizer}; the recipe's section [tokenizer] is not used"
                + (", but for sampling" if self.recipe.tokenizer.sampling else "")
            )
            return

        def side(index: int) -> Iterator[str]:
            return (pair[index] for pair in iterate_text(self.run.text, "train"))

        config = self.recipe.tokenizer
        with making(self.run.tokenizer, manifest) as scratch:
            scratch.mkdir()
            manifest["counts"] = tokenizer.train(
                side(0), side(1), config, scratch, seed=self.recipe.training.seed, tags=self.recipe.data.tags
            )
        kind = "joint" if config.joint else "separate"
        console.log(
            f"tokenizer: {kind} {config.model_type} of {config.vocab_size:,} pieces, "
            f"normalisation {config.normalization}"
        )

    # Prepare: encode, clean by pieces, write.

    @property
    def own_cleaning(self) -> dict[str, CleaningConfig]:
        """The filters of the training corpora that have some of their own."""
        return {name: corpus.cleaning for name, corpus in self.recipe.data.train.items() if corpus.cleaning}

    def prepare_inputs(self) -> dict[str, Any]:
        """Return what the ids depend on."""
        own = self.own_cleaning
        return {
            "pieces": {
                name: cleaning.model_dump(include=PIECES)
                for name, cleaning in {"": self.recipe.cleaning, **own}.items()
            },
            "protect": self.recipe.data.protect,
            "keep_text": self.recipe.tokenizer.sampling is not None,
            "max_length": self.recipe.model.max_length,
            "text": {name: value for name, value in made(self.run.text).items() if not name.startswith("test.")},
            "tokenizer": made(self.run.tokenizer),
        }

    def make_ids(self, manifest: dict[str, Any]) -> None:
        """Write memory-mapped ids."""
        from nmt.data.encoding.corpus_ids import IdsPlan, write_ids

        plan = IdsPlan(
            self.run.text,
            self.run.tokenizer,
            self.recipe.cleaning,
            self.own_cleaning,
            self.recipe.model.max_length,
            protect=self.recipe.data.protect,
            keep_text=self.recipe.tokenizer.sampling is not None,
        )
        with resuming(self.run.ids, manifest) as folder:
            counts = manifest["counts"] = write_ids(plan, folder, workers=self.workers)
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
