"""Write a recipe for the user's own files, with the reason for each value as a comment: the work of `nmt init`."""

import os
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path

from nmt import console
from nmt.advice.choices import Choice, Choices, choose, choose_vocabulary, data_warnings
from nmt.advice.sides import first_problems
from nmt.advice.survey import (
    Machine,
    PieceLengths,
    TextSurvey,
    check_held_out,
    find_machine,
    fit_tokenizer,
    survey_text,
)
from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.config.toml import load_recipe, to_toml
from nmt.data.reading.corpus import TEST_SET, describe
from nmt.data.reading.formats import TABLES
from nmt.data.reading.named_files import Corpora, known_pair, merged, named_corpora, safe_name, split_columns
from nmt.data.reading.streams import compression_suffix, is_archive
from nmt.errors import UsageError
from nmt.evaluation.metrics import resolve_tokenizer
from nmt.files import check_output, is_stream, replacing

SIDES = ("source", "target")
WIDTH = 110  # characters of a line of a comment
SHOWN = (
    *("tokenizer.vocab_size", "tokenizer.joint", "model.preset", "model.dropout", "batching.tokens_per_step"),
    *("training.max_steps", "training.precision", "data.dev_pairs", "data.test_pairs"),
)
"""The choices that are printed."""


def initialize(
    source: str,
    target: str,
    train: Sequence[str],
    dev: Sequence[str],
    test: Sequence[str],
    output: Path | None,
    name: str | None,
    force: bool,
    columns: str | None = None,
    *,
    skip_bad: bool = False,
) -> None:
    """Survey the data, write a recipe for it, and print a summary.

    Raises UsageError for wrong arguments, DataError where the files cannot be read or have too few pairs.
    """
    languages = known_pair(source, target, "nmt init SRC TGT --train ...")
    name, output = checked_output(name, output, f"{source}-{target}", force=force)
    chosen = split_columns(columns)
    corpora = named_corpora(train, languages, "--train", chosen, skip_bad=skip_bad)
    dev_set = merged(named_corpora(dev, languages, "--dev", chosen, skip_bad=skip_bad), "--dev")
    tests = named_corpora(test, languages, "--test", chosen, skip_bad=skip_bad)
    held_out = ({"dev": dev_set} if dev_set else {}) | {f"test.{key}": config for key, config in tests.items()}
    write_recipe(name, output, languages, corpora, held_out, columns)


def checked_output(name: str | None, output: Path | None, default: str, *, force: bool) -> tuple[str, Path]:
    """Return the name and the file of a recipe, by default after `default`. Raises UsageError."""
    if name is not None and name != safe_name(name):
        raise UsageError(
            f"--name {name}: a name has letters, digits, '.', '_' and '-', and begins with one of the first"
        )
    name = name or (safe_name(output.stem) if output else default)
    output = output or Path(f"{name}.toml")
    if output.is_dir() or is_stream(output):
        raise UsageError(f"{output}: a {'folder' if output.is_dir() else 'device'}", hint="-o takes the name of a file")
    if compression_suffix(output.name) or is_archive(output.name):
        raise UsageError(f"-o {output}: a recipe is plain text", hint="name it .toml")
    if output.exists() and not force:
        raise UsageError(f"{output}: there is one already", hint="--force overwrites it, -o takes another name")
    check_output(output)
    return name, output


def write_recipe(
    name: str,
    output: Path,
    languages: LanguagesConfig,
    corpora: Corpora,
    held_out: Corpora,
    columns: str | None = None,
) -> None:
    """Survey the corpora, write a recipe for them to `output`, and print a summary.

    `held_out` has the keys `dev`, or `devs.NAME`, and `test.NAME`. Raises as `initialize` does.
    """
    _check_files([*corpora.values(), *held_out.values()], languages, columns)
    for split, config in held_out.items():
        check_held_out(config, languages.of(config.direction), split)
    survey, sample = survey_text(corpora, languages)
    for warning in data_warnings(survey):
        console.warn(warning)
    wanted = TokenizerConfig.model_validate({choice.key: choice.value for choice in choose_vocabulary(survey)})
    size, lengths = fit_tokenizer(wanted, sample)
    machine, vocabulary = find_machine(), choose_vocabulary(survey, size)
    kinds = {"dev" if split.startswith("devs.") else split.partition(".")[0] for split in held_out}
    choices = choose(survey, vocabulary, lengths, machine, kinds)
    folder = output.absolute().parent
    sections = recipe_sections(choices, relative_to(folder, corpora), relative_to(folder, held_out), survey.corpora)
    with replacing(output) as scratch:
        text = "\n\n".join([*recipe_head(name, languages, survey, machine), *sections])
        scratch.write_text(f"{text}\n", encoding="utf-8", newline="\n")
        load_recipe(str(scratch))
    for target in dict.fromkeys(one.target for one in languages.each):
        try:
            resolve_tokenizer("auto", target)
        except UsageError as error:
            console.warn(f"this machine cannot score {target} yet: {error}")
    show(output, survey, lengths, choices, machine)


