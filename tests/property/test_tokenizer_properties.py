"""What holds for every line of text, in any script, under every normalisation rule."""

import re
import tempfile
import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding.tokenizer import SPACE, UNK_ID, Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.tasks.algorithmic import TASKS

RULES = ["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "nfc", "identity"]
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
        {
            "vocab_size": 380,
            "hard_vocab_limit": False,
            "normalization": rule,
            "target_normalization": rule,
            "model_type": model_type,
            "user_defined_symbols": ["<2de>"],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        train(WORDS * 3, WORDS * 3, config, Path(folder), seed=1)
        return Tokenizer.load(Path(folder))


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None)
@given(line=LINES)
def test_decoding_what_was_encoded_gives_the_normalised_line(rule: str, line: str) -> None:
    sides = tokenizer(rule)
    assert sides.target.decode(sides.target.encode([line])) == [sides.target.normalize(line)]
    assert sides.source.decode(sides.source.encode([line])) == [sides.source.normalize(line)]


@settings(deadline=None)
@given(line=LINES)
def test_the_round_trip_holds_for_a_unigram_model_too(line: str) -> None:
    sides = tokenizer("nmt_nfkc", "unigram")
    assert sides.target.decode(sides.target.encode([line])) == [sides.target.normalize(line)]


TASK_SYMBOLS = TASKS["addition-hinted"].vocabulary(50)


@cache
def words_of_tasks() -> Tokenizer:
    config = TokenizerConfig(model_type="word", byte_fallback=False, vocab_size=100, hard_vocab_limit=False)
    with tempfile.TemporaryDirectory() as folder:
        train([" ".join(TASK_SYMBOLS)], TASK_SYMBOLS, config, Path(folder), seed=1)
        return Tokenizer.load(Path(folder))


@settings(deadline=None)
@given(symbols=st.lists(st.sampled_from(TASK_SYMBOLS), max_size=40))
def test_each_symbol_of_a_task_is_one_piece_and_comes_back(symbols: list[str]) -> None:
    for side in (words_of_tasks().source, words_of_tasks().target):
        [ids] = side.encode([" ".join(symbols)])
        assert len(ids) == len(symbols)
        assert side.decode([ids]) == [" ".join(symbols)]


@settings(deadline=None)
@given(line=LINES)
def test_any_text_is_known_words_and_runs_of_unknown_ones(line: str) -> None:
    side = words_of_tasks().source
    known = {piece.removeprefix(SPACE): number for number, piece in enumerate(side.pieces(range(side.size)))}
    words = [word for word in side.normalize(line).split(" ") if word]
    ids = [known[word] if word in TASK_SYMBOLS else UNK_ID for word in words]
    runs = [[UNK_ID] if number == UNK_ID else list(run) for number, run in groupby(ids)]
    assert side.encode([line]) == [[number for run in runs for number in run]]


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
@given(ids=st.lists(st.integers(0, 369), max_size=40))
def test_whatever_ids_a_model_says_they_decode_to_one_line(ids: list[int]) -> None:
    [line] = tokenizer("nmt_nfkc").target.decode([ids])
    assert line.splitlines() == [line] * bool(line)
    assert not set("\0▁") & set(line)


@settings(deadline=None)
@given(lines=st.lists(LINES, max_size=8))
def test_a_batch_is_encoded_as_its_lines_are(lines: list[str]) -> None:
    side = tokenizer("nmt_nfkc")
    assert side.source.encode(lines) == [side.source.encode([line])[0] for line in lines]


SCRIPTS = st.sampled_from(
    [
        *(unicodedata.normalize("NFD", word) for word in ("Äpfel", "Việt Nam", "한국어", "čeština")),
        *("\u1112\u1161\u11ab\u1100\u1173\u11af", "ㅎㅏㄴ", "ｶﾞｷﾞｸﾞ", "か\u3099"),  # jamo, half width, voiced
        *("👩🏽\u200d🚀", "🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3", "🇩🇪🇫🇷🇯", "👨\u200d👩\u200d👧\u200d"),
        *("שָׁל֑וֹם", "السَّلَامُ", "\u202bعربي\u202c", "\u200fא\u200e", "می\u200cخواهم", "لا ﷺ"),
        *("ภาษาไทยไม่มีช่องว่าง", "ភាសាខ្មែរ", "ພາສາລາວ", "བོད་སྐད", "မြန်မာ", "ಕನ್ನಡ", "க்ஷ", "ক্ষ"),
        *("\ue000\uf8ff", "\U000f0000", "\ud7ff", "𝔘𝔫𝔦", "𐍈𐌰", "𒀀𓀀", "𠀀𠮟", "龍\U000e0100"),
        *("e" + "\u0301" * 9, "Z\u0351\u036b\u0343", "\u0301\u0308", "q\u0307\u0323", "ﬁ", "Ǆ", "ẞ", "İi"),
        *("٣٤٥", "१२३", "๔๕", "３７", "²³", "Ⅻ", "①", "½", "𝟘𝟙"),
        *("x" * 300, "Donau" * 60, "長" * 200, " \u00a0 \u2009 "),
    ]
)
MIXED = st.lists(st.one_of(SCRIPTS, AWKWARD, st.characters(exclude_categories=["Cs"])), max_size=8).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda between: between.join(parts))
)
TAGS = ["<2fr>", "<news>", "@domain"]
SYMBOLS = [*TAGS, "⟦0⟧", "⟦1⟧", "⟦2⟧"]
"""None of the normalisation rules changes them."""


