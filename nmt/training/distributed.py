"""Ranks: the processes that train one model together, started by torchrun."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nmt.errors import RankError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

PATIENCE = timedelta(days=2)
"""How long a rank waits for another, which may be reading the data; torchrun ends them all when one dies."""
ANSWER = 3.0
"""Seconds in which every rank that lives notices that another is gone, and says so."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone by default."""

    rank: int = 0
    size: int = 1
    store: Store | None = None
    """What the launcher lets them share; it outlives a rank."""

    @property
    def is_main(self) -> bool:
        """Tell whether this rank prints and writes."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> None:
        """Replace `tensor` by its sum over the ranks."""
        if self.size > 1:
            with naming_the_dead(self):
                torch.distributed.all_reduce(tensor)

    def any(self, *flags: bool) -> list[bool]:
        """Return each flag as true if it is on any rank; the devices are not waited for."""
        if self.size == 1:
            return list(flags)
        found = torch.tensor(flags, dtype=torch.int32)
        with naming_the_dead(self):
            torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return [bool(flag) for flag in found]

    def smallest(self, value: int) -> int:
        """Return the least `value` of any rank."""
        found = torch.tensor(value)
        if self.size > 1:
            with naming_the_dead(self):
                torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MIN)
        return int(found)

    def gather(self, value: Any) -> list[Any]:
        """Return the `value` of every rank, in order."""
        found = [value] * self.size
        if self.size > 1:
            with naming_the_dead(self):
                torch.distributed.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Wait until every rank is here."""
        self.any(False)


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the ranks that torchrun started; alone where it did not start this process.

    Raises RankError in the block where another rank dies.
    """
    if not torch.distributed.is_available() or "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Ranks()
        return
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
    # The store may outlive a restart, with the addresses of the dead: each attempt has keys of its own.
    attempt = "/".join(os.environ[name] for name in ("TORCHELASTIC_RESTART_COUNT", "MASTER_PORT", "WORLD_SIZE"))
    store = PrefixStore(f"nmt/{attempt}", store)
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Ranks(rank, size, store)
    finally:
        leave()


def leave() -> None:
    """Close the connections to the other ranks, who notice where they wait for this one."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def naming_the_dead(ranks: Ranks) -> Iterator[None]:
    """Turn the failure of a collective operation into one line that names the rank that is gone, if it can be found."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        lost = silent(ranks)
        who = f"rank{'s' * (len(lost) > 1)} {', '.join(map(str, lost))}" if lost else "another rank"
        raise RankError(
            f"rank {ranks.rank}: {who} of this training {'are' if len(lost) > 1 else 'is'} gone",
            hint="the launcher says why; run it again to go on from the newest checkpoint",
        ) from error


def silent(ranks: Ranks) -> list[int]:
    """Return the ranks that do not answer within a few seconds, after a failure that all who live see too."""
    if ranks.store is None:
        return []
    leave()  # or a third one, who waits for this one alone, would see nothing and count as gone
    end = time.monotonic() + ANSWER
    try:
        ranks.store.set(f"alive/{ranks.rank}", "")
        while lost := [rank for rank in range(ranks.size) if not ranks.store.check([f"alive/{rank}"])]:
            if time.monotonic() > end:
                return lost
            time.sleep(0.05)
    except RuntimeError:  # whoever kept the store is gone too
        return []
    return []
