"""Algorithmic tasks as a user types them: synthesized to files, and as corpora of a recipe."""

from pathlib import Path

import pytest
from conftest import Run, tree

from nmt.config.tasks import TaskConfig
from nmt.data.cleaning.corpus_text import read_text
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.files import read_json
from nmt.tasks.algorithmic import generate

RECIPE = """
name = "reverse"

[languages]
source = "src"
target = "tgt"

[data.train]
task = "reverse"
max_length = 6
pairs = 300

[data.dev]
task = "reverse"
max_length = 6
pairs = 40

[data.test.long]
task = "reverse"
min_length = 7
max_length = 9
pairs = 20
seed = 3

[tokenizer]
model_type = "word"
byte_fallback = false
hard_vocab_limit = false
"""


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_the_examples_of_a_task_are_written_line_by_line(nmt_here: Run, tmp_path: Path, split: str) -> None:
    words = ("--task", "reverse", "--split", split, "--pairs", "50", "--min-length", "9", "--symbols", "5")
    for folder in ("a", "b"):
        said = nmt_here("data", "synthesize", tmp_path / folder, *words)
        names = f"{tmp_path / folder / split}.src and {tmp_path / folder / split}.tgt"
        assert said == (0, "", f"wrote 50 pairs to {names}\n")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    sides = [(tmp_path / "a" / f"{split}.{side}").read_text(encoding="utf-8").split("\n") for side in ("src", "tgt")]
    config = TaskConfig(task="reverse", min_length=9, symbols=5)
    assert list(zip(*sides, strict=True)) == [*generate(config, split, 50, 1), ("", "")]  # type: ignore[arg-type]
    assert nmt_here("data", "synthesize", tmp_path / "c", *words, "--seed", "2").code == 0
    assert not tree(tmp_path / "c").items() & tree(tmp_path / "a").items()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--max-length 5", "--max-length is a parameter of tasks (add --task)"),
        ("--task copy --split unseen", "--split unseen: a task has the splits train, dev and test"),
        ("--task copy --min-length 50", "Invalid value: --min-length = 50 is more than --max-length = 40"),
        (
            "--task copy-unique --max-length 50 --symbols 20",
            'Invalid value: --symbols = 20: --task = "copy-unique" with --max-length = 50 needs 50 different symbols',
        ),
        (
            "--task parity --symbols 2",
            'Invalid value: --symbols = 2: --task = "parity" has symbols of its own: leave it out',
        ),
        ("--task copy --max-length 0", "Invalid value for '--max-length': must be greater than or equal to 1, not 0"),
    ],
)
def test_what_no_task_has_is_one_line_and_nothing_is_written(
    nmt_here: Run, tmp_path: Path, words: str, message: str
) -> None:
    assert nmt_here("data", "synthesize", tmp_path / "new", *words.split()) == (2, "", f"nmt: {message}\n")
    assert not (tmp_path / "new").exists()


def test_tasks_are_corpora_of_a_recipe_with_a_piece_for_each_symbol(nmt_here: Run, tmp_path: Path) -> None:
    (tmp_path / "reverse.toml").write_text(RECIPE, encoding="utf-8")
    said = nmt_here("prepare", "reverse.toml", cwd=tmp_path)
    assert said.code == 0
    run = tmp_path / "runs" / "reverse"
    train = list(generate(TaskConfig(task="reverse", max_length=6), "train", 300))
    dev = list(generate(TaskConfig(task="reverse", max_length=6), "dev", 40))
    test = list(generate(TaskConfig(task="reverse", min_length=7, max_length=9), "test", 20, seed=3))
    assert "dropped: none\n" in said.err
    assert {*train} & {*dev}
    for split, pairs in (("train", train), ("dev", dev), ("test.long", test)):
        assert list(zip(*read_text(run / "prepared" / "text", split), strict=True)) == pairs
    tokenizer = Tokenizer.load(run / "tokenizer")
    assert tokenizer.source_size == 4 + 10
    assert "tokenizer: joint word of at most 8,000 pieces" in said.err
    symbols = sum(len(side.split()) for pair in train for side in pair)
    assert f"{symbols // 2:,} source and {symbols // 2:,} target pieces" in said.err
    assert [*read_json(run / "lock.json")["data"]["test.long"]] == ["task:reverse"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("min_length = 7", "min_length = 10", "data.test.long: min_length = 10 is more than max_length = 9"),
        (
            "max_length = 6\npairs = 300",
            "max_length = 6\nmin_length = 7\npairs = 300",
            "data.train: min_length = 7 is more than max_length = 6",
        ),
        ("pairs = 40\n", "", "data.dev: task needs pairs, the number of sentence pairs to generate"),
        (
            'task = "reverse"\nmin_length = 7',
            'task = "sort"\nsymbols = 8',
            'data.test.long: symbols = 8: task = "sort" with max_length = 9 needs 9 different symbols',
        ),
        (
            'task = "reverse"\nmin_length = 7',
            'task = "revers"\nmin_length = 7',
            "data.test.long.task = 'revers': must be 'copy', 'copy-unique', 'reverse', 'sort', 'count', "
            "'addition', 'addition-reversed', 'addition-hinted', 'addition-hinted-reversed', 'parity', "
            "'parity-scratchpad' or 'mode'",
        ),
        ("byte_fallback = false\n", "", "tokenizer: byte_fallback is not for model_type = \"word\", whose pieces are "
         "whole words: set it to false"),
    ],
)  # fmt: skip
def test_a_recipe_that_no_task_fits_is_one_line(
    nmt_here: Run, tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in RECIPE
    recipe = tmp_path / "reverse.toml"
    recipe.write_text(RECIPE.replace(before, after), encoding="utf-8")
    assert nmt_here("prepare", recipe, "--run-dir", tmp_path / "run") == (2, "", f"nmt: {recipe}: {message}\n")
    assert not (tmp_path / "run").exists()
