"""Fixes of the training pairs, and filters that drop them, each optional and each counted.

A filter judges one pair by itself, so a text can be cleaned in parts, by several processes. Duplicates are found
afterwards, by the keys in `DUPLICATES`.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from html.entities import html5
from typing import Literal

from nmt.config.data import CleaningConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning.funnel import Funnel
from nmt.data.cleaning.keys import HeldOut, near_key, pair_key, side_key
from nmt.data.identification import identifier
from nmt.data.languages import are_variants, best_match, is_widely_written, scripts_of, share_of_script
from nmt.data.pairs import Pair, is_blank
from nmt.errors import UsageError

Filter = Callable[[str, str], bool]  # returns True for a pair (source, target) that is to be dropped
Fix = Callable[[str], str]
CHECK = "cleaning.check_language = true"  # what needs the model that identifies languages

DUPLICATES: dict[str, Callable[[str, str], int]] = {
    "duplicates": pair_key,
    "near_duplicates": near_key,
    "same_source": lambda source, _: side_key(source),
    "same_target": lambda _, target: side_key(target),
}
"""The filters of duplicates in the order of the recipe, with the keys by which they compare pairs."""
KEY_OF = {"script": "min_script", "punctuation": "max_punctuation_difference", "language": "check_language"}
"""Keys of [cleaning] that do not end in the names of their filters."""
NO_FILTERS = {
    "ratio_from",
    "language_from",
    "language_margin",
    "keep_special_spaces",
}  # keys of [cleaning] that are parameters of a fix or a filter

# Control characters that are white space separate words, so they become spaces; a tab stays, the others go.
_CONTROL_CHARACTERS: dict[int, str | None] = {
    code: " " if chr(code).isspace() else None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\t"
} | dict.fromkeys((0xFEFF, 0xFFFE, 0xFFFF), None)

_WHITE_SPACE = re.compile(r"\s+")
_SPECIAL_SPACES = frozenset(
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
_FORMS: dict[str, Literal["NFC", "NFKC"]] = {"nfc": "NFC", "nfkc": "NFKC"}


_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_AMPERSAND = re.compile("&(?:(?:amp|AMP|#0{0,5}38|#[xX]0{0,4}26);)+")  # at once, however many levels there are


def entities_of(text: str) -> list[str]:
    """Return the character references of HTML in a text, such as `&amp;` and `&#39;`; unknown names are text."""
    found = _ENTITY.findall(text) if "&" in text else []
    return [entity for entity in found if entity[1] == "#" or entity[1:] in html5]


def decode_entities(text: str) -> str:
    """Return a text with the characters that its entities stand for, those of `&amp;quot;` and the like too."""
    text = _AMPERSAND.sub("&", text)
    while entities_of(text):
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]) if entities_of(entity[0]) else entity[0], text)
    return text


def fixes(config: CleaningConfig) -> dict[str, Fix]:
    """Return the enabled fixes by name, in the order of the recipe, in which fixing twice is the same as once."""
    chosen: dict[str, Fix] = {}
    if config.entities:
        chosen["entities"] = decode_entities
    if config.control_characters:
        chosen["control_characters"] = lambda text: text.translate(_CONTROL_CHARACTERS)
    if config.unicode is not None:
        form = _FORMS[config.unicode]
        chosen["unicode"] = lambda text: unicodedata.normalize(form, text)
    if config.whitespace:
        chosen["whitespace"] = runs_to_spaces if config.keep_special_spaces else lambda text: " ".join(text.split())
    return chosen


def runs_to_spaces(text: str) -> str:
    """Make each run of white space one space, but for a single special space within the text; none at the ends."""
    return _WHITE_SPACE.sub(lambda run: run[0] if run[0] in _SPECIAL_SPACES else " ", text.strip())


def fixer(config: CleaningConfig, counts: dict[str, int]) -> Fix:
    """Return a function that applies every enabled fix to a side, and adds the fixes that change it to `counts`."""
    chosen = fixes(config)
    for name in chosen:
        counts.setdefault(name, 0)
    form = config.unicode and _FORMS[config.unicode]

    def fix(text: str) -> str:
        # A printable text holds no control character, and no white space but spaces.
        spaced = "  " in text or text.startswith(" ") or text.endswith(" ")
        is_plain = not (config.entities and "&" in text)
        if is_plain and text.isprintable() and not spaced and (form is None or unicodedata.is_normalized(form, text)):
            return text  # as most texts are
        for name, change in chosen.items():
            changed = change(text)
            if changed != text:
                counts[name] += 1
                text = changed
        return text

    return fix


def has_blank_side(source: str, target: str) -> bool:
    return is_blank(source) or is_blank(target)


def is_shorter_than(characters: int) -> Filter:
    return lambda source, target: len(source) < characters or len(target) < characters


def is_longer_than(characters: int) -> Filter:
    return lambda source, target: len(source) > characters or len(target) > characters


def is_lopsided(ratio: float, ratio_from: int) -> Filter:
    """Drop pairs with one side over `ratio` times as long as the other, if it has at least `ratio_from` characters."""

    def lopsided(source: str, target: str) -> bool:
        shorter, longer = len(source.strip()), len(target.strip())
        if shorter > longer:
            shorter, longer = longer, shorter
        return longer >= ratio_from and longer > ratio * shorter

    return lopsided


def is_copy(source: str, target: str) -> bool:
    return source.strip() == target.strip()


# Bounded repetitions keep the search linear in the length of a line. Ideographic and full-width punctuation ends an
# address, for in Chinese and Japanese no space does.
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
    """Drop pairs with a side that consists of web and e-mail addresses, and of their separators."""
    return _is_only_addresses(source) or _is_only_addresses(target)


def is_in_other_script(share: float, languages: LanguagesConfig) -> Filter:
    """Drop pairs with a side of which less than `share` of the letters are in a script of its language."""
    own_source, own_target = scripts_of(languages.source), scripts_of(languages.target)
    return lambda source, target: (
        share_of_script(source, own_source) < share or share_of_script(target, own_target) < share
    )


def _digits(text: str) -> list[int]:
    return sorted(map(unicodedata.decimal, re.findall(r"\d", text)))


def differs_in_digits(source: str, target: str) -> bool:
    """Drop pairs whose sides do not hold the same digits, in any order and script."""
    return _digits(source) != _digits(target)


# Several marks in a row count as one. A full stop within a number or a name ends no sentence; the scripts that put no
# space between sentences have marks of their own.
_SENTENCE_END = re.compile(
    r"[.?!\u2026\u203c\u203d\u2047-\u2049]++(?!\w)"
    r"|[\u3002\uff01\uff0e\uff1f\uff61\u037e\u0589\u055c\u055e\u0964\u0965\u061f\u06d4\u104b\u1362\u1367\u17d4\u17d5]+"
)


def differs_in_sentences(most: int) -> Filter:
    """Drop pairs where the counts of marks that end sentences differ by more than `most`."""
    return lambda source, target: abs(len(_SENTENCE_END.findall(source)) - len(_SENTENCE_END.findall(target))) > most


def filter_names() -> dict[str, str]:
    """Return the keys of [cleaning] by the names of their filters and fixes, in the order of the recipe."""
    own = {key: name for name, key in KEY_OF.items()}
    keys = (key for key in CleaningConfig.model_fields if key not in NO_FILTERS)
    return {own.get(key, key.removeprefix("drop_")): key for key in keys}


def is_in_other_language(languages: LanguagesConfig, config: CleaningConfig) -> Filter:
    """Drop pairs with a side of at least `language_from` letters that is identified as another language.

    Raises UsageError where the package is missing or does not know one of the languages.
    """
    known, own = identifier(CHECK).labels, list[str]()
    for key, code in (("source", languages.source), ("target", languages.target)):
        label = best_match(code, known)
        if label is None:
            problem = f"languages.{key} = {code!r}: a language that cleaning.check_language cannot tell from others"
            raise UsageError(problem, hint="set cleaning.check_language to false")
        own.append(label)
    source_is_other, target_is_other = (_is_other(label, own, config) for label in own)
    return lambda source, target: source_is_other(source) or target_is_other(target)


def _is_other(own: str, pair: Sequence[str], config: CleaningConfig) -> Callable[[str], bool]:
    """Return the check of one side, whose label is `own`, one of the labels of the `pair`."""
    least, margin = config.language_from, config.language_margin
    if margin is None:
        identify = identifier(CHECK).classify
        return lambda text: len(text) >= least and identify(text)[0] != own
    calibrated = copy(identifier(CHECK, is_calibrated=True))
    # Small languages, creoles and "no language" attract texts full of names and terms, and Latin those of words in -um,
    # as findings/py3langid_english_as_latin.sh shows; variants are one language.
    chosen = [label for label in calibrated.labels if label in pair or is_widely_written(label)]
    calibrated.set_languages([label for label in chosen if label == own or not are_variants(own, label)])

    def is_other(text: str) -> bool:
        if sum(map(str.isalpha, text)) < least:
            return False
        found, probability = calibrated.classify(text)
        return found != own and probability > margin * dict(calibrated.rank(text))[own]

    return is_other


def filters(config: CleaningConfig, languages: LanguagesConfig, held_out: HeldOut) -> dict[str, Filter]:
    """Return the enabled filters of single pairs by name, in the order of the recipe.

    Raises UsageError where languages are to be checked and cannot be.
    """

    def leaked(drops: Filter) -> Filter:
        return drops if held_out.pairs else lambda *_: False

    differs = config.max_punctuation_difference is not None and differs_in_sentences(config.max_punctuation_difference)
    chosen: dict[str, Filter | Literal[False]] = {
        "empty": config.drop_empty and has_blank_side,
        "min_characters": config.min_characters > 1 and is_shorter_than(config.min_characters),
        "max_characters": config.max_characters is not None and is_longer_than(config.max_characters),
        "max_ratio": config.max_ratio is not None and is_lopsided(config.max_ratio, config.ratio_from),
        "copies": config.drop_copies and is_copy,
        "urls": config.drop_urls and holds_only_addresses,
        "script": config.min_script is not None and is_in_other_script(config.min_script, languages),
        "digit_mismatch": config.drop_digit_mismatch and differs_in_digits,
        "punctuation": differs,
        "language": config.check_language and is_in_other_language(languages, config),
        "leaked": config.drop_leaked and leaked(held_out.holds),
        "leaked_near": config.drop_leaked_near and leaked(held_out.nearly_holds),
        "leaked_sides": config.drop_leaked_sides and leaked(held_out.nearly_holds_side),
    }
    return {name: drops for name, drops in chosen.items() if drops}


def clean(
    pairs: Iterable[Pair],
    config: CleaningConfig,
    languages: LanguagesConfig,
    *,
    held_out: HeldOut,
    funnel: Funnel,
    monolingual: bool = False,
) -> Iterator[Pair]:
    """Yield the fixed pairs that pass every filter, in order, and count them in `funnel`.

    The sides of `monolingual` pairs are one line, which is fixed, and counted, once. Raises UsageError, before a pair
    is read, where languages are to be checked and cannot be.
    """
    chosen, fix = filters(config, languages, held_out), fixer(config, funnel.mended)
    for name in chosen:
        funnel.dropped.setdefault(name, 0)
    for raw_source, raw_target in pairs:
        source = fix(raw_source)
        target = source if monolingual else fix(raw_target)
        funnel.read += 1
        for name, drops in chosen.items():
            if drops(source, target):
                funnel.drop(name, source, target)
                break
        else:
            funnel.kept += 1
            yield source, target


def duplicate_filters(config: CleaningConfig) -> list[str]:
    """Return the names of the enabled filters of duplicates, in the order of the recipe."""
    return [name for name in DUPLICATES if getattr(config, f"drop_{name}")]
