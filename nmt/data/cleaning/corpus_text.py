"""The work of the text stage: filter single pairs shard by shard, drop duplicates, split off dev and test sets.

A corpus may be larger than the memory, which holds a few shards, and one byte a pair. A call resumes what a killed one
left in its folder. The result depends on the text alone, not on the number of processes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import compress, islice
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nmt import console
from nmt.config.data import DEV, GUARD, CleaningConfig, CorpusConfig, DataConfig, language_of_lines
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning.duplicates import Keys, Mask, repeated
from nmt.data.cleaning.filters import DUPLICATES, clean, duplicate_filters, filters, fixer
from nmt.data.cleaning.funnel import SAMPLES, Funnel, TextCounts, cut
from nmt.data.cleaning.keys import HeldOut, side_key
from nmt.data.pairs import Pair
from nmt.data.placeholders import Protector
from nmt.data.reading.corpus import describe, read_corpus
from nmt.data.shards import ROWS, SHARD, card_of, corpus_of, in_order, read_shard, shard_path, shard_paths, write_shard
from nmt.errors import DataError
from nmt.files import JsonObject, remove

DEVS = "devs."  # before the name of each of several dev sets
HELD_OUT = "held-out"  # name of the test set that is split off the training text
CLEANED = "cleaned"  # folder of the pairs that passed the filters of single pairs; removed when `train` is written
COLUMNS = [("source", pa.string()), ("target", pa.string())]
TRAIN, DROPPED = 0, 255  # assignments of a pair; a number between them is the split that the pair is drawn for
Assignments = NDArray[np.uint8]
Anomalies = Mapping[str, Counter[str]]


def iterate_text(folder: Path, split: str) -> Iterator[Pair]:
    """Yield the pairs of `train`, `dev`, `guard` or `test.NAME` in the folder that `write_text` filled."""
    for path in shard_paths(folder / split):
        yield from read_pairs(path)


def sides_of_train(
    folders: Iterable[Path], data: DataConfig, languages: LanguagesConfig
) -> tuple[Iterator[str], Iterator[str]]:
    """Return the lines of both sides of shards, monolingual ones on the side of their language alone."""
    paths = [path for folder in folders for path in shard_paths(folder)]

    def lines(side: int) -> Iterator[str]:
        for path in paths:
            corpus = data.monolingual.get(corpus_of(path))
            if corpus is None or languages.pair.index(corpus.language) == side:
                yield from (pair[side] for pair in read_pairs(path))

    return lines(0), lines(1)


def read_text(folder: Path, split: str) -> tuple[list[str], list[str]]:
    pairs = list(iterate_text(folder, split))
    return [source for source, _ in pairs], [target for _, target in pairs]


def read_dev_sets(folder: Path) -> dict[str, list[Pair]]:
    """Return the pairs of each dev set: of `dev`, or of each `devs.NAME` where there are several."""
    of_sets = {corpus_of(path): list(read_pairs(path)) for path in shard_paths(folder / DEV)}
    return {name if name == DEV else f"{DEVS}{name}": pairs for name, pairs in of_sets.items()}


def read_pairs(path: Path) -> Iterator[Pair]:
    for batch in read_shard(path):
        yield from zip(batch.column("source").to_pylist(), batch.column("target").to_pylist(), strict=True)


@dataclass(frozen=True)
class SyntheticText:
    """The synthetic pairs of a training corpus."""

    folders: list[Path]  # of shards
    keep_original: bool  # whether the pairs of the corpus itself come first

    def pairs(self) -> Iterator[Pair]:
        for folder in self.folders:
            yield from iterate_text(folder.parent, folder.name)


@dataclass(frozen=True)
class TextPlan:
    """The inputs of the text stage."""

    data: DataConfig
    cleaning: CleaningConfig
    languages: LanguagesConfig
    root: Path  # the folder that relative names start at
    local: bool  # whether Hub datasets are read from folders under `root`
    placeholders: int | None = None  # placeholders that the tokenizer has, None where it is not known
    split_off: bool = True  # whether missing dev and test sets are split off the training text
    synthetic: Mapping[str, SyntheticText] = field(default_factory=dict)  # by training corpus

    @property
    def held_out(self) -> dict[str, CorpusConfig]:
        """The dev and test sets, and the text of the guard, that have files of their own, by split."""
        return self.data.held_out

    @property
    def missing(self) -> dict[str, int]:
        """The sizes of the splits to be drawn from the training text; of several directions each has its own."""
        directions = self.languages.directions
        devs = [f"{DEVS}{name}" for name in directions] or [DEV]
        tests = [f"test.{name}" for name in directions or [HELD_OUT]]
        dev = {} if self.data.dev_sets else dict.fromkeys(devs, self.data.dev_pairs)
        test = dict.fromkeys(tests, self.data.test_pairs) if self.data.train and not self.data.test else {}
        return {**dev, **test} if self.split_off else {}

    def read(
        self, config: CorpusConfig, split: str, anomalies: Counter[str], stdin: BinaryIO | None = None
    ) -> Iterator[Pair]:
        return read_corpus(
            config,
            self.languages.of(config.direction),
            root=self.root,
            local=self.local,
            default_split=split,
            downloads=self.data.downloads,
            anomalies=anomalies,
            stdin=stdin,
            placeholders=self.placeholders,
        )

    def read_train(self, corpus: str, anomalies: Counter[str], stdin: BinaryIO | None = None) -> Iterator[Pair]:
        """Yield the raw pairs of a training corpus, and the synthetic ones."""
        synthetic = self.synthetic.get(corpus)
        if synthetic is None or synthetic.keep_original:
            yield from self.read(self.data.training_corpora[corpus], "train", anomalies, stdin)
        if synthetic is not None:
            yield from synthetic.pairs()

    def cleaning_of(self, corpus: str) -> CleaningConfig:
        """Return the cleaning of a training corpus.

        A synthetic pair of which one side is in dev or test equals none of their pairs, so sides are compared.
        """
        cleaning = self.data.cleaning_of(corpus, self.cleaning)
        drops_copies = cleaning.drop_copies and self.language_of(corpus) is None
        drops_sides = cleaning.drop_leaked_sides or (corpus in self.synthetic and cleaning.drop_leaked)
        return cleaning.model_copy(update={"drop_copies": drops_copies, "drop_leaked_sides": drops_sides})

    def language_of(self, corpus: str) -> str | None:
        """Return the language of a training corpus whose text is lines, of which no pairs were made; else None."""
        if corpus in self.synthetic:
            return None
        config = self.data.training_corpora[corpus]
        return language_of_lines(config, self.languages.of(config.direction))

    def languages_of(self, corpus: str) -> LanguagesConfig:
        """Return the languages of the sides, which are one for monolingual text."""
        if language := self.language_of(corpus):
            return LanguagesConfig(source=language, target=language)
        return self.languages.of(self.data.training_corpora[corpus].direction)

    def salt_of(self, corpus: str) -> int:
        """Return bits that keep the keys of duplicates apart by direction: en-de and en-fr may share a side."""
        direction = self.data.training_corpora[corpus].direction
        return 0 if direction is None else side_key(direction)

    def both_ways(self, pairs: list[Pair]) -> list[Pair]:
        """Return `pairs` of dev and test, the other way round as well where there are several directions."""
        return [*pairs, *((target, source) for source, target in pairs)] if self.languages.directions else pairs

    def with_filter(self, name: str) -> set[str]:
        return {corpus for corpus in self.data.training_corpora if name in duplicate_filters(self.cleaning_of(corpus))}


def write_text(plan: TextPlan, folder: Path, *, workers: int, stdin: BinaryIO | None = None) -> TextCounts:
    """Write the training text, cleaned, to `train` in `folder`, and `dev`, `guard` and each `test.NAME` as they are.

    Pairs of dev and test are dropped from train, and monolingual lines that are a side of one. Missing dev and test
    sets are split off the cleaned pairs, or, where all text is monolingual, dev off the lines. Sources begin with the
    tags of their corpus. `stdin` is read where a training corpus names the file `-`. Raises DataError where nothing is
    left to train on, or too little to split off others.
    """
    corpora = plan.data.training_corpora
    anomalies = {corpus: Counter[str]() for corpus in corpora}
    held_out_anomalies = {split: Counter[str]() for split in plan.held_out}
    held_out = _write_held_out(plan, folder, held_out_anomalies)
    counts = {split: len(pairs) for split, pairs in held_out.items()}
    # A training pair is compared after its fixes: it may equal a pair of dev or test before or after them.
    fix = fixer(plan.cleaning, Counter())
    known = [pair for pairs in held_out.values() for pair in pairs]
    known += [(fix(source), fix(target)) for source, target in known]
    known = plan.both_ways(known)
    keys = [name for name in DUPLICATES if plan.with_filter(name) or (plan.missing and name == "duplicates")]
    cards = _clean(_Context.of(plan, folder / CLEANED, known, keys), anomalies, workers, stdin)
    assignment = _Assignment(plan, cards, folder / CLEANED)
    for name in DUPLICATES:
        assignment.drop_duplicates(name)
    drawn = assignment.draw(plan.missing) if plan.missing else {}
    for split, pairs in drawn.items():
        counts[split] = len(pairs)
        _write_set(folder, split, [tagged for tagged, _ in pairs], [*drawn])
    # The filters of single pairs have not seen the drawn pairs as dev and test: those of leaks run once more.
    finisher = _Context.of(plan, folder, plan.both_ways([pair for pairs in drawn.values() for _, pair in pairs]))
    train = dict.fromkeys(corpora, 0)
    protected = 0
    for card in in_order(_finish, enumerate(assignment.parts), finisher, workers=workers):
        assignment.funnels[card["corpus"]].add(Funnel(**card["funnel"]))
        train[card["corpus"]] += card["rows"]
        protected += card["protected"]
    total = assignment.total
    if not any(train.values()):
        raise DataError(
            f"{'; '.join(map(describe, corpora.values()))}: no training {'pair' if plan.data.train else 'line'} "
            f"is left of {total.read}; dropped: {listed(total.dropped)}",
            hint="loosen the filters in [cleaning]",
        )
    remove(folder / CLEANED)
    return TextCounts(
        total,
        assignment.funnels,
        train,
        anomalies={name: dict(found) for name, found in anomalies.items()},
        dev=sum(count for split, count in counts.items() if is_dev(split)),
        test={split.removeprefix("test."): count for split, count in counts.items() if split.startswith("test.")},
        guard=counts.get(GUARD),
        held_out_anomalies={split: dict(found) for split, found in held_out_anomalies.items()},
        split_off=sum(plan.missing.values()),
        protected=protected if plan.data.protect else None,
    )


def _write_held_out(plan: TextPlan, folder: Path, anomalies: Anomalies) -> dict[str, list[Pair]]:
    """Write the dev and test sets that have files of their own; return their pairs, without tags, by split.

    Where all training text is monolingual, both sides of each pair of dev are lines.
    """
    held_out: dict[str, list[Pair]] = {}
    for split, config in plan.held_out.items():
        pairs = list(plan.read(config, "test" if split.startswith("test.") else "validation", anomalies[split]))
        if is_dev(split) and not plan.data.train:
            pairs = _as_lines(pairs)
        _write_set(folder, split, _tagged(pairs, config.tags), [*plan.held_out])
        held_out[split] = pairs
    return held_out


def is_dev(split: str) -> bool:
    """Return whether a split is the dev set, or one of several."""
    return split == DEV or split.startswith(DEVS)


def _write_set(folder: Path, split: str, pairs: Sequence[Pair], splits: Sequence[str]) -> None:
    """Write one of the `splits`; of several dev sets, each is a shard of `dev` under its name."""
    if split.startswith(DEVS):
        number = [one for one in splits if one.startswith(DEVS)].index(split)
        _write_pairs(folder / DEV, number, split.removeprefix(DEVS), pairs)
    else:
        _write_pairs(folder / split, 0, split, pairs)


def _as_lines(pairs: Iterable[Pair]) -> list[Pair]:
    """Return both sides of each pair as monolingual lines, which are pairs of themselves."""
    return [(side, side) for pair in pairs for side in pair]


def _write_pairs(folder: Path, number: int, corpus: str, pairs: Sequence[Pair], card: JsonObject | None = None) -> None:
    chunks = (pairs[start : start + ROWS] for start in range(0, len(pairs), ROWS))
    batches = ([[source for source, _ in chunk], [target for _, target in chunk]] for chunk in chunks)
    write_shard(shard_path(folder, number), pa.schema(COLUMNS), corpus, batches, card)


def _tagged(pairs: Iterable[Pair], tags: Sequence[str]) -> list[Pair]:
    prefix = "".join(f"{tag} " for tag in tags)
    return [(prefix + source, target) for source, target in pairs]


def listed(counts: Mapping[str, int]) -> str:
    """Write counts for a message, zeros included."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


