"""Cards are verified: format, digest, files; every message names the file and says what to do."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from disks import failing

from nmt.cards import Card
from nmt.errors import ArtifactError
from nmt.files import digest, digest_json, read_json
from nmt.version import __version__

OLD = Card("card.json", "album", 1)
NEW = Card("card.json", "box", 3)
UNSIGNED = Card("card.json", "box", 1, has_digest=False)


def error_of(card: Card, folder: Path, **options: str) -> str:
    with pytest.raises(ArtifactError) as caught:
        card.read(folder, **options)
    return str(caught.value)


def test_a_card_is_read_as_it_was_written_without_its_digest(tmp_path: Path) -> None:
    values: dict[str, Any] = {"format": 1, "text": "ä", "files": {}}
    OLD.write(tmp_path, values)
    assert read_json(tmp_path / "card.json") == {**values, "digest": digest_json(values)}
    assert OLD.read(tmp_path) == values


def test_a_card_without_a_digest_is_not_checked_for_one(tmp_path: Path) -> None:
    UNSIGNED.write(tmp_path, {"format": 1})
    assert read_json(tmp_path / "card.json") == {"format": 1}
    assert UNSIGNED.read(tmp_path) == {"format": 1}
    assert error_of(OLD, tmp_path).endswith("damaged: its digest is not that of its content")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_format_up_to_the_newest_is_read(tmp_path: Path, number: int) -> None:
    NEW.write(tmp_path, {"format": number})
    assert NEW.read(tmp_path) == {"format": number}


@pytest.mark.parametrize("number", [0, 4])
def test_another_format_is_named_with_those_that_are_read(tmp_path: Path, number: int) -> None:
    NEW.write(tmp_path, {"format": number})
    assert error_of(NEW, tmp_path, hint="not this") == (
        f"{tmp_path}: a box of format {number}; this nmt {__version__} reads formats 1 to 3 (use the nmt that wrote it)"
    )


def test_a_newer_format_is_named_before_its_digest_with_the_nmt_that_wrote_it(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text('{"format": 2, "nmt": "9.1", "digest": "of another kind"}')
    assert error_of(OLD, tmp_path, newer_hint=", or copy it") == (
        f"{tmp_path}: an album of format 2; this nmt {__version__} reads format 1 (use nmt 9.1 or newer, or copy it)"
    )


@pytest.mark.parametrize("nmt", ["9.1\x1b[2J", "x" * 99, ["9"], {}, ""])
def test_a_version_that_is_none_is_not_named(tmp_path: Path, nmt: object) -> None:
    OLD.write(tmp_path, {"format": 2, "nmt": nmt})
    assert error_of(OLD, tmp_path).endswith("reads format 1 (use the nmt that wrote it)")


@pytest.mark.parametrize("files", [None, [], "a", 3, {"a": 1}, {"a": None}, {"a": {}}])
def test_files_that_are_no_table_of_digests_are_damage(tmp_path: Path, files: object) -> None:
    with pytest.raises(ArtifactError, match=r"card\.json: damaged: it lists no files with their SHA-256 \(again\)"):
        OLD.verify(tmp_path, files, hint="again")


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/etc/passwd", "a/b", "./a", "a\0", "a\nb", "\x1b[2J"])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(ArtifactError) as caught:
        OLD.verify(tmp_path / "a", {name: digest("x")}, hint="again")
    assert str(caught.value) == f"{tmp_path / 'a' / 'card.json'}: names {name!r}, which is no file beside it (again)"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": true}',
        '{"format": 1, "format": 1}',
        '{"format": NaN}',
        "[" * 20_000,
        '{"format": "1"}',
        '{"format": null}',
    ],
)
def test_what_is_no_card_is_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "card.json").write_text(content)
    assert error_of(OLD, tmp_path, hint="copy it") == f"{tmp_path / 'card.json'}: damaged (copy it)"


def test_a_folder_without_a_card_is_named_for_what_it_is_not(tmp_path: Path) -> None:
    assert error_of(OLD, tmp_path) == f"{tmp_path / 'card.json'}: missing, so this is no album"


def test_a_changed_value_does_not_have_the_digest(tmp_path: Path) -> None:
    OLD.write(tmp_path, {"format": 1, "count": 3})
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**read_json(path), "count": 4}))
    assert error_of(OLD, tmp_path, hint="x") == f"{path}: damaged: its digest is not that of its content (x)"


def test_files_are_there_with_their_digests(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    files = {"a": digest("one"), "b": digest("two")}
    with pytest.raises(ArtifactError) as caught:
        OLD.verify(tmp_path, files, hint="copy it")
    assert str(caught.value) == f"{tmp_path / 'b'}: missing, though card.json names it (copy it)"
    (tmp_path / "b").write_text("Two")
    with pytest.raises(ArtifactError) as caught:
        OLD.verify(tmp_path, files)
    assert str(caught.value) == f"{tmp_path / 'b'}: damaged: its SHA-256 is not the one in card.json"
    (tmp_path / "b").write_text("two")
    OLD.verify(tmp_path, files)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("name", ["open", "stat"])
def test_what_cannot_be_read_is_neither_missing_nor_damaged(tmp_path: Path, number: int, name: str) -> None:
    OLD.write(tmp_path, {"format": 1})
    (tmp_path / "a").write_text("one")
    if name == "open":
        with failing(Path, name, number), pytest.raises(OSError, match=os.strerror(number)):
            OLD.read(tmp_path)
    with failing(Path, name, number), pytest.raises(OSError, match=os.strerror(number)):
        OLD.verify(tmp_path, {"a": digest("one")})
