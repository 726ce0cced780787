"""Runs compared: why they differ, whether it matters, and what cannot be compared."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run, TinyRun
from runs import copy_scored

from nmt.files import read_json, write_json

Copy = Callable[..., Path]


@pytest.fixture
def copy(tiny: TinyRun, tmp_path: Path) -> Copy:
    return lambda name, **changes: copy_scored(tiny.folder, tmp_path / name, **changes)


def test_seeds_and_a_setting_are_compared_in_text_json_and_latex(nmt_here: Run, copy: Copy) -> None:
    runs = [copy("s1"), copy("s2", recipe__training__seed=2), copy("deep", recipe__model__encoder_layers=6)]
    same = json.loads(nmt_here("compare", *runs, "--json", "--no-significance", "--lines", "1").out)
    assert same["scores"]["lines"]["test"]["lines"] == []  # all translations are the same
    hypotheses = runs[2] / "evaluation" / "test.de"
    hypotheses.write_text(hypotheses.read_text(encoding="utf-8").replace(".", "!"), encoding="utf-8")
    said = nmt_here("compare", *runs, "--lines", "2")
    assert said.code == 0
    assert all(line.startswith("nmt: warning: test: ") for line in said.messages)
    rows = [" ".join(line.split()) for line in said.lines]
    for row in (
        "training.seed 1 2 1",
        "model.encoder_layers 1 1 6",
        "The same in all runs: data, initial model, environment",
        "Results: the same bits in all stages: text, tokenizer, prepare, train, bundle, evaluate",
        "s1: s1, s2 (seeds 1, 2)",
        "deep: deep (seed 1)",
        "s2 training.seed same bits +0.00 +0.00",
    ):
        assert row in rows
    assert [row.startswith("line ") for row in rows].count(True) == 2
    assert rows[-1].startswith("deep model.encoder_layers same bits ")
    recorded = read_json(runs[0] / "evaluation" / "scores.json")["test"]
    assert f"BLEU {recorded['bleu']['signature']}" in rows
    found = json.loads(nmt_here("compare", *runs, "--json", "--no-significance").out)
    assert found["runs"] == ["s1", "s2", "deep"]
    assert found["reasons"]["deep"]["inputs"] == ["recipe.model.encoder_layers"]
    assert found["inputs"][1]["values"] == [1, 2, 1]
    assert found["scores"]["tests"]["test"]["s1"]["bleu"]["score"] == recorded["bleu"]["score"]
    assert [setting["runs"] for setting in found["scores"]["settings"]] == [["s1", "s2"], ["deep"]]
    assert len(found["scores"]["lines"]["test"]["lines"]) == 3
    latex = nmt_here("compare", *runs, "--latex", "--no-significance", "--metrics", "chrf").lines
    assert latex[:2] == ["% test", f"% chrF: {recorded['chrf']['signature']}"]
    assert latex[-1] == r"\end{tabular}"
    files = [runs[0].with_name(f"{run.name}.txt") for run in runs]
    for value, file in enumerate(files):
        file.write_text(f"{value}\n" * 20)
    scored = nmt_here("compare", *runs, "--json", "--no-significance", "--scores", *(f"m:1={file}" for file in files))
    tests = json.loads(scored.out)["scores"]["tests"]["test"]
    assert [scores["m:1"] for scores in tests.values()] == [{"score": value, "signature": "m:1"} for value in (0, 1, 2)]


def test_what_cannot_be_compared_is_one_line(nmt_here: Run, copy: Copy, tmp_path: Path) -> None:
    first, other, unscored, newer = copy("a"), copy("b"), copy("unscored"), copy("newer", format=9)
    scores = other / "evaluation" / "scores.json"
    write_json(scores, {"other": read_json(scores)["test"]})
    shutil.rmtree(unscored / "evaluation")
    for arguments, code, message in (
        ([first], 2, "one run alone cannot be compared"),
        ([first, first], 2, f"{first}: the same run twice"),
        ([first, tmp_path / "nosuch"], 4, f"{tmp_path / 'nosuch'}: not a run folder"),
        ([first, unscored], 4, f"{unscored}: a run without scores"),
        ([first, newer], 4, f"{newer / 'lock.json'}: a lock of format 9"),
        ([first, other], 2, "runs on different tests: a has test, b other"),
        ([first, copy("c"), "--test", "x"], 2, "--test x: not all runs were scored on it"),
        ([first, copy("d"), "--scores", "m:1=x"], 3, "x: no such file"),
        ([first, other, "--json", "--latex"], 2, "--json and --latex are two ways of printing"),
        ([first, other, "--metrics", "x"], 2, "Invalid value for '--metrics': 'x' is not one of 'bracket-f1', "),
        ([first, other, "--lines", "-1"], 2, "Invalid value for '--lines': must be greater than or equal to 0"),
    ):
        said = nmt_here("compare", *arguments)
        assert (said.code, said.out, len(said.messages)) == (code, "", 1), said.err
        assert said.err.startswith(f"nmt: {message}")
