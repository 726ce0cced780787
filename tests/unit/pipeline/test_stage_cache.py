"""The cache of stages: whole entries or none, whoever writes, removes, damages or kills."""

import errno
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from disks import failing

from nmt import files, runtime
from nmt.errors import UsageError
from nmt.files import read_json, replacing, write_json
from nmt.pipeline import stage_cache
from nmt.pipeline.manifest import Manifest, making
from nmt.pipeline.stage_cache import ENTRY, StageCache

Said = Callable[[], str]
CONTENT = {"a": "1", "train/0": "two"}


@pytest.fixture(autouse=True)
def no_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return lambda: capsys.readouterr().err


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(tmp_path / "cache")


def make(folder: Path, value: int = 1) -> Manifest:
    """Make the folder of a stage."""
    manifest = Manifest("text", {"value": value}, counts={"lines": 2})
    with making(folder, manifest) as scratch:
        for name, content in CONTENT.items():
            (scratch / name).parent.mkdir(exist_ok=True)
            (scratch / name).write_text(content)
    return manifest


def stored(cache: StageCache, folder: Path, value: int = 1, warnings: list[str] | None = None) -> Path:
    """Make the folder of a stage, and store it; return its path in the cache."""
    path = cache.path_of(make(folder, value), {})
    cache.store(path, folder, "demo", warnings or [])
    return path


def inodes(folder: Path, names: object = (*CONTENT, "manifest.json")) -> list[int]:
    return [(folder / str(name)).stat().st_ino for name in names]  # type: ignore[attr-defined]


