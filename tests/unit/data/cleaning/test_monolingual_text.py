"""Monolingual text in the text stage: lines that are cleaned as pairs are, of which dev may be split off."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from nmt.config.data import CleaningConfig, DataConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning import corpus_text
from nmt.data.cleaning.corpus_text import TextPlan, iterate_text, sides_of_train, write_text
from nmt.data.cleaning.funnel import TextCounts, show_funnel
from nmt.errors import DataError

EN_DE = LanguagesConfig(source="en", target="de")
LETTERS = [f"{a}{b}" for a in "abcdefgh" for b in "ijklm"]
ENGLISH, GERMAN = [f"a line {x}" for x in LETTERS], [f"eine Zeile {x}" for x in LETTERS]


def text(root: Path, name: str, lines: list[str], language: str = "en", **values: Any) -> dict[str, Any]:
    (root / f"{name}.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return {"language": language, "text": f"{name}.gz", **values}


def pairs(root: Path, name: str, lines: list[tuple[str, str]]) -> dict[str, Any]:
    (root / f"{name}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in lines), encoding="utf-8")
    return {"files": f"{name}.tsv"}


def write(root: Path, data: dict[str, Any], **cleaning: Any) -> tuple[DataConfig, TextCounts]:
    config = DataConfig.model_validate(data)
    plan = TextPlan(config, CleaningConfig.model_validate(cleaning), EN_DE, root, False)
    return config, write_text(plan, root / "text", workers=1)


def lines_of(root: Path, split: str) -> list[str]:
    found = list(iterate_text(root / "text", split))
    assert all(source == target for source, target in found)
    return [source for source, _ in found]


def counted(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def test_lines_are_fixed_filtered_and_counted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = ["fine  here", "", "x" * 30, "fine here", "https://a.org"]
    monolingual = {"en": text(tmp_path, "en", odd), "de": text(tmp_path, "de", ["Gut\0", "gut"], "de")}
    dev = pairs(tmp_path, "dev", [("one", "eins")])
    data, counts = write(tmp_path, {"monolingual": monolingual, "dev": dev}, max_characters=20)
    assert lines_of(tmp_path, "train") == ["fine here", "Gut", "gut"]
    assert counts.train == {"en": 1, "de": 2}
    assert counted(counts.funnels["en"].dropped) == {"empty": 1, "max_characters": 1, "urls": 1, "duplicates": 1}
    assert "copies" not in counts.funnel.dropped
    assert (counts.funnel.read, counts.funnel.kept) == (7, 3)
    assert counted(counts.funnel.mended) == {"control_characters": 1, "whitespace": 1}
    show_funnel("text", counts, data)
    assert [line.partition(";")[0] for line in capsys.readouterr().err.splitlines()] == [
        "text: kept 3 of 7 training lines",
        "text: kept 1 of 5 training lines of en",
        "text: kept 2 of 2 training lines of de",
    ]


def test_both_sides_of_dev_are_lines_that_are_kept_out_of_the_text(tmp_path: Path) -> None:
    monolingual = {
        "en": text(tmp_path, "en", ["one", "two", "ONE!", "eins", "three", "four"]),
        "loose": text(
            tmp_path, "loose", ["Eins.", "two"], "de", cleaning={"drop_leaked_near": False, "drop_duplicates": False}
        ),
    }
    held_out = {"dev": pairs(tmp_path, "dev", [("one", "eins")]), "test": {"t": pairs(tmp_path, "t", [("x", "four")])}}
    _, counts = write(tmp_path, {"monolingual": monolingual, **held_out}, drop_duplicates=False)
    assert lines_of(tmp_path, "train") == ["two", "three", "Eins.", "two"]
    assert lines_of(tmp_path, "dev") == ["one", "eins"]
    assert list(iterate_text(tmp_path / "text", "test.t")) == [("x", "four")]
    assert counted(counts.funnels["en"].dropped) == {"leaked": 3, "leaked_near": 1}
    assert (counts.dev, counts.test, counts.split_off) == (2, {"t": 1}, 0)


def test_dev_is_split_off_the_lines_and_a_test_set_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_text, "SHARD", 7)
    monolingual = {"en": text(tmp_path, "en", ENGLISH, tags=["<en>"]), "de": text(tmp_path, "de", GERMAN, "de")}
    _, counts = write(tmp_path, {"monolingual": monolingual, "dev_pairs": 10})
    dev = [target for _, target in iterate_text(tmp_path / "text", "dev")]
    assert len(dev) == 10
    assert {line[:1] for line in dev} == {"a", "e"}
    train = list(iterate_text(tmp_path / "text", "train"))
    assert sorted([*dev, *(target for _, target in train)]) == sorted([*ENGLISH, *GERMAN])
    assert all(source == (target if target[0] == "e" else f"<en> {target}") for source, target in train)
    assert (counts.dev, counts.test, counts.pairs, counts.split_off) == (10, {}, 70, 10)
    assert not (tmp_path / "text" / "test.held-out").exists()


def test_beside_pairs_dev_and_test_are_split_off_the_pairs_alone(tmp_path: Path) -> None:
    train = pairs(tmp_path, "train", list(zip(ENGLISH, GERMAN, strict=True)))
    lines = text(tmp_path, "de", [*GERMAN, "noch eine"], "de")
    _, counts = write(tmp_path, {"train": train, "monolingual": {"de": lines}, "dev_pairs": 5, "test_pairs": 6})
    drawn = [*iterate_text(tmp_path / "text", "dev"), *iterate_text(tmp_path / "text", "test.held-out")]
    assert len(drawn) == 11
    assert all(source != target for source, target in drawn)
    assert counts.train == {"train": 29, "de": 30}
    assert counted(counts.funnels["de"].dropped) == {"leaked": 11}


def test_a_line_is_on_the_side_of_its_language_for_the_tokenizer(tmp_path: Path) -> None:
    data = {
        "train": pairs(tmp_path, "train", [("one", "eins")]),
        "monolingual": {"en": text(tmp_path, "en", ["two"]), "de": text(tmp_path, "de", ["drei"], "de")},
        "dev": {"files": "dev.tsv"},
        "test": {"t": pairs(tmp_path, "dev", [("x", "y")])},
    }
    config, _ = write(tmp_path, data)
    assert [list(side) for side in sides_of_train([tmp_path / "text" / "train"], config, EN_DE)] == [
        ["one", "two"],
        ["eins", "drei"],
    ]


def test_the_script_of_a_line_is_that_of_its_language(tmp_path: Path) -> None:
    lines = ["Привет", "hello"]
    data = {
        "monolingual": {"en": text(tmp_path, "a", lines), "ru": text(tmp_path, "b", lines, "ru")},
        "dev": pairs(tmp_path, "dev", [("x", "y")]),
    }
    plan = TextPlan(
        DataConfig.model_validate(data),
        CleaningConfig(min_script=0.5, drop_duplicates=False),
        LanguagesConfig(source="en", target="ru"),
        tmp_path,
        False,
    )
    write_text(plan, tmp_path / "text", workers=1)
    assert lines_of(tmp_path, "train") == ["hello", "Привет"]


def test_too_few_lines_to_split_off_dev_are_one_clear_error(tmp_path: Path) -> None:
    lines = {"en": text(tmp_path, "en", ["one", "two", "two"])}
    with pytest.raises(DataError, match=r"^2 different training lines are too few to split off dev 2: at most half"):
        write(tmp_path, {"monolingual": lines, "dev_pairs": 2})


def test_no_line_left_is_one_clear_error(tmp_path: Path) -> None:
    data = {"monolingual": {"en": text(tmp_path, "en", ["one"])}, "dev": pairs(tmp_path, "dev", [("x", "y")])}
    with pytest.raises(DataError, match=r"^en\.gz: no training line is left of 1; dropped: empty 0, min_characters 1"):
        write(tmp_path, data, min_characters=9)
