"""From corpora to cleaned text, in shards: filters of single pairs, then duplicates, then what is split off.

Some shards are held at a time, and a byte a pair, so a corpus may be larger than the memory. A call goes on with what
a killed one left in its folder; what it makes depends on the text alone, not on the number of processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import compress, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from nmt import console
from nmt.config.data import CleaningConfig, CorpusConfig, DataConfig, LanguagesConfig
from nmt.data.cleaning.duplicates import Mask, repeated
from nmt.data.cleaning.filters import DUPLICATES, clean, duplicate_filters, filters, mender
from nmt.data.cleaning.funnel import SAMPLE_CHARACTERS, SAMPLES, Funnel
from nmt.data.cleaning.keys import HeldOut
from nmt.data.placeholders import Protector
from nmt.data.reading.corpus import describe, read_corpus
from nmt.data.shards import ROWS, SHARD, card_of, corpus_of, in_order, read_shard, shard_path, shard_paths, write_shard
from nmt.errors import DataError
from nmt.files import remove

HELD_OUT = "held-out"
"""Name of the test set that is split off the training text."""
CLEANED = "cleaned"
"""Folder of the pairs that passed the filters of single pairs; removed when `train` is made of them."""

COLUMNS = [("source", pa.string()), ("target", pa.string())]

TRAIN, DROPPED = 0, 255
"""What becomes of a pair; the numbers between are the splits that it is drawn for."""

Pair = tuple[str, str]
Fates = np.ndarray[Any, np.dtype[np.uint8]]


def iterate_text(folder: Path, split: str) -> Iterator[Pair]:
    """Yield the pairs of `train`, `dev` or `test.NAME` in the folder that `write_text` filled."""
    for path in shard_paths(folder / split):
        yield from read_pairs(path)


def read_text(folder: Path, split: str) -> tuple[list[str], list[str]]:
    """Return the sources and the targets of a split as two lists."""
    pairs = list(iterate_text(folder, split))
    return [source for source, _ in pairs], [target for _, target in pairs]


def read_pairs(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a shard."""
    for batch in read_shard(path):
        yield from zip(batch.column("source").to_pylist(), batch.column("target").to_pylist(), strict=True)


@dataclass(frozen=True)
class TextPlan:
    """What cleaned text is made from."""

    data: DataConfig
    cleaning: CleaningConfig
    languages: LanguagesConfig
    root: Path
    """Where relative names begin."""
    local: bool
    """Whether datasets lie under `root`."""
    placeholders: int = 0
    """Placeholders that the tokenizer has for `data.protect`."""
    split_off: bool = True
    """Whether what is missing of dev and test is split off."""

    def read(
        self, config: CorpusConfig, split: str, oddities: Counter[str], stdin: BinaryIO | None = None
    ) -> Iterator[Pair]:
        """Yield the raw pairs of a corpus."""
        return read_corpus(
            config,
            self.languages,
            root=self.root,
            local=self.local,
            default_split=split,
            downloads=self.data.downloads,
            anomalies=oddities,
            stdin=stdin,
        )

    def cleaning_of(self, corpus: str) -> CleaningConfig:
        """Return the filters of a training corpus."""
        return self.data.train[corpus].cleaning or self.cleaning

    def with_filter(self, name: str) -> set[str]:
        """Return the training corpora that have a duplicate filter."""
        return {corpus for corpus in self.data.train if name in duplicate_filters(self.cleaning_of(corpus))}


