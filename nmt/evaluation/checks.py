"""Checks of a translation against its source alone: numbers, addresses, tags, placeholders and terms.

An item of the source that the translation lacks is missing; one that only the translation has is invented. Unlike
`survival`, the checks need no reference, so that they can be made where text is translated.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, TypedDict

from nmt.data.languages import standard_code
from nmt.evaluation.survival import VARIABLE, Item, Languages, addresses_in, decimal_mark_of, numbers_in

CheckKind = Literal["numbers", "urls", "emails", "tags", "placeholders", "terms"]
KINDS: tuple[CheckKind, ...] = ("numbers", "urls", "emails", "tags", "placeholders", "terms")
Words = Mapping[str, str]
"""The value of each word of a small number."""
_TAG = re.compile(r"</?[A-Za-z]")
_WORD = re.compile(r"[^\W\d_]+")
_TIME = re.compile(
    r"(?<![\d.,:])(\d{1,2})(?:[:.]([0-5]\d))?(?:\s*([ap])\.?m\b|(?=\s*Uhr\b)|(?<=:\d\d)(?![\d:]))", re.IGNORECASE
)
"""Matches times of day: 7pm, 7:30 p.m., 19.30 Uhr, 19:30."""


class Finding(TypedDict):
    """Items as they are spelled, one for each occurrence: of the source, and of the translation."""

    missing: list[str]
    invented: list[str]


Checks = dict[CheckKind, Finding]
"""The checks that a translation fails, in the order of `KINDS`."""


class CheckCount(TypedDict):
    """The translations of a test set that fail one check, and the references that fail it too."""

    lines: int  # lines with something to check, in the source or in the translation
    missing: int
    invented: int
    reference_missing: int  # lines of which a reference fails: what the rules do not know, or the references change
    reference_invented: int
    failing: list[int]  # numbers, from 1, of the lines that fail where no reference does


@dataclass(frozen=True)
class Checker:
    """Checks translations between two languages."""

    languages: Languages = (None, None)
    terms: Callable[[str, str], Finding] | None = None  # the terms of a source and a translation that are not as agreed

    def check(self, source: str, translation: str) -> Checks:
        """Return the checks that `translation` fails.

        Numbers are compared by value, as the languages write them; small ones may be words. All else is compared letter
        for letter, and counted.
        """
        found = {kind: finding for kind, (finding, _) in self._findings(source, translation).items()}
        return {kind: finding for kind, finding in found.items() if finding["missing"] or finding["invented"]}

    def applies(self, source: str, translation: str) -> set[CheckKind]:
        """Return the checks that have something to compare."""
        return {kind for kind, (_, is_there) in self._findings(source, translation).items() if is_there}

    def _findings(self, source: str, translation: str) -> dict[CheckKind, tuple[Finding, bool]]:
        """Return what each check found, and whether there was something to check."""
        sides = [_verbatim(text) for text in (source, translation)]
        found: dict[CheckKind, tuple[Finding, bool]] = {"numbers": self._numbers(source, translation)}
        for kind in ("urls", "emails", "tags", "placeholders"):
            there, here = (Counter(side[kind]) for side in sides)
            found[kind] = _finding((there - here).elements(), (here - there).elements()), bool(there or here)
        if self.terms is not None:
            terms = self.terms(source, translation)
            found["terms"] = terms, bool(terms["missing"] or terms["invented"])
        return found

    def _numbers(self, source: str, translation: str) -> tuple[Finding, bool]:
        from_mark, to_mark = self._marks
        there, here = (
            list(numbers_in(by_24_hours(source), from_mark)),
            list(numbers_in(by_24_hours(translation), to_mark)),
        )
        missing, invented = unmatched(there, here)
        if missing or invented:
            from_words, to_words = map(_words_of, self.languages)
            missing = _without(missing, _written(translation, to_words))
            invented = _without(invented, _written(source, from_words))
        finding = _finding(*(dict.fromkeys(number.spelled for number in numbers) for numbers in (missing, invented)))
        return finding, bool(there or here)

    @cached_property
    def _marks(self) -> tuple[str | None, str | None]:
        source, target = self.languages
        return decimal_mark_of(source), decimal_mark_of(target)


def unmatched(source: Sequence[Item], translation: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Return the numbers of either side without one of the same value on the other.

    A number that was copied is the same too, unless each language reads it as another one, as 1,500 in German text.
    """
    missing, invented = _without(source, _values(translation)), _without(translation, _values(source))
    spelled = {number.spelled for number in missing} & {number.spelled for number in invented}
    copied = {number.spelled for number in [*missing, *invented] if not number.is_whole and number.spelled in spelled}
    return [one for one in missing if one.spelled not in copied], [one for one in invented if one.spelled not in copied]


