"""docs/serving.md and the unit for systemd are true."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from servers import serving

from nmt.commands.options import option_name
from nmt.config.serving import ServingConfig

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
UNIT = ROOT / "docs" / "nmt.service"
OPTIONS = {option_name(ServingConfig, key): field.default for key, field in ServingConfig.model_fields.items()}


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_examples_run(tiny_model: Path) -> None:
    commands = re.findall(r"^curl (?:.*\\\n)*.*", PAGE, re.MULTILINE)
    assert len(commands) == 5
    with serving(tiny_model) as server:
        for command in commands:
            line = command.replace("\\\n", " ").replace("http://127.0.0.1:5000", server.url)
            done = subprocess.run([*shlex.split(line), "-sf"], capture_output=True, text=True, check=True)
            assert json.loads(done.stdout)


def test_the_table_of_limits_has_the_defaults() -> None:
    rows = re.findall(r"^\| `(--[\w-]+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)
    assert dict(rows).keys() >= {name for name in OPTIONS if name.startswith("--max") or "timeout" in name}
    assert {name: str(OPTIONS[name]) for name, _ in rows} == dict(rows)


def test_options_exist_that_are_named() -> None:
    known = {
        *OPTIONS,
        "--help",
        "--engine",
        "--threads",
        "--beam-size",
        "--no-page",
        "--chars-per-day",
        "--now",
        "--format",
    }
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE + UNIT.read_text())) <= known


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "nmt.service"
    unit.write_text(UNIT.read_text().replace("/opt/nmt/bin/nmt", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
