"""API keys: made, found by their hashes, and files of them that are refused."""

from hashlib import sha256
from pathlib import Path

import pytest

from nmt.config.serving import QuotaConfig
from nmt.errors import UsageError
from nmt.server.keys import Keys, add_key


def test_a_new_key_is_found_by_its_name_and_the_file_holds_its_hash_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    first = add_key(path, "weblate", QuotaConfig(requests_per_minute=60))
    second = add_key(path, "web.site", QuotaConfig(chars_per_day=1000))
    keys = Keys.read(path)
    assert [keys.find(key) for key in (first, second, first[:-1], "", "ä\ud800")] == [
        "weblate",
        "web.site",
        *[None] * 3,
    ]
    assert keys.entries["weblate"].requests_per_minute == 60
    assert keys.entries["web.site"].chars_per_day == 1000
    text = path.read_text()
    assert (first in text, second in text, sha256(first.encode()).hexdigest() in text) == (False, False, True)
    assert first != second
    assert len(first) == 47
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_stands_in_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("# ours\n")
    add_key(path, "a", QuotaConfig())
    assert path.read_text().startswith('# ours\n\n["a"]\n')


def test_others_who_can_read_the_file_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys.toml"
    add_key(path, "a", QuotaConfig())
    Keys.read(path)
    assert capsys.readouterr().err == ""
    path.chmod(0o640)
    Keys.read(path)
    warning = f"nmt: warning: {path}: others than you can read or change the keys (chmod 600 {path})\n"
    assert capsys.readouterr().err == warning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory (make a key: nmt key NAME {path})"),
        (b"", "holds no key (make a key: nmt key NAME {path})"),
        (b"[a", "Expected ']' at the end of a table declaration (at end of document)"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"[a]\n", "a.sha256: Field required"),
        (b"[a]\nsha256 = 'x'\n", "a.sha256: String should match pattern '^[0-9a-f]{{64}}$'"),
        (b"[a]\nsha256 = '" + b"0" * 64 + b"'\nkey = 1\n", "a.key: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: bytes | None, message: str) -> None:
    path = tmp_path / "keys.toml"
    if text is not None:
        path.write_bytes(text)
        path.chmod(0o600)
    with pytest.raises(UsageError) as told:
        Keys.read(path)
    assert str(told.value) == f"{path}: {message.format(path=path)}"


def test_a_name_is_taken_once_and_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    add_key(path, "a", QuotaConfig())
    before = path.read_text()
    with pytest.raises(UsageError) as told:
        add_key(path, "a", QuotaConfig())
    assert str(told.value) == f"{path}: has a key a already (take another name, or delete its table)"
    with pytest.raises(UsageError) as told:
        add_key(path, 'a"]', QuotaConfig())
    assert str(told.value) == "'a\"]' is no name of a key (take letters, digits, dots, - and _)"
    assert path.read_text() == before