@cache
def tagged(rule: str, model_type: str) -> Tokenizer:
    config = TokenizerConfig.model_validate(
        {
            "vocab_size": 400,
            "hard_vocab_limit": False,
            "normalization": rule,
            "target_normalization": rule,
            "model_type": model_type,
            "placeholders": 3,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        train(WORDS * 3, WORDS * 3, config, Path(folder), seed=1, tags=TAGS)
        return Tokenizer.load(Path(folder))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
@settings(deadline=None, max_examples=40)
@given(line=MIXED)
def test_every_script_comes_back_as_it_is_normalised(rule: str, model_type: str, line: str) -> None:
    side = tagged(rule, model_type).target
    assert side.decode(side.encode([line])) == [side.normalize(line)]


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
@settings(deadline=None)
@given(line=MIXED, alpha=st.sampled_from([0.01, 0.1, 0.5, 0.9]), seed=st.integers(0, 2**64))
def test_a_sampled_split_decodes_to_the_same_line(model_type: str, line: str, alpha: float, seed: int) -> None:
    side = tagged("nmt_nfkc", model_type).source
    ids = side.sample(line, alpha, seed)
    assert side.decode([ids]) == side.decode(side.encode([line]))
    assert side.sample(line, alpha, seed) == ids


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None)
@given(line=MIXED)
def test_without_dropout_a_sampled_split_is_the_plain_one(rule: str, line: str) -> None:
    side = tagged(rule, "bpe").source
    assert side.sample(line, 1e-12, 1) == side.encode([line])[0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
@settings(deadline=None, max_examples=40)
@given(
    tags=st.lists(st.sampled_from(TAGS), max_size=3),
    parts=st.lists(st.tuples(MIXED, st.sampled_from(["", " "]), st.sampled_from(SYMBOLS)), max_size=5),
    end=MIXED,
)
def test_placeholders_are_whole_pieces_wherever_they_stand_and_tags_before_the_source(
    rule: str, model_type: str, tags: list[str], parts: list[tuple[str, str, str]], end: str
) -> None:
    sides = tagged(rule, model_type)
    line = " ".join([*tags, "x"]) + "".join(f"{text}{space}{symbol}{space}" for text, space, symbol in parts) + end
    placeholders = [symbol for _, _, symbol in parts if symbol not in TAGS]
    for side, wanted in ((sides.source, [*tags, *placeholders]), (sides.target, placeholders)):
        for ids in (side.encode([line])[0], side.sample(line, 0.3, 1)):
            assert [piece for piece in side.pieces(ids) if piece in SYMBOLS] == wanted
            [decoded] = side.decode([ids])
            assert decoded == side.normalize(line)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
@settings(deadline=None, max_examples=40)
@given(line=MIXED)
def test_text_in_any_canonically_equivalent_form_has_the_same_pieces(rule: str, model_type: str, line: str) -> None:
    sides = tagged(rule, model_type)
    if rule != "identity":
        for side in (sides.source, sides.target):
            forms = [unicodedata.normalize("NFC", line), unicodedata.normalize("NFD", line)]
            assert side.encode(forms) == side.encode([line, line])
            assert unicodedata.is_normalized("NFC", side.normalize(line))


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
@settings(deadline=None)
@given(line=MIXED)
def test_the_target_comes_back_but_for_nfc_and_spaces(model_type: str, line: str) -> None:
    side = tagged("nfc", model_type).target
    kept = re.sub("[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029\0\u2581 ]+", " ", line)
    assert side.decode(side.encode([line])) == [unicodedata.normalize("NFC", kept).strip(" ")]
