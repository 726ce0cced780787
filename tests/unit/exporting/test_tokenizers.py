"""SentencePiece models that stand alone: the normal form compiled into them."""

import unicodedata
from pathlib import Path

import pytest
import sentencepiece
from runs import unpack_format_1

from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding.tokenizer import SentencePieceModel, Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.exporting.tokenizers import ODD, export_tokenizers, odd_text, sequences, standalone

TEXT = ["the cat sees 1 dog, or 2", "Viê\u0323t Nam", "한국 각", "Straße，über！ 1½ m²", "می\u200cخواهم", "שָׁלוֹם"]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    config = TokenizerConfig(vocab_size=500, hard_vocab_limit=False, placeholders=1, masks=2)
    train(TEXT * 3, TEXT * 3, config, folder, seed=1, tags=["<2de>"])
    return Tokenizer.load(folder)


def alone(side: SentencePieceModel) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=standalone(side))


def test_odd_text_is_split_alike_but_for_marks_in_an_order_of_no_letter(sides: Tokenizer) -> None:
    texts = [*odd_text(TEXT), "tab\tand\u2028breaks \u2581", "<2de> a ⟦0⟧"]
    for side in (sides.source, sides.target):
        model = alone(side)
        same = [model.encode(text) == ids for text, ids in zip(texts, side.encode(texts), strict=True)]
        apart = {text for text, is_same in zip(texts, same, strict=True) if not is_same}
        assert apart <= {"q\u0307\u0323 u\u0308\u0304", "<2de> a ⟦0⟧"}
    assert "<2de>" in alone(sides.target).encode("a <2de>", out_type=str)


def test_masks_stay_pieces_that_no_text_has(sides: Tokenizer) -> None:
    model, text = alone(sides.source), "a <mask1> b<mask>"
    assert [model.id_to_piece(i) for i in sides.masks] == ["<mask>", "<mask1>"]
    assert model.encode(text) == sides.source.encode([text])[0]
    assert model.decode([*sides.masks, *model.encode(text)]) == text


def test_each_side_has_its_own_rule(sides: Tokenizer) -> None:
    text = "Ａ，½\u202f?e\u0302\u0323co\u00adop"
    assert alone(sides.source).decode(alone(sides.source).encode(text)) == "A,1\u20442 ?\u1ec7coop"
    assert alone(sides.target).decode(alone(sides.target).encode(text)) == "Ａ，½\u202f?\u1ec7co\u00adop"


def test_all_orders_of_the_marks_of_a_letter_and_of_points_are_compiled(sides: Tokenizer) -> None:
    model = alone(sides.target)
    for text in (
        "e\u0302\u0323",
        "e\u0323\u0302",
        "\xea\u0323",
        "u\u0308\u0304",
        "\uac00\u11a8",
        "\u0651\u064e",
        "\u05c1\u05b8",
    ):
        assert model.normalize(text) == "\u2581" + unicodedata.normalize("NFC", text)
    found = set(sequences())
    assert {"a", "e\u0302\u0323", "\xea\u0323", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u064e\u0651"} <= found
    assert "a\u0302\u0302" not in found


def test_the_models_are_compared_on_text_and_odd_text(sides: Tokenizer, tmp_path: Path) -> None:
    found = export_tokenizers(sides, tmp_path, ["a cat", "<2de> a <2de>"])
    assert found["source"] == {"file": "source.spm", "lines": 6 + len(ODD), "differing": 3 + 1}
    assert found["target"]["file"] == "target.spm"
    assert (tmp_path / "source.spm").read_bytes() == standalone(sides.source)


def test_models_with_a_rule_of_their_own_stay_as_they_are(tmp_path: Path) -> None:
    sides = Tokenizer.load(unpack_format_1(tmp_path)[0])
    assert standalone(sides.source) == (tmp_path / "format-1" / "model" / "tokenizer.model").read_bytes()
