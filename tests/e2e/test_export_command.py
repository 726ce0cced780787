"""`nmt export`, and `nmt translate` by what it wrote."""

import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, command, environment, tree
from runs import write_random

pytest.importorskip("ctranslate2")

LINES = b"A small dog sleeps.\n\nThe woman wants to see the old house.\nDo nine women talk about his boring parks?\n"
QUICK = 1.0
"""Seconds in which the first translation has to be there."""


@pytest.fixture(scope="module")
def made(tiny_model: Path, nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with an export. Shared: never change it."""
    bundle = shutil.copytree(tiny_model, tmp_path_factory.mktemp("exported") / "model")
    assert nmt_here("export", bundle, "--to", "ctranslate2").code == 0
    return bundle


def test_the_command_says_how_the_export_agrees_and_where_it_lies(made: Path, tmp_path: Path, nmt_here: Run) -> None:
    bundle = shutil.copytree(made, tmp_path / "model")
    said = nmt_here("export", bundle, "--to", "ctranslate2", "--quantization", "int8", "--name", "small")
    assert (said.code, said.out, len(said.messages)) == (0, "", 6)
    for message, search in zip(said.messages, ("beam 1", "beam 5", "own settings"), strict=False):
        assert message.startswith(f"export: {search}: ")
        assert "lines differ from the native engine's" in message
    for message, side in zip(said.messages[3:5], ("source", "target"), strict=True):
        assert message.startswith(f"export: {side}.spm, the {side} tokenizer for packages without nmt's normal form, ")
    assert said.messages[-1] == f"export: written to {bundle / 'exports' / 'small'}"
    assert sorted(path.name for path in (bundle / "exports").iterdir()) == ["ctranslate2-float32", "small"]


def test_the_export_translates_as_the_native_engine_does(made: Path, nmt_here: Run) -> None:
    own = nmt_here("translate", made, stdin=LINES)
    other = nmt_here("translate", made, "--engine", "ctranslate2", stdin=LINES)
    assert other == own
    assert len(own.lines) == 4


def test_a_bundle_that_moves_takes_its_exports_along(made: Path, tmp_path: Path, nmt_here: Run) -> None:
    moved = shutil.copytree(made, tmp_path / "elsewhere")
    said = nmt_here("translate", moved, "--engine", "ctranslate2", "--export", "ctranslate2-float32", stdin=LINES)
    assert said == nmt_here("translate", made, stdin=LINES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "ctranslate2", "--name", "../x"], "--name ../x: not a name (take letters, digits, '.', '_' and '-')"),
        (["--to", "onnx"], "Invalid value for '--to': "),
        ([], "Missing option '--to'"),
    ],
)
def test_a_command_that_cannot_be_is_one_line(made: Path, nmt_here: Run, options: list[str], message: str) -> None:
    before = tree(made)
    said = nmt_here("export", made, *options)
    assert (said.code, said.out, len(said.messages)) == (2, "", 1)
    assert said.err.startswith(f"nmt: {message}")
    assert tree(made) == before


def test_a_decoder_alone_translates_by_either_engine_and_a_prefix_model_is_one_line(
    tiny_model: Path, tmp_path: Path, nmt_here: Run
) -> None:
    alone = write_random(tmp_path / "alone", tiny_model, architecture="decoder-only", decoder_layers=1)
    sample = tmp_path / "sample"
    sample.write_bytes(LINES)
    assert nmt_here("export", alone, "--to", "ctranslate2", "--sample", sample).code == 0
    own = nmt_here("translate", alone, stdin=LINES)
    assert nmt_here("translate", alone, "--engine", "ctranslate2", stdin=LINES) == own
    assert len(own.lines) == 4
    prefix = write_random(tmp_path / "prefix", tiny_model, architecture="prefix-lm", decoder_layers=1)
    assert nmt_here("export", prefix, "--to", "ctranslate2") == (
        2,
        "",
        "nmt: CTranslate2 has no model of the architecture prefix-lm "
        "(translate with the native engine, or take --to int8)\n",
    )
    assert not (prefix / "exports").exists()


def test_a_package_of_argos_translate_says_what_differs_and_where_it_lies(
    made: Path, tmp_path: Path, nmt_here: Run
) -> None:
    pytest.importorskip("onnx")
    sample = tmp_path / "sample"
    sample.write_bytes(LINES)
    bundle = shutil.copytree(made, tmp_path / "model")
    said = nmt_here("export", bundle, "--to", "argos", "--sample", sample)
    assert (said.code, said.out) == (0, "")
    assert [message for message in said.messages if "BLEU" not in message][2:] == [
        "export: Argos Translate searches by settings of its own: beam size 4, and a length penalty of 0.2",
        "export: 0 of 3 texts of two lines are cut into other sentences than nmt's",
        f"export: written to {bundle}/exports/argos-float32.argosmodel",
    ]
    assert nmt_here("translate", bundle, "--engine", "ctranslate2", stdin=LINES).code == 0  # still the only export
    named = nmt_here("export", bundle, "--to", "argos", "--name", "x")
    assert named == (2, "", "nmt: --name is for --to ctranslate2 (leave it out; -o says where)\n")
    folder = nmt_here("export", bundle, "--to", "argos", "-o", tmp_path)
    assert folder == (4, "", f"nmt: {tmp_path}: Is a directory\n")


def test_a_damaged_export_ends_in_one_line_and_exit_code_4(made: Path, tmp_path: Path, nmt_here: Run) -> None:
    bundle = shutil.copytree(made, tmp_path / "model")
    model = bundle / "exports" / "ctranslate2-float32" / "model.bin"
    model.write_bytes(model.read_bytes()[:-1])
    said = nmt_here("translate", bundle, "--engine", "ctranslate2", stdin=LINES)
    assert said == (
        4,
        "",
        f"nmt: {model}: damaged: its SHA-256 is not the one in manifest.json "
        f"(make it again: nmt export {bundle} --to ctranslate2 --name ctranslate2-float32)\n",
    )


def test_the_first_translation_is_there_in_a_second(made: Path) -> None:
    # Its own processor time, which another job on the machine does not lengthen as it does the clock's.
    count = "import os, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    count += "t = os.times(); print(t.children_user + t.children_system)"
    seconds = [
        float(
            subprocess.run(
                [sys.executable, "-c", count, *command("translate", made, "--engine", "ctranslate2")],
                input=LINES,
                capture_output=True,
                env=environment(),
                check=True,
            ).stdout
        )
        for _ in range(3)
    ]
    assert statistics.median(seconds) < QUICK, (seconds, os.cpu_count())
