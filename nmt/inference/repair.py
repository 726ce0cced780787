"""Repair: a line whose translation fails checks is translated again, with what is missing as constraints of the search.

What is invented is avoided. The new translation counts only if it passes the checks.
"""

from collections.abc import Iterator

from nmt.config.inference import Options
from nmt.data.reading.terms import Avoided, Entry, Terms
from nmt.errors import UsageError
from nmt.evaluation.checks import Checks
from nmt.evaluation.survival import Languages, decimal_mark_of, numbers_in

WHERE = "repair"  # the place of its terms in messages, which nobody sees


def check_options(options: Options | None, prefixes: object) -> None:
    """Raise UsageError where `options` want a repair with what excludes it."""
    if options is None or not options.repair:
        return
    if not options.check:
        raise UsageError("a repair needs the checks", hint="add check = True")
    if options.sampling is not None:
        raise UsageError("a repair searches, and samples are drawn", hint="leave one of them out")
    if prefixes is not None:
        raise UsageError("a repair and prefixes exclude each other", hint="leave one of them out")


def terms_for(checks: Checks, languages: Languages, own: Terms) -> Terms:
    """Return the terms by which a translation would pass the `checks` that it fails, beside the user's `own`.

    Raises DataError where they contradict each other.
    """
    known = {entry.source for entry in own.entries}
    wanted = [entry for entry in _entries(checks, languages) if entry.source not in known]
    invented = dict.fromkeys(item for kind, finding in checks.items() for item in finding["invented"])
    return Terms((*own.entries, *wanted), (*own.avoided, *(Avoided(item, "", WHERE) for item in invented)), "hard")


def spellings(number: str, languages: Languages) -> tuple[str, ...]:
    """Return the ways to write `number`, as it is spelled in the source, in the target language.

    >>> spellings("1,500.5", ("en", "de"))
    ('1.500,5', '1500,5')
    """
    from_mark, to_mark = map(decimal_mark_of, languages)
    (first, *others) = numbers_in(number, from_mark)
    if others or not first.is_whole or from_mark is None or to_mark is None:
        return (number,)
    whole, _, decimals = first.value.partition(".")
    tail = f"{to_mark}{decimals}" if decimals else ""
    grouped = f"{int(whole):,}".replace(",", "." if to_mark == "," else ",") + tail
    forms = [whole + tail, grouped] if number.isdigit() else [grouped, whole + tail]
    return tuple(dict.fromkeys([number, *forms] if number.isdigit() else forms))


def _entries(checks: Checks, languages: Languages) -> Iterator[Entry]:
    for kind, finding in checks.items():
        for item in dict.fromkeys(finding["missing"] if kind != "terms" else ()):
            yield Entry(item, spellings(item, languages) if kind == "numbers" else (item,), WHERE)
