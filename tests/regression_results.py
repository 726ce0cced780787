"""Results of the study of in-context regression, made up for the tests of its table and plots."""

from typing import Any

from nmt.studies.in_context_regression import InContextRegression
from nmt.studies.regression_fields import RegressionConfig

STUDY = InContextRegression()
SMALL = {"layers": [1, 2], "networks": ["lsa"], "masks": ["prefix", "causal"], "examples": 6, "fewest_examples": 3}
CONFIG = RegressionConfig.model_validate({**SMALL, "descent_steps": 3, "dimension": 2})


def network(factor: float = 1.0) -> dict[str, Any]:
    return {
        "diverged": None,
        "losses": {"3": 0.5 * factor, "6": 0.25 * factor, "12": 0.125 * factor},
        "median": 0.2 * factor,
        "shifted": {"inputs": 4.0 * factor, "weights": 2.0 * factor},
        "distances": {
            "least squares": 0.9,
            "ridge": 0.8,
            "online": 0.7,
            "descent": [0.3, 0.001, 0.2],
            "causal descent": [0.05, 0.4, 0.5],
        },
    }


def estimators() -> dict[str, Any]:
    losses = {
        "least squares": 1.0,
        "ridge": 2.0,
        "online": 3.0,
        "descent": [4.0, 5.0, 6.0],
        "causal descent": [7.0, 8.0, 9.0],
    }
    return {
        "losses": dict.fromkeys(("3", "6", "12"), losses),
        "shifted": dict.fromkeys(("inputs", "weights"), losses),
    }
