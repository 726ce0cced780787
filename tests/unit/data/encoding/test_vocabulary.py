"""SentencePiece models whose pieces have the ids of a vocabulary beside them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from nmt.data.encoding.tokenizer import CARD, TOKENIZER, UNK_ID, SentencePieceModel, Tokenizer
from nmt.data.encoding.vocabulary import Vocabulary, VocabularyProcessor
from nmt.errors import ArtifactError
from nmt.files import digest_file, read_json, write_json

PIECES = ["<pad>", "<unk>", "<s>", "</s>", ">>x<<", "\u2581ab", "b", "a", "\u4e2d\u6587", "\u2581"]


def train() -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ab abb aab c < > x"] * 4),
        model_writer=model,
        vocab_size=12,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def processor(tags: tuple[str, ...] = (">>x<<",)) -> VocabularyProcessor:
    return VocabularyProcessor(
        sentencepiece.SentencePieceProcessor(model_proto=train()), Vocabulary(PIECES, UNK_ID), tags
    )


def write(folder: Path, *, joint: bool = True, **changes: object) -> Path:
    """Write a tokenizer of one vocabulary, or of two that are the same."""
    names = ["v.json"] * 2 if joint else ["v.json", "w.json"]
    for name in names:
        write_json(folder / name, PIECES)
    for name in ("s.model", "t.model"):
        (folder / name).write_bytes(train())
    files = {name: digest_file(folder / name) for name in (*names, "s.model", "t.model")}
    ids_of = dict(zip(("s.model", "t.model"), names, strict=True))
    card = {"format": 1, "source": "s.model", "target": "t.model", "normalization": None, "tags": [">>x<<"]}
    TOKENIZER.write(folder, {**card, "vocabularies": ids_of, "files": files, **changes})
    return folder


def spelled(line: str) -> list[str]:
    return SentencePieceModel(processor()).encode_pieces([line])[0]


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ("", []),
        ("ab", ["\u2581ab"]),
        ("c", ["\u2581", "<unk>"]),  # a piece of the model that the vocabulary lacks
        ("\u4e2d\u6587", ["\u2581", "\u4e2d\u6587"]),  # no piece of the model, but of the vocabulary
        ("\u4e2d", ["\u2581", "<unk>"]),
        (">>x<< ab", [">>x<<", "\u2581ab"]),
        (">>x<<", [">>x<<"]),
    ],
)
def test_pieces_are_looked_up_as_they_are_spelled(line: str, pieces: list[str]) -> None:
    assert spelled(line) == pieces
    assert processor().encode([line] * 7, out_type=int, num_threads=2) == [processor().encode(line, out_type=int)] * 7


def test_a_tag_counts_at_the_start_of_a_line_alone() -> None:
    assert ">>x<<" not in spelled("ab >>x<<")
    assert processor(()).encode(">>x<< ab", out_type=int)[0] != PIECES.index(">>x<<")


def test_special_pieces_have_no_text() -> None:
    side = processor()
    assert side.decode([0, 2, 5, 6, 3, 8]) == "abb\u4e2d\u6587"
    assert side.decode([5, 1]) == "ab \u2047 "
    assert [side.is_control(i) for i in range(5)] == [True, False, True, True, False]
    assert (side.get_piece_size(), side.is_byte(5), side.piece_to_id("?")) == (10, False, UNK_ID)


def test_a_folder_is_loaded_with_its_vocabularies(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write(tmp_path))
    assert (tokenizer.source_size, tokenizer.target_size, tokenizer.joint) == (10, 10, True)
    assert tokenizer.pieces == (PIECES, PIECES)
    assert sorted(tokenizer.files) == ["s.model", "t.model", CARD, "v.json"]
    assert tokenizer.source.encode([">>x<< ab"]) == [[4, 5]]
    assert tokenizer.source.normalize("  ab\tc ") == "ab c"
    assert tokenizer.source.normalize(">>x<< ab") == ">>x<< ab"
    assert {tuple(tokenizer.source.sample(">>x<< ab", 0.5, seed))[:1] for seed in range(9)} == {(4,)}
    assert {i for seed in range(40) for i in tokenizer.source.sample("abb c", 0.5, seed)} <= {1, 5, 6, 7, 9}


def test_two_vocabularies_are_not_joint_though_they_are_the_same(tmp_path: Path) -> None:
    assert not Tokenizer.load(write(tmp_path, joint=False)).joint


@pytest.mark.parametrize("content", [PIECES[:4], [*PIECES, "b"], {"a": 1}, [*PIECES, 7], None])
def test_a_file_that_is_no_vocabulary_is_one_line(content: object, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"v.json: not a list of different pieces, or a damaged one$"):
        Vocabulary.load(tmp_path / "v.json", UNK_ID)


@pytest.mark.parametrize("changes", [{"placeholders": 1}, {"masks": 1}, {"user_defined_symbols": ["x"]}])
def test_a_vocabulary_goes_with_no_other_symbols(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="vocabularies go with tags alone, in format 1"):
        Tokenizer.load(write(tmp_path, **changes))


def test_a_vocabulary_is_verified_by_its_digest(tmp_path: Path) -> None:
    write(tmp_path)
    write_json(tmp_path / "v.json", PIECES[::-1])
    with pytest.raises(ArtifactError, match=r"v.json: damaged: its SHA-256 is not the one in tokenizer.json"):
        Tokenizer.load(tmp_path)
    assert read_json(tmp_path / "v.json")[0] == PIECES[-1]


def test_a_tag_that_the_vocabulary_lacks_is_damage(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="'>>y<<' is no piece of"):
        Tokenizer.load(write(tmp_path, tags=[">>y<<"]))


def test_without_a_vocabulary_the_special_ids_of_the_model_count(tmp_path: Path) -> None:
    (tmp_path / "s.model").write_bytes(train())
    with pytest.raises(ArtifactError, match="its ids of <pad>"):
        SentencePieceModel.load(tmp_path / "s.model")
