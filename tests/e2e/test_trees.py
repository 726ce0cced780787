"""Constituency parsing as translation: corpora of bracketed trees."""

import gzip
import json
import re
import shutil
from itertools import product
from pathlib import Path

import pytest
from conftest import TINY, Run

from nmt.data.cleaning.corpus_text import read_text
from nmt.files import read_json

NOUNS = ["cat", "dog", "hen", "cow", "man", "girl"]
VERBS = ["saw", "heard", "fed"]


def trees() -> list[str]:
    """Return trees with function tags, and a trace in every third."""
    lines = []
    for number, (subject, verb, object_) in enumerate(product(NOUNS, VERBS, NOUNS)):
        trace = " (NP (-NONE- *))" if number % 3 == 0 else ""
        noun_phrases = f"(NP-SBJ (DT the) (NN {subject})) (VP (VBD {verb}) (NP (DT a) (NN {object_})){trace})"
        lines.append(f"(ROOT (S {noun_phrases} (. .)))")
    return lines


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path)


def make_home(folder: Path) -> Path:
    """Write a recipe and the files of trees that it reads."""
    lines = [f"{line}\n" for line in trees()]
    (folder / "train.ptb.gz").write_bytes(gzip.compress("".join(lines[:-8]).encode()))
    (folder / "test.ptb").write_text("".join(lines[-8:]), encoding="utf-8")
    recipe = TINY.replace('builtin = "train"\npairs = 800', 'trees = "train.ptb"\n')
    recipe = recipe.replace('builtin = "test"\npairs = 20', 'trees = "test.ptb"')
    recipe = recipe.replace('builtin = "dev"\npairs = 10', 'trees = "test.ptb"').replace(
        "vocab_size = 400", 'vocab_size = 330\ntrees = true\nnormalization = "nfc"'
    )
    (folder / "tiny.toml").write_text(f'{recipe}best_metric = "strict-f1"\n', encoding="utf-8")
    return folder


def test_the_words_of_trees_are_the_source_and_what_was_taken_off_is_counted(nmt_here: Run, home: Path) -> None:
    said = nmt_here("prepare", "tiny.toml", cwd=home)
    assert said.code == 0
    assert "text: found in train: function tags 100, empty elements 34, outermost brackets 100" in said.err
    assert "pairs of train 100, dev 8, test test 8" in said.err
    sources, targets = read_text(home / "runs" / "tiny" / "prepared" / "text", "test.test")
    assert sources[0] == "the girl heard a man ."
    assert targets[0] == "(S (NP (DT the) (NN girl)) (VP (VBD heard) (NP (DT a) (NN man))) (. .))"


def test_a_tree_that_does_not_close_is_named_by_file_and_line(nmt_here: Run, home: Path) -> None:
    lines = trees()[:5]
    lines[2] = lines[2][:-1]
    (home / "train.ptb.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    said = nmt_here("run", "tiny.toml", cwd=home)
    assert said.code == 3
    assert said.messages[-1].startswith(
        "nmt: train.ptb.gz:3: no tree: it does not close: 1 open at its end, the last is '(ROOT' at character 1 ("
    )
    assert not list((home / "runs" / "tiny").rglob("manifest.json"))


@pytest.fixture(scope="module")
def run(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on trees, as text."""
    folder = make_home(tmp_path_factory.mktemp("trees"))
    said = nmt_here("run", "tiny.toml", cwd=folder)
    assert said.code == 0
    assert "strict F1" in said.err
    assert "bracket F1" in said.out
    return folder / "runs" / "tiny"


def test_a_run_scores_brackets_before_bleu(run: Path) -> None:
    scores = read_json(run / "evaluation" / "scores.json")["test"]
    assert list(scores) == ["bracket-f1", "strict-f1", "bleu", "chrf"]
    figures = read_json(run / "evaluation" / "brackets.json")["test"]
    assert (figures["f1"], figures["lines"]) == (scores["bracket-f1"]["score"], 8)
    assert figures["strict_f1"] == scores["strict-f1"]["score"]
    assert read_json(run / "lock.json")["scores"]["test"] == scores
    assert "| test | bracket-f1 |" in (run / "model" / "README.md").read_text(encoding="utf-8")
    dev = [event for event in map(json.loads, (run / "log.jsonl").open(encoding="utf-8")) if event.get("kind") == "dev"]
    assert [event["step"] for event in dev if "strict-f1" in event] == [100, 200]


def test_trees_have_no_numbers_and_tags_to_check(run: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", run / "model", "--check", "--device", "cpu", stdin=b"the cat\n")
    assert (said.code, said.out) == (2, "")
    assert said.messages == ["nmt: the checks are for text, and these translations are trees"]


def test_files_of_trees_are_scored_as_the_run_scored_them(run: Path, nmt_here: Run, tmp_path: Path) -> None:
    hypotheses, reference = run / "evaluation" / "test.de", tmp_path / "ref.ptb"
    _, targets = read_text(run / "prepared" / "text", "test.test")
    reference.write_text("".join(f"{line}\n" for line in targets), encoding="utf-8")
    said = nmt_here("evaluate", "--hypotheses", hypotheses, "--reference", reference, "--json", "--no-significance")
    assert said.code == 0
    found = json.loads(said.out)
    assert found.pop("brackets") == read_json(run / "evaluation" / "brackets.json")["test"]
    assert found == read_json(run / "evaluation" / "scores.json")["test"]
    said = nmt_here("evaluate", "--hypotheses", hypotheses, "--reference", reference, "--metrics", "bracket-f1")
    assert said.code == 0
    assert re.search(r"bracket F1 +\d+\.\d\d +\[", said.out)
    assert re.search(r"two or less crossing +\d+\.\d\d", said.out)
    assert "BLEU" not in said.out


def test_files_of_trees_with_roots_and_function_tags_have_the_same_brackets(nmt_here: Run, home: Path) -> None:
    said = nmt_here(
        "evaluate", "--hypotheses", "test.ptb", "--reference", "test.ptb", "--json", "--no-significance", cwd=home
    )
    figures = json.loads(said.out)["brackets"]
    assert (figures["f1"], figures["strict_f1"], figures["scored"], figures["complete_match"]) == (100, 100, 8, 100)


def test_text_has_no_brackets_to_score(nmt_here: Run, home: Path) -> None:
    (home / "ref").write_text("(S (VB go))\ngo\n", encoding="utf-8")
    said = nmt_here(
        "evaluate", "--hypotheses", "ref", "--reference", "ref", "--metrics", "strict-f1", "--no-significance", cwd=home
    )
    assert said.code == 3
    assert said.messages == ["nmt: line 2 of the reference is no tree: 'go' is in no bracket, at character 1"]


def test_runs_on_trees_are_compared_and_reported_by_brackets(run: Path, nmt_here: Run, tmp_path: Path) -> None:
    other = shutil.copytree(run, tmp_path / "other")
    compared = nmt_here("compare", run, other, "--json", "--no-significance")
    assert compared.code == 0
    assert '"bracket-f1"' in compared.out
    reported = nmt_here("report", run, "--json")
    assert reported.code == 0
    scores = json.loads(reported.out)["runs"][0]["tests"]["test"]["scores"]
    assert scores["strict-f1"]["interval"]
    reproduced = nmt_here(
        "reproduce", run.parents[1] / "tiny.toml", "--locked", run / "lock.json", "--from", run / "model"
    )
    assert "bracket F1" in reproduced.out
