"""Studies run: cells made and continued, tables, and folders of other fields."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import BinaryIO

import pytest
from conftest import ROOT, tree
from toy_study import Toy, ToyConfig

from nmt import runtime
from nmt.errors import ArtifactError, FailedRunsError, RecipeError, UsageError
from nmt.experiments import jobs
from nmt.files import read_json, write_json
from nmt.processes import inherited
from nmt.studies.runner import StudyRun, make_cell, run_study

WITH_TOY = """
import toy_study
from nmt.studies import catalogue
catalogue.STUDIES = (toy_study.Toy(),)
from nmt.__main__ import main
main()
"""


@pytest.fixture(autouse=True)
def cells_know_the_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(arguments: Sequence[str], log: BinaryIO, environment: Mapping[str, str]) -> Popen[bytes]:
        path = {"PYTHONPATH": f"{ROOT / 'tests'}:{inherited({})['PYTHONPATH']}"}
        program = [sys.executable, "-c", WITH_TOY, *arguments]
        return Popen(program, stdin=PIPE, stdout=log, stderr=log, env={**inherited(environment), **path})

    monkeypatch.setattr(jobs, "start_command", start)


def toy(folder: Path, **fields: object) -> StudyRun:
    return StudyRun(Toy(), ToyConfig.model_validate(fields), folder)


def run(study: StudyRun, *names: str, table_only: bool = False, as_json: bool = False) -> None:
    run_study(study, names, 2, table_only=table_only, as_json=as_json)


def made(folder: Path) -> dict[str, bytes]:
    """Return what the study made, without times and messages."""
    return {
        name: content
        for name, content in tree(folder).items()
        if not name.startswith("logs") and Path(name).name not in {"time.json", "times.json", "lock.json"}
    }


def test_a_study_that_was_killed_goes_on_and_has_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second cell is killed within its work, the others are made; then it goes on where it was."""
    monkeypatch.setenv("TOY_DIES_AT", "5:4")
    with pytest.raises(FailedRunsError) as caught:
        run(toy(tmp_path / "killed"))
    failed = "limit=5 failed with exit code -9"
    assert str(caught.value) == f"toy: 1 of 3 cells failed: {failed} (run the study again for these)"
    assert caught.value.exit_code == 7
    said = capsys.readouterr()
    assert said.out == "numbers  says  sum\n3        6     7\n8        36    37\n\nGauss says n(n + 1)/2.\n"
    assert "study: 3 cells, 0 finished; 2 at once, one thread each; messages in" in said.err
    assert "limit=5: failed with exit code -9 (" in said.err
    assert "nmt: warning: 1 of 3 cells are not finished, and not in the table" in said.err
    state = read_json(tmp_path / "killed" / "cells" / "limit=5" / "state.json")
    assert state == {"number": 3, "sum": 7}
    monkeypatch.delenv("TOY_DIES_AT")
    run(toy(tmp_path / "killed"))
    assert "3 cells, 2 finished" in capsys.readouterr().err
    run(toy(tmp_path / "whole"))
    assert made(tmp_path / "killed") == made(tmp_path / "whole")
    assert {"study.json", "study.md", "sums.png", "sums.svg"} <= made(tmp_path / "whole").keys()
    study = json.loads((tmp_path / "whole" / "study.json").read_text(encoding="utf-8"))
    assert study["results"] == {"limit=3": {"sum": 7}, "limit=5": {"sum": 16}, "limit=8": {"sum": 37}}
    assert study["config"] == {"seed": 1, "limits": [3, 5, 8], "word": None}
    assert study["table"][0] == {"numbers": "3", "says": "6", "sum": "7"}
    times = read_json(tmp_path / "whole" / "times.json")
    assert times["seconds"].keys() == study["results"].keys()
    assert times["sessions"][0]["machine"]["threads"] == 1
    capsys.readouterr()
    before = tree(tmp_path / "whole")
    run(toy(tmp_path / "whole"), as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == study
    assert said.err.startswith("study: all 3 cells are finished\n")
    assert tree(tmp_path / "whole") == before


def test_fields_reach_the_process_of_a_cell(tmp_path: Path) -> None:
    run(toy(tmp_path, seed=5, limits=[2, 3], word='a "b", c'))
    assert read_json(tmp_path / "cells" / "limit=3" / "result.json") == {"sum": 11}
    assert read_json(tmp_path / "lock.json")["config"] == {"seed": 5, "limits": [2, 3], "word": 'a "b", c'}


def test_one_cell_by_itself_is_made_without_a_table_and_several_with_theirs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(toy(tmp_path), "limit=5")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"limit=5: its result is {tmp_path / 'cells' / 'limit=5' / 'result.json'}\n")
    run(toy(tmp_path), "limit=5")
    assert capsys.readouterr().err == "limit=5: finished\n"
    run(toy(tmp_path), "limit=5", "limit=3")
    said = capsys.readouterr()
    assert said.out.startswith("numbers  says  sum\n3        6     7\n5        15    16\n")
    assert "study: 2 cells, 1 finished" in said.err
    assert not (tmp_path / "cells" / "limit=8").exists()


