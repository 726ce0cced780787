"""A line that is observed is translated as ever, and its attention is that of its own segments."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config.inference import AttentionConfig, Options
from nmt.data.placeholders import Protector
from nmt.errors import DataError, UsageError
from nmt.inference.engines.native import NativeEngine
from nmt.inference.observed import attention_maps, observe
from nmt.inference.protocol import length_penalty
from nmt.inference.report import Report
from nmt.inference.translator import Translator

LINE = "The old woman sees a small dog."
LONGER = f"A child sings. {LINE} The man reads. A child sings."


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Translator:
    return Translator.load(tiny_model, device="cpu", decoding={"segments": "sentence"})


@pytest.fixture
def translator(loaded: Translator) -> Translator:
    """Return the tiny model, for which each sentence is a segment, with an empty report."""
    loaded.report = Report()
    return loaded


@pytest.mark.parametrize(("line", "count"), [(LINE, 1), (LONGER, 4)])
def test_the_translation_is_that_of_the_translator_which_stays_as_it_is(
    translator: Translator, line: str, count: int
) -> None:
    engine = translator.engine
    seen = observe(translator, line)
    assert translator.engine is engine
    assert translator.report == Report()
    (expected,) = translator.translate([line], Options(alignment=True))
    assert (seen.source, seen.best) == (line, expected.candidates[0])
    assert seen.warnings == translator.report.warnings()
    assert len(seen.segments) == count
    tokenizer = translator.tokenizer
    assert tokenizer.source.decode([segment.row.ids for segment in seen.segments]) == [
        one if one.endswith(".") else f"{one}." for one in line.split(". ")
    ]
    assert tokenizer.target.pieces([i for segment in seen.segments for i in segment.best.ids]) == seen.best.pieces
    if count > 1:
        assert seen.warnings[0] == "input lines translated in segments: 1 (line 1)"


def test_the_alignment_is_that_of_the_layer_and_with_placeholders_there_is_none(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert observe(translator, LINE, layer=1).best.alignment == observe(translator, LINE).best.alignment
    with pytest.raises(UsageError, match="there is no decoder layer 2: the model has 1"):
        observe(translator, LINE, layer=2)
    monkeypatch.setattr(translator, "reader", replace(translator.reader, protector=Protector("XYZ", 1)))
    assert observe(translator, LINE, layer=2).best.alignment is None


@pytest.mark.parametrize("line", ["", "  \t", "\n"])
def test_a_blank_text_is_refused(translator: Translator, line: str) -> None:
    with pytest.raises(DataError) as caught:
        observe(translator, line)
    assert str(caught.value) == "the text is blank (give a sentence)"


def test_unknown_pieces_are_counted(translator: Translator) -> None:
    assert observe(translator, "A \u2603 dog and a \u2603.").warnings[0] == (
        "characters of the text that are unknown or spelled in bytes: 2"
    )


def test_the_attention_is_that_of_each_segment_with_its_pieces(translator: Translator) -> None:
    seen = observe(translator, LONGER)
    maps = attention_maps(translator, seen)
    assert len(maps) == 4
    for one, segment in zip(maps, seen.segments, strict=True):
        row, best = segment.row, segment.best
        assert one.source == [*translator.tokenizer.source.pieces(row.ids), "</s>"]
        assert one.target == [*translator.tokenizer.target.pieces(best.ids), "</s>"]
        s, t = len(one.source), len(one.target)
        for by_kind, before in ((one.weights, (1, 2)), (one.norms, (1, 2)), (one.layer_norms, (1,))):
            shapes = {kind: weights.shape for kind, weights in by_kind.items()}
            assert shapes == {"encoder": (*before, s, s), "decoder": (*before, t, t), "cross": (*before, t, s)}
            for weights in by_kind.values():
                np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
            assert not np.triu(by_kind["decoder"], 1).any()
        assert abs(one.norms["cross"] - one.weights["cross"]).max() > 0.01
        (of_engine,) = next(translator.engine.attention([[(row.ids, best.ids)]], 1))
        np.testing.assert_allclose(one.weights["cross"][0].mean(0)[:-1, :-1], of_engine, atol=1e-6)


def test_only_one_model_in_this_process_can_be_observed(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, engine = observe(translator, LINE), translator.engine
    assert isinstance(engine, NativeEngine)
    monkeypatch.setattr(translator, "engine", NativeEngine([*engine.models, *engine.models]))
    with pytest.raises(UsageError) as caught:
        attention_maps(translator, seen)
    assert str(caught.value) == "an ensemble has no attention of its own (take one model)"
    other: Any = object()
    monkeypatch.setattr(translator, "engine", other)
    with pytest.raises(UsageError) as caught:
        observe(translator, LINE)
    assert str(caught.value) == "only the native engine, in one process, shows how it works"


def test_the_json_of_a_search_has_every_candidate_and_the_finished_ones_best_first(translator: Translator) -> None:
    seen = observe(translator, LONGER)
    found = seen.search_json()
    assert (found["source"], found["translation"]) == (LONGER, seen.best.text)
    assert found["score"] == round(seen.best.score, 6) == pytest.approx(sum(one["score"] for one in found["segments"]))
    assert (found["search"]["beam_size"], "batch_tokens" in found["search"]) == (4, False)
    for one, segment in zip(found["segments"], seen.segments, strict=True):
        assert one["source"] == [*translator.tokenizer.source.pieces(segment.row.ids), "</s>"]
        assert [len(step) for step in one["steps"]] == [len(step) for step in segment.steps]
        assert one["steps"][0][0].keys() == {"pieces", "log_probability", "total", "fate", "score"}
        scores = [finished["score"] for finished in one["finished"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == one["score"]
        assert len(scores) <= 4
        for finished in one["finished"]:
            penalty = length_penalty(len(finished["pieces"]), 0.6)
            assert finished["length_penalty"] == pytest.approx(penalty, abs=1e-6)
            assert finished["log_probability"] / penalty == pytest.approx(finished["score"], abs=1e-5)


def test_the_json_of_attention_has_one_kind_layer_or_head_or_all(translator: Translator) -> None:
    seen = observe(translator, LINE)
    (whole,) = seen.attention_json(AttentionConfig())["segments"]
    (maps,) = seen.maps
    assert (whole["source"], whole["target"]) == (maps.source, maps.target)
    measures = {"weights": maps.weights, "norms": maps.norms, "layer_norms": maps.layer_norms}
    for name, expected in measures.items():
        assert whole[name].keys() == expected.keys()
        np.testing.assert_allclose(whole[name]["encoder"], expected["encoder"], atol=1e-6)
    (one,) = seen.attention_json(AttentionConfig(kind="cross", layer=1, head=2))["segments"]
    assert one["weights"] == {"cross": [[whole["weights"]["cross"][0][1]]]}
    assert one["norms"] == {"cross": [[whole["norms"]["cross"][0][1]]]}
    assert one["layer_norms"] == {"cross": whole["layer_norms"]["cross"]}
    alone = seen.attention_json(AttentionConfig(kind="alignment"))
    assert (alone["alignment"], [alone["segments"][0][name] for name in measures]) == (seen.best.alignment, [{}] * 3)


def test_a_picture_without_an_alignment_is_refused(translator: Translator) -> None:
    seen = observe(translator, LINE)
    assert seen.picture(AttentionConfig(kind="alignment"), "svg").startswith(b"<?xml")
    without = replace(seen, best=replace(seen.best, alignment=None))
    with pytest.raises(UsageError) as caught:
        without.picture(AttentionConfig(kind="alignment"), "svg")
    assert str(caught.value) == "an alignment and placeholders exclude each other (add --protect none)"


def test_characters_without_a_font_are_those_that_the_picture_writes(translator: Translator) -> None:
    seen = observe(translator, "A \U00012000 dog")
    assert seen.without_font("alignment") == "\U00012000"
    assert seen.without_font("cross") == ""  # it is spelled in bytes
