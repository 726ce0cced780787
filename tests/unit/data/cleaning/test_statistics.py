"""What is counted of raw parallel text."""

import json
import tomllib
from typing import Any

import numpy as np
import pytest

from nmt.config.data import CleaningConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning import filters, keys, statistics
from nmt.data.cleaning.statistics import ALL_ON, Lengths, SideStatistics, Statistics, anomaly, suggestion
from nmt.data.languages import script_of

ENGLISH_GERMAN = LanguagesConfig(source="en", target="de")
PLAIN = [("a red house", "ein rotes Haus"), ("two dogs run", "zwei Hunde rennen")]


def counted(pairs: list[tuple[str, str]], languages: LanguagesConfig = ENGLISH_GERMAN) -> dict[str, Any]:
    statistics = Statistics(languages)
    assert list(statistics.read(iter(pairs))) == [len(pairs)]
    return statistics.report()


def test_lengths_have_exact_measures_and_bins_that_double() -> None:
    lengths = Lengths()
    lengths.add([0, 1, 2])
    lengths.add([3, 4, *[9] * 95])
    assert lengths.report() == {
        "total": 865,
        "min": 0,
        "mean": 8.65,
        "median": 9,
        "p95": 9,
        "p99": 9,
        "max": 9,
        "histogram": [[0, 1], [1, 1], [2, 2], [4, 1], [8, 95]],
    }


def test_a_percentile_is_the_least_length_that_so_many_lines_do_not_exceed() -> None:
    lengths = Lengths()
    lengths.add(range(1, 101))
    report = lengths.report()
    assert [report[name] for name in ("median", "p95", "p99")] == [50, 95, 99]
    assert (lengths.quantile(0.999), lengths.quantile(0.98), lengths.mean) == (100, 98, 50.5)


def test_words_and_those_seen_once_are_counted() -> None:
    side = SideStatistics()
    side.add(["to be or", "not  to\tbe"])
    assert side.report()["words"]["total"] == 6
    assert side.report()["vocabulary"] == {
        "lines": 2,
        "words": 4,
        "once": 2,
        "once_share": 0.5,
        "common": [["to", 2], ["be", 2], ["or", 1], ["not", 1]],
    }


def test_a_full_vocabulary_grows_no_more_and_says_of_how_many_lines_it_is() -> None:
    side = SideStatistics(vocabulary=2)
    for line in ("a b", "c", "d"):
        side.add([line])
    found = side.report()["vocabulary"]
    assert (found["lines"], found["words"]) == (2, 3)
    assert side.report()["words"]["total"] == 4


def test_odd_characters_are_named_and_the_others_are_not() -> None:
    side = SideStatistics()
    side.add(["a\tb\u200b", "\ufffd\u200b\x07\ue000", "naïve – „x“ \u00a0!"])
    assert side.report()["odd_characters"] == [
        {"code": "U+200B", "name": "ZERO WIDTH SPACE (invisible)", "count": 2},
        {"code": "U+0007", "name": "control character", "count": 1},
        {"code": "U+E000", "name": "private use", "count": 1},
        {"code": "U+FFFD", "name": "REPLACEMENT CHARACTER (bytes were lost here)", "count": 1},
    ]
    assert anomaly("x") == ""


def test_the_scripts_are_shares_of_the_letters() -> None:
    side = SideStatistics()
    side.add(["abc, 123", "Дом"])
    assert side.report()["scripts"] == {"LATIN": 0.5, "CYRILLIC": 0.5}


def test_the_alphabet_is_the_commonest_characters_that_make_up_a_share_of_the_text() -> None:
    side = SideStatistics()
    side.add(["aaaa bbb", "cc"])
    assert [side.alphabet(share) for share in (0.4, 0.5, 0.7, 0.9, 0.91, 1.0)] == [1, 2, 2, 3, 4, 4]


def test_a_side_of_nothing_has_no_words_and_no_scripts() -> None:
    side = SideStatistics()
    side.add(["", ""])
    report = side.report()
    assert (report["vocabulary"]["once_share"], report["scripts"], report["different_characters"]) == (0.0, {}, 0)


