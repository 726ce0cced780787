"""The work of the stage that augments: for each shard of the training text one of the additional pairs.

Which pairs are taken, and what is changed in them, is drawn by seed, kind and pair, so the number of processes and the
other kinds change nothing. A call resumes what a killed one left in its folder.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Self

import pyarrow as pa

from nmt import console
from nmt.alignment.corpus_alignment import read_alignment, read_dictionary
from nmt.alignment.words import Link, split_words
from nmt.config.augmentation import AugmentationConfig
from nmt.config.data import CleaningConfig, DataConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.augmenting.copied_tokens import with_copied_token
from nmt.data.augmenting.inline_tags import with_inline_tags
from nmt.data.augmenting.joining import Joiner
from nmt.data.augmenting.rewriting import Rewriter
from nmt.data.augmenting.single_words import WordPicker
from nmt.data.augmenting.term_annotations import TermAnnotator
from nmt.data.cleaning.corpus_text import COLUMNS, read_pairs
from nmt.data.cleaning.funnel import SAMPLES, cut
from nmt.data.lemmas import Lemmatizer, lemmatizer
from nmt.data.pairs import Pair
from nmt.data.placeholders import SPELLED
from nmt.data.shards import ROWS, card_of, corpus_of, in_order, read_shard, shard_path, shard_paths, write_shard
from nmt.files import JsonObject

LEMMAS = "augmentation.terms_lemmas"  # what needs the base forms of words
ALIGNED = ("single_words", "copied_tokens", "inline_tags", "terms")  # kinds that are made of aligned words
SCHEMA = pa.schema([*COLUMNS, ("kind", pa.string())])


@dataclass(frozen=True)
class AugmentationPlan:
    """The inputs of the stage that augments."""

    text: Path  # the folder that `write_text` filled
    config: AugmentationConfig
    data: DataConfig
    cleaning: CleaningConfig  # the limits of the corpora that have no section of their own
    languages: LanguagesConfig
    max_length: int  # longest side in pieces, EOS included
    placeholders: int = 0  # those that the tokenizer has
    symbols: tuple[str, ...] = ()  # pieces of the user, which keep their letters
    alignment: Path | None = None  # the folder that `write_alignment` filled, for the kinds that need it

    def pair_of(self, corpus: str) -> tuple[str, str]:
        """Return the languages of a corpus."""
        return self.languages.of(self.data.training_corpora[corpus].direction).pair


@dataclass
class Made:
    """The pairs that a kind was to change, and those that it could."""

    chosen: int = 0
    made: int = 0

    def add(self, other: "Made") -> None:
        self.chosen += other.chosen
        self.made += other.made


@dataclass
class AugmentationCounts:
    """Counts of the stage that augments."""

    corpora: dict[str, dict[str, Made]] = field(default_factory=dict)  # by training corpus and kind
    samples: dict[str, list[list[Pair]]] = field(default_factory=dict)
    """The first pairs of each kind: the one that it was made from, and the one that was made, cut."""

    @property
    def kinds(self) -> dict[str, Made]:
        """The counts of all corpora by kind."""
        total: dict[str, Made] = {}
        for kinds in self.corpora.values():
            for kind, made in kinds.items():
                total.setdefault(kind, Made()).add(made)
        return total

    def add(self, card: JsonObject) -> None:
        """Add the counts on the card of a shard."""
        kinds = self.corpora.setdefault(card["corpus"], {})
        for kind, made in card["kinds"].items():
            kinds.setdefault(kind, Made()).add(Made(**made))
        for kind, samples in card["samples"].items():
            self.samples[kind] = [*self.samples.get(kind, []), *samples][:SAMPLES]

    def to_json(self) -> JsonObject:
        corpora = {name: {kind: vars(made) for kind, made in kinds.items()} for name, kinds in self.corpora.items()}
        return {"corpora": corpora, "samples": self.samples}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read the counts of a manifest. Raises KeyError or TypeError where it is none of this stage."""
        corpora = {
            name: {kind: Made(**made) for kind, made in kinds.items()} for name, kinds in values["corpora"].items()
        }
        return cls(corpora, values["samples"])


def write_augmentation(plan: AugmentationPlan, folder: Path, *, workers: int) -> AugmentationCounts:
    """Write the additional pairs of each shard of `train` to a shard of the same number in `folder`."""
    counts = AugmentationCounts()
    context = _Context(plan, folder)
    with console.Progress("augmentation", None, unit="pairs") as progress:
        for card in in_order(_augment_shard, range(len(shard_paths(plan.text / "train"))), context, workers=workers):
            counts.add(card)
            progress.update(sum(made.made for made in counts.kinds.values()))
    return counts


def kinds_of(path: Path) -> list[str]:
    """Return the kind of each pair in an additional shard, in order. Raises as `read_shard`."""
    return [kind for batch in read_shard(path) for kind in batch.column("kind").to_pylist()]


def read_added(folder: Path) -> Iterator[tuple[str, Pair]]:
    """Yield the kind and the pair of each additional pair in `folder`. Raises as `read_shard`."""
    for path in shard_paths(folder):
        yield from zip(kinds_of(path), read_pairs(path), strict=True)


