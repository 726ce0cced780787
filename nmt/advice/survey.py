"""A survey of the user's text and machine."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from nmt import console, runtime
from nmt.advice.choices import (
    LEAST,
    Choice,
    Found,
    Lengths,
    Machine,
    Side,
    lowered,
)
from nmt.config.data import CorpusConfig, LanguagesConfig, TokenizerConfig
from nmt.data.encoding import tokenizer
from nmt.data.languages import script_of, scripts_of, share_of_script
from nmt.data.pairs import Pair
from nmt.data.reading.corpus import TEST_SET, describe, file_names, read_corpus
from nmt.data.reading.named_files import Corpora
from nmt.errors import DataError

SAMPLE = 20_000
"""Training pairs that are looked at; all are counted."""


SEED = 1
"""Of that sample."""


TRIAL = 8000
"""Most pieces of the tokenizer that is tried on the sample."""


def read(config: CorpusConfig, languages: LanguagesConfig, split: str, odd: Counter[str]) -> Iterator[Pair]:
    """Yield the pairs of a corpus whose names start at the working directory."""
    return read_corpus(config, languages, root=Path(), local=False, default_split=split, anomalies=odd)


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
    if not any(name.startswith(TEST_SET) for name in file_names(config)):
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
    import torch  # start-up: the command may end before

    from nmt import devices

    if devices.pick_device("auto").type == "cuda":
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
