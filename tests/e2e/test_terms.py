"""A glossary and phrases to avoid as a user gives them: every command, the page on them, and what is refused."""

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, Run

from nmt import Options, Terms, Translator
from nmt.data.terms import Finder
from nmt.tasks.grammar import generate

PAGE = ROOT / "docs" / "glossaries.md"
CPU = ["--device", "cpu"]
LINES = ["A small dog sleeps.", "", "The woman wants to see the old house.", "The dogs sleep."]
TEXT = "".join(line + "\n" for line in LINES).encode()
GLOSSARY = "dog\tGebäude\nold house\tkleine Katze|alte Frau\nwoman\tHäuser\n"


@pytest.fixture
def glossary(tmp_path: Path) -> Path:
    path = tmp_path / "terms.tsv"
    path.write_text(GLOSSARY, encoding="utf-8")
    return path


def holds(text: str, *phrases: str) -> bool:
    return Finder([*phrases, *(phrase[0].upper() + phrase[1:] for phrase in phrases)]).count(text) > 0


@pytest.mark.parametrize("options", [[], ["--beam-size", "1"], ["--no-repeat-ngram", "1"], ["--precision", "bfloat16"]])
def test_every_line_holds_its_terms(tiny_model: Path, glossary: Path, nmt_here: Run, options: list[str]) -> None:
    said = nmt_here("translate", tiny_model, "--glossary", glossary, *options, *CPU, stdin=TEXT)
    assert said.code == 0
    first, blank, third, fourth = said.lines
    assert holds(first, "Gebäude")
    assert blank == ""
    assert holds(third, "kleine Katze", "alte Frau")
    assert holds(third, "Häuser")
    assert not any("glossary" in message for message in said.messages)
    plain = nmt_here("translate", tiny_model, *options, *CPU, stdin=TEXT)
    assert fourth == plain.lines[3]
    assert [*said.lines[:1], said.lines[2]] != [*plain.lines[:1], plain.lines[2]]


def test_every_hypothesis_holds_them_in_int8_and_in_an_ensemble_too(
    tiny_model: Path, int8_model: Path, glossary: Path, nmt_here: Run
) -> None:
    for models in ([int8_model], [tiny_model, tiny_model]):
        arguments: list[str | Path] = ["--glossary", glossary, "--n-best", "3", "--beam-size", "3", "--format", "jsonl"]
        said = nmt_here("translate", *models, *arguments, *CPU, stdin=TEXT)
        found = [json.loads(line)["hypotheses"] for line in said.lines]
        assert [len(hypotheses) for hypotheses in found] == [3, 1, 3, 3]
        assert all(holds(one["text"], "Gebäude") and one["unmet"] == [] for one in found[0])
        assert all(holds(one["text"], "Häuser") for one in found[2])


@pytest.mark.parametrize("fixture", ["tiny_model", "int8_model"])
def test_a_line_with_terms_does_not_depend_on_the_others(fixture: str, request: pytest.FixtureRequest) -> None:
    lines = [source for source, _ in generate("test", 24, 3)]
    terms = Terms.of({"the": "das alte Haus", "a": ["Hund", "Katze"], "is": "sehr"}, avoid=["Frau", "der"])
    translator = Translator.load(request.getfixturevalue(fixture), device="cpu", terms=terms)
    together = [translation.text for translation in translator.translate(lines)]
    assert [translator.translate([line])[0].text for line in lines] == together
    assert [translation.text for translation in translator.translate(lines[::-1])] == together[::-1]
    assert translator.report.unmet == translator.report.unavoided == []
    assert translator.report.terms
    for width in (1, 2):
        narrow = Translator.load(request.getfixturevalue(fixture), decoding={"beam_size": width}, terms=terms)
        wanted = Options(n_best=width)
        assert all(one.unmet == [] for found in narrow.translate(lines, wanted) for one in found.candidates)


def test_phrases_to_avoid_do_not_come(tiny_model: Path, tmp_path: Path, nmt_here: Run) -> None:
    plain = nmt_here("translate", tiny_model, *CPU, stdin=TEXT).lines
    words = [word for line in plain for word in re.findall(r"\w+", line)]
    (tmp_path / "avoid.txt").write_text("".join(f"{word.upper()}\n" for word in dict.fromkeys(words)), encoding="utf-8")
    for options in ([], ["--beam-size", "1"], ["--sample", "--n-best", "2"]):
        said = nmt_here("translate", tiny_model, "--avoid", tmp_path / "avoid.txt", *options, *CPU, stdin=TEXT)
        assert said.code == 0
        assert not Finder(word.lower() for word in words).count(said.out.lower())
        assert not any("phrase to avoid" in message for message in said.messages)


