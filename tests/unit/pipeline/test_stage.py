"""What a stage depends on, and the folder in which it grows."""

from pathlib import Path
from typing import Any

import pytest
from conftest import tree

from nmt import files
from nmt.config.toml import LoadedRecipe, check
from nmt.files import digest_json
from nmt.pipeline.pipeline import Pipeline
from nmt.pipeline.stage import MANIFEST, list_files, resuming, work_folder


def corpus(root: Path, name: str) -> dict[str, str]:
    (root / f"{name}.tsv").write_text(f"{name}\t{name.upper()}\n", encoding="utf-8")
    return {"files": f"{name}.tsv"}


def pipeline(root: Path, **data: Any) -> Pipeline:
    files = {"files": "a.tsv"}
    recipe = {
        "name": "x",
        "languages": {"source": "en", "target": "de"},
        "data": {"train": {"a": files, "b": files}, **data},
        "tokenizer": {"placeholders": 2},
    }
    loaded = LoadedRecipe(check(recipe, "x"), root / "x.toml", "")
    return Pipeline(loaded, run_dir=root / "run")


def inputs(root: Path, **data: Any) -> dict[str, Any]:
    return pipeline(root, **data).text_inputs()


def test_weights_change_nothing_of_the_text_and_the_rest_of_a_corpus_does(tmp_path: Path) -> None:
    files = corpus(tmp_path, "a")
    plain = inputs(tmp_path)
    assert inputs(tmp_path, train={"a": {**files, "weight": 2.0}, "b": files}) == plain
    assert inputs(tmp_path, temperature=5.0) == plain
    for changed in (
        {"a": {**files, "tags": ["<a>"]}, "b": files},
        {"a": files, "c": files},
        {"a": {**files, "cleaning": {"max_characters": 9}}, "b": files},
        {"a": {**files, "pairs": 2}, "b": files},
    ):
        assert inputs(tmp_path, train=changed) != plain


def test_the_order_of_the_corpora_is_part_of_what_the_text_depends_on(tmp_path: Path) -> None:
    train = {name: corpus(tmp_path, name) for name in ("one", "two")}
    forth, back = (inputs(tmp_path, train=given) for given in (train, dict(reversed(train.items()))))
    assert digest_json(forth) != digest_json(back)


def test_filters_of_pieces_of_a_corpus_change_nothing_of_the_text(tmp_path: Path) -> None:
    files = corpus(tmp_path, "a")
    found = [
        inputs(tmp_path, train={"a": {**files, "cleaning": cleaning}, "b": files})
        for cleaning in ({"max_pieces": 9}, {"max_pieces": 8, "max_piece_ratio": 2.0})
    ]
    assert found[0] == found[1]


def test_the_pattern_of_placeholders_is_part_of_what_the_bundle_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.pipeline.pipeline.made", lambda _: {})
    found = [pipeline(tmp_path, protect=pattern).bundle_inputs() for pattern in ("a", "b", "a")]
    assert found[0] == found[2] != found[1]


def test_a_corpus_may_be_named_like_a_key(tmp_path: Path) -> None:
    corpus(tmp_path, "a")
    named = [
        pipeline(tmp_path, train={"temperature": {"files": "a.tsv", "weight": weight}}).recipe.data.given_weights
        for weight in (0.5, 3.0, 1.0)
    ]
    assert named == [{"weights": {"temperature": 0.5}}, {"weights": {"temperature": 3.0}}, {}]


def grow(folder: Path, manifest: dict[str, Any], names: list[str], also: Any = None) -> list[str]:
    """Make `names` in a stage's folder; return what was there before."""
    with resuming(folder, manifest, also=also) as growing:
        before = sorted(str(path.relative_to(growing)) for path in growing.rglob("*"))
        for name in names:
            files.write_text(growing / name, name)
            if name == "stop":
                raise KeyboardInterrupt
    return before


def test_a_folder_that_grows_appears_when_it_is_whole_and_outlives_what_broke_off(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    with pytest.raises(KeyboardInterrupt):
        grow(folder, {"fingerprint": "x"}, ["one", "a/two", "stop"])
    assert not folder.exists()
    (work_folder(folder) / "made" / "a" / ".three.7.partial").touch()
    assert grow(folder, {"fingerprint": "x"}, ["three"]) == ["a", "a/two", "one", "stop"]
    manifest = files.read_json(folder / MANIFEST)
    assert list(manifest["files"]) == ["a/two", "one", "stop", "three"]
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize("change", [{"fingerprint": "y"}, {"also": "z"}])
def test_what_was_made_from_other_inputs_is_not_gone_on_with(tmp_path: Path, change: dict[str, str]) -> None:
    folder = tmp_path / "text"
    grow(folder, {"fingerprint": "old"}, ["whole"])
    with pytest.raises(KeyboardInterrupt):
        grow(folder, {"fingerprint": "x"}, ["one", "stop"])
    assert list(files.read_json(folder / MANIFEST)["files"]) == ["whole"], "the old is lost before the new is there"
    fingerprint = change.get("fingerprint", "x")
    assert grow(folder, {"fingerprint": fingerprint}, ["two"], also=change.get("also")) == []
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, "two"]


def test_a_manifest_that_a_killed_run_had_written_is_not_listed_in_the_next(tmp_path: Path) -> None:
    folder, alone = tmp_path / "text", tmp_path / "alone"
    grow(alone, {"fingerprint": "x"}, ["one"])
    with pytest.raises(KeyboardInterrupt):
        grow(folder, {"fingerprint": "x"}, ["one", "stop"])
    growing = work_folder(folder) / "made"
    (growing / "stop").unlink()
    list_files(growing, {"fingerprint": "x"})
    grow(folder, {"fingerprint": "x"}, [])
    assert tree(folder) == tree(alone)


def test_a_growing_folder_that_was_moved_away_as_its_run_was_killed_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    with pytest.raises(KeyboardInterrupt):
        grow(folder, {"fingerprint": "x"}, ["one", "stop"])
    files.remove(work_folder(folder) / "made")
    assert grow(folder, {"fingerprint": "x"}, ["one"]) == []
    assert (folder / "one").is_file()
