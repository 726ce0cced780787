import gc
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from nmt.data.encoding.dataset import Batch, Pairs, PreparedPairs
from nmt.data.shards import shard_path, write_shard
from nmt.errors import DataError

Rows = list[tuple[list[int], list[int]]]
ROWS: Rows = [([5, 6], [7]), ([8], [9, 10, 11]), ([], []), ([12, 13, 14], [15, 16]), ([17], [18])]


def write(
    folder: Path, rows: Rows, batch_sizes: list[int], *, number: int = 0, corpus: str = "train", length: str = "uint8"
) -> Path:
    """Write `rows` as shard `number`, in record batches of such sizes."""
    ids, kind = pa.list_(pa.uint16()), pa.from_numpy_dtype(np.dtype(length))
    schema = pa.schema([("src", ids), ("tgt", ids), ("src_length", kind), ("tgt_length", kind)])
    batches = []
    start = 0
    for size in batch_sizes:
        src, tgt = ([row[side] for row in rows[start : start + size]] for side in (0, 1))
        batches.append([src, tgt, [len(x) for x in src], [len(x) for x in tgt]])
        start += size
    write_shard(shard_path(folder, number), schema, corpus, batches)
    return folder


@pytest.fixture(params=[[5], [2, 3], [1, 0, 3, 0, 1]])
def pairs(tmp_path: Path, request: pytest.FixtureRequest) -> PreparedPairs:
    return PreparedPairs(write(tmp_path / "train", ROWS, request.param))


def rows_of(pairs: Pairs, *indices: int) -> Rows:
    return [(src.tolist(), tgt.tolist()) for src, tgt in zip(*pairs.sides(np.array(indices, int)), strict=True)]


def test_sentences_are_found_in_whichever_record_batch(pairs: PreparedPairs) -> None:
    assert len(pairs) == 5
    assert rows_of(pairs, *range(5)) == ROWS
    assert rows_of(pairs, 4, 0, 3, 0) == [ROWS[index] for index in (4, 0, 3, 0)]
    assert rows_of(pairs) == []


def test_lengths_include_eos(pairs: PreparedPairs) -> None:
    assert pairs.src_lengths.tolist() == [3, 2, 1, 4, 2]
    assert pairs.tgt_lengths.tolist() == [2, 4, 1, 3, 2]


def test_sentences_are_views_that_outlive_the_reader(tmp_path: Path) -> None:
    pairs = PreparedPairs(write(tmp_path / "train", ROWS, [5]))
    [view], _ = pairs.sides(np.array([3]))
    assert view.dtype == np.uint16
    assert not view.flags.owndata
    assert not view.flags.writeable
    shard_path(tmp_path / "train", 0).unlink()
    del pairs
    gc.collect()
    assert view.tolist() == [12, 13, 14]


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_out_of_range_is_an_error(pairs: PreparedPairs, index: int) -> None:
    with pytest.raises(IndexError, match=f"pair {index} of 5"):
        pairs.sides(np.array([0, index, 4]))
    with pytest.raises(IndexError):
        pairs.collate([index])


def test_a_batch_is_shifted_and_padded_on_the_right(pairs: PreparedPairs) -> None:
    batch = pairs.collate([3, 0, 1])
    assert batch.src.tolist() == [[12, 13, 14, 3], [5, 6, 3, 0], [8, 3, 0, 0]]
    assert batch.tgt_in.tolist() == [[2, 15, 16, 0], [2, 7, 0, 0], [2, 9, 10, 11]]
    assert batch.labels.tolist() == [[15, 16, 3, 0], [7, 3, 0, 0], [9, 10, 11, 3]]
    assert {tensor.dtype for tensor in (batch.src, batch.tgt_in, batch.labels, batch.label_indices)} == {torch.int64}


