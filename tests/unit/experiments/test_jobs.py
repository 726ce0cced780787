"""Commands side by side: as many at once as there are places, their logs, and how they end."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from nmt.experiments import jobs
from nmt.experiments.jobs import Job, run_jobs


def test_each_job_ends_with_its_code_and_its_messages_are_in_its_log(tmp_path: Path) -> None:
    three = [
        Job("version", ("--version",), tmp_path / "logs" / "version"),
        Job("typo", ("recipe", "shwo"), tmp_path / "logs" / "typo"),
        Job("again", ("--version",), tmp_path / "logs" / "version"),
    ]
    ended = {each.job.name: each for each in run_jobs(three, [{"OMP_NUM_THREADS": "1"}] * 2)}
    assert {name: each.code for name, each in ended.items()} == {"version": 0, "typo": 2, "again": 0}
    assert ended["version"].last_line.startswith("nmt 0.")
    assert ended["typo"].last_line.startswith("nmt: No such command 'shwo'")
    assert (tmp_path / "logs" / "version").read_text(encoding="utf-8").count("nmt 0.") == 2
    assert all(0 < each.seconds < 60 for each in ended.values())


def test_no_more_run_at_once_than_there_are_places_and_each_has_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[tuple[str, str]] = []

    def start(arguments: Sequence[str], log: BinaryIO, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        started.append((arguments[0], environment["PLACE"]))
        return subprocess.Popen(["sleep", arguments[1]], stdout=log)

    monkeypatch.setattr(jobs, "start_command", start)
    monkeypatch.setattr(jobs, "PAUSE", 0.01)
    seconds = {"long": "30", "a": "0.01", "b": "0.01", "never": "30"}
    running = run_jobs(
        [Job(name, (name, sleep), tmp_path / name) for name, sleep in seconds.items()], [{"PLACE": "0"}, {"PLACE": "1"}]
    )
    assert [next(running).job.name, next(running).job.name] == ["a", "b"]
    assert started == [("long", "0"), ("a", "1"), ("b", "1")]
    began = time.monotonic()
    del running  # as where the caller is interrupted
    assert time.monotonic() - began < 10
    assert len(started) == 3
