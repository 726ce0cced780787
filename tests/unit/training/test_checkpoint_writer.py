"""Checkpoints in the background: of the values of the call, in order, and no error lost."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.errors import DivergedError, StorageError
from nmt.training import checkpoint, checkpoint_writer
from nmt.training.checkpoint import MOMENTS, WEIGHTS, Checkpoints, TrainingState, read_checkpoint
from nmt.training.checkpoint_writer import CheckpointWriter

IDENTITY = {"data": "abc"}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings on a CPU write in a thread too."""
    monkeypatch.setattr(checkpoint_writer, "FOREGROUND", set())


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", keep=2)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold up each write of a checkpoint until the event is set."""
    is_open, write = threading.Event(), checkpoint.write_checkpoint

    def wait_and_write(*arguments: Any) -> None:
        assert is_open.wait(10), "the gate stayed closed"
        write(*arguments)

    monkeypatch.setattr(checkpoint, "write_checkpoint", wait_and_write)
    yield is_open
    is_open.set()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, *_: Any) -> None:
        raise StorageError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(checkpoint, "write_checkpoint", write)


def tensors(value: float) -> dict[str, dict[str, Tensor]]:
    return {WEIGHTS: {"w": torch.full((2, 3), value)}, MOMENTS: {"exp_avg.w": torch.full((3,), -value)}}


def names(store: Checkpoints) -> list[str]:
    return [path.name for path in store.all_paths()]


def test_a_checkpoint_holds_the_values_of_the_call_whatever_training_does_meanwhile(
    store: Checkpoints, gate: threading.Event
) -> None:
    state, now = TrainingState(step=7, ranked=[(20.0, 5)]), tensors(1)
    with CheckpointWriter(store, CPU) as writer:
        writer.save(state, now, IDENTITY)
        state.step = 8
        state.ranked = []
        for content in now.values():
            for tensor in content.values():
                tensor.zero_()
        assert names(store) == []
        gate.set()
    saved = read_checkpoint(store.folder / "step-00000007")
    assert saved.state == TrainingState(step=7, ranked=[(20.0, 5)])
    assert torch.equal(saved.weights()["w"], tensors(1)[WEIGHTS]["w"])
    assert torch.equal(saved.moments()["exp_avg.w"], tensors(1)[MOMENTS]["exp_avg.w"])


def test_checkpoints_are_written_one_after_another_in_the_order_of_the_calls(
    store: Checkpoints, gate: threading.Event
) -> None:
    with CheckpointWriter(store, CPU) as writer:
        writer.save(TrainingState(step=1), tensors(1), IDENTITY)
        threading.Timer(0.05, gate.set).start()
        writer.save_best(TrainingState(step=2, ranked=[(20.0, 2)]), tensors(2)[WEIGHTS], IDENTITY)
        assert "step-00000001" in names(store), "the second did not wait for the first"
        writer.save(TrainingState(step=3), tensors(3), IDENTITY, halting=True)
        writer.wait()
        assert names(store) == ["step-00000001", "best-00000002", "halt-00000003"]
        writer.save(TrainingState(step=4), tensors(4), IDENTITY)
    assert names(store) == ["step-00000001", "step-00000004"]


@pytest.mark.usefixtures("full_disk")
def test_an_error_of_the_thread_is_raised_once_by_whatever_comes_next(store: Checkpoints) -> None:
    writer = CheckpointWriter(store, CPU)
    line = "step-00000001: cannot be written: No space left on device"
    for following in (
        writer.wait,
        lambda: writer.save(TrainingState(step=2), tensors(2), IDENTITY),
        lambda: writer.save_best(TrainingState(step=2), tensors(2)[WEIGHTS], IDENTITY),
        lambda: writer.__exit__(None, None, None),
    ):
        writer.save(TrainingState(step=1), tensors(1), IDENTITY)
        with pytest.raises(StorageError, match=line):
            following()
        writer.wait()


def test_a_failed_write_is_found_without_waiting_for_the_next_checkpoint(
    store: Checkpoints, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "remove", lambda _: (_ for _ in ()).throw(OSError("disk gone")))
    (store.folder / "halt-00000001").mkdir(parents=True)
    with pytest.raises(OSError, match="disk gone"), CheckpointWriter(store, CPU) as writer:  # noqa: PT012
        writer.save(TrainingState(step=2), tensors(1), IDENTITY)
        writer.check()  # it goes on
        gate.set()
        while True:
            writer.check()


@pytest.mark.usefixtures("full_disk")
def test_where_the_training_has_failed_an_error_of_the_last_checkpoint_is_a_warning(
    store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DivergedError, match="abnormal"), CheckpointWriter(store, CPU) as writer:  # noqa: PT012
        writer.save(TrainingState(step=1), tensors(1), IDENTITY)
        raise DivergedError("abnormal loss")
    path = store.folder / "step-00000001"
    assert capsys.readouterr().err == (
        f"nmt: warning: the last checkpoint was not written: {path}: cannot be written: No space left on device\n"
    )


def test_from_a_gpu_tensors_are_copied_into_pinned_memory_that_is_kept_and_the_thread_alone_waits(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[Tensor] = []
    said: list[str] = []

    class Stream:
        """The stream of a GPU that is busy until somebody waits."""

        def record_event(self) -> "Stream":
            said.append("recorded")
            return self

        def synchronize(self) -> None:
            said.append(threading.current_thread().name)

    def pin_memory(tensor: Tensor) -> Tensor:  # the true one needs a GPU
        pinned.append(tensor)
        return tensor

    def copy(to: Tensor, tensor: Tensor, *, non_blocking: bool) -> Tensor:
        assert non_blocking
        return original(to, tensor)

    original = Tensor.copy_
    monkeypatch.setattr(Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(Tensor, "copy_", copy)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream())
    with CheckpointWriter(store, torch.device("cuda")) as writer:
        for step in (1, 2):
            writer.save(TrainingState(step=step), tensors(step), IDENTITY)
    assert len(pinned) == 2, "memory was pinned again for the second checkpoint"
    assert said == ["recorded", "checkpoint_0"] * 2
    for step in (1, 2):
        saved = read_checkpoint(store.folder / f"step-{step:08}")
        assert torch.equal(saved.weights()["w"], tensors(step)[WEIGHTS]["w"])


def test_on_a_cpu_a_checkpoint_is_whole_when_the_call_returns_and_nothing_is_copied(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(Tensor, "clone", lambda _: pytest.fail("copied"))
    before = threading.active_count()
    with CheckpointWriter(store, CPU) as writer:
        writer.save(TrainingState(step=1), tensors(1), IDENTITY)
        assert (names(store), threading.active_count()) == (["step-00000001"], before)
