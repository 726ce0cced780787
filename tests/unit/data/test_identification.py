"""How languages are identified, where py3langid is installed."""

import pytest

from nmt.data import identification
from nmt.data.identification import find_identifier, identify, share_swapped

PAIRS = [
    ("The old house stands near the river.", "Das alte Haus steht in der Nähe des Flusses."),
    ("Nobody knows where the children went.", "Niemand weiß, wohin die Kinder gegangen sind."),
]


def test_the_language_of_lines_is_identified() -> None:
    assert identify(source for source, _ in PAIRS) == "en"
    assert identify(target for _, target in PAIRS) == "de"
    assert identify(["short"]) is None


def test_swapped_pairs_are_counted() -> None:
    swapped = [(target, source) for source, target in PAIRS]
    assert share_swapped(PAIRS, "en", "de") == 0
    assert share_swapped(swapped, "en", "de") == 1
    assert share_swapped([*PAIRS, swapped[0]], "de", "en") == pytest.approx(2 / 3)
    assert share_swapped([("short", PAIRS[0][1])], "en", "de") is None
    assert share_swapped(PAIRS, "en", "xx") is None


def test_nothing_is_said_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identification, "find_identifier", lambda: None)
    assert identify(["The old house stands near the river."]) is None
    assert share_swapped(PAIRS, "en", "de") is None
    find_identifier.cache_clear()
    identification.identifier.cache_clear()
    with monkeypatch.context() as patched:
        patched.setitem(__import__("sys").modules, "py3langid.langid", None)
        assert find_identifier() is None
    find_identifier.cache_clear()
    identification.identifier.cache_clear()
