"""What training writes down: the log, the means, the time, the lines for people, the panel, TensorBoard."""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nmt import console
from nmt.errors import UsageError
from nmt.training import log as log_module
from nmt.training.checkpoint import TrainingState
from nmt.training.log import LogFile, TrainingLog
from nmt.training.updater import UpdateResult
from nmt.training.validation import Validation


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log_module, "time", clock)
    return clock


def open_log(path: Path | None, **values: Any) -> TrainingLog:
    return TrainingLog(path, **{"resume_after": 0, "max_steps": 2500, "tensorboard": None, "shown": False, **values})


def update(
    log: TrainingLog, clock: Clock, result: UpdateResult, *, waiting: float = 0.0, computing: float = 1.0
) -> None:
    clock.pass_by(waiting)
    log.data_ready()
    clock.pass_by(computing)
    log.add_update(result)


def result(loss: float = 40.0, nll: float = 20.0, norm: float = 1.0, tokens: int = 10) -> UpdateResult:
    return UpdateResult(torch.tensor(loss), torch.tensor(nll), torch.tensor(norm), tokens)


def at(step: int, best: tuple[float, int] | None = None, metric: str = "bleu") -> TrainingState:
    return TrainingState(step=step, epoch=3, metric=metric, ranked=[best] if best else [])


def line(
    log: TrainingLog,
    step: int = 100,
    *,
    memory: int = 0,
    skipped: int = 0,
    tokens_seen: Mapping[str, int] | None = None,
) -> dict[str, float | None]:
    return log.train_line(at(step), 1e-3, memory=memory, skipped=skipped, tokens_seen=tokens_seen or {"train": 1})


