"""The statistics of raw text, printed."""

import io
from typing import Any

import pytest

from nmt.advice.inspection import bar, inspect_text, scripts, show, show_filters, show_histogram
from nmt.data.reading.named_files import named_corpus


def rows(text: str) -> list[str]:
    """Return the lines of a table with single spaces."""
    return [" ".join(line.split()) for line in text.split("\n") if line]


def inspected(text: str, pairs: int | None = None) -> dict[str, Any]:
    corpus = named_corpus(["-"], "en", "de", "tsv", pairs=pairs)
    return {"files": ["-"], **inspect_text(corpus, io.BytesIO(text.encode()))}


def test_a_text_is_read_from_standard_input_with_its_anomalies() -> None:
    report = inspected("\ufeffa house\tein Haus\r\nx\ty\n")
    assert (report["languages"], report["pairs"]) == ({"source": "en", "target": "de"}, 2)
    assert report["odd"] == {"CRLF line ends": 1, "byte-order marks": 1}
    assert report["source"]["words"]["total"] == 3
    assert inspected("a\tb\nc\td\n", pairs=1)["pairs"] == 1


def test_a_report_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show(inspected("a house\tein Haus\na house\tein Haus\nsame\tsame\nab\u200b" + "x" * 300 + "\t" + "y" * 90 + "\n"))
    out = rows(capsys.readouterr().out)
    assert out[0] == "-: 4 pairs"
    for line in (
        "en de",
        "characters 321 110",
        "characters a line, p99 303 90",
        "words a line, mean 1.5 1.5",
        "different words 4 4",
        "of them seen once 50.0% 50.0%",
        "unusual in en: U+200B ZERO WIDTH SPACE (invisible): 1",
        "characters a line en de",
        "length of target to source, in characters: p1 0.30, p5 0.30, median 1.00, p95 1.14, p99 1.14",
        "ratio from pairs",
        f"3.4 times as long: 'ab\\u200b{'x' * 66}…' / '{'y' * 69}…'",
        "worth a thought, for the recipe:",
        "duplicates drop_duplicates = true 1 4 25.00%",
    ):
        assert line in out, line


def test_words_of_the_first_lines_are_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    report = inspected("a\tb\nc\td\n")
    report["source"]["vocabulary"]["lines"] = 1
    report["cleaning"] = ""
    show(report)
    out = rows(capsys.readouterr().out)
    assert [line for line in out if "the words of" in line] == ["the words of en are those of the first 1 lines"]
    assert not any("worth a thought" in line for line in out)


def test_a_script_has_its_share_and_a_rare_one_none() -> None:
    assert scripts({"LATIN": 0.9998, "CJK": 0.0001, "GREEK": 0.000099}) == "Latin 99.98%, Cjk 0.01%, Greek < 0.01%"


@pytest.mark.parametrize(
    ("share", "drawn"),
    [
        (0, ""),
        (0.001, "▏"),
        (1 / 24, "█"),
        (0.5, "█" * 12),
        (13 / 192, "█▋"),
        (191 / 192, "█" * 23 + "▉"),
        (1, "█" * 24),
    ],
)
def test_a_bar_has_eighths_of_characters(share: float, drawn: str) -> None:
    assert bar(share) == drawn


def test_histograms_stand_side_by_side_and_bins_without_lines_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_histogram("length", ["en", "de"], [[(0, 1), (1, 0), (2, 4)], [(1, 0), (2, 2), (4, 1)]])
    assert rows(capsys.readouterr().out) == [
        "length en de",
        f"0 1 {'█' * 6} 0",
        f"2 4 {'█' * 24} 2 {'█' * 12}",
        f"4 0 1 {'█' * 6}",
    ]


def test_filters_are_listed_with_examples_and_with_reasons_why_they_were_not_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"key": "drop_copies", "value": True, "pairs": 1, "of": 30_000, "examples": [("x" * 71, "y" * 70)]}
    show_filters({"filters": {"copies": found}, "unchecked": {"language": "no package"}})
    assert rows(capsys.readouterr().out) == [
        "filter, alone switched on by would drop of",
        "copies drop_copies = true 1 30,000 <0.01%",
        "language: not checked: no package",
        f"copies: '{'x' * 69}…' / '{'y' * 70}'",
    ]


def test_entities_are_shown_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    show(inspected("salt &amp; pepper\tSalz\nit &#39;s &amp;\tes\n"))
    out = rows(capsys.readouterr().out)
    assert "lines with HTML entities 2 0" in out
    assert "HTML entities in en: &amp; 2, &#39; 1, as in 'salt &amp; pepper'" in out
    assert "entities = true # sides that it changes: 2" in out
