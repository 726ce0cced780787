"""A run: a recipe with its folder, the files that it reads, and its lock."""

import os
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

from nmt import console, devices, runtime
from nmt.config.compatibility import as_begun
from nmt.config.data import CorpusConfig, train_key
from nmt.config.languages import LanguagesConfig
from nmt.config.toml import LoadedRecipe
from nmt.cores import cores
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.reading.corpus import corpus_digests
from nmt.data.reading.hub import hub_commit
from nmt.errors import RecipeError, UsageError
from nmt.evaluation.metrics import resolve_tokenizer
from nmt.files import JsonObject, differing, read_json, read_record, remove_partials, write_json, write_text
from nmt.inference.bundle import BUNDLED, LOCK, without_results
from nmt.pipeline.lock import FORMAT, Locked, results_of, with_session
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.recipe_file import recipe_as_run
from nmt.pipeline.stage_cache import StageCache
from nmt.pipeline.translators import Maker, digests_of_models, makers_of
from nmt.run_folder import RunFolder
from nmt.training.checkpoint import Checkpoints
from nmt.training.distributed import Ranks
from nmt.training.identity import identity_of
from nmt.training.init_from import InitialModel, open_initial_model


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two paths lead to the same place; `Path.resolve` raises RuntimeError on a link to itself."""
    return os.path.realpath(path) == os.path.realpath(other)


class Run:
    """A recipe with its run folder."""

    def __init__(
        self,
        loaded: LoadedRecipe,
        *,
        data_dir: Path | None = None,
        run_dir: Path | None = None,
        workers: int | None = None,
        locked: Locked | None = None,
        cache: StageCache | None = None,
    ) -> None:
        """Bind `loaded` to its folders, and to a lock if it is to repeat another run.

        `workers` processes prepare the data, by default one a core. Prepared stages are shared by a `cache`.
        """
        self.folder = RunFolder(run_dir or Path("runs") / loaded.recipe.name)
        self.as_begun: list[str] = []  # the knobs that are as before in this run, for an older nmt began it
        if lock := self.recorded():
            recipe = as_begun(loaded.recipe, lock["recipe"])
            self.as_begun = differing(loaded.recipe.model_dump(), recipe.model_dump())
            loaded = replace(loaded, recipe=recipe)
        self.loaded, self.recipe = loaded, loaded.recipe
        self.root = data_dir or loaded.path.parent  # the folder of relative names
        self.local = data_dir is not None  # whether datasets of the Hub are read from `root`
        self.workers = workers or cores()
        self.locked, self.cache = locked, cache
        self.sessions: list[JsonObject] = []  # of the lock, set by `begin`
        self.ranks = Ranks()  # the processes that train together, this one among them

    @property
    def corpora(self) -> dict[str, CorpusConfig]:
        """The corpora of the recipe: `train` or `train.NAME`, `monolingual.NAME`, `dev` or `devs.NAME`, `guard`,
        `test.NAME`."""
        data = self.recipe.data
        train = {train_key(name): corpus for name, corpus in data.train.items()}
        lines = {f"monolingual.{name}": corpus for name, corpus in data.monolingual.items()}
        return {**train, **lines, **data.held_out}

    def languages_of(self, corpus: str) -> LanguagesConfig:
        """Return the languages of a corpus of `data.train`."""
        return self.recipe.languages.of(self.recipe.data.train[corpus].direction)

    @cached_property
    def data_digests(self) -> dict[str, dict[str, str]]:
        """SHA-256 of every input file, by corpus, and of the models that translate it."""
        digests = {
            name: corpus_digests(
                corpus,
                root=self.root,
                local=self.local,
                downloads=self.recipe.data.downloads,
                languages=self.recipe.languages.of(corpus.direction),
            )
            for name, corpus in self.corpora.items()
        }
        for name, translated in self.recipe.translated.items():
            digests[train_key(name)] |= self.models_as_recorded(name) or digests_of_models(translated, self.root)
        return digests

    def models_as_recorded(self, corpus: str) -> dict[str, str] | None:
        """Return the digests in the lock of the models that have translated a corpus, if one of them is gone since."""
        names = self.recipe.translated[corpus].names
        if all((self.root / name).exists() for name in names) or Manifest.read(self.folder.synthetic) is None:
            return None
        recorded = ((self.recorded() or {}).get("data") or {}).get(train_key(corpus)) or {}
        return {name: recorded[name] for name in names} if recorded.keys() >= {*names} else None

    def open_makers(self, *, all_needed: bool = False) -> list[Maker]:
        """Return what makes the synthetic pairs of training corpora, unless they are made and a model is gone since.

        Raises NmtError where a model cannot make them, see `makers_of`; also where one is gone, and `all_needed`.
        """
        return [
            maker
            for name, translated in self.recipe.translated.items()
            if all_needed or self.models_as_recorded(name) is None
            for maker in makers_of(name, translated, self.languages_of(name), self.root, self.folder.path)
        ]

    @cached_property
    def hub_commits(self) -> dict[str, str | None]:
        """The commits to read the datasets of the Hub at, by corpus; None where one cannot be found.

        A run that is held to a lock takes those of the lock.
        """
        corpora = {} if self.local else {name: corpus for name, corpus in self.corpora.items() if corpus.dataset}
        # Asked once for all splits of a dataset, so that they are of one commit.
        locked = self.locked.lock.hub_commits if self.locked else {}
        first = {(corpus.dataset, corpus.revision): corpus for name, corpus in corpora.items() if name not in locked}
        commits = {key: hub_commit(corpus) for key, corpus in first.items()}
        return {name: locked.get(name) or commits[corpus.dataset, corpus.revision] for name, corpus in corpora.items()}

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder.checkpoints, self.recipe.training.keep_checkpoints)

    @cached_property
    def initial(self) -> InitialModel | None:
        """The trained model that `training.init_from` names.

        Read from the lock on all ranks but the first, which wrote it, and where the model is gone but no longer needed
        because there is a checkpoint. Raises ArtifactError where it cannot be trained on, UsageError where it lies in
        the run folder.
        """
        name = self.recipe.training.init_from
        if name is None:
            return None
        path = self.root / name
        lock = read_record(self.folder.lock, recipe=dict, init=dict)
        if lock and (recorded := InitialModel.read(lock["init"])):
            training = lock["recipe"].get("training")
            is_same = isinstance(training, dict) and training.get("init_from") == name
            is_gone = not path.exists() and is_same and self.checkpoints.has_begun()
            if is_gone or not self.ranks.is_main:
                return recorded
        initial = open_initial_model(path, self.recipe.model, self.recipe.languages)
        if Path(initial.file).is_relative_to(os.path.realpath(self.folder.path)):
            raise UsageError(f"{path}: lies in the run folder that would start from it", hint="take another --run-dir")
        return initial

    @cached_property
    def initial_tokenizer(self) -> Tokenizer | None:
        """The tokenizer of the initial model, which the run uses in place of one of its own."""
        if self.initial is None:
            return None
        folder = Path(self.initial.tokenizer)
        return Tokenizer.load(folder if folder.exists() else self.folder.tokenizer)

    @property
    def placeholders(self) -> int:
        return (self.initial_tokenizer or self.recipe.tokenizer).placeholders

    def training_identity(self, data: str) -> JsonObject:
        """Return the identity of the training on prepared ids with the digest `data`."""
        return identity_of(self.recipe, data, self.initial.weights if self.initial else None)

    def begin(self, *, is_writable: bool = True) -> None:
        """Create the run folder with its recipe and lock, where it `is_writable`.

        Raises NmtError where it is of another recipe.
        """
        for languages in self.recipe.languages.each:
            resolve_tokenizer(self.recipe.evaluation.tokenize, languages.target)  # fails now or never
        self.refuse_other_folder()
        self.open_makers()
        if self.as_begun:
            console.log(f"an older nmt began this run, which goes on with its values of {', '.join(self.as_begun)}")
        if is_writable or self.locked:
            self.sessions = self.next_sessions()
        if self.locked:
            self.locked.check(self.recipe, self.lock_of(self.sessions))
        if not is_writable:
            return
        self.folder.path.mkdir(parents=True, exist_ok=True)
        for folder in (self.folder.path, self.folder.text.parent, self.folder.bundle):
            remove_partials(folder)
        self.begin_lock()  # fails where data are missing, before the recipe is replaced
        own = (self.folder.recipe, self.folder.lock)
        if not self.folder.given.exists() or not any(_is_same(self.loaded.path, path) for path in own):
            write_text(self.folder.given, self.loaded.text)
        write_text(self.folder.recipe, recipe_as_run(self.loaded, self.root, local=self.local))

    def refuse_other_folder(self) -> None:
        """Raise RecipeError or ArtifactError where the run folder is of another recipe; nothing is written.

        Raises UsageError where it is a file.
        """
        if self.folder.path.exists() and not self.folder.path.is_dir():
            raise UsageError(f"{self.folder.path}: a file, not a run folder", hint="take another --run-dir")
        lock = self.recorded()
        if lock and (other := lock["recipe"].get("name")) != self.recipe.name:
            raise RecipeError(f"{self.folder.path}: the run folder of recipe {other!r}", hint="take another --run-dir")
        self.refuse_other_symbols()
        self.checkpoints.refuse_other(self.training_identity)

    def refuse_other_symbols(self) -> None:
        """Raise RecipeError where the tokenizer of the initial model lacks tags, placeholders, marks or masks.

        Raises it as well where it is not the joint one that monolingual text, masked pairs and a source loss need.
        """
        data, tokenizer = self.recipe.data, self.initial_tokenizer
        if tokenizer and (missing := [tag for tag in data.tags if tag not in tokenizer.tags]):
            raise RecipeError(
                f"tags {', '.join(missing)}: not of the model that training.init_from names, "
                f"which has {', '.join(tokenizer.tags) or 'none'}",
                hint="take the tag off the corpus, or train without init_from",
            )
        if tokenizer and data.placeholders_for and not tokenizer.placeholders:
            raise RecipeError(
                f"{data.placeholders_for}: the model that training.init_from names has no placeholders",
                hint='set data.protect = "none" and codes = "drop", or train without init_from',
            )
        if tokenizer and self.recipe.augmentation.inline_tags and tokenizer.placeholders < 2:
            raise RecipeError(
                f"augmentation.inline_tags: the model that training.init_from names has {tokenizer.placeholders} "
                "placeholders, not 2",
                hint="leave it out, or train without init_from",
            )
        if tokenizer and self.recipe.augmentation.terms and not tokenizer.term_marks:
            raise RecipeError(
                "augmentation.terms: the model that training.init_from names has no marks for terms",
                hint="leave it out, or train without init_from",
            )
        given = f'training.objective = "{self.recipe.training.objective}"'
        if tokenizer and len(tokenizer.masks) < (needed := self.recipe.masks_needed):
            raise RecipeError(
                f"{given}: the model that training.init_from names has {len(tokenizer.masks)} masks, not {needed}",
                hint="train without init_from",
            )
        joint_for = {
            "data.monolingual": data.monolingual,
            "training.source_loss": self.recipe.training.source_loss,
            given: self.recipe.training.objective == "masked",
        }
        if tokenizer and not tokenizer.joint and (needing := [key for key, value in joint_for.items() if value]):
            raise RecipeError(
                f"{needing[0]}: the model that training.init_from names has a tokenizer for each side, and one for "
                "both is needed",
                hint="begin with a model whose recipe had tokenizer.joint = true, or train without init_from",
            )

    def next_sessions(self) -> list[JsonObject]:
        """Return the sessions of the lock with this one, and warn where versions or machine have changed."""
        sessions = [each for each in (self.recorded() or {"sessions": []})["sessions"] if isinstance(each, dict)]
        device = devices.kind_of_device(self.recipe.training.device)
        now: JsonObject = {
            "versions": runtime.versions(),
            "machine": devices.machine(),
            "device": device,
            "code": runtime.code(),
        }
        # A training goes on with as many threads as it began with, unless the recipe has a number.
        before = (sessions[-1].get("machine") or {}).get("threads") if sessions else None
        now["machine"]["threads"] = self.recipe.training.threads or before or now["machine"]["threads"]
        return with_session(sessions, now, "run")

    def recorded(self) -> JsonObject | None:
        """Return the lock as it is; None where it is missing or damaged."""
        return read_record(self.folder.lock, recipe=dict, sessions=list)

    def lock_of(self, sessions: list[JsonObject]) -> JsonObject:
        """Return the lock of this run without results: the recipe, the digests of its inputs, and where it ran."""
        text = Manifest.read(self.folder.text)
        locked = self.locked.lock.passes if self.locked else None
        fitted = (read_json(self.folder.lock) or {}).get("passes") or (locked and locked.model_dump())
        return {
            "format": FORMAT,
            "recipe": self.recipe.model_dump(),
            "seed": self.recipe.training.seed,
            "data": self.data_digests,
            "hub_commits": (text and text.hub_commits) or {},
            "sessions": sessions,
            **({"init": asdict(self.initial)} if self.initial else {}),
            **({"passes": fitted} if fitted else {}),  # the fitted size of micro-batches
        }

    def begin_lock(self) -> None:
        """Write the lock, with the recorded results if recipe and data are still those that they were made from."""
        lock, before = self.lock_of(self.sessions), self.recorded() or {}
        is_same = all(before.get(key) == lock.get(key) for key in ("recipe", "data", "init"))
        write_json(self.folder.lock, {**lock, **(results_of(before) if is_same else results_of({}))})

    @property
    def results(self) -> JsonObject:
        """The results in the lock, by stage."""
        return results_of(self.recorded() or {})["results"]

    def drop_results(self, stage: str) -> None:
        """Drop from the lock what `stage`, which is to run again, and later ones made."""
        names = list(self.results)
        if stage in names:
            write_json(self.folder.lock, without_results(self.recorded() or {}, names[names.index(stage) :]))

    def add_result(self, stage: str, folder: Path) -> None:
        """Add to the lock what `stage` made in `folder`, if it is not there; the bundle gets the whole lock too.

        The lock in the bundle is written first, so that a run that is killed in between writes both again.
        """
        made, results = Manifest.of(folder), self.results
        result = {"files": made.files, **({"counts": made.counts} if made.counts else {})}
        if results.get(stage) == result:
            return
        scores = read_json(self.folder.scores) if stage == "evaluate" else {}
        lock = {**self.lock_of(self.sessions), "results": {**results, stage: result}, "scores": scores}
        for path in ([self.folder.bundle / LOCK] if stage in BUNDLED else []) + [self.folder.lock]:
            write_json(path, lock)
