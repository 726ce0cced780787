"""The settings of inference that are no hyper-parameters."""

import pytest
from pydantic import ValidationError

from nmt.config.inference import InferenceConfig
from nmt.errors import UsageError


def test_by_default_the_native_engine_computes_on_one_device() -> None:
    assert InferenceConfig().model_dump() == {
        **{"tags": [], "protect": None, "engine": "native", "export": None},
        **{"device": "auto", "devices": 1, "threads": None},
    }


def test_an_export_is_for_another_engine_than_the_native_one() -> None:
    assert InferenceConfig(engine="ctranslate2", export="x").export == "x"
    with pytest.raises(UsageError, match=r"--export is for another engine .* \(add --engine ctranslate2\)"):
        InferenceConfig(export="x")


@pytest.mark.parametrize(("key", "value"), [("devices", 0), ("threads", 0), ("engine", "abacus"), ("device", "tpu")])
def test_a_value_that_cannot_be_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        InferenceConfig.model_validate({key: value})
