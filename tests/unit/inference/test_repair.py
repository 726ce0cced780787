"""Repair: what a translation lacks becomes terms of a further search, what it invented phrases to avoid."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from nmt.config.decoding import SamplingConfig
from nmt.config.inference import Options
from nmt.data.reading.terms import Terms
from nmt.errors import DataError, UsageError
from nmt.evaluation.checks import Checker, Checks
from nmt.inference.repair import check_options, spellings, terms_for
from nmt.inference.translator import Translator

EN_DE = ("en", "de")
LINES = ["A small dog sleeps.", "The woman sees 7.", "", "Do 12 cats sleep?", "<b>Lena</b> sleeps.", "7", "Lena has 3."]


@pytest.mark.parametrize(
    ("number", "languages", "expected"),
    [
        ("1,500.5", EN_DE, ("1.500,5", "1500,5")),
        ("1.500,5", ("de", "en"), ("1,500.5", "1500.5")),
        ("1,500", ("en", "zh"), ("1,500", "1500")),
        ("1500", EN_DE, ("1500", "1.500")),
        ("7", EN_DE, ("7",)),
        ("007", EN_DE, ("007", "7")),
        ("12:39", EN_DE, ("12:39",)),
        ("1,500", (None, "de"), ("1,500",)),
    ],
)
def test_a_number_is_asked_for_as_the_target_language_writes_it(
    number: str, languages: tuple[str | None, str | None], expected: tuple[str, ...]
) -> None:
    assert spellings(number, languages) == expected


def test_missing_items_are_terms_and_invented_ones_are_avoided() -> None:
    checks: Checks = {
        "numbers": {"missing": ["1,500", "7", "7"], "invented": ["1600", "8"]},
        "tags": {"missing": ["<b>"], "invented": []},
        "terms": {"missing": ["Katze"], "invented": []},
    }
    own = Terms.of({"7": "sieben", "cat": "Katze"}, ["Hund"])
    found = terms_for(checks, EN_DE, own)
    assert [(entry.source, entry.targets) for entry in found.entries] == [
        ("7", ("sieben",)), ("cat", ("Katze",)), ("1,500", ("1.500", "1500")), ("<b>", ("<b>",)),
    ]  # fmt: skip
    assert [one.phrase for one in found.avoided] == ["Hund", "1600", "8"]
    contradiction: Checks = {"tags": {"missing": ["<b>"], "invented": ["<b>"]}}
    with pytest.raises(DataError):
        terms_for(contradiction, EN_DE, Terms())


@pytest.mark.parametrize(
    ("options", "prefixes", "message"),
    [
        (Options(repair=True), None, "a repair needs the checks (add check = True)"),
        (
            Options(repair=True, check=True, sampling=SamplingConfig()),
            None,
            "a repair searches, and samples are drawn (leave one of them out)",
        ),
        (Options(repair=True, check=True), ["a"], "a repair and prefixes exclude each other (leave one of them out)"),
    ],
)
def test_what_excludes_a_repair_is_refused(options: Options, prefixes: Sequence[str] | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_options(options, prefixes)
    assert str(caught.value) == message
    check_options(dataclasses.replace(options, repair=False), prefixes)


def test_lines_that_fail_are_searched_again_and_pass_whatever_the_batch(tiny_model: Path) -> None:
    translator = Translator.load(tiny_model, device="cpu", decoding={"max_extra_length": 0})
    plain = translator.translate(LINES, Options(check=True))
    failing = [number for number, one in enumerate(plain, 1) if one.checks]
    assert len(failing) > 1
    translator.report = type(translator.report)()
    repaired = translator.translate(LINES, Options(check=True, repair=True, n_best=2))
    report = translator.report
    assert report.tried == failing
    assert report.repaired == [number for number in failing if not repaired[number - 1].checks]
    assert report.repaired
    assert {number for lines in report.failed.values() for number in lines} == set(failing) - set(report.repaired)
    checker = Checker(EN_DE)
    for line, before, after in zip(LINES, plain, repaired, strict=True):
        assert after.checks == checker.check(line, after.text)
        assert after.text == before.text or (before.checks and not after.checks)
    count = f"{len(failing)} (line {', '.join(map(str, failing))}), of which pass now: {len(report.repaired)}"
    assert f"translations searched again for failed checks: {count}" in report.warnings()
    alone = [translator.translate([line], Options(check=True, repair=True))[0].text for line in LINES]
    assert alone == [one.text for one in repaired]
