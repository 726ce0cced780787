"""From a corpus to cleaned text, and from cleaned text to ids: Arrow files that are read by mapping them to memory.

Each split is a folder with one Arrow stream, which `datasets.Dataset.from_file` can open as well. Both stages
hold a chunk of pairs at a time, so a corpus may be larger than the memory; besides, cleaning remembers a
64-bit hash of each pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from nmt.config import CleaningConfig, CorpusConfig, DataConfig, LanguagesConfig
from nmt.data.clean import Funnel, clean, pair_key
from nmt.data.corpus import describe, read_corpus
from nmt.data.tokenizer import UNK_ID, Tokenizer
from nmt.errors import DataError
from nmt.files import remove

TABLE = "pairs.arrow"
HELD_OUT = "held-out"
"""Name of the test set that is split off the training text."""

EVERYTHING = "everything"
"""Folder of the cleaned pairs before the split, removed afterwards."""

CHUNK = 10_000
"""Pairs in a record batch, and held in memory at once."""

TEXT = pa.schema([("source", pa.string()), ("target", pa.string())])

Pair = tuple[str, str]


class TableWriter:
    """An Arrow file in a new `folder`, written batch by batch."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir(parents=True)
        self.schema = schema
        self.rows = 0
        self.writer = pa.ipc.new_stream(str(folder / TABLE), schema)

    def write(self, columns: list[Any]) -> None:
        """Append a record batch; `columns` are lists or Arrow arrays in the order of the schema."""
        batch = pa.record_batch(columns, schema=self.schema)
        self.rows += batch.num_rows
        self.writer.write_batch(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()


def read_batches(folder: Path) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of the table in `folder`, mapped to memory rather than read."""
    path = folder / TABLE
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint="prepare the data again")
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
            yield from reader
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: damaged: {error}", hint="prepare the data again") from None


def iterate_text(folder: Path, split: str) -> Iterator[Pair]:
    """Yield the pairs of `train`, `dev` or `test.NAME` in the folder that `write_text` filled."""
    for batch in read_batches(folder / split):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def read_text(folder: Path, split: str) -> tuple[list[str], list[str]]:
    """Return the sources and the targets of a split as two lists."""
    pairs = list(iterate_text(folder, split))
    return [source for source, _ in pairs], [target for _, target in pairs]


def write_text(
    data: DataConfig,
    cleaning: CleaningConfig,
    languages: LanguagesConfig,
    folder: Path,
    *,
    root: Path,
    local: bool,
) -> dict[str, Any]:
    """Write `train`, `dev` and each `test.NAME` to `folder`: dev and test as they are, train cleaned.

    Pairs of dev and test are dropped from train. What is missing of dev and test is split off what remains.
    Returns the counts of the pairs, of each filter, and examples of what the filters dropped.
    """

    def pairs_of(config: CorpusConfig, split: str) -> Iterator[Pair]:
        return read_corpus(config, languages, root=root, local=local, default_split=split)

    held_out: set[int] = set()
    counts: dict[str, int] = {}
    given = {"dev": data.dev} if data.dev else {}
    given |= {f"test.{name}": config for name, config in data.test.items()}
    for split, config in given.items():
        pairs = pairs_of(config, "validation" if split == "dev" else "test")
        counts[split] = _write_pairs(_noting_keys(pairs, held_out), folder / split)

    missing = {} if data.dev else {"dev": data.dev_pairs}
    missing |= {} if data.test else {f"test.{HELD_OUT}": data.test_pairs}
    funnel = Funnel()
    cleaned = clean(pairs_of(data.train, "train"), cleaning, held_out=held_out, funnel=funnel)
    if missing:
        counts |= _split_off(cleaned, missing, folder, cleaning, funnel, seed=data.split_seed)
    else:
        counts["train"] = _write_pairs(cleaned, folder / "train")
    if not counts["train"]:
        raise DataError(
            f"{describe(data.train)}: no training pair is left of {funnel.read}; dropped: {_list(funnel.dropped)}",
            hint="loosen the filters in [cleaning]",
        )
    tests = {split.removeprefix("test."): count for split, count in counts.items() if split.startswith("test.")}
    return {
        "funnel": {"read": funnel.read, "kept": funnel.kept, "dropped": funnel.dropped},
        "pairs": {"train": counts["train"], "dev": counts["dev"], "test": tests},
        "split_off": sum(missing.values()),
        "samples": funnel.samples,
    }


def _chunks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    pairs = iter(pairs)
    while chunk := list(islice(pairs, CHUNK)):
        yield chunk


def _write_pairs(pairs: Iterable[Pair], folder: Path) -> int:
    with TableWriter(folder, TEXT) as table:
        for chunk in _chunks(pairs):
            table.write([[source for source, _ in chunk], [target for _, target in chunk]])
    return table.rows


def _noting_keys(pairs: Iterable[Pair], keys: set[int]) -> Iterator[Pair]:
    for pair in pairs:
        keys.add(pair_key(*pair))
        yield pair


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _split_off(
    cleaned: Iterable[Pair],
    wanted: dict[str, int],
    folder: Path,
    cleaning: CleaningConfig,
    funnel: Funnel,
    *,
    seed: int,
) -> dict[str, int]:
    """Write `cleaned` to `train` and, in corpus order, so many pairs drawn at random to each split `wanted`.

    No pair is drawn twice. If duplicates were kept, copies of a drawn pair leave train as leaked.
    """
    everything = folder / EVERYTHING
    keys = np.fromiter((pair_key(*pair) for pair in _writing(cleaned, everything)), np.uint64)
    firsts = np.unique(keys, return_index=True)[1]
    total = sum(wanted.values())
    if 2 * total > len(firsts):
        raise DataError(
            f"{len(firsts)} different training pairs are too few to split off {_list(wanted)}: at most half may go",
            hint="give dev and test corpora of their own, or lower data.dev_pairs and data.test_pairs",
        )
    drawn = np.random.Generator(np.random.PCG64(seed)).choice(firsts, total, replace=False)
    # The number of the split that each pair goes to: 0 is train, `nowhere` none.
    fate = np.zeros(len(keys), np.int8)
    nowhere = len(wanted) + 1
    if cleaning.drop_leaked:
        fate[np.isin(keys, keys[drawn])] = nowhere
    start = 0
    for number, count in enumerate(wanted.values(), 1):
        fate[drawn[start : start + count]] = number
        start += count
    for source, target in _where(folder, fate == nowhere):
        funnel.kept -= 1
        funnel.drop("leaked", source, target)
    counts: dict[str, int] = {}
    for number, split in enumerate(["train", *wanted]):
        counts[split] = _write_pairs(_where(folder, fate == number), folder / split)
    remove(everything)
    return counts


def _where(folder: Path, chosen: np.ndarray[Any, np.dtype[np.bool]]) -> Iterator[Pair]:
    return compress(iterate_text(folder, EVERYTHING), chosen)


def _writing(pairs: Iterable[Pair], folder: Path) -> Iterator[Pair]:
    """Yield `pairs` again after writing them to `folder`."""
    with TableWriter(folder, TEXT) as table:
        for chunk in _chunks(pairs):
            table.write([[source for source, _ in chunk], [target for _, target in chunk]])
            yield from chunk


def write_ids(
    text: Path, tokenizer: Tokenizer, cleaning: CleaningConfig, max_length: int, folder: Path
) -> dict[str, Any]:
    """Encode `train` and `dev` of the folder `text` into `folder`.

    Train loses pairs with a side of no piece or of more than `cleaning.max_pieces`, and in any case those
    that do not fit into `max_length` with EOS; sides of dev are cut there instead. Ids are stored without BOS
    and EOS, in the smallest type that holds the vocabulary. Returns the counts.
    """
    limit = min(cleaning.max_pieces or max_length, max_length - 1)
    funnel = Funnel(dropped={"no_pieces": 0, "max_pieces": 0})
    tokens: dict[str, dict[str, int]] = {}
    pairs: dict[str, int] = {}
    cut = 0
    types = [np.min_scalar_type(size - 1) for size in (tokenizer.source_size, tokenizer.target_size)]
    schema = pa.schema(
        [
            ("src", pa.list_(pa.from_numpy_dtype(types[0]))),
            ("tgt", pa.list_(pa.from_numpy_dtype(types[1]))),
            ("src_length", pa.int32()),
            ("tgt_length", pa.int32()),
        ]
    )
    for split in ("train", "dev"):
        count = tokens[split] = {"source": 0, "target": 0, "source_unknown": 0, "target_unknown": 0}
        with TableWriter(folder / split, schema) as table:
            for chunk in _chunks(iterate_text(text, split)):
                src = tokenizer.encode_source([source for source, _ in chunk])
                tgt = tokenizer.encode_target([target for _, target in chunk])
                if split == "train":
                    src, tgt = _fitting(chunk, src, tgt, limit, funnel)
                else:
                    longest = max_length - 1
                    cut += sum(max(len(s), len(t)) > longest for s, t in zip(src, tgt, strict=True))
                    src, tgt = [ids[:longest] for ids in src], [ids[:longest] for ids in tgt]
                columns = [_ragged(ids, kind) for ids, kind in zip((src, tgt), types, strict=True)]
                table.write([array for array, _ in columns] + [lengths for _, lengths in columns])
                for side, (array, _) in zip(("source", "target"), columns, strict=True):
                    values = array.values.to_numpy()
                    count[side] += len(values)
                    count[f"{side}_unknown"] += int((values == UNK_ID).sum())
        pairs[split] = table.rows
    if not pairs["train"]:
        raise DataError(
            f"no training pair is left of {funnel.read}; dropped: {_list(funnel.dropped)}",
            hint="raise cleaning.max_pieces, model.max_length or tokenizer.vocab_size",
        )
    return {
        "funnel": {"read": funnel.read, "kept": funnel.kept, "dropped": funnel.dropped},
        "pairs": pairs,
        "tokens": tokens,
        "dev_cut": cut,
        "samples": funnel.samples,
    }


def _fitting(
    pairs: Sequence[Pair], src: list[list[int]], tgt: list[list[int]], limit: int, funnel: Funnel
) -> tuple[list[list[int]], list[list[int]]]:
    """Keep the encoded pairs with one to `limit` pieces a side."""
    kept: list[tuple[list[int], list[int]]] = []
    for pair, sides in zip(pairs, zip(src, tgt, strict=True), strict=True):
        lengths = [len(ids) for ids in sides]
        if not min(lengths):
            funnel.drop("no_pieces", *pair)
        elif max(lengths) > limit:
            funnel.drop("max_pieces", *pair)
        else:
            kept.append(sides)
    funnel.read += len(pairs)
    funnel.kept += len(kept)
    return [source for source, _ in kept], [target for _, target in kept]


def _ragged(rows: list[list[int]], kind: np.dtype[Any]) -> tuple[pa.ListArray, pa.Array]:
    """Return the rows as one Arrow array of lists, and their lengths."""
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    values = np.fromiter(chain.from_iterable(rows), kind, int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)), pa.array(lengths)
