"""The confidence of a translation: its features, and the calibration beside the weights."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from conftest import TinyRun

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import Options
from nmt.errors import ArtifactError, UsageError
from nmt.evaluation.calibration import Fit
from nmt.files import digest_json, read_json, write_json
from nmt.inference.bundle import open_bundle
from nmt.inference.confidence import (
    FEATURES,
    FILE,
    calibration_of,
    features_of,
    no_calibration,
    read_calibration,
    write_calibration,
)
from nmt.inference.translator import Translator

LINES = ["A small dog sleeps.", "", "The woman wants to see the old house.", "Two men"]
FITTED = Fit([-2.0, *[0.0] * 5], [1.0] * 6, [10.0, *[0.0] * 5], [(-20.0, 5.0), (20.0, 95.0)])


@pytest.fixture
def model(tiny: TinyRun, tmp_path: Path) -> Path:
    """Return a bundle whose confidence depends on the mean log-probability alone."""
    model = tiny.copy_model(tmp_path / "model")
    write_calibration(model, calibration_of(FITTED, open_bundle(model), DecodingConfig(beam_size=3), "chrF", 500))
    return model


def test_features_are_of_pieces_and_lengths() -> None:
    found = dict(zip(FEATURES, features_of([-0.1, -2.0, -99.0, -0.5], ["a", "<unk>", "b"], 7.0), strict=True))
    assert found["log_prob"] == pytest.approx((-0.1 - 2.0 - 10.0 - 0.5) / 4)
    assert found["least_log_prob"] == -10.0
    assert found["unsure_pieces"] == 0.5
    assert found["length_ratio"] == pytest.approx(math.log(2))
    assert found["length"] == pytest.approx(math.log(8))
    assert found["spelled"] == pytest.approx(1 / 3)
    assert features_of([-1.0], ["a"] * 199, 1.0)[3] == 2.0


def test_a_calibration_is_read_as_it_was_written(model: Path) -> None:
    calibration = read_calibration(open_bundle(model))
    assert calibration is not None
    assert calibration.fit == FITTED
    assert (calibration.lines, calibration.precision, calibration.beam_size) == (500, "float32", 3)
    assert calibration.confidence(None) == 100.0
    assert calibration.confidence([-2.0, *[9.0] * 5]) == pytest.approx(50.0)


def test_a_translation_has_the_confidence_of_its_features_whatever_the_batch(model: Path) -> None:
    translator = Translator.load(model, device="cpu")
    found = translator.translate(LINES, Options(n_best=2, confidence=True, features=True))
    for translation in found:
        for one in translation.candidates:
            expected = 100.0 if one.features is None else FITTED.predict([one.features])[0]
            assert one.confidence == pytest.approx(expected)
            assert one.token_scores is None
    assert found[1].candidates[0].confidence == 100.0
    plain = translator.translate(LINES, Options(token_scores=True))
    for best, other in zip([each.candidates[0] for each in found], plain, strict=True):
        assert other.candidates[0].confidence is None
        if best.features:
            scores = other.candidates[0].token_scores or []
            assert best.features[0] == pytest.approx(sum(scores) / len(scores), abs=1e-4)
    for line, together in zip(LINES, found, strict=True):
        (alone,) = translator.translate([line], Options(confidence=True))
        assert alone.candidates[0].confidence == pytest.approx(together.candidates[0].confidence, abs=1e-2)


def test_translations_of_little_confidence_are_unsure_and_counted(model: Path) -> None:
    translator = Translator.load(model, device="cpu")
    confidences = [one.candidates[0].confidence or 0 for one in translator.translate(LINES, Options(confidence=True))]
    assert translator.report.unsure == []
    least = sorted(confidences)[1] + 1e-3
    translator.report = type(translator.report)()
    found = translator.translate(LINES, Options(confidence=True, min_confidence=least))
    assert [one.is_unsure for one in found] == [one < least for one in confidences]
    assert translator.report.unsure == [number for number, one in enumerate(confidences, 1) if one < least]
    assert "translations of less than the least confidence: 2" in translator.report.warnings()[-1]


def test_without_a_calibration_there_is_no_confidence(tiny_model: Path) -> None:
    assert read_calibration(open_bundle(tiny_model)) is None
    with pytest.raises(UsageError) as caught:
        Translator.load(tiny_model, device="cpu").translate(LINES, Options(confidence=True))
    assert str(caught.value) == (
        f"{tiny_model}: has no calibration, so no confidence (calibrate it on text that it was not trained on: "
        f"nmt evaluate {tiny_model} --source DEV --reference DEV --calibrate)"
    )
    several = "several models together have no confidence: a calibration is of one (take one model)"
    assert str(no_calibration(None)) == several


def test_several_models_have_no_confidence(model: Path) -> None:
    with pytest.raises(UsageError, match="several models together have no confidence"):
        Translator.load(model, model, device="cpu").translate(LINES, Options(confidence=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "0"}, "fitted for other weights than those beside it"),
        ({"features": ["log_prob"]}, "its features are not those of this nmt"),
        ({"means": [0.0]}, "its features are not those of this nmt"),
        ({"knots": []}, "its features are not those of this nmt"),
        ({"lines": "many"}, "lines: "),
        ({"unheard": 1}, "unheard: "),
    ],
)
def test_a_calibration_of_something_else_is_refused(model: Path, change: dict[str, Any], message: str) -> None:
    values = read_json(model / FILE)
    del values["digest"]
    write_json(model / FILE, {**values, **change, "digest": digest_json({**values, **change})})
    with pytest.raises(ArtifactError) as caught:
        read_calibration(open_bundle(model))
    assert str(caught.value).startswith(f"{model / FILE}: {message}")
    assert f"make it again: nmt evaluate {model}" in str(caught.value)


def test_a_damaged_calibration_is_refused(model: Path) -> None:
    values = json.loads((model / FILE).read_text(encoding="utf-8"))
    (model / FILE).write_text(json.dumps({**values, "lines": 7}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="damaged: its digest is not that of its content"):
        Translator.load(model, device="cpu")
