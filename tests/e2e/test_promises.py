"""What the README lets its reader rely on, on a bundle that is trained in each test run."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from conftest import Run, TinyRun
from precisions import in_int8

from nmt import Options, Terms
from nmt.config.decoding import DecodingConfig
from nmt.evaluation.calibration import Fit
from nmt.inference.bundle import open_bundle
from nmt.inference.confidence import calibration_of, write_calibration
from nmt.inference.results import Translation
from nmt.inference.translator import Translator
from nmt.tasks.grammar import generate

TIE = 1e-5
"""Hypotheses with scores closer than this are ties."""
FITTED = Fit([-2.0, *[0.0] * 5], [1.0] * 6, [10.0, *[0.0] * 5], [(-20.0, 5.0), (20.0, 95.0)])
"""A calibration by the mean log-probability of the pieces alone."""
SAME = 1e-4
"""What the same sum of log-probabilities may differ by, computed in another way."""
LINES = 1000


@pytest.fixture(scope="module")
def translator(tiny: TinyRun) -> Translator:
    return Translator.load(tiny.model, device="cpu", decoding={"max_extra_length": 0, "beam_size": 2})


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return [source for source, _ in generate("test", LINES, 7)]


@pytest.fixture(scope="module")
def alone(translator: Translator, lines: list[str]) -> list[Translation]:
    """Translate each line by itself."""
    return [translator.translate([line])[0] for line in lines]


@in_int8
def test_in_int8_a_line_has_the_same_bits_alone_and_in_any_batch_order_and_number_of_threads(
    tiny: TinyRun, lines: list[str]
) -> None:
    settings = {"max_extra_length": 0, "beam_size": 2}
    translator = Translator.load(tiny.model, device="cpu", precision="int8", decoding=settings)
    expected = {translation.source: translation.candidates for translation in translator.translate(lines)}
    assert len({candidates[0].text for candidates in expected.values()}) > LINES / 4
    for line in lines:
        assert translator.translate([line])[0].candidates == expected[line]
    translator.decoding = translator.decoding.model_copy(update={"batch_tokens": 300})
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = translator.translate(random.Random(1).sample(lines, LINES))
    finally:
        torch.set_num_threads(threads)
    assert all(translation.candidates == expected[translation.source] for translation in found)

    rows, split = translator.tokenizer.source.encode(lines), translator.reader.segmenter.split
    whole = [line for line, ids in zip(lines, rows, strict=True) if len(split(line, [], ids)[0]) == 1]
    scored = translator.score(whole, [expected[line][0].text for line in whole])
    pairs = [(pair, expected[line][0]) for line, pair in zip(whole, scored, strict=True)]
    same = [(pair.score, one.score) for pair, one in pairs if pair.pieces == one.pieces]
    assert len(same) > LINES / 4
    assert max(abs(score - of_search) for score, of_search in same) < SAME


def differing(expected: Sequence[Translation], found: Sequence[Translation]) -> list[tuple[Translation, Translation]]:
    """Return the translations that differ, ties excepted."""
    assert [one.source for one in expected] == [other.source for other in found]
    pairs = zip(expected, found, strict=True)
    return [(one, other) for one, other in pairs if one.text != other.text and abs(one.score - other.score) >= TIE]


def test_a_line_alone_gives_what_it_gives_in_any_batch(
    translator: Translator, lines: list[str], alone: list[Translation]
) -> None:
    assert len({translation.text for translation in alone}) > LINES / 4, "the model says the same to everything"
    before = translator.decoding
    for tokens in (300, 10**6):
        translator.decoding = before.model_copy(update={"batch_tokens": tokens})
        assert differing(alone, translator.translate(lines)) == []
    translator.decoding = before
    assert differing(alone, list(translator.stream(lines))) == []


def test_neither_order_nor_threads_change_a_line(
    translator: Translator, lines: list[str], alone: list[Translation]
) -> None:
    order = random.Random(1).sample(range(LINES), LINES)
    shuffled = translator.translate([lines[index] for index in order])
    assert differing([alone[index] for index in order], shuffled) == []
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert differing(alone[:100], translator.translate(lines[:100])) == []
    finally:
        torch.set_num_threads(threads)


def test_real_lines_are_translated_alone_as_in_batches(translator: Translator, data: Path) -> None:
    text = gzip.decompress((data / "multi30k" / "test_2016_flickr.en.gz").read_bytes()).decode()
    found = text.split("\n")[:LINES]
    assert differing([translator.translate([line])[0] for line in found], translator.translate(found)) == []


@pytest.mark.parametrize("of", [{"beam_size": 1}, {"beam_size": 4}, {"beam_size": 4, "mbr": 3, "mbr_from": "n_best"}])
def test_terms_repair_confidence_and_alignment_together_depend_on_no_batch_and_everyone_writes_the_same(
    tiny: TinyRun, nmt_here: Run, tmp_path: Path, of: dict[str, int | str]
) -> None:
    model, glossary, avoid = tiny.copy_model(tmp_path / "model"), tmp_path / "terms.tsv", tmp_path / "avoid.txt"
    glossary.write_text("the\tHaus\na\tKatze|Hund\n", encoding="utf-8")
    avoid.write_text("Frau\nder\n", encoding="utf-8")
    pairs = [*generate("test", 20, 8)]
    given = [source if number % 3 else f"{source} <b>{number}</b>" for number, (source, _) in enumerate(pairs)]
    source, reference = tmp_path / "text.en", tmp_path / "text.de"
    source.write_text("".join(f"{line}\n" for line in given), encoding="utf-8")
    reference.write_text("".join(f"{line}\n" for _, line in pairs), encoding="utf-8")
    files: list[str | Path] = ["--source", source, "--reference", reference]
    write_calibration(model, calibration_of(FITTED, open_bundle(model), DecodingConfig(), "chrF", 500))

    terms = Terms.of({"the": "Haus", "a": ["Katze", "Hund"]}, avoid=["Frau", "der"])
    of = {**of, "max_extra_length": 0}
    translator = Translator.load(model, device="cpu", decoding=of, terms=terms)
    wanted = Options(check=True, repair=True, confidence=True, min_confidence=30, alignment=True)
    together = list(translator.stream(given, wanted))
    assert (translator.report.terms or 0) > 10
    alone = [next(translator.stream([line], wanted)) for line in given]
    assert differing(alone, together) == []
    same = [(one, other) for one, other in zip(alone, together, strict=True) if one.text == other.text]
    for one, other in same:
        ours, theirs = one.candidates[0], other.candidates[0]
        assert (ours.checks, ours.alignment, ours.unmet) == (theirs.checks, theirs.alignment, theirs.unmet)
        assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-2)

    search = [f"--{key.replace('_', '-')}={value}" for key, value in of.items()]
    options: list[str | Path] = [*search, "--glossary", glossary, "--avoid", avoid, "--device", "cpu"]
    plain = [one.text for one in translator.stream(given)]
    assert nmt_here("translate", model, *options, stdin=source.read_bytes()).lines == plain
    assert nmt_here("evaluate", model, *files, *options, "-o", tmp_path / "out", "--metrics", "chrf").code == 0
    assert (tmp_path / "out").read_text(encoding="utf-8").splitlines() == plain
    found = nmt_here("translate", model, *options, "--repair", "--confidence", stdin=source.read_bytes()).lines
    assert [line.rpartition(" ||| ")[0] for line in found] == [one.text for one in together]


def test_run_translate_and_evaluate_give_the_same_text_and_the_same_score(
    tiny: TinyRun, nmt_here: Run, tmp_path: Path
) -> None:
    pairs = list(generate("test", 20, 1))
    source, reference, output = (tmp_path / name for name in ("test.en", "test.de", "out.de"))
    source.write_text("".join(f"{line}\n" for line, _ in pairs), encoding="utf-8")
    reference.write_text("".join(f"{line}\n" for _, line in pairs), encoding="utf-8")
    validated = (tiny.folder / "evaluation" / "test.de").read_bytes()
    scores = json.loads((tiny.folder / "evaluation" / "scores.json").read_text(encoding="utf-8"))["test"]

    said = nmt_here("translate", tiny.model, stdin=source.read_bytes())
    assert said.out.encode() == validated
    options = ("--reference", reference, "--json", "--no-significance")
    said = nmt_here("evaluate", tiny.model, "--source", source, "-o", output, *options)
    assert json.loads(said.out) == scores
    assert output.read_bytes() == validated
    said = nmt_here("evaluate", "--hypotheses", output, *options)
    assert json.loads(said.out) == scores


def test_no_score_comes_without_its_signature_and_no_run_without_its_lock(tiny: TinyRun) -> None:
    lock = json.loads((tiny.folder / "lock.json").read_text(encoding="utf-8"))
    assert {"recipe", "data", "seed"} <= lock.keys()
    scores = json.loads((tiny.folder / "evaluation" / "scores.json").read_text(encoding="utf-8"))
    for name, metric in scores["test"].items():
        assert metric["signature"].startswith("nrefs:1|"), name
        assert any(f"{metric['score']:.2f}" in line and line.endswith(metric["signature"]) for line in tiny.said.lines)


def test_one_line_in_is_one_line_out_and_what_is_blank_or_cut_is_counted(tiny: TinyRun, nmt_here: Run) -> None:
    long = "The dog sleeps and the cat sings " * 40
    given = ["A dog.", "", " \t ", "a\u2028b\x0bc\x85d", long, "\u2581 \x00", "Ende"]
    said = nmt_here("translate", tiny.model, stdin="\n".join(given).encode())
    assert said.code == 0
    assert len(said.lines) == len(given)
    assert said.lines[1:3] == ["", ""]
    assert all(said.lines[index] for index in (0, 3, 4, 6))
    assert any("blank" in message for message in said.messages)
    assert any("segments" in message or "longer than" in message for message in said.messages)
