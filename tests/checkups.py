"""Recipes under examination by `nmt doctor`, for the tests of its checks."""

from pathlib import Path

from conftest import TINY

from nmt.advice.checkup import Checkup
from nmt.config.toml import load_recipe
from nmt.pipeline.run import Run
from nmt.tasks.grammar import generate

TRAIN = '[data.train]\nbuiltin = "train"\npairs = 800\n'
CORPORA = """\
[data.train.large]
source = "large.en"
target = "large.de"

[data.train.small]
source = "small.en"
target = "small.de"
tags = ["<small>"]
"""


def checkup_of(folder: Path, *settings: str, train: str = TRAIN) -> Checkup:
    """Return a checkup of the tiny recipe with other training corpora and settings."""
    recipe = folder / "tiny.toml"
    assert TRAIN in TINY
    text = TINY.replace(TRAIN, train).replace("max_pieces = 62", "").replace("max_length = 64", "max_length = 256")
    recipe.write_text(text, encoding="utf-8")
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return Checkup(Run(load_recipe(str(recipe), settings), run_dir=folder / "run"), scratch)


def write_corpora(folder: Path) -> None:
    """Write 600 pairs to `large` and 200 other ones to `small`."""
    pairs = list(generate("train", 800, 1))
    for name, chosen in (("large", pairs[:600]), ("small", pairs[600:])):
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in chosen)
            (folder / f"{name}.{language}").write_text(text, encoding="utf-8")