def by_24_hours(text: str) -> str:
    """Return `text` with its times of day by 24 hours, without minutes at the full hour.

    >>> by_24_hours("from 10:00 a.m. until 7.30 p.m.")
    'from 10. until 19:30.'
    """
    return _TIME.sub(_by_24_hours, text)


def _by_24_hours(time: re.Match[str]) -> str:
    hour, minutes, half = int(time[1]), time[2], (time[3] or "").lower()
    if half and 1 <= hour <= 12:
        hour = hour % 12 + 12 * (half == "p")
    return f"{hour}:{minutes}" if minutes not in (None, "00") else f"{hour}"


def describe(checks: Checks) -> str:
    """Return failed checks as text: `numbers missing: 1,500, 7; tags invented: <b>`."""
    return "; ".join(
        f"{kind} {what}: {', '.join(items)}"
        for kind, finding in checks.items()
        for what, items in (("missing", finding["missing"]), ("invented", finding["invented"]))
        if items
    )


def count_checks(
    sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[Sequence[str]], languages: Languages
) -> dict[CheckKind, CheckCount]:
    """Count the hypotheses that fail each check, and the references, whose failures are the rules' own errors."""
    checker = Checker(languages)
    counts: dict[CheckKind, CheckCount] = {
        kind: CheckCount(lines=0, missing=0, invented=0, reference_missing=0, reference_invented=0, failing=[])
        for kind in KINDS
        if kind != "terms"
    }
    rivals = zip(*references, strict=True)
    for number, (source, hypothesis, texts) in enumerate(zip(sources, hypotheses, rivals, strict=True), 1):
        own, others = checker.check(source, hypothesis), [checker.check(source, text) for text in texts]
        for kind in checker.applies(source, hypothesis):
            counts[kind]["lines"] += 1
        for kind, count in counts.items():
            failed = [checks[kind] for checks in others if kind in checks]
            count["missing"] += bool(kind in own and own[kind]["missing"])
            count["invented"] += bool(kind in own and own[kind]["invented"])
            count["reference_missing"] += any(finding["missing"] for finding in failed)
            count["reference_invented"] += any(finding["invented"] for finding in failed)
            count["failing"] += [number] if kind in own and not failed else []
    return counts


def _finding(missing: Iterable[str], invented: Iterable[str]) -> Finding:
    return Finding(missing=list(missing), invented=list(invented))


def _values(numbers: Iterable[Item]) -> Counter[str]:
    return Counter(number.value for number in numbers)


def _without(numbers: Sequence[Item], values: Counter[str]) -> list[Item]:
    """Return `numbers` without as many of each value as `values` has."""
    left, found = Counter(values), list[Item]()
    for number in numbers:
        if left[number.value] > 0:
            left[number.value] -= 1
        else:
            found.append(number)
    return found


def _verbatim(text: str) -> dict[CheckKind, list[str]]:
    """Return the items of `text` that are compared letter for letter."""
    addresses = addresses_in(text)
    emails = [address for address in addresses if "@" in address and not address.startswith(("http", "www."))]
    variables = VARIABLE.findall(text)
    tags = [variable for variable in variables if _TAG.match(variable)]
    return {
        "urls": [address for address in addresses if address not in emails],
        "emails": emails,
        "tags": tags,
        "placeholders": [variable for variable in variables if variable not in tags],
    }


def _written(text: str, words: Words) -> Counter[str]:
    """Count the numbers that `text` writes as words, by their value."""
    return Counter(words[word] for word in _WORD.findall(text.lower()) if word in words) if words else Counter()


@cache
def _words_of(language: str | None) -> Words:
    """Return the words of small numbers in `language`; none where they are not known."""
    of_language = _all_words().get(standard_code(language), {}) if language else {}
    return {word: value for value, words in of_language.items() for word in words.split()}


@cache
def _all_words() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_name("number_words.toml").read_text(encoding="utf-8"))
