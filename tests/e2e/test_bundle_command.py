"""The bundle: all that `translate` needs, and one clear line where something is wrong with it."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import Run, TinyRun

AGAIN = "(copy the bundle again, or make it again with `nmt run`)"
TEXT = b"A small dog sleeps.\nThe woman wants to see the old house.\n"


def flip(path: Path, place: int = -1) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_bundle_copied_elsewhere_translates_without_its_run(
    tiny: TinyRun, nmt: Run, nmt_here: Run, tmp_path: Path
) -> None:
    expected = nmt_here("translate", tiny.model, stdin=TEXT)
    run = tiny.copy(tmp_path / "run")
    shutil.copytree(run / "model", tmp_path / "else where" / "modèle")
    shutil.rmtree(run)
    said = nmt("translate", "modèle", stdin=TEXT, cwd=tmp_path / "else where")
    assert said == expected
    assert (said.code, len(said.lines)) == (0, 2)


def test_a_bundle_works_without_the_files_that_only_inform(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    model = tiny.copy_model(tmp_path / "model")
    for name in ("README.md", "lock.json", "scores.json", "manifest.json"):
        (model / name).unlink()
    assert nmt_here("translate", model, stdin=TEXT) == nmt_here("translate", tiny.model, stdin=TEXT)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.model", "tokenizer.json"])
@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_byte_is_found(tiny: TinyRun, nmt_here: Run, tmp_path: Path, name: str, place: int) -> None:
    model = tiny.copy_model(tmp_path / "model")
    flip(model / name, place)
    assert nmt_here("translate", model, stdin=TEXT) == (
        *(4, "", f"nmt: {model / name}: damaged: its SHA-256 is not the one in config.json {AGAIN}\n"),
    )


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.model", "tokenizer.json"])
def test_a_file_cut_short_is_found(tiny: TinyRun, nmt_here: Run, tmp_path: Path, name: str) -> None:
    model = tiny.copy_model(tmp_path / "model")
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[: len(content) // 2])
    assert nmt_here("translate", model, stdin=TEXT) == (
        *(4, "", f"nmt: {model / name}: damaged: its SHA-256 is not the one in config.json {AGAIN}\n"),
    )


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.model", "tokenizer.json"])
def test_a_missing_file_is_named(tiny: TinyRun, nmt_here: Run, tmp_path: Path, name: str) -> None:
    model = tiny.copy_model(tmp_path / "model")
    (model / name).unlink()
    expected = f"nmt: {model / name}: missing, though config.json names it {AGAIN}\n"
    assert nmt_here("translate", model, stdin=TEXT) == (4, "", expected)


def test_a_damaged_config_is_named(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    model = tiny.copy_model(tmp_path / "model")
    config = model / "config.json"
    content = config.read_text(encoding="utf-8")
    config.write_text(content[: len(content) // 2], encoding="utf-8")
    assert nmt_here("translate", model, stdin=TEXT) == (4, "", f"nmt: {config}: damaged {AGAIN}\n")
    config.write_text(content.replace('"heads": 2', '"heads": 3'), encoding="utf-8")
    said = nmt_here("translate", model, stdin=TEXT)
    assert said == (4, "", f"nmt: {config}: damaged: its digest is not that of its content {AGAIN}\n")


def test_a_config_with_a_changed_value_is_found(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    model = tiny.copy_model(tmp_path / "model")
    config = model / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"ffn": 64', '"ffn": 32'), encoding="utf-8")
    said = nmt_here("translate", model, stdin=TEXT)
    assert (said.code, said.out, len(said.messages)) == (4, "", 1)
    assert said.err == f"nmt: {config}: damaged: its digest is not that of its content {AGAIN}\n"


def test_a_newer_format_asks_for_a_newer_nmt(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    model = tiny.copy_model(tmp_path / "model")
    values = json.loads((model / "config.json").read_text(encoding="utf-8"))
    written_by = {**values, "format": 3, "nmt": "9.0", "a_key_of_the_future": 1}
    (model / "config.json").write_text(json.dumps(written_by), encoding="utf-8")
    said = nmt_here("translate", model, stdin=TEXT)
    this = f"this nmt {values['nmt']} reads formats 1 to 2"
    assert said == (4, "", f"nmt: {model}: a bundle of format 3; {this} (use nmt 9.0 or newer)\n")


def test_a_folder_that_is_no_bundle_is_said_to_be_none(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    missing = f"nmt: {tmp_path / 'config.json'}: missing, so this is no bundle {AGAIN}\n"
    assert nmt_here("translate", tmp_path, stdin=TEXT) == (4, "", missing)
    (tmp_path / "config.json").write_text('{"model_type": "marian", "d_model": 512}', encoding="utf-8")
    assert nmt_here("translate", tmp_path, stdin=TEXT) == (
        *(4, "", f"nmt: {tmp_path / 'config.json'}: damaged {AGAIN}\n"),
    )
    (tmp_path / "config.json").write_text("[1]", encoding="utf-8")
    assert nmt_here("translate", tmp_path, stdin=TEXT).code == 4
    of_the_run = f"nmt: {tiny.folder}: a run folder, not a bundle (take {tiny.model})\n"
    assert nmt_here("translate", tiny.folder, stdin=TEXT) == (4, "", of_the_run)


def test_what_is_no_folder_is_one_line(nmt_here: Run, tmp_path: Path) -> None:
    hint = "(after `nmt run` it is runs/NAME/model)"
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file"):
        said = nmt_here("translate", path, stdin=TEXT)
        assert said == (4, "", f"nmt: {path}: no such bundle {hint}\n")


def test_evaluate_refuses_a_damaged_bundle_too(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    model = tiny.copy_model(tmp_path / "model")
    flip(model / "model.safetensors")
    (tmp_path / "text").write_bytes(TEXT)
    said = nmt_here("evaluate", model, "--source", tmp_path / "text", "--reference", tmp_path / "text")
    assert (said.code, said.out, len(said.messages)) == (4, "", 1)
    assert "model.safetensors: damaged" in said.err


def test_nothing_in_a_run_folder_is_pickled(tiny: TinyRun) -> None:
    files = [path for path in tiny.folder.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files}
    assert kinds == {".json", ".jsonl", ".toml", ".md", ".model", ".safetensors", ".arrow", ".de"}
    # A pickle of protocol 2 or later begins with 0x80, a zip archive (torch.save) with PK.
    assert [path for path in files if path.read_bytes()[:1] == b"\x80" or path.read_bytes()[:2] == b"PK"] == []


def test_the_card_says_what_the_model_is_and_how_good(tiny: TinyRun) -> None:
    card = (tiny.model / "README.md").read_text(encoding="utf-8")
    scores = json.loads((tiny.model / "scores.json").read_text(encoding="utf-8"))["test"]
    assert card.startswith("# tiny: en to de\n")
    assert "width 32, feed-forward 64, 2 heads, 1 + 1 layers" in card
    rows = re.findall(r"^\| test \| (\w+) \| ([\d.]+) \| `(.*)` \|$", card, re.MULTILINE)
    assert rows == [
        (name, f"{found['score']:.2f}", found["signature"].replace("|", "\\|")) for name, found in scores.items()
    ]
    assert len(rows) == 3


def test_a_bundle_can_be_read_by_whoever_may_read_the_folder(tiny: TinyRun) -> None:
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tiny.model.iterdir()}
    assert len(set(modes.values())) == 1, modes
