"""The fields, the grid and the table of the study of in-context regression."""

import pytest
from regression_results import CONFIG, STUDY, estimators, network

from nmt.errors import RecipeError
from nmt.studies.base import configure
from nmt.studies.in_context_regression import (
    RegressionConfig,
    closest,
    figure,
)


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


def test_the_table_has_losses_and_the_closest_steps_of_networks_then_the_estimators() -> None:
    results = {"lsa,prefix,layers=1": network(), "lsa,causal,layers=2": network(1e3), "estimators": estimators()}
    first, second, *others = STUDY.table(CONFIG, results)
    assert first == {
        "model": "lsa",
        "mask": "prefix",
        "layers": "1",
        "loss, 3 examples": "0.500",
        "loss, 6 examples": "0.250",
        "loss, 12 examples": "0.125",
        "inputs * 2": "4.000",
        "weights * 2": "2.000",
        "steps of gradient descent": "2 (0.001)",
        "steps of causal descent": "1 (0.050)",
        "to ridge": "0.800",
        "to online": "0.700",
    }
    assert (second["mask"], second["layers"], second["loss, 3 examples"]) == ("causal", "2", "5.0e+02")
    assert {row["model"]: row["loss, 6 examples"] for row in others} == {
        "least squares": "1.000",
        "ridge": "2.000",
        "one pass of online descent": "3.000",
        "gradient descent, 1": "4.000",
        "gradient descent, 2": "5.000",
        "causal descent, 1": "7.000",
        "causal descent, 2": "8.000",
    }
    assert all(row.keys() == first.keys() for row in (second, *others))


def test_a_network_that_diverged_is_in_the_table() -> None:
    (row,) = STUDY.table(CONFIG, {"lsa,causal,layers=2": {"diverged": 70}})
    assert (row["model"], row["steps of gradient descent"], row["loss, 3 examples"]) == ("lsa", "diverged: 70", "")


def test_figures_and_the_closest_step() -> None:
    assert [figure(value) for value in (0.0, 0.00123, 0.0123, 1.5, 99.96, 1234.0)] == [
        *("0", "0.0012", "0.012", "1.500", "99.960", "1.2e+03")
    ]
    assert closest([0.5, 0.1, 0.3]) == (2, 0.1)
    assert closest([0.5]) == (1, 0.5)


def test_plots_are_made_of_what_is_finished() -> None:
    for results in (
        {"lsa,prefix,layers=1": network()},
        {"estimators": estimators()},
        {"lsa,prefix,layers=1": network(), "lsa,causal,layers=1": {"diverged": 3}, "estimators": estimators()},
    ):
        assert list(STUDY.plot(CONFIG, results)) == ["by-examples", "by-layers"]
