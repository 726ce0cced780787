"""The gate of exports: samples, agreement, ties."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ctranslate2")

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.errors import ArtifactError, DataError
from nmt.exporting.parity import Agreement, agreement, check, compare, draw_sample, is_tie, read_sample
from nmt.inference.bundle import open_bundle
from nmt.inference.protocol import Hypothesis, Request


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
    return {"beam_1": found, "beam_5": {**found, **changes}, "own_settings": {**found, "differing": 2}}  # type: ignore[typeddict-item]


def test_float32_has_to_be_the_same_and_the_others_near() -> None:
    check(agreements(), "float32")
    check(agreements(differing=40, bleu=35.0), "int8")
    check(agreements(lines=0, bleu=0.0), "int8")
    with pytest.raises(ArtifactError) as caught:
        check(agreements(differing=1), "float32")
    assert str(caught.value) == (
        "the export is not kept: at beam 5 it translates 1 of 100 lines differently from the native engine (BLEU "
        "against it 99.9) (use the native engine, or compare on text: --sample FILE)"
    )
    with pytest.raises(ArtifactError) as caught:
        check(agreements(differing=60, bleu=34.94), "int8")
    assert str(caught.value) == (
        "the export is not kept: in int8, at beam 5, its BLEU against the native engine is 34.9 on 100 lines, less "
        "than 35 (choose another --quantization, or compare on text: --sample FILE)"
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


class Fixed:
    """An engine that finds these hypotheses, one for each source, which it knows by the first piece."""

    target_limit, batch_tokens, workers = 30, 4096, 1

    def __init__(self, *found: Hypothesis) -> None:
        self.found = found

    def search(self, batches: Any, _: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            yield [[self.found[row.ids[0] - 4]] for row in batch]

    def score(self, batches: Any) -> Iterator[list[list[float]]]:
        for batch in batches:
            yield [[-1.0 - (1e-5 * tgt[0] if src[0] == 5 else tgt[0]), -1.0] for src, tgt in batch]


def test_engines_agree_where_they_find_the_same_or_as_likely_hypotheses() -> None:
    native: Any = Fixed(Hypothesis([4], -1.0), Hypothesis([5], -2.0), Hypothesis([6], -3.0), Hypothesis([7] * 3, -4.0))
    other: Any = Fixed(Hypothesis([4], -1.5), Hypothesis([6], -2.0), Hypothesis([7], -3.0), Hypothesis([7] * 3, -4.1))
    sources = [[4], [5], [6], [7]]
    tokenizer: Any = SimpleNamespace(target=SimpleNamespace(pieces=lambda ids: [f"p{index}" for index in ids]))
    wide = DecodingConfig(beam_size=3, max_extra_length=2)
    found = agreement(native, other, sources, wide, tokenizer)
    # The last one reaches its limit of three pieces with both engines, where only the same is compared.
    assert (found["lines"], found["differing"], found["ties"]) == (4, 1, 1)
    forced: Any = Fixed(*[Hypothesis([4], -1.0)] * 3, Hypothesis([8] * 3, -4.0))
    assert agreement(native, forced, [[7]], wide, tokenizer)["lines"] == 0
    ended: Any = Fixed(*[Hypothesis([4], -1.0)] * 3, Hypothesis([9], -4.0))
    assert agreement(native, ended, [[7]], wide, tokenizer)["differing"] == 1
    assert found["score_difference"] == pytest.approx(0.5)
    greedy = agreement(native, other, sources, DecodingConfig(beam_size=1, max_extra_length=2), tokenizer)
    assert (greedy["lines"], greedy["differing"], greedy["ties"]) == (4, 1, 1)
    same = agreement(native, native, sources, wide, tokenizer)
    assert (same["differing"], same["ties"], same["score_difference"]) == (0, 0, 0.0)
    assert same["bleu"] == 100
    nothing = agreement(native, forced, [[7]], wide, tokenizer)
    assert (nothing["lines"], nothing["bleu"], nothing["score_difference"]) == (0, 100.0, 0.0)


def test_short_translations_are_as_near_as_long_ones() -> None:
    tokenizer: Any = SimpleNamespace(target=SimpleNamespace(pieces=lambda ids: [f"p{index}" for index in ids]))
    found = [Hypothesis([index, index + 1], -1.0) for index in range(4, 24)]
    native: Any = Fixed(*found)
    other: Any = Fixed(Hypothesis([9, 9], -9.0), *found[1:])
    measured = agreement(native, other, [[index] for index in range(4, 24)], DecodingConfig(beam_size=2), tokenizer)
    assert measured["differing"] + measured["ties"] == 1
    assert 90 < measured["bleu"] < 100  # 4-grams, of which there are none, count for nothing


def test_what_is_the_same_is_kept_whatever_its_length() -> None:
    same: Any = Fixed(Hypothesis([], -1.0), Hypothesis([5], -1.0))
    tokenizer: Any = SimpleNamespace(target=SimpleNamespace(pieces=lambda ids: [f"p{index}" for index in ids]))
    for quantization in ("float32", "int8"):
        found = agreement(same, same, [[4], [5]], DecodingConfig(), tokenizer)
        assert found["bleu"] == 100
        check({"beam_1": found, "beam_5": found, "own_settings": found}, quantization)


def test_the_models_own_settings_are_judged_too() -> None:
    found = agreements()
    check(found, "float32")
    found["own_settings"]["differing"] = 3
    with pytest.raises(ArtifactError, match="with the model's own settings it translates 3 of 100 lines differently"):
        check(found, "float32")
    check(found, "int8")
    found["own_settings"]["bleu"] = 34.0
    with pytest.raises(ArtifactError, match="in int8, with the model's own settings, its BLEU against the native"):
        check(found, "int8")


def test_the_searches_compared_are_greedy_a_beam_and_the_bundles_own() -> None:
    seen: list[tuple[int, float]] = []

    class Noting(Fixed):
        def search(self, batches: Any, request: Request) -> Iterator[list[list[Hypothesis]]]:
            seen.append((request.decoding.beam_size, request.decoding.length_penalty))
            return super().search(batches, request)

    bundle: Any = SimpleNamespace(
        config=SimpleNamespace(decoding=DecodingConfig(beam_size=2, length_penalty=1.5)),
        tokenizer=SimpleNamespace(target=SimpleNamespace(pieces=lambda ids: [f"p{index}" for index in ids])),
    )
    engine: Any = Noting(Hypothesis([4], -1.0))
    assert list(compare(engine, engine, [[4]], bundle)) == ["beam_1", "beam_5", "own_settings"]
    assert seen == [(1, 0.0)] * 2 + [(5, 0.0)] * 2 + [(2, 1.5)] * 2
