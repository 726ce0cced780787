"""The sections [data] and [cleaning]."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from nmt.config.languages import Direction, LanguagesConfig
from nmt.config.section import Affects, AsBefore, Count, Effect, Name, Natural, Section, Seed, cut, shown
from nmt.config.symbols import Tag
from nmt.config.synthetic import Share, SyntheticConfig, names_of
from nmt.config.tasks import TaskConfig
from nmt.files import Json, JsonObject

Format = Literal["tsv", "csv", "jsonl", "parquet", "tmx", "xliff", "po", "wmt", "xlsx"]
"""Formats of files that hold both sides."""


def possible_urls(urls: str | list[str]) -> str | list[str]:
    """Return `urls`. Raises ValueError where nothing can be fetched from one of them."""
    for url in [urls] if isinstance(urls, str) else urls:
        check_url(url)
    return urls


def check_url(url: str) -> None:
    """Raise ValueError where `url` is no address on the web."""
    if not url.lower().startswith(("https://", "http://")):
        raise ValueError(f"{cut(url)} is neither https nor http")
    if not re.fullmatch("[!-~]+", url):
        raise ValueError(f"{shown(url)} has characters that an address writes as %20 and the like")
    try:
        parts = urlsplit(url)
        if not (parts.hostname or "").encode("idna") or parts.port == 0:
            raise ValueError("no host, or no port")
    except ValueError as error:  # of half a pair of brackets, a port out of range, a name that is too long
        raise ValueError(f"{cut(url)} is no address: {error}") from None


class CleaningConfig(Section):
    """Fixes of the training pairs and filters that drop pairs, in this order; each is counted.

    Dev and test sets are neither fixed nor filtered.
    """

    affects: ClassVar[frozenset[Effect]] = frozenset({"text"})
    entities: bool = False
    """Write the characters in place of HTML's entities: `&` for `&amp;`, an apostrophe for `&apos;`, `[` for
    `&#91;`, as in text from web pages, from SGML, or escaped for Moses."""
    control_characters: bool = True
    """Take out control characters (Unicode's Cc, tabs aside), byte-order marks, and U+FFFE and U+FFFF; line breaks
    become spaces."""
    unicode: Literal["nfc", "nfkc"] | None = None
    """Bring the text into this normal form of Unicode; by default it stays. A model needs no such fix, as its tokenizer
    has a normal form of its own, but the filters of equal pairs compare letter for letter."""
    whitespace: bool = True
    """Make each run of white space one space, and none at the ends."""
    keep_special_spaces: Annotated[bool, AsBefore(False)] = True
    """Leave no-break, narrow and ideographic spaces as they are, where `whitespace` finds one by itself in a text."""
    drop_empty: bool = True
    """Drop pairs with a blank side."""
    min_characters: Count = 1
    """Drop pairs with a shorter side; 1 drops none."""
    max_characters: Count | None = 1000
    """Drop pairs with a longer side."""
    max_ratio: Annotated[float, Field(gt=1)] | None = 4.0
    """Drop pairs whose longer side has over this many times the characters of the shorter; see `ratio_from`."""
    ratio_from: Count = 20
    """The ratio is checked only where the longer side has at least this many characters."""
    drop_copies: bool = True
    """Drop pairs whose target equals their source."""
    drop_urls: bool = True
    """Drop pairs with a side that holds nothing but web and e-mail addresses."""
    min_script: Share | None = None
    """Drop pairs with a side of which a smaller share of the letters belongs to the language's scripts."""
    drop_digit_mismatch: bool = False
    """Drop pairs whose sides differ in their digits, regardless of order and separators."""
    max_punctuation_difference: Natural | None = None
    """Drop pairs whose sides differ by more than this number of sentence-final marks (. ? ! and their like)."""
    check_language: bool = False
    """Drop pairs with a side that is identified as another language; needs the extra `langid`."""
    language_from: Count = 20
    """The language is checked only of sides of at least this many letters."""
    language_margin: Annotated[Annotated[float, Field(ge=1)] | None, AsBefore(None)] = 10.0
    """Another language counts where it is this many times likelier than the side's own, among widely written ones that
    are no variants of it; `none` takes the likeliest of all, also for numbers, and counts characters as letters, as nmt
    did before it had this key."""
    drop_leaked: bool = True
    """Drop pairs that are in dev or test."""
    drop_leaked_near: bool = True
    """Drop pairs that are in dev or test, apart from case, digits, punctuation and white space."""
    drop_leaked_sides: bool = False
    """Drop pairs with a side that is in dev or test, apart from the same differences, whatever the other side."""
    drop_duplicates: bool = True
    """Drop pairs that occurred earlier, letter for letter."""
    drop_near_duplicates: bool = False
    """Drop pairs that occurred earlier, apart from case, digits, punctuation and white space."""
    drop_same_source: bool = False
    """Drop pairs whose source occurred earlier, letter for letter."""
    drop_same_target: bool = False
    """Drop pairs whose target occurred earlier, letter for letter."""
    max_pieces: Annotated[Count | None, Affects("ids")] = 250
    """Drop pairs with a side of more pieces, EOS not counted; at most `model.max_length` - 1."""
    max_piece_ratio: Annotated[Annotated[float, Field(gt=1)] | None, Affects("ids")] = None
    """Drop pairs whose longer side has over this many times the pieces of the shorter."""


NO_REVISION = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|^[/.-]|/\.|[/.]$|\.lock(/|$)|^@?$")
"""Found in what cannot be the name of a branch, a tag or a reference, by the rules of git-check-ref-format."""


def plain_revision(revision: str) -> str:
    """Return `revision`. Raises ValueError where it cannot be a name or a commit, as a path cannot."""
    if NO_REVISION.search(revision) or not revision.isprintable():
        raise ValueError(f"{shown(revision)} is neither the name of a branch or a tag nor a commit")
    return revision


class CorpusConfig(TaskConfig):
    """Where pairs come from: `source` and `target` files, `files` of both sides, a `dataset`, the `builtin` grammar, or
    an algorithmic `task`.

    Files may be plain or end in .gz, .bz2, .xz or .zst. A name may go on within an archive: `all.tar.gz/train.en`.
    """

    one_sided: ClassVar[tuple[str, ...]] = ()
    """The keys that name files of one language alone."""
    source: str | list[str] | None = None
    """Source side, one sentence a line, or a test set in .sgm; several files are read one after the other."""
    target: str | list[str] | None = None
    """Target side, the translation of `source` line by line, of .sgm by document and segment."""
    files: str | list[str] | None = None
    """Files that hold both sides (.tsv, .csv, .jsonl, .parquet, .tmx, .xlf, .po, .xlsx, WMT's .xml), folders or
    archives (.zip, .tar, .tar.gz) of such files or of NAME.LANGUAGE pairs, or a test set of sacreBLEU:
    `sacrebleu:wmt14/full:en-de`."""
    trees: str | list[str] | None = None
    """Files of bracketed trees, one a line or over indented lines, or folders of such files. The source is the words,
    the target the tree without function tags, empty elements and root. Of [cleaning], `entities`, `unicode`,
    `max_characters` and `max_ratio` do not apply."""
    format: Format | None = None
    """Format of `files`; by default their names say it."""
    skip_bad: bool = False
    """Leave out, and count, damaged units of .tmx, .xlf and .po, instead of ending with an error."""
    codes: Literal["drop", "placeholders"] = "drop"
    """The inline codes of .tmx and .xlf: dropped, or those that both sides have kept as placeholders, of which
    `tokenizer.placeholders` is the number."""
    dataset: str | None = None
    """Hugging Face dataset, such as `wmt/wmt14`; with --data-dir, a folder of that name there is read instead."""
    config: str | None = None
    """Configuration of `dataset`, such as `de-en`."""
    split: str | None = None
    """Split of `dataset`; by default `train`, `validation` or `test` after the section's name."""
    revision: Annotated[str, AfterValidator(plain_revision)] | None = None
    """Branch, tag or commit of `dataset` on the Hub; a commit pins the data."""
    streaming: bool = False
    """Read `dataset` from the Hub as it comes, without keeping it on the disk."""
    columns: str | list[str] | None = None
    """The two columns [source, target] of `dataset` or `files`, or the one that holds {language: text}; their numbers,
    ["2", "3"], for a .tsv without a header. By default `translation` of a dataset; else those named after the languages
    (`en`, `eng_Latn`, `English`), `translation`, or `source` and `target`; and the first two of a .tsv without a
    header."""
    builtin: Literal["train", "dev", "test", "unseen"] | None = None
    """Split of the built-in English-German grammar; needs no download."""
    pairs: Count | None = None
    """Take only this many pairs, the first ones; `builtin` and `task` need it."""
    seed: Seed = 1
    """Seed of the generator of `builtin` or `task`."""
    direction: Direction | None = None
    """Direction of a corpus where there are several: one of `languages.directions`."""
    tags: list[Tag] = Field(default_factory=list)
    """Words put before each source, such as `<2de>` or `<news>`; each is one piece of the tokenizer."""

    @model_validator(mode="after")
    def one_kind_of_origin(self) -> Self:
        kinds = {
            **{key: getattr(self, key) is not None for key in self.one_sided},
            "source and target": self.source is not None or self.target is not None,
            "files": self.files is not None,
            "trees": self.trees is not None,
            "dataset": self.dataset is not None,
            "builtin": self.builtin is not None,
            "task": self.task is not None,
        }
        given = [kind for kind, is_given in kinds.items() if is_given]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(kinds)}; got {' and '.join(given) or 'none'}")
        for key in (*self.one_sided, "source", "target", "files", "trees"):
            if getattr(self, key) in ([], ""):
                raise ValueError(f"{key} names no file")
        if (self.source is None) != (self.target is None):
            raise ValueError("source and target go together; one of them is missing")
        if self.pairs is None and (self.builtin or self.task):
            raise ValueError(f"{given[0]} needs pairs, the number of sentence pairs to generate")
        of_kinds = {
            ("dataset",): ("config", "split", "revision", "streaming"),
            ("builtin", "task"): ("seed",),
            ("task",): ("min_length", "max_length", "symbols"),
            ("files",): ("format", "skip_bad", "codes"),
        }
        for owners, keys in of_kinds.items():
            idle = [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]
            if idle and given[0] not in owners:
                raise ValueError(f"{idle[0]} applies to {' or '.join(owners)} alone, and there is none")
        if self.columns is not None and self.dataset is None and self.files is None:
            raise ValueError("columns applies to a dataset or files alone, and there is none")
        if isinstance(self.columns, list) and len(self.columns) != 2:
            raise ValueError(f"columns names one column or two, not {len(self.columns)}")
        if isinstance(self.columns, list) and len(set(self.columns)) == 1:
            raise ValueError(f"columns names {self.columns[0]!r} for both sides")
        return self

    @property
    def file_names(self) -> list[str]:
        """The names of all files and test sets, as in the recipe."""
        values = (getattr(self, key) for key in (*self.one_sided, "source", "target", "files", "trees"))
        return [name for value in values for name in ([value] if isinstance(value, str) else value or [])]


