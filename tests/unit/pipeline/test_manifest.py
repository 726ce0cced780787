"""The manifest of a stage, and the folders that appear with one."""

from pathlib import Path
from typing import Any

import pytest
from conftest import tree

from nmt import files
from nmt.errors import ArtifactError
from nmt.files import digest, digest_json, read_json, write_json
from nmt.pipeline.manifest import MANIFEST, Manifest, making, resuming, work_folder


def manifest_of(value: object) -> Manifest:
    return Manifest("text", {"value": value})


def grow(folder: Path, manifest: Manifest, names: list[str], also: Any = None) -> list[str]:
    """Make `names` in a stage's folder; return what was there before."""
    with resuming(folder, manifest, also=also) as growing:
        before = sorted(str(path.relative_to(growing)) for path in growing.rglob("*"))
        for name in names:
            files.write_text(growing / name, name)
            if name == "stop":
                (growing / ".half.7.partial").touch()
                raise KeyboardInterrupt
    return before


@pytest.mark.parametrize(
    "values",
    [{"inputs": 5}, {"files": ["a"]}, {"files": {"a": 1}}, {"counts": 3}, {"hub_commits": []}, {"stage": None}],
)
def test_a_manifest_of_other_types_is_damaged(tmp_path: Path, values: dict[str, object]) -> None:
    Manifest("text", {"a": 1}, counts={"b": {}}, hub_commits={"train": "c"}, files={"x": "y"}).write(tmp_path)
    whole = read_json(tmp_path / MANIFEST)
    assert Manifest.read(tmp_path) is not None
    write_json(tmp_path / MANIFEST, {**whole, **values})
    assert Manifest.read(tmp_path) is None


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest("text", {"a": 1}, {"pairs": 2}, {"train": "abc"}, {"x": "y"})
    manifest.write(tmp_path)
    written = read_json(tmp_path / MANIFEST)
    assert written == {
        "stage": "text",
        "fingerprint": digest_json({"a": 1}),
        "inputs": {"a": 1},
        "counts": {"pairs": 2},
        "hub_commits": {"train": "abc"},
        "files": {"x": "y"},
    }
    assert Manifest.read(tmp_path) == manifest
    plain = Manifest("text", {})
    plain.write(tmp_path)
    assert read_json(tmp_path / MANIFEST).keys() == {"stage", "fingerprint", "inputs", "files"}
    assert Manifest.of(tmp_path) == plain


@pytest.mark.parametrize("content", ["", "[]", '{"stage": "text", "inputs": {}}'])
def test_a_damaged_manifest_is_none_and_an_error_where_one_is_needed(tmp_path: Path, content: str) -> None:
    path = tmp_path / MANIFEST
    path.write_text(content)
    assert Manifest.read(tmp_path) is None
    with pytest.raises(ArtifactError) as caught:
        Manifest.of(tmp_path)
    assert str(caught.value) == f"{path}: missing or damaged (delete the folder and run again)"


def test_a_folder_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    manifest = manifest_of(1)
    with making(folder, manifest, changing=("scores",)) as scratch:
        for name in ("a", "scores"):
            (scratch / name).write_text(name)
        assert not folder.exists()
    assert Manifest.read(folder) == manifest
    assert manifest.files == {"a": digest("a")}
    with pytest.raises(KeyboardInterrupt), making(folder, manifest_of(2)):
        raise KeyboardInterrupt
    assert Manifest.read(folder) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_grows_appears_when_it_is_whole_and_outlives_what_broke_off(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    with pytest.raises(KeyboardInterrupt):
        grow(folder, manifest_of("x"), ["one", "a/two", "stop"])
    assert not folder.exists()
    assert not list(work_folder(folder).rglob("*.partial")), "what broke off leaves no half of a file"
    (work_folder(folder) / "made" / "a" / ".three.7.partial").touch()
    assert grow(folder, manifest_of("x"), ["three"]) == ["a", "a/two", "one", "stop"]
    assert list(Manifest.of(folder).files) == ["a/two", "one", "stop", "three"]
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize("change", [{"value": "y"}, {"also": "z"}])
def test_what_was_made_from_other_inputs_is_not_gone_on_with(tmp_path: Path, change: dict[str, str]) -> None:
    folder = tmp_path / "text"
    grow(folder, manifest_of("old"), ["whole"])
    with pytest.raises(KeyboardInterrupt):
        grow(folder, manifest_of("x"), ["one", "stop"])
    assert list(Manifest.of(folder).files) == ["whole"], "the old is lost before the new is there"
    manifest = manifest_of(change.get("value", "x"))
    assert grow(folder, manifest, ["two"], also=change.get("also")) == []
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, "two"]


def test_a_manifest_that_a_killed_run_had_written_is_not_listed_in_the_next(tmp_path: Path) -> None:
    folder, alone = tmp_path / "text", tmp_path / "alone"
    grow(alone, manifest_of("x"), ["one"])
    with pytest.raises(KeyboardInterrupt):
        grow(folder, manifest_of("x"), ["one", "stop"])
    growing = work_folder(folder) / "made"
    (growing / "stop").unlink()
    manifest_of("x").list_files(growing)
    grow(folder, manifest_of("x"), [])
    assert tree(folder) == tree(alone)


def test_a_growing_folder_that_was_moved_away_as_its_run_was_killed_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    with pytest.raises(KeyboardInterrupt):
        grow(folder, manifest_of("x"), ["one", "stop"])
    files.remove(work_folder(folder) / "made")
    assert grow(folder, manifest_of("x"), ["one"]) == []
    assert (folder / "one").is_file()
