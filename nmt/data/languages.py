"""Which scripts a language is written in, and which script a letter is of."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

# A script bears the first word of its letters' names in Unicode.
_CHINESE = frozenset({"CJK", "IDEOGRAPHIC", "BOPOMOFO"})
_JAPANESE = frozenset({"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "CJK", "IDEOGRAPHIC"})
_KOREAN = frozenset({"HANGUL", "CJK"})
_LATIN = frozenset({"LATIN"})

_LANGUAGES_OF = {
    "CYRILLIC": "ab av ba be bg bua ce cv kk krc kv ky mdf mhr mk mn mrj myv os ru sah sr tg tt tyv udm uk xal",
    "ARABIC": "ar arz ary azb bal ckb fa glk ks mzn pnb ps sd skr ug ur",
    "HEBREW": "he iw yi",
    "DEVANAGARI": "awa bh bho brx doi gom hi hne mai mag mr ne new sa",
    "BENGALI": "as bn bpy mni",
    "GURMUKHI": "pa",
    "GUJARATI": "gu",
    "ORIYA": "or",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn tcy",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAANA": "dv",
    "TIBETAN": "bo dz",
    "MYANMAR": "ksw mnw my shn",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "GEORGIAN": "ka xmf",
    "ARMENIAN": "hy hyw",
    "ETHIOPIC": "am gez ti tig",
    "GREEK": "el grc pnt",
    "COPTIC": "cop",
    "SYRIAC": "arc syr",
    "TIFINAGH": "zgh",
    "CHEROKEE": "chr",
    "CANADIAN": "cr iu",
    "NKO": "nqo",
    "OL": "sat",
}
_SCRIPTS_OF = {
    language: frozenset({script}) for script, languages in _LANGUAGES_OF.items() for language in languages.split()
} | {"ja": _JAPANESE, "ko": _KOREAN, **dict.fromkeys(("gan", "hak", "lzh", "wuu", "yue", "zh"), _CHINESE)}

_BY_SUBTAG = {
    "latn": _LATIN,
    "cyrl": frozenset({"CYRILLIC"}),
    "arab": frozenset({"ARABIC"}),
    "deva": frozenset({"DEVANAGARI"}),
    "beng": frozenset({"BENGALI"}),
    "guru": frozenset({"GURMUKHI"}),
    "gujr": frozenset({"GUJARATI"}),
    "orya": frozenset({"ORIYA"}),
    "taml": frozenset({"TAMIL"}),
    "telu": frozenset({"TELUGU"}),
    "knda": frozenset({"KANNADA"}),
    "mlym": frozenset({"MALAYALAM"}),
    "sinh": frozenset({"SINHALA"}),
    "tibt": frozenset({"TIBETAN"}),
    "mymr": frozenset({"MYANMAR"}),
    "laoo": frozenset({"LAO"}),
    "khmr": frozenset({"KHMER"}),
    "geor": frozenset({"GEORGIAN"}),
    "armn": frozenset({"ARMENIAN"}),
    "ethi": frozenset({"ETHIOPIC"}),
    "grek": frozenset({"GREEK"}),
    "hebr": frozenset({"HEBREW"}),
    "mong": frozenset({"MONGOLIAN"}),
    "mtei": frozenset({"MEETEI"}),
    "olck": frozenset({"OL"}),
    "tfng": frozenset({"TIFINAGH"}),
    "hans": _CHINESE,
    "hant": _CHINESE,
    "hani": _CHINESE,
    "jpan": _JAPANESE,
    "kore": _KOREAN,
    "hang": _KOREAN,
}


def primary_subtag(code: str) -> str:
    """Return the part of a language's code that names the language: `zh` of `zh-TW`, `en` of `en_US`."""
    return _subtags(code)[0]


def scripts_of(code: str) -> frozenset[str]:
    """Return the scripts of the language `code`; a script within it counts first, as in `sr-Latn`.

    A language that is not known is taken to be written in Latin letters.
    """
    first, *others = _subtags(code)
    for subtag in others:
        if subtag in _BY_SUBTAG:
            return _BY_SUBTAG[subtag]
    return _SCRIPTS_OF.get(first, _LATIN)


def _subtags(code: str) -> list[str]:
    return re.split(r"[-_.]", code.lower())


@cache
def script_of(letter: str) -> str:
    """Return the script of one letter, such as `LATIN`; `MODIFIER` of those that belong to no script."""
    # The compatible form has the script in its name where, say, FULLWIDTH or MICRO SIGN hide it.
    plain = unicodedata.normalize("NFKC", letter)
    return unicodedata.name(plain[0], "").partition(" ")[0]


_PLAINLY_LATIN = re.compile("[\0-\xb4\xb6-\u024f\u2010-\u205e\u20ac]*")
"""Text whose letters are all Latin; the micro sign is a Greek one."""


def share_of_script(text: str, scripts: frozenset[str]) -> float:
    """Return the share of the letters of `text` that are of one of the `scripts`; 1 where there is no letter."""
    if scripts == _LATIN and (text.isascii() or _PLAINLY_LATIN.fullmatch(text)):
        return 1.0
    found = [script_of(character) for character in text if character.isalpha()]
    counted = len(found) - found.count("MODIFIER")
    return sum(script in scripts for script in found) / counted if counted else 1.0
