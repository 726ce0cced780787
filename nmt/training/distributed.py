"""Ranks: the processes that train one model, or translate one file, together; started by torchrun."""

import atexit
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import Tensor, distributed

from nmt import console
from nmt.errors import ArtifactError, RankError, is_out_of_memory
from nmt.files import digest
from nmt.startup import end_without_cleanup

if distributed.is_available():  # in most builds of torch
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous
if TYPE_CHECKING:
    from torch._C._distributed_c10d import ProcessGroup, Store

T = TypeVar("T")
TIMEOUT = timedelta(days=2)
"""How long a rank waits for another, which may be reading the data; torchrun ends them all when one dies."""
NCCL_TIMEOUT = timedelta(minutes=10)
"""How long a GPU waits for the others, which agreed over gloo just before that they are there."""
ALWAYS = timedelta(days=36500)
REPORT_SECONDS = 3.0  # time in which every live rank notices that another is lost, and reports to the store


@dataclass
class Ranks:
    """This process among those that work together; alone by default."""

    rank: int = 0
    size: int = 1
    store: "Store | None" = None  # the launcher's key-value store, which outlives a rank
    ring: "ProcessGroup | None" = None  # where they compute on GPUs: see `watch_ring`
    nccl: "ProcessGroup | None" = None  # of tensors on GPUs; all else goes over gloo

    @property
    def is_main(self) -> bool:
        """Whether this rank prints and writes."""
        return self.rank == 0

    def all_reduce(self, tensor: Tensor, operation: Literal["SUM", "MAX", "MIN"] = "SUM") -> None:
        """Replace `tensor` by its reduction over the ranks. Raises RankError where one of them is lost."""
        if self.size > 1:
            with naming_lost_ranks(self):
                group = self.nccl if tensor.is_cuda else None
                distributed.all_reduce(tensor, getattr(distributed.ReduceOp, operation), group)

    def any(self, *flags: bool) -> list[bool]:
        """Return each flag as true if it is on any rank, without waiting for the devices."""
        if self.size == 1:
            return list(flags)
        tensor = torch.tensor(flags, dtype=torch.int32)
        self.all_reduce(tensor, "MAX")
        return [bool(flag) for flag in tensor]

    def min(self, value: int) -> int:
        """Return the smallest `value` of any rank."""
        tensor = torch.tensor(value)
        self.all_reduce(tensor, "MIN")
        return int(tensor)

    def gather(self, value: T) -> list[T]:
        """Return the `value` of every rank, in order."""
        values = [value] * self.size
        if self.size > 1:
            with naming_lost_ranks(self):
                distributed.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        self.any(False)

    def take(self) -> int:
        """Return the smallest number, from 0, that no rank has taken. Raises RankError where the store is lost."""
        assert self.store is not None
        with naming_lost_ranks(self):
            return self.store.add("taken", 1) - 1

    def check_equal(self, values: Mapping[str, object], hint: str) -> None:
        """Raise ArtifactError, on every rank, where one of the `values` is not the same on all of them."""
        of_ranks = self.gather(values)
        for name in values:
            if len({each[name] for each in of_ranks}) > 1:
                found = ", ".join(f"{each[name]} on rank {rank}" for rank, each in enumerate(of_ranks))
                raise ArtifactError(f"the processes of this job differ in their {name}: {found}", hint=hint)


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the ranks that torchrun started; alone where it did not start this process.

    Raises RankError in the block where another rank dies.
    """
    if not distributed.is_available() or "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Ranks()
        return
    store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
    # The store may outlive a restart, with the addresses of dead ranks: each attempt has keys of its own.
    attempt = "/".join(os.environ[name] for name in ("TORCHELASTIC_RESTART_COUNT", "MASTER_PORT", "WORLD_SIZE"))
    store = PrefixStore(f"nmt/{attempt}", store)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    ranks = Ranks(rank, size, store)
    try:
        yield ranks
    finally:
        leave(ranks)


@contextmanager
def joined_gpus(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Let `ranks` reduce tensors on GPUs over NCCL in the block, where their `device` is one.

    Where a rank is lost, the kernels of NCCL of the others never end: `watch_ring` ends those processes.
    """
    if ranks.size == 1 or device.type != "cuda":
        yield
        return
    ranks.barrier()  # NCCL would wait in vain for a rank that is not there
    ranks.ring = distributed.new_group(timeout=ALWAYS, backend="gloo")
    watch = Thread(target=watch_ring, args=(ranks, ranks.ring), daemon=True)
    watch.start()
    with naming_lost_ranks(ranks):
        ranks.nccl = distributed.new_group(timeout=NCCL_TIMEOUT, backend="nccl", device_id=device)
    yield
    ranks.barrier()
    distributed.send(torch.zeros(1), (ranks.rank + 1) % ranks.size, ranks.ring)
    watch.join()
    for group in (ranks.nccl, ranks.ring):
        distributed.destroy_process_group(group)
    ranks.nccl = ranks.ring = None


