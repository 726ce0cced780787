"""The work of the stage that encodes the text: shards of ids that are mapped to memory, written by several processes.

Each split is a folder of Arrow streams, which `datasets.Dataset.from_file` can open as well. A call resumes what a
killed one left in its folder.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

from nmt import console
from nmt.alignment.corpus_alignment import read_alignment
from nmt.config.data import CleaningConfig, DataConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.augmenting.corpus_augmentation import kinds_of
from nmt.data.cleaning.corpus_text import COLUMNS, listed, read_pairs
from nmt.data.cleaning.funnel import EncodedCounts, Funnel, IdsCounts
from nmt.data.cleaning.statistics import quantile
from nmt.data.encoding.dataset import LINKS
from nmt.data.encoding.piece_links import rows_of_links
from nmt.data.encoding.tokenizer import UNK_ID, Tokenizer
from nmt.data.pairs import Pair
from nmt.data.placeholders import Protector, split_tags
from nmt.data.sentences import SentenceSplitter
from nmt.data.shards import ROWS, card_of, corpus_of, in_order, shard_path, shard_paths, write_shard
from nmt.errors import DataError
from nmt.files import JsonObject

Rows = list[list[int]]  # the ids of sides
USUAL_SENTENCES, USUAL_PIECES = 0.95, 0.99
"""Shares of the training lines whose lengths are usual; longer lines are cut in translation. Where one in fifty has
two sentences, a model translates two worse together than apart."""


@dataclass(frozen=True)
class IdsPlan:
    """The inputs of the stage that encodes the text."""

    text: Path  # the folder that `write_text` filled
    tokenizer: Path
    data: DataConfig
    cleaning: CleaningConfig  # the limits in pieces of the corpora that have no section of their own
    max_length: int  # longest side in pieces, EOS included
    keep_text: bool = False  # whether the text is stored too, for subword regularization in training
    languages: LanguagesConfig | None = None  # whose abbreviations the count of sentences knows
    augmentation: Path | None = None  # the folder that `write_augmentation` filled
    alignment: Path | None = None  # the folder that `write_alignment` filled, if pieces are to be aligned

    def splitter_of(self, corpus: str) -> SentenceSplitter:
        """Return what splits the sources of a training corpus into sentences."""
        direction = self.data.training_corpora[corpus].direction
        return SentenceSplitter(self.languages.of(direction).source if self.languages else None)


def write_ids(plan: IdsPlan, folder: Path, *, workers: int) -> IdsCounts:
    """Encode `train`, with the pairs added to it, and `dev` of the cleaned text into `folder`.

    A pair of train is dropped if a side has no piece, more than `max_pieces`, or over `max_piece_ratio` times as many
    as the other, or does not fit into `max_length` with EOS; sides of dev are cut to `max_length` instead. Ids are
    stored without BOS and EOS, in the smallest type that holds the vocabulary, and lengths in the smallest that holds
    `max_length`. Raises DataError where no training pair is left.
    """
    tasks = [("train", number) for number in range(len(shard_paths(plan.text / "train")))]
    encoder = _Encoder(plan, folder, threads=-1 if workers == 1 or len(tasks) == 1 else 1)
    counts, lines = IdsCounts(), LineLengths()
    with console.Progress("prepare", None, unit=plan.data.units) as progress:
        for number in range(len(shard_paths(plan.text / "dev"))):
            dev = _encode_shard(_Encoder(plan, folder), ("dev", number))
            counts.dev.add(EncodedCounts(dev["rows"], **dev["tokens"]))
            counts.dev_cut += dev["cut"]
        for card in in_order(_encode_shard, tasks, encoder, workers=workers):
            for total in (counts.train, counts.corpora.setdefault(card["corpus"], EncodedCounts())):
                total.add(EncodedCounts(card["rows"], **card["tokens"]))
            for funnel in (counts.funnel, counts.funnels.setdefault(card["corpus"], Funnel())):
                funnel.add(Funnel(**card["funnel"]))
            lines.add(card.get("lines", {}))
            counts.add_augmented(card["corpus"], card.get("augmented", {}))
            progress.update(counts.funnel.read)
    if not counts.train.pairs:
        unit, dropped = "pair" if plan.data.train else "line", listed(counts.funnel.dropped)
        problem = f"no training {unit} is left of {counts.funnel.read}; dropped: {dropped}"
        raise DataError(problem, hint="raise cleaning.max_pieces, model.max_length or tokenizer.vocab_size")
    counts.training_lines = lines.figures(counts.train)
    return counts


@dataclass
class LineLengths:
    """Histograms of the source lines of train: how many lines have a number of sentences, and of pieces."""

    sentences: Counter[int] = field(default_factory=Counter)
    pieces: Counter[int] = field(default_factory=Counter)

    def count(self, lines: Iterable[str], rows: Rows, splitter: SentenceSplitter) -> None:
        self.sentences.update(map(splitter.count, lines))
        self.pieces.update(map(len, rows))

    def add(self, card: dict[str, dict[str, int]]) -> None:
        """Add the histograms on the card of a shard, whose keys are text in JSON."""
        for name, histogram in card.items():
            getattr(self, name).update({int(length): lines for length, lines in histogram.items()})

    def figures(self, counts: EncodedCounts) -> dict[str, float] | None:
        """Return the fields of `TrainingLines` of pairs with `counts`; None where an older nmt wrote the shards."""
        if not self.pieces:
            return None
        sentences, pieces = quantile(self.sentences, USUAL_SENTENCES), quantile(self.pieces, USUAL_PIECES)
        ratio = round(counts.target / counts.source, 3)
        return {"sentences": sentences, "pieces": pieces, "longest": max(self.pieces), "ratio": ratio}


@dataclass(frozen=True)
class _Encoder:
    plan: IdsPlan
    folder: Path
    threads: int = -1  # threads of SentencePiece in each process; -1: one a core

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.load(self.plan.tokenizer)


def _encode_shard(encoder: _Encoder, task: tuple[str, int]) -> JsonObject:
    """Encode one shard of a split; return its card."""
    plan, (split, number) = encoder.plan, task
    path = shard_path(encoder.folder / split, number)
    if (card := card_of(path)) is not None:
        return card
    text = shard_path(plan.text / split, number)
    added = None
    if split == "train" and plan.augmentation is not None:
        added = shard_path(plan.augmentation, number)
    corpus, funnel, counts, of_lines = corpus_of(text), Funnel(), EncodedCounts(), LineLengths()
    tokenizer = encoder.tokenizer
    types = [np.min_scalar_type(size - 1) for size in (tokenizer.source_size, tokenizer.target_size)]
    lengths = np.min_scalar_type(plan.max_length)
    aligned = plan.alignment if split == "train" else None
    card = {"split": split, "corpus": corpus, "rows": 0, "tokens": {}, "cut": 0, "funnel": {}}

    def batches() -> Iterator[Sequence[object]]:
        pairs = [*read_pairs(text), *(read_pairs(added) if added else [])]
        # Added pairs have no links.
        of_words = chain(read_alignment(aligned, number), repeat([])) if aligned is not None else None
        for start in range(0, len(pairs), ROWS):
            chunk = pairs[start : start + ROWS]
            if split == "dev" and plan.data.protect is not None:
                protector = Protector(plan.data.protect, tokenizer.placeholders)
                chunk = [protected(pair, protector, tokenizer.tags) for pair in chunk]
            src = tokenizer.source.encode([source for source, _ in chunk], threads=encoder.threads)
            tgt = tokenizer.target.encode([target for _, target in chunk], threads=encoder.threads)
            links = [] if of_words is None else list(islice(of_words, len(chunk)))
            if split == "train":
                kept = _fitting(chunk, src, tgt, plan, corpus, funnel)
                chunk, src, tgt = [chunk[i] for i in kept], [src[i] for i in kept], [tgt[i] for i in kept]
                of_lines.count((source for source, _ in chunk), src, plan.splitter_of(corpus))
            else:
                longest = plan.max_length - 1
                card["cut"] += sum(max(len(s), len(t)) > longest for s, t in zip(src, tgt, strict=True))
                src, tgt = [ids[:longest] for ids in src], [ids[:longest] for ids in tgt]
            arrays = [_ragged(ids, kind) for ids, kind in zip((src, tgt), types, strict=True)]
            values = [array.values.to_numpy() for array, _ in arrays]
            counts.add(EncodedCounts(len(chunk), *map(len, values), *(int((ids == UNK_ID).sum()) for ids in values)))
            texts = [[pair[side] for pair in chunk] for side in range(2)] if plan.keep_text else []
            if of_words is not None:
                rows = rows_of_links([links[index] for index in kept], chunk, src, tgt, tokenizer)
                texts.append(_ragged(rows, lengths)[0])
            yield [*(array for array, _ in arrays), *(lengths for _, lengths in arrays), *texts]
        tokens = asdict(counts)
        card.update(rows=tokens.pop("pairs"), tokens=tokens, funnel=asdict(funnel))
        if split == "train":
            card["lines"] = {name: dict(sorted(histogram.items())) for name, histogram in vars(of_lines).items()}
        if added:
            card["augmented"] = dict(Counter(kinds_of(added)))

    columns = _columns(types, lengths, keep_text=plan.keep_text, aligned=aligned is not None)
    write_shard(path, pa.schema(columns), corpus, batches(), card)
    return card


def _columns(
    types: Sequence[DTypeLike], lengths: DTypeLike, *, keep_text: bool, aligned: bool
) -> list[tuple[str, pa.DataType]]:
    """Return the columns of a shard: ids of `types`, their `lengths`, the text if it is kept, the links if aligned."""
    source, target, length = map(pa.from_numpy_dtype, (*types, lengths))
    columns = [("src", pa.list_(source)), ("tgt", pa.list_(target)), ("src_length", length), ("tgt_length", length)]
    return [*columns, *(COLUMNS if keep_text else []), *([(LINKS, pa.list_(length))] if aligned else [])]


def protected(pair: Pair, protector: Protector, tags: Sequence[str]) -> Pair:
    """Put placeholders into a pair, after its tags, if its sides agree on them, as the text stage does in train."""
    prefix, source = split_tags(pair[0], tags)
    source, target = protector.protect_pair(source, pair[1]) or (source, pair[1])
    return " ".join([*prefix, source]), target


def _fitting(pairs: Sequence[Pair], src: Rows, tgt: Rows, plan: IdsPlan, corpus: str, funnel: Funnel) -> list[int]:
    """Return the indices of the encoded pairs whose lengths are allowed; count them in `funnel`."""
    cleaning = plan.data.cleaning_of(corpus, plan.cleaning)
    limit = min(cleaning.max_pieces or plan.max_length, plan.max_length - 1)
    ratio = cleaning.max_piece_ratio
    for name in ["no_pieces", "max_pieces", *(["max_piece_ratio"] if ratio else [])]:
        funnel.dropped.setdefault(name, 0)
    kept: list[int] = []
    for index, (pair, source, target) in enumerate(zip(pairs, src, tgt, strict=True)):
        shorter, longer = sorted((len(source), len(target)))
        if not shorter:
            funnel.drop("no_pieces", *pair)
        elif longer > limit:
            funnel.drop("max_pieces", *pair)
        elif ratio and longer > ratio * shorter:
            funnel.drop("max_piece_ratio", *pair)
        else:
            kept.append(index)
    funnel.read += len(pairs)
    funnel.kept += len(kept)
    return kept


def _ragged(rows: Rows, kind: DTypeLike) -> tuple[pa.ListArray, pa.Array]:
    """Return the rows as one Arrow array of lists, and their lengths."""
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    values = np.fromiter(chain.from_iterable(rows), kind, int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)), pa.array(lengths)
