"""Constituency parsing as translation: corpora of bracketed trees."""

import gzip
from itertools import product
from pathlib import Path

import pytest
from conftest import TINY, Run

from nmt.data.cleaning.corpus_text import read_text

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
    """Make a folder with a recipe and the files of trees that it reads."""
    lines = [f"{line}\n" for line in trees()]
    (tmp_path / "train.ptb.gz").write_bytes(gzip.compress("".join(lines[:-8]).encode()))
    (tmp_path / "test.ptb").write_text("".join(lines[-8:]), encoding="utf-8")
    recipe = TINY.replace('builtin = "train"\npairs = 800', 'trees = "train.ptb"\n')
    recipe = recipe.replace('builtin = "test"\npairs = 20', 'trees = "test.ptb"')
    recipe = recipe.replace('builtin = "dev"\npairs = 10', 'trees = "test.ptb"').replace(
        "vocab_size = 400", 'vocab_size = 330\ntrees = true\nnormalization = "nfc"'
    )
    (tmp_path / "tiny.toml").write_text(recipe, encoding="utf-8")
    return tmp_path


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
