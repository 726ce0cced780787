"""Files of terms: what is read, and one line with its number for each that cannot be."""

from pathlib import Path

import pytest

from nmt.data.reading.terms import Terms
from nmt.errors import DataError


def read(folder: Path, glossary: bytes | None = None, avoid: bytes | None = None) -> Terms:
    first, second = folder / "terms.tsv", folder / "avoid.txt"
    for path, content in ((first, glossary), (second, avoid)):
        path.write_bytes(content or b"")
    return Terms.read(first if glossary is not None else None, second if avoid is not None else None)


def test_a_line_is_a_term_and_its_targets(tmp_path: Path) -> None:
    content = "\ufeff# a comment\r\n\r\nthe  cat\tdie Katze|der  Kater \r\n#tag\tMarke\r\n#\tno term\n".encode()
    entries = read(tmp_path, content).entries
    assert [(one.source, one.targets) for one in entries] == [
        ("the cat", ("die Katze", "der Kater")),
        ("#tag", ("Marke",)),
    ]
    assert [one.where for one in entries] == [f"{tmp_path / 'terms.tsv'}:{number}" for number in (3, 4)]


def test_a_term_may_be_given_twice_with_the_same_targets(tmp_path: Path) -> None:
    assert len(read(tmp_path, b"cat\tKatze|Kater\ncat\tKater|Katze\n").entries) == 1


def test_a_phrase_to_avoid_may_have_a_phrase_of_the_source(tmp_path: Path) -> None:
    avoided = read(tmp_path, avoid=b"# none\nder Kater\nBank\tbench\n").avoided
    assert [(one.phrase, one.source) for one in avoided] == [("der Kater", ""), ("Bank", "bench")]


LINE = "a line is SOURCE, TAB, TARGET; several targets stand between |"
TWICE = "give all its targets in one line, with | between them"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("cat\tKatze\ndog\n", f":2: 1 column in place of 2 ({LINE})"),
        ("cat\tKatze\tnoun\n", f":1: 3 columns in place of 2 ({LINE})"),
        ("cat\t \n", ":1: the target is blank"),
        ("cat\tKatze||Kater\n", ":1: the target is blank"),
        ("\tKatze\n", ":1: the source is blank"),
        ("cat\tKatze\n\ncat\tKater\n", f":3: 'cat' has another target at {{}}:1 ({TWICE})"),
        ("# cat\tKatze\n\n", ": no terms in it (every line is blank or a comment)"),
        ("", ": no terms in it (every line is blank or a comment)"),
    ],
)
def test_a_glossary_that_cannot_be_read_is_said_in_one_line(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, content.encode())
    path = tmp_path / "terms.tsv"
    assert str(error.value) == f"{path}{problem.format(path)}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("Bank\tbench\tx\n", ":1: 3 columns (a line is PHRASE, or PHRASE, TAB, SOURCE)"),
        ("Bank\t\n", ":1: the source is blank"),
        ("\tbench\n", ":1: the phrase is blank"),
    ],
)
def test_phrases_that_cannot_be_read_are_said_in_one_line(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, avoid=content.encode())
    assert str(error.value) == f"{tmp_path / 'avoid.txt'}{problem}"


def test_a_file_that_is_not_there_or_not_utf_8_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.tsv"):
        Terms.read(tmp_path / "missing.tsv")
    with pytest.raises(DataError, match=":2: not UTF-8: byte 0xff"):
        read(tmp_path, b"cat\tKatze\n\xff\tx\n")


def test_a_term_that_asks_for_a_phrase_to_avoid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, b"cat\tdie Katze\n", b"Hund\nkatze\n")
    asks = f"{tmp_path / 'avoid.txt'}:2: 'katze' is to be avoided, and {tmp_path / 'terms.tsv'}:1 asks for it"
    assert str(error.value) == f"{asks} (take out one of them)"
    assert read(tmp_path, b"cat\tKatze|Kater\ndog\tHundehaus\n", b"Hund\nkatze\n").avoided  # another target is left


def test_terms_may_be_given_in_python() -> None:
    terms = Terms.of({"cat": "Katze", "dog": ["Hund", "Hund", "Köter"]}, ["Bank"])
    assert [one.targets for one in terms.entries] == [("Katze",), ("Hund", "Köter")]
    assert [one.phrase for one in terms.avoided] == ["Bank"]
    for glossary, avoid, problem in (
        ({"cat": []}, [], "term 'cat': the target is blank"),
        ({" ": "x"}, [], "term ' ': the source is blank"),
        ({}, [""], "phrase '': the phrase is blank"),
    ):
        with pytest.raises(DataError) as error:
            Terms.of(glossary, avoid)
        assert str(error.value) == problem
