"""The tokenizer of the package `tokenizers`: the same ids and texts as the bundle's."""

import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers")

from tokenizers import Tokenizer as FastTokenizer

from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding.tokenizer import EOS_ID, PAD_ID, UNK_ID, Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.exporting.fast_tokenizer import (
    differing,
    fast_tokenizer,
    merges,
    settings,
    unstable,
    vocabulary,
)
from nmt.exporting.huggingface import AWKWARD
from nmt.exporting.tokenizers import odd_text

TEXT = ["a drunk cat sees 1 pad, or 20", "Viê\u0323t Nam", "한국 각", "Straße，über！ 1½ m²", "می\u200cخواهم", "שָׁלוֹם"]
TAGS = ["<2de>", "<2d>", "@fr"]
TAGGED = (
    *("<2de> a cat", "  <2de>a cat", "<2de>", "<2de><2de> a", "@fr <2de> a", "@frog", "a <2de> b", "\uff1c2de> a"),
    *(
        "a \u27e60\u27e7 b",
        "\u27e60\u27e7\u27e61\u27e7",
        "a\u27e60\u27e7.",
        "\u27e69\u27e7",
        "<x>a<x>",
        "\uff1cx\uff1e",
    ),
)
"""Tags at the start and elsewhere, placeholders, symbols, and text that the rule would turn into them."""
KINDS: dict[str, dict[str, Any]] = {
    "bpe": {},
    "unigram": {"model_type": "unigram"},
    "apart": {"joint": False, "byte_fallback": False, "character_coverage": 0.98},
    "unigram apart": {"model_type": "unigram", "joint": False, "byte_fallback": False, "character_coverage": 0.98},
    "symbols": {"placeholders": 2, "user_defined_symbols": ["<x>"], "masks": 1},
    "unigram symbols": {"model_type": "unigram", "placeholders": 2, "user_defined_symbols": ["<x>"]},
    "folded": {"normalization": "nmt_nfkc_cf"},
    "nfc": {"normalization": "nfc"},
    "identity": {"normalization": "identity", "target_normalization": "identity"},
}


@pytest.fixture(scope="module", params=KINDS)
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    config = TokenizerConfig(vocab_size=420, hard_vocab_limit=False, **KINDS[request.param])
    train(TEXT * 3, TEXT[::-1] * 3, config, folder, seed=1, tags=TAGS if "symbols" in request.param else [])
    return Tokenizer.load(folder)


def loaded(own: Tokenizer) -> FastTokenizer:
    """Return the tokenizer as a file holds it, with the setting that transformers makes."""
    fast = FastTokenizer.from_str(fast_tokenizer(own, vocabulary(own)).to_str())
    fast.encode_special_tokens = True
    return fast


def encoded(own: Tokenizer, lines: list[str]) -> list[tuple[str, list[int], list[int]]]:
    """Return each of `lines` with the ids of the bundle's tokenizer and of the other, both with EOS."""
    offset = vocabulary(own).offset
    theirs = [[i - offset for i in each.ids] for each in loaded(own).encode_batch(lines)]
    return [
        (line, [*ids, EOS_ID], found) for line, ids, found in zip(lines, own.source.encode(lines), theirs, strict=True)
    ]


def test_text_has_the_same_ids(own: Tokenizer) -> None:
    lines = [*odd_text([*TEXT, *AWKWARD, *TAGGED]), *AWKWARD]
    for line, expected, found in encoded(own, lines):
        assert found == expected, ascii(line)


def test_letters_and_marks_at_random_have_the_same_ids(own: Tokenizer) -> None:
    rng = random.Random(1)
    pool = "aB\u00bd\ufb01\uff21\u0130\u03c2\u3000\u200b\u13a0\uab75\uff5e\U0001d400\U0001e030 \u1112\u1161\u11ab"
    pool += "\u0301\u0323\u0308\u064e\u0651\u05b8"
    lines = ["".join(rng.choices(pool, k=rng.randrange(1, 12))) for _ in range(500)]
    for line, expected, found in encoded(own, lines):
        assert found == expected, ascii(line)


def test_ids_have_the_same_text(own: Tokenizer) -> None:
    rng, fast = random.Random(2), loaded(own)
    pieces = own.target.pieces(range(own.target_size))
    no_bytes = [i for i, piece in enumerate(pieces) if not piece.startswith("<0x")]
    rows = [rng.choices(no_bytes, k=rng.randrange(8)) for _ in range(500)]
    rows += [[UNK_ID], [PAD_ID, UNK_ID, 9], *own.target.encode([*TEXT, "\u4e16 \U0001f469\n"])]
    assert fast.decode_batch(rows, skip_special_tokens=True) == own.target.decode(rows)


def test_the_tokens_are_the_pieces_and_private_ones_are_not_in_them(own: Tokenizer) -> None:
    vocab, (source, target) = vocabulary(own), own.pieces
    assert len(set(vocab.tokens)) == len(vocab.tokens)
    assert vocab.offset == (0 if own.joint else own.target_size)
    assert vocab.tokens[:4] == target[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    used = {*"".join([*source, *target])}
    assert used.isdisjoint([vocab.other, *vocab.symbols.values(), *vocab.kept.values()])
    names = [token.removeprefix(vocab.other) for token in vocab.special]
    assert names == ["<pad>", "<s>", "</s>", *(target[i] for i in own.masks)] * (1 if own.joint else 2)


def test_private_characters_are_others_where_the_text_has_some(tmp_path: Path) -> None:
    train(["a \U000f0000 b"] * 3, ["a"] * 3, TokenizerConfig(vocab_size=300, hard_vocab_limit=False), tmp_path, seed=1)
    own = Tokenizer.load(tmp_path)
    assert vocabulary(own).other == "\U000f0001"
    ((_, expected, found),) = encoded(own, ["\U000f0000a"])
    assert found == expected


def test_merges_begin_with_the_likeliest_piece() -> None:
    scores = {"ab": -1.0, "abc": 0.0, "x": -2.0, "bc": -3.0}
    ids = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "x": 6}
    assert merges(scores, ids) == [("a", "bc"), ("ab", "c"), ("a", "b"), ("b", "c")]


def test_what_a_rule_does_otherwise_than_nfkc_is_found() -> None:
    found = dict(differing("nmt_nfkc"))
    assert (found["\x01"], found["\u200b"], found["\u00ad"], found["\uff5e"]) == ("", " ", "", "\uff5e")
    assert "\uff21" not in found
    assert unicodedata.normalize("NFKC", "\uff5e") == "~"
    assert unstable("nmt_nfkc") == ["\uff5e"]
    assert unstable("nfc") == unstable("identity") == []
    assert {"\u0130", "\u13a0"} <= {*unstable("nfkc_cf")}


def test_the_settings_name_special_tokens_and_take_their_spelling_for_text(own: Tokenizer) -> None:
    found: dict[str, Any] = settings(vocabulary(own), 64)
    assert found["tokenizer_class"] == "PreTrainedTokenizerFast"  # of version 4 too
    assert [found[f"{name}_token"] for name in ("pad", "bos", "eos")] == ["<pad>", "<s>", "</s>"]
    assert (found["model_max_length"], found["split_special_tokens"]) == (64, True)