def lines(path: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = path.read_text(encoding="utf-8")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_a_resumed_log_drops_the_steps_that_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "run" / "log.jsonl"
    log = LogFile(path, resume_after=0)
    for step in (10, 20, 30):
        log.write({"kind": "train", "step": step, "loss": 1.5})
        log.write({"kind": "dev", "step": step})
    LogFile(path, resume_after=20).write({"kind": "train", "step": 21})
    assert [(line["kind"], line["step"]) for line in lines(path)] == [
        ("train", 10), ("dev", 10), ("train", 20), ("dev", 20), ("train", 21),
    ]  # fmt: skip


@pytest.mark.parametrize("half", ['{"kind": "train", "st', "7", "[]", '{"kind": "train"}', '{"step": "x"}', "\n"])
def test_a_half_written_line_of_the_log_is_dropped(half: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n' + half, encoding="utf-8")
    LogFile(path, resume_after=5).write({"step": 3})
    assert lines(path) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_a_last_line_without_its_line_end_keeps_apart_from_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}', encoding="utf-8")
    LogFile(path, resume_after=5).write({"step": 3})
    assert [line["step"] for line in lines(path)] == [1, 2, 3]


def test_what_is_no_number_is_null_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    LogFile(path, resume_after=0).write({"step": 1, "loss": math.nan, "bleu": -math.inf, "tokens": 7})
    assert lines(path) == [{"step": 1, "loss": None, "bleu": None, "tokens": 7}]


def test_a_line_of_the_log_holds_the_updates_since_the_one_before(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "log.jsonl"
    with open_log(path) as log:
        update(log, clock, result(40.0, 20.0, 1.0, 10), computing=0.5)
        update(log, clock, result(60.0, 40.0, 3.0, 30), computing=1.5)
        values = line(log, 100, memory=3 * 2**30, skipped=2)
        update(log, clock, result(10.0, 10.0, 2.0, 10))
        log.train_line(at(101), 2e-3, memory=0, skipped=2, tokens_seen={})
    first = {
        "learning_rate": 1e-3,
        "loss": 2.5,  # over tokens, not over updates
        "perplexity": round(math.exp(60 / 40), 4),
        "gradient_norm": 3.0,
        "tokens": 40,
        "seconds": 2.0,
        "tokens_per_second": 20.0,
        "waiting": 0.0,
        "memory_mib": 3072,
        "skipped": 2,
    }
    assert values == first
    logged = lines(path)
    assert logged[0] == {"kind": "train", "step": 100, "epoch": 3, **first}
    assert (logged[1]["loss"], logged[1]["learning_rate"], logged[1]["tokens_per_second"]) == (1.0, 2e-3, 10.0)


def test_of_several_corpora_the_log_says_what_share_of_the_target_pieces_each_had(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "log.jsonl"
    with open_log(path) as log:
        for seen in ({"large": 20, "small": 10, "unseen": 0}, {"large": 0, "small": 0, "unseen": 0}, {"only": 7}):
            update(log, clock, result())
            line(log, tokens_seen=seen)
    assert [line.get("corpora") for line in lines(path)] == [
        {"large": 0.6667, "small": 0.3333, "unseen": 0.0},
        {"large": 0.0, "small": 0.0, "unseen": 0.0},
        None,
    ]


def test_waiting_is_the_share_of_the_time_until_the_data_came(clock: Clock) -> None:
    with open_log(None) as log:
        clock.pass_by(0.5)
        log.data_ready()
        clock.pass_by(1.5)
        log.add_update(result(tokens=80))
        clock.pass_by(100.0)  # a validation
        log.start_lap()
        update(log, clock, result(tokens=20), waiting=0.5, computing=1.5)
        first = line(log)
        clock.pass_by(100.0)  # a checkpoint
        log.start_lap()
        update(log, clock, result(tokens=10), waiting=0.0, computing=1.0)
        second = line(log)
    assert (first["waiting"], first["tokens_per_second"]) == (0.25, 25.0)
    assert (second["waiting"], second["tokens_per_second"]) == (0.0, 10.0)


def test_the_time_before_the_journal_opens_is_not_training(clock: Clock) -> None:
    log = open_log(None)
    clock.pass_by(60.0)
    with log:
        update(log, clock, result(tokens=10), computing=2.0)
        assert line(log)["tokens_per_second"] == 5.0


def test_the_work_that_reading_waits_for_is_computing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    read = torch.Tensor.tolist

    def slow(tensor: torch.Tensor) -> Any:
        clock.pass_by(1.0)
        return read(tensor)

    with open_log(None) as log:
        update(log, clock, result(tokens=10), waiting=1.0, computing=0.0)
        monkeypatch.setattr(torch.Tensor, "tolist", slow)
        values = line(log)
    assert (values["waiting"], values["tokens_per_second"]) == (0.25, 2.5)


def test_only_a_line_waits_for_the_device(clock: Clock) -> None:
    meta = torch.zeros((), device="meta")  # raises where it is read
    with open_log(None) as log:
        update(log, clock, UpdateResult(meta, meta, meta, 10))
        log.show_step(1)
        log.start_lap()
        with pytest.raises((RuntimeError, NotImplementedError)):
            line(log)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("what", ["loss", "nll", "norm"])
def test_a_skipped_update_counts_in_nothing_but_the_time(clock: Clock, what: str, bad: float) -> None:
    skipped: dict[str, Any] = {what: bad}
    with open_log(None) as log:
        update(log, clock, result(40.0, 20.0, 1.5, 20))
        update(log, clock, result(tokens=1000, **skipped))
        values = line(log, skipped=1)
    assert values["loss"] == 2.0
    assert values["perplexity"] == round(math.e, 4)
    assert values["gradient_norm"] == 1.5
    assert values["tokens_per_second"] == 10.0


def test_where_all_updates_were_skipped_the_log_has_null(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.jsonl"
    with open_log(path, tensorboard=tmp_path / "tensorboard", shown=True) as log:
        update(log, clock, result(math.nan, math.nan, math.nan))
        line(log, skipped=1)
    (logged,) = lines(path)
    assert [logged[name] for name in ("loss", "perplexity", "gradient_norm", "tokens_per_second", "skipped")] == [
        None, None, None, 0.0, 1,
    ]  # fmt: skip
    assert capsys.readouterr().err == (
        "step 100 of 2,500: no update taken, all were skipped, 0 target tokens/s, learning rate 1.0e-03, "
        "waiting 0.0%, memory 0.0 GB, skipped updates 1, 40m 00s left\n"
    )
    assert set(curves(tmp_path / "tensorboard")) == {"train/learning_rate", "train/tokens_per_second"}


def test_a_huge_loss_has_a_perplexity_that_is_still_a_number(clock: Clock) -> None:
    with open_log(None) as log:
        update(log, clock, result(1e6, 1e6, 1.0, 1))
        perplexity = line(log)["perplexity"]
    assert perplexity is not None
    assert math.isfinite(perplexity)


def test_validations_and_events_have_lines_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with open_log(path) as log:
        log.dev_line(at(100), Validation(2.0, 31.25, "nrefs:1", 50.125, "nc:6"))
        log.record("rollback", 120, {"to": 100, "loss": math.nan})
        log.say("not in the log")
    assert lines(path) == [
        {"kind": "dev", "step": 100, "loss": 2.0, "perplexity": math.exp(2.0)}
        | {"bleu": 31.25, "signature": "nrefs:1", "chrf": 50.125, "chrf_signature": "nc:6"},
        {"kind": "rollback", "step": 120, "to": 100, "loss": None},
    ]


def test_the_f1_of_brackets_is_logged_before_bleu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_log(tmp_path / "log.jsonl", shown=True) as log:
        log.dev_line(at(100), Validation(2.0, 31.25, "nrefs:1", 50.125, "nc:6", 70.5, 60.25, "lines:all"))
    (line,) = lines(tmp_path / "log.jsonl")
    assert (line["bracket-f1"], line["strict-f1"], line["strict-f1_signature"]) == (70.5, 60.25, "lines:all")
    assert "perplexity 7.39, strict F1 60.25, BLEU 31.25, chrF 50.12" in capsys.readouterr().err


def test_a_journal_without_a_file_writes_and_says_nothing(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_log(None) as log:
        update(log, clock, result())
        log.show_step(1)
        assert line(log)["loss"] == 4.0
        log.dev_line(at(100), Validation(2.0, 31.25, "nrefs:1", 50.125, "nc:6"))
        log.record("rollback", 100, {})
        log.say("said by another process")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_off_a_terminal_there_is_a_plain_line_for_each_of_the_log(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_log(None, shown=True) as log:
        log.show_step(0)
        update(log, clock, result(80.0, 40.0, 0.517, 28), waiting=0.03, computing=2.97)
        log.show_step(100)
        log.train_line(at(100), 1.94e-3, memory=1_700_000_000, skipped=0, tokens_seen={})
        log.dev_line(at(100, (31.204, 100)), Validation(2.5, 31.204, "nrefs:1", 50.125, "nc:6"))
        clock.pass_by(57.0)
        log.start_lap()
        update(log, clock, result(80.0, 40.0, 0.517, 28_000), computing=3.0)
        log.train_line(at(200, (31.204, 100)), 2e-3, memory=1_700_000_000, skipped=1234, tokens_seen={})
        log.dev_line(at(200, (31.204, 100)), Validation(2.6, 30.9, "nrefs:1", 50.125, "nc:6"))
        log.say("so it goes")
    assert capsys.readouterr().err.splitlines() == [
        "step 100 of 2,500: loss 2.857, perplexity 4.17, 9 target tokens/s, learning rate 1.9e-03, gradient norm 0.52, "
        "waiting 1.0%, memory 1.7 GB, 2h 00m left",
        "step 100: dev loss 2.500, perplexity 12.18, BLEU 31.20, chrF 50.12 best so far",
        "step 200 of 2,500: loss 0.003, perplexity 1.00, 9,333 target tokens/s, learning rate 2.0e-03, "
        "gradient norm 0.52, waiting 0.0%, memory 1.7 GB, skipped updates 1,234, best dev BLEU 31.20 at step 100, "
        "20h 07m left",
        "step 200: dev loss 2.600, perplexity 13.46, BLEU 30.90, chrF 50.12",
        "so it goes",
    ]


def test_a_validation_without_translations_has_its_loss_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_log(tmp_path / "log.jsonl", shown=True) as log:
        log.dev_line(at(100, (2.0, 100), "loss"), Validation(2.0))
    assert lines(tmp_path / "log.jsonl") == [{"kind": "dev", "step": 100, "loss": 2.0, "perplexity": math.exp(2.0)}]
    assert capsys.readouterr().err == "step 100: dev loss 2.000, perplexity 7.39 best so far\n"


def test_the_best_may_be_the_loss(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with open_log(None, shown=True) as log:
        update(log, clock, result())
        log.train_line(at(100, (2.41, 50), "loss"), 1e-3, memory=0, skipped=0, tokens_seen={})
    assert ", best dev loss 2.41 at step 50, " in capsys.readouterr().err


def test_the_panel_has_a_row_for_each_kind_of_fact(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[tuple[str, str]]] = []
    monkeypatch.setattr(console.Progress, "show", lambda _, rows: shown.append(list(rows)))
    with open_log(None) as log:
        update(log, clock, result(80.0, 40.0, 0.517, 28), waiting=0.03, computing=2.97)
        log.train_line(at(100), 1.94e-3, memory=1_700_000_000, skipped=0, tokens_seen={})
        log.dev_line(at(100, (31.2, 100)), Validation(2.5, 31.2, "nrefs:1", 50.125, "nc:6"))
        update(log, clock, result(math.nan))
        log.train_line(at(1100, (31.2, 100)), 1.94e-3, memory=1_700_000_000, skipped=1, tokens_seen={})
    assert shown[0] == [
        ("train", "loss 2.857, perplexity 4.17"),
        ("optimizer", "learning rate 1.9e-03, gradient norm 0.52"),
        ("speed", "9 target tokens/s, waiting for data 1.0%"),
        ("memory", "1.7 GB"),
    ]
    dev = [
        ("dev", "loss 2.500, perplexity 12.18, BLEU 31.20, chrF 50.12 at step 100"),
        ("best dev", "BLEU 31.20 at step 100"),
    ]
    assert shown[1] == [shown[0][0], *dev, *shown[0][1:]]
    assert shown[2] == [
        ("train", "no update taken, all were skipped"),
        *dev,
        ("optimizer", "learning rate 1.9e-03"),
        ("speed", "0 target tokens/s, waiting for data 0.0%"),
        ("memory", "1.7 GB"),
        ("skipped", "1 so far"),
    ]


def test_the_time_left_follows_from_the_updates_since_the_start(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[tuple[int, str]] = []
    monkeypatch.setattr(console.Progress, "update", lambda _, done, note: moves.append((done, note)))
    with open_log(None, resume_after=1000) as log:
        log.show_step(1000)
        update(log, clock, result(), computing=60.0)
        log.show_step(1001)
        clock.pass_by(60.0)  # a validation
        update(log, clock, result(), computing=30.0)
        log.show_step(1001)  # after a return to step 1000
    assert moves == [(1000, ""), (1001, "24h 59m left"), (1001, "31h 13m left")]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read back what TensorBoard would show: points (step, value) by name."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_gets_the_curves(tmp_path: Path, clock: Clock) -> None:
    with open_log(tmp_path / "log.jsonl", tensorboard=tmp_path / "tensorboard") as log:
        update(log, clock, result(40.0, 20.0, 1.5, 20))
        line(log, 100, memory=7, skipped=1)
        log.dev_line(at(100), Validation(2.0, 31.25, "nrefs:1", 50.125, "nc:6"))
        log.record("rollback", 100, {"loss": 7.0})
    found = curves(tmp_path / "tensorboard")
    assert {name: [step for step, _ in points] for name, points in found.items()} == {name: [100] for name in found}
    assert {name: points[0][1] for name, points in found.items()} == pytest.approx(
        {
            "train/loss": 2.0,
            "train/perplexity": math.e,
            "train/learning_rate": 1e-3,
            "train/gradient_norm": 1.5,
            "train/tokens_per_second": 20.0,
            "dev/loss": 2.0,
            "dev/perplexity": math.exp(2.0),
            "dev/bleu": 31.25,
            "dev/chrf": 50.125,
        },
        rel=1e-4,
    )


def test_a_resumed_run_shows_no_step_twice_in_tensorboard(tmp_path: Path, clock: Clock) -> None:
    for number, (resume_after, steps) in enumerate([(0, (10, 20, 30)), (20, (30, 40))]):
        with open_log(None, resume_after=resume_after, tensorboard=tmp_path) as log:
            for step in steps:
                update(log, clock, result(float(step + resume_after), tokens=1))
                line(log, step)
        # TensorBoard reads in the order of the names, which begin with the second of the start; ours is the same.
        (written,) = tmp_path.glob("events.*")
        written.rename(tmp_path / f"{number}.{written.name}")
    assert curves(tmp_path)["train/loss"] == [(10, 10.0), (20, 20.0), (30, 50.0), (40, 60.0)]


def test_tensorboard_that_is_not_installed_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UsageError) as caught:
        open_log(tmp_path / "log.jsonl", tensorboard=tmp_path / "tensorboard")
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        'training.tensorboard = true needs a package that is not installed (pip install -e ".[tensorboard]")'
    )
    assert list(tmp_path.iterdir()) == []
