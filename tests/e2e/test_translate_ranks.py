"""`torchrun ... -m nmt translate`: the bytes of one process, also where a rank is killed, and what is refused."""

import os
import re
import signal
from pathlib import Path

import pytest
from conftest import Run
from launcher import end_of, launch, workers
from processes import wait_until

from nmt.tasks.grammar import generate

RANKS = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}
OPTIONS = ["--device", "cpu", "--format", "tsv", "--beam-size", "1"]


def test_two_ranks_write_what_one_process_writes_though_one_is_killed(
    nmt_here: Run, tiny_model: Path, tmp_path: Path
) -> None:
    source, one, two = (tmp_path / name for name in ("in.en", "one.tsv.gz", "two.tsv.gz"))
    lines = [line if number % 100 else "" for number, (line, _) in enumerate(generate("test", 700, 3))]
    source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    expected = nmt_here("translate", tiny_model, "-i", source, "-o", one, *OPTIONS)
    assert expected.code == 0, expected.err

    process = launch(2, "translate", tiny_model, "-i", source, "-o", two, *OPTIONS, restarts=1)
    wait_until(lambda: bool(list(tmp_path.glob(".two.tsv.gz.parts/*/*.part"))))
    os.kill(workers(process)[1], signal.SIGKILL)
    said = end_of(process)
    assert said.code == 0, said.err
    found = [line for line in said.messages if line.startswith(("nmt: warning: ", "translate: "))]
    assert re.fullmatch("translate: going on, parts done: [1-4]", found[0])
    assert found[1:] == expected.messages
    assert two.read_bytes() == one.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.en", "one.tsv.gz", "two.tsv.gz"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "several ranks share files alone (name them: -i FILE -o FILE)"),
        (["-i", "x"], "several ranks share files alone (name them: -i FILE -o FILE)"),
        (["-o", "x"], "several ranks share files alone (name them: -i FILE -o FILE)"),
        (["-i", "/dev/stdin", "-o", "x"], "several ranks share files alone (name them: -i FILE -o FILE)"),
        (["-i", "x", "-o", "/dev/stdout"], "several ranks share files alone (name them: -i FILE -o FILE)"),
        (
            ["-i", "x", "-o", "y", "--devices", "2"],
            "--devices and torchrun exclude each other (start more ranks: --nproc-per-node)",
        ),
    ],
)
def test_what_ranks_cannot_share_is_refused_in_one_line(
    nmt_here: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    said = nmt_here("translate", tmp_path / "model", "--device", "cpu", *arguments, env=RANKS)
    assert said == (2, "", f"nmt: {message}\n")


def test_one_rank_is_a_process_like_any_other(nmt_here: Run, tiny_model: Path) -> None:
    said = nmt_here("translate", tiny_model, stdin=b"\n", env={**RANKS, "WORLD_SIZE": "1"})
    assert (said.code, said.out) == (0, "\n")
