"""The models that make the synthetic pairs of a run."""

import os
from dataclasses import dataclass
from pathlib import Path

from nmt.config.languages import LanguagesConfig
from nmt.config.synthetic import SyntheticConfig, Translated
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.placeholders import check_tags
from nmt.errors import RecipeError, UsageError
from nmt.files import digest_file
from nmt.inference.bundle import CONFIG, BundleConfig, check_translates, read_config
from nmt.inference.translator import Translator


@dataclass(frozen=True)
class Maker:
    """What makes synthetic pairs of a training corpus: a model, or several that translate together."""

    corpus: str  # name in `data.train`
    number: int  # among those of the corpus, from 0
    models: list[Path]
    side: int  # the side of a pair that is translated: 0 the source, 1 the target
    config: SyntheticConfig
    scorer: Path | None  # a model in the other direction
    pair: tuple[str, str] | None = None  # from which language to which the models translate; None: their own

    @property
    def name(self) -> str:
        """The corpus and the models, for people."""
        return f"{self.corpus} by {' and '.join(map(str, self.models))}"

    def shards(self, folder: Path) -> Path:
        """Return the folder of its shards in `folder`."""
        return folder / self.corpus / str(self.number)

    def load(self, device: str, threads: int | None) -> Translator:
        """Load the models as `nmt translate` does, with the search and the tags of the recipe."""
        config = self.config
        search = {"mbr": 0, **({} if config.beam_size is None else {"beam_size": config.beam_size})}
        return Translator.load(
            *self.models,
            decoding=search,
            precision=config.precision,
            tags=config.tags,
            device=device,
            threads=threads,
            from_=self.pair and self.pair[0],
            to=self.pair and self.pair[1],
        )

    def load_scorer(self, device: str, threads: int | None) -> Translator | None:
        """Load the model in the other direction, if there is one."""
        if self.scorer is None:
            return None
        return Translator.load(
            self.scorer,
            precision=self.config.precision,
            device=device,
            threads=threads,
            from_=self.pair and self.pair[1],
            to=self.pair and self.pair[0],
        )


def makers_of(corpus: str, translated: Translated, languages: LanguagesConfig, root: Path, run: Path) -> list[Maker]:
    """Return what makes the synthetic pairs of a corpus for the run in the folder `run`.

    Relative names of models start at `root`. Raises ArtifactError where a model is missing or damaged, UsageError where
    it does not translate, lacks a tag or lies in `run`, RecipeError where it reads something else than the corpus has.
    """
    config = translated.config
    scorer = None if config.score_with is None else root / config.score_with
    makers = []
    for number, names in enumerate(translated.groups):
        paths = [root / name for name in names]
        sides = [_side_of(path, translated, languages, run) for path in paths]
        if len({*sides}) > 1:
            problem = f"{translated.key}: models of both directions cannot be an ensemble"
            raise RecipeError(problem, hint="set ensemble = false")
        if config.method == "noised" and sides[0] == 0:
            raise RecipeError(
                f"{translated.key}: {paths[0]} makes targets, and the noise of {translated.section}.method is for "
                "sources",
                hint='take method = "beam" or "sampling"',
            )
        if config.best_of > 1 and config.method != "sampling" and config.beam_size is None:
            own = _open(paths[0], run).decoding.beam_size
            if config.best_of > own:
                problem = f"{translated.section}.best_of = {config.best_of}: {paths[0]} has a beam of {own}"
                raise RecipeError(problem, hint=f"set {translated.section}.beam_size")
        if scorer is not None:
            _check_scorer(scorer, translated, languages.pair if sides[0] else languages.pair[::-1], run)
        if config.tags:
            check_tags(config.tags, Tokenizer.load(paths[0]).tags)
        pair = languages.pair[::-1] if sides[0] else languages.pair
        makers.append(Maker(corpus, number, paths, sides[0], config, scorer, pair))
    return makers


def digests_of_models(translated: Translated, root: Path) -> dict[str, str]:
    """Return the digest of each model by its name in the recipe: of its config, which lists those of its files.

    Raises ArtifactError where one is missing.
    """
    digests = {}
    for name in translated.names:
        read_config(root / name)
        digests[name] = digest_file(root / name / CONFIG)
    return digests


def _side_of(path: Path, translated: Translated, languages: LanguagesConfig, run: Path) -> int:
    """Return the side of the pairs that the model at `path` reads."""
    found, both = _open(path, run).languages, (languages.pair, languages.pair[::-1])
    readable = [side for side in translated.readable if both[side] in [one.pair for one in found.each]]
    if not readable:
        wanted = " or ".join(" to ".join(both[side]) for side in translated.readable)
        raise RecipeError(f"{translated.key}: {path} translates {found.title}, not {wanted}")
    return readable[0]


def _check_scorer(path: Path, translated: Translated, wanted: tuple[str, str], run: Path) -> None:
    found = _open(path, run).languages
    if wanted not in [one.pair for one in found.each]:
        raise RecipeError(
            f"{translated.section}.score_with: {path} translates {found.title}, not {' to '.join(wanted)}",
            hint="it scores pairs in the direction in which they were not made",
        )


def _open(path: Path, run: Path) -> BundleConfig:
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(run)):
        raise UsageError(f"{path}: lies in the folder of the run that would learn from it", hint="take another model")
    config = read_config(path)
    check_translates(path, config)
    return config