def test_each_filter_is_counted_alone_and_has_examples() -> None:
    report = counted([*PLAIN, ("same", "same"), ("", ""), ("see www.example.org", "www.example.org")])
    found = {name: finding["pairs"] for name, finding in report["filters"].items() if finding["pairs"]}
    assert found == {"empty": 1, "min_characters": 1, "copies": 2, "urls": 1}
    assert report["filters"]["copies"]["examples"] == [("same", "same"), ("", "")]
    assert report["filters"]["copies"]["share"] == 0.4


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("duplicates", PLAIN[0]),
        ("near_duplicates", ("A red house!", "Ein rotes Haus.")),
        ("same_source", (PLAIN[0][0], "etwas anderes")),
        ("same_target", ("something else", PLAIN[0][1])),
    ],
)
def test_duplicates_of_each_kind_are_found_with_an_example(name: str, pair: tuple[str, str]) -> None:
    found = counted([*PLAIN, pair])["filters"][name]
    assert (found["pairs"], found["examples"]) == (1, [pair])


def test_duplicates_are_found_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "CHUNK", 2)
    found = Statistics(ENGLISH_GERMAN)
    assert list(found.read(iter(PLAIN * 3))) == [2, 4, 6]
    assert found.report()["filters"]["duplicates"]["pairs"] == 4


def test_what_is_in_another_script_than_its_language_is_found() -> None:
    assert counted([*PLAIN, ("house", "дом")])["filters"]["script"]["pairs"] == 1


def test_the_ratio_is_that_of_target_to_source_and_the_worst_are_kept() -> None:
    report = counted([("x" * 10, "y" * 10), ("x" * 10, "y" * 20), ("x" * 90, "y" * 30), ("x", "y" * 9), ("", "z" * 40)])
    ratio = report["ratio"]
    assert (ratio["p1"], ratio["median"], ratio["p99"]) == (0.33, 2.0, 40.0)
    assert dict(map(tuple, ratio["histogram"]))[2.0] == 1
    # One is too short for a ratio to say much, one is blank.
    assert [found[0] for found in ratio["worst"]] == [3.0, 2.0]


def test_languages_are_told_of_a_sample_that_is_the_same_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "IDENTIFIED", 3)
    pairs = [(f"word {number}", f"Wort {number}") for number in range(20)]
    first, second = Statistics(ENGLISH_GERMAN), Statistics(ENGLISH_GERMAN)
    first.add(pairs)
    for pair in reversed(pairs):
        second.add([pair])
    assert first._sample == second._sample
    assert len(first._sample) == 3


def test_a_target_in_the_language_of_the_source_is_found() -> None:
    pytest.importorskip("py3langid")
    english = "The children are playing in the garden behind the house."
    german = "Die Kinder spielen im Garten hinter dem Haus."
    found = counted([(english, german), (english, english.replace("children", "parents"))])["filters"]["language"]
    assert (found["pairs"], found["of"]) == (1, 2)


def test_a_language_that_cannot_be_told_is_said_to_be_unchecked() -> None:
    pytest.importorskip("py3langid")
    report = counted(PLAIN, LanguagesConfig(source="tlh", target="de"))
    assert "language" not in report["filters"]
    assert report["unchecked"]["language"].startswith("languages.source = 'tlh': a language that")


def test_mended_sides_are_counted_on_their_side() -> None:
    report = counted([("cafe\u0301  x", "ein\x07 Haus")])
    assert report["source"]["mended"] == {"entities": 0, "control_characters": 0, "unicode": 1, "whitespace": 1}
    assert report["target"]["mended"] == {"entities": 0, "control_characters": 1, "unicode": 0, "whitespace": 0}
    assert tomllib.loads(report["cleaning"]) == {"cleaning": {"unicode": "nfc"}}


def test_the_report_is_json() -> None:
    assert json.loads(json.dumps(counted(PLAIN)))["pairs"] == 2


