"""The gate of exports: samples, agreement, ties."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ctranslate2")

from nmt.data.encoding.tokenizer import EOS_ID
from nmt.errors import ArtifactError, DataError
from nmt.exporting.parity import Agreement, check, draw_sample, is_tie, read_sample
from nmt.inference.bundle import open_bundle


def test_pieces_are_drawn_again_as_they_were_and_fit_the_model(tiny_model: Path) -> None:
    bundle = open_bundle(tiny_model)
    drawn = draw_sample(bundle)
    assert drawn == draw_sample(bundle)
    assert len(drawn) == 240
    assert {len(ids) for ids in drawn} == {1, 2, 4, 8, 16, 32}
    assert all(EOS_ID < piece < bundle.tokenizer.source_size for ids in drawn for piece in ids)
    short = bundle.config.model.model_copy(update={"max_length": 8})
    object.__setattr__(bundle, "config", bundle.config.model_copy(update={"model": short}))
    assert {len(ids) for ids in draw_sample(bundle)} == {1, 2, 4, 7}


def test_text_without_a_line_for_the_model_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    text = tmp_path / "blank.en"
    text.write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_sample(text, open_bundle(tiny_model))
    assert str(caught.value) == f"{text}: no line that the model takes (give text in the source language)"


def agreements(**changes: Any) -> dict[str, Agreement]:
    found: Agreement = {"lines": 100, "differing": 0, "ties": 2, "score_difference": 1e-5, "bleu": 99.9}
    return {"beam_1": found, "beam_5": {**found, **changes}, "own_settings": {**found, "differing": 3}}  # type: ignore[typeddict-item]


def test_float32_has_to_be_the_same_and_the_others_near() -> None:
    check(agreements(), "float32")
    check(agreements(differing=40, bleu=50.0), "int8")
    check(agreements(lines=0, bleu=0.0), "int8")
    with pytest.raises(ArtifactError) as caught:
        check(agreements(differing=1), "float32")
    assert str(caught.value) == (
        "the export is not kept: at beam 5 it translates 1 of 100 lines differently from the native engine (BLEU "
        "against it 99.9) (use the native engine, or compare on text: --sample FILE)"
    )
    with pytest.raises(ArtifactError) as caught:
        check(agreements(differing=60, bleu=49.94), "int8")
    assert str(caught.value) == (
        "the export is not kept: in int8, at beam 5, its BLEU against the native engine is 49.9 on 100 lines, less "
        "than 50 (choose another --quantization, or compare on text: --sample FILE)"
    )


class Scorer:
    """An engine that finds these log-probabilities."""

    def __init__(self, *scores: list[float]) -> None:
        self.scores = scores

    def score(self, _: Any) -> Iterator[list[list[float]]]:
        yield list(self.scores)


@pytest.mark.parametrize(
    ("first", "second", "tie"),
    [
        ([-1.0, -2.0, -1.0], [-1.0, -1.0, -2.0 - 1e-5], True),  # as likely as a whole
        ([-1.0, -2.0, -1.0], [-1.0, -2.0 + 1e-5, -9.0], True),  # as likely where they part
        ([-1.0, -2.0, -1.0], [-1.0, -2.1, -9.0], False),
    ],
)
def test_a_tie_is_of_whole_hypotheses_or_of_the_pieces_where_they_part(
    first: list[float], second: list[float], tie: bool
) -> None:
    engine: Any = Scorer(first, second)
    assert is_tie(engine, [9], [5, 6], [5, 7]) == tie
