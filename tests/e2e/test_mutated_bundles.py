"""Bundles that are damaged or mean harm: one line and an exit code, or translations; never a crash, never no end."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Run, environment
from precisions import in_int8


@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_mutated_bundles_end_in_a_line_or_in_translations(
    tiny_model: Path, nmt_here: Run, tmp_path: Path, count: int
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "whole")
    nmt_here("export", copy, "--to", "ctranslate2")  # where CTranslate2 is installed
    check_mutations(copy, tmp_path, count)


@pytest.mark.slow
@in_int8
def test_so_do_mutated_bundles_in_int8(int8_model: Path, tmp_path: Path) -> None:
    check_mutations(int8_model, tmp_path, 200)


@pytest.mark.slow
def test_so_do_mutated_imports(nmt_here: Run, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from marians import save_marian

    (tmp_path / "sample.en").write_text("The old woman sees a dog.\n", encoding="utf-8")
    folder, bundle = save_marian(tmp_path / "saved", tags=True), tmp_path / "bundle"
    assert nmt_here("import", folder, "-o", bundle, "--sample", tmp_path / "sample.en").code == 0
    check_mutations(bundle, tmp_path, 100)


def check_mutations(bundle: Path, tmp_path: Path, count: int) -> None:
    words = [sys.executable, str(ROOT / "tests" / "mutations.py"), str(bundle), str(tmp_path), str(count), "1"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    *faults, ends = done.stdout.splitlines()
    assert faults == []
    assert sum(json.loads(ends).values()) == count
    assert set(json.loads(ends)) <= {f"exit code {code}" for code in (0, 2, 3, 4)}
    assert json.loads(ends)["exit code 4"] > count // 3
