"""What a translation is to keep of its source: numbers, names, addresses and placeholders.

An item of the source is expected of a hypothesis where every reference keeps it; an item that one of them leaves out,
or writes as a word, is not. The rules find items by their spelling, so that single lines may be judged wrongly.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import and_
from typing import Literal, NamedTuple, TypedDict

from nmt.data.languages import standard_code
from nmt.data.placeholders import SPELLED, VARIABLES, WEB_ADDRESSES

ItemKind = Literal["numbers", "names", "addresses", "placeholders"]
Languages = tuple[str | None, str | None]
"""Codes of source and target, None where they are not known."""
INFLECTION = 2  # letters that may follow a name, as in `Annas`
LONG_NAME = 5  # letters of a name from which on more may follow, as in compounds
_POINTS = (
    "am ar bn cy en fa ga gd gu ha he hi ig ja km kn ko lg ml mn mr ms mt my ne om or pa qu sa sd si so sw ta te th ti"
    " tl to ug ur yo zh zu"
)
POINT_LANGUAGES = frozenset(_POINTS.split())
"""Languages that write decimals behind a point, by Unicode's CLDR; the others write a comma."""
_ADDRESS = re.compile(
    rf"{WEB_ADDRESSES}|\bwww\.[^\s<>\u3000-\u303f\uff00-\uffef]*[\w/]"
    r"|(?<![A-Za-z0-9_.+-])[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
)
VARIABLE = re.compile(rf"{VARIABLES}|{SPELLED.pattern}|#[A-Z][A-Z0-9_]*#")
"""Matches tags, variables and placeholders; the last as in WMT's chats."""
_SPACES = "\u00a0\u2009\u202f"  # within a number; an ordinary space too where decimals have a comma
_NUMBER = re.compile(
    rf"(?<!\d)\d{{1,3}}(?:[ {_SPACES}]\d{{3}})+(?!\d)(?:[.,\u066b]\d+)?|\d+(?:[.,'\u2019\u066b\u066c]\d+)*"
)
_READ = {
    mark: re.compile(
        rf"(\d+|\d{{1,3}}([{group}{_SPACES}'\u2019\u066c])\d{{3}}(?:\2\d{{3}})*|\d{{1,2}}(?:,\d\d)+,\d{{3}})"
        rf"(?:[{mark}\u066b](\d+))?"
    )
    for mark, group in ((".", ","), (",", " ."))
}
"""Patterns of a number by its decimal mark: whole part, separator of groups, decimals; 12,34,567 as in Hindi too."""
_WORD = re.compile(r"[^\W\d_]\w*")
_WITHIN = re.compile(r"[\s,/&-]+")  # between words of one sentence


class Item(NamedTuple):
    """Something to keep: of a number the value, as digits with a point, and how it is written; else both are equal."""

    value: str
    spelled: str
    is_whole: bool = True  # False of a run of digits in what is no number in its language


Items = Counter[Item]


class Survival(TypedDict):
    """Items of one kind, added up over all lines."""

    source: int  # in the sources
    in_reference: int  # of these, in every reference
    in_hypothesis: int  # of those in the sources, in the hypotheses
    kept: int  # of those in the references, in the hypotheses
    share: float | None  # kept of those in the references; None where there are none
    lines: list[int]  # numbers, from 1, of the lines that lack an item which the reference has


def count_survivors(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    languages: Languages = (None, None),
) -> dict[ItemKind, Survival]:
    """Count the items of `sources` that the references and the hypotheses keep.

    Numbers are compared by value, as the two languages write them. Names are words of the source in capitals, or with
    an initial capital within a sentence, that the reference has too. Addresses and placeholders are compared letter
    for letter. Of several reference sets, each must keep an item.
    """
    from_mark, to_mark = map(decimal_mark_of, languages)
    kinds = _kinds(from_mark, to_mark)
    found = {
        kind: Survival(source=0, in_reference=0, in_hypothesis=0, kept=0, share=None, lines=list[int]())
        for kind in kinds
    }
    rivals = list(zip(*references, strict=True))
    for number, (source, hypothesis, texts) in enumerate(zip(sources, hypotheses, rivals, strict=True), 1):
        for kind, (find, keep) in kinds.items():
            items = find(source)
            if not items:
                continue
            expected = reduce(and_, (keep(items, text) for text in texts))
            kept = keep(expected, hypothesis)
            survival = found[kind]
            survival["source"] += items.total()
            survival["in_reference"] += expected.total()
            survival["in_hypothesis"] += keep(items, hypothesis).total()
            survival["kept"] += kept.total()
            survival["share"] = survival["kept"] / survival["in_reference"] if survival["in_reference"] else None
            survival["lines"] += [number] if kept != expected else []
    return found


