"""Languages by their codes, in every spelling, and the scripts in which they are written.

langcodes knows the codes of BCP 47, ISO 639 and CLDR: `he` is `iw`, `zho_Hans` is `zh`, `nb` is near `no`.
"""

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Container, Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

import langcodes
from langcodes import Language
from langcodes.data_dicts import ALL_SCRIPTS, LIKELY_SUBTAGS, MACROLANGUAGES
from langcodes.language_lists import CLDR_LANGUAGES
from language_data.names import data_filename, load_trie, normalize_name

_LATIN = frozenset({"LATIN"})
_NEAR = 15  # distance of languages that are read for each other: `da` and `no` 12, `id` and `ms` 14
_NO_LANGUAGES = {"mis", "mul", "und", "zxx"}  # ISO 639's codes for several, unknown and no languages


def primary_subtag(code: str) -> str:
    """Return the part of a language code that names the language: `zh` of `zh-TW`, `en` of `en_US`."""
    return _subtags(code)[0]


def _subtags(code: str) -> list[str]:
    return re.split(r"[-_.@]", code.lower())


@cache
def language_of(code: str) -> Language | None:
    """Return the language of a code in any spelling, `zho_Hans`, `zh-hans`, `pt_BR.UTF-8`; None of what is no code."""
    whole = re.split(r"[.@]", code.replace("_", "-"))[0]
    for text in (whole, primary_subtag(code)):  # the rest may be what BCP 47 does not know, as in zh_classical
        try:
            language = Language.get(text)
        except ValueError:
            continue
        if Language.make(language.language).is_valid():
            return language
    return None


@cache
def standard_code(code: str) -> str:
    """Return the shortest code of the language that `code` names, of the group that it belongs to: `no` of `nob`.

    Scripts and regions are left out. What is no code stays as it is, in lower case.
    """
    language = language_of(code)
    subtag = language.prefer_macrolanguage().language if language else None
    return {"nb": "no"}.get(subtag, subtag) if subtag else code.lower()


def standard_tag(code: str) -> str:
    """Return `code` as BCP 47 spells it: `en` of `eng`, `pt-BR` of `pt_br`; what is no code stays as it is."""
    return langcodes.standardize_tag(code) if language_of(code) and langcodes.tag_is_valid(code) else code


@cache
def same_code(one: str, other: str) -> bool:
    """Return whether two codes are spellings of one: `en` and `eng_Latn`, `iw` and `he`, but not `pt` and `pt-BR`."""
    first, second = language_of(one), language_of(other)
    if spelled(one) == spelled(other) or first is None or second is None:
        return spelled(one) == spelled(other)
    if first.territory != second.territory or first.variants != second.variants:
        return False
    return (
        first.prefer_macrolanguage().language == second.prefer_macrolanguage().language
        and first.maximize().script == second.maximize().script
    )


@cache
def same_language(one: str, other: str) -> bool:
    """Return whether two codes name one language: `no` and `nb`, `zh` and `cmn`, `pt` and `pt-BR`, but not `zh`, `yue`.

    Variants that both codes name are compared: `pt-PT` is not `pt-BR`, nor `zh-TW` `zh-Hans`.
    """
    if spelled(one) == spelled(other):
        return True
    first, second = language_of(one), language_of(other)
    if first is None or second is None or standard_code(one) != standard_code(other):
        return False
    if first.territory and second.territory and first.territory != second.territory:
        return False
    are_exact = all(language.script or language.territory for language in (first, second))
    return not are_exact or first.maximize().script == second.maximize().script