UNCLEANED: JsonObject = {
    **dict.fromkeys(("control_characters", "whitespace", "drop_empty", "drop_copies", "drop_urls"), False),
    **dict.fromkeys(("drop_leaked", "drop_leaked_near", "drop_duplicates"), False),
    **dict.fromkeys(("max_characters", "max_ratio", "max_pieces")),
}
"""The cleaning of generated examples: none. In text a copy is a flaw, and so is a pair that differs from another in its
numbers alone. To drop what is in dev and test would leave out lengths: most of them have all ten lists of one digit."""


class TrainingCorpusConfig(CorpusConfig):
    """A corpus to train on."""

    weight: Annotated[Annotated[float, Field(gt=0, le=1000)] | None, Affects("updates", neutral=1)] = None
    """How often an epoch sees each pair of this training corpus: 2 is twice, 0.5 a half of them, drawn anew each
    epoch; by default 1, or the weight that follows from `data.temperature`."""
    replay: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Affects("updates")] = None
    """The share of an epoch that are pairs of this corpus, drawn anew each epoch: 0.5 for as many as of the corpora
    without `replay`, in place of a weight. For fine-tuning, with general text that should not be forgotten."""
    cleaning: CleaningConfig | None = None
    """Keys of [cleaning] that differ for this training corpus; of `task` those that apply, as [cleaning] does not."""

    @model_validator(mode="before")
    @classmethod
    def generated_examples_are_clean(cls, values: Json) -> Json:
        match values:
            case {"task": str(), "cleaning": dict(own)}:
                return {**values, "cleaning": {**UNCLEANED, **own}}
            case {"task": str(), "cleaning": _}:
                return values
            case {"task": str()}:
                return {**values, "cleaning": UNCLEANED}
        return values


