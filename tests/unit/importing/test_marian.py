"""Folders of Marian models: what is read of them, and what nmt does not compute is refused in one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nmt.data.encoding.tokenizer import Tokenizer
from nmt.errors import ArtifactError
from nmt.files import read_json
from nmt.importing.marian import BEGINNING, MarianFolder, side_of

pytest.importorskip("transformers")
from marians import TAGS, save_marian


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tags. Shared: never change it."""
    return save_marian(tmp_path_factory.mktemp("marian") / "made", tags=True)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "copy")


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def problem(folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        MarianFolder.open(folder).model  # noqa: B018 - a property that raises
    line = str(caught.value).replace(f"{folder}/", "")
    assert "\n" not in line
    return line


def test_the_section_of_the_model_is_that_of_the_folder(made: Path) -> None:
    model = MarianFolder.open(made).model
    shape = (model.d_model, model.heads, model.ffn, model.encoder_layers, model.decoder_layers, model.max_length)
    assert shape == (16, 4, 24, 2, 1, 96)
    assert (model.activation, model.norm, model.positions, model.dropout) == ("silu", "post", "sinusoidal", 0.1)
    assert (model.tied_embeddings, model.output_bias) == ("all", True)


@pytest.mark.parametrize(
    ("changes", "tied"),
    [
        ({"scale_embedding": False}, "none"),
        ({"tie_word_embeddings": False}, "none"),
        ({"share_encoder_decoder_embeddings": False}, "target"),
    ],
)
def test_embeddings_are_tied_as_there(changes: dict[str, bool], tied: str, copy: Path) -> None:
    change(copy / "config.json", **changes)
    assert MarianFolder.open(copy).model.tied_embeddings == tied


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model_type": "t5"}, "config.json: model_type = 't5', not 'marian' (the layout is that of Helsinki-NLP's"),
        ({"model_type": None}, "config.json: model_type = None, not 'marian' (the layout"),
        ({"normalize_embedding": True}, "config.json: normalize_embedding = true: nmt has no such model"),
        ({"normalize_before": True}, "config.json: normalize_before = true: nmt has no such model"),
        ({"add_final_layer_norm": True}, "config.json: add_final_layer_norm = true: nmt has no such model"),
        ({"static_position_embeddings": False}, "config.json: static_position_embeddings = false: nmt has no"),
        ({"activation_function": "tanh"}, "config.json: activation_function = 'tanh': nmt has no such model"),
        ({"decoder_ffn_dim": 8}, "config.json: encoder_ffn_dim = 24, decoder_ffn_dim = 8: nmt has no such model"),
        (
            {"decoder_attention_heads": 2},
            "config.json: encoder_attention_heads = 4, decoder_attention_heads = 2: nmt has no such model",
        ),
        ({"d_model": "x"}, "config.json: d_model: must be a valid integer"),
        ({"d_model": 18}, "config.json: model.: heads = 4 must divide d_model = 18, or set head_width"),
        ({"max_position_embeddings": 4}, "config.json: model.max_length: must be greater than or equal to 8"),
        ({"eos_token_id": 5}, "vocab.json: the id of </s> is 0, not 5 as config.json says"),
        ({"pad_token_id": 3}, "vocab.json: the id of <pad> is "),
        ({"decoder_start_token_id": 5000}, "vocab.json: no piece has the id 5000, which is decoder_start_token_id"),
        ({"vocab_size": 9}, "vocab.json: 279 pieces, and config.json says 9"),
        ({"vocab_size": 300}, "vocab.json: no piece has the id 279, of 300 that config.json says"),
        (
            {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 7},
            "config.json: vocab_size = 279, decoder_vocab_size = 7, and one vocabulary",
        ),
    ],
)
def test_a_model_of_another_kind_is_one_line(changes: dict[str, Any], expected: str, copy: Path) -> None:
    change(copy / "config.json", **changes)
    assert problem(copy).startswith(expected)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "vocab.json", "source.spm", "target.spm"])