def test_every_filter_has_a_name_and_the_key_that_switches_it_on() -> None:
    names = filters.filter_names()
    of_pieces = {"max_pieces", "max_piece_ratio"}
    held_out = keys.HeldOut()
    every = ALL_ON.model_copy(
        update={
            "check_language": False,
            **dict.fromkeys(("drop_leaked", "drop_leaked_near", "drop_leaked_sides"), True),
        }
    )
    found = [
        *filters.fixes(every),
        *filters.filters(every, ENGLISH_GERMAN, held_out),
        *filters.duplicate_filters(every),
    ]
    assert [name for name in names if name not in of_pieces | {"language"}] == found
    assert set(names.values()) | {"ratio_from", "language_from", "language_margin", "keep_special_spaces"} == set(
        CleaningConfig.model_fields
    )


def finding(key: str, value: Any, pairs: int, of: int = 10_000) -> dict[str, Any]:
    return {"key": key, "value": value, "pairs": pairs, "of": of, "share": pairs / of}


def test_what_would_matter_is_suggested_with_what_it_would_drop() -> None:
    found = {
        "max_ratio": finding("max_ratio", 4.0, 20),
        "script": finding("min_script", 0.5, 30),
        "digit_mismatch": finding("drop_digit_mismatch", True, 2000),
        "near_duplicates": finding("drop_near_duplicates", True, 0),
        "same_source": finding("drop_same_source", True, 50),
    }
    assert suggestion(found, {}).split("\n") == [
        "[cleaning]",
        "min_script = 0.5  # drops 30 of 10,000 pairs, 0.30%",
        "# drop_digit_mismatch = true  # drops 2,000 of 10,000 pairs, 20.00%: check the examples first",
        "# drop_same_source = true  # drops 50 of 10,000 pairs, 0.50%: check the examples first",
    ]


def test_a_default_that_drops_much_is_pointed_at() -> None:
    found = {"max_ratio": finding("max_ratio", 4.0, 3000)}
    assert suggestion(found, {}).split("\n")[1] == (
        "# max_ratio = 4.0  # drops 3,000 of 10,000 pairs, 30.00%, by default: check the examples first"
    )


@pytest.mark.parametrize(("pairs", "line"), [(99, ""), (100, "min_script"), (99_999, "min_script"), (100_000, "# min")])
def test_a_filter_is_suggested_from_one_pair_in_ten_thousand_and_commented_out_from_a_tenth(
    pairs: int, line: str
) -> None:
    found = suggestion({"script": finding("min_script", 0.5, pairs, 1_000_000)}, {})
    assert found.removeprefix("[cleaning]\n").startswith(line)
    assert bool(found) == bool(line)


@pytest.mark.parametrize(("pairs", "is_suggested"), [(99_999, False), (100_000, True)])
def test_a_default_is_pointed_at_from_a_tenth_of_the_pairs(pairs: int, is_suggested: bool) -> None:
    assert bool(suggestion({"max_ratio": finding("max_ratio", 4.0, pairs, 1_000_000)}, {})) == is_suggested


def test_where_nothing_would_matter_nothing_is_suggested() -> None:
    assert suggestion({"script": finding("min_script", 0.5, 0)}, {}) == ""


def test_the_short_cut_for_latin_text_holds_latin_letters_alone() -> None:
    from nmt.data import languages

    found = [chr(code) for code in np.arange(0x10000) if languages._PLAINLY_LATIN.fullmatch(chr(code))]
    assert {script_of(letter) for letter in found if letter.isalpha()} <= {"LATIN", "MODIFIER"}
    assert not languages._PLAINLY_LATIN.fullmatch("5 µm")


def test_entities_are_named_with_an_example_and_a_remedy() -> None:
    statistics = Statistics(LanguagesConfig(source="en", target="de"))
    statistics.add([("salt &amp; pepper &amp; &quot;oil&quot;", "Salz & Pfeffer"), ("AT&T; &#91;", "x &nosuch; y")])
    report = statistics.report()
    assert report["source"]["entities"] == [["&amp;", 2], ["&quot;", 2], ["&#91;", 1]]
    assert report["source"]["with_entities"] == ["salt &amp; pepper &amp; &quot;oil&quot;", "AT&T; &#91;"]
    assert (report["target"]["entities"], report["target"]["mended"]["entities"]) == ([], 0)
    assert report["cleaning"].split("\n")[1] == "entities = true  # sides that it changes: 2"