def test_a_cell_that_ends_without_a_result_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "start_command", lambda *_: Popen(["true"], stdout=DEVNULL))
    with pytest.raises(FailedRunsError, match="3 of 3 cells failed: limit=3 failed: it ended without a result; limit"):
        run(toy(tmp_path))
    with pytest.raises(UsageError, match="no cell of this study is finished"):
        run(toy(tmp_path), table_only=True)
    make_cell(toy(tmp_path), toy(tmp_path).chosen(["limit=3"])[0])
    with pytest.raises(
        FailedRunsError, match="2 of 3 cells failed: limit=5 failed: it ended without a result; limit=8"
    ):
        run(toy(tmp_path))


def test_a_folder_of_other_fields_is_refused(tmp_path: Path) -> None:
    run(toy(tmp_path), "limit=3")
    before = tree(tmp_path)
    for other, field in (({"seed": 2}, "seed = 1, not 2"), ({"limits": [3]}, "limits = [3, 5, 8], not [3]")):
        for table_only in (False, True):
            with pytest.raises(RecipeError) as caught:
                run(toy(tmp_path, **other), table_only=table_only)
            hint = "(take another --run-dir, or the values that it began with)"
            assert str(caught.value) == f"{tmp_path}: begun with {field} {hint}"
    write_json(tmp_path / "lock.json", {**read_json(tmp_path / "lock.json"), "study": "other"})
    with pytest.raises(RecipeError, match="begun with study = 'other', not 'toy'"):
        run(toy(tmp_path), "limit=3")
    assert {**tree(tmp_path), "lock.json": b""} == {**before, "lock.json": b""}


@pytest.mark.parametrize("content", ["", "{}", '{"format": 2, "study": "toy", "config": {}, "sessions": []}'])
def test_a_damaged_lock_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"lock\.json: damaged, or not the lock of a study of format 1"):
        run(toy(tmp_path), "limit=3")


def test_a_session_with_other_code_is_recorded_and_a_table_records_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(toy(tmp_path), "limit=3")
    monkeypatch.setattr(runtime, "code", lambda: {"nmt": "9", "source": "other"})
    run(toy(tmp_path), table_only=True)
    assert len(read_json(tmp_path / "lock.json")["sessions"]) == 1
    capsys.readouterr()
    run(toy(tmp_path), "limit=5")
    assert "code.nmt, code.source changed since this study began: results from here on may" in capsys.readouterr().err
    assert len(read_json(tmp_path / "lock.json")["sessions"]) == 2


def test_what_cannot_be_shown_or_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run(toy(tmp_path / "none"), table_only=True)
    assert str(caught.value) == f"{tmp_path / 'none'}: no such folder of a study (run it without --table)"
    with pytest.raises(UsageError) as caught:
        run(toy(tmp_path), "limit=4")
    assert str(caught.value) == "--only limit=4: the study has no such cell (did you mean 'limit=8'?)"
    with pytest.raises(UsageError) as caught:
        run(toy(tmp_path), "x")
    assert str(caught.value) == "--only x: the study has no such cell (one of 3 is limit=3)"
    assert not any(tmp_path.iterdir())