def test_batches_of_random_rows_hold_each_row_as_it_is_stored(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows: Rows = [([*rng.integers(4, 60_000, rng.integers(0, 30))], [*rng.integers(4, 99, 5)]) for _ in range(300)]
    pairs = PreparedPairs(write(tmp_path / "train", rows, [7, 0, 93, 200]))
    for _ in range(5):
        chosen = rng.integers(0, len(rows), 40)
        batch = pairs.collate(chosen)
        for number, index in enumerate(chosen):
            src, tgt = rows[index]
            padding = [0] * (batch.src.shape[1] - len(src) - 1)
            assert batch.src[number].tolist() == [*src, 3, *padding]
            assert (batch.labels[number].tolist(), batch.tgt_in[number].tolist()) == ([*tgt, 3], [2, *tgt])
        assert batch.src.shape == (40, int(pairs.src_lengths[chosen].max()))


def test_the_work_on_a_batch_is_done_by_numpy_not_by_a_call_a_row(tmp_path: Path) -> None:
    pairs = PreparedPairs(write(tmp_path / "train", ROWS * 40, [120, 80]))

    def calls(indices: list[int]) -> int:
        count = 0

        def note(_frame: object, event: str, _argument: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(note)
        pairs.collate(indices)
        sys.setprofile(None)
        return count

    assert calls(list(range(200))) == calls([0, 150])


def test_a_batch_knows_the_places_of_its_real_labels(pairs: PreparedPairs) -> None:
    batch = pairs.collate([3, 0, 1])
    assert batch.label_indices.tolist() == [0, 1, 2, 4, 5, 8, 9, 10, 11]
    assert batch.real_labels.tolist() == [15, 16, 3, 7, 3, 9, 10, 11, 3]


def test_a_batch_counts_its_real_tokens(pairs: PreparedPairs) -> None:
    batch = pairs.collate(np.array([3, 0, 1]))
    assert batch.target_tokens == 3 + 2 + 4


def test_an_empty_sentence_is_eos_alone(pairs: PreparedPairs) -> None:
    batch = pairs.collate([2])
    assert (batch.src.tolist(), batch.tgt_in.tolist(), batch.labels.tolist()) == ([[3]], [[2]], [[3]])


def test_a_batch_moves_as_a_whole_and_from_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[Tensor] = []

    def pin_memory(tensor: Tensor) -> Tensor:  # the true one needs a GPU
        pinned.append(tensor)
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin_memory)
    batch = Batch(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 3), torch.arange(3), src_padded=False)
    tensors = (batch.src, batch.tgt_in, batch.labels, batch.label_indices)
    moved = batch.to(torch.device("meta"))
    assert {tensor.device.type for tensor in (moved.src, moved.tgt_in, moved.labels, moved.label_indices)} == {"meta"}
    assert [id(tensor) for tensor in pinned] == [id(tensor) for tensor in tensors]
    assert not moved.src_padded
    assert (moved.links, moved.link_shares) == (None, None)
    linked = replace(batch, links=torch.ones(3, 1), link_shares=torch.ones(1)).to(torch.device("meta"))
    assert linked.links is not None
    assert linked.link_shares is not None
    assert {linked.links.device.type, linked.link_shares.device.type} == {"meta"}
    assert (linked.links.shape, linked.link_shares.shape) == ((3, 1), (1,))


def test_a_batch_knows_whether_its_sources_are_padded(pairs: PreparedPairs) -> None:
    assert [pairs.collate(rows).src_padded for rows in ([3, 0, 1], [0], [2], [0, 0], [0, 3])] == [
        *(True, False, False, False, True)
    ]


def test_on_a_cpu_a_batch_stays_as_it_is() -> None:
    batch = Batch(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 3), torch.arange(3))
    assert batch.to(torch.device("cpu")) is batch


def test_pairs_that_were_never_prepared_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("train", "empty"):
        with pytest.raises(DataError) as caught:
            PreparedPairs(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: no such data (prepare the data again)"


def test_a_shard_cut_short_is_an_error(tmp_path: Path) -> None:
    path = shard_path(write(tmp_path / "train", ROWS, [5]), 0)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"train/00000\.arrow: damaged"):
        PreparedPairs(tmp_path / "train")


