"""`nmt init`: look at the user's files, and write a recipe for them in which each choice says why it was made."""

from __future__ import annotations

import math
import os
import re
import shlex
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nmt import console, runtime
from nmt.choices import (
    LEAST,
    ORDER,
    Choice,
    Choices,
    Found,
    Lengths,
    Machine,
    Side,
    choose,
    choose_vocabulary,
    doubts,
    lowered,
)
from nmt.config import CorpusConfig, LanguagesConfig, TokenizerConfig
from nmt.data import tokenizer
from nmt.data.archives import find_file, is_archive
from nmt.data.corpus import TEST_SET, describe, read_corpus
from nmt.data.downloads import sacrebleu_missing
from nmt.data.readers import format_of, plain_name
from nmt.data.scripts import primary_subtag, script_of, scripts_of, share_of_script
from nmt.errors import DataError, UsageError
from nmt.evaluation.metrics import resolve_tokenizer
from nmt.files import replacing
from nmt.recipe import load_recipe, to_toml

SAMPLE = 20_000
"""Training pairs that are looked at; all are counted."""
SEED = 1
"""Of that sample."""
TRIAL = 8000
"""Most pieces of the tokenizer that is tried on the sample."""
WIDTH = 110
"""Characters of a comment's line."""
Corpora = dict[str, CorpusConfig]
Pair = tuple[str, str]


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
    languages = read_languages(source, target)
    if name is not None and name != cleaned(name):
        raise UsageError(
            f"--name {name}: a name has letters, digits, '.', '_' and '-', and begins with one of the first"
        )
    name = name or (cleaned(output.stem) if output else f"{source}-{target}")
    output = output or Path(f"{name}.toml")
    if output.is_dir():
        raise UsageError(f"{output}: a folder", hint="-o takes the name of a file")
    if output.exists() and not force:
        raise UsageError(f"{output}: there is one already", hint="--force overwrites it, -o takes another name")
    corpora = group(train, languages, "--train")
    dev_set, tests = one(group(dev, languages, "--dev")), group(test, languages, "--test")
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


def read_languages(source: str, target: str) -> LanguagesConfig:
    """Take the two codes. Raises UsageError where they are none, or the same."""
    for code in (source, target):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", code):
            raise UsageError(f"{code!r} is no language code", hint="codes are as in ISO 639-1: en, de")
    if source.lower() == target.lower():
        raise UsageError(f"the source and the target language are both {source}", hint="nmt init SRC TGT --train ...")
    return LanguagesConfig(source=source, target=target)


# From names of files to corpora.


def cleaned(name: str) -> str:
    """Make `name` one that a recipe allows."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "corpus"


def group(names: Sequence[str], languages: LanguagesConfig, option: str) -> Corpora:
    """Make corpora of the files that `option` names: NAME.SRC with NAME.TGT, or files of both sides, each by itself.

    Names of the corpora come from those of the files. Raises UsageError, and DataError where a file is missing.
    """
    sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
    origins: list[tuple[str, CorpusConfig]] = []
    for name in names:
        if name.startswith(TEST_SET):
            sacrebleu_missing(name.removeprefix(TEST_SET), languages)
            origins.append((name.removeprefix(TEST_SET).partition(":")[0].replace("/", "-"), CorpusConfig(files=name)))
            continue
        path = find_file(Path(name))
        place = side_of(path.name, languages)
        if place is not None:
            stem = str(path.with_name(plain_name(path.name).rpartition(".")[0] or "corpus"))
            if stem in sides[place]:
                raise UsageError(f"{option}: {sides[place][stem]} and {path} are the same side of {stem}")
            sides[place][stem] = str(path)
        elif path.is_dir() or is_archive(path.name) or format_of(path.name):
            origins.append((str(path.with_name(stem_of(path.name))), CorpusConfig(files=str(path))))
        else:
            raise UsageError(
                f"{option}: {path}: its name tells neither its language nor its format",
                hint=f"lines of one side are in NAME.{languages.source} and NAME.{languages.target}, both sides in "
                ".tsv, .csv, .jsonl, .parquet, .tmx, a folder or an archive of such files",
            )
    origins += [
        (stem, CorpusConfig(source=left, target=right)) for stem, left, right in match(sides, languages, option)
    ]
    return dict(zip(distinct([stem for stem, _ in origins]), [config for _, config in origins], strict=True))


def side_of(name: str, languages: LanguagesConfig) -> int | None:
    """Tell whether a file's name is that of a source, 0, or of a target, 1: by its ending, region and script aside."""
    ending = plain_name(name).rpartition(".")[2].lower().replace("_", "-")
    codes = [code.lower().replace("_", "-") for code in (languages.source, languages.target)]
    if ending in codes:
        return codes.index(ending)
    short = [primary_subtag(code) for code in codes]
    return short.index(ending) if ending in short and short[0] != short[1] else None