def watch_ring(ranks: Ranks, ring: "ProcessGroup") -> None:
    """End the process with one line as soon as a rank is lost, whatever the main thread waits for.

    Each rank listens to the one before it, which sends 0 at its end and 1 where another one is lost; a closed
    connection is a loss too. The next rank gets the news.
    """
    news = torch.ones(1)
    with suppress(RuntimeError):
        distributed.recv(news, (ranks.rank - 1) % ranks.size, ring)
    if news:
        with suppress(RuntimeError):
            distributed.send(news, (ranks.rank + 1) % ranks.size, ring)
        console.fail(str(loss(ranks.rank, find_lost(ranks), "a connection was closed")))
        os._exit(RankError.exit_code)


def leave(ranks: Ranks) -> None:
    """Close the connections, so that ranks that wait for this one notice; those of GPUs by the end of the process.

    To close NCCL is to wait for its kernels.
    """
    if ranks.ring is not None:
        atexit.register(end_without_cleanup)
    elif distributed.is_initialized():
        distributed.destroy_process_group()


@contextmanager
def naming_lost_ranks(ranks: Ranks) -> Iterator[None]:
    """Turn the failure of a collective operation into one line that names the lost ranks where they can be found."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        leave(ranks)  # or a third rank, which waits for this one alone, would see no failure and count as lost
        if ranks.ring is not None:
            time.sleep(2 * REPORT_SECONDS)  # where a rank is lost, `watch_ring` ends the process meanwhile
        lost = find_lost(ranks) if ranks.ring is None else []
        raise loss(ranks.rank, lost, str(error)) from error


def loss(rank: int, lost: list[int], cause: str) -> RankError:
    """Return the error of `rank` that names the `lost` ranks, or else the first line of `cause`."""
    what = f"an exchange with the other ranks failed: {cause.partition(chr(10))[0]}"
    if lost:
        who = f"rank{'s' * (len(lost) > 1)} {', '.join(map(str, lost))}"
        what = f"{who} of this job {'are' if len(lost) > 1 else 'is'} gone"
    hint = "the launcher says why; run it again to go on from what was saved"
    return RankError(f"rank {rank}: {what}", hint=hint)


def find_lost(ranks: Ranks) -> list[int]:
    """Return the ranks that do not report within a few seconds after a failure that every live rank sees."""
    if ranks.store is None:
        return []
    end = time.monotonic() + REPORT_SECONDS
    try:
        ranks.store.set(f"alive/{ranks.rank}", "")
        while lost := [rank for rank in range(ranks.size) if not ranks.store.check([f"alive/{rank}"])]:
            if time.monotonic() > end:
                return lost
            time.sleep(0.05)
    except RuntimeError:  # the process that kept the store is gone too
        return []
    return []


def checksum(tensors: Iterable[Tensor]) -> str:
    """Return a digest of float32 `tensors`, from the sum of the bits of each, which its device computes."""
    sums = [tensor.detach().view(torch.int32).sum(dtype=torch.int64) for tensor in tensors]
    return digest(str(torch.stack(sums).tolist()))[:12]
