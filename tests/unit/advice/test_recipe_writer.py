"""How `nmt init` writes a recipe."""

import tomllib
from pathlib import Path

import pytest

from nmt import console
from nmt.advice import recipe_writer
from nmt.advice.choices import Choice, Choices
from nmt.advice.recipe_writer import (
    choice_text,
    comment,
    corpus_text,
    initialize,
    recipe_head,
    recipe_sections,
    relative_to,
    rough,
    show,
)
from nmt.advice.survey import Machine, PieceLengths, SideSurvey, TextSurvey
from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.toml import load_recipe
from nmt.errors import DataError, UsageError
from nmt.tasks.grammar import generate

CPU = Machine("a CPU of 2 cores", is_gpu=False, is_faster_in_bfloat16=True)
SURVEY = TextSurvey(
    (
        SideSurvey("en", 11.94, 200, 80, {"LATIN": 1.0}, 1.0, "13a", 13.0),
        SideSurvey("el", 9.5, 1250, 90, {"GREEK": 0.9, "LATIN": 0.1}, 1.0, "13a", 10.0),
    ),
    {"a": 29_000, "b": 400},
    1.1,
)


def test_names_are_relative_to_the_recipes_folder_where_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    corpora = {"a": CorpusConfig(source=["a.en"], target="sub/../a.de"), "t": CorpusConfig(files="sacrebleu:wmt14")}
    assert relative_to(tmp_path, corpora) == {
        "a": CorpusConfig(source=["a.en"], target="a.de"),
        "t": CorpusConfig(files="sacrebleu:wmt14"),
    }
    below = relative_to(tmp_path / "sub", corpora)["a"]
    assert (below.source, below.target) == ([str(tmp_path / "a.en")], str(tmp_path / "a.de"))


def test_odd_names_are_escaped() -> None:
    text = corpus_text("train.v1.2", CorpusConfig(files='a "b"\\c\n.tsv'), 5)
    assert text == '[data.train."v1.2"]\n# 5 pairs.\nfiles = "a \\"b\\"\\\\c\\n.tsv"'
    assert tomllib.loads(text)["data"]["train"]["v1.2"]["files"] == 'a "b"\\c\n.tsv'


def test_reasons_are_comments_above_the_keys() -> None:
    assert choice_text(Choice("joint", True, "Because of that.")) == "# Because of that.\njoint = true"


def test_comments_are_wrapped_and_split_no_words() -> None:
    text = comment("word " * 40 + "with-a-hyphen")
    assert [len(line) for line in text.split("\n")] == [111, 105]
    assert comment("x" * 200) == f"# {'x' * 200}"


def test_the_head_names_languages_pairs_and_machine() -> None:
    head = "\n\n".join(recipe_head("mine", LanguagesConfig(source="en", target="el"), SURVEY, CPU))
    assert tomllib.loads(head) == {
        "name": "mine",
        "description": "en to el, 29,400 pairs",
        "languages": {"source": "en", "target": "el"},
    }
    assert "\n# Written by nmt init for these data and a CPU of 2 cores. Every value may be changed; " in head


def test_corpora_come_after_their_section_and_empty_sections_are_left_out() -> None:
    choices: Choices = {
        "data": [Choice("dev_pairs", 9, "So many.")],
        "model": [Choice("norm", "pre", "Stable.")],
        "evaluation": [],
    }
    one = {"x": CorpusConfig(files="x.tsv")}
    assert recipe_sections(choices, one, {}, {"x": 1200}) == [
        "[data]\n# So many.\ndev_pairs = 9",
        '[data.train]\n# 1,200 pairs.\nfiles = "x.tsv"',
        '[model]\n# Stable.\nnorm = "pre"',
    ]
    two = one | {"y": CorpusConfig(source="y.en", target="y.de")}
    assert recipe_sections(choices | {"data": []}, two, {"test.x": one["x"]}, {"x": 1, "y": 2})[:-1] == [
        '[data.train.x]\n# 1 pairs.\nfiles = "x.tsv"',
        '[data.train.y]\n# 2 pairs.\nsource = "y.en"\ntarget = "y.de"',
        '[data.test.x]\nfiles = "x.tsv"',
    ]


def test_facts_and_choices_are_printed_with_the_next_steps(capsys: pytest.CaptureFixture[str]) -> None:
    choices: Choices = {
        "tokenizer": [Choice("vocab_size", 8000, "."), Choice("joint", False, ".")],
        "training": [Choice("patience", 4, "."), Choice("precision", "bfloat16", ".")],
    }
    show(Path("my recipe.toml"), SURVEY, PieceLengths(20.04, 83), choices, CPU)
    assert capsys.readouterr().out.split("\n") == [
        "found: 29,400 training pairs: a 29,000, b 400",
        "found: en: about 350,000 words, 11.9 a line; 99.9% of the lines up to 200 characters; LATIN 100%",
        "found: el: about 280,000 words, 9.5 a line; 99.9% of the lines up to 1,250 characters; GREEK 90%, LATIN 10%",
        "found: a target line has 20.0 pieces; to train on: a CPU of 2 cores",
        'chosen: tokenizer.vocab_size = 8000, tokenizer.joint = false, training.precision = "bfloat16"',
        "wrote my recipe.toml; its comments give the reasons",
        "next: nmt doctor 'my recipe.toml'",
        "then: nmt run 'my recipe.toml'",
        "",
    ]