def test_a_split_without_pairs_can_be_opened(tmp_path: Path) -> None:
    pairs = PreparedPairs(write(tmp_path / "dev", [], []))
    assert len(pairs) == len(pairs.src_lengths) == len(pairs.tgt_lengths) == 0


@pytest.fixture
def corpora(tmp_path: Path) -> PreparedPairs:
    """Return the rows as three corpora in six shards, of which three are empty, and one corpus has nothing at all."""
    shards = [("a", ROWS[:2]), ("a", []), ("b", ROWS[2:3]), ("b", ROWS[3:4]), ("none", []), ("c", []), ("c", ROWS[4:])]
    for number, (corpus, rows) in enumerate(shards):
        write(tmp_path / "train", rows, [len(rows)] if rows else [], number=number, corpus=corpus)
    return PreparedPairs(tmp_path / "train")


def test_corpora_go_over_shards_and_may_be_empty(corpora: PreparedPairs) -> None:
    assert corpora.corpora == {"a": (0, 2), "b": (2, 4), "none": (4, 4), "c": (4, 5)}
    assert len(corpora) == 5
    assert rows_of(corpora, *range(5)) == ROWS
    assert corpora.src_lengths.tolist() == [3, 2, 1, 4, 2]


def test_target_tokens_are_counted_by_corpus(corpora: PreparedPairs) -> None:
    assert corpora.tgt_lengths.tolist() == [2, 4, 1, 3, 2]
    assert corpora.tokens_by_corpus(np.array([4, 0, 3, 0])) == {"a": 4, "b": 3, "none": 0, "c": 2}
    assert corpora.tokens_by_corpus(np.arange(5)) == {"a": 6, "b": 4, "none": 0, "c": 2}
    assert corpora.tokens_by_corpus(np.arange(0)) == {"a": 0, "b": 0, "none": 0, "c": 0}


def test_many_tokens_of_a_corpus_do_not_overflow(tmp_path: Path) -> None:
    pairs = PreparedPairs(write(tmp_path / "train", [([4], [4] * 200)] * 3, [3]))
    assert pairs.tgt_lengths.dtype == np.uint8
    assert pairs.tokens_by_corpus(np.array([0, 1, 2, 2])) == {"train": 4 * 201}


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (100_000, 99_999, 2):
        write(tmp_path / "train", [([number % 1000], [7])], [1], number=number)
    pairs = PreparedPairs(tmp_path / "train")
    assert [src for src, _ in rows_of(pairs, *range(3))] == [[2], [999], [0]]


# The longest may be in any shard, and EOS may bring it to the next type.
@pytest.mark.parametrize(
    ("pieces", "kind"),
    [(253, np.uint8), (254, np.uint8), (255, np.uint16), (256, np.uint16), (65_534, np.uint16), (65_535, np.uint32)],
)
def test_lengths_take_the_smallest_type_that_holds_them_with_eos(
    tmp_path: Path, pieces: int, kind: type[np.unsignedinteger[Any]]
) -> None:
    write(tmp_path / "train", [([5], [6]), ([5] * pieces, [6])], [2], length="uint32")
    write(tmp_path / "train", [([5], [6] * 3)], [1], number=1)
    pairs = PreparedPairs(tmp_path / "train")
    assert pairs.src_lengths.tolist() == [2, pieces + 1, 2]
    assert pairs.src_lengths.dtype == kind
    assert pairs.tgt_lengths.dtype == np.uint8
    assert pairs.collate([1, 2]).src.shape == (2, pieces + 1)
    assert int(pairs.collate([1]).src[0, -1]) == 3


def test_a_side_of_255_pieces_in_eight_bits_keeps_its_length(tmp_path: Path) -> None:
    pairs = PreparedPairs(write(tmp_path / "train", [([5] * 255, [6] * 2)], [1], length="uint8"))
    assert (pairs.src_lengths.tolist(), pairs.tgt_lengths.tolist()) == ([256], [3])