def stem_of(name: str) -> str:
    """Take the endings of compression, archive and format off a name."""
    plain = plain_name(name)
    endings = (".tar", ".zip", ".tgz", ".tbz2", ".txz", ".tzst")
    return plain.rpartition(".")[0] if format_of(plain) or plain.lower().endswith(endings) else plain


def match(
    sides: tuple[dict[str, str], dict[str, str]], languages: LanguagesConfig, option: str
) -> Iterator[tuple[str, str, str]]:
    """Yield stem, source and target of each two files with the same stem, or of the only two that are left."""
    lonely = [[stem for stem in side if stem not in other] for side, other in (sides, sides[::-1])]
    for stem, source in sides[0].items():
        if stem in sides[1]:
            yield stem, source, sides[1][stem]
    if len(lonely[0]) == len(lonely[1]) == 1:
        yield lonely[0][0], sides[0][lonely[0][0]], sides[1][lonely[1][0]]
        return
    for side, stems, wanted in zip(sides, lonely, (languages.target, languages.source), strict=True):
        if stems:
            raise UsageError(
                f"{option}: {side[stems[0]]}: no file of {wanted} with it", hint=f"name {stems[0]}.{wanted} too"
            )


def distinct(paths: Sequence[str]) -> list[str]:
    """Return a name for each path: its last part, with folders before it, or a number, where others have it too."""
    names = [cleaned(Path(path).name) for path in paths]
    twice = {name for name, count in Counter(names).items() if count > 1}
    names = [
        cleaned("-".join(Path(path).parts[-2:])) if name in twice else name
        for path, name in zip(paths, names, strict=True)
    ]
    seen: Counter[str] = Counter()
    for place, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[place] = f"{name}-{seen[name]}"
    return names


def one(corpora: Corpora) -> CorpusConfig | None:
    """Make one corpus of several, None of none. Raises UsageError where they are of different kinds."""
    configs = list(corpora.values())
    if len(configs) < 2:
        return configs[0] if configs else None
    if all(config.files for config in configs):
        return CorpusConfig(files=[str(config.files) for config in configs])
    if any(config.files for config in configs):
        raise UsageError("--dev: files of one side and of both cannot be mixed", hint="dev is one corpus")
    return CorpusConfig(
        source=[str(config.source) for config in configs], target=[str(config.target) for config in configs]
    )


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


def read(config: CorpusConfig, languages: LanguagesConfig, split: str, odd: Counter[str]) -> Iterator[Pair]:
    """Yield the pairs of a corpus whose names start at the working directory."""
    return read_corpus(config, languages, root=Path(), local=False, default_split=split, oddities=odd)


def look(corpora: Corpora, languages: LanguagesConfig) -> tuple[Found, list[Pair]]:
    """Count the pairs of the training corpora; look at a sample of them, which is returned too. Raises DataError."""
    counts = dict.fromkeys(corpora, 0)
    odd: Counter[str] = Counter()

    def lines() -> Iterator[str]:
        with console.Progress("reading", None, unit="pairs") as progress:
            for name, config in corpora.items():
                for source, target in read(config, languages, "train", odd):
                    counts[name] += 1
                    if counts[name] % 10_000 == 0:
                        progress.update(sum(counts.values()))
                    if source.strip() and target.strip():
                        yield f"{source.strip()}\n{target.strip()}"  # a line holds no line feed

    drawn, whole = tokenizer.sample(lines(), SAMPLE, seed=SEED)
    if odd:
        console.log(f"found in the files: {', '.join(f'{what} {count:,}' for what, count in odd.items())}")
    if whole < LEAST:
        raise DataError(
            f"{', '.join(map(describe, corpora.values()))}: {whole:,} pairs with text are too little to learn from",
            hint=f"it takes {LEAST} at the very least, and some ten thousand for a model that is of use",
        )
    sample = [(source, target) for source, _, target in (line.partition("\n") for line in drawn)]
    sides = [survey([pair[i] for pair in sample], code) for i, code in enumerate((languages.source, languages.target))]
    characters = sorted(sum(map(len, side)) for side in zip(*sample, strict=True))
    return Found(sides[0], sides[1], counts, characters[1] / characters[0]), sample