def test_a_phrase_may_be_avoided_for_a_phrase_of_the_source_alone(
    tiny_model: Path, tmp_path: Path, nmt_here: Run
) -> None:
    first, _, third, fourth = nmt_here("translate", tiny_model, *CPU, stdin=TEXT).lines
    (tmp_path / "avoid.txt").write_text(f"{fourth.split()[0]}\tdogs\n", encoding="utf-8")
    said = nmt_here("translate", tiny_model, "--avoid", tmp_path / "avoid.txt", *CPU, stdin=TEXT).lines
    assert said[:3] == [first, "", third]
    assert not holds(said[3].lower(), fourth.split()[0].lower())


def test_terms_without_room_are_counted(tiny_model: Path, glossary: Path, nmt_here: Run) -> None:
    arguments: list[str | Path] = ["--glossary", glossary, "--max-length-ratio", "0.1", "--format", "jsonl"]
    said = nmt_here("translate", tiny_model, *arguments, *CPU, stdin=TEXT)
    assert "nmt: warning: terms of the glossary that translations lack: 3 (line 1, 3)" in said.messages
    assert json.loads(said.lines[0])["hypotheses"][0]["unmet"] == ["Gebäude"]


def test_a_phrase_to_avoid_in_a_prefix_is_counted(tiny_model: Path, tmp_path: Path, nmt_here: Run) -> None:
    (tmp_path / "avoid.txt").write_text("Hund\n", encoding="utf-8")
    (tmp_path / "begun.de").write_text("Der Hund und\n", encoding="utf-8")
    arguments: list[str | Path] = ["--avoid", tmp_path / "avoid.txt", "--prefix", tmp_path / "begun.de"]
    said = nmt_here("translate", tiny_model, *arguments, *CPU, stdin=b"The dog sleeps.\n")
    assert "nmt: warning: translations that hold a phrase to avoid: 1 (line 1)" in said.messages


def test_a_glossary_of_no_line_is_said(tiny_model: Path, tmp_path: Path, nmt_here: Run) -> None:
    (tmp_path / "terms.tsv").write_text("Hund\tdog\n", encoding="utf-8")
    said = nmt_here("translate", tiny_model, "--glossary", tmp_path / "terms.tsv", *CPU, stdin=TEXT)
    warning = "no line holds a term of the glossary: is its first column in the source language?"
    assert f"nmt: warning: {warning}" in said.messages


def test_a_long_line_has_its_terms_in_each_segment(tiny_model: Path) -> None:
    line = "A small dog sleeps in the old house of the woman. " * 4 + "The dog sees the woman."
    translator = Translator.load(tiny_model, device="cpu", terms=Terms.of({"dog": "Gebäude"}))
    (translation,) = translator.translate([line])
    assert translator.report.segmented == [1]
    assert Finder(["Gebäude"]).count(translation.text) >= 5
    assert translator.report.terms == 5


def test_a_document_and_an_evaluation_keep_to_them(
    tiny_model: Path, glossary: Path, tmp_path: Path, nmt_here: Run
) -> None:
    (tmp_path / "page.html").write_text("<p>A <b>small dog</b> sleeps.</p>", encoding="utf-8")
    arguments: list[str | Path] = ["--glossary", glossary, "--format", "html", "-i", tmp_path / "page.html"]
    assert "Gebäude" in nmt_here("translate", tiny_model, *arguments, *CPU).out
    for name in ("test.en", "test.de"):
        (tmp_path / name).write_bytes(TEXT)
    arguments = ["--source", tmp_path / "test.en", "--reference", tmp_path / "test.de", "-o", tmp_path / "out.de"]
    assert nmt_here("evaluate", tiny_model, *arguments, "--glossary", glossary, *CPU).code == 0
    assert holds((tmp_path / "out.de").read_text(encoding="utf-8").split("\n")[0], "Gebäude")


