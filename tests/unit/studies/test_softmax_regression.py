"""The fields, the grid and the table of the study of softmax regression."""

import pytest

from nmt.errors import RecipeError
from nmt.studies.base import configure
from nmt.studies.softmax_regression import SoftmaxRegressionConfig, SoftmaxRegressionStudy

STUDY = SoftmaxRegressionStudy()
CONFIG = SoftmaxRegressionConfig(norms=[0.5, 2.0], rates=[0.1, 1.0])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["d_model=30", "heads=4"], "d_model = 30 must be even, and divisible by heads = 4"),
        (["d_model=9", "heads=3"], "d_model = 9 must be even, and divisible by heads = 3"),
        (["steps=200"], "warmup_steps = 200 must be under steps = 200"),
        (["norms=0.5,x"], "norms.1"),
        (["rates=0"], "rates.0"),
    ],
)
def test_fields_that_are_wrong_are_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        configure(STUDY, overrides, is_quick=False, seed=None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_grid_is_of_norms_written_with_commas() -> None:
    config = configure(STUDY, ["norms=0.5,1,2"], is_quick=True, seed=None)
    assert [(cell.name, cell.norm) for cell in STUDY.cells(config)] == [
        ("norm=0.5", 0.5),
        ("norm=1", 1.0),
        ("norm=2", 2.0),
    ]


def test_the_table_has_a_row_for_each_norm_and_says_where_one_diverged() -> None:
    rates = {rate: {"error": 0.5, "step": 0.25, "attention": 0.125, "bound": 1.0} for rate in ("0.1", "1")}
    known = {"diverged": None, "error": 0.75, "rates": rates}
    first, second = STUDY.table(CONFIG, {"norm=0.5": known, "norm=2": {"diverged": 9}})
    assert first == {
        "norm": "0.5",
        "error of the update": "0.750",
        "rate 0.1: error of f": "0.500",
        "rate 0.1: loss after the step": "0.250",
        "rate 0.1: after the update": "0.125",
        "rate 1: error of f": "0.500",
        "rate 1: loss after the step": "0.250",
        "rate 1: after the update": "0.125",
    }
    assert second == {**dict.fromkeys(first, ""), "norm": "2", "error of the update": "diverged: 9"}
    assert STUDY.table(CONFIG, {"norm=2": known})[0]["norm"] == "2"
    assert list(STUDY.plot(CONFIG, {"norm=2": known})) == ["by-norm"]
