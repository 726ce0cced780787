"""What is mended in the training pairs and which filters drop them, each optional and each counted.

A filter looks at one pair alone, so text may be cleaned in parts, by several processes. Duplicates are found
afterwards, by the keys in `DUPLICATES`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from nmt.config.data import CleaningConfig, LanguagesConfig
from nmt.data.cleaning.funnel import Funnel
from nmt.data.cleaning.keys import HeldOut, near_key, near_side_key, pair_key, source_key, target_key
from nmt.data.languages import primary_subtag, scripts_of, share_of_script
from nmt.data.pairs import Pair
from nmt.errors import UsageError

Filter = Callable[[str, str], bool]
"""True where the pair (source, target) is to be dropped."""
Mend = Callable[[str], str]


# White space among the control characters parts words, so it becomes a space; the others go. A tab stays.
_CONTROL_CHARACTERS: dict[int, str | None] = {
    code: " " if chr(code).isspace() else None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\t"
} | dict.fromkeys((0xFEFF, 0xFFFE, 0xFFFF), None)


def without_control_characters(text: str) -> str:
    """Take out control characters but tabs, byte-order marks, U+FFFE and U+FFFF; line breaks become spaces."""
    return text.translate(_CONTROL_CHARACTERS)


def with_single_spaces(text: str) -> str:
    """Make each run of white space one space, and none at the ends."""
    return " ".join(text.split())


def in_normal_form(form: str) -> Mend:
    """Bring the text into a normal form of Unicode, `nfc` or `nfkc`."""
    upper: Any = form.upper()
    return lambda text: unicodedata.normalize(upper, text)


def mends(config: CleaningConfig) -> dict[str, Mend]:
    """Return the enabled mends by name, in the order of the recipe, which makes mending twice the same as once."""
    chosen: dict[str, Mend] = {}
    if config.control_characters:
        chosen["control_characters"] = without_control_characters
    if config.unicode is not None:
        chosen["unicode"] = in_normal_form(config.unicode)
    if config.whitespace:
        chosen["whitespace"] = with_single_spaces
    return chosen


def mender(config: CleaningConfig, mended: dict[str, int]) -> Mend:
    """Return what applies every enabled mend to a side, and counts in `mended` which of them changed it."""
    chosen = mends(config)
    for name in chosen:
        mended.setdefault(name, 0)
    form: Any = config.unicode and config.unicode.upper()

    def is_plain(text: str) -> bool:
        # What is printable holds neither control characters nor white space but spaces.
        spaced = "  " in text or text.startswith(" ") or text.endswith(" ")
        return text.isprintable() and not spaced and (form is None or unicodedata.is_normalized(form, text))

    def mend(text: str) -> str:
        if is_plain(text):  # as most text is
            return text
        for name, change in chosen.items():
            changed = change(text)
            if changed != text:
                mended[name] += 1
                text = changed
        return text

    return mend


def is_blank(source: str, target: str) -> bool:
    """Drop pairs with a blank side."""
    return not source.strip() or not target.strip()


def is_shorter_than(characters: int) -> Filter:
    """Drop pairs with a side of fewer than so many characters."""
    return lambda source, target: len(source) < characters or len(target) < characters


def is_longer_than(characters: int) -> Filter:
    """Drop pairs with a side of more than so many characters."""
    return lambda source, target: len(source) > characters or len(target) > characters


def is_lopsided(ratio: float, ratio_from: int) -> Filter:
    """Drop pairs with one side over `ratio` times as long as the other, if it has `ratio_from` characters."""

    def lopsided(source: str, target: str) -> bool:
        shorter, longer = len(source.strip()), len(target.strip())
        if shorter > longer:
            shorter, longer = longer, shorter
        return longer >= ratio_from and longer > ratio * shorter

    return lopsided


def is_copy(source: str, target: str) -> bool:
    """Drop pairs whose target is the source, untranslated."""
    return source.strip() == target.strip()


# Bounded repetitions, so that a long line costs no more than a look at each place; ideographic and full-width
# punctuation ends an address, as no space does in Chinese and Japanese.
_ADDRESS = re.compile(
    r"""(?: \b [a-z][a-z0-9+.-]{0,15}:// | \b www\. ) [^\s\u3000-\u303f\uff00-\uffef]+
    | [^\s@]{1,64} @ [^\s@.]+ \. [^\s@\u3000-\u303f\uff00-\uffef]+""",
    re.IGNORECASE | re.VERBOSE,
)


def _is_only_addresses(text: str) -> bool:
    if "://" not in text and "@" not in text and "www." not in text.lower():
        return False
    rest, found = _ADDRESS.subn("", text)
    return found > 0 and not any(map(str.isalnum, rest))


def holds_only_addresses(source: str, target: str) -> bool:
    """Drop pairs with a side that holds nothing but web and e-mail addresses, and what separates them."""
    return _is_only_addresses(source) or _is_only_addresses(target)


def is_in_other_script(share: float, languages: LanguagesConfig) -> Filter:
    """Drop pairs with a side where less than `share` of the letters is of the language's own scripts."""
    own_source, own_target = scripts_of(languages.source), scripts_of(languages.target)
    return lambda source, target: (
        share_of_script(source, own_source) < share or share_of_script(target, own_target) < share
    )


def _digits(text: str) -> list[int]:
    return sorted(map(unicodedata.decimal, re.findall(r"\d", text)))


def differs_in_digits(source: str, target: str) -> bool:
    """Drop pairs whose sides do not hold the same digits, in whatever order and script."""
    return _digits(source) != _digits(target)


# Several marks in a row count as one. A point within a number or a name ends nothing; where sentences follow one
# another without a space, their marks are others.
_SENTENCE_END = re.compile(
    r"[.?!\u2026\u203c\u203d\u2047-\u2049]++(?!\w)"
    r"|[\u3002\uff01\uff0e\uff1f\uff61\u037e\u0589\u055c\u055e\u0964\u0965\u061f\u06d4\u104b\u1362\u1367\u17d4\u17d5]+"
)


def differs_in_sentences(most: int) -> Filter:
    """Drop pairs where one side has over `most` more marks that end sentences than the other."""
    return lambda source, target: abs(len(_SENTENCE_END.findall(source)) - len(_SENTENCE_END.findall(target))) > most


_ALSO_CALLED = {"cmn": "zh", "fil": "tl", "in": "id", "iw": "he", "nb": "no"}


@cache
def _identifier() -> Any:
    """Load what tells languages apart. Raises UsageError where the package is missing."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise UsageError(
            "cleaning.check_language = true needs a package that is not installed", hint='pip install "nmt[langid]"'
        ) from None
    return LanguageIdentifier.from_model_file(MODEL_FILE)


def is_in_other_language(languages: LanguagesConfig, language_from: int) -> Filter:
    """Drop pairs with a side of at least `language_from` characters that is taken for another language.

    Raises UsageError where the package for it is missing or does not know one of the languages.
    """
    identifier = _identifier()
    own: list[str] = []
    for key, code in (("source", languages.source), ("target", languages.target)):
        subtag = primary_subtag(code)
        subtag = _ALSO_CALLED.get(subtag, subtag)
        if subtag not in identifier.labels:
            raise UsageError(
                f"languages.{key} = {code!r}: a language that cleaning.check_language cannot tell from others",
                hint="set cleaning.check_language to false",
            )
        own.append(subtag)
    own_source, own_target = own

    def is_other(text: str, language: str) -> bool:
        return len(text) >= language_from and identifier.classify(text)[0] != language

    return lambda source, target: is_other(source, own_source) or is_other(target, own_target)


def stands_in(held_out: HeldOut) -> Filter:
    """Drop pairs that also stand in dev or test."""
    return lambda source, target: pair_key(source, target) in held_out.pairs


def nearly_stands_in(held_out: HeldOut) -> Filter:
    """Drop pairs that also stand in dev or test but for case, digits, punctuation, symbols and white space."""
    # The keys of few sources are among them, so the targets are seldom looked at.
    return lambda source, target: (
        near_side_key(source) in held_out.near_sources and near_key(source, target) in held_out.near
    )


def shares_side_with(held_out: HeldOut) -> Filter:
    """Drop pairs with a side that nearly stands in dev or test, whatever the other side."""
    return lambda source, target: (
        near_side_key(source) in held_out.near_sources or near_side_key(target) in held_out.near_targets
    )


def filters(config: CleaningConfig, languages: LanguagesConfig, held_out: HeldOut) -> dict[str, Filter]:
    """Return the enabled filters by name, in the order of the recipe; those of duplicates are not among them.

    Raises UsageError where languages are to be checked and cannot be.
    """
    chosen: dict[str, Filter] = {}
    if config.drop_empty:
        chosen["empty"] = is_blank
    if config.min_characters > 1:
        chosen["min_characters"] = is_shorter_than(config.min_characters)
    if config.max_characters is not None:
        chosen["max_characters"] = is_longer_than(config.max_characters)
    if config.max_ratio is not None:
        chosen["max_ratio"] = is_lopsided(config.max_ratio, config.ratio_from)
    if config.drop_copies:
        chosen["copies"] = is_copy
    if config.drop_urls:
        chosen["urls"] = holds_only_addresses
    if config.min_script is not None:
        chosen["script"] = is_in_other_script(config.min_script, languages)
    if config.drop_digit_mismatch:
        chosen["digit_mismatch"] = differs_in_digits
    if config.max_punctuation_difference is not None:
        chosen["punctuation"] = differs_in_sentences(config.max_punctuation_difference)
    if config.check_language:
        chosen["language"] = is_in_other_language(languages, config.language_from)
    if config.drop_leaked:
        chosen["leaked"] = stands_in(held_out) if held_out.pairs else passes
    if config.drop_leaked_near:
        chosen["leaked_near"] = nearly_stands_in(held_out) if held_out.pairs else passes
    if config.drop_leaked_sides:
        chosen["leaked_sides"] = shares_side_with(held_out) if held_out.pairs else passes
    return chosen


def passes(_source: str, _target: str) -> bool:
    """Drop nothing."""
    return False


def clean(
    pairs: Iterable[Pair], config: CleaningConfig, languages: LanguagesConfig, *, held_out: HeldOut, funnel: Funnel
) -> Iterator[Pair]:
    """Yield the mended pairs that pass every filter, in order, and count all of it in `funnel`.

    Raises UsageError at once, before a pair is read, where languages are to be checked and cannot be.
    """
    chosen = filters(config, languages, held_out)
    for name in chosen:
        funnel.dropped.setdefault(name, 0)
    return _clean(pairs, mender(config, funnel.mended), chosen, funnel)


def _clean(pairs: Iterable[Pair], mend: Mend, chosen: dict[str, Filter], funnel: Funnel) -> Iterator[Pair]:
    for read_source, read_target in pairs:
        source, target = mend(read_source), mend(read_target)
        funnel.read += 1
        for name, drops in chosen.items():
            if drops(source, target):
                funnel.drop(name, source, target)
                break
        else:
            funnel.kept += 1
            yield source, target


DUPLICATES: dict[str, Callable[[str, str], int]] = {
    "duplicates": pair_key,
    "near_duplicates": near_key,
    "same_source": source_key,
    "same_target": target_key,
}
"""The filters of duplicates by name, in the order of the recipe: what a pair that stood earlier has the same of."""


def duplicate_filters(config: CleaningConfig) -> list[str]:
    """Return the names of the enabled filters of duplicates, in the order of the recipe."""
    return [name for name in DUPLICATES if getattr(config, f"drop_{name}")]
