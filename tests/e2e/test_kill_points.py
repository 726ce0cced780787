"""Killed at any of many points, also in the midst of a write: run again, and the end is the same, bit for bit."""

import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Run, tree

from nmt import cards, cli, files
from nmt.model import tensors
from nmt.tasks.grammar import generate
from nmt.training import checkpoint, checkpoint_writer
from nmt.training.checkpoint import Checkpoints
from nmt.training.log import LogFile
from nmt.training.updater import Updater

STEPS = 12
RECIPE = (
    TINY.replace("max_steps = 200", f"max_steps = {STEPS}")
    .replace("checkpoint_every = 50", "checkpoint_every = 3")
    .replace("validate_every = 100", "validate_every = 5")
    .replace("pairs = 10", "pairs = 3")
    .replace("dropout = 0.1", "dropout = 0.1\nattention_dropout = 0.1")
    .replace("average_checkpoints = 2", "average_checkpoints = 2\nkeep_checkpoints = 2\nema_decay = 0.9")
    + "[decoding]\nbeam_size = 1\nmax_extra_length = 0\n"
)
EVERYTHING = (
    RECIPE.replace("[data.train]", "[data.train.pairs]")
    .replace("pairs = 800", 'pairs = 200\ntranslate_with = "model"')
    .replace(
        "[data.dev]",
        """\
[data.train.mono]
monolingual = "mono.en"
language = "en"
translate_with = "model"
[data.train.mono.synthetic]
method = "sampling"
[data.guard]
builtin = "test"
pairs = 3
[data.dev]""",
    )
    .replace("[cleaning]\nmax_pieces = 62", "[cleaning]\nmax_pieces = 62\ndrop_leaked = false")
    .replace("vocab_size = 400", "vocab_size = 400\nplaceholders = 2")
    .replace("decoder_layers = 1", "decoder_layers = 2")
    .replace("[training]", "[training]\nguided_alignment = 0.05")
    + """\
[augmentation]
upper = 0.1
no_final_mark = 0.1
typos = 0.1
join = 0.1
single_words = 0.1
copied_tokens = 0.1
inline_tags = 0.1
[training.guard]
bound = 100
[[training.stages]]
name = "all"
steps = 7
[[training.stages]]
name = "tune"
corpora = { pairs = 1, mono = 0.5 }
steps = 5
restart_schedule = true
"""
)
"""All that makes, weights or compares text in the course of a run, together."""
POINTS = {"plain": 20, "everything": 10}
"""Points at which a run is killed: of one whose data are prepared, and of one from its beginning."""
FOLDERS = {
    "synthetic": "prepared/synthetic",
    "text": "prepared/text",
    "alignment": "prepared/alignment",
    "augmentation": "prepared/augmentation",
    "tokenizer": "tokenizer",
    "prepare": "prepared/ids",
    "train": "checkpoints",
    "bundle": "model",
}
TOUCHED = [
    *((os, "fsync"), (os, "replace"), (os, "mkdir"), (files, "remove"), (shutil, "rmtree")),
    *((checkpoint, "save_tensors"), (cards, "write_json"), (tensors, "save_tensors"), (LogFile, "write")),
    *((Updater, "accumulate"), (Updater, "apply")),
]
"""What changes the disk or the weights: a run may be killed before and after each call of these."""


def train(recipe: Path, folder: Path, said: Path, killed_at: int | None = None, *, in_background: bool = False) -> None:
    """Run `nmt train` in this process, which kills itself at its so-manieth point; write how many there were.

    `in_background`: checkpoints are written in a thread, as on a GPU, and slowly, so that steps are taken meanwhile.
    """
    points = itertools.count(1)  # of two threads
    if in_background:
        checkpoint_writer.FOREGROUND.clear()

    def pass_by() -> None:
        if next(points) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.001)

    def between(real: Callable[..., Any], *arguments: Any, **values: Any) -> Any:
        pass_by()
        result = real(*arguments, **values)
        pass_by()
        return result

    for owner, name in TOUCHED:
        real = getattr(owner, name)
        wrapped = partial(between, real)
        setattr(owner, name, method_of(wrapped) if isinstance(owner, type) else wrapped)
    os.environ["COLUMNS"] = "100"
    sys.argv = ["nmt", "train", str(recipe), "--run-dir", str(folder)]
    with said.open("w", encoding="utf-8") as sys.stderr:
        try:
            cli.main()
        finally:
            said.with_suffix(".points").write_text(str(next(points) - 1), encoding="ascii")


