"""How a translation looks as text, as a table and as JSON."""

import json

import pytest

from nmt.commands.line_output import Format, render
from nmt.evaluation.checks import Checks
from nmt.inference.results import Candidate, Translation

PLAIN = Translation(
    "a dog",
    [Candidate("ein Hund", -0.5, ["▁ein", "▁Hund"]), Candidate("der\tHund ⟨\u2028🦆", -1.23456789, ["▁der"])],
)
FULL = Translation(
    "a dog", [Candidate("ein Hund", -0.5, ["▁ein", "▁Hund"], [-0.1, -0.25, -0.123456789], [(0, 0), (1, 1)])]
)
BLANK = Translation("", [Candidate("", 0.0, [], [], [])])


@pytest.mark.parametrize(
    ("form", "translation", "expected"),
    [
        ("text", PLAIN, "ein Hund\n"),
        ("text", FULL, "ein Hund ||| 0-0 1-1\n"),
        ("text", BLANK, " ||| \n"),
        ("tsv", PLAIN, "7\t-0.500000\tein Hund\n7\t-1.234568\tder Hund ⟨\u2028🦆\n"),
        ("tsv", FULL, "7\t-0.500000\tein Hund\t0-0 1-1\n"),
        ("tsv", BLANK, "7\t0.000000\t\t\n"),
    ],
)
def test_text_and_table_hold_what_was_asked_for(form: Format, translation: Translation, expected: str) -> None:
    assert render(form, 7, translation) == expected


def test_json_holds_all_there_is_of_every_hypothesis() -> None:
    assert render("jsonl", 7, FULL) == (
        '{"source": "a dog", "hypotheses": [{"text": "ein Hund", "score": -0.5, "pieces": ["▁ein", "▁Hund"], '
        '"token_scores": [-0.1, -0.25, -0.123457], "alignment": [[0, 0], [1, 1]]}]}\n'
    )
    assert json.loads(render("jsonl", 7, PLAIN)) == {
        "source": "a dog",
        "hypotheses": [
            {"text": "ein Hund", "score": -0.5, "pieces": ["▁ein", "▁Hund"]},
            {"text": "der\tHund ⟨\u2028🦆", "score": -1.234568, "pieces": ["▁der"]},
        ],
    }
    blank = {"text": "", "score": 0.0, "pieces": [], "token_scores": [], "alignment": []}
    assert json.loads(render("jsonl", 7, BLANK)) == {"source": "", "hypotheses": [blank]}


def test_checks_are_the_last_column_and_a_key() -> None:
    failed: Checks = {
        "numbers": {"missing": ["1,500", "7"], "invented": []},
        "tags": {"missing": ["</b>"], "invented": ["<b\tc>"]},
    }
    found = Translation("a", [Candidate("b", -1.0, [], alignment=[(0, 0)], checks=failed)])
    assert render("text", 7, found) == "b ||| 0-0\n"
    assert render("tsv", 7, found) == (
        "7\t-1.000000\tb\t0-0\tnumbers missing: 1,500, 7; tags missing: </b>; tags invented: <b c>\n"
    )
    assert json.loads(render("jsonl", 7, found))["hypotheses"][0]["checks"] == failed
    passed = Translation("a", [Candidate("b", -1.0, [], checks={})])
    assert render("tsv", 7, passed) == "7\t-1.000000\tb\t\n"
    assert json.loads(render("jsonl", 7, passed))["hypotheses"][0]["checks"] == {}


SURE = [Candidate("ein Hund", -1.0, ["x"], [-0.5], [(0, 0)], checks={}, confidence=61.237)]


def test_the_confidence_stands_after_the_alignment() -> None:
    found = Translation("a", SURE)
    assert render("text", 7, found) == "ein Hund ||| 0-0 ||| 61.24\n"
    assert render("tsv", 7, found, is_withheld=True) == "7\t-1.000000\tein Hund\t0-0\t61.24\t\n"
    row = json.loads(render("jsonl", 7, found))
    assert (row["hypotheses"][0]["confidence"], "is_unsure" in row) == (61.24, False)


def test_an_unsure_translation_is_marked_or_withheld() -> None:
    found = Translation("a", SURE, is_unsure=True)
    assert render("text", 7, found) == "[?] ein Hund ||| 0-0 ||| 61.24\n"
    assert render("tsv", 7, found) == "7\t-1.000000\t[?] ein Hund\t0-0\t61.24\t\n"
    row = json.loads(render("jsonl", 7, found))
    assert (row["is_unsure"], row["hypotheses"][0]["text"]) == (True, "ein Hund")
    assert render("text", 7, found, is_withheld=True) == " ||| 0-0 ||| 61.24\n".replace("0-0", "")
    assert render("tsv", 7, found, is_withheld=True) == "7\t-1.000000\t\t\t61.24\t\n"
    row = json.loads(render("jsonl", 7, found, is_withheld=True))
    kept = {
        "text": "",
        "score": -1.0,
        "pieces": [],
        "token_scores": [],
        "alignment": [],
        "confidence": 61.24,
        "checks": {},
    }
    assert row == {"source": "a", "is_unsure": True, "hypotheses": [kept]}


@pytest.mark.parametrize("form", ["text", "tsv", "jsonl"])
def test_a_line_of_output_ends_in_one_line_feed(form: Format) -> None:
    for translation in (PLAIN, FULL, BLANK):
        rows = render(form, 1, translation).split("\n")
        assert rows[-1] == ""
        assert len(rows) - 1 == (len(translation.candidates) if form == "tsv" else 1)