@dataclass(frozen=True)
class _Context:
    """The inputs of the tasks on single shards: of `_clean_shard`, and then of `_finish`."""

    plan: TextPlan
    folder: Path
    held_out: HeldOut  # first the dev and test sets with files of their own, then the pairs that were split off
    held_out_lines: HeldOut  # their sides, where there is monolingual text
    keys: Sequence[str] = ()  # the duplicate filters whose keys are stored

    @classmethod
    def of(cls, plan: TextPlan, folder: Path, held_out: Sequence[Pair], keys: Sequence[str] = ()) -> Self:
        lines = _as_lines(held_out) if any(map(plan.language_of, plan.data.training_corpora)) else []
        return cls(plan, folder, HeldOut.of(held_out), HeldOut.of(lines), keys)

    def held_out_of(self, corpus: str) -> HeldOut:
        """Return the keys of the pairs, or lines, that must not be in a training corpus."""
        return self.held_out if self.plan.language_of(corpus) is None else self.held_out_lines


def _clean(context: _Context, anomalies: Anomalies, workers: int, stdin: BinaryIO | None) -> list[JsonObject]:
    """Clean every training corpus in shards of `SHARD` raw pairs; return the cards of the shards."""
    plan = context.plan

    def tasks() -> Iterator[tuple[int, str, list[Pair]]]:
        number = 0
        for corpus in plan.data.training_corpora:
            pairs = plan.read_train(corpus, anomalies[corpus], stdin)
            while chunk := list(islice(pairs, SHARD)):
                # The pairs of a shard that a killed call has written are read, but not sent.
                yield number, corpus, chunk if card_of(shard_path(context.folder, number)) is None else []
                number += 1

    cards: list[JsonObject] = []
    with console.Progress("text", None, unit=plan.data.units) as progress:
        for card in in_order(_clean_shard, tasks(), context, workers=workers):
            cards.append(card)
            progress.update(sum(card["funnel"]["read"] for card in cards))
    return cards


