"""How columns are chosen, and what they seem to hold."""

import pytest

from nmt.config.languages import LanguagesConfig
from nmt.data.reading import columns
from nmt.data.reading.columns import Wanted, choose_columns, kind_of, lacks_letters, list_columns, named_sides, pair_of
from nmt.errors import DataError

EN_DE = LanguagesConfig(source="en", target="de")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.5", "0,25", "-1", "3e-4", "12%"], "a score"),
        (["17", "18", "19"], "a number or an id"),
        (["https://example.org/a", "www.example.org", "http://example.org"], "a URL"),
        (["en", "en", "de", "en", "en_US"], "a language code"),
        (["a-17", "b-18", "doc3.s4"], "an id"),
        (["???", "...", "1 2"], "no letters"),
        (["12 cats", "a dog", "yes"], "text in Latin letters"),
        (["кот", "собака", "да"], "text in Cyrillic letters"),
        (["cat", "dog", "cow", "pig", "hen", "ant", "bee", "fox", "owl", "rat"], "text in Latin letters"),
    ],
)
def test_columns_are_told_apart_by_their_cells(cells: list[str], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "identify", lambda _: None)
    cells = cells * (1 if len(cells) == 10 else 10)
    assert kind_of([*cells, " ", ""]) == kind
    assert kind_of(cells[:9]) == ""
    monkeypatch.setattr(columns, "identify", lambda _: "xx")
    assert kind_of(cells) == (f"{kind}, most like xx" if kind.startswith("text") else kind)


def test_nearly_all_cells_are_what_a_column_is() -> None:
    assert kind_of(["1.5"] * 18 + ["some text", "more text"]) == "a score"
    assert kind_of(["1.5"] * 17 + ["some text", "more text", "text"]).startswith("text in Latin")
    assert lacks_letters(["1"] * 9 + ["a"])
    assert not lacks_letters(["1"] * 8 + ["a", "字"])


def test_columns_are_listed_by_number_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "identify", lambda _: None)
    rows = [["1.5", "", "x"]] * 12 + [["odd"]]
    assert list_columns(rows) == ["1: a score", "2: unknown", "3: text in Latin letters"]
    assert list_columns(rows, ["s", "en", "de"])[0] == "1 's': a score"
    assert list_columns([]) == []


def test_sides_are_named_in_any_spelling() -> None:
    assert named_sides(["x", "EN", "deu_Latn", "de"], EN_DE) is None
    assert named_sides(["target", "source"], EN_DE) == ["source", "target"]
    assert choose_columns(None, ["en_US", "de-DE", "n"], EN_DE, "t") == ["en_US", "de-DE"]
    assert named_sides(["person", "farsi", "English"], LanguagesConfig(source="en", target="fa")) == [
        "English",
        "farsi",
    ]
    # The exact names come first, as before any other spelling was known.
    assert choose_columns(None, ["source", "target", "translation"], EN_DE, "t") == ["translation"]
    assert choose_columns(None, ["source", "target", "de", "en"], EN_DE, "t") == ["en", "de"]


def test_languages_in_a_translation_are_named_in_any_spelling() -> None:
    wanted = Wanted(EN_DE)
    assert pair_of([{"de_DE": "eins", "en": "one", "fr": "un"}], ["translation"], wanted, "t") == ("one", "eins")
    with pytest.raises(DataError, match=r"^t: no language 'de' in column 'c'; it has en$"):
        pair_of([{"en": "one"}], ["c"], wanted, "t")
    with pytest.raises(DataError, match=r"^t: several languages 'de' in column 'c'; it has de_DE, de_AT$"):
        pair_of([{"en": "one", "de_DE": "a", "de_AT": "b"}], ["c"], wanted, "t")
