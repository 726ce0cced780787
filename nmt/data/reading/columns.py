"""Choose the columns of a table that hold the two sides, and say what columns seem to hold."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from nmt.config.data import Format
from nmt.config.languages import LanguagesConfig
from nmt.data.identification import identify
from nmt.data.languages import language_named, same_language, script_of
from nmt.data.pairs import Pair
from nmt.data.reading.inline_codes import KeptCodes
from nmt.data.reading.streams import listing, one_line
from nmt.errors import DataError

TRANSLATION = "translation"  # column of {language: text} in many data sets
COLUMNS_TIP = (
    f"name them: columns = {json.dumps(['source column', 'target column'])} in a recipe, "
    "--columns for `nmt init` and the commands of `nmt data`"
)
NUMBERS_TIP = f"; in a .tsv without a header by number, from 1: columns = {json.dumps(['2', '3'])}"
CHOOSE = 'choose two by number or name: columns = ["2", "3"] in a recipe, --columns 2,3 on the command line'
ROLES = ({"source", "src"}, {"target", "tgt", "trg"})
"""Words for the two sides in the names of columns."""
WORKS = ({"source", "src", "original"}, {"translation", "reference", "ref"})
"""Words for a text and its translation in the names of columns, where none are those of `ROLES`."""
PADDING = {"text", "texts", "sentence", "sentences", "sent", "segment", "seg", "string", "line", "lang", "language"}
"""Words in the names of columns that say nothing about the side."""
NEARLY_ALL = 0.9  # share of the cells that says what a column holds
FEWEST = 10  # cells below which nothing is said of a column
NUMBER = re.compile(r"[-+]?\d+(?P<part>[.,]\d+)?(?P<power>[eE][-+]?\d+)?%?")
URL = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.)\S+", re.IGNORECASE)
CODE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
NO_TEXT = ("a score", "a number or an id", "an id", "a URL", "a language code", "no letters")
"""The kinds of columns that are no side of a pair."""


@dataclass(frozen=True)
class Wanted:
    """The text to read from a file."""

    languages: LanguagesConfig
    columns: list[str] | None = None
    """The columns [source, target], or the one of {language: text}; None chooses by their names. Columns of a TSV file
    without a header are given by their numbers, from 1."""
    format: Format | None = None  # format of the file; None chooses by its name
    anomalies: Counter[str] = field(default_factory=Counter)  # counts, by name, of irregularities that are no errors
    skip_bad: bool = False  # leave out damaged units of the formats that have units
    kept_codes: KeptCodes | None = None  # keep inline codes as placeholders


def choose_columns(
    columns: list[str] | None, present: Sequence[str], languages: LanguagesConfig, name: str, tip: str = COLUMNS_TIP
) -> list[str]:
    """Return the columns [source, target], or the one of {language: text}, out of those `present`.

    Raises DataError, with `tip` as its hint, where one is missing or occurs twice.
    """
    if columns is None:
        codes = [languages.source, languages.target]
        exact = next((names for names in (codes, [TRANSLATION]) if set(names) <= set(present)), None)
        columns = exact or named_sides(present, languages)
        missing = None if columns else f"{codes[0]!r} and {codes[1]!r}, nor {TRANSLATION!r}"
    else:
        missing = next((repr(column) for column in columns if column not in present), None)
    if missing is not None or columns is None:
        raise DataError(f"{name}: no column {missing}; it has {listing(present)}", hint=tip)
    for column in columns:
        if present.count(column) > 1:
            raise DataError(f"{name}: several columns {column!r}", hint="give each a name of its own")
    return columns


def named_sides(names: Sequence[str], languages: LanguagesConfig) -> list[str] | None:
    """Return the two of `names` that name the source and the target, in any spelling; None where they do not.

    A name may be a code (`en`, `eng_Latn`), a language (`English`), or a side (`source`, `tgt`), with words such as
    `sentence` beside it.
    """
    codes = (languages.source, languages.target)
    for test in (names_language, names_side, names_work):
        sides = [[name for name in names if test(name, code, side)] for side, code in enumerate(codes)]
        if all(len(found) == 1 for found in sides) and sides[0] != sides[1]:
            return [found[0] for found in sides]
    return None


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", name.casefold()) if word and word not in PADDING]


@lru_cache(maxsize=1000)  # the keys of each line of JSON are asked about
def names_language(name: str, code: str, side: int) -> bool:
    """Check whether the name of a column is the language `code` of a side: as a code or a word, its role beside it."""
    words = [word for word in _words(name) if word not in ROLES[side]]
    # The lookup of names ignores words that it does not know.
    named = language_named(words[0]) if len(words) == 1 else None
    return any(same_language(spelling, code) for spelling in ("-".join(words[:4]), named) if spelling)


@lru_cache(maxsize=1000)
def names_side(name: str, _: str, side: int) -> bool:
    """Check whether the name of a column stands for the source (`side` 0) or the target (1)."""
    return len(words := _words(name)) == 1 and words[0] in ROLES[side]


@lru_cache(maxsize=1000)
def names_work(name: str, _: str, side: int) -> bool:
    """Check whether the name of a column stands for a text (`side` 0) or its translation (1)."""
    return len(words := _words(name)) == 1 and words[0] in WORKS[side]


def pair_of(values: Sequence[object], columns: list[str], wanted: Wanted, name: str) -> Pair:
    """Return the pair of lines in the values of two columns, or of one of {language: text}."""
    if len(columns) == 1:
        values = languages_of(values[0], columns[0], wanted.languages, name)
    source, target = (one_line(value, name, wanted.anomalies) for value in values)
    return source, target


def languages_of(row: object, column: str, languages: LanguagesConfig, name: str) -> tuple[object, object]:
    """Return the texts of both languages in a value {language: text}. Raises DataError."""
    if row is None:
        return None, None
    if not isinstance(row, Mapping):
        kind = type(row).__name__
        raise DataError(f"{name}: column {column!r} holds no {{language: text}} but {kind}", hint=COLUMNS_TIP)
    source, target = language_keys(row, column, languages, name)
    return row[source], row[target]


def language_keys(
    present: Mapping[str, object] | Sequence[str], column: str, languages: LanguagesConfig, name: str
) -> list[str]:
    """Return the keys of both languages out of those `present` in {language: text}. Raises DataError."""
    keys = []
    for side, code in enumerate((languages.source, languages.target)):
        found = [code] if code in present else [key for key in present if names_language(key, code, side)]
        if len(found) != 1:
            listed = listing(found or present)
            problem = f"{'several languages' if found else 'no language'} {code!r} in column {column!r}"
            raise DataError(f"{name}: {problem}; it has {listed}")
        keys += found
    return keys


def kind_of(cells: Sequence[str]) -> str:
    """Say what the cells of a column seem to be, those in `NO_TEXT` or a text; "" where they are too few to say."""
    cells = [cell.strip() for cell in cells if cell.strip()]
    if len(cells) < FEWEST:
        return ""

    def mostly(pattern: re.Pattern[str]) -> bool:
        return sum(pattern.fullmatch(cell) is not None for cell in cells) >= NEARLY_ALL * len(cells)

    if mostly(NUMBER):
        numbers = [match for cell in cells if (match := NUMBER.fullmatch(cell))]
        return "a score" if any(match["part"] or match["power"] for match in numbers) else "a number or an id"
    if mostly(URL):
        return "a URL"
    if mostly(CODE) and len(set(cells)) <= len(cells) // 5:
        return "a language code"
    if lacks_letters(cells):
        return "no letters"
    if mostly(re.compile(r"(?=\S*\d)[!-~]+")):
        return "an id"
    scripts = Counter(script_of(letter) for cell in cells[:100] for letter in cell if letter.isalpha())
    letters = f"text in {scripts.most_common(1)[0][0].title()} letters" if scripts else "text"
    language = identify(cells)
    return f"{letters}, most like {language}" if language else letters


def lacks_letters(lines: Sequence[str]) -> bool:
    """Check whether nearly all of `lines` are without a letter."""
    return sum(not any(map(str.isalpha, line)) for line in lines) >= NEARLY_ALL * len(lines)


def list_columns(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> list[str]:
    """Say of each column of `rows` what it seems to hold, with its number, and its name in the `header`."""
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    kinds = [kind_of([row[column] for row in rows if len(row) == width]) for column in range(width)]
    names = [f"{number} {name!r}" for number, name in enumerate(header, 1)]
    return [f"{names[index] if header else index + 1}: {kind or 'unknown'}" for index, kind in enumerate(kinds)]
