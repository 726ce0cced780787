"""Train the SentencePiece models of a tokenizer.

On more than a few lines SentencePiece trains in a child process, for while it computes nothing else runs in its
process, not even Ctrl-C.
"""

import io
import math
import random
import re
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, cast

import sentencepiece

from nmt import console
from nmt.config.tokenizer import TokenizerConfig
from nmt.data import placeholders
from nmt.data.encoding.normalization import IDENTITY, plain
from nmt.data.encoding.tokenizer import (
    BOS_ID,
    EOS_ID,
    FORMAT,
    FORMAT_OF_TREES,
    PAD_ID,
    TOKENIZER,
    UNK_ID,
    SentencePieceModel,
    normal_forms,
)
from nmt.data.encoding.trees import SymbolCounter
from nmt.errors import DataError
from nmt.files import digest
from nmt.processes import Child, ChildDiedError

TRAINING_THREADS = 4  # a constant, whatever the cores of the machine: the pieces of a unigram model can depend on it
FEW_LINES = 2000  # the most lines that this process trains on itself, in a second or so


def train(
    sources: Iterable[str],
    targets: Iterable[str],
    config: TokenizerConfig,
    folder: Path,
    *,
    seed: int,
    tags: Sequence[str] = (),
) -> dict[str, dict[str, int]]:
    """Train on both sides; write the model files and `tokenizer.json` to `folder`, which must exist.

    A joint model is trained on the same number of lines of either side. The symbols of `config`, `tags`, placeholders,
    masks, and the labels and tags of trees become pieces. Returns the counts of lines read and trained on, by side. The
    same text, configuration and seed give the same bytes. Raises DataError where SentencePiece refuses the text or the
    configuration.
    """
    size, own = config.sample_sentences, config.user_defined_symbols
    samples: dict[str, list[str]] = {}
    counts: dict[str, dict[str, int]] = {}
    shares = (math.ceil(size / 2), max(size // 2, 1)) if config.joint else (size, size)
    forms = normal_forms(config.normalization, config.target_normalization, own, tags, config.placeholders)
    found = SymbolCounter()
    if config.trees:
        targets = found.words(targets)
    for side, lines, share, form in zip(("source", "target"), (sources, targets), shares, forms, strict=True):
        drawn, read = sample(lines, share, seed=seed)
        samples[side] = ["".join(form.parts(line)) for line in drawn] if form else drawn
        counts[side] = {"lines": read, "trained_on": len(drawn)}
    if config.joint:
        texts = {"tokenizer.model": ("both sides", [*samples["source"], *samples["target"]])}
        names = dict.fromkeys(samples, "tokenizer.model")
    else:
        texts = {f"{side}.model": (f"the {side} side", lines) for side, lines in samples.items()}
        names = {side: f"{side}.model" for side in samples}
    more = dict.fromkeys([*tags, *placeholders.symbols(config.placeholders)])
    symbols = [*own, *(symbol for symbol in more if symbol not in own)]  # each once, and never split
    pieces = Symbols(symbols, [*config.mask_pieces, *(found.symbols.pieces if config.trees else [])])
    models = {name: _train_model(lines, config, pieces, side, folder) for name, (side, lines) in texts.items()}
    for name, content in models.items():
        (folder / name).write_bytes(content)
    with_forms = {"target_normalization": config.target_normalization, "user_defined_symbols": own}
    card = {
        "format": FORMAT_OF_TREES if config.trees else FORMAT if forms[1] else 1,
        **names,
        "joint": config.joint,
        "model_type": config.model_type,
        "normalization": config.normalization,
        **(with_forms if forms[1] else {}),
        "vocab_size": config.vocab_size,
        "tags": list(dict.fromkeys(tags)),
        "placeholders": config.placeholders,
        **({"masks": config.masks} if config.masks else {}),
        **({"trees": asdict(found.symbols)} if config.trees else {}),
        "files": {name: digest(content) for name, content in models.items()},
    }
    TOKENIZER.write(folder, card)
    return counts


def sample(lines: Iterable[str], size: int, *, seed: int) -> tuple[list[str], int]:
    """Draw at most `size` of the lines, each with the same probability; return them and the number of all lines.

    Algorithm L of Li 1994, which draws a random number for each line kept, not for each line read.
    """
    rng = random.Random(seed)
    kept: list[str] = []
    number, following, log_weight = 0, 0, 0.0
    for number, line in enumerate(lines, 1):
        if len(kept) < size:
            kept.append(line)
        elif number == following:
            kept[rng.randrange(size)] = line
        if len(kept) == size and number >= following:
            log_weight -= rng.expovariate(size)
            following = number + 1 + math.floor(rng.expovariate(1) / -math.log(-math.expm1(log_weight)))
    return kept, number


class Symbols(NamedTuple):
    """The pieces that are no parts of words."""

    in_text: list[str]
    controls: list[str]  # which no text has


def _train_model(lines: list[str], config: TokenizerConfig, symbols: "Symbols", side: str, folder: Path) -> bytes:
    """Train one model, on many lines in a child process with a temporary file in `folder`."""
    # SentencePiece skips lines with U+2585, by which it marks unknown characters in training.
    lines = [text for line in lines if (text := plain(line).replace("\u2585", " ").strip())]
    if not lines:
        raise DataError(f"no text to train a tokenizer on: {side} blank", hint="check data.train and cleaning")
    try:
        if len(lines) <= FEW_LINES:
            content = _fit(lines, config, symbols)
        else:
            content = _fit_apart(lines, config, symbols, side, folder)
    except RuntimeError as error:
        raise _explain(str(error), config, side) from None
    size = SentencePieceModel(sentencepiece.SentencePieceProcessor(model_proto=content)).size
    if size < config.vocab_size and not config.hard_vocab_limit:
        console.log(f"tokenizer: the text of {side} has no more than {size:,} pieces")
    elif size != config.vocab_size:
        problem = f"tokenizer.vocab_size = {config.vocab_size}, but SentencePiece made {size} pieces of {side}"
        raise DataError(problem, hint=f"set tokenizer.vocab_size = {size}")
    return content


def _fit(lines: Iterable[str], config: TokenizerConfig, symbols: "Symbols") -> bytes:
    """Train SentencePiece with its log off; return the model. Raises RuntimeError where it refuses."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=config.model_type,
        vocab_size=config.vocab_size,
        hard_vocab_limit=config.hard_vocab_limit,
        character_coverage=config.character_coverage,
        byte_fallback=config.byte_fallback,
        normalization_rule_name=config.normalization if config.target_normalization is None else IDENTITY,
        user_defined_symbols=symbols.in_text,
        control_symbols=symbols.controls,
        num_threads=TRAINING_THREADS,
        pad_id=PAD_ID,
        unk_id=UNK_ID,
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        # In bytes, the maximum of SentencePiece; by default it skips lines over 4192.
        max_sentence_length=2**30,
        minloglevel=2,
    )
    return model.getvalue()


def _fit_apart(lines: Sequence[str], config: TokenizerConfig, symbols: "Symbols", side: str, folder: Path) -> bytes:
    """Do what `_fit` does in a child process, and show progress meanwhile.

    The text reaches the child by an unnamed file in `folder`. Raises RuntimeError as `_fit` does, DataError where the
    child dies.
    """
    title = f"tokenizer: training on {len(lines):,} lines of {side}"
    began = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.writelines(f"{line}\n".encode() for line in lines)
        file.seek(0)
        child = Child(file.fileno(), files=[file.fileno()])
    with child, console.Progress(title, None, unit="s") as progress:
        progress.log(title)
        child.call(_fit_file, config, symbols)
        while not child.is_ready(0.2):
            progress.update(round(time.monotonic() - began))
        try:
            model = child.receive().result()
        except ChildDiedError as death:
            raise DataError(
                f"the process that trains the tokenizer on {len(lines):,} lines has ended: {death}",
                hint="does it need more memory than there is? lower tokenizer.sample_sentences",
            ) from None
    console.log(f"tokenizer: {config.vocab_size:,} pieces of {side} in {console.duration(time.monotonic() - began)}")
    return cast(bytes, model)


def _fit_file(file: int, config: TokenizerConfig, symbols: "Symbols") -> bytes:
    with open(file, encoding="utf-8", newline="\n") as text:
        return _fit((line.removesuffix("\n") for line in text), config, symbols)


def _explain(message: str, config: TokenizerConfig, side: str) -> DataError:
    """Turn SentencePiece's message on a failed training into an error that names the knob."""
    size = f"tokenizer.vocab_size = {config.vocab_size}"
    if match := re.search(r"Vocabulary size too high.* <= (\d+)", message):
        hint = f"lower tokenizer.vocab_size to {match[1]}, or set tokenizer.hard_vocab_limit = false"
        return DataError(f"{size} is more than the text of {side} allows, {match[1]} pieces", hint=hint)
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return DataError(
            f"{size} is too small for {side}: its characters and the special pieces alone are {match[1]}",
            hint=f"raise tokenizer.vocab_size above {match[1]}, or lower tokenizer.character_coverage",
        )
    return DataError(f"SentencePiece cannot train on {side}: {message.removeprefix('INTERNAL: ').strip()}")