def survey(lines: Sequence[str], code: str) -> Side:
    """Look at the lines of one side."""
    characters = Counter("".join(lines))
    letters = Counter[str]()
    for character, count in characters.items():
        if character.isalpha():
            letters[script_of(character)] += count
    total = letters.total() or 1
    own = scripts_of(code)
    covered, alphabet = 0, 0
    for _, count in characters.most_common():
        if covered >= 0.9995 * characters.total():
            break
        covered, alphabet = covered + count, alphabet + 1
    return Side(
        code,
        words=sum(len(line.split()) for line in lines) / len(lines),
        longest=quantile([len(line) for line in lines]),
        alphabet=alphabet,
        scripts={script: count / total for script, count in letters.most_common() if count >= 0.01 * total},
        own=sum(share_of_script(line, own) >= 0.5 for line in lines) / len(lines),
    )


def quantile(values: Sequence[int]) -> int:
    """Return what 999 of 1,000 values do not exceed."""
    return sorted(values)[math.ceil(0.999 * len(values)) - 1]


def check(config: CorpusConfig, languages: LanguagesConfig, split: str) -> None:
    """Read a dev or test set to its end, but for those that are fetched later. Raises DataError."""
    names = [config.files] if isinstance(config.files, str) else config.files or []
    if not any(name.startswith(TEST_SET) for name in names):
        for _ in read(config, languages, "validation" if split == "dev" else "test", Counter()):
            pass


def try_tokenizer(choices: list[Choice], sample: Sequence[Pair]) -> tuple[list[Choice], Lengths]:
    """Train a tokenizer on the sample; where the text is too little for it, with a smaller vocabulary, which is chosen.

    Raises DataError where no vocabulary will do.
    """
    values = {choice.key: choice.value for choice in choices}
    size = min(values["vocab_size"], max(TRIAL, values["vocab_size"] // 2))
    text = sample[: math.ceil(0.7 * len(sample))]  # what dev, test and cleaning take may be missing
    with tempfile.TemporaryDirectory(prefix="nmt-init-") as folder:
        while True:
            config = TokenizerConfig(**(values | {"vocab_size": size}))
            try:
                tokenizer.train((s for s, _ in text), (t for _, t in text), config, Path(folder), seed=SEED)
                break
            except DataError:
                size = size * 3 // 4 // 50 * 50
                if size < 300:
                    raise
                choices = lowered(choices, size)
        sides = tokenizer.Tokenizer.load(Path(folder))
        source = [len(ids) for ids in sides.encode_source([s for s, _ in sample])]
        target = [len(ids) for ids in sides.encode_target([t for _, t in sample])]
    longer = [max(pair) for pair in zip(source, target, strict=True)]
    return choices, Lengths(sum(target) / len(target) + 1, quantile(longer))


def find_machine() -> Machine:
    """Look at what this machine trains on."""
    import torch

    if runtime.pick_device("auto").type == "cuda":
        return Machine(torch.cuda.get_device_name(), True, torch.cuda.is_bf16_supported(including_emulation=False))
    cores = runtime.cores()
    return Machine(f"a CPU of {cores} core{'s' * (cores > 1)}", False, computes_bfloat16(Path("/proc/cpuinfo")))


def computes_bfloat16(facts: Path) -> bool:
    """Tell whether Linux lists instructions for bfloat16 among the processor's; elsewhere they are taken as missing."""
    try:
        words = set(facts.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    return not words.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


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