class TrainingPairsConfig(TrainingCorpusConfig):
    """A corpus of [data.train]: pairs, or monolingual text with a model that makes pairs of it."""

    one_sided: ClassVar[tuple[str, ...]] = ("monolingual",)
    monolingual: str | list[str] | None = None
    """Files of plain text of one language, one sentence a line, of which `translate_with` makes pairs: back-translation
    (Sennrich et al. 2016), where the text is of the target language. Text to pretrain on is in [data.monolingual]."""
    language: Name | None = None
    """Language of the text in `monolingual`; by default the target language."""
    translate_with: Annotated[str | list[str] | None, Affects()] = None
    """Bundle of a model that translates `monolingual`, such as `runs/de-en/model`. Of a corpus of pairs it translates
    the side that it reads, and the pairs that it makes join the original ones (Nguyen et al. 2020, data
    diversification). Of several models each translates all lines. A relative path starts where those of data files
    do."""
    synthetic: SyntheticConfig | None = None
    """How `translate_with` makes pairs; by default with the model's own search."""

    @model_validator(mode="after")
    def has_what_it_takes_to_translate(self) -> Self:
        models = names_of(self.translate_with)
        if self.translate_with is not None and not all(models or [""]):
            raise ValueError("translate_with names no model")
        if self.monolingual is not None and not models:
            raise ValueError(
                "monolingual needs translate_with, a model that makes pairs of the text; to pretrain on the text as it "
                "is, give it as [data.monolingual.NAME] text = ..."
            )
        if self.language is not None and self.monolingual is None:
            raise ValueError("language applies to monolingual alone, and there is none")
        if self.synthetic is not None and not models:
            raise ValueError("synthetic applies to translate_with alone, and there is none")
        if self.monolingual is not None and self.synthetic and not self.synthetic.keep_original:
            raise ValueError("synthetic.keep_original is for corpora of pairs, not for monolingual: leave it out")
        return self


