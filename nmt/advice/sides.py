"""Check that the sides of a corpus are texts, each in its language: what `nmt init` and `nmt doctor` have in common."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from nmt.advice.survey import read, share_in_script
from nmt.config.data import CorpusConfig, Format, language_of_lines
from nmt.config.languages import LanguagesConfig
from nmt.data.identification import share_swapped
from nmt.data.languages import script_of, scripts_of
from nmt.data.pairs import Pair
from nmt.data.reading.archives import find_file, open_bytes
from nmt.data.reading.columns import CHOOSE, FEWEST, NEARLY_ALL, NO_TEXT, kind_of
from nmt.data.reading.corpus import TEST_SET, Downloads, describe
from nmt.data.reading.formats import format_of
from nmt.data.reading.named_files import is_path
from nmt.data.reading.tables import described, doubt_of_columns, first_rows, way_to_choose
from nmt.errors import DataError

PAIRS = 1000  # pairs of a corpus from which its sides are judged: the first ones
SWAPPED = 0.7  # share of the pairs that look swapped from which on all of them do
EXCHANGE = "exchange source and target, or the two columns"


def check_columns(config: CorpusConfig, languages: LanguagesConfig, root: Path, downloads: Downloads) -> None:
    """Raise DataError where the two columns that a table is read by, for lack of others, are no texts."""
    for path, form in _tables(config, root, downloads):
        if config.columns is None and form == "tsv":
            with open_bytes(path) as stream:
                rows = first_rows(stream, str(path), form)
            if doubt := doubt_of_columns(rows, languages):
                raise DataError(f"{path}: {doubt}", hint=way_to_choose(rows))


def side_problems(
    config: CorpusConfig, languages: LanguagesConfig, pairs: Sequence[Pair], root: Path, downloads: Downloads
) -> list[tuple[str, str]]:
    """Return the signs that the sides of a corpus, of which `pairs` are the first, are not what they should be.

    Each is a problem and what to do. The sides of a task are no text, and need be none. Raises DataError where nearly
    all lines of another side are no text.
    """
    if config.task is not None:
        return []
    language = language_of_lines(config, languages)
    is_text, codes = language is not None, languages.pair if language is None else (language,)
    lines = [[pair[side] for pair in pairs if pair[side].strip()] for side in range(len(codes))]
    for code, side in zip(codes, lines, strict=True):
        if (kind := kind_of(side)) in NO_TEXT:
            problem = f"{describe(config)}: nearly each line of {code} seems to be {kind}, such as {side[0]!r}"
            tables = _tables(config, root, downloads)
            problem += "".join(f"; {_columns(path, form, languages)}" for path, form in tables[:1])
            raise DataError(problem, hint=CHOOSE if tables else None)
    if not is_text and looks_swapped(pairs, languages):
        return [(f"source and target look swapped: most pairs are {languages.target}-{languages.source}", EXCHANGE)]
    problems = []
    for code, side in zip(codes, lines, strict=True):
        own = share_in_script(side, code)
        if len(side) >= FEWEST and own < 0.5:
            script = Counter(script_of(letter) for line in side for letter in line if letter.isalpha()).most_common(1)
            problem = f"only {own:.0%} of the lines of {code} are in a script of that language, most letters are "
            problems.append(
                (f"{problem}{script[0][0]}", "check the files, their columns and the codes of the languages")
            )
    texts = [pair for pair in pairs if any(map(str.isalpha, pair[0]))]
    if (
        not problems
        and not is_text
        and len(texts) >= FEWEST
        and sum(first == other for first, other in texts) >= NEARLY_ALL * len(texts)
    ):
        return [("nearly each pair has the same text on both sides", "check that the files are of two languages")]
    return problems


def first_problems(config: CorpusConfig, languages: LanguagesConfig) -> list[tuple[str, str]]:
    """Return the problems of the first pairs of a corpus in the working directory, unless a run is to download it.

    Raises DataError, as `check_columns` and `side_problems` do.
    """
    if any(name.startswith(TEST_SET) for name in config.file_names):
        return []
    check_columns(config, languages, Path(), {})
    return side_problems(config, languages, list(islice(read(config, languages), PAIRS)), Path(), {})


def looks_swapped(pairs: Sequence[Pair], languages: LanguagesConfig) -> bool:
    """Check whether most of `pairs` are in the opposite direction: by their scripts, or else by their languages."""
    codes = (languages.source, languages.target)
    lettered = [pair for pair in pairs if all(any(map(str.isalpha, side)) for side in pair)]
    if len(lettered) < FEWEST:
        return False
    own = [scripts_of(code) for code in codes]
    if all(own) and own[0].isdisjoint(own[1]):
        return all(share_in_script([pair[side] for pair in lettered], codes[1 - side]) >= SWAPPED for side in range(2))
    share = share_swapped(lettered[:: max(1, len(lettered) // 200)], *codes)
    return share is not None and share >= SWAPPED


def _tables(config: CorpusConfig, root: Path, downloads: Downloads) -> list[tuple[Path, Format]]:
    """Return the paths of the files of a corpus that are tables, with their formats."""
    names = [name for name in config.file_names if config.files is not None and is_path(name)]
    paths = [find_file(root / name, downloads=downloads) for name in names]
    forms = [(path, config.format or format_of(path.name)) for path in paths]
    return [(path, form) for path, form in forms if form in ("tsv", "csv")]


def _columns(path: Path, form: Format, languages: LanguagesConfig) -> str:
    with open_bytes(path) as stream:
        return described(first_rows(stream, str(path), form), form, languages)