def test_what_cannot_be_is_said_in_one_line(tiny_model: Path, tmp_path: Path, glossary: Path, nmt_here: Run) -> None:
    odd = tmp_path / "odd.tsv"
    odd.write_text("cat\tKatze\ndog\n", encoding="utf-8")
    use: list[str | Path] = ["translate", tiny_model, *CPU]
    said = nmt_here(*use, "--glossary", odd, stdin=TEXT)
    hint = "a line is SOURCE, TAB, TARGET; several targets stand between |"
    assert said == (3, "", f"nmt: {odd}:2: 1 column in place of 2 ({hint})\n")
    odd.write_text("cat\tKatze\n\u200b\tHund\n", encoding="utf-8")
    said = nmt_here(*use, "--glossary", odd, stdin=TEXT)
    assert said == (3, "", f"nmt: {odd}:2: '\\u200b' is blank to the model\n")
    said = nmt_here(*use, "--glossary", glossary, "--engine", "ctranslate2", stdin=TEXT)
    native = "(take the engine native)"
    assert said == (2, "", f"nmt: the engine ctranslate2 has no glossary and avoids no phrases {native}\n")
    said = nmt_here(*use, "--glossary", glossary, "--glossary-mode", "hard", "--engine", "ctranslate2", stdin=TEXT)
    assert said == (2, "", "nmt: the engine ctranslate2 has no --glossary-mode hard (leave out --engine)\n")
    said = nmt_here(*use, "--glossary", glossary, "--glossary-mode", "soft", stdin=TEXT)
    problem = "the model was not trained for terms, and cannot take them from its source"
    assert said == (2, "", f"nmt: {problem} (take the mode hard, or train with augmentation.terms)\n")
    said = nmt_here(*use, "--glossary-mode", "soft", stdin=TEXT)
    assert said == (2, "", "nmt: --glossary-mode is for --glossary, and there is none (leave it out)\n")
    said = nmt_here(*use, "--avoid", odd, "--engine", "ctranslate2", stdin=TEXT)
    assert said == (2, "", "nmt: the engine ctranslate2 has no --avoid (leave out --engine)\n")
    said = nmt_here(*use, "--glossary", glossary, "--sample", stdin=TEXT)
    hint = "search, or leave out the glossary; a model for terms samples with soft ones"
    assert said == (2, "", f"nmt: hard terms and sampling exclude each other ({hint})\n")
    said = nmt_here("serve", tiny_model, tiny_model, "--glossary", glossary)
    hint = "requests to /v1/translate may bring their own"
    assert said == (2, "", f"nmt: --glossary and --avoid are for one model ({hint})\n")
    said = nmt_here("evaluate", "--hypotheses", glossary, "--reference", glossary, "--glossary", glossary)
    assert said.code == 2
    said = nmt_here(*use, "--glossary", tmp_path / "missing.tsv", stdin=TEXT)
    assert said.code == 3
    assert said.err.startswith(f"nmt: {tmp_path / 'missing.tsv'}")


def test_the_page_runs_as_it_stands(
    tiny_model: Path, tmp_path: Path, nmt_here: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    of = {kind: [text for name, text in blocks if name == kind] for kind in ("tsv", "text", "", "python", "json")}
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "model").symlink_to(tiny_model)
    (tmp_path / "terms.tsv").write_text(of["tsv"][0], encoding="utf-8")
    (tmp_path / "avoid.txt").write_text(of["text"][0], encoding="utf-8")
    text = "The curious chef knows us.\nThe chef sees the house.\n"
    for name in ("text.en", "test.en", "test.de"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "page.html").write_text(f"<p>{text}</p>", encoding="utf-8")
    commands = [line.split() for block in of[""] for line in block.splitlines() if "serve" not in line]
    assert len(commands) == 3
    for _, *words in commands:
        arguments = words[: words.index("<")] if "<" in words else words
        said = nmt_here(*arguments, *CPU, stdin=text.encode(), cwd=tmp_path)
        assert said.code == 0, said.err
        if "<" in words:
            assert all(holds(line, "Küchenchef") for line in said.lines)
            assert holds(said.lines[1], "Gebäude", "Wohnhaus")
    assert holds((tmp_path / "page.de.html").read_text(encoding="utf-8"), "Küchenchef")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(of["python"][0], str(PAGE), "exec"), names)
    first, second = capsys.readouterr().out.splitlines()
    assert "Küchenchef" in first
    assert first.endswith(" []")
    assert holds(second, "Chef", "Meister")
    body = json.loads(of["json"][0])
    assert Terms.of(body["glossary"], body["avoid"]).entries
