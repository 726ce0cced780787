"""A training keeps its number of threads, whatever the environment and the machine that resume it offer."""

from collections.abc import Iterator

import pytest
import torch

from nmt.training import threads
from nmt.training.checkpoint import TrainingState
from nmt.training.distributed import Ranks
from nmt.training.threads import fix_threads


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch have three threads, and the process four cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    yield
    torch.set_num_threads(before)


class TwoRanks(Ranks):
    """This rank and another one, which has two threads."""

    def min(self, value: int) -> int:
        return min(value, 2)


ALONE, BOTH = Ranks(), TwoRanks()
OLDER = "nmt: warning: an older nmt began this run and did not record its threads: now {}; with another number than "
OLDER += "before, rounding differs from an uninterrupted run\n"
OTHER = "nmt: warning: trained with {} threads so far, now with {}: rounding differs from an uninterrupted run\n"


@pytest.mark.parametrize(
    ("state", "asked", "ranks", "count", "said"),
    [
        (TrainingState(), None, ALONE, 3, ""),
        (TrainingState(), None, BOTH, 2, ""),
        (TrainingState(), 4, BOTH, 4, ""),
        (TrainingState(step=5, threads=3), None, BOTH, 3, ""),
        (
            TrainingState(step=5, threads=2),
            None,
            ALONE,
            2,
            "train: computing with 2 threads, as this run began, not 3\n",
        ),
        (TrainingState(step=5, threads=2), 4, ALONE, 4, OTHER.format(2, 4)),
        (TrainingState(step=5, threads=4), 4, ALONE, 4, ""),
        (TrainingState(step=5), None, ALONE, 3, OLDER.format(3)),
        (TrainingState(step=5), 2, ALONE, 2, OLDER.format(2)),
    ],
)
def test_a_training_keeps_its_threads_unless_the_recipe_asks_for_others(
    state: TrainingState, asked: int | None, ranks: Ranks, count: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fix_threads(state, asked, ranks)
    assert (state.threads, torch.get_num_threads()) == (count, count)
    assert capsys.readouterr().err == said


def test_fewer_cores_than_threads_are_slow_but_keep_the_bits(capsys: pytest.CaptureFixture[str]) -> None:
    fix_threads(TrainingState(step=1, threads=5), None, ALONE)
    assert torch.get_num_threads() == 5
    assert capsys.readouterr().err == (
        "nmt: warning: training with 5 threads, as it began, on 4 usable cores: slow, but the bits stay; "
        "training.threads = 4 is faster\n"
    )


@pytest.mark.parametrize(
    ("processes", "number", "given", "is_said"),
    [("2", 1, "1", True), ("4", 1, "1", False), ("1", 1, "1", False), ("2", 2, "1", False), ("2", 1, "2", False)],
)
def test_cores_that_torchrun_leaves_idle_are_named(
    processes: str,
    number: int,
    given: str,
    is_said: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    torch.set_num_threads(number)
    fix_threads(TrainingState(), None, ALONE)
    said = (
        "nmt: warning: each of 2 processes computes with one thread, as torchrun sets it, and 4 cores may be used: "
        "set OMP_NUM_THREADS=2 before a run begins, or training.threads\n"
    )
    assert capsys.readouterr().err == said * is_said
