"""Look up the scripts in which a language is written, and the script of a letter."""

import re
import unicodedata
from functools import cache

_LATIN = frozenset({"LATIN"})
# First words of the Unicode names of letters; the script's codes in ISO 15924, and the languages written in it.
_TABLE = """
CYRILLIC: cyrl ab av ba be bg bua ce cv kk krc kv ky mdf mhr mk mn mrj myv os ru sah sr tg tt tyv udm uk xal
ARABIC: arab ar arz ary azb bal ckb fa glk ks mzn pnb ps sd skr ug ur
HEBREW: hebr he iw yi
DEVANAGARI: deva awa bh bho brx doi gom hi hne mai mag mr ne new sa
BENGALI: beng as bn bpy mni
GURMUKHI: guru pa
GUJARATI: gujr gu
ORIYA: orya or
TAMIL: taml ta
TELUGU: telu te
KANNADA: knda kn tcy
MALAYALAM: mlym ml
SINHALA: sinh si
THAANA: thaa dv
TIBETAN: tibt bo dz
MYANMAR: mymr ksw mnw my shn
THAI: thai th
LAO: laoo lo
KHMER: khmr km
GEORGIAN: geor ka xmf
ARMENIAN: armn hy hyw
ETHIOPIC: ethi am gez ti tig
GREEK: grek el grc pnt
COPTIC: copt cop
SYRIAC: syrc arc syr
TIFINAGH: tfng zgh
CHEROKEE: cher chr
CANADIAN: cans cr iu
NKO: nkoo nqo
OL: olck sat
MONGOLIAN: mong
MEETEI: mtei
LATIN: latn
CJK+IDEOGRAPHIC+BOPOMOFO: hans hant hani gan hak lzh wuu yue zh
HIRAGANA+KATAKANA+KATAKANA-HIRAGANA+CJK+IDEOGRAPHIC: jpan ja
HANGUL+CJK: kore hang ko
"""
_SCRIPTS_OF = {
    code: frozenset(scripts.split("+"))
    for scripts, _, codes in (row.partition(": ") for row in _TABLE.strip().splitlines())
    for code in codes.split()
}


def primary_subtag(code: str) -> str:
    """Return the part of a language code that names the language: `zh` of `zh-TW`, `en` of `en_US`."""
    return _split(code)[0]


def scripts_of(code: str) -> frozenset[str]:
    """Return the scripts of the language `code`, those of its script subtag if it has one, as in `sr-Latn`.

    Unknown languages count as written in Latin letters.
    """
    language, *others = _split(code)
    subtags = [subtag for subtag in others if len(subtag) == 4]  # others are regions and variants
    return next((_SCRIPTS_OF[key] for key in (*subtags, language) if key in _SCRIPTS_OF), _LATIN)


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