def write_text(plan: TextPlan, folder: Path, *, workers: int, stdin: BinaryIO | None = None) -> dict[str, Any]:
    """Write `train`, `dev` and each `test.NAME` to `folder`: dev and test as they are, train cleaned.

    Pairs of dev and test are dropped from train. What is missing of dev and test is split off what remains. Sources
    begin with the tags of their corpus. Returns the counts of the pairs, of what each filter dropped, in all and by
    corpus, of what was odd in the files, and examples. `stdin` is the file `-` of a training corpus.
    """
    data = plan.data
    given = {"dev": data.dev} if data.dev else {}
    given |= {f"test.{name}": config for name, config in data.test.items()}
    odd, odd_given = ({name: Counter[str]() for name in names} for names in (data.train, given))
    counts: dict[str, int] = {}
    held_out: list[Pair] = []
    for split, config in given.items():
        pairs = list(plan.read(config, "validation" if split == "dev" else "test", odd_given[split]))
        counts[split] = len(pairs)
        held_out += pairs
        _write_pairs(folder / split, 0, split, _tagged(pairs, config.tags))

    missing = {} if data.dev else {"dev": data.dev_pairs}
    missing |= {} if data.test else {f"test.{HELD_OUT}": data.test_pairs}
    missing = missing if plan.split_off else {}
    # Train is mended before it is compared: what it may equal is either.
    mend = mender(plan.cleaning, Counter())
    held_out += [(mend(source), mend(target)) for source, target in held_out]
    cards = _clean(plan, HeldOut.of(held_out), bool(missing), folder / CLEANED, odd, workers, stdin)
    fates = _Fates(plan, cards, folder / CLEANED)
    for name in DUPLICATES:
        fates.drop_duplicates(name)
    drawn = fates.draw(missing) if missing else {}
    for split, taken in drawn.items():
        counts[split] = len(taken)
        _write_pairs(folder / split, 0, split, [tagged for tagged, _ in taken])
    # What is drawn was no part of dev and test before: the filters of leaks look at train once more.
    finisher = _Finisher(plan, HeldOut.of(pair for taken in drawn.values() for _, pair in taken), folder)
    train = dict.fromkeys(data.train, 0)
    protected = 0
    for card in in_order(_finish, zip(range(len(cards)), fates.parts, strict=True), finisher, workers=workers):
        fates.funnels[card["corpus"]].add(Funnel(**card["funnel"]))
        train[card["corpus"]] += card["rows"]
        protected += card["protected"]
    total = fates.total
    if not sum(train.values()):
        raise DataError(
            f"{'; '.join(map(describe, data.train.values()))}: no training pair is left of {total.read}; "
            f"dropped: {listed(total.dropped)}",
            hint="loosen the filters in [cleaning]",
        )
    remove(folder / CLEANED)
    tests = {split.removeprefix("test."): count for split, count in counts.items() if split.startswith("test.")}
    return {
        "funnel": counts_of(total),
        "corpora": {
            name: {"pairs": train[name], "funnel": counts_of(fates.funnels[name]), "odd": dict(odd[name])}
            for name in data.train
        },
        "pairs": {"train": sum(train.values()), "dev": counts.get("dev", 0), "test": tests},
        "odd": {split: dict(count) for split, count in odd_given.items()},
        "split_off": sum(missing.values()),
        **({"protected": protected} if data.protect else {}),
        "samples": total.samples,
    }


def _write_pairs(
    folder: Path, number: int, corpus: str, pairs: Sequence[Pair], card: dict[str, Any] | None = None
) -> None:
    chunks = (pairs[start : start + ROWS] for start in range(0, len(pairs), ROWS))
    batches = ([[source for source, _ in chunk], [target for _, target in chunk]] for chunk in chunks)
    write_shard(shard_path(folder, number), pa.schema(COLUMNS), corpus, batches, card)


def _tagged(pairs: Iterable[Pair], tags: Sequence[str]) -> list[Pair]:
    begin = "".join(f"{tag} " for tag in tags)
    return [(begin + source, target) for source, target in pairs]


