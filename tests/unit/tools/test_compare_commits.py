"""The gate of refactorings: which artefacts it compares, and by what of their content."""

import argparse
import json
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
from compare_commits import (
    SOURCE_LINES,
    Case,
    CommandError,
    cache_key,
    check_out,
    compare,
    digest,
    digests,
    overrides,
    source_text,
    weights_and_losses,
    written,
)
from conftest import ROOT

from nmt.config.toml import load_recipe

LINE = {"kind": "train", "step": 1, "loss": 2.5, "tokens_per_second": 100.0}


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def settings(**changes: object) -> argparse.Namespace:
    return argparse.Namespace(**{"steps": 12, "threads": 1, "set": [], "data_dir": None, **changes})


def test_each_artefact_of_either_side_gets_a_verdict() -> None:
    assert compare({"a": "1", "b": "1", "d": "1"}, {"d": "1", "c": "1", "b": "2"}) == {
        "a": "only in OLD",
        "b": "DIFFERS",
        "c": "only in NEW",
        "d": "same",
    }


def test_the_digest_of_a_log_ignores_measured_fields_and_an_unfinished_line(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "log.jsonl", json.dumps(LINE) + "\n")
    faster = write(tmp_path / "b" / "log.jsonl", json.dumps({**LINE, "tokens_per_second": 1.0}) + '\n{"kind"')
    other = write(tmp_path / "c" / "log.jsonl", json.dumps({**LINE, "loss": 2.50001}) + "\n")
    assert digest(first) == digest(faster) != digest(other)


def test_the_digest_of_json_is_of_its_content_and_that_of_text_of_its_bytes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.json", '{"a": 1, "b": 2}'), write(tmp_path / "b.json", '{"b":2,\n"a":1}\n')
    assert digest(one) == digest(two) != digest(write(tmp_path / "c.json", '{"a": 1, "b": 3}'))
    assert digest(write(tmp_path / "a.de", "ja")) != digest(write(tmp_path / "b.de", "ja\n"))


def test_manifests_locks_and_cards_are_not_compared(tmp_path: Path) -> None:
    for name in ("lock.json", "log.jsonl", "model/manifest.json", "model/a.safetensors", "model/scores.json"):
        write(tmp_path / name, "{}\n")
    assert digests(tmp_path).keys() == {"log.jsonl", "model/a.safetensors", "model/scores.json"}
    assert weights_and_losses(tmp_path).keys() == {"log.jsonl", "model/a.safetensors"}


@pytest.mark.parametrize("steps", [12, 60])
@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_allows_the_overrides(recipe: Path, steps: int) -> None:
    training = load_recipe(str(recipe), overrides(steps)).recipe.training
    assert training.max_steps == steps
    assert training.checkpoint_every * 6 == steps


def test_the_source_text_is_of_the_first_test_set_of_the_recipe(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(SOURCE_LINES + 1)]
    for name, values in (("test.b", lines), ("test.a", ["other"])):
        folder = tmp_path / "run" / "prepared" / "text" / name
        folder.mkdir(parents=True)
        table = pa.table({"source": values, "target": values})
        with pa.ipc.new_stream(str(folder / "00000.arrow"), table.schema) as writer:
            writer.write_table(table)
    recipe = write(tmp_path / "r.toml", '[data.test.b]\nsource = "b"\n[data.test.a]\nsource = "a"\n')
    assert source_text(tmp_path / "run", recipe) == "".join(f"{line}\n" for line in lines[:SOURCE_LINES])
    assert source_text(tmp_path / "run", write(tmp_path / "split.toml", "[data.train]\n")) == "other\n"


def test_what_is_kept_of_old_is_found_again_only_under_the_same_settings(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.toml", 'name = "r"')
    key = cache_key(recipe, settings())
    assert key == cache_key(recipe, settings(precision=["float32"], keep=True))
    for changes in ({"steps": 18}, {"threads": 2}, {"set": ["training.seed=2"]}, {"data_dir": tmp_path}):
        assert cache_key(recipe, settings(**changes)) != key
    assert cache_key(write(recipe, 'name = "s"'), settings()) != key


def test_an_artefact_is_made_once_and_not_kept_when_that_fails(tmp_path: Path) -> None:
    case = Case("OLD", tmp_path, Path("r.toml"), settings(), tmp_path / "kept")

    def fail(folder: Path) -> None:
        folder.mkdir()
        raise CommandError("full")

    with pytest.raises(CommandError, match="full"):
        case.made("float32/run", fail)
    assert list((tmp_path / "kept" / "float32").iterdir()) == []
    folder = case.made("float32/run", lambda folder: folder.mkdir())
    assert folder == tmp_path / "kept" / "float32" / "run"
    assert case.made("float32/run", fail) == folder


def test_a_stage_counts_as_made_again_where_its_manifest_was_written_again(tmp_path: Path) -> None:
    write(tmp_path / "prepared" / "ids" / "manifest.json", "{}")
    path = write(tmp_path / "model" / "manifest.json", "{}")
    before = written(tmp_path)
    assert before.keys() == {"prepared/ids", "model"}
    path.unlink()
    assert written(tmp_path) == {"prepared/ids": before["prepared/ids"]}


def test_a_checkout_of_the_working_tree_has_its_changes_and_stages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e"]
        return subprocess.run(["git", *identity, *arguments], capture_output=True, text=True, check=True).stdout

    repository = tmp_path / "repository"
    write(repository / "kept.py", "old")
    write(repository / ".gitignore", "runs/\n")
    monkeypatch.chdir(repository)
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "-m", "old")
    for name in ("kept.py", "new.py", "runs/ignored"):
        write(repository / name, "new")
    status = git("status", "--porcelain")
    old, new = check_out("HEAD", tmp_path / "OLD"), check_out(".", tmp_path / "NEW")
    assert git("status", "--porcelain") == status
    assert old == git("rev-parse", "HEAD^{tree}").strip() != new
    files = {name: sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("OLD", "NEW")}
    assert files == {"OLD": [".gitignore", "kept.py"], "NEW": [".gitignore", "kept.py", "new.py"]}
    assert (tmp_path / "OLD" / "kept.py").read_text() == "old"
    assert (tmp_path / "NEW" / "kept.py").read_text() == "new"
