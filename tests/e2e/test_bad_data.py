"""Data that cannot be used: one line that names file, line and counts, and nothing half-made."""

from pathlib import Path

import pytest
import torch
from conftest import TINY, Result, Run, tree

from nmt.tasks.grammar import generate

FILES = TINY.replace('builtin = "train"\npairs = 800', 'source = "train.en"\ntarget = "train.de"')


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a folder with a recipe and the two files that it trains on."""
    pairs = list(generate("train", 300, 1))
    for side, name in enumerate(("train.en", "train.de")):
        (tmp_path / name).write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    (tmp_path / "tiny.toml").write_text(FILES, encoding="utf-8")
    return tmp_path


def failed(nmt: Run, home: Path, *options: str) -> Result:
    """Run the recipe; it has to end in one line, and to leave no stage that looks done."""
    said = nmt("run", "tiny.toml", *options, cwd=home)
    assert said.code == 3
    assert said.out == ""
    assert [line for line in said.messages if line.startswith("nmt: ")] == said.messages[-1:]
    assert not list(home.rglob("*.partial"))
    return said


def finished(home: Path) -> list[str]:
    """Return the folders of the stages that are done."""
    run = home / "runs" / "tiny"
    return sorted(str(path.parent.relative_to(run)) for path in run.rglob("manifest.json"))


def test_the_data_of_these_tests_is_good_as_it_is(nmt_here: Run, home: Path) -> None:
    assert nmt_here("prepare", "tiny.toml", cwd=home).code == 0
    assert finished(home) == ["prepared/ids", "prepared/text", "tokenizer"]


def test_sides_of_unequal_length_are_named_with_both_counts(nmt_here: Run, home: Path) -> None:
    with (home / "train.de").open("a") as file:
        file.write("Eine Zeile zu viel.\n")
    assert failed(nmt_here, home).messages[-1] == (
        "nmt: train.en has 300 lines but train.de has 301 (the two files of a corpus are translations line by line)"
    )
    assert finished(home) == []
    assert not (home / "runs" / "tiny" / "prepared" / "text").exists()


def test_a_missing_file_is_named(nmt_here: Run, home: Path) -> None:
    (home / "train.de").unlink()
    assert failed(nmt_here, home).messages[-1] == (
        "nmt: train.de: no such file (nor train.de.gz; names in a recipe start at --data-dir, "
        "or else at the recipe's folder)"
    )
    assert finished(home) == []


def test_bytes_that_are_not_utf8_are_named_by_file_and_line(nmt_here: Run, home: Path) -> None:
    lines = (home / "train.de").read_bytes().split(b"\n")
    lines[122] = "für".encode("latin-1")
    (home / "train.de").write_bytes(b"\n".join(lines))
    assert failed(nmt_here, home).messages[-1] == (
        "nmt: train.de:123: not UTF-8: byte 0xfc at position 2 "
        "(find out the encoding and convert it: iconv -f LATIN1 -t UTF-8)"
    )
    assert finished(home) == []


def test_an_empty_corpus_is_named(nmt_here: Run, home: Path) -> None:
    for name in ("train.en", "train.de"):
        (home / name).write_bytes(b"")
    assert failed(nmt_here, home).messages[-1] == "nmt: train.en, train.de: no pairs in it"
    assert finished(home) == []


def test_a_corpus_of_which_cleaning_leaves_nothing_says_what_dropped_it(nmt_here: Run, home: Path) -> None:
    for name in ("train.en", "train.de"):
        (home / name).write_text("\n" * 7 + "same\n" * 3, encoding="utf-8")
    assert failed(nmt_here, home).messages[-1] == (
        "nmt: train.en, train.de: no training pair is left of 10; dropped: empty 7, max_characters 0, max_ratio 0, "
        "copies 3, urls 0, leaked 0, leaked_near 0, duplicates 0 (loosen the filters in [cleaning])"
    )
    assert finished(home) == []


def test_a_vocabulary_larger_than_the_text_allows_is_told_its_limit(nmt_here: Run, home: Path) -> None:
    said = failed(nmt_here, home, "--set", "tokenizer.vocab_size=30000")
    start, _, hint = said.messages[-1].partition(" (")
    words = start.split()
    assert start.startswith("nmt: tokenizer.vocab_size = 30000 is more than the text of both sides allows, ")
    assert hint == f"lower tokenizer.vocab_size to {words[-2]}, or set tokenizer.hard_vocab_limit = false)"
    assert finished(home) == ["prepared/text"]
    assert not (home / "runs" / "tiny" / "tokenizer").exists()
    again = nmt_here("tokenizer", "train", "tiny.toml", "--set", f"tokenizer.vocab_size={words[-2]}", cwd=home)
    assert again.code == 0, "the limit that was told does not hold"


def test_bad_data_leaves_what_an_earlier_run_made(nmt_here: Run, home: Path) -> None:
    assert nmt_here("prepare", "tiny.toml", cwd=home).code == 0
    text = home / "runs" / "tiny" / "prepared" / "text" / "train" / "00000.arrow"
    before = text.read_bytes()
    with (home / "train.en").open("ab") as file:
        file.write(b"\xff\n")
    failed(nmt_here, home)
    assert text.read_bytes() == before
    assert finished(home) == ["prepared/ids", "prepared/text", "tokenizer"]


def test_a_damaged_gzip_is_named(nmt_here: Run, home: Path) -> None:
    (home / "train.en").rename(home / "train.en.gz")
    assert failed(nmt_here, home).messages[-1].startswith("nmt: train.en.gz: not a gzip file")
    assert finished(home) == []


# What only the training finds out.


@pytest.fixture
def prepared(nmt_here: Run, home: Path) -> Path:
    """Prepare the data too."""
    assert nmt_here("prepare", "tiny.toml", cwd=home).code == 0
    return home


def refused(said: Result, code: int) -> str:
    """Return the one line in which a training is refused."""
    assert said.code == code
    assert [line for line in said.messages if line.startswith("nmt: ")] == said.messages[-1:]
    return said.messages[-1]


def test_a_step_smaller_than_the_longest_sentence_is_told_its_length(nmt_here: Run, prepared: Path) -> None:
    said = nmt_here("train", "tiny.toml", "--set", "batching.tokens_per_step=20", cwd=prepared)
    start, _, hint = refused(said, 2).partition(" pieces) (")
    assert start.startswith("nmt: batching.tokens_per_step = 20 is smaller than the longest training sentence (")
    assert hint == "raise it, or lower cleaning.max_pieces)"
    longest = start.rpartition("(")[2]
    enough = ["--set", f"batching.tokens_per_step={longest}", "--set", "training.max_steps=1"]
    assert nmt_here("train", "tiny.toml", *enough, cwd=prepared).code == 0, "the length that was told is not enough"


def test_a_checkpoint_of_another_recipe_is_refused_by_the_keys_that_differ(nmt_here: Run, prepared: Path) -> None:
    one = ["--set", "training.max_steps=1"]
    assert nmt_here("train", "tiny.toml", *one, cwd=prepared).code == 0
    before = tree(prepared / "runs")
    other = ["--set", "model.ffn=96", "--set", "optimizer.warmup_steps=5"]
    assert refused(nmt_here("train", "tiny.toml", *one, *other, cwd=prepared), 4) == (
        "nmt: runs/tiny/checkpoints/step-00000001: a checkpoint of another recipe: it differs in model.ffn, "
        "optimizer.warmup_steps (take another --run-dir, or delete the folder checkpoints to train anew)"
    )
    assert tree(prepared / "runs") == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_one_line(nmt_here: Run, prepared: Path) -> None:
    said = nmt_here("train", "tiny.toml", "--set", "training.device=cuda", cwd=prepared)
    assert refused(said, 2) == "nmt: no GPU that torch can use on this machine (take device cpu or auto)"


def test_without_a_compiler_the_layers_run_as_they_are(
    nmt_here: Run, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.devices.compiler_works", lambda _: False)
    options = ["--set", "training.compile=true", "--set", "training.max_steps=1"]
    said = nmt_here("train", "tiny.toml", *options, cwd=prepared)
    assert said.code == 0
    line = "nmt: warning: training.compile: no compiler that works on this machine; the layers run as they are"
    assert said.messages.count(line) == 1