def _clean_shard(cleaner: _Context, task: tuple[int, str, list[Pair]]) -> JsonObject:
    """Write the pairs of a shard that pass the filters of single pairs, with their keys; return its card."""
    number, corpus, pairs = task
    path = shard_path(cleaner.folder, number)
    if (card := card_of(path)) is not None:
        return card
    plan, funnel = cleaner.plan, Funnel()
    kept = list(
        clean(
            pairs,
            plan.cleaning_of(corpus),
            plan.languages_of(corpus),
            held_out=cleaner.held_out_of(corpus),
            funnel=funnel,
            monolingual=plan.language_of(corpus) is not None,
        )
    )
    schema = pa.schema([*COLUMNS, *((name, pa.uint64()) for name in cleaner.keys)])
    columns: list[Sequence[object]] = [[source for source, _ in kept], [target for _, target in kept]]
    salt = plan.salt_of(corpus)
    columns += [[DUPLICATES[name](*pair) ^ salt for pair in kept] for name in cleaner.keys]
    card = {"corpus": corpus, "rows": len(kept), "funnel": asdict(funnel)}
    write_shard(path, schema, corpus, [columns], card)
    return card


class _Assignment:
    """The split of each cleaned pair, or that it is dropped: one byte a pair, in the order of the corpora."""

    def __init__(self, plan: TextPlan, cards: list[JsonObject], cleaned: Path) -> None:
        self.plan = plan
        self.corpora: list[str] = [card["corpus"] for card in cards]
        self.paths = [shard_path(cleaned, number) for number in range(len(cards))]
        self.starts = np.cumsum([0, *(card["rows"] for card in cards)])
        self.splits: Assignments = np.zeros(self.starts[-1], np.uint8)
        self.funnels = {corpus: Funnel() for corpus in plan.data.training_corpora}
        for card in cards:
            self.funnels[card["corpus"]].add(Funnel(**card["funnel"]))
        for name in DUPLICATES:
            for corpus in plan.with_filter(name):
                self.funnels[corpus].dropped[name] = 0

    @property
    def parts(self) -> list[Assignments]:
        return np.split(self.splits, self.starts[1:-1])

    @property
    def total(self) -> Funnel:
        total = Funnel()
        for funnel in self.funnels.values():
            total.add(funnel)
        return total

    def keys(self, name: str) -> list[Keys]:
        """Return the keys of each shard for a duplicate filter, mapped to memory."""
        return [batch.column(name).to_numpy() for path in self.paths for batch in read_shard(path)]

    def drop_duplicates(self, name: str) -> None:
        """Drop the pairs that repeat an earlier one by the keys of a filter, in the corpora that have the filter.

        They are counted under `name`, and the first are kept as examples.
        """
        if not (corpora := self.plan.with_filter(name)):
            return
        parts = np.split(repeated(self.keys(name), self.splits == TRAIN), self.starts[1:-1])
        for corpus, path, splits, part in zip(self.corpora, self.paths, self.parts, parts, strict=True):
            if corpus in corpora and (count := int(part.sum())):
                splits[part] = DROPPED
                funnel = self.funnels[corpus]
                funnel.kept -= count
                funnel.dropped[name] = funnel.dropped.get(name, 0) + count
                samples = funnel.samples.setdefault(name, [])
                samples += map(cut, islice(compress(read_pairs(path), part), SAMPLES - len(samples)))

    def _rows(self, chosen: Mask, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row numbers of the chosen pairs that have `ranks` among them, without a list of all."""
        parts = np.split(chosen, self.starts[1:-1])
        ends = np.cumsum([int(part.sum()) for part in parts])
        shards = np.searchsorted(ends, ranks, side="right")
        result = np.empty(len(ranks), np.int64)
        for number in np.unique(shards).tolist():
            here, rows = shards == number, np.flatnonzero(parts[number])
            result[here] = self.starts[number] + rows[ranks[here] - (ends[number] - len(rows))]
        return result

    def draw(self, sizes: Mapping[str, int]) -> dict[str, list[tuple[Pair, Pair]]]:
        """Draw distinct pairs for splits of these sizes; return each with its tags and without.

        They are in the order of the corpora, none of a corpus with synthetic pairs, and monolingual only where all text
        is. Raises DataError where they would be more than half of the distinct pairs.
        """
        rng = np.random.Generator(np.random.PCG64(self.plan.data.split_seed))
        corpora, numbers = self.plan.data.training_corpora, {split: number for number, split in enumerate(sizes, 1)}
        directions: list[str | None] = [*self.plan.languages.directions]
        for direction in directions or [None]:
            firsts = self.splits == TRAIN
            for corpus, part in zip(self.corpora, np.split(firsts, self.starts[1:-1]), strict=True):
                is_line = self.plan.language_of(corpus) is not None
                part &= (not is_line or not self.plan.data.train) and corpus not in self.plan.synthetic
                part &= corpora[corpus].direction == direction
            firsts &= ~repeated(self.keys("duplicates"), firsts)
            own = {split: n for split, n in sizes.items() if direction is None or split.partition(".")[2] == direction}
            total, count = sum(own.values()), int(firsts.sum())
            if 2 * total > count:
                raise DataError(
                    f"{count} different training {'pairs' if self.plan.data.train else 'lines'} are too few to split "
                    f"off {listed(own)}: at most half may go",
                    hint="give dev and test corpora of their own, or lower data.dev_pairs and data.test_pairs",
                )
            drawn = self._rows(firsts, rng.choice(count, total, replace=False))
            start = 0
            for split, size in own.items():
                self.splits[drawn[start : start + size]] = numbers[split]
                start += size
        splits: dict[str, list[tuple[Pair, Pair]]] = {split: [] for split in sizes}
        for corpus, path, part in zip(self.corpora, self.paths, self.parts, strict=True):
            for number, split in enumerate(sizes, 1):
                if (part == number).any():
                    pairs = list(compress(read_pairs(path), part == number))
                    splits[split] += zip(_tagged(pairs, corpora[corpus].tags), pairs, strict=True)
        return splits


def _finish(finisher: _Context, task: tuple[int, Assignments]) -> JsonObject:
    """Write the pairs of a cleaned shard that stay in `train`; return its card, which counts the last filters."""
    number, splits = task
    path = shard_path(finisher.folder / "train", number)
    if (card := card_of(path)) is not None:
        return card
    plan, funnel, protected = finisher.plan, Funnel(), 0
    cleaned = shard_path(finisher.folder / CLEANED, number)
    corpus = corpus_of(cleaned)
    held_out = finisher.held_out_of(corpus)
    leaks = filters(plan.cleaning_of(corpus), plan.languages_of(corpus), held_out) if held_out.pairs else {}
    leaks = {name: drops for name, drops in leaks.items() if name.startswith("leaked")}
    protector = None if plan.data.protect is None else Protector(plan.data.protect, plan.placeholders or 0)
    kept: list[Pair] = []
    for pair in compress(read_pairs(cleaned), splits == TRAIN):
        if name := next((name for name, drops in leaks.items() if drops(*pair)), None):
            funnel.drop(name, *pair)
            funnel.kept -= 1  # the first filters have counted it as kept
        elif protector and (replaced := protector.protect_pair(*pair)):
            kept.append(replaced)
            protected += 1
        else:
            kept.append(pair)
    card = {"corpus": corpus, "rows": len(kept), "protected": protected, "funnel": asdict(funnel)}
    _write_pairs(
        finisher.folder / "train", number, corpus, _tagged(kept, plan.data.training_corpora[corpus].tags), card
    )
    return card