class MonolingualConfig(TrainingCorpusConfig):
    """Text of one language to train on: the lines of `text`, or one side of the pairs of any other origin.

    Each line is prepared as a pair of itself, so all filters of pairs but `drop_copies` apply.
    """

    one_sided: ClassVar[tuple[str, ...]] = ("text",)
    language: Name
    """Its language, the source's or the target's; of pairs, this side is taken."""
    text: str | list[str] | None = None
    """Files of plain text, one sentence a line; several are read one after the other."""
    pairs: Count | None = None
    """Take only this many lines, the first ones; `builtin` and `task` need it."""


def language_of_lines(corpus: CorpusConfig, languages: LanguagesConfig) -> str | None:
    """Return the language of a corpus that is read as lines of one language; None of a corpus of pairs."""
    if isinstance(corpus, MonolingualConfig):
        return corpus.language
    if isinstance(corpus, TrainingPairsConfig) and corpus.monolingual is not None:
        return corpus.language or languages.target
    return None


class DownloadConfig(Section):
    """A file to download if it is not in the data folder; corpora name it as if it were there."""

    affects: ClassVar[frozenset[Effect]] = frozenset()
    url: Annotated[str | list[str], AfterValidator(possible_urls)]
    """Its address, https or http; of several mirrors the first that answers is used."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]
    """Its SHA-256, in hexadecimal; a file with another is refused."""


UNFIT_FOR_TREES: JsonObject = {"entities": False, "unicode": None, "max_characters": None, "max_ratio": None}
"""The cleaning of trees in place of what could make brackets, and of limits that brackets exceed."""
CORPUS = "train"  # name of the training corpus where the recipe names none
DEV = "dev"  # name of the dev set where the recipe names none
GUARD = "guard"  # the general text of a fine-tuning's guard


def train_key(name: str) -> str:
    """Return the name of a training corpus among all corpora, and its section within [data]."""
    return CORPUS if name == CORPUS else f"train.{name}"


class DataConfig(Section):
    """The corpora. A missing dev or test set is split off the cleaned training text."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"text"})
    train: dict[Name, TrainingPairsConfig] = Field(default_factory=dict)
    """Training pairs: one corpus, or several, each under a name of its own: [data.train.NAME]."""
    monolingual: dict[Name, MonolingualConfig] = Field(default_factory=dict)
    """Monolingual text to train on: [data.monolingual.NAME]."""
    dev: CorpusConfig | None = None
    """Pairs for validation during training; where all training text is monolingual, both sides of each are lines."""
    devs: dict[Name, CorpusConfig] = Field(default_factory=dict)
    """Several dev sets by name, in place of `dev`: each gets its own scores, and their means rank checkpoints."""
    test: dict[Name, CorpusConfig] = Field(default_factory=dict)
    """Test sets by name; each gets its own scores."""
    guard: CorpusConfig | None = None
    """Pairs of general text that a fine-tuning should not forget, for `training.guard`."""
    downloads: dict[Name, DownloadConfig] = Field(default_factory=dict)
    """Files to download, by name."""
    temperature: Annotated[Annotated[float, Field(ge=1)] | None, Affects("updates", neutral=1)] = None
    """Give the smaller corpora more weight: one of n pairs, the largest having m, is seen (m/n)^(1 - 1/temperature)
    times an epoch (Arivazhagan et al. 2019, section 4.2); by default every pair once. Of several directions, the
    corpora of one count together."""
    dev_pairs: Count = 1000
    """Pairs split off the training pairs where `dev` is missing, of each direction where there are several; lines,
    where all training text is monolingual."""
    test_pairs: Count = 1000
    """Pairs split off the training pairs, as the test set `held-out`, where `test` is missing; of several directions
    each has a test set of its name."""
    split_seed: Seed = 1
    """Seed of the split."""
    protect: Annotated[str | None, Affects("text", "ids", "decoding")] = None
    """Regular expression of text that is not translated, such as addresses: where both sides of a training pair have
    the same matches, these become placeholders, and `translate` copies them; needs `tokenizer.placeholders`."""

    @model_validator(mode="before")
    @classmethod
    def name_the_only_corpus(cls, values: Json) -> Json:
        train = values.get("train") if isinstance(values, dict) else None
        if isinstance(train, dict) and not all(isinstance(value, dict | CorpusConfig) for value in train.values()):
            return {**values, "train": {CORPUS: train}}
        return values

    @model_validator(mode="after")
    def corpora_agree(self) -> Self:
        if not self.training_corpora:
            raise ValueError("no corpus to train on: give train or monolingual")
        if self.dev is not None and self.devs:
            raise ValueError("dev and devs exclude each other: give the one dev set a name too")
        if taken := sorted({DEV, GUARD} & self.devs.keys()):
            raise ValueError(f"devs.{taken[0]}: this name means another set: give the dev set another one")
        if twice := [name for name in self.monolingual if name in self.train]:
            raise ValueError(f"monolingual.{twice[0]}: a corpus of train has this name too")
        weighted = [name for name, corpus in self.training_corpora.items() if corpus.weight is not None]
        if self.temperature is not None and weighted:
            section = "train" if weighted[0] in self.train else "monolingual"
            raise ValueError(f"temperature and {section}.{weighted[0]}.weight exclude each other")
        replayed = {name: corpus for name, corpus in self.training_corpora.items() if corpus.replay is not None}
        if twice := [name for name, corpus in replayed.items() if corpus.weight is not None]:
            key = train_key(twice[0]) if twice[0] in self.train else f"monolingual.{twice[0]}"
            raise ValueError(f"{key}: weight and replay exclude each other")
        if replayed and len(replayed) == len(self.training_corpora):
            raise ValueError("replay: every corpus has it, and none is left to learn from; take it off one")
        if (share := sum(corpus.replay or 0 for corpus in replayed.values())) >= 1:
            raise ValueError(f"replay: the shares are {share:.3g} together, and must be under 1")
        if self.protect is not None:
            try:
                re.compile(self.protect)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"protect: not a regular expression: {error}") from None
        return self

    def weights(self, pairs: dict[str, int]) -> dict[str, float]:
        """Return how often an epoch sees each pair of each training corpus, given its number of `pairs`."""
        power = 0.0 if self.temperature is None else 1 - 1 / self.temperature
        corpora = self.training_corpora
        replays = {name: replay for name in pairs if (replay := corpora[name].replay)}
        own = {name: n for name, n in pairs.items() if name not in replays}
        groups = Counter[str]()
        for name, n in own.items():
            groups[corpora[name].direction or name] += n
        most = max(groups.values(), default=0)
        sizes = {name: groups[corpora[name].direction or name] for name in own}
        weights = {name: corpora[name].weight or ((most / n) ** power if n else 1.0) for name, n in sizes.items()}
        # Of a stage without any other corpus, a replayed one is all there is.
        rest, seen = 1 - sum(replays.values()), sum(weights[name] * n for name, n in own.items())
        for name, share in replays.items():
            weights[name] = share / rest * seen / pairs[name] if own and pairs[name] else 1.0
        return {name: weights[name] for name in pairs}

    def shares(self, pairs: dict[str, int], weights: Mapping[str, float] | None = None) -> dict[str, dict[str, float]]:
        """Return the weight and the share of an epoch of each training corpus, given its number of `pairs`.

        `weights` are by default those of the corpora.
        """
        weights = weights or self.weights(pairs)
        seen = {name: weights[name] * count for name, count in pairs.items()}
        total = sum(seen.values()) or 1
        return {name: {"pairs": pairs[name], "weight": weights[name], "share": seen[name] / total} for name in pairs}

    @property
    def training_corpora(self) -> dict[str, TrainingCorpusConfig]:
        """All corpora to train on by name: the pairs, then the monolingual text."""
        return {**self.train, **self.monolingual}

    def cleaning_of(self, corpus: str, common: CleaningConfig) -> CleaningConfig:
        """Return the cleaning of a training corpus, where `common` is that of those without their own."""
        config = self.training_corpora[corpus]
        as_one_side = {"drop_copies": False} if corpus in self.monolingual else {}
        as_trees = UNFIT_FOR_TREES if config.trees is not None else {}
        return (config.cleaning or common).model_copy(update={**as_one_side, **as_trees})

    @property
    def dev_sets(self) -> dict[str, CorpusConfig]:
        """The dev sets by name, the only one as `dev`; none where they are split off."""
        return {DEV: self.dev} if self.dev else self.devs

    @property
    def held_out(self) -> dict[str, CorpusConfig]:
        """The sets that are not trained on, as a message names them: `dev`, `devs.NAME`, `guard`, `test.NAME`."""
        dev = {name if self.dev else f"devs.{name}": corpus for name, corpus in self.dev_sets.items()}
        guard = {GUARD: self.guard} if self.guard else {}
        return {**dev, **guard, **{f"test.{name}": corpus for name, corpus in self.test.items()}}

    @property
    def dev_is_of_trees(self) -> bool:
        corpora = [*(self.dev_sets or self.train).values()]
        return bool(corpora) and all(corpus.trees is not None for corpus in corpora)

    @property
    def units(self) -> str:
        """The word for the examples of training."""
        return " and ".join([*(["pairs"] if self.train else []), *(["lines"] if self.monolingual else [])])

    @property
    def corpora(self) -> list[CorpusConfig]:
        return [*self.training_corpora.values(), *self.held_out.values()]

    @property
    def tags(self) -> list[str]:
        """All tags of all corpora, each once."""
        return list(dict.fromkeys(tag for corpus in self.corpora for tag in corpus.tags))

    @property
    def placeholders_for(self) -> str | None:
        """The setting that needs placeholders of the tokenizer, None where none does."""
        if any(corpus.codes == "placeholders" for corpus in self.corpora):
            return 'codes = "placeholders"'
        return "data.protect" if self.protect is not None else None
