"""The settings of inference that are no hyper-parameters."""

import pytest
from pydantic import ValidationError

from nmt.config.inference import AttentionConfig, InferenceConfig
from nmt.errors import UsageError


def test_by_default_the_native_engine_computes_on_one_device() -> None:
    assert InferenceConfig().model_dump() == {
        **{"to": None, "from_": None, "tags": [], "protect": None, "engine": "native", "export": None},
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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"head": 1}, "--head: an alignment is the mean of all heads (leave it out)"),
        ({"measure": "norms"}, "--measure: an alignment is by the weights (leave it out)"),
    ],
)
def test_an_alignment_is_of_the_weights_of_all_heads(values: dict[str, object], message: str) -> None:
    assert AttentionConfig.model_validate({**values, "kind": "cross"}).model_dump().items() >= values.items()
    assert AttentionConfig(kind="alignment", layer=2).measure == "weights"
    with pytest.raises(UsageError) as caught:
        AttentionConfig.model_validate({**values, "kind": "alignment"})
    assert str(caught.value) == message
