"""SentencePiece models for packages that know no normal form in front of them: the rule is compiled into the model.

A model with a rule replaces the longest known sequence at each position, which comes close to a normal form: marks in
an unusual number or order stay, and a symbol counts wherever the rule makes it.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, permutations
from pathlib import Path
from typing import TypedDict

import sentencepiece

from nmt.data.encoding.normalization import IDENTITY, NormalForm, nfc, plain
from nmt.data.encoding.tokenizer import SentencePieceModel, Tokenizer

ODD = (
    *("vie\u0302\u0323t nam", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u0645\u062d\u0645\u0651\u064e\u062f"),
    *(
        "\uac00\u11a8 \u1112\u1161\u11ab",
        "\u0928\u093c \u0915\u093c",
        "\u0e19\u0e4d\u0e49\u0e32",
        "q\u0307\u0323 u\u0308\u0304",
    ),
    *(
        "\uff21\uff22\uff43\uff11\uff0c\uff01\uff1f",
        "1\u00bd m\u00b2 \u2122 \ufb01",
        "co\u00adop",
        "\u00ab\u00a0a\u202f?\u00a0\u00bb",
    ),
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
)
"""Decomposed text in the order of typing, full-width and compatibility characters, special spaces."""
PLANES = range(0xD800), range(0xE000, 0x32000)  # the code points of all letters and compatibility characters
POINTS = range(0x591, 0x5C8), (*range(0x64B, 0x660), 0x670, *range(0x6D6, 0x6EE))
"""Hebrew and Arabic points, of which two at a letter are compiled in both orders."""
MOST_MARKS = 3  # marks of one letter whose orders are compiled


class Exported(TypedDict):
    """A SentencePiece model of an export, compared with the tokenizer of the bundle."""

    file: str
    lines: int
    differing: int  # lines that the model alone splits differently


def export_tokenizers(tokenizer: Tokenizer, folder: Path, lines: Iterable[str]) -> dict[str, Exported]:
    """Write `source.spm` and `target.spm` to `folder`, and compare both on `lines` and on odd text."""
    found: dict[str, Exported] = {}
    texts = list(odd_text(lines))
    for name, side in (("source", tokenizer.source), ("target", tokenizer.target)):
        content = standalone(side)
        (folder / f"{name}.spm").write_bytes(content)
        alone = sentencepiece.SentencePieceProcessor(model_proto=content)
        rows = alone.encode(texts, out_type=str)  # such packages look pieces up as they are spelled
        split = ([side.processor.piece_to_id(piece) for piece in row] for row in rows)
        differing = sum(one != other for one, other in zip(side.encode(texts), split, strict=True))
        found[name] = {"file": f"{name}.spm", "lines": len(texts), "differing": differing}
    return found


def odd_text(lines: Iterable[str]) -> Iterator[str]:
    """Yield `lines` as they are, decomposed and in full width, and `ODD`."""
    for line in lines:
        yield from (line, unicodedata.normalize("NFD", line), line.translate(_FULL_WIDTH))
    yield from ODD


_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def standalone(side: SentencePieceModel) -> bytes:
    """Return the model file of `side` with its normal form compiled into it as far as that can be."""
    model: bytes = side.processor.serialized_model_proto()
    if side.form is None or side.form.rule == IDENTITY:
        return model
    spec = compiled(side.form.rule, side.form.is_source)
    return model + b"\x1a" + _varint(len(spec)) + spec  # a later field of a protobuf message is merged with the earlier


@cache
def compiled(rule: str, is_source: bool) -> bytes:
    """Return the part of a model file that holds a rule: all sequences that the normal form changes."""
    normalize = NormalForm(rule, is_source=is_source).normalize
    rules = ((text, normalize(plain(text))) for text in set(sequences()) - {"\0"})
    sentencepiece.set_min_log_level(2)
    changing = sorted((text, result) for text, result in rules if text != result)
    return sentencepiece.SentencePieceNormalizer(norm_map=changing).serialized_normalizer_spec()


def sequences() -> Iterator[str]:
    """Yield each character, the ways to write those that NFC composes of a letter and marks, and pairs of points."""
    for character in map(chr, chain(*PLANES)):
        yield character
        parts = unicodedata.normalize("NFD", character)
        if len(parts) == 1 or len(parts) > MOST_MARKS + 1:
            continue
        composed = nfc(parts)
        for marks in permutations(parts[1:]):
            for known in range(len(marks) + 1):
                spelled = nfc(parts[0] + "".join(marks[:known])) + "".join(marks[known:])
                if nfc(spelled) == composed:
                    yield spelled
    for points in POINTS:
        yield from map("".join, permutations([chr(point) for point in points], 2))


def _varint(number: int) -> bytes:
    """Write a number as protobuf does: seven bits a byte, the lowest first."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])
