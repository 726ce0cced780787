"""Look up the scripts in which a language is written, and the script of a letter."""

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path

_LATIN = frozenset({"LATIN"})


@cache
def _scripts() -> dict[str, frozenset[str]]:
    """Read the scripts of each language and of each code of ISO 15924 from `scripts.toml`."""
    table: dict[str, str] = tomllib.loads(Path(__file__).with_name("scripts.toml").read_text(encoding="utf-8"))
    return {code: frozenset(names.split("+")) for names, codes in table.items() for code in codes.split()}


def primary_subtag(code: str) -> str:
    """Return the part of a language code that names the language: `zh` of `zh-TW`, `en` of `en_US`."""
    return _split(code)[0]


def scripts_of(code: str) -> frozenset[str]:
    """Return the scripts of the language `code`, those of its script subtag if it has one, as in `sr-Latn`.

    Unknown languages count as written in Latin letters.
    """
    language, *others = _split(code)
    subtags = [subtag for subtag in others if len(subtag) == 4]  # others are regions and variants
    return next((_scripts()[key] for key in (*subtags, language) if key in _scripts()), _LATIN)


def _split(code: str) -> list[str]:
    return re.split(r"[-_.]", code.lower())


@cache
def script_of(letter: str) -> str:
    """Return the script of one letter, such as `LATIN`, or `MODIFIER` for letters of no script."""
    # The compatible form has the script in its name where, say, FULLWIDTH or MICRO SIGN hide it.
    plain = unicodedata.normalize("NFKC", letter)
    return unicodedata.name(plain[0], "").partition(" ")[0]


_PLAINLY_LATIN = re.compile("[\0-\xb4\xb6-\u024f\u2010-\u205e\u20ac]*")
"""Text whose letters are all Latin; the micro sign is a Greek one."""


def share_of_script(text: str, scripts: frozenset[str]) -> float:
    """Return the share of the letters of `text` that are of one of the `scripts`; 1 without letters."""
    if scripts == _LATIN and (text.isascii() or _PLAINLY_LATIN.fullmatch(text)):
        return 1.0
    letters = [script_of(character) for character in text if character.isalpha()]
    counted = len(letters) - letters.count("MODIFIER")
    return sum(script in scripts for script in letters) / counted if counted else 1.0