def test_a_stored_stage_is_linked_into_other_run_folders_and_read_only(cache: StageCache, tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "text", tmp_path / "two" / "text"
    path = stored(cache, one, warnings=["odd"])
    assert path.parent == cache.folder
    assert path.name.startswith("text-")
    assert cache.take(path, two) == ["odd"]
    assert tree(two) == tree(one)
    assert Manifest.of(two) == Manifest.of(one)
    assert inodes(one) == inodes(two) == inodes(path)
    modes = [file.stat().st_mode for file in path.rglob("*") if file.is_file()]
    assert [mode & 0o222 for mode in modes] == [0] * 4
    make(two, 2)
    shutil.rmtree(one)  # neither harms the cache
    assert cache.holds(path)
    assert tree(path).keys() == {*CONTENT, "manifest.json", "entry.json"}


def test_a_run_folder_keeps_what_it_has_where_there_is_no_entry(cache: StageCache, tmp_path: Path, said: Said) -> None:
    path = cache.path_of(make(tmp_path / "text"), {})
    before = tree(tmp_path / "text")
    assert cache.take(path, tmp_path / "text") is None
    assert (tree(tmp_path / "text"), said()) == (before, "")
    assert not cache.folder.exists()


def test_another_recipe_code_or_package_is_another_entry(
    cache: StageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make(tmp_path / "text")
    paths = {cache.path_of(manifest, {}), cache.path_of(manifest, {"train": "abc"})}
    paths.add(cache.path_of(Manifest("text", {"value": 2}), {}))
    paths.add(cache.path_of(Manifest("ids", {"value": 1}), {}))
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "code", lambda: {"source": "other"})
        paths.add(cache.path_of(manifest, {}))
    monkeypatch.setattr(runtime, "versions", lambda: {"numpy": "0"})
    paths.add(cache.path_of(manifest, {}))
    assert len(paths) == 6
    assert cache.path_of(manifest, {}) in paths


def test_another_file_system_gets_copies(cache: StageCache, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with failing(os, "link", errno.EXDEV):
        path = stored(cache, one)
        assert cache.take(path, two) == []
    assert tree(two) == tree(one)
    assert not {*inodes(one), *inodes(two)} & {*inodes(path)}
    assert (one / "a").stat().st_mode & stat.S_IWUSR
    assert (two / "a").stat().st_mode & stat.S_IWUSR
    assert not (path / "a").stat().st_mode & 0o222


def change_a_byte(path: Path) -> str:
    (path / "a").chmod(0o644)
    (path / "a").write_text("2")
    return f"{path / 'a'}: other bytes than when it was made"


def lose_a_file(path: Path) -> str:
    (path / "train" / "0").unlink()
    return f"{path / 'train' / '0'}: missing"


def change_the_manifest(path: Path) -> str:
    values = read_json(path / "manifest.json")
    write_json(path / "manifest.json", {**values, "counts": {"lines": 3}})
    return f"{path / 'manifest.json'}: other bytes than when it was made"


def change_the_card(path: Path) -> str:
    write_json(path / "entry.json", {**read_json(path / "entry.json"), "warnings": ["x"]})
    return f"{path / 'entry.json'}: damaged: its digest is not that of its content"


def lose_the_card(path: Path) -> str:
    (path / "entry.json").unlink()
    return f"{path / 'entry.json'}: missing, so this is no cached stage"


DAMAGES = [change_a_byte, lose_a_file, change_the_manifest, change_the_card, lose_the_card]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_said_removed_and_made_anew(
    cache: StageCache, tmp_path: Path, said: Said, damage: Callable[[Path], str]
) -> None:
    path = stored(cache, tmp_path / "one")
    reason = damage(path)
    before = tree(tmp_path / "one")
    assert not cache.holds(path)
    assert said() == ""
    assert cache.take(path, tmp_path / "two") is None
    assert said() == f"nmt: warning: damaged in the cache: {reason}; the entry is removed, and made anew\n"
    assert not (tmp_path / "two").exists()
    assert list(cache.folder.iterdir()) == []
    assert tree(tmp_path / "one") == before
    cache.store(path, tmp_path / "one", "demo", []) if damage is not change_a_byte else stored(cache, tmp_path / "one")
    assert cache.take(path, tmp_path / "two") == []


def test_a_damaged_entry_that_cannot_be_removed_is_only_said(cache: StageCache, tmp_path: Path, said: Said) -> None:
    path = stored(cache, tmp_path / "one")
    reason = lose_a_file(path)
    with failing(Path, "replace", errno.EROFS, only=path):
        assert cache.take(path, tmp_path / "two") is None
    assert said() == (
        f"nmt: warning: damaged in the cache: {reason}; the entry cannot be removed: Read-only file system\n"
    )


def test_nothing_is_said_of_an_entry_that_another_process_removes(
    cache: StageCache, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(cache, tmp_path / "one")
    real = os.link

    def pruned(*arguments: Any) -> None:
        shutil.rmtree(path, ignore_errors=True)
        real(*arguments)

    monkeypatch.setattr(os, "link", pruned)
    assert cache.take(path, tmp_path / "two") is None
    assert (said(), list(tmp_path.iterdir())) == ("", [tmp_path / "one", cache.folder])


def test_an_entry_that_cannot_be_read_is_a_warning(cache: StageCache, tmp_path: Path, said: Said) -> None:
    path = stored(cache, tmp_path / "one")
    with failing(Path, "read_text", errno.EACCES, only=path):
        assert cache.take(path, tmp_path / "two") is None
        assert not cache.holds(path)
    assert said() == f"nmt: warning: {path}: not taken from the cache: Permission denied\n"
    assert cache.holds(path)


def test_a_cache_that_cannot_be_written_is_one_warning_and_leaves_nothing(
    cache: StageCache, tmp_path: Path, said: Said
) -> None:
    kept = stored(cache, tmp_path / "kept", 3)
    with failing(os, "link", errno.EXDEV), failing(shutil, "copyfile", errno.ENOSPC, only=tmp_path / "one"):
        path = stored(cache, tmp_path / "one")
        stored(cache, tmp_path / "two", 2)
    reason = "No space left on device; the run goes on without it"
    assert said() == f"nmt: warning: {cache.folder}: the cache cannot be written: {reason}\n"
    assert list(cache.folder.iterdir()) == [kept]
    assert not path.exists()


def test_a_cache_of_another_user_that_cannot_be_searched_is_a_warning_too(
    cache: StageCache, tmp_path: Path, said: Said
) -> None:
    cache.folder.mkdir()
    with failing(os, "stat", errno.EACCES, only=cache.folder), failing(os, "open", errno.EACCES, only=cache.folder):
        path = stored(cache, tmp_path / "one")
        assert cache.take(path, tmp_path / "two") is None
    assert said() == (
        f"nmt: warning: {cache.folder}: the cache cannot be written: Permission denied; the run goes on without it\n"
        f"nmt: warning: {path}: not taken from the cache: Permission denied\n"
    )


def test_a_file_is_no_cache(tmp_path: Path, said: Said) -> None:
    (tmp_path / "cache").touch()
    cache = StageCache(tmp_path / "cache" / "stages")
    path = stored(cache, tmp_path / "one")
    assert "the cache cannot be written: Not a directory; " in said()
    assert cache.take(path, tmp_path / "two") is None
    assert (cache.entries(), said()) == ([], "")


def test_what_another_process_stored_meanwhile_stays(cache: StageCache, tmp_path: Path) -> None:
    path = stored(cache, tmp_path / "one")
    before = inodes(path)
    assert stored(cache, tmp_path / "two") == path
    assert inodes(path) == before


def test_the_folder_is_that_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path))
    assert StageCache.of_user().folder == tmp_path / "stages"
    monkeypatch.setenv("NMT_CACHE", "here")
    assert StageCache.of_user().folder == Path.cwd() / "here" / "stages"
    monkeypatch.delenv("NMT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert StageCache.of_user().folder == tmp_path / "nmt" / "stages"

    def no_home(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(UsageError, match=r"^no home folder to keep a cache in \(set NMT_CACHE to a folder\)$"):
        StageCache.of_user()
    assert StageCache.of_run() is None
    assert said() == "nmt: warning: no home folder to keep a cache in (set NMT_CACHE to a folder)\n"


# Lists and prunes.


def used(path: Path, days: float) -> Path:
    """Let an entry be used last some days ago."""
    then = time.time() - days * 86400
    os.utime(path / "entry.json", (then, then))
    return path


@pytest.fixture
def aged(cache: StageCache, tmp_path: Path) -> list[Path]:
    """Store three entries, the last used first."""
    return [used(stored(cache, tmp_path / str(days), 100 + days), days) for days in (1, 10, 100)]


def test_entries_are_listed_by_their_last_use(cache: StageCache, aged: list[Path], tmp_path: Path) -> None:
    (cache.folder / "foreign").mkdir()
    found = cache.entries()
    assert [entry.path for entry in found] == aged
    assert {(entry.stage, entry.recipe) for entry in found} == {("text", "demo")}
    assert found[0].made == ENTRY.read(aged[0])["made"]
    sizes = {name: len(content) for name, content in tree(aged[0]).items()}
    assert found[0].size == sum(sizes.values())
    assert found[0].linked == found[0].size - sizes["entry.json"]
    shutil.rmtree(tmp_path / "1")
    assert cache.entries()[0].linked == 0
    assert cache.take(aged[2], tmp_path / "run") == []
    assert [entry.path for entry in cache.entries()] == [aged[2], *aged[:2]]
    (aged[1] / "entry.json").unlink()
    assert [entry.recipe for entry in cache.entries() if entry.path == aged[1]] == ["damaged"]


def test_old_entries_are_pruned_then_the_longest_unused_and_runs_keep_their_files(
    cache: StageCache, aged: list[Path], tmp_path: Path
) -> None:
    (cache.folder / "foreign").mkdir()
    (cache.folder / f".{aged[0].name}.99999999.partial").mkdir()  # of a killed process
    size = cache.entries()[0].size
    assert cache.prune() == []
    assert not list(cache.folder.glob(".*"))
    assert [entry.path for entry in cache.prune(days=10.1)] == aged[2:]
    assert cache.prune(size=2 * size) == []
    assert [entry.path for entry in cache.prune(size=2 * size - 1)] == [aged[1]]
    assert [entry.path for entry in cache.prune(days=1.02)] == []
    assert [entry.path for entry in cache.prune(days=0.98)] == [aged[0]]
    assert [path.name for path in cache.folder.iterdir()] == ["foreign"]
    assert [(tmp_path / "10" / name).read_text() for name in CONTENT] == list(CONTENT.values())


def test_the_longest_unused_goes_however_small(cache: StageCache, aged: list[Path]) -> None:
    big = cache.folder / aged[0].name / "big"
    big.write_bytes(b"x" * 1000)
    assert [entry.path for entry in cache.prune(size=cache.entries()[0].size)] == [aged[2], aged[1]]
    assert [entry.path for entry in cache.prune(size=0)] == [aged[0]]


# Processes that are killed, and several at once.

TOUCHED = [
    (os, "link"),
    (os, "fsync"),
    (os, "mkdir"),
    (os, "replace"),
    (os, "rename"),
    (os, "chmod"),
    (files, "remove"),
]


def in_fork(work: Callable[[], None], killed_at: int | None = None) -> int:
    """Do `work` in a forked process, which kills itself at a call that changes the disk; return how it ended."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    calls = 0

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **keywords)

        return call

    try:
        for owner, name in TOUCHED:
            setattr(owner, name, counting(getattr(owner, name)))
        work()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("first", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_any_point_of_storing_taking_and_pruning_the_cache_holds_whole_entries_alone(
    tmp_path: Path, first: int
) -> None:
    make(tmp_path / "one")
    before = tree(tmp_path / "one")
    killed = 0
    for point in range(first, 100, 2):
        cache = StageCache(tmp_path / f"cache{point}")
        path = cache.folder / f"text-{point:032}"

        def work(cache: StageCache = cache, path: Path = path) -> None:
            cache.store(path, tmp_path / "one", "demo", [])
            assert cache.take(path, tmp_path / "two") == []
            cache.prune(size=0)

        ended = in_fork(work, point)
        if ended == 0:
            break
        assert ended == signal.SIGKILL
        killed += 1
        if path.exists():
            assert cache.holds(path), f"half an entry after point {point}"
        if (tmp_path / "two").exists():
            assert tree(tmp_path / "two") == before
        cache.store(path, tmp_path / "one", "demo", [])
        with replacing(tmp_path / "two") as scratch:  # as the next run clears it
            scratch.mkdir()
        assert cache.take(path, tmp_path / "two") == []
        assert tree(tmp_path / "two") == tree(tmp_path / "one") == before
        assert list(cache.folder.iterdir()) == [path], f"leftovers of point {point}"
    assert killed >= 20


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_processes_that_store_take_and_prune_at_once_never_see_half_an_entry(cache: StageCache, tmp_path: Path) -> None:
    make(tmp_path / "made")
    path = cache.path_of(Manifest.of(tmp_path / "made"), {})
    before = tree(tmp_path / "made")

    def work(number: int) -> None:
        own = tmp_path / f"run{number}"
        taken = 0
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            if number == 0:
                cache.prune(size=0)
                continue
            cache.store(path, tmp_path / "made", "demo", [])
            if cache.take(path, own) is not None:
                assert tree(own) == before
                taken += 1
        assert number == 0 or taken > 5

    children = []
    with (tmp_path / "said").open("w") as file:
        for number in range(4):
            if not (child := os.fork()):
                os.dup2(file.fileno(), 2)
                sys.stderr = os.fdopen(2, "w")
                try:
                    work(number)
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
        ends = [os.waitpid(child, 0)[1] for child in children]
    said = (tmp_path / "said").read_text()
    assert "damaged" not in said
    assert ends == [0] * 4, said
    assert not [each for each in cache.folder.iterdir() if each != path]
    assert stage_cache.NAME.fullmatch(path.name)
