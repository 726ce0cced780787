"""From cleaned text to ids: shards that are read by mapping them to memory, made by several processes.

Each split is a folder of Arrow streams, which `datasets.Dataset.from_file` can open as well. A call goes on with
what a killed one left in its folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nmt import console
from nmt.config.data import CleaningConfig
from nmt.data.cleaning.corpus_text import Pair, counts_of, listed, read_pairs
from nmt.data.cleaning.funnel import Funnel
from nmt.data.encoding.tokenizer import UNK_ID, Tokenizer
from nmt.data.placeholders import Protector, split_tags
from nmt.data.shards import ROWS, card_of, corpus_of, in_order, shard_path, shard_paths, write_shard
from nmt.errors import DataError

COUNTED = ("source", "target", "source_unknown", "target_unknown")
"""What is counted of the pieces of a split."""


@dataclass(frozen=True)
class IdsPlan:
    """What ids are made from."""

    text: Path
    """The folder that `text.write_text` filled."""
    tokenizer: Path
    cleaning: CleaningConfig
    """What it says of pieces, for the corpora that `cleaning_of` lacks."""
    cleaning_of: dict[str, CleaningConfig]
    """That of the corpora with one of their own."""
    max_length: int
    """Longest side in pieces, EOS included."""
    protect: str | None = None
    """What becomes placeholders in dev too, for its loss."""
    keep_text: bool = False
    """Whether the text goes into the table as well, to be split anew in training."""


def write_ids(plan: IdsPlan, folder: Path, *, workers: int) -> dict[str, Any]:
    """Encode `train` and `dev` of the cleaned text into `folder`.

    Train loses pairs with a side of no piece, of more than `max_pieces`, or so many times as long as the other as
    `max_piece_ratio` says, and in any case those that do not fit into `max_length` with EOS; sides of dev are
    cut there instead. Ids are stored without BOS and EOS, in the smallest type that holds the vocabulary, and lengths
    in the smallest that holds `max_length`. Returns the counts, in all and by corpus.
    """
    tasks = [("train", number) for number in range(len(shard_paths(plan.text / "train")))]
    encoder = _Encoder(plan, folder, threads=-1 if workers == 1 or len(tasks) == 1 else 1)
    funnel = Funnel()
    tokens = {split: Counter(dict.fromkeys(COUNTED, 0)) for split in ("train", "dev")}
    pairs = Counter({"train": 0, "dev": 0})
    corpora: dict[str, tuple[Counter[str], Funnel]] = {}
    cut = 0
    with console.Progress("prepare", None, unit="pairs") as progress:
        dev = _encode_shard(_Encoder(plan, folder), ("dev", 0))
        for card in chain([dev], in_order(_encode_shard, tasks, encoder, workers=workers)):
            split = card["split"]
            pairs[split] += card["rows"]
            tokens[split].update(card["tokens"])
            cut += card["cut"]
            if split == "train":
                counts, its_funnel = corpora.setdefault(card["corpus"], (Counter(), Funnel()))
                counts.update({"pairs": card["rows"], **card["tokens"]})
                for each in (funnel, its_funnel):
                    each.add(Funnel(**card["funnel"]))
            progress.update(funnel.read)
    if not pairs["train"]:
        raise DataError(
            f"no training pair is left of {funnel.read}; dropped: {listed(funnel.dropped)}",
            hint="raise cleaning.max_pieces, model.max_length or tokenizer.vocab_size",
        )
    return {
        "funnel": counts_of(funnel),
        "pairs": dict(pairs),
        "tokens": {split: dict(count) for split, count in tokens.items()},
        "corpora": {name: {**counts, "funnel": counts_of(found)} for name, (counts, found) in corpora.items()},
        "dev_cut": cut,
        "samples": funnel.samples,
    }


@dataclass(frozen=True)
class _Encoder:
    plan: IdsPlan
    folder: Path
    threads: int = -1
    """Threads of SentencePiece in each process; -1: one a core."""

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once a process."""
        return Tokenizer.load(self.plan.tokenizer)


