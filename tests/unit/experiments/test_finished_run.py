"""A run that has been scored, read again."""

import shutil
from pathlib import Path

import pytest
from conftest import TinyRun

from nmt.errors import ArtifactError
from nmt.experiments.finished_run import FinishedRun
from nmt.files import read_json, write_json
from nmt.pipeline.lock import read_lock


@pytest.fixture
def folder(tiny: TinyRun, tmp_path: Path) -> Path:
    return tiny.copy(tmp_path / "run")


def test_a_finished_run_has_its_recipe_scores_lines_and_log(folder: Path) -> None:
    run = FinishedRun.open(folder)
    assert (run.name, run.recipe.name, run.tests) == ("run", "tiny", ["test"])
    recorded = read_json(folder / "evaluation" / "scores.json")
    assert {
        test: {name: score.model_dump() for name, score in scores.items()} for test, scores in run.scores.items()
    } == (recorded)
    lines = run.lines("test")
    assert len(lines.sources) == len(lines.references) == len(lines.hypotheses) == 20
    assert "\n".join(lines.hypotheses) + "\n" == (folder / "evaluation" / "test.de").read_text(encoding="utf-8")
    assert [event["step"] for event in run.log if event["kind"] == "dev"] == [100, 200]


def test_the_log_is_read_without_lines_that_are_not_whole(folder: Path) -> None:
    (folder / "log.jsonl").write_text('{"kind": "dev", "step": 1}\n[]\n{"kind": "x"}\n{"kind": "dev", "st')
    assert FinishedRun.open(folder).log == [{"kind": "dev", "step": 1}]
    (folder / "log.jsonl").write_text('{"kind": "dev", "step": 1, "loss": NaN}\n')  # as an older nmt wrote it
    assert FinishedRun.open(folder).log == [{"kind": "dev", "step": 1, "loss": None}]
    (folder / "log.jsonl").unlink()
    assert FinishedRun.open(folder).log == []


def test_results_are_those_of_the_lock_or_else_of_the_manifests(folder: Path) -> None:
    results = FinishedRun.open(folder).results
    assert results == read_lock(folder / "lock.json").results
    write_json(folder / "lock.json", {**read_json(folder / "lock.json"), "results": {}})
    manifest = folder / "model" / "manifest.json"
    record = read_json(manifest)
    write_json(manifest, {**record, "files": {**record["files"], "lock.json": "of an older nmt"}})
    assert FinishedRun.open(folder).results == results
    (folder / "tokenizer" / "manifest.json").unlink()
    assert FinishedRun.open(folder).results == {name: results[name] for name in results if name != "tokenizer"}


def test_what_is_no_scored_run_is_refused_in_a_line(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere: not a run folder"):
        FinishedRun.open(folder / "nowhere")
    with pytest.raises(ArtifactError, match="model: a bundle, not a run folder"):
        FinishedRun.open(folder / "model")
    scores = folder / "evaluation" / "scores.json"
    write_json(scores, {"test": {"bleu": {"score": 1.0, "signature": ""}}})
    with pytest.raises(ArtifactError, match=r"scores\.json: damaged: test\.bleu\.signature"):
        FinishedRun.open(folder)
    for text in ("[]", "{}", '{"test": {'):
        scores.write_text(text, encoding="utf-8")
        with pytest.raises(ArtifactError, match=r"scores\.json: damaged: no scores of a test set"):
            FinishedRun.open(folder)
    shutil.rmtree(folder / "evaluation")
    with pytest.raises(ArtifactError, match="run: a run without scores"):
        FinishedRun.open(folder)
    write_json(folder / "lock.json", {**read_json(folder / "lock.json"), "format": 9})
    with pytest.raises(ArtifactError, match="a lock of format 9"):
        FinishedRun.open(folder)


def test_lines_that_are_missing_or_of_another_number_are_refused(folder: Path) -> None:
    run, path = FinishedRun.open(folder), folder / "evaluation" / "test.de"
    path.write_text("nur eine\n", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"test\.de: 1 line, but test has 20"):
        run.lines("test")
    path.write_bytes(b"eins\nzwei \xff\n")
    with pytest.raises(ArtifactError, match=r"test\.de, line 2: not UTF-8"):
        run.lines("test")
    path.unlink()
    with pytest.raises(ArtifactError, match=r"test\.de: missing, though the run has scores of test"):
        run.lines("test")
