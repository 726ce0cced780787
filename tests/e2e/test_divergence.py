"""A loss or a gradient that is off: skipped, counted, left behind by a return to an older checkpoint, or the end."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Result, Run, tree
from torch import Tensor

from nmt.data.cleaning.corpus_text import read_text
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.steps import StepStream
from nmt.training.checkpoint import Checkpoint, Checkpoints, read_checkpoint
from nmt.training.loop import Trainer
from nmt.training.updater import Updater, UpdateResult

STEPS = 40
RECIPE = (
    TINY.replace("max_steps = 200", f"max_steps = {STEPS}")
    .replace("checkpoint_every = 50", "checkpoint_every = 10")
    .replace("validate_every = 100", "validate_every = 20")
)
REASON = "abnormal loss or gradient"


@pytest.fixture(scope="module")
def prepared(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the data once: a folder with the recipe and a run folder, `base`."""
    home = tmp_path_factory.mktemp("divergence")
    (home / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    assert nmt_here("prepare", home / "tiny.toml", "--run-dir", home / "base").code == 0
    return home


@pytest.fixture
def train(nmt_here: Run, prepared: Path) -> Callable[..., Result]:
    """Return what trains in a folder, on from where it stands."""

    def call(folder: Path, *options: str, steps: int = STEPS) -> Result:
        if not folder.exists():
            shutil.copytree(prepared / "base", folder)
        to = ["--set", f"training.max_steps={steps}"]
        return nmt_here("train", prepared / "tiny.toml", "--run-dir", folder, *to, *options)

    return call


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what spoils the sum of some steps; these are told by their data, counted from the first step on."""
    update, apply = Trainer.update, Updater.apply

    def call(places: Iterable[int], spoil: Callable[[Updater[Any]], None], kill_at: int | None = None) -> None:
        here: list[int] = []

        def updating(self: Trainer, step: Any, *rest: Any) -> bool:
            here[:] = [step.epoch * len(self.steps.plan(0)) + step.offset + 1]
            if here[0] == kill_at:
                raise Killed
            return update(self, step, *rest)

        def applying(self: Updater[Any], step: int, **values: Any) -> UpdateResult:
            if here[0] in places:
                spoil(self)
            return apply(self, step, **values)

        monkeypatch.setattr(Trainer, "update", updating)
        monkeypatch.setattr(Updater, "apply", applying)

    return call


def no_number(updater: Updater[Any]) -> None:
    updater.loss_sums[0] = torch.nan


def no_gradient(updater: Updater[Any]) -> None:
    updater.flat_gradient[7] = torch.inf


def far_too_large(updater: Updater[Any]) -> None:
    updater.loss_sums *= 4


def log_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines of a kind in a log, without what depends on time and memory."""
    timed = ("kind", "seconds", "tokens_per_second", "waiting", "memory_mib")
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: line[key] for key in line if key not in timed} for line in lines if line["kind"] == kind]


def checkpoint(folder: Path, step: int) -> Checkpoint:
    return read_checkpoint(folder / "checkpoints" / f"step-{step:08}")


def changed(old: dict[str, Tensor], new: dict[str, Tensor]) -> set[str]:
    """Return the names of the tensors that are not the same bits."""
    return {name for name in old if not torch.equal(old[name].nan_to_num(-1), new[name].nan_to_num(-1))}