def _encode_shard(encoder: _Encoder, task: tuple[str, int]) -> dict[str, Any]:
    """Encode one shard of a split; return its card."""
    plan, (split, number) = encoder.plan, task
    path = shard_path(encoder.folder / split, number)
    if (card := card_of(path)) is not None:
        return card
    text = shard_path(plan.text / split, number)
    corpus, funnel = corpus_of(text), Funnel()
    tokenizer = encoder.tokenizer
    types = [np.min_scalar_type(size - 1) for size in (tokenizer.source_size, tokenizer.target_size)]
    lengths = pa.from_numpy_dtype(np.min_scalar_type(plan.max_length))
    columns = [
        ("src", pa.list_(pa.from_numpy_dtype(types[0]))),
        ("tgt", pa.list_(pa.from_numpy_dtype(types[1]))),
        ("src_length", lengths),
        ("tgt_length", lengths),
        *([("source", pa.string()), ("target", pa.string())] if plan.keep_text else []),
    ]
    card = {"split": split, "corpus": corpus, "rows": 0, "tokens": dict.fromkeys(COUNTED, 0), "cut": 0, "funnel": {}}

    def batches() -> Iterator[list[Any]]:
        pairs = list(read_pairs(text))
        for start in range(0, len(pairs), ROWS):
            chunk = pairs[start : start + ROWS]
            if split == "dev" and plan.protect is not None:
                protector = Protector(plan.protect, tokenizer.placeholders)
                chunk = [_protected(pair, protector, tokenizer.tags) for pair in chunk]
            src = tokenizer.source.encode([source for source, _ in chunk], threads=encoder.threads)
            tgt = tokenizer.target.encode([target for _, target in chunk], threads=encoder.threads)
            if split == "train":
                chunk, src, tgt = _fitting(chunk, src, tgt, plan, plan.cleaning_of.get(corpus, plan.cleaning), funnel)
            else:
                longest = plan.max_length - 1
                card["cut"] += sum(max(len(s), len(t)) > longest for s, t in zip(src, tgt, strict=True))
                src, tgt = [ids[:longest] for ids in src], [ids[:longest] for ids in tgt]
            sides = [_ragged(ids, kind) for ids, kind in zip((src, tgt), types, strict=True)]
            for side, (array, _) in zip(("source", "target"), sides, strict=True):
                values = array.values.to_numpy()
                card["tokens"][side] += len(values)
                card["tokens"][f"{side}_unknown"] += int((values == UNK_ID).sum())
            card["rows"] += len(chunk)
            texts = [[source for source, _ in chunk], [target for _, target in chunk]] if plan.keep_text else []
            yield [*(array for array, _ in sides), *(lengths for _, lengths in sides), *texts]
        card["funnel"] = asdict(funnel)

    write_shard(path, pa.schema(columns), corpus, batches(), card)
    return card


def _protected(pair: Pair, protector: Protector, tags: Sequence[str]) -> Pair:
    """Put placeholders behind the tags of a pair, if its sides agree on them, as it was done in train."""
    found, source = split_tags(pair[0], tags)
    source, target = protector.protect_pair(source, pair[1]) or (source, pair[1])
    return " ".join([*found, source]), target


def _fitting(
    pairs: Sequence[Pair],
    src: list[list[int]],
    tgt: list[list[int]],
    plan: IdsPlan,
    cleaning: CleaningConfig,
    funnel: Funnel,
) -> tuple[list[Pair], list[list[int]], list[list[int]]]:
    """Keep the encoded pairs whose sides have a length that is allowed."""
    limit = min(cleaning.max_pieces or plan.max_length, plan.max_length - 1)
    ratio = cleaning.max_piece_ratio
    for name in ["no_pieces", "max_pieces", *(["max_piece_ratio"] if ratio else [])]:
        funnel.dropped.setdefault(name, 0)
    kept: list[int] = []
    for place, (pair, source, target) in enumerate(zip(pairs, src, tgt, strict=True)):
        shorter, longer = sorted((len(source), len(target)))
        if not shorter:
            funnel.drop("no_pieces", *pair)
        elif longer > limit:
            funnel.drop("max_pieces", *pair)
        elif ratio and longer > ratio * shorter:
            funnel.drop("max_piece_ratio", *pair)
        else:
            kept.append(place)
    funnel.read += len(pairs)
    funnel.kept += len(kept)
    return [pairs[place] for place in kept], [src[place] for place in kept], [tgt[place] for place in kept]


def _ragged(rows: list[list[int]], kind: np.dtype[Any]) -> tuple[pa.ListArray, pa.Array]:
    """Return the rows as one Arrow array of lists, and their lengths."""
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    values = np.fromiter(chain.from_iterable(rows), kind, int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)), pa.array(lengths)
