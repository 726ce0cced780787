"""The table and the plots of the study of in-context regression."""

from regression_results import CONFIG, STUDY, estimators, network

from nmt.studies.in_context_regression import closest, figure


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
        "median": "0.200",
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
    assert (row["model"], row["median"], row["loss, 3 examples"]) == ("lsa", "diverged: 70", "")
    assert list(row) == list(STUDY.table(CONFIG, {"lsa,causal,layers=2": network()})[0])


def test_figures_and_the_closest_step() -> None:
    assert [figure(value) for value in (0.0, 0.00123, 0.0123, 1.5, 99.96, 1234.0)] == [
        *("0", "0.0012", "0.012", "1.500", "99.960", "1.2e+03")
    ]
    assert closest([0.5, 0.1, 0.3]) == (2, 0.1)
    assert closest([0.5]) == (1, 0.5)


def test_what_is_not_finite_is_named_and_is_never_the_closest() -> None:
    assert figure(None) == "not finite"
    assert closest([None, 0.7]) == (2, 0.7)
    assert closest([None, None]) == (1, None)
    result = network()
    result["shifted"]["inputs"] = result["losses"]["12"] = None
    (row,) = STUDY.table(CONFIG, {"lsa,causal,layers=2": result})
    assert (row["inputs * 2"], row["loss, 12 examples"]) == ("not finite", "not finite")
    assert list(STUDY.plot(CONFIG, {"lsa,causal,layers=2": result})) == ["by-examples", "by-layers"]


def test_plots_are_made_of_what_is_finished() -> None:
    for results in (
        {"lsa,prefix,layers=1": network()},
        {"estimators": estimators()},
        {"lsa,prefix,layers=1": network(), "lsa,causal,layers=1": {"diverged": 3}, "estimators": estimators()},
    ):
        assert list(STUDY.plot(CONFIG, results)) == ["by-examples", "by-layers"]
