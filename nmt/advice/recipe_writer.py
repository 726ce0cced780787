"""`nmt init`: look at the user's files, and write a recipe for them in which each choice says why it was made."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt import console
from nmt.advice.choices import (
    ORDER,
    Choice,
    Choices,
    Found,
    Lengths,
    Machine,
    choose,
    choose_vocabulary,
    doubts,
)
from nmt.advice.survey import check, find_machine, look, try_tokenizer
from nmt.config.data import CorpusConfig, LanguagesConfig
from nmt.config.toml import load_recipe, to_toml
from nmt.data.reading.corpus import TEST_SET
from nmt.data.reading.named_files import Corpora, language_pair, merged, named_corpora, safe_name
from nmt.errors import UsageError
from nmt.evaluation.metrics import resolve_tokenizer
from nmt.files import replacing

WIDTH = 110
"""Characters of a comment's line."""


def initialize(
    source: str,
    target: str,
    train: Sequence[str],
    dev: Sequence[str],
    test: Sequence[str],
    output: Path | None,
    name: str | None,
    force: bool,
) -> None:
    """Look at the data, write a recipe for it, and say what was found and chosen.

    Raises UsageError where the arguments cannot be, DataError where the files cannot be read or are too few pairs.
    """
    languages = language_pair(source, target, "nmt init SRC TGT --train ...")
    if name is not None and name != safe_name(name):
        raise UsageError(
            f"--name {name}: a name has letters, digits, '.', '_' and '-', and begins with one of the first"
        )
    name = name or (safe_name(output.stem) if output else f"{source}-{target}")
    output = output or Path(f"{name}.toml")
    if output.is_dir():
        raise UsageError(f"{output}: a folder", hint="-o takes the name of a file")
    if output.exists() and not force:
        raise UsageError(f"{output}: there is one already", hint="--force overwrites it, -o takes another name")
    corpora = named_corpora(train, languages, "--train")
    dev_set = merged(named_corpora(dev, languages, "--dev"))
    tests = named_corpora(test, languages, "--test")
    held_out = ({"dev": dev_set} if dev_set else {}) | {f"test.{key}": config for key, config in tests.items()}
    for split, config in held_out.items():
        check(config, languages, split)
    found, sample = look(corpora, languages)
    for doubt in doubts(found):
        console.warn(doubt)
    machine = find_machine()
    vocabulary, lengths = try_tokenizer(choose_vocabulary(found), sample)
    choices = choose(found, vocabulary, lengths, machine, {split.partition(".")[0] for split in held_out})
    folder = output.absolute().parent
    head = recipe_head(name, languages, found, machine)
    sections = recipe_sections(choices, located(corpora, folder), located(held_out, folder), found.corpora)
    with replacing(output) as scratch:
        scratch.write_text("\n\n".join([*head, *sections]) + "\n", encoding="utf-8", newline="\n")
        load_recipe(str(scratch))
    try:
        resolve_tokenizer("auto", target)
    except UsageError as error:
        console.warn(f"this machine cannot score {target} yet: {error}")
    show(output, found, lengths, choices, machine)


# From names of files to corpora.


def located(corpora: Corpora, folder: Path) -> Corpora:
    """Let names start at `folder`, where files lie in or below it, and else at the root."""

    def locate(value: Any) -> Any:
        if isinstance(value, list):
            return [locate(name) for name in value]
        if value is None or value.startswith(TEST_SET):
            return value
        path = Path(os.path.abspath(value))  # noqa: PTH100 - it takes ".." out and leaves links as they are
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)

    keys = ("source", "target", "files")
    return {
        name: config.model_copy(update={key: locate(getattr(config, key)) for key in keys})
        for name, config in corpora.items()
    }


# What is in them.


# The recipe's text, and what is said of it.


def recipe_head(name: str, languages: LanguagesConfig, found: Found, machine: Machine) -> list[str]:
    """Write what a recipe begins with."""
    what = f"{languages.source} to {languages.target}, {found.pairs:,} pairs"
    about = (
        f"Written by nmt init for these data and {machine.name}. Every value may be changed; what is not here has its "
    )
    about += "default, and nmt recipe explain says what each key means."
    return [
        f"name = {to_toml(name)}\ndescription = {to_toml(what)}",
        comment(about),
        f"[languages]\nsource = {to_toml(languages.source)}\ntarget = {to_toml(languages.target)}",
    ]


def recipe_sections(choices: Choices, train: Corpora, held_out: Corpora, pairs: dict[str, int]) -> list[str]:
    """Write the other sections; `held_out` is by `dev` and `test.NAME`, `pairs` of `train` are said."""
    parts = {section: "\n".join([f"[{section}]", *map(choice_text, choices[section])]) for section in ORDER}
    corpora = [corpus_text("train" if len(train) == 1 else f"train.{key}", train[key], pairs[key]) for key in train]
    corpora += [corpus_text(key, config, None) for key, config in held_out.items()]
    chosen = [parts[section] for section in ORDER[1:] if choices[section]]
    return [*([parts["data"]] if choices["data"] else []), *corpora, *chosen]


def comment(text: str) -> str:
    """Write `text` as lines of comment."""
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))


def choice_text(choice: Choice) -> str:
    """Write a key with its reason above."""
    return f"{comment(choice.why)}\n{choice.key} = {to_toml(choice.value)}"


def corpus_text(key: str, config: CorpusConfig, pairs: int | None) -> str:
    """Write the section of a corpus, `train`, `dev`, `train.NAME` or `test.NAME` of [data]."""
    split, _, name = key.partition(".")
    quoted = to_toml(name) if "." in name else name
    lines = [f"[data.{split}.{quoted}]" if name else f"[data.{split}]"]
    if pairs is not None:
        lines.append(f"# {pairs:,} pairs.")
    for side in ("source", "target", "files"):
        if (value := getattr(config, side)) is not None:
            lines.append(f"{side} = {to_toml(value)}")
    return "\n".join(lines)


def show(output: Path, found: Found, lengths: Lengths, choices: Choices, machine: Machine) -> None:
    """Print what was found and chosen, and what to do next."""
    corpora = ", ".join(f"{name} {count:,}" for name, count in found.corpora.items())
    console.out(f"found: {found.pairs:,} training pairs" + (f": {corpora}" if len(found.corpora) > 1 else ""))
    for side in found.sides:
        scripts = ", ".join(f"{script} {share:.0%}" for script, share in side.scripts.items()) or "no letters"
        words = f"about {rough(side.words * found.pairs)} words, {side.words:.1f} a line"
        console.out(f"found: {side.code}: {words}; 99.9% of the lines up to {side.longest:,} characters; {scripts}")
    flat = {f"{section}.{choice.key}": choice.value for section in ORDER for choice in choices[section]}
    console.out(f"found: a target line has {lengths.target:.1f} pieces; to train on: {machine.name}")
    keys = ["tokenizer.vocab_size", "tokenizer.joint", "model.preset", "model.dropout", "batching.tokens_per_step"]
    keys += ["training.max_steps", "training.precision", "data.dev_pairs", "data.test_pairs"]
    console.out("chosen: " + ", ".join(f"{key} = {to_toml(flat[key])}" for key in keys if key in flat))
    name = shlex.quote(str(output))
    console.out(f"wrote {output}, which says why")
    console.out(f"next: nmt doctor {name}\nthen: nmt run {name}")


def rough(number: float) -> str:
    """Write a number to two digits."""
    return f"{float(f'{number:.2g}'):,.0f}"
