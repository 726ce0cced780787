import gc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from nmt.data.dataset import Batch, PreparedPairs
from nmt.data.prepare import TABLE, TableWriter
from nmt.errors import DataError

ROWS = [([5, 6], [7]), ([8], [9, 10, 11]), ([], []), ([12, 13, 14], [15, 16]), ([17], [18])]


def write(folder: Path, rows: list[tuple[list[int], list[int]]], batch_sizes: list[int]) -> Path:
    ids = pa.list_(pa.uint16())
    schema = pa.schema([("src", ids), ("tgt", ids), ("src_length", pa.int32()), ("tgt_length", pa.int32())])
    with TableWriter(folder, schema) as table:
        start = 0
        for size in batch_sizes:
            src, tgt = ([row[side] for row in rows[start : start + size]] for side in (0, 1))
            table.write([src, tgt, [len(x) for x in src], [len(x) for x in tgt]])
            start += size
    return folder


@pytest.fixture(params=[[5], [2, 3], [1, 0, 3, 0, 1]])
def pairs(tmp_path: Path, request: pytest.FixtureRequest) -> PreparedPairs:
    return PreparedPairs(write(tmp_path / "train", ROWS, request.param))


def test_sentences_are_found_in_whichever_record_batch(pairs: PreparedPairs) -> None:
    assert len(pairs) == 5
    assert [(pairs.src(i).tolist(), pairs.tgt(i).tolist()) for i in range(5)] == ROWS


def test_lengths_include_eos(pairs: PreparedPairs) -> None:
    assert pairs.src_lengths.tolist() == [3, 2, 1, 4, 2]
    assert pairs.tgt_lengths.tolist() == [2, 4, 1, 3, 2]


def test_sentences_are_views_that_outlive_the_reader(tmp_path: Path) -> None:
    pairs = PreparedPairs(write(tmp_path / "train", ROWS, [5]))
    view = pairs.src(3)
    assert view.dtype == np.uint16
    assert not view.flags.owndata
    assert not view.flags.writeable
    (tmp_path / "train" / TABLE).unlink()
    del pairs
    gc.collect()
    assert view.tolist() == [12, 13, 14]


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_out_of_range_is_an_error(pairs: PreparedPairs, index: int) -> None:
    with pytest.raises(IndexError, match=f"pair {index} of 5"):
        pairs.src(index)


def test_a_batch_is_shifted_and_padded_on_the_right(pairs: PreparedPairs) -> None:
    batch = pairs.collate([3, 0, 1])
    assert batch.src.tolist() == [[12, 13, 14, 3], [5, 6, 3, 0], [8, 3, 0, 0]]
    assert batch.tgt_in.tolist() == [[2, 15, 16, 0], [2, 7, 0, 0], [2, 9, 10, 11]]
    assert batch.labels.tolist() == [[15, 16, 3, 0], [7, 3, 0, 0], [9, 10, 11, 3]]
    assert {tensor.dtype for tensor in (batch.src, batch.tgt_in, batch.labels, batch.places)} == {torch.int64}


def test_a_batch_knows_the_places_of_its_real_labels(pairs: PreparedPairs) -> None:
    batch = pairs.collate([3, 0, 1])
    assert batch.places.tolist() == [0, 1, 2, 4, 5, 8, 9, 10, 11]
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
    batch = Batch(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 3), torch.arange(3))
    tensors = (batch.src, batch.tgt_in, batch.labels, batch.places)
    moved = batch.to(torch.device("meta"))
    assert {tensor.device.type for tensor in (moved.src, moved.tgt_in, moved.labels, moved.places)} == {"meta"}
    assert [id(tensor) for tensor in pinned] == [id(tensor) for tensor in tensors]


def test_on_a_cpu_a_batch_stays_as_it_is() -> None:
    batch = Batch(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 3), torch.arange(3))
    assert batch.to(torch.device("cpu")) is batch


def test_pairs_that_were_never_prepared_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train/pairs\.arrow: no such file \(prepare the data again\)"):
        PreparedPairs(tmp_path / "train")


def test_a_table_cut_short_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "train", ROWS, [5]) / TABLE
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"train/pairs\.arrow: damaged"):
        PreparedPairs(tmp_path / "train")


def test_a_split_without_pairs_can_be_opened(tmp_path: Path) -> None:
    pairs = PreparedPairs(write(tmp_path / "dev", [], []))
    assert len(pairs) == len(pairs.src_lengths) == len(pairs.tgt_lengths) == 0
