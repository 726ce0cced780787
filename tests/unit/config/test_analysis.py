"""The settings of an evaluation in depth."""

import pytest

from nmt.config.analysis import AnalysisConfig
from nmt.errors import UsageError


def test_nothing_is_told_beside_scores_by_default() -> None:
    assert AnalysisConfig().model_dump() == {
        **{"analysis": False, "training_source": [], "labels": [], "scores": [], "robustness": False},
        **{"confidence": False, "calibrate": False},
    }
    assert AnalysisConfig(analysis=True, labels=["a"], training_source=["b"], scores=["c"]).labels == ["a"]


@pytest.mark.parametrize(("key", "option"), [("training_source", "--training-source"), ("labels", "--labels")])
def test_files_of_an_analysis_need_one(key: str, option: str) -> None:
    with pytest.raises(UsageError, match=rf"^{option} groups the lines of an analysis \(add --analysis\)$"):
        AnalysisConfig.model_validate({key: ["a"]})


def test_a_confidence_is_not_judged_on_the_lines_that_it_is_fitted_to() -> None:
    with pytest.raises(UsageError) as caught:
        AnalysisConfig(calibrate=True, confidence=True)
    assert str(caught.value) == "--calibrate fits the confidence to these lines (give --confidence other ones)"
