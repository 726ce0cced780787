"""Soft terms: a model trained for terms takes them from its source, in every command and engine."""

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, TINY, Run

from nmt import Options, Terms, Translator
from nmt.config.symbols import TERM_MARKS
from nmt.tasks.grammar import generate

PAGE = (ROOT / "docs" / "glossaries.md").read_text(encoding="utf-8")
CPU = ["--device", "cpu"]
GLOSSARY = {"the": "das alte Haus", "dog": ["Gebäude", "Haus"], "woman": "Häuser"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `mine.toml`, which has the section of the page and trains for some steps."""
    home = tmp_path_factory.mktemp("soft")
    first, section = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert first.strip() in section  # the second one has terms in base form besides
    recipe = TINY.replace('name = "tiny"', 'name = "mine"').replace("[tokenizer]", f"{section}\n[tokenizer]")
    recipe = re.sub(r"max_steps = \d+", "max_steps = 20", re.sub(r"_every = \d+", "_every = 20", recipe))
    (home / "mine.toml").write_text(re.sub(r"warmup_steps = \d+", "warmup_steps = 5", recipe), encoding="utf-8")
    (home / "terms.tsv").write_text("dog\tGebäude\nhouse\tHaus\n", encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def model(home: Path, nmt: Run) -> Path:
    """Return the bundle that the first command of the page makes."""
    assert nmt("run", "mine.toml", cwd=home).code == 0
    return home / "runs" / "mine" / "model"


def source(translator: Translator, line: str) -> str:
    return "".join(translator.tokenizer.source.pieces(translator.rows(line)[0].ids))


def test_the_commands_of_the_page_run(home: Path, model: Path, nmt_here: Run) -> None:
    assert (model / "config.json").is_file()  # which the first command made
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    first, *commands = [line.split() for line in block.splitlines()]
    assert first == ["nmt", "run", "mine.toml"]
    found = []
    for _, *words in commands:
        said = nmt_here(*words[: words.index("<")], *CPU, "--format", "jsonl", stdin=b"The dog sleeps.\n", cwd=home)
        assert said.code == 0, said.err
        found.append(json.loads(said.lines[0])["hypotheses"][0])
    assert "unmet" in found[0]
    assert found[1]["unmet"] == []
    assert "Gebäude" in found[1]["text"]


def test_the_bundle_says_that_it_is_for_terms_and_others_say_nothing(model: Path, tiny_model: Path) -> None:
    assert json.loads((model / "config.json").read_text(encoding="utf-8"))["has_terms"] is True
    assert "has_terms" not in json.loads((tiny_model / "config.json").read_text(encoding="utf-8"))


def test_terms_stand_in_the_source_unless_they_are_hard(model: Path) -> None:
    line = "The dog sees the woman."
    soft = Translator.load(model, device="cpu", terms=Terms.of(GLOSSARY))
    assert source(soft, line).startswith("▁⟦term⟧▁The⟦=⟧▁das▁alte▁Haus⟦/term⟧⟦term⟧▁dog⟦=⟧▁Gebäude⟦/term⟧▁sees")
    hard = soft.with_terms(Terms.of(GLOSSARY, mode="hard"))
    assert source(hard, line) == source(soft.with_terms(None), line) == "▁The▁dog▁sees▁the▁woman."
    assert hard.translate([line])[0].candidates[0].unmet == []
    long = "The dog sees the woman. " * 9
    assert sum("⟦/term⟧" in "".join(soft.tokenizer.source.pieces(row.ids)) for row in soft.rows(long)) > 1


def test_soft_translations_do_not_depend_on_the_batch(model: Path) -> None:
    lines = [source for source, _ in generate("test", 24, 3)]
    for options in (Options(), Options(n_best=2, alignment=True, token_scores=True)):
        translator = Translator.load(model, device="cpu", terms=Terms.of(GLOSSARY))
        together = [
            [(one.text, one.alignment) for one in found.candidates] for found in translator.translate(lines, options)
        ]
        alone = [
            [(one.text, one.alignment) for one in translator.translate([line], options)[0].candidates] for line in lines
        ]
        assert alone == together
        assert not any(mark in text for found in together for text, _ in found for mark in TERM_MARKS)
    for line, found in zip(lines, together, strict=True):
        words = len(line.split())
        assert all(i < words for _, links in found for i, _ in links or [])


def test_the_terms_of_a_document_are_soft_and_its_tags_are_placed(home: Path, model: Path, nmt_here: Run) -> None:
    (home / "page.html").write_text("<p>A <b>small dog</b> sleeps.</p>", encoding="utf-8")
    said = nmt_here(
        "translate", model, "--glossary", home / "terms.tsv", "--format", "html", "-i", home / "page.html", *CPU
    )
    assert said.code == 0
    assert said.out.count("<b>") == said.out.count("</b>") == 1
    assert not any(mark in said.out for mark in TERM_MARKS)


def test_terms_are_found_in_any_form_of_their_words(home: Path, model: Path, nmt_here: Run) -> None:
    line = "The dogs see the woman."
    written = Translator.load(model, device="cpu", terms=Terms.of(GLOSSARY))
    assert "⟦term⟧▁dogs" not in source(written, line)
    by_lemmas = written.with_terms(Terms.of(GLOSSARY, forms="lemmas"))
    assert "⟦term⟧▁dogs⟦=⟧▁Gebäude⟦/term⟧" in source(by_lemmas, line)
    assert "⟦term⟧▁DOGS" not in source(by_lemmas, line.upper())
    assert by_lemmas.terms is not None
    wanted = by_lemmas.terms.wanted("Dogs sleep.")
    assert wanted.missing("Die Gebäuden schlafen.") == []
    assert wanted.missing("Die Hunde schlafen.") == ["Gebäude"]
    use: list[str | Path] = ["translate", model, "--glossary", home / "terms.tsv", "--glossary-forms", "lemmas", *CPU]
    said = nmt_here(*use, "--format", "jsonl", stdin=b"The dogs sleep.\n")
    assert said.code == 0, said.err
    assert "no line holds a term" not in said.err
    said = nmt_here(*use, "--glossary-mode", "hard", stdin=b"The dogs sleep.\n")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "other forms of words are found for soft terms" in said.err


def test_soft_terms_are_sampled_and_hard_ones_are_not(home: Path, model: Path, nmt_here: Run) -> None:
    use: list[str | Path] = ["translate", model, "--glossary", home / "terms.tsv", "--sample", *CPU]
    said = nmt_here(*use, "--format", "jsonl", stdin=b"The dog sleeps.\n")
    assert said.code == 0, said.err
    assert "unmet" in json.loads(said.lines[0])["hypotheses"][0]
    said = nmt_here(*use, "--glossary-mode", "hard", "-o", home / "sampled.de", stdin=b"The dog sleeps.\n")
    assert (said.code, (home / "sampled.de").exists()) == (2, False)


def test_an_export_takes_soft_terms_and_refuses_hard_ones(home: Path, model: Path, nmt_here: Run) -> None:
    assert nmt_here("export", model, "--to", "ctranslate2", cwd=home).code == 0
    use: list[str | Path] = ["translate", model, "--glossary", home / "terms.tsv", "--engine", "ctranslate2", *CPU]
    said = nmt_here(*use, "--format", "jsonl", stdin=b"The dog sleeps.\n")
    assert said.code == 0, said.err
    assert "unmet" in json.loads(said.lines[0])["hypotheses"][0]
    (home / "avoid.txt").write_text("Frau\n", encoding="utf-8")
    said = nmt_here(*use, "--avoid", home / "avoid.txt", stdin=b"The dog sleeps.\n")
    assert said == (2, "", "nmt: the engine ctranslate2 has no --avoid (leave out --engine)\n")