def test_a_recipe_has_the_vocabulary_that_the_text_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe_writer, "find_machine", lambda: CPU)
    text = "".join(f"the cat {number} sat\tdie Katze {number} saß\n" for number in range(300))
    (tmp_path / "a.tsv").write_text(text, encoding="utf-8")
    initialize("en", "de", ["a.tsv"], [], ["a.tsv"], None, None, force=False)
    recipe = tomllib.loads((tmp_path / "en-de.toml").read_text(encoding="utf-8"))
    assert recipe["tokenizer"]["vocab_size"] == 550
    assert recipe["data"] == {"dev_pairs": 15, "train": {"files": "a.tsv"}, "test": {"a": {"files": "a.tsv"}}}
    with pytest.raises(UsageError, match=r"^en-de\.toml: there is one already \("):
        initialize("en", "de", ["a.tsv"], [], [], None, "en-de", force=False)
    initialize("en", "de", ["a.tsv"], ["a.tsv"], ["a.tsv"], Path("x y.toml"), None, force=True)
    recipe = tomllib.loads((tmp_path / "x y.toml").read_text(encoding="utf-8"))
    assert (recipe["name"], sorted(recipe["data"])) == ("x-y", ["dev", "test", "train"])
    with pytest.raises(UsageError, match=r"^--name a b: a name has letters"):
        initialize("en", "de", ["a.tsv"], [], [], None, "a b", force=False)


def test_columns_are_chosen_for_all_files_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe_writer, "find_machine", lambda: CPU)
    text = "".join(f"1.{number}\tthe cat {number} sat\tdie Katze {number} saß\n" for number in range(300))
    (tmp_path / "a.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(
        DataError, match=r"^a\.tsv: columns 1 and 2 are read as source and target, but the columns seem"
    ):
        initialize("en", "de", ["a.tsv"], [], [], None, None, force=False)
    initialize("en", "de", ["a.tsv"], ["a.tsv"], ["a.tsv"], None, None, False, "2,3")
    data = load_recipe("en-de.toml").recipe.data
    assert data.dev is not None
    assert [corpus.columns for corpus in (data.train["train"], data.dev, data.test["a"])] == [["2", "3"]] * 3
    for side in ("en", "de"):
        (tmp_path / f"b.{side}").write_text("a\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"^--columns 2,3: none of the files has columns \(tsv, csv,"):
        initialize("en", "de", ["b.en", "b.de"], [], [], Path("b.toml"), None, False, "2,3")


def test_bad_units_are_left_out_of_all_memories_and_the_recipe_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe_writer, "find_machine", lambda: CPU)
    unit = '<tu><tuv xml:lang="en"><seg>the cat {0}</seg></tuv><tuv xml:lang="de"><seg>die Katze {0}</seg></tuv></tu>\n'
    units = "".join(unit.format(number) for number in [*range(300), "&"])
    (tmp_path / "a.tmx").write_text(f"<tmx><body>{units}</body></tmx>")
    with pytest.raises(DataError, match=r"^a\.tmx:301: not well-formed XML: .*--skip-bad, leaves such units out"):
        initialize("en", "de", ["a.tmx"], [], [], None, None, force=False)
    initialize("en", "de", ["a.tmx"], ["a.tmx", "a.tmx"], ["a.tmx"], None, None, False, skip_bad=True)
    data = load_recipe("en-de.toml").recipe.data
    assert data.dev is not None
    assert data.dev.files == ["a.tmx", "a.tmx"]
    assert all(corpus.skip_bad for corpus in (data.train["train"], data.dev, data.test["a"]))


def test_swapped_sides_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe_writer, "find_machine", lambda: CPU)
    said: list[str] = []
    monkeypatch.setattr(console, "warn", said.append)
    text = "".join(f"{german}\t{english}\n" for english, german in generate("train", 300, 1))
    (tmp_path / "a.tsv").write_text(text, encoding="utf-8")
    initialize("en", "de", ["a.tsv"], [], [], None, None, force=False)
    assert said[0].startswith("a.tsv: source and target look swapped: most pairs are de-en (exchange ")


def test_rough_numbers_have_two_digits() -> None:
    assert [rough(number) for number in (344_123, 0.2, 7, 99.9)] == ["340,000", "0", "7", "100"]
