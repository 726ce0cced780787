"""What is known of a translation without a reference: docs/quality.md is true, and the server says the same."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Run
from servers import serving

PAGE = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
LINES = ["A small dog sleeps.", "The 12 dogs of <b>Anna</b> cost 1,500.5.", "", "Two men write to a@b.example."]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
CPU = ["--device", "cpu"]
FAILING = "nmt: warning: translations that fail a check against their lines: "


def translated(nmt: Run, model: Path, *options: str) -> list[str]:
    said = nmt("translate", model, *options, *CPU, stdin=TEXT)
    assert said.code == 0, said.err
    return said.lines


def test_the_examples_of_the_page_run(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "model").symlink_to(tiny_model)
    for side in ("en", "de"):
        (tmp_path / f"test.{side}").write_bytes(TEXT)
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.split("\n") if line.startswith("nmt ")]
    assert commands
    for command in commands:
        arguments, _, rest = command.partition(" < ")
        stdin = (tmp_path / rest.split()[0]).read_bytes() if rest else b""
        said = nmt_here(*shlex.split(arguments)[1:], stdin=stdin, cwd=tmp_path)
        assert said.code == 0, (command, said.err)


def test_failed_checks_are_counted_at_the_end_and_named_in_the_formats(tiny_model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", tiny_model, "--check", "-v", *CPU, stdin=TEXT)
    assert said.lines == translated(nmt_here, tiny_model)
    (warning,) = [message for message in said.messages if message.startswith(FAILING)]
    assert re.fullmatch(r"3? ?.*\(line 2, 4\): numbers missing in 1, emails missing in 1, tags missing in 1", warning)
    assert "line 2: numbers missing: 12, 1,500.5; tags missing: <b>, </b>" in said.messages
    table = [row.split("\t") for row in translated(nmt_here, tiny_model, "--check", "--format", "tsv")]
    assert [row[3] for row in table] == [
        "", "numbers missing: 12, 1,500.5; tags missing: <b>, </b>", "", "emails missing: a@b.example",
    ]  # fmt: skip
    objects: list[dict[str, Any]] = [
        json.loads(row) for row in translated(nmt_here, tiny_model, "--check", "--format", "jsonl")
    ]
    found = [row["hypotheses"][0]["checks"] for row in objects]
    assert found[0] == {}
    assert found[1]["tags"] == {"missing": ["<b>", "</b>"], "invented": []}


def test_lines_that_pass_are_counted_too(tiny_model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", tiny_model, "--check", *CPU, stdin=b"A small dog sleeps.\n\n")
    assert said.messages[-1] == "translate: lines that pass all checks: 2 of 2"
    assert not [message for message in said.messages if message.startswith(FAILING)]


def test_the_server_finds_what_the_command_finds(tiny_model: Path, nmt_here: Run) -> None:
    expected = [
        json.loads(row)["hypotheses"][0]["checks"]
        for row in translated(nmt_here, tiny_model, "--check", "--format", "jsonl")
    ]
    with serving(tiny_model) as server:
        asked = {"lines": LINES, "source": "en", "target": "de"}
        answer = server.post("/v1/translate", **asked, check=True).body
        plain = server.post("/v1/translate", **asked).body
    found = [line["candidates"][0]["checks"] for line in answer["translations"]]
    assert found == expected
    failing = "translations that fail a check against their lines: "
    assert f"{failing}emails missing" in answer["translations"][3]["warnings"]
    assert any(warning.startswith(f"{failing}2 (line 2, 4)") for warning in answer["warnings"])
    assert "checks" not in plain["translations"][1]["candidates"][0]


def test_checks_are_for_lines_of_text(tiny_model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", tiny_model, "--check", "--format", "html", stdin=b"<p>A</p>")
    assert (said.code, said.messages) == (2, ["nmt: --check is for lines, and --format html for a document"])


def test_what_is_found_does_not_depend_on_the_batch(tiny_model: Path, nmt_here: Run) -> None:
    tables = [
        [row.split("\t") for row in translated(nmt_here, tiny_model, "--check", "--format", "tsv", *options)]
        for options in ([], ["--batch-tokens", "1"], ["--batch-tokens", "64"])
    ]
    for one, *same in zip(*tables, strict=True):
        for other in same:
            assert (other[0], other[2:]) == (one[0], one[2:])
            assert float(other[1]) == pytest.approx(float(one[1]), abs=1e-4)
