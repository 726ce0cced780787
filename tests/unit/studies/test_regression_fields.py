"""The fields and the grid of the study of in-context regression."""

import pytest
from regression_results import CONFIG, STUDY

from nmt.errors import RecipeError
from nmt.studies.base import configure
from nmt.studies.regression_fields import RegressionConfig


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["examples=4", "fewest_examples=5"], "fewest_examples = 5 must be at most examples = 4"),
        (["d_model=30", "heads=4"], "d_model = 30 must be even, and divisible by heads = 4"),
        (["d_model=9", "heads=3"], "d_model = 9 must be even, and divisible by heads = 3"),
        (["steps=10", "warmup_steps=10"], "warmup_steps = 10 must be under steps = 10"),
    ],
)
def test_fields_that_contradict_each_other_are_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        configure(STUDY, overrides, is_quick=False, seed=None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["layers=0", "masks=both", "networks=rnn", "noise=-1", "noisee=1", "layers=one"])
def test_a_value_out_of_bounds_is_one_line(override: str) -> None:
    with pytest.raises(RecipeError) as caught:
        configure(STUDY, [override], is_quick=True, seed=None)
    assert override.partition("=")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_grid_is_of_kinds_masks_and_layers_after_the_estimators() -> None:
    names = [cell.name for cell in STUDY.cells(CONFIG)]
    grid = [f"lsa,{mask},layers={layers}" for layers in (1, 2) for mask in ("prefix", "causal")]
    assert names == ["estimators", *grid]
    quick = configure(STUDY, ["layers=1,4"], is_quick=True, seed=None)
    assert len(STUDY.cells(quick)) == 1 + 2 * 3 * 2
    assert len(STUDY.cells(RegressionConfig())) == 1 + 7 * 3 * 2
