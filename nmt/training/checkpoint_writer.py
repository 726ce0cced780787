"""Checkpoints written in a thread, from copies of the tensors, while the training goes on."""

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from nmt import console
from nmt.errors import NmtError
from nmt.files import JsonObject
from nmt.training.checkpoint import WEIGHTS, Checkpoints, TensorFiles, TrainingState

Write = Callable[[TrainingState, TensorFiles, JsonObject], object]
FOREGROUND = {"cpu"}
"""Devices whose trainings write without a thread: it would take their cores, and the copies their memory."""


class CheckpointWriter:
    """Writes the checkpoints of a training one at a time, in the order of the calls.

    On a GPU a call first waits for the checkpoint before it, and returns as soon as the tensors are copied; an error of
    the thread is raised by the next call. A kill during a write leaves the older checkpoints as they were.
    """

    def __init__(self, store: Checkpoints, device: torch.device) -> None:
        """Write to `store`; `device` holds the tensors."""
        self.store, self.device = store, device
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[object] | None = None
        self._pinned: dict[tuple[str, str], Tensor] = {}  # by file and name; kept, for it takes long to get them

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Wait for the last checkpoint; where the block has failed, an error of the thread is but a warning."""
        try:
            self.wait()
        except (NmtError, OSError) as late:
            if error is None:
                raise
            console.warn(f"the last checkpoint was not written: {late}")
        finally:
            self._thread.shutdown()

    def save(self, state: TrainingState, tensors: TensorFiles, identity: JsonObject, *, halting: bool = False) -> None:
        """Begin `Checkpoints.save` with copies of all."""
        self._begin(partial(self.store.save, halting=halting), state, tensors, identity)

    def save_best(self, state: TrainingState, weights: Mapping[str, Tensor], identity: JsonObject) -> None:
        """Begin `Checkpoints.save_best` with copies of all."""
        self._begin(
            lambda state, tensors, identity: self.store.save_best(state, tensors[WEIGHTS], identity),
            *(state, {WEIGHTS: weights}, identity),
        )

    def check(self) -> None:
        """Raise the error of a write that has failed, without waiting for one that goes on."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the last checkpoint is whole, and the older ones are deleted. Raises the error of the thread."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _begin(self, write: Write, state: TrainingState, tensors: TensorFiles, identity: JsonObject) -> None:
        self.wait()
        if self.device.type in FOREGROUND:
            write(state, tensors, identity)
            return
        state = copy.deepcopy(state)
        copies = {
            file: {name: self._copy(tensor, (file, name)) for name, tensor in content.items()}
            for file, content in tensors.items()
        }
        copied = None if self.device.type == "cpu" else torch.cuda.current_stream(self.device).record_event()

        def work() -> None:
            if copied is not None:
                copied.synchronize()
            write(state, copies, identity)

        self._pending = self._thread.submit(work)

    def _copy(self, tensor: Tensor, key: tuple[str, str]) -> Tensor:
        """Copy `tensor`; from a GPU into pinned memory, in the order of its work, so that nothing waits."""
        if self.device.type == "cpu":
            return tensor.detach().clone()
        if key not in self._pinned:
            self._pinned[key] = torch.empty_like(tensor, device="cpu").pin_memory()
        return self._pinned[key].copy_(tensor.detach(), non_blocking=True)
