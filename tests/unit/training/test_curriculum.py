"""The stages of a training: their weights, when each ends, and their learning rates."""

from typing import Any

import pytest

from nmt.config.recipe import Recipe
from nmt.training.checkpoint import TrainingState
from nmt.training.curriculum import Curriculum, began

PAIRS = {"large": 300, "small": 100}
STAGES: list[dict[str, Any]] = [
    {"name": "all", "steps": 30},
    {"name": "wait", "patience": 2, "corpora": ["small"]},
    {"name": "mixed", "steps": 10, "corpora": {"small": 1, "large": 0.2}, "learning_rate_factor": 0.5},
]


def curriculum(stages: list[dict[str, Any]] | None = None, **sections: Any) -> Curriculum:
    training = {"max_steps": 100, **sections.pop("training", {}), "stages": stages or []}
    data = sections.pop("data", {"train": {"large": {"files": "a.tsv"}, "small": {"files": "b.tsv", "weight": 2}}})
    recipe = {"name": "x", "languages": {"source": "en", "target": "de"}, "data": data, "training": training}
    return Curriculum(Recipe.model_validate({**recipe, **sections}), PAIRS)


def at(step: int, *ends: int, **values: Any) -> TrainingState:
    return TrainingState(step=step, stage_ends=[*ends], **values)


def test_a_stage_sees_its_corpora_alone_by_its_weights_or_those_of_the_data() -> None:
    three = curriculum(STAGES)
    assert [three.weights(stage) for stage in three.stages] == [
        {"large": 1, "small": 2},
        {"large": 0, "small": 2},
        {"large": 0.2, "small": 1},
    ]
    assert three.shares(three.stages[2])["large"] == {"pairs": 300, "weight": 0.2, "share": pytest.approx(60 / 160)}


def test_the_replayed_share_is_one_of_the_corpora_of_the_stage() -> None:
    data = {"train": {"large": {"files": "a.tsv", "replay": 0.5}, "small": {"files": "b.tsv"}}}
    stages = [{"name": "all", "steps": 90}, {"name": "alone", "steps": 10, "corpora": ["large"]}]
    both = curriculum(stages, data=data)
    assert [both.weights(stage) for stage in both.stages] == [
        {"large": pytest.approx(1 / 3), "small": 1},
        {"large": 1, "small": 0},
    ]


def test_a_stage_ends_by_its_steps_or_its_patience_and_leaves_later_ones_theirs() -> None:
    three = curriculum(STAGES)
    assert [three.last_step(state) for state in (at(0), at(31, 30), at(35, 30, 34))] == [30, 90, 44]
    assert [three.is_over(at(step)) for step in (29, 30)] == [False, True]
    assert [three.is_over(at(33, 30, stage_stale=stale)) for stale in (1, 2)] == [False, True]
    assert three.is_over(at(90, 30))
    assert [three.is_last(state) for state in (at(30), at(33, 30), at(44, 30, 34))] == [False, False, True]
    assert three.title(at(31, 30)) == "stage 2 of 3, wait"


def test_stages_without_a_step_left_are_not_begun() -> None:
    open_end = curriculum([{"name": "a", "patience": 1}, {"name": "b", "patience": 1}])
    assert [open_end.is_last(at(step)) for step in (99, 100)] == [False, True]


def test_a_stage_with_both_ends_by_the_first_of_them() -> None:
    (both) = curriculum([{"name": "a", "steps": 100, "patience": 3}])
    assert [both.is_over(at(50, stage_stale=stale)) for stale in (2, 3)] == [False, True]
    assert both.is_over(at(100))


@pytest.mark.parametrize(
    ("patience", "stale", "expected"), [(None, 1000, False), (2, 1, False), (2, 2, True), (2, 3, True)]
)
def test_without_stages_a_training_ends_after_as_many_validations_as_it_has_patience(
    patience: int | None, stale: int, expected: bool
) -> None:
    whole = curriculum(training={"patience": patience})
    assert not whole.is_given
    assert whole.is_over(at(5, stale=stale)) is expected
    assert whole.is_last(at(5))
    assert [whole.is_over(at(step)) for step in (99, 100)] == [False, True]


def test_the_next_stage_begins_with_a_new_epoch_and_new_patience() -> None:
    three = curriculum(STAGES)
    state = at(30, epoch=4, offset=3, stage_best=(1.0, 2.0), stage_stale=1)
    three.advance(state)
    assert state == at(30, 30, epoch=5)
    assert began(state) == 30
    state = at(34, 30, epoch=7)  # the last epoch is whole
    three.advance(state)
    assert (state.epoch, state.offset, state.stage_ends) == (7, 0, [30, 34])


def test_the_schedule_goes_on_over_the_stages_or_begins_anew() -> None:
    optimizer = {"learning_rate": 1.0, "warmup_steps": 4, "schedule": "linear"}
    stages = [{"name": "a", "steps": 60}, {"name": "b", "steps": 40, "learning_rate_factor": 0.5}]
    on = curriculum(stages, optimizer=optimizer)
    assert on.learning_rate(at(60)) == pytest.approx(41 / 97)
    assert on.learning_rate(at(61, 60)) == pytest.approx(0.5 * 40 / 97)
    anew = curriculum([stages[0], {**stages[1], "restart_schedule": True}], optimizer=optimizer)
    rates = [anew.learning_rate(at(step, 60)) for step in (61, 64, 100)]
    assert rates == [pytest.approx(rate) for rate in (0.125, 0.5, 0.5 / 37)]


def test_the_record_names_the_stages_that_have_begun() -> None:
    three = curriculum(STAGES)
    first, second = three.taken(at(36, 30))
    assert [first[key] for key in ("name", "first", "last")] == ["all", 1, 30]
    assert [second[key] for key in ("name", "first", "last")] == ["wait", 31, 36]
    assert second["corpora"]["small"] == {"pairs": 100, "weight": 2, "share": 1}


def test_shares_are_logged_of_several_corpora(capsys: pytest.CaptureFixture[str]) -> None:
    three = curriculum(STAGES)
    three.log_shares(at(0))
    three.log_shares(at(30, 30), "stage 2 of 3, wait: ")
    Curriculum(three.recipe, {"small": 100}).log_shares(at(0))
    assert capsys.readouterr().err == (
        "train: pairs of an epoch: large 60.0% (weight 1), small 40.0% (weight 2)\n"
        "train: stage 2 of 3, wait: pairs of an epoch: small 100.0% (weight 2)\n"
    )
