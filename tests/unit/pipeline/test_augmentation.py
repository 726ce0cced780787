"""The stage `augmentation`: when there is one, what it depends on, and what it says."""

from pathlib import Path
from typing import Any

import pytest
from runs import changes, make_run, record

from nmt.pipeline import ids, tokenizer
from nmt.pipeline.augmentation import STAGE, digests_for, is_wanted, say
from nmt.pipeline.manifest import Manifest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record(tmp_path / "run" / "prepared" / "text", **{"train/0": "1", "dev/0": "2"})
    record(tmp_path / "run" / "prepared" / "augmentation", **{"00000.arrow": "3"})
    record(tmp_path / "run" / "tokenizer", **{"tokenizer.model": "4"})
    return tmp_path


def test_without_a_rate_there_is_no_stage_and_nothing_depends_on_it(root: Path) -> None:
    run = make_run(root)
    assert not is_wanted(run)
    assert digests_for(run) == {}
    assert is_wanted(make_run(root, augmentation={"typos": 0.01}))


def test_tokenizer_and_ids_depend_on_the_additional_pairs(root: Path) -> None:
    run = make_run(root, augmentation={"lower": 0.1})
    for stage in (tokenizer.STAGE, ids.STAGE):
        assert stage.inputs(run)["augmentation"] == {"00000.arrow": "3"}
        assert changes(stage, run, make_run(root)) == ["augmentation"]


def test_the_tokenizer_has_marks_where_sources_have_terms(root: Path) -> None:
    plain = make_run(root, augmentation={"lower": 0.1}, tokenizer={"user_defined_symbols": ["<a>", "⟦=⟧"]})
    run = make_run(root, augmentation={"terms": 0.1}, tokenizer={"user_defined_symbols": ["<a>", "⟦=⟧"]})
    assert tokenizer.config_of(run.recipe).user_defined_symbols == ["<a>", "⟦=⟧", "⟦term⟧", "⟦/term⟧"]
    assert tokenizer.config_of(plain.recipe) == plain.recipe.tokenizer
    assert "marks" not in tokenizer.STAGE.inputs(plain)
    assert changes(tokenizer.STAGE, run, plain) == ["marks"]


@pytest.mark.parametrize(
    ("sections", "keys"),
    [
        ({"augmentation": {"lower": 0.2}}, ["augmentation.lower"]),
        ({"augmentation": {"lower": 0.1, "seed": 2}}, ["augmentation.seed"]),
        ({"languages": {"source": "en", "target": "tr"}}, ["languages"]),
        ({"tokenizer": {"user_defined_symbols": ["<sep>"]}}, ["symbols"]),
        ({"cleaning": {"max_pieces": 9}}, []),
        ({"training": {"seed": 2}}, []),
    ],
)
def test_rates_seed_languages_and_symbols_are_inputs(root: Path, sections: dict[str, Any], keys: list[str]) -> None:
    base = make_run(root, augmentation={"lower": 0.1})
    assert changes(STAGE, make_run(root, **{"augmentation": {"lower": 0.1}, **sections}), base) == keys


@pytest.mark.parametrize(
    "sections",
    [{"cleaning": {"max_pieces": 9}}, {"cleaning": {"max_characters": 9}}, {"model": {"max_length": 300}}],
)
def test_limits_are_inputs_where_pairs_are_joined(root: Path, sections: dict[str, Any]) -> None:
    base = make_run(root, augmentation={"join": 0.1})
    assert changes(STAGE, make_run(root, augmentation={"join": 0.1}, **sections), base) == ["limits.a", "limits.b"]


@pytest.mark.parametrize("kind", ["single_words", "copied_tokens", "inline_tags", "terms"])
def test_the_alignment_is_an_input_of_the_kinds_that_need_it(root: Path, kind: str) -> None:
    record(root / "run" / "prepared" / "alignment", **{"train/00000.txt": "5"})
    run = make_run(root, augmentation={kind: 0.1})
    assert STAGE.inputs(run)["alignment"] == {"train/00000.txt": "5"}
    assert ("placeholders" in STAGE.inputs(run)) == (kind == "inline_tags")
    assert "alignment" not in STAGE.inputs(make_run(root, augmentation={"lower": 0.1}))


def test_the_pairs_of_each_kind_are_logged_and_idle_kinds_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = {"upper": {"chosen": 12, "made": 12}, "lower": {"chosen": 9, "made": 4}, "title": {"chosen": 7, "made": 0}}
    say(make_run(tmp_path), Manifest("augmentation", {}, counts={"corpora": {"a": kinds}, "samples": {}}))
    said = capsys.readouterr().err
    assert "augmentation: upper added 12 pairs\n" in said
    assert "augmentation: lower added 4 pairs; 5 drawn ones have nothing to change" in said
    assert "augmentation.title changes none of the 7 pairs drawn for it: leave it out" in said
