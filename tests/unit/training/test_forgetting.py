"""The guard of a fine-tuning: its scores, its bound, and what is said at the end."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from nmt.config.curriculum import GuardConfig
from nmt.config.training import TrainingConfig
from nmt.data.encoding.dataset import DrawnPairs
from nmt.errors import ArtifactError, ForgottenError
from nmt.training.checkpoint import TrainingState
from nmt.training.forgetting import ForgettingGuard, check_end, is_beyond, lost
from nmt.training.log import TrainingLog
from nmt.training.validation import DevSet, Validation

BLEU = GuardConfig(bound=0.5)


def text(*lines: str) -> DevSet:
    return DevSet([*lines], [*lines], DrawnPairs([np.array([5])], [np.array([5])]))


def config(guard: GuardConfig | None) -> TrainingConfig:
    return TrainingConfig(guard=guard, init_from="m")


def state(start: float | None, score: float | None, **values: object) -> TrainingState:
    return TrainingState(step=30, guard_start=start, guard_score=score, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("guard", "start", "score", "loss", "beyond"),
    [
        (BLEU, 20.0, 19.5, 0.5, False),  # the bound itself may be lost
        (BLEU, 20.0, 19.4999, 0.5001, True),
        (BLEU, 20.0, 21.0, -1.0, False),
        (GuardConfig(metric="loss", bound=0.1), 2.0, 2.1, 0.1, False),
        (GuardConfig(metric="loss", bound=0.1), 2.0, 2.2, 0.2, True),
        (GuardConfig(metric="loss", bound=0.1), 2.0, 1.0, -1.0, False),
        (BLEU, None, None, 0.0, False),
    ],
)
def test_more_than_the_bound_is_beyond_it(
    guard: GuardConfig, start: float | None, score: float | None, loss: float, beyond: bool
) -> None:
    assert lost(state(start, score), guard) == loss
    assert is_beyond(state(start, score), guard) is beyond
    assert not is_beyond(state(20.0, 0.0), None)


def test_the_score_before_is_kept_and_that_of_each_validation_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guard, now = ForgettingGuard(GuardConfig(metric="chrf", bound=1.5), text("a")), TrainingState(step=3)
    path = tmp_path / "log.jsonl"
    with TrainingLog(path, resume_after=0, max_steps=9, tensorboard=None, shown=True) as log:
        guard.begin(now, Validation(2.0, bleu=1.0, chrf=40.0), log)
        assert (now.guard_start, now.guard_score) == (40.0, 40.0)
        guard.compare(now, Validation(2.0, bleu=2.0, chrf=39.0), log)
    assert (now.guard_start, now.guard_score) == (40.0, 39.0)
    expected = {"kind": "guard", "step": 3, "metric": "chrF", "score": 39.0, "start": 40.0}
    assert json.loads(path.read_text(encoding="utf-8")) == expected
    assert capsys.readouterr().err == (
        "train: guard: chrF 40.00 before the fine-tuning, which may lose 1.5\n"
        "step 3: guard chrF 39.00, 40.00 before the fine-tuning\n"
    )


def test_scores_of_another_text_or_metric_are_not_compared() -> None:
    began = TrainingState()
    ForgettingGuard(BLEU, text("a")).bind(began, is_initial=True)
    began.guard_start = 5.0
    ForgettingGuard(GuardConfig(bound=9), text("a")).bind(began, is_initial=True)
    for other in (ForgettingGuard(BLEU, text("b")), ForgettingGuard(GuardConfig(metric="chrf"), text("a"))):
        with pytest.raises(ArtifactError) as caught:
            other.bind(began, is_initial=True)
        assert str(caught.value) == (
            "the guard of this training began with another text: data.guard or training.guard.metric changed "
            "(take another --run-dir, or delete the folder checkpoints to train anew)"
        )


def test_a_guard_is_not_added_to_a_fine_tuning_that_has_begun() -> None:
    guard = ForgettingGuard(BLEU, text("a"))
    for is_initial, began in ((True, TrainingState(step=5)), (False, TrainingState(step=5, stage_ends=[3]))):
        with pytest.raises(ArtifactError, match="this training began without a guard"):
            guard.bind(began, is_initial=is_initial)
    guard.bind(TrainingState(step=5), is_initial=False)  # within the first stage, whose end counts
    guard.bind(TrainingState(), is_initial=True)


def test_a_score_that_is_no_number_is_not_within_the_bound() -> None:
    assert is_beyond(state(20.0, math.nan), BLEU)
    assert not is_beyond(state(20.0, 19.9), BLEU)


def test_the_end_by_the_guard_is_said_with_the_validation_that_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (config(None), config(BLEU)):
        check_end(state(20.0, 19.6), quiet)
    check_end(state(20.0, 19.0, ranked=[(30.0, 20)]), config(BLEU))
    assert capsys.readouterr().err == (
        "train: the guard ended the training at step 30: BLEU 19.00 loses 1.00, more than training.guard.bound = 0.5; "
        "the best validation before is that of step 20\n"
    )


def test_where_no_validation_was_within_the_bound_there_is_nothing_to_bundle() -> None:
    with pytest.raises(ForgottenError) as caught:
        check_end(state(20.0, 19.0), config(BLEU))
    assert caught.value.exit_code == 8
    assert str(caught.value) == (
        "the guard ended the training at its first validation, step 30: BLEU 19.00 loses 1.00, more than "
        "training.guard.bound = 0.5; nothing is bundled (lower optimizer.learning_rate or training.validate_every, or "
        "replay more general text)"
    )
