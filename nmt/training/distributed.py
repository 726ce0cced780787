"""Ranks: the processes that train one model together, started by torchrun."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import Tensor, distributed

from nmt.errors import RankError

if distributed.is_available():  # in most builds of torch
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous
if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

T = TypeVar("T")
TIMEOUT = timedelta(days=2)
"""How long a rank waits for another, which may be reading the data; torchrun ends them all when one dies."""
REPORT_SECONDS = 3.0  # time in which every live rank notices that another is lost, and reports to the store


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone by default."""

    rank: int = 0
    size: int = 1
    store: "Store | None" = None  # the launcher's key-value store, which outlives a rank

    @property
    def is_main(self) -> bool:
        """Whether this rank prints and writes."""
        return self.rank == 0

    def all_reduce(self, tensor: Tensor, operation: Literal["SUM", "MAX", "MIN"] = "SUM") -> None:
        """Replace `tensor` by its reduction over the ranks. Raises RankError where one of them is lost."""
        if self.size > 1:
            with naming_lost_ranks(self):
                distributed.all_reduce(tensor, getattr(distributed.ReduceOp, operation))

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


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the ranks that torchrun started; alone where it did not start this process.

    Raises RankError in the block where another rank dies.
    """
    if not distributed.is_available() or "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Ranks()
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
    # The store may outlive a restart, with the addresses of dead ranks: each attempt has keys of its own.
    attempt = "/".join(os.environ[name] for name in ("TORCHELASTIC_RESTART_COUNT", "MASTER_PORT", "WORLD_SIZE"))
    store = PrefixStore(f"nmt/{attempt}", store)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    try:
        yield Ranks(rank, size, store)
    finally:
        leave()


def leave() -> None:
    """Close the connections, so that ranks that wait for this one notice."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextmanager
def naming_lost_ranks(ranks: Ranks) -> Iterator[None]:
    """Turn the failure of a collective operation into one line that names the lost ranks where they can be found."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        lost = find_lost(ranks)
        who = f"rank{'s' * (len(lost) > 1)} {', '.join(map(str, lost))}" if lost else "another rank"
        raise RankError(
            f"rank {ranks.rank}: {who} of this training {'are' if len(lost) > 1 else 'is'} gone",
            hint="the launcher says why; run it again to go on from the newest checkpoint",
        ) from error


def find_lost(ranks: Ranks) -> list[int]:
    """Return the ranks that do not report within a few seconds after a failure that every live rank sees."""
    if ranks.store is None:
        return []
    leave()  # or a third rank, which waits for this one alone, would see no failure and count as lost
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
