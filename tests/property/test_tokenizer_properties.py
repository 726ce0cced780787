"""What holds for every line of text, in any script, under every normalisation rule."""

import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config import TokenizerConfig
from nmt.data.tokenizer import Tokenizer, train

RULES = ["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"]
WORDS = [
    "the garden is green", "Straße über Öl", "これは試験です", "Это тест", "هذا اختبار", "זה מבחן", "परीक्षण है",
    "여기는 시험", "नमस्ते", "ทดสอบ", "Ελλάδα", "a\u0308o\u0308", "1,234.56 €", "👩‍👩‍👧 🇩🇪", "ﬁ ﬀ ½ ™ ㎏",
]  # fmt: skip
AWKWARD = st.sampled_from(
    [
        *"\0\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u00a0\u00a8\u00ad\u200b\u200d\u2028\u2029\u202e\u2047\u2581\u2585\u3000",
        *"\ufe0f\ufeff\ufffd\uffff\U0010ffff\u0300\u0344\u037e",
        *(" ", "  ", "<s>", "</s>", "<unk>", "<pad>", "<0x0A>", "<2de>", "▁▁"),
        *WORDS,
    ]
)
LINES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.lists(st.one_of(AWKWARD, st.characters(exclude_categories=["Cs"])), max_size=12).map("".join),
)


@cache
def tokenizer(rule: str, model_type: str = "bpe") -> Tokenizer:
    config = TokenizerConfig.model_validate(
        {"vocab_size": 356, "normalization": rule, "model_type": model_type, "user_defined_symbols": ["<2de>"]}
    )
    with tempfile.TemporaryDirectory() as folder:
        train(WORDS * 3, WORDS * 3, config, Path(folder), seed=1)
        return Tokenizer.load(Path(folder))


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None)
@given(line=LINES)
def test_decoding_what_was_encoded_gives_the_normalised_line(rule: str, line: str) -> None:
    sides = tokenizer(rule)
    assert sides.decode_target(sides.encode_target([line])) == [sides.target.normalize(line)]
    assert sides.source.decode(sides.encode_source([line])) == [sides.source.normalize(line)]


@settings(deadline=None)
@given(line=LINES)
def test_the_round_trip_holds_for_a_unigram_model_too(line: str) -> None:
    sides = tokenizer("nmt_nfkc", "unigram")
    assert sides.decode_target(sides.encode_target([line])) == [sides.target.normalize(line)]


@settings(deadline=None)
@given(line=st.lists(st.sampled_from("aäß日本нд नमस्ते🎉 "), max_size=30).map("".join))
def test_the_identity_rule_changes_nothing_but_surplus_spaces(line: str) -> None:
    assert tokenizer("identity").target.normalize(line) == " ".join(line.split())


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None)
@given(line=LINES)
def test_normalised_text_is_one_line_without_reserved_characters(rule: str, line: str) -> None:
    normalised = tokenizer(rule).target.normalize(line)
    assert normalised.splitlines() == [normalised] * bool(normalised)
    assert not set("\0▁") & set(normalised)


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 355), max_size=40))
def test_whatever_ids_a_model_says_they_decode_to_one_line(ids: list[int]) -> None:
    [line] = tokenizer("nmt_nfkc").decode_target([ids])
    assert line.splitlines() == [line] * bool(line)
    assert not set("\0▁") & set(line)


@settings(deadline=None)
@given(lines=st.lists(LINES, max_size=8))
def test_a_batch_is_encoded_as_its_lines_are(lines: list[str]) -> None:
    side = tokenizer("nmt_nfkc")
    assert side.encode_source(lines) == [side.encode_source([line])[0] for line in lines]
