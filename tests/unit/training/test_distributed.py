"""Ranks: reductions of one and of three processes, what they compare, and the names of lost ones."""

import itertools
import multiprocessing
import os
import time
from datetime import timedelta
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import distributed
from torch.distributed import ProcessGroup

from nmt import console
from nmt.errors import ArtifactError, RankError
from nmt.startup import end_without_cleanup
from nmt.training import distributed as ranks_module
from nmt.training.distributed import Ranks, checksum, find_lost, joined, joined_gpus, naming_lost_ranks


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


def work(rank: int, folder: Path, results: "Queue[Any]") -> None:
    """Call every operation as one of three ranks, the second of which is lost in the end."""
    store = distributed.FileStore(str(folder / "store"), 3)  # type: ignore[attr-defined]
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=3, timeout=timedelta(seconds=60))
    ranks, tensor = Ranks(rank, 3, store), torch.tensor([1.0, 10.0 * rank])
    ranks.all_reduce(tensor)
    found = (tensor.tolist(), ranks.any(False, rank == 1, rank == 0), ranks.min(5 - rank), ranks.gather(f"rank {rank}"))
    ranks.barrier()
    assert sorted(itertools.chain(*ranks.gather([ranks.take(), ranks.take()]))) == [0, 1, 2, 3, 4, 5]
    weights = [torch.ones(3), torch.zeros(2)]
    ranks.check_equal({"step": 7, "weights": checksum(weights)}, "")
    if rank == 1:
        weights[1][1] = 1e-45
    with pytest.raises(ArtifactError) as caught:
        ranks.check_equal({"step": 7 + rank // 2}, "wait")
    with pytest.raises(ArtifactError):
        ranks.check_equal({"weights": checksum(weights)}, "wait")
    results.put((rank, (*found, str(caught.value))))
    results.close()
    results.join_thread()

    ranks_module.REPORT_SECONDS = 0.5
    console.fail = (folder / f"said {rank}").write_text  # type: ignore[assignment]
    new_group, backends = distributed.new_group, []

    def new_gloo(*, backend: str, timeout: timedelta, device_id: torch.device | None = None) -> object:
        backends.append((backend, timeout > timedelta(hours=1), device_id))
        return new_group(backend="gloo", timeout=timeout)

    distributed.new_group = cast("Any", new_gloo)
    gpu = torch.device("cuda", rank)
    with joined_gpus(ranks, gpu):
        ranks.barrier()
    assert backends == [("gloo", True, None), ("nccl", False, gpu)]
    assert ranks.ring is ranks.nccl is None
    with joined_gpus(ranks, gpu):
        ranks.barrier()
        if rank == 1:
            time.sleep(0.3)  # so that the others are no longer in the barrier
            os._exit(9)
        time.sleep(60)  # as in a kernel that never ends


def test_three_processes_reduce_gather_and_compare_in_order_and_end_when_one_is_lost(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=work, args=(rank, tmp_path, results), daemon=True) for rank in range(3)]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=90) for _ in processes)
    for process in processes:
        process.join(timeout=50)
    differ = "the processes of this job differ in their step: 7 on rank 0, 7 on rank 1, 8 on rank 2 (wait)"
    expected = ([3.0, 30.0], [False, True, True], 3, ["rank 0", "rank 1", "rank 2"], differ)
    assert found == {0: expected, 1: expected, 2: expected}
    assert [process.exitcode for process in processes] == [1, 9, 1]
    said = {path.name: path.read_text() for path in tmp_path.glob("said *")}
    hint = "(the launcher says why; run it again to go on from what was saved)"
    assert said == {f"said {rank}": f"rank {rank}: rank 1 of this job is gone {hint}" for rank in (0, 2)}


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
        ((0,), "rank 2 of this job is gone"),
        ((), "ranks 0, 2 of this job are gone"),
        ((0, 2), "an exchange with the other ranks failed: connection closed by peer"),
    ],
)
def test_a_failure_names_the_ranks_that_do_not_report(
    alive: tuple[int, ...], who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks_module, "REPORT_SECONDS", 0.1)
    store: Any = Reports(*alive)
    with pytest.raises(RankError) as caught, naming_lost_ranks(Ranks(1, 3, store)):
        raise RuntimeError("connection closed by peer\nException raised from ...")
    assert str(caught.value) == (f"rank 1: {who} (the launcher says why; run it again to go on from what was saved)")


def test_a_full_memory_is_no_lost_rank() -> None:
    for error in (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: out of memory")):
        with pytest.raises(type(error)) as caught, naming_lost_ranks(Ranks(1, 3)):
            raise error
        assert caught.value is error


def test_on_gpus_a_failure_keeps_its_text_and_the_process_ends_without_closing_nccl(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: list[object] = []
    monkeypatch.setattr("atexit.register", ends.append)
    monkeypatch.setattr(distributed, "is_initialized", lambda: pytest.fail("closes the connections"))
    monkeypatch.setattr(ranks_module, "REPORT_SECONDS", 0.01)
    ring, store = cast("ProcessGroup", object()), cast("Any", Reports())
    with pytest.raises(RankError) as caught, naming_lost_ranks(Ranks(1, 3, store, ring)):
        raise RuntimeError("NCCL error: no socket interface found\nLast error: ...")
    assert str(caught.value) == (
        "rank 1: an exchange with the other ranks failed: NCCL error: no socket interface found "
        "(the launcher says why; run it again to go on from what was saved)"
    )
    assert ends == [end_without_cleanup]


def test_without_a_store_no_rank_can_be_named() -> None:
    assert find_lost(Ranks(1, 3)) == []

    class Gone(Reports):
        def add(self, key: str, _: int) -> int:
            raise RuntimeError(f"no store for {key}")

        def set(self, key: str, _: str) -> None:
            raise RuntimeError(f"no store for {key}")

    store: Any = Gone()
    assert find_lost(Ranks(1, 3, store)) == []
    with pytest.raises(RankError, match=r"^rank 1: an exchange with the other ranks failed: no store for taken"):
        Ranks(1, 3, store).take()
