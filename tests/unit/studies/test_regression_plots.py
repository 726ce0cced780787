"""The plots of the studies of regression: which curves they have."""

import numpy as np
from regression_results import CONFIG, STUDY, estimators, network

from nmt.studies.regression_plots import by_norm


def test_each_kind_and_mask_has_a_panel_with_its_networks_and_the_estimators() -> None:
    results = {
        "estimators": estimators(),
        "lsa,prefix,layers=1": network(),
        "lsa,prefix,layers=2": network(0.5),
        "lsa,causal,layers=1": network(),
    }
    pictures = STUDY.plot(CONFIG, results)
    prefix, causal = pictures["by-examples"].axes
    assert (prefix.get_title(), causal.get_title()) == ("lsa, prefix", "lsa, causal")
    gray = ["least squares", "ridge", "one pass of online descent", "gradient descent, 1"]
    labels = {
        line.get_label(): np.asarray(line.get_ydata()).tolist()
        for line in prefix.lines
        if str(line.get_label())[0] != "_"
    }
    assert list(labels) == [*gray, "layers: 1", "layers: 2"]
    assert labels["layers: 2"] == [0.25, 0.125, 0.0625]
    assert labels["gradient descent, 1"] == [4.0, 4.0, 4.0]
    (axes,) = pictures["by-layers"].axes
    curves = {
        line.get_label(): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in axes.lines
    }
    assert curves["lsa, prefix"] == ([1, 2], [0.25, 0.125])
    assert curves["lsa, causal"] == ([1], [0.25])
    assert curves["causal descent, by steps"] == ([1, 2], [7.0, 8.0])
    assert curves["ridge"][1] == [2.0, 2.0]


def test_the_errors_of_an_update_are_drawn_by_norm_without_those_that_diverged() -> None:
    known = {"diverged": None, "error": 0.5, "rates": {"0.1": {"error": 0.25}}}
    (axes,) = by_norm({1.0: known, 2.0: {"diverged": 3}, 4.0: {**known, "error": 0.75}}, [0.1]).axes
    curves = {
        line.get_label(): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in axes.lines
    }
    assert curves == {"of the update": ([1.0, 4.0], [0.5, 0.75]), "of f, rate 0.1": ([1.0, 4.0], [0.25, 0.25])}