def method_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method of `function`, which a partial is not."""

    def method(*arguments: Any, **values: Any) -> Any:
        return function(*arguments, **values)

    return method


def in_child(
    recipe: Path, folder: Path, said: Path, killed_at: int | None = None, *, in_background: bool = False
) -> int:
    """Call `train` in a process forked from one that has imported all this already; return how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [__name__, "nmt.pipeline.pipeline", "nmt.training.loop", "nmt.data.encoding.corpus_ids"]
    )
    child = context.Process(
        target=train, args=(recipe, folder, said, killed_at), kwargs={"in_background": in_background}
    )
    child.start()
    child.join(120)
    assert child.exitcode is not None, "hangs"
    return child.exitcode


def facts(folder: Path) -> list[dict[str, Any]]:
    """Return the log without what depends on time and memory."""
    timed = ("seconds", "tokens_per_second", "waiting", "memory_mib")
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: line[key] for key in line if key not in timed} for line in lines]


def locked_results(folder: Path) -> dict[str, Any]:
    """Return the results in the lock of a run, whose files are on the disk as it says."""
    results: dict[str, Any] = files.read_json(folder / "lock.json")["results"]
    for stage, result in results.items():
        for name, digest in result["files"].items():
            assert files.digest_file(folder / FOLDERS[stage] / name) == digest, (stage, name)
    return results


@pytest.fixture(scope="module")
def home_of(nmt_here: Run, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that prepares the data of the plain recipe, and trains either without an interruption."""

    @cache
    def home_of(kind: str) -> Path:
        home = tmp_path_factory.mktemp(kind)
        (home / "tiny.toml").write_text(RECIPE if kind == "plain" else EVERYTHING, encoding="utf-8")
        if kind == "plain":
            assert nmt_here("prepare", home / "tiny.toml", "--run-dir", home / "base").code == 0
            shutil.copytree(home / "base", home / "whole")
        else:
            shutil.copytree(tiny_model, home / "model")
            text = "".join(f"{source}\n" for source, _ in generate("train", 60, 9))
            (home / "mono.en").write_text(text, encoding="utf-8")
        assert in_child(home / "tiny.toml", home / "whole", home / "whole.txt") == 0, (home / "whole.txt").read_text()
        return home

    return home_of


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize(
    ("kind", "number"),
    [
        pytest.param(kind, number, marks=[pytest.mark.slow] * (number % 2))
        for kind, count in POINTS.items()
        for number in range(count)
    ],
)
def test_a_run_killed_at_any_point_ends_with_the_bits_of_one_left_alone(
    home_of: Callable[[str], Path], tmp_path: Path, kind: str, number: int
) -> None:
    home, parts = home_of(kind), POINTS[kind]
    points = int((home / "whole.points").read_text(encoding="ascii"))
    assert points > 10 * STEPS, "too few points to be random"
    rng = random.Random(f"kill {number}")
    # One in each part of the run, so that they lie everywhere.
    point = rng.randrange(number * points // parts, (number + 1) * points // parts) + 1
    folder, said, recipe = tmp_path / "run", tmp_path / "said.txt", home / "tiny.toml"
    if kind == "plain":
        shutil.copytree(home / "base", folder)
    in_background = number % 4 in (1, 2)
    ended = in_child(recipe, folder, said, point, in_background=in_background)
    assert ended == -signal.SIGKILL, said.read_text()

    whole = home / "whole"
    found = Checkpoints(folder / "checkpoints", 2).survey()
    assert [each.verdict for each in found] == ["whole"] * len(found), f"point {point}"
    if kind == "plain":
        assert {"text", "tokenizer", "prepare"} <= locked_results(folder).keys()
    assert in_child(recipe, folder, said, in_background=in_background) == 0, said.read_text()
    assert tree(folder).keys() == tree(whole).keys(), f"leftovers of point {point}"
    assert tree(folder / "checkpoints") == tree(whole / "checkpoints"), f"point {point}"
    for name in ("model.safetensors", "config.json"):
        assert (folder / "model" / name).read_bytes() == (whole / "model" / name).read_bytes(), f"point {point}"
    assert facts(folder) == facts(whole), f"point {point}"
    assert locked_results(folder) == locked_results(whole), f"point {point}"
    assert (folder / "model" / "lock.json").read_bytes() == (folder / "lock.json").read_bytes()