@dataclass(frozen=True)
class _Context:
    plan: AugmentationPlan
    folder: Path

    @cached_property
    def kept(self) -> re.Pattern[str]:
        """A pattern of what keeps its letters."""
        return re.compile("|".join([SPELLED.pattern, *([self.symbols.pattern] if self.symbols else [])]))

    @cached_property
    def symbols(self) -> re.Pattern[str] | None:
        """A pattern of the symbols of the user, if there are any."""
        symbols = sorted(self.plan.symbols, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, symbols))) if symbols else None

    @cached_property
    def picker(self) -> WordPicker:
        return WordPicker(read_dictionary(self.plan.alignment) if self.plan.alignment else [])

    @cached_property
    def annotator(self) -> TermAnnotator:
        config, entries = self.plan.config, read_dictionary(self.plan.alignment) if self.plan.alignment else []
        counts, words = {entry.source: entry.count for entry in entries}, [entry.target for entry in entries]
        return TermAnnotator(config.terms_most, counts, config.terms_exchanged, words, config.terms_lemmas)

    def joiner(self, corpus: str) -> Joiner:
        """Return what joins the pairs of `corpus`, whose cleaning has the limits."""
        cleaning = self.plan.data.cleaning_of(corpus, self.plan.cleaning)
        longest = self.plan.max_length - 1
        return Joiner(
            self.plan.pair_of(corpus),
            max_characters=cleaning.max_characters or 10 * longest,
            max_pieces=min(cleaning.max_pieces or longest, longest),
            placeholders=self.plan.placeholders,
        )


def _augment_shard(context: _Context, number: int) -> JsonObject:
    """Write the additional pairs of one shard; return its card."""
    path = shard_path(context.folder, number)
    if (card := card_of(path)) is not None:
        return card
    text = shard_path(context.plan.text / "train", number)
    shard = _Shard(context, number, corpus_of(text), list(read_pairs(text)))
    kinds: dict[str, Made] = {}
    samples: dict[str, list[tuple[Pair, Pair]]] = {}
    rows: list[tuple[str, str, str]] = []
    for kind in context.plan.config.rates:
        kinds[kind] = Made()
        for index, changed in shard.made(kind):
            kinds[kind].chosen += 1
            if changed is None:
                continue
            kinds[kind].made += 1
            rows.append((*shard.with_tags(changed), kind))
            if kinds[kind].made <= SAMPLES:
                samples.setdefault(kind, []).append((cut(shard.pairs[index]), cut(changed)))
    counts: Mapping[str, JsonObject] = {kind: vars(made) for kind, made in kinds.items()}
    card = {"corpus": shard.corpus, "rows": len(rows), "kinds": counts, "samples": samples}
    chunks = (rows[start : start + ROWS] for start in range(0, len(rows), ROWS))
    write_shard(path, SCHEMA, shard.corpus, (list(zip(*chunk, strict=True)) for chunk in chunks), card)
    return card


class _Shard:
    """The pairs of one shard of a corpus, without the tags of its sources."""

    def __init__(self, context: _Context, number: int, corpus: str, pairs: list[Pair]) -> None:
        self.context, self.number, self.corpus = context, number, corpus
        self.prefix = "".join(f"{tag} " for tag in context.plan.data.training_corpora[corpus].tags)
        self.pairs = [(source.removeprefix(self.prefix), target) for source, target in pairs]

    @cached_property
    def rewriter(self) -> Rewriter:
        return Rewriter(self.context.plan.pair_of(self.corpus), self.context.kept)

    @cached_property
    def annotator(self) -> TermAnnotator:
        """What annotates terms; of several directions with words of these targets, as the dictionary has all."""
        annotator = self.context.annotator
        if not self.context.plan.languages.directions:
            return annotator
        own = {target[start:end] for _, target in self.pairs for start, end in split_words(target)}
        return replace(annotator, words=[word for word in annotator.words if word in own])

    @cached_property
    def lemma(self) -> Lemmatizer:
        """Returns the base form of a word of the target, where terms have it."""
        plan = self.context.plan
        return lemmatizer(plan.pair_of(self.corpus)[1], LEMMAS) if plan.config.terms_lemmas else str

    def with_tags(self, pair: Pair) -> Pair:
        return self.prefix + pair[0], pair[1]

    @cached_property
    def links(self) -> list[list[Link]]:
        """The links of each pair, between words without those of the tags."""
        folder, tags = self.context.plan.alignment, len(split_words(self.prefix))
        if folder is None:
            return [[] for _ in self.pairs]
        return [[(i - tags, j) for i, j in links] for links in read_alignment(folder, self.number)]

    def made(self, kind: str) -> Iterator[tuple[int, Pair | None]]:
        """Yield the number of each pair that is drawn for `kind`, and what is made of it; None where nothing is."""
        config = self.context.plan.config
        most = config.rates[kind] * 2**64
        for index, pair in enumerate(self.pairs):
            drawn = draw(config.seed, kind, pair)
            if drawn >= most:
                continue
            yield index, self.change(kind, index, random.Random(drawn))

    def change(self, kind: str, index: int, rng: random.Random) -> Pair | None:
        """Return what `kind` makes of the pair of this index; None where that is nothing."""
        context, pair = self.context, self.pairs[index]
        if kind in ALIGNED and context.symbols and any(map(context.symbols.search, pair)):
            return None  # words of a symbol are no words
        match kind:
            case "join":
                count = rng.randint(2, context.plan.config.join_most)
                return context.joiner(self.corpus).join(self.pairs[index : index + count])
            case "single_words":
                return context.picker.pick(AlignedPair(pair), rng)
            case "copied_tokens":
                return with_copied_token(AlignedPair(pair, self.links[index]), rng)
            case "inline_tags":
                return with_inline_tags(AlignedPair(pair, self.links[index]), context.plan.placeholders, rng)
            case "terms":
                return self.annotator.annotate(AlignedPair(pair, self.links[index]), rng, self.lemma)
        return self.rewriter.rewrite(kind, pair, rng)


def draw(seed: int, kind: str, pair: Pair) -> int:
    """Return a number under 2^64 that depends on seed, kind and pair alone."""
    salt, person = seed.to_bytes(8, "little"), kind.encode()
    text = f"{pair[0]}\t{pair[1]}".encode()
    return int.from_bytes(blake2b(text, digest_size=8, salt=salt, person=person).digest(), "little")