def _kinds(
    from_mark: str | None, to_mark: str | None
) -> dict[ItemKind, tuple[Callable[[str], Items], Callable[[Items, str], Items]]]:
    """Return how items of each kind are found in a source, and which of some items a text in the target keeps."""
    return {
        "numbers": (
            lambda text: Counter(numbers_in(text, from_mark)),
            lambda items, text: _kept_numbers(items, list(numbers_in(text, to_mark))),
        ),
        "names": (_names, _kept_names),
        "addresses": (lambda text: _verbatim(addresses_in(text)), _kept_text),
        "placeholders": (lambda text: _verbatim(VARIABLE.findall(text)), _kept_text),
    }


def _verbatim(texts: Sequence[str]) -> Items:
    return Counter(Item(text, text) for text in texts)


def _kept_text(items: Items, text: str) -> Items:
    return +Counter({item: min(count, text.count(item.spelled)) for item, count in items.items()})


def addresses_in(text: str) -> list[str]:
    """Return the web and e-mail addresses of `text`, in order."""
    return _ADDRESS.findall(text) if "://" in text or "www." in text or "@" in text else []


def _plain(text: str) -> str:
    """Return `text` without its addresses and placeholders, whose digits and words are no items."""
    for address in addresses_in(text):
        text = text.replace(address, " ")
    return VARIABLE.sub(" ", text)


def decimal_mark_of(language: str | None) -> str | None:
    """Return the mark before decimals in a language, given by its code; None where it is not known."""
    return None if language is None else "." if standard_code(language) in POINT_LANGUAGES else ","


def numbers_in(text: str, decimal_mark: str | None) -> Iterator[Item]:
    """Yield the numbers of `text` in digits of any script; None is a language whose decimal mark is not known.

    What is no number in the language, such as the time 12.39 in German, gives one for each run of its digits.
    """
    for match in _NUMBER.finditer(_plain(text)):
        spelled = match[0]
        digits = spelled if spelled.isascii() else "".join(str(unicodedata.decimal(c, c)) for c in spelled)
        marks = (decimal_mark,) if decimal_mark else (".", ",")
        # Where the language is not known, 1,500 and 1.500 have groups of digits, and only one reading of 2.5 is left.
        values = [value for mark in marks if (value := _value(digits, mark)) is not None]
        if values:
            yield Item(max(values, key=lambda value: len(value.partition(".")[0])), spelled)
        else:
            for run in re.findall(r"\d+", digits):
                yield Item(run.lstrip("0") or "0", spelled, is_whole=False)


def _value(digits: str, decimal_mark: str) -> str | None:
    """Return the value of a number as digits with a point; None where it is not written as the language does."""
    match = _READ[decimal_mark].fullmatch(digits)
    if match is None:
        return None
    whole, fraction = re.sub(r"\D", "", match[1]).lstrip("0") or "0", (match[3] or "").rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _kept_numbers(items: Items, found: Sequence[Item]) -> Items:
    """Return the `items` among the numbers `found`, by their value.

    A number that was copied counts too, unless it reads as another one: 14.5 in German text, not 1,500.
    """
    left = Counter(number.value for number in found)
    runs = Counter(number.spelled for number in found if not number.is_whole)
    kept: Items = Counter()
    for item, count in items.items():
        copies = runs[item.spelled] // len(re.findall(r"\d+", item.spelled)) if item.is_whole else 0
        by_value = min(count, left[item.value])
        left[item.value] -= by_value
        kept[item] = min(count, by_value + copies)
    return +kept


def _names(text: str) -> Items:
    """Return the words that may be names; only those that the reference has too are counted as names."""
    text, end, found = _plain(text), None, list[str]()
    for match in _WORD.finditer(text):
        is_within = end is not None and _WITHIN.fullmatch(text, end, match.start())
        word = match[0]
        if len(word) > 1 and (word[1:] != word[1:].lower() or (is_within and word[0].isupper())):
            found.append(word)
        end = match.end()
    return _verbatim(found)


def _kept_names(items: Items, text: str) -> Items:
    """Return the `items` among the words of `text`, which may be inflected or compounds; `Nato` is `NATO` too."""
    words = Counter(_WORD.findall(_plain(text)))
    kept: Items = Counter()
    for item, count in items.items():
        name = item.spelled
        beginnings = (name, name.capitalize()) if name.isupper() else name
        longest = len(name) + INFLECTION if len(name) < LONG_NAME else math.inf
        forms = [word for word in words if word.startswith(beginnings) and len(word) <= longest]
        kept[item] = min(count, sum(words[word] for word in forms))
    return +kept