def listed(counts: Mapping[str, int]) -> str:
    """Write counts for a message."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def counts_of(funnel: Funnel) -> dict[str, Any]:
    """Return what a funnel counted, without the examples."""
    return {key: value for key, value in asdict(funnel).items() if key != "samples"}


# Filters of single pairs, shard by shard.


@dataclass(frozen=True)
class _Cleaner:
    plan: TextPlan
    held_out: HeldOut
    keys: list[str]
    """The duplicate filters whose keys are needed."""
    folder: Path


def _clean(
    plan: TextPlan,
    held_out: HeldOut,
    drawing: bool,
    folder: Path,
    odd: Mapping[str, Counter[str]],
    workers: int,
    stdin: BinaryIO | None,
) -> list[dict[str, Any]]:
    """Clean every training corpus in shards of so many raw pairs; return their cards."""
    keys = [name for name in DUPLICATES if plan.with_filter(name) or (drawing and name == "duplicates")]

    def tasks() -> Iterator[tuple[int, str, list[Pair]]]:
        number = 0
        for corpus, config in plan.data.train.items():
            pairs = plan.read(config, "train", odd[corpus], stdin)
            while chunk := list(islice(pairs, SHARD)):
                # What a killed run has made is read past, and not sent.
                yield number, corpus, chunk if card_of(shard_path(folder, number)) is None else []
                number += 1

    cards: list[dict[str, Any]] = []
    with console.Progress("text", None, unit="pairs") as progress:
        for card in in_order(_clean_shard, tasks(), _Cleaner(plan, held_out, keys, folder), workers=workers):
            cards.append(card)
            progress.update(sum(card["funnel"]["read"] for card in cards))
    return cards


def _clean_shard(cleaner: _Cleaner, task: tuple[int, str, list[Pair]]) -> dict[str, Any]:
    number, corpus, pairs = task
    path = shard_path(cleaner.folder, number)
    if (card := card_of(path)) is not None:
        return card
    plan, funnel = cleaner.plan, Funnel()
    kept = list(clean(pairs, plan.cleaning_of(corpus), plan.languages, held_out=cleaner.held_out, funnel=funnel))
    schema = pa.schema([*COLUMNS, *((name, pa.uint64()) for name in cleaner.keys)])
    columns: list[Any] = [[source for source, _ in kept], [target for _, target in kept]]
    columns += [[DUPLICATES[name](*pair) for pair in kept] for name in cleaner.keys]
    card = {"corpus": corpus, "rows": len(kept), "funnel": asdict(funnel)}
    write_shard(path, schema, corpus, [columns], card)
    return card


# What looks at all pairs: duplicates, and the draw of dev and test.


class _Fates:
    """What becomes of each cleaned pair: a byte a pair, in the order of the corpora."""

    def __init__(self, plan: TextPlan, cards: list[dict[str, Any]], cleaned: Path) -> None:
        self.plan = plan
        self.corpora = [card["corpus"] for card in cards]
        self.paths = [shard_path(cleaned, number) for number in range(len(cards))]
        self.starts = np.cumsum([0, *(card["rows"] for card in cards)])
        self.fates: Fates = np.zeros(self.starts[-1], np.uint8)
        self.funnels = {corpus: Funnel() for corpus in plan.data.train}
        for card in cards:
            self.funnels[card["corpus"]].add(Funnel(**card["funnel"]))
        for name in DUPLICATES:
            for corpus in plan.with_filter(name):
                self.funnels[corpus].dropped[name] = 0

    @property
    def parts(self) -> list[Fates]:
        """The fates of each shard."""
        return np.split(self.fates, self.starts[1:-1])

    @property
    def total(self) -> Funnel:
        """The funnels of all corpora in one."""
        total = Funnel()
        for funnel in self.funnels.values():
            total.add(funnel)
        return total

    def keys(self, name: str) -> list[Any]:
        """Return the keys of each shard for a duplicate filter, as they lie on the disk."""
        return [batch.column(name).to_numpy() for path in self.paths for batch in read_shard(path)]

    def drop_duplicates(self, name: str) -> None:
        """Drop what stood before by the keys of a filter, in the corpora that have it."""
        corpora = self.plan.with_filter(name)
        if corpora:
            chosen = repeated(self.keys(name), self.fates == TRAIN)
            for number, corpus in enumerate(self.corpora):
                if corpus not in corpora:
                    chosen[self.starts[number] : self.starts[number + 1]] = False
            self.drop(name, chosen)

    def drop(self, name: str, chosen: Mask) -> None:
        """Drop the pairs `chosen`, and count them under `name`, with the first as examples."""
        self.fates[chosen] = DROPPED
        parts = np.split(chosen, self.starts[1:-1])
        for corpus, path, part in zip(self.corpora, self.paths, parts, strict=True):
            if count := int(part.sum()):
                funnel = self.funnels[corpus]
                funnel.kept -= count
                funnel.dropped[name] = funnel.dropped.get(name, 0) + count
                samples = funnel.samples.setdefault(name, [])
                for pair in islice(compress(read_pairs(path), part), SAMPLES - len(samples)):
                    samples.append((pair[0][:SAMPLE_CHARACTERS], pair[1][:SAMPLE_CHARACTERS]))

    def rows(self, chosen: Mask, ranks: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the rows of those `chosen` that have these ranks among them, without a list of all."""
        parts = np.split(chosen, self.starts[1:-1])
        ends = np.cumsum([int(part.sum()) for part in parts])
        shards = np.searchsorted(ends, ranks, side="right")
        found = np.empty(len(ranks), np.int64)
        for number in np.unique(shards).tolist():
            here, rows = shards == number, np.flatnonzero(parts[number])
            found[here] = self.starts[number] + rows[ranks[here] - (ends[number] - len(rows))]
        return found

    def draw(self, wanted: Mapping[str, int]) -> dict[str, list[tuple[Pair, Pair]]]:
        """Draw so many different pairs for each split; return each with its tags, and without.

        They are in the order of the corpora. Raises DataError where that would be more than half of the different ones.
        """
        firsts = self.fates == TRAIN
        firsts &= ~repeated(self.keys("duplicates"), firsts)
        total, count = sum(wanted.values()), int(firsts.sum())
        if 2 * total > count:
            raise DataError(
                f"{count} different training pairs are too few to split off {listed(wanted)}: at most half may go",
                hint="give dev and test corpora of their own, or lower data.dev_pairs and data.test_pairs",
            )
        rng = np.random.Generator(np.random.PCG64(self.plan.data.split_seed))
        drawn = self.rows(firsts, rng.choice(count, total, replace=False))
        start = 0
        for number, count in enumerate(wanted.values(), 1):
            self.fates[drawn[start : start + count]] = number
            start += count
        splits: dict[str, list[tuple[Pair, Pair]]] = {split: [] for split in wanted}
        for corpus, path, part in zip(self.corpora, self.paths, self.parts, strict=True):
            for number, split in enumerate(wanted, 1):
                if (part == number).any():
                    pairs = list(compress(read_pairs(path), part == number))
                    splits[split] += zip(_tagged(pairs, self.plan.data.train[corpus].tags), pairs, strict=True)
        return splits


