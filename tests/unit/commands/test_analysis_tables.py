"""The tables of an analysis."""

from collections.abc import Sequence

import pytest

from nmt import console
from nmt.commands.analysis_tables import robustness_tables, show, tables
from nmt.evaluation.analysis import Texts, analyze, count_words
from nmt.evaluation.metrics import TEXT_METRICS, Statistics, count
from nmt.evaluation.robustness import Robustness, SingleWords, Variant, VariantName

SOURCES = ["a dog in Oslo", "OK", "see 2 dogs at {place}"]
REFERENCES = ["ein Hund in Oslo", "OK", "siehe 2 Hunde in {place}"]
SYSTEMS = {"good": REFERENCES, "bad": ["a dog in Oslo", "OK", "der der der"]}


def counted(systems: dict[str, list[str]], reference: Sequence[str]) -> dict[str, Statistics]:
    return count(
        systems, [reference], tokenize="13a", lowercase=False, chrf_word_order=0, metrics=TEXT_METRICS
    )  # fmt: skip


def made(*systems: str) -> list[tuple[list[str], list[list[str]]]]:
    statistics = counted(SYSTEMS, REFERENCES)
    words = count_words(SOURCES * 2)
    labels = {"domain": ["x", "y", "x"]}
    return tables(
        {
            system: analyze(
                Texts(SOURCES, SYSTEMS[system], [REFERENCES], ("en", "de"), labels), statistics[system], words
            )
            for system in systems
        }
    )


def test_one_system_has_a_row_for_each_group_flaw_and_kind() -> None:
    length, words, rarest, domain, flaws, kept, checks = made("bad")
    assert length == (
        ["lines", "words", "words of references", "length ratio", "brevity penalty"],
        [["3", "8", "12", "0.667", "0.607"]],
    )
    assert words == (["words of the source", "lines", "BLEU", "chrF", "length ratio"], words[1])
    assert [row[:2] for row in words[1]] == [["1-5", "3"]]
    assert [row[:2] for row in rarest[1]] == [["2-9", "3"]]
    assert rarest[0][0] == "training occurrences of the rarest word"
    assert domain == (
        ["domain", "lines", "BLEU", "chrF", "length ratio"],
        [["x", "2", *domain[1][0][2:4], "0.636"], ["y", "1", "0.00", "100.00", "1.000"]],
    )
    assert flaws == (
        ["flaw", "lines", "share", "in references", "line numbers"],
        [
            ["copied", "1", "33.3%", "1", "1"],
            ["empty", "0", "0.0%", "0", ""],
            ["repeated", "1", "33.3%", "0", "3"],
            ["wrong script", "0", "0.0%", "0", ""],
        ],
    )
    assert kept == (
        ["kept", "source", "reference", "hypothesis", "kept", "share", "lines that lack some"],
        [
            ["numbers", "1", "1", "0", "0", "0.0%", "3"],
            ["names", "2", "2", "2", "2", "100.0%", ""],
            ["addresses", "0", "0", "0", "0", "", ""],
            ["placeholders", "1", "1", "0", "0", "0.0%", "3"],
        ],
    )
    assert checks == (
        ["check", "lines", "missing in", "invented in", "of references: missing", "invented", "lines that fail alone"],
        [
            ["numbers", "1", "1", "0", "0", "0", "3"],
            *([kind, "0", "0", "0", "0", "0", ""] for kind in ("urls", "emails", "tags")),
            ["placeholders", "1", "1", "0", "0", "0", "3"],
        ],
    )


def test_systems_stand_beside_each_other() -> None:
    *_, flaws, _, _ = made("good", "bad")
    assert flaws[0][:3] == ["flaw", "system", "lines"]
    assert [row[:3] for row in flaws[1][:3]] == [
        ["copied", "good", "0"],
        ["copied", "bad", "1"],
        ["empty", "good", "0"],
    ]


def test_tables_are_printed_whole_and_many_numbers_of_lines_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "end_with_pipe", lambda: None)
    monkeypatch.setenv("COLUMNS", "20")
    sources = [f"line {number}" for number in range(1, 11)]
    texts = Texts(sources, sources, [["x"] * 10])
    show({"": analyze(texts, counted({"": sources}, texts.references[0])[""])})
    printed = capsys.readouterr().out.split("\n\n")
    assert [table.split("  ")[0].strip() for table in printed] == [
        "lines",
        "words of the source",
        "flaw",
        "kept",
        "check",
    ]
    assert printed[2].split("\n")[1].endswith("10     100.0%  0              1, 2, 3, 4, 5, 6, 7, 8 and 2 more")


def test_ways_of_writing_have_rows_beside_the_plain_scores_and_signatures() -> None:
    def variant(name: VariantName, plain: float, found: float, signature: str) -> Variant:
        return Variant(
            name=name,
            changed=1234,
            plain={"bleu": {"score": plain, "signature": signature}},
            scores={"bleu": {"score": found, "signature": signature}},
        )

    words = SingleWords(words=2000, long=3, over_long=None, flaws={"copied": 4, "wrong_script": 0})
    variants = [
        variant("capitals", 30.0, 2.5, "lc"),
        variant("title case", 30.0, 9.0, "lc"),
        variant("typos", 29, 30, "m"),
    ]
    assert robustness_tables(Robustness(variants=variants, single_words=words)) == [
        (
            ["written", "lines changed", "metric", "plain", "so written", "difference"],
            [
                ["capitals", "1,234", "BLEU", "30.00", "2.50", "-27.50"],
                ["title case", "1,234", "BLEU", "30.00", "9.00", "-21.00"],
                ["typos", "1,234", "BLEU", "29.00", "30.00", "+1.00"],
            ],
        ),
        (["metric", "signature", "written"], [["BLEU", "lc", "capitals, title case"], ["BLEU", "m", "typos"]]),
        (["single words", "long", "copied", "wrong script"], [["2,000", "3", "4", "0"]]),
    ]
    counted = robustness_tables(Robustness(variants=variants, single_words={**words, "over_long": 1234}))
    assert counted[2] == (
        ["single words", "long", "over 3x pieces", "copied", "wrong script"],
        [["2,000", "3", "1,234", "4", "0"]],
    )
