"""Extreme arguments, streams that take nothing, failures of the machine: one line and its exit code, at once."""

import errno
import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import Run, command, environment

from nmt.commands import recipe

DIGITS = "9" * 5000
NUMBERS = [
    *(("translate", "m", option) for option in ("--threads", "--devices", "--beam-size", "--n-best", "--batch-tokens")),
    ("translate", "m", "--sample", "--seed"),
    ("evaluate", "--hypotheses", "h", "--reference", "r", "--chrf-word-order"),
    ("data", "synthesize", "f", "--pairs"),
    ("data", "synthesize", "f", "--seed"),
    ("data", "inspect", "a.tsv", "--pairs"),
    ("data", "clean", "a.tsv", "-o", "b", "--workers"),
    ("prepare", "demo", "--workers"),
    ("checkpoints", "average", "r", "-o", "o", "--last"),
]
EMPTY = [
    *(("translate", ""), ("translate", "m", "-i", ""), ("translate", "m", "-o", ""), ("run", ""), ("doctor", "")),
    *(("run", "demo", "--run-dir", ""), ("run", "demo", "--data-dir="), ("init", "", "de", "--train", "x")),
    *(
        ("init", "en", "de", "--train", ""),
        ("checkpoints", "list", ""),
        ("data", "inspect", ""),
        ("recipe", "show", ""),
    ),
    *(("data", "clean", "a", "b", "-o", ""), ("data", "funnel", "r", "-o", ""), ("data", "synthesize", "")),
    *(
        ("tokenizer", "show", ""),
        ("export", "", "--to", "ctranslate2"),
        ("score", "m", "--source", "", "--target", "t"),
    ),
    ("evaluate", "--hypotheses", "h", "--reference", "r", ""),
]
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@pytest.mark.parametrize("value", ["1" + "0" * 30, DIGITS], ids=["large", "digits"])
@pytest.mark.parametrize("words", NUMBERS, ids=" ".join)
def test_an_extreme_number_is_one_line_before_any_work(
    nmt_here: Run, tmp_path: Path, words: tuple[str, ...], value: str
) -> None:
    said = nmt_here(*words, value, cwd=tmp_path)
    assert (said.code, said.out, len(said.messages)) == (2, "", 1)
    assert said.err.startswith(f"nmt: Invalid value for '{words[-1]}': ")
    assert len(said.err) < 300
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_path_is_not_the_current_folder(nmt_here: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    said = nmt_here(*words, cwd=tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err.endswith(": the value is empty\n")
    assert list(tmp_path.iterdir()) == []


def run(words: str, redirections: str) -> tuple[int, str, str]:
    """Run `nmt` with redirected streams of a shell; return its exit code and what it could still say."""
    line = f"{shlex.join(command(*shlex.split(words)))} {redirections}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, env=environment(), timeout=60, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@FULL
@pytest.mark.parametrize("words", ["--version", "--help", "recipe list", "run --help"])
def test_standard_output_on_a_full_disk_is_one_line(words: str) -> None:
    assert run(words, "> /dev/full") == (4, "", "nmt: output: No space left on device\n")
    assert run(words, "> /dev/full 2> /dev/full") == (4, "", "")


@FULL
@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-"])
def test_a_message_that_cannot_be_written_changes_no_exit_code(redirection: str) -> None:
    assert run("recipe show nosuch", redirection) == (2, "", "")
    code, text, _ = run("recipe list", redirection)
    assert code == 0
    assert "demo" in text


def test_closed_streams_are_one_line_or_nothing() -> None:
    assert run("recipe list", ">&-") == (2, "", "nmt: standard output is closed\n")
    assert run("recipe list", "<&- >&- 2>&-") == (2, "", "")
    assert run("recipe show nosuch", "<&- >&- 2>&-") == (2, "", "")


def test_a_closed_stream_lends_its_number_to_no_file(nmt_here: Run, tmp_path: Path) -> None:
    code, _, _ = run(f"data synthesize {tmp_path} --pairs 50", "<&- >&- 2>&-")
    assert code == 0
    assert nmt_here("data", "synthesize", tmp_path / "right", "--pairs", "50").code == 0
    for name in ("train.en", "train.de"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "right" / name).read_bytes()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTEMPTY, errno.ENOENT, errno.EMFILE, errno.ELOOP])
def test_any_error_of_the_system_is_one_line(nmt_here: Run, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/disk/file")

    monkeypatch.setattr(recipe, "shown_recipe", fail)
    assert nmt_here("recipe", "show", "demo") == (4, "", f"nmt: /disk/file: {os.strerror(number)}\n")
    assert nmt_here("-v", "recipe", "show", "demo").err.startswith("Traceback (most recent call last):\n")


def test_a_full_memory_is_one_line_and_another_error_a_bug(nmt_here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Exception] = [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError(),
    ]

    def fail(*_: object) -> None:
        raise errors[0]

    monkeypatch.setattr(recipe, "shown_recipe", fail)
    line = "nmt: out of memory (take a smaller model, beam or batch, or a machine with more)\n"
    for _ in range(2):
        assert nmt_here("recipe", "show", "demo") == (2, "", line)
        errors.pop(0)
    with pytest.raises(RuntimeError):
        nmt_here("recipe", "show", "demo")


def test_a_name_that_is_not_utf_8_is_one_line_or_works(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.")
    for side in ("en", "de"):
        Path(name + side).write_text(f"a small {side}\n")
    files = shlex.join([name + "en", name + "de"])
    options = "--source-language en --target-language de"
    code, text, said = run(f"data inspect {files} {options} --json", "")
    assert (code, said) == (0, "")
    assert json.loads(text)["files"] == [name + "en", name + "de"]
    code, text, said = run(
        f"evaluate --hypotheses {shlex.quote(name + 'en')} --reference {shlex.quote(name + 'en')}", ""
    )
    assert code == 0
    assert "\\udcff.en" in text
    code, text, said = run(f"data clean {files} {options} -o {shlex.quote(name + 'out')}", "")
    assert (code, text) == (2, "")
    assert said.endswith(": not UTF-8, which names of files have to be here\n")
    assert said.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == [os.path.basename(name) + side for side in ("de", "en")]  # noqa: PTH119, PTH208