@pytest.mark.parametrize(("spoil", "step"), [(no_number, 5), (no_gradient, 5), (far_too_large, 25)])
def test_one_bad_update_is_skipped_and_counted_and_changes_nothing(
    train: Callable[..., Result],
    plant: Callable[..., None],
    tmp_path: Path,
    spoil: Callable[[Updater[Any]], None],
    step: int,
) -> None:
    folder, kept = tmp_path / "run", "training.keep_checkpoints=100"
    plant({step}, spoil)
    seen = 10 * -(-step // 10)
    said = train(folder, "--set", "training.checkpoint_every=1", "--set", kept, steps=seen + 2)
    assert said.code == 0, said.err
    before, after = checkpoint(folder, step - 1), checkpoint(folder, step)
    assert changed(before.weights(), after.weights()) == set()
    assert changed(before.moments(), after.moments()) == {"guard.skipped", "guard.in_a_row"}
    assert after.state.in_a_row == 1
    assert changed(after.weights(), checkpoint(folder, step + 1).weights()) == set(after.weights())

    assert f"step {seen}: 1 update skipped: {REASON}" in said.messages
    assert log_of(folder, "skipped") == [{"step": seen, "updates": 1}]
    assert [line["skipped"] for line in log_of(folder, "train")] == [int(n >= step) for n in range(1, seen + 3)]
    assert log_of(folder, "train")[step - 1]["loss"] is None
    last = checkpoint(folder, seen + 2).state
    assert (last.skipped, last.in_a_row, last.rollbacks) == (1, 0, 0)


def test_a_loss_that_is_large_from_the_beginning_is_not_off(
    train: Callable[..., Result], plant: Callable[..., None], tmp_path: Path
) -> None:
    plant({5}, far_too_large)
    assert train(tmp_path / "run", steps=10).code == 0
    assert log_of(tmp_path / "run", "skipped") == []


ROLLBACK = (
    "step 30: 8 updates skipped in a row; back to step 20, going on with the data that come next",
    [{"step": 30, "to_step": 20}],
)


def test_many_bad_updates_lead_back_once_and_the_data_go_on(
    train: Callable[..., Result], plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(range(23, 31), no_number)
    folder = tmp_path / "run"
    said = train(folder)
    assert said.code == 0, said.err
    assert ROLLBACK[0] in said.messages
    assert log_of(folder, "rollback") == ROLLBACK[1]
    state = checkpoint(folder, STEPS).state
    assert (state.step, state.skipped, state.in_a_row, state.rollbacks) == (STEPS, 8, 0, 1)
    # The data of the ten updates that were taken back are used up too.
    assert state.epoch * len(data_of(folder).plan(0)) + state.offset == STEPS + 10
    assert Checkpoints(folder / "checkpoints", 5).survey()[-1].verdict == "whole"
    assert not (folder / "diverged.jsonl").exists()


def data_of(folder: Path) -> StepStream:
    """Return the order of the training data."""
    return StepStream(PreparedPairs(folder / "prepared" / "ids" / "train"), 1000, 1)


# At a step before the bad ones, among them, just after the return, and after the next checkpoint.
@pytest.mark.parametrize("killed_at", [22, 27, 33, 45])
def test_a_run_killed_around_a_return_ends_with_the_bits_of_one_left_alone(
    train: Callable[..., Result], plant: Callable[..., None], tmp_path: Path, killed_at: int
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    plant(range(23, 31), no_number)
    assert train(whole).code == 0
    plant(range(23, 31), no_number, killed_at)
    with pytest.raises(Killed):
        train(killed)
    plant(range(23, 31), no_number)
    again = train(killed)
    assert again.code == 0, again.err
    assert tree(killed / "checkpoints") == tree(whole / "checkpoints")
    weights = "model/model.safetensors"
    assert (killed / weights).read_bytes() == (whole / weights).read_bytes()
    assert log_of(killed, "rollback") == ROLLBACK[1]
    assert log_of(killed, "skipped") == log_of(whole, "skipped")
    assert log_of(killed, "train") == log_of(whole, "train")


def test_many_bad_updates_again_end_the_training_with_the_sentences_where_it_began(
    train: Callable[..., Result], plant: Callable[..., None], tmp_path: Path
) -> None:
    plant([*range(23, 31), *range(44, 100)], no_number)
    folder = tmp_path / "run"
    said = train(folder)
    assert said.code == 5
    assert ROLLBACK[0] in said.messages
    found = [json.loads(line) for line in (folder / "diverged.jsonl").read_text(encoding="utf-8").splitlines()]
    # The data of place 44 are those of update 34: ten updates were taken back.
    errors = [line for line in said.messages if line.startswith("nmt: ")]
    assert errors == [
        "nmt: abnormal loss or gradient since step 34, in 7 updates in a row again, after a return to an older "
        f"checkpoint; the {len(found)} sentence pairs of that step are in {folder / 'diverged.jsonl'} (likely causes: "
        "learning_rate too high, warmup_steps too short, no clip_norm, or broken pairs)"
    ]
    each = len(data_of(folder).plan(0))
    indices = data_of(folder).plan(43 // each)[43 % each]
    assert [row["pair"] for row in found] == [index + 1 for index in indices.tolist()]
    assert {row["source"] for row in found} <= set(read_text(folder / "prepared" / "text", "train")[0])
    assert {row["target"] for row in found} <= set(read_text(folder / "prepared" / "text", "train")[1])


def test_many_bad_updates_without_a_checkpoint_end_the_training_at_once(
    train: Callable[..., Result], plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(range(4, 100), no_number)
    said = train(tmp_path / "run", "--set", "training.checkpoint_every=1000")
    assert said.code == 5
    assert [line.partition(";")[0] for line in said.messages if line.startswith("nmt: ")] == [
        "nmt: abnormal loss or gradient since step 4, in 7 updates in a row"
    ]
    assert (tmp_path / "run" / "diverged.jsonl").is_file()
    assert log_of(tmp_path / "run", "rollback") == []
    assert not (tmp_path / "run" / "model").exists()


def test_the_checkpoint_of_a_bad_stretch_is_not_one_to_go_back_to(
    train: Callable[..., Result], plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(range(18, 31), no_number)  # the checkpoint after step 20 lies among them
    said = train(tmp_path / "run", "--set", "training.checkpoint_every=4")
    assert said.code == 0, said.err
    assert any(" updates skipped in a row; back to step 16, " in line for line in said.messages)


def test_what_diverges_in_earnest_ends_with_exit_code_5(train: Callable[..., Result], tmp_path: Path) -> None:
    said = train(tmp_path / "run", "--set", "optimizer.learning_rate=1e30", "--set", "optimizer.warmup_steps=1")
    assert said.code == 5
    assert said.messages[-1].startswith("nmt: abnormal loss or gradient since step ")