def best_match(code: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that names the language `code`: the same code, or else the nearest; None if none does.

    >>> best_match("pt", ["pt-PT", "pt-BR"])
    'pt-BR'
    >>> best_match("nb_NO", ["de", "no"])
    'no'
    """
    same = [candidate for candidate in candidates if same_language(code, candidate)]
    return min(same, key=lambda candidate: _distance(code, candidate), default=None)


def best_pair(source: str, target: str, candidates: Iterable[str]) -> tuple[str, str] | None:
    """Return the candidates that name two languages, as `best_match` finds them; None if one is missing.

    >>> best_pair("zh-CN", "zh-TW", ["en", "zh-TW", "zh"])
    ('zh', 'zh-TW')
    """
    left = list(candidates)
    exact = {code: next((each for each in left if spelled(each) == spelled(code)), None) for code in (source, target)}
    free = [each for each in left if spelled(each) not in map(spelled, (source, target))]
    first = exact[source] or best_match(source, free)
    second = exact[target] or best_match(target, [each for each in free if each != first])
    return (first, second) if first and second and first != second else None


def places_of_pair(source: str, target: str, codes: Sequence[str]) -> tuple[int, int] | None:
    """Return the indices in `codes` of those that `best_pair` finds; None if one is missing."""
    pair = best_pair(source, target, codes)
    return pair and (codes.index(pair[0]), codes.index(pair[1]))


@lru_cache(maxsize=1000)
def is_backward(given: tuple[str, str], wanted: tuple[str, str]) -> bool | None:
    """Return whether the direction `given`, from one language to another, is opposite to `wanted`.

    A language that is "" is not given, and counts as the wanted one. None where the languages are others.

    >>> is_backward(("deu", ""), ("en", "de")), is_backward(("en-GB", "de"), ("en", "de"))
    (True, False)
    """
    for places in ((0, 1), (1, 0)):
        codes = [code or wanted[place] for code, place in zip(given, places, strict=True)]
        if places_of_pair(*wanted, codes) == places:
            return places == (1, 0)
    return None


@cache
def is_widely_written(code: str) -> bool:
    """Return whether CLDR translates its data into the language, as it does for some 80."""
    return any(same_language(code, known) for known in CLDR_LANGUAGES - _NO_LANGUAGES)


@cache
def are_variants(one: str, other: str) -> bool:
    """Return whether two codes are of one macrolanguage, or of languages whose readers read both.

    Such are `zh` and `yue`, `hr` and `bs`, `no`, `nn` and `da`, `de` and `lb`, `id` and `ms`.
    """
    if language_of(one) is None or language_of(other) is None:
        return one == other
    groups = [MACROLANGUAGES.get(code, code) for code in (standard_code(one), standard_code(other))]
    return groups[0] == groups[1] or min(_distance(one, other), _distance(other, one)) <= _NEAR


def spelled(code: str) -> str:
    """Return `code` in lower case with hyphens."""
    return code.lower().replace("_", "-")


@cache
def _distance(code: str, candidate: str) -> int:
    """Return how far a code is from another of its language; 0 where they are spelled alike."""
    first, second = language_of(code), language_of(candidate)
    if first is None or second is None or spelled(code) == spelled(candidate):
        return 0
    return 1 + first.distance(second)


def unknown_code(code: str) -> str | None:
    """Return the nearest code where `code` is that of no language, "" where none is near; None where it is one.

    >>> unknown_code("german"), unknown_code("jp"), unknown_code("nb-NO")
    ('de', 'ja', None)
    """
    if language_of(code) is not None:
        return None
    if named := language_named(code):
        return named
    # A country's code: `jp` is not Japanese, nor `cz` Czech.
    if spoken := LIKELY_SUBTAGS.get(f"und-{primary_subtag(code).upper()}"):
        return primary_subtag(spoken)
    names = _english_names()
    near = difflib.get_close_matches(code.lower(), names, 1, cutoff=0.7)
    near = near or [name for name in names if code and name.startswith(code.lower())]
    if near:
        return names[near[0]]
    short = [known for known in LIKELY_SUBTAGS if len(known) == 2]
    return next(iter(difflib.get_close_matches(code.lower(), short, 1, cutoff=0.5)), "")


@cache
def _names() -> Container[str]:
    """Return the names of languages in all languages, as langcodes looks them up."""
    names: Container[str] = load_trie(data_filename("trie/und/name_to_language.marisa"))
    return names


def language_named(name: str) -> str | None:
    """Return the code of a language by its name in any language, `German` or `Deutsch`; None where there is none."""
    if len(name) < 4 and name.isascii():
        return None  # "en" and "id" are names of small languages too
    # Of others langcodes takes the beginning, "person" for Persian; see findings/langcodes_headings_as_languages.sh.
    return langcodes.find(name).to_tag() if normalize_name(name) in _names() else None


def english_name(code: str) -> str:
    """Return the English name of a language, and the code itself where it is none."""
    language = language_of(code)
    return language.display_name() if language else code


@cache
def _english_names() -> dict[str, str]:
    """Return the codes of widely written languages by their English names."""
    return {Language.make(code).display_name().lower(): code for code in sorted(CLDR_LANGUAGES)}


@cache
def _table(name: str) -> dict[str, str]:
    tables: dict[str, dict[str, str]] = tomllib.loads(
        Path(__file__).with_name("scripts.toml").read_text(encoding="utf-8")
    )
    return tables[name]


@cache
def _own_scripts() -> dict[str, list[str]]:
    """Return the scripts of the languages about which CLDR is silent or wrong."""
    return {code: scripts.split() for scripts, codes in _table("languages").items() for code in codes.split()}


@cache
def script_codes(code: str) -> tuple[str, ...]:
    """Return ISO 15924's codes of the scripts of the language `code`, the usual first; none where it is not known.

    Those of a script subtag come first, as in `sr-Latn`, then those of a region, as in `pa-PK`.
    """
    for subtag in _subtags(code)[1:]:
        if subtag.title() in ALL_SCRIPTS:
            return (subtag.title(),)
    language = language_of(code)
    name = language.language if language else None
    if language is None or name is None or name in _NO_LANGUAGES:
        return ()
    for own in (name, MACROLANGUAGES.get(name, name)):
        if own in _own_scripts():
            return tuple(_own_scripts()[own])
        if own in LIKELY_SUBTAGS:  # else langcodes takes it for Latin; see findings/langcodes_unlisted_script.sh
            script = Language.make(own, territory=language.territory).maximize().script
            return (script,) if script else ()
    return ()


@cache
def scripts_of(code: str) -> frozenset[str]:
    """Return the scripts of the language `code` as `script_of` names them; none where it is not known."""
    return frozenset(word for script in script_codes(code) for word in _letters(script))


def _letters(script: str) -> list[str]:
    """Return the first words of the Unicode names of a script's letters."""
    named = Language.make(script=script).script_name().upper().split()[:1]
    return _table("letters").get(script, " ".join(named)).split()


@cache
def script_of(letter: str) -> str:
    """Return the script of one letter, such as `LATIN`, or `MODIFIER` for letters of no script."""
    # The compatible form has the script in its name where, say, FULLWIDTH or MICRO SIGN hide it.
    plain = unicodedata.normalize("NFKC", letter)
    return unicodedata.name(plain[0], "").partition(" ")[0]


_PLAINLY_LATIN = re.compile("[\0-\xb4\xb6-\u024f\u2010-\u205e\u20ac]*")
"""Text whose letters are all Latin; the micro sign is a Greek one."""


def share_of_script(text: str, scripts: frozenset[str]) -> float:
    """Return the share of the letters of `text` that are of one of the `scripts`; 1 without letters or scripts."""
    if not scripts or (scripts == _LATIN and (text.isascii() or _PLAINLY_LATIN.fullmatch(text))):
        return 1.0
    letters = [script_of(character) for character in text if character.isalpha()]
    counted = len(letters) - letters.count("MODIFIER")
    return sum(script in scripts for script in letters) / counted if counted else 1.0