def _check_files(configs: Sequence[CorpusConfig], languages: LanguagesConfig, columns: str | None) -> None:
    """Warn of files that look wrong. Raises UsageError where `columns` are those of no file."""
    if columns and not any(config.columns for config in configs):
        raise UsageError(f"--columns {columns}: none of the files has columns", hint=f"{', '.join(TABLES)} have them")
    for config in configs:
        for problem, tip in first_problems(config, languages.of(config.direction)):
            console.warn(f"{describe(config)}: {problem} ({tip})")


def relative_to(folder: Path, corpora: Corpora) -> Corpora:
    """Make the names of files in or below `folder` relative to it, and all others absolute."""

    def relative(name: str) -> str:
        if name.startswith(TEST_SET):
            return name
        path = Path(os.path.abspath(name))  # noqa: PTH100 - it removes ".." and leaves links as they are
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)

    def changed(names: str | list[str] | None) -> str | list[str] | None:
        return [relative(name) for name in names] if isinstance(names, list) else names and relative(names)

    return {
        key: config.model_copy(update={side: changed(getattr(config, side)) for side in ("source", "target", "files")})
        for key, config in corpora.items()
    }


def recipe_head(name: str, languages: LanguagesConfig, survey: TextSurvey, machine: Machine) -> list[str]:
    """Write the name, the description and the languages."""
    description = f"{languages.title}, {survey.pairs:,} pairs"
    keys: dict[str, object] = dict(zip(SIDES, languages.pair, strict=True))
    keys = {"directions": languages.directions} if languages.directions else keys
    section = "\n".join(["[languages]", *(f"{key} = {to_toml(value)}" for key, value in keys.items())])
    about = (
        f"Written by nmt init for these data and {machine.name}. Every value may be changed; all other keys have their "
        "defaults, and nmt recipe explain prints the meaning of each key."
    )
    return [
        f"name = {to_toml(name)}\ndescription = {to_toml(description)}",
        comment(about),
        section,
    ]


def recipe_sections(choices: Choices, train: Corpora, held_out: Corpora, pairs: dict[str, int]) -> list[str]:
    """Write the other sections; `held_out` has the keys `dev` and `test.NAME`, `pairs` the sizes of `train`."""
    sections = {name: "\n".join([f"[{name}]", *map(choice_text, chosen)]) for name, chosen in choices.items() if chosen}
    corpora = [corpus_text("train" if len(train) == 1 else f"train.{key}", train[key], pairs[key]) for key in train]
    corpora += [corpus_text(key, config, None) for key, config in held_out.items()]
    data = [sections.pop("data")] if choices["data"] else []
    return [*data, *corpora, *sections.values()]


def comment(text: str) -> str:
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))


def choice_text(choice: Choice) -> str:
    return f"{comment(choice.reason)}\n{choice.key} = {to_toml(choice.value)}"


def corpus_text(key: str, config: CorpusConfig, pairs: int | None) -> str:
    """Write the section of a corpus: `train`, `dev`, `train.NAME`, `devs.NAME` or `test.NAME` of [data]."""
    split, _, name = key.partition(".")
    quoted = to_toml(name) if "." in name else name
    lines = [f"[data.{split}.{quoted}]" if name else f"[data.{split}]"]
    if pairs is not None:
        lines.append(f"# {pairs:,} pairs.")
    for side in ("source", "target", "files", "columns"):
        if (value := getattr(config, side)) is not None:
            lines.append(f"{side} = {to_toml(value)}")
    if config.direction is not None:
        lines.append(f"direction = {to_toml(config.direction)}")
    if config.skip_bad:
        lines.append("skip_bad = true")
    return "\n".join(lines)


def show(output: Path, survey: TextSurvey, lengths: PieceLengths, choices: Choices, machine: Machine) -> None:
    """Print the facts, the most important choices and the next steps."""
    corpora = ", ".join(f"{name} {count:,}" for name, count in survey.corpora.items())
    console.out(f"found: {survey.pairs:,} training pairs" + (f": {corpora}" if len(survey.corpora) > 1 else ""))
    for side in survey.sides:
        scripts = ", ".join(f"{script} {share:.0%}" for script, share in side.scripts.items()) or "no letters"
        words = f"about {rough(side.words * survey.pairs)} words, {side.words:.1f} a line"
        console.out(f"found: {side.language}: {words}; 99.9% of the lines up to {side.longest:,} characters; {scripts}")
    values = {f"{section}.{choice.key}": choice.value for section, chosen in choices.items() for choice in chosen}
    console.out(f"found: a target line has {lengths.target_mean:.1f} pieces; to train on: {machine.name}")
    console.out("chosen: " + ", ".join(f"{key} = {to_toml(values[key])}" for key in SHOWN if key in values))
    name = shlex.quote(str(output))
    console.out(f"wrote {output}; its comments give the reasons")
    console.out(f"next: nmt doctor {name}\nthen: nmt run {name}")


def rough(number: float) -> str:
    """Write a number to two digits."""
    return f"{float(f'{number:.2g}'):,.0f}"