# The shards of train.


@dataclass(frozen=True)
class _Finisher:
    plan: TextPlan
    drawn: HeldOut
    """What was split off as dev and test."""
    folder: Path


def _finish(finisher: _Finisher, task: tuple[int, Fates]) -> dict[str, Any]:
    """Write what is left of a cleaned shard to `train`; return its card, with what was dropped now."""
    number, fates = task
    path = shard_path(finisher.folder / "train", number)
    if (card := card_of(path)) is not None:
        return card
    plan, funnel, protected = finisher.plan, Funnel(), 0
    cleaned = shard_path(finisher.folder / CLEANED, number)
    corpus = corpus_of(cleaned)
    leaks = filters(plan.cleaning_of(corpus), plan.languages, finisher.drawn) if finisher.drawn.pairs else {}
    leaks = {name: drops for name, drops in leaks.items() if name.startswith("leaked")}
    protector = None if plan.data.protect is None else Protector(plan.data.protect, plan.placeholders)
    kept: list[Pair] = []
    for pair in compress(read_pairs(cleaned), fates == TRAIN):
        if name := next((name for name, drops in leaks.items() if drops(*pair)), None):
            funnel.drop(name, *pair)
            funnel.kept -= 1  # which it was counted as when it was cleaned
        elif protector and (found := protector.protect_pair(*pair)):
            kept.append(found)
            protected += 1
        else:
            kept.append(pair)
    card = {"corpus": corpus, "rows": len(kept), "protected": protected, "funnel": asdict(funnel)}
    _write_pairs(finisher.folder / "train", number, corpus, _tagged(kept, plan.data.train[corpus].tags), card)
    return card