def test_a_missing_file_is_one_line(name: str, copy: Path) -> None:
    (copy / name).unlink()
    assert problem(copy) == f"{name}: missing (the layout is that of Helsinki-NLP's opus-mt models)"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("config.json", "[]", "config.json: not an object"),
        ("config.json", "{", "config.json: no JSON: "),
        ("vocab.json", '{"a": "b"}', "vocab.json: no piece has the id 0, of 279 that config.json says"),
        ("vocab.json", '{"a": 0, "b": 0}', "vocab.json: no piece has the id 1, of 279 that config.json says"),
        ("generation_config.json", '{"num_beams": "x"}', "generation_config.json: num_beams: must be a valid integer"),
        (
            "tokenizer_config.json",
            '{"sp_model_kwargs": {"enable_sampling": true}}',
            "tokenizer_config.json: sp_model_kwargs = ",
        ),
        ("tokenizer_config.json", '{"separate_vocabs": true}', "config.json: share_encoder_decoder_embeddings = true,"),
    ],
)
def test_a_damaged_file_is_one_line(name: str, content: str, expected: str, copy: Path) -> None:
    (copy / name).write_text(content, encoding="utf-8")
    assert problem(copy).startswith(expected)


def test_vocabularies_apart_need_the_one_of_the_target(copy: Path) -> None:
    change(copy / "tokenizer_config.json", separate_vocabs=True)
    change(copy / "config.json", share_encoder_decoder_embeddings=False)
    assert problem(copy) == "target_vocab.json: missing (the layout is that of Helsinki-NLP's opus-mt models)"


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"x: no such folder \(name a folder, or a model of the Hub, OWNER/NAME\)$"):
        MarianFolder.open(tmp_path / "x")


def test_special_pieces_come_first_and_the_others_keep_their_order() -> None:
    ids = {"</s>": 0, "<unk>": 1, "a": 2, "b": 3, "<pad>": 4}
    side = side_of(Path("v"), ids, 4, 0, 4)
    assert side.pieces == ["<pad>", "<unk>", "<s>", "</s>", "a", "b"]
    assert side.order == [4, 1, 4, 0, 2, 3]
    started = side_of(Path("v"), ids, 4, 0, 3)
    assert (started.pieces, started.order) == (side.pieces, [4, 1, 3, 0, 2, 3])
    taken = side_of(Path("v"), {**ids, BEGINNING: 5}, 4, 0, 4)
    assert taken.pieces == ["<pad>", "<unk>", "<<s>>", "</s>", "a", "b", "<s>"]


def test_the_settings_of_the_search_are_the_nearest(copy: Path) -> None:
    assert MarianFolder.open(copy).generation.decoding().model_dump(include={"beam_size", "length_penalty"}) == {
        "beam_size": 4,
        "length_penalty": 1.0,
    }
    given = {"num_beams": 6, "length_penalty": 3.5, "no_repeat_ngram_size": 3, "bad_words_ids": [[278], [5], [1, 2]]}
    change(copy / "generation_config.json", **given)
    folder = MarianFolder.open(copy)
    decoding = folder.generation.decoding()
    assert (decoding.beam_size, decoding.length_penalty, decoding.no_repeat_ngram) == (6, 2.0, 3)
    assert folder.forbidden() == ["5", "1 2"]


def test_the_tokenizer_is_written_with_its_tags(made: Path, tmp_path: Path) -> None:
    MarianFolder.open(made).write_tokenizer(tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.tags, tokenizer.joint, tokenizer.normalization) == (TAGS, True, "nmt_nfkc")
    ids = read_json(made / "vocab.json")
    assert set(tokenizer.pieces[0]) == {*ids, "<s>"}
    assert tokenizer.source.pieces(tokenizer.source.encode([f"{TAGS[1]} The dog"])[0])[0] == TAGS[1]
