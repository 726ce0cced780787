"""How the sides of a corpus are judged: no text, the wrong script, or the other way round."""

from pathlib import Path

import pytest

from nmt.advice import sides
from nmt.advice.sides import check_columns, first_problems, looks_swapped, side_problems
from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.errors import DataError
from nmt.tasks.grammar import generate

EN_DE = LanguagesConfig(source="en", target="de")
EN_RU = LanguagesConfig(source="en", target="ru")
PAIRS = list(generate("train", 60, 1))
RUSSIAN = [(f"the cat number {number}", f"кошка номер {number}") for number in range(20)]


def rows(*columns: str) -> str:
    return "".join("\t".join([*columns, *pair]) + "\n" for pair in PAIRS)


def problems(pairs: list[tuple[str, str]], languages: LanguagesConfig = EN_DE) -> list[str]:
    return [problem for problem, _ in side_problems(CorpusConfig(files="x.tmx"), languages, pairs, Path(), {})]


def test_the_sides_of_a_task_are_no_text_and_may_be_equal() -> None:
    pairs = [("1 2 3", "1 2 3")] * 60
    with pytest.raises(DataError):
        problems(pairs)
    assert side_problems(CorpusConfig(task="copy", pairs=60), EN_DE, pairs, Path(), {}) == []


def test_a_score_taken_for_the_source_names_all_columns(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(rows("1.25"), encoding="utf-8")
    config = CorpusConfig(files="a.tsv")
    with pytest.raises(DataError) as caught:
        check_columns(config, EN_DE, tmp_path, {})
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/a.tsv: columns 1 and 2 are read as source and target, but the columns seem to ")
    assert " 1: a score; 2: text in Latin letters, most like en; 3: text in Latin letters, most like de (" in said
    check_columns(config.model_copy(update={"columns": ["2", "3"]}), EN_DE, tmp_path, {})
    (tmp_path / "a.tsv").write_text("score\ten\tde\n" + rows("1.25"), encoding="utf-8")
    check_columns(config, EN_DE, tmp_path, {})


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_a_chosen_column_without_letters_is_an_error_too(tmp_path: Path, name: str) -> None:
    text = "id\ten\tde\n" + rows("17")
    (tmp_path / name).write_text(text.replace("\t", ",") if name == "a.csv" else text, encoding="utf-8")
    config = CorpusConfig(files=name, columns=["id", "de"])
    with pytest.raises(DataError) as caught:
        side_problems(config, EN_DE, [("17", target) for _, target in PAIRS], tmp_path, {})
    said = str(caught.value)
    assert said.startswith(f"{name}: nearly each line of en seems to be a number or an id, such as '17'; the columns ")
    assert "1 'id': a number or an id; 2 'en': text in Latin letters" in said
    assert said.endswith("--columns 2,3 on the command line)")


def test_files_of_one_side_without_letters_are_an_error() -> None:
    config = CorpusConfig(source="a.en", target="a.de")
    with pytest.raises(
        DataError, match=r"^a\.en, a\.de: nearly each line of de seems to be a URL, such as 'http://a\.b'$"
    ):
        side_problems(config, EN_DE, [(source, "http://a.b") for source, _ in PAIRS], Path(), {})
    assert side_problems(config, EN_DE, [("1", "eins")] * 9, Path(), {}) == []


def test_one_text_given_for_both_sides_is_said() -> None:
    copies = [(f"A dog of {number} years.",) * 2 for number in range(20)]
    assert problems(copies) == ["nearly each pair has the same text on both sides"]
    assert problems([*copies[:2], *generate("train", 18, seed=1)]) == []


def test_swapped_sides_are_said_by_script_and_by_language() -> None:
    assert problems(PAIRS) == problems(RUSSIAN, EN_RU) == []
    swapped = "source and target look swapped: most pairs are "
    assert problems([pair[::-1] for pair in PAIRS]) == [f"{swapped}de-en"]
    assert problems([pair[::-1] for pair in RUSSIAN], EN_RU) == [f"{swapped}ru-en"]
    mixed = [*PAIRS[:21], *(pair[::-1] for pair in PAIRS[21:])]
    assert not looks_swapped(mixed, EN_DE)
    assert looks_swapped(mixed[5:], EN_DE)
    assert not looks_swapped([pair[::-1] for pair in RUSSIAN[:9]], EN_RU)


def test_scripts_tell_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "share_swapped", lambda *_: None)
    assert problems([pair[::-1] for pair in PAIRS]) == []
    assert problems([pair[::-1] for pair in RUSSIAN], EN_RU) != []


def test_one_side_in_another_script_is_named() -> None:
    both = [(source, source) for source, _ in RUSSIAN]
    assert problems(both, EN_RU) == [
        "only 0% of the lines of ru are in a script of that language, most letters are LATIN"
    ]


def test_the_first_pairs_of_files_are_judged_but_not_test_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.tsv").write_text("".join(f"{target}\t{source}\n" for source, target in PAIRS), encoding="utf-8")
    assert [tip for _, tip in first_problems(CorpusConfig(files="a.tsv"), EN_DE)] == [sides.EXCHANGE]
    assert first_problems(CorpusConfig(files="sacrebleu:wmt14"), EN_DE) == []
    monkeypatch.setattr(sides, "PAIRS", 9)
    assert first_problems(CorpusConfig(files="a.tsv"), EN_DE) == []
