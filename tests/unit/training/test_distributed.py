"""Ranks: reductions of one and of two processes, and the names of lost ones."""

import multiprocessing
from datetime import timedelta
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from nmt.errors import RankError
from nmt.training import distributed as ranks_module
from nmt.training.distributed import Ranks, find_lost, joined, leave, naming_lost_ranks


def test_a_process_alone_reduces_nothing() -> None:
    ranks, tensor = Ranks(), torch.tensor([1.5, 2.0])
    ranks.all_reduce(tensor)
    ranks.barrier()
    assert tensor.tolist() == [1.5, 2.0]
    assert ranks.any(False, True) == [False, True]
    assert (ranks.min(7), ranks.gather("x"), ranks.is_main) == (7, ["x"], True)
    assert not Ranks(1, 2).is_main


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with joined() as ranks:
        assert ranks == Ranks()


def work(rank: int, file: Path, results: "Queue[Any]") -> None:
    """Call every operation as one of two ranks."""
    store = distributed.FileStore(str(file), 2)  # type: ignore[attr-defined]
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    ranks, tensor = Ranks(rank, 2, store), torch.tensor([1.0, 10.0 * rank])
    ranks.all_reduce(tensor)
    found = (tensor.tolist(), ranks.any(False, rank == 1, rank == 0), ranks.min(5 - rank), ranks.gather(f"rank {rank}"))
    ranks.barrier()
    leave()
    leave()  # which may come twice
    results.put((rank, found))


def test_two_processes_reduce_and_gather_in_order(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=work, args=(rank, tmp_path / "store", results)) for rank in range(2)]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=90) for _ in processes)
    for process in processes:
        process.join()
    expected = ([2.0, 10.0], [False, True, True], 4, ["rank 0", "rank 1"])
    assert found == {0: expected, 1: expected}


class Reports:
    """A store to which some ranks have reported."""

    def __init__(self, *alive: int) -> None:
        self.keys = {f"alive/{rank}" for rank in alive}

    def set(self, key: str, _: str) -> None:
        self.keys.add(key)

    def check(self, keys: list[str]) -> bool:
        return set(keys) <= self.keys


@pytest.mark.parametrize(
    ("alive", "who"),
    [
        ((0,), "rank 2 of this training is"),
        ((), "ranks 0, 2 of this training are"),
        ((0, 2), "another rank of this training is"),
    ],
)
def test_a_failure_names_the_ranks_that_do_not_report(
    alive: tuple[int, ...], who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks_module, "REPORT_SECONDS", 0.1)
    store: Any = Reports(*alive)
    with pytest.raises(RankError) as caught, naming_lost_ranks(Ranks(1, 3, store)):
        raise RuntimeError("connection closed by peer")
    assert str(caught.value) == (
        f"rank 1: {who} gone (the launcher says why; run it again to go on from the newest checkpoint)"
    )


def test_a_full_memory_is_no_lost_rank() -> None:
    with pytest.raises(torch.OutOfMemoryError), naming_lost_ranks(Ranks(1, 3)):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_without_a_store_no_rank_can_be_named() -> None:
    assert find_lost(Ranks(1, 3)) == []

    class Gone(Reports):
        def set(self, key: str, _: str) -> None:
            raise RuntimeError(f"no store for {key}")

    store: Any = Gone()
    assert find_lost(Ranks(1, 3, store)) == []
