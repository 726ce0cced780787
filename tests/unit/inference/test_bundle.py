"""The bundle on disk: what is written is read, and what is not as written is refused."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tree
from torch import Tensor

from nmt.config.decoding import DecodingConfig, EvaluationConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.model import ModelConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding import tokenizer as tokenizers
from nmt.data.encoding.tokenizer import PAD_ID, Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.errors import ArtifactError, UsageError
from nmt.evaluation.metrics import Scores
from nmt.files import digest_file, digest_json, read_json, write_json
from nmt.inference.bundle import FLOAT32, BundleConfig, add_scores, card, open_bundle, write_bundle
from nmt.inference.engines.native import load_model
from nmt.model.encoder_decoder import Transformer
from nmt.model.tensors import load_tensors, save_tensors
from nmt.tasks.grammar import generate

MODEL = ModelConfig(d_model=8, heads=2, ffn=16, encoder_layers=1, decoder_layers=1, tied_embeddings="target")
SIZES = 310, 320
BUNDLE_CONFIG = BundleConfig(
    name="unit",
    languages=LanguagesConfig(source="en", target="de"),
    model=MODEL,
    decoding=DecodingConfig(beam_size=3),
    evaluation=EvaluationConfig(tokenize="char"),
)
SCORES: Scores = {
    "bleu": {"score": 12.3456, "signature": "nrefs:1|case:mixed"},
    "ter": {"score": 70.0, "signature": "nrefs:1|case:lc"},
}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return Transformer(MODEL, *SIZES, pad_id=PAD_ID).weights()


@pytest.fixture(scope="module")
def made(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a bundle with separate vocabularies. Shared: never change it."""
    home = tmp_path_factory.mktemp("bundle")
    pairs = list(generate("train", 200, 1))
    (home / "tokenizer").mkdir()
    for side, size in zip(("source", "target"), SIZES, strict=True):
        folder = home / side
        folder.mkdir()
        config = TokenizerConfig(vocab_size=size, joint=True, character_coverage=0.99)
        column = [pair[side == "target"] for pair in pairs]
        train(column, column, config, folder, seed=1)
        shutil.copyfile(folder / "tokenizer.model", home / "tokenizer" / f"{side}.model")
    names = {side: f"{side}.model" for side in ("source", "target")}
    write_json(
        home / "tokenizer" / tokenizers.CARD,
        {
            "format": tokenizers.FORMAT,
            **names,
            "normalization": "nmt_nfkc",
            "target_normalization": "nfc",
            "files": {name: digest_file(home / "tokenizer" / name) for name in names.values()},
        },
    )
    write_bundle(home / "model", weights, home / "tokenizer", {"seed": 7}, BUNDLE_CONFIG)
    return home / "model"


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "model")


def error_of(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_model(open_bundle(path))
    return str(caught.value)


def change_config(folder: Path, **values: Any) -> None:
    """Change keys of a bundle's config, and its digest with them."""
    config = {**json.loads((folder / "config.json").read_text(encoding="utf-8")), **values}
    del config["digest"]
    write_json(folder / "config.json", {**config, "digest": digest_json(config)})


def test_a_bundle_is_read_as_it_was_written(made: Path, weights: dict[str, Tensor]) -> None:
    bundle = open_bundle(made)
    config = bundle.config
    assert (config.name, config.languages.source, config.languages.target) == ("unit", "en", "de")
    assert (config.model, config.decoding.beam_size, config.evaluation.tokenize) == (MODEL, 3, "char")
    assert (bundle.tokenizer.source_size, bundle.tokenizer.target_size) == SIZES
    found = load_model(bundle).weights()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_a_bundle_holds_these_files_and_digests_of_those_that_matter(made: Path) -> None:
    verified = {"model.safetensors", "source.model", "target.model", "tokenizer.json"}
    assert set(tree(made)) == verified | {"config.json", "lock.json", "scores.json", "README.md"}
    config = json.loads((made / "config.json").read_text(encoding="utf-8"))
    assert config["format"] == FLOAT32 == 1
    assert config["files"] == {name: digest_file(made / name) for name in verified}
    assert json.loads((made / "lock.json").read_text(encoding="utf-8")) == {"seed": 7}
    assert json.loads((made / "scores.json").read_text(encoding="utf-8")) == {}


def test_the_same_weights_make_the_same_bytes(made: Path, weights: dict[str, Tensor], tmp_path: Path) -> None:
    write_bundle(tmp_path / "again", weights, made, {"seed": 7}, open_bundle(made).config)
    assert tree(tmp_path / "again") == tree(made)


def test_weights_are_as_readable_as_the_other_files(made: Path) -> None:
    assert len({path.stat().st_mode for path in made.iterdir()}) == 1


def test_scores_are_added_without_touching_what_is_verified(copy: Path) -> None:
    bundle = open_bundle(copy)
    before = tree(copy)
    add_scores(copy, bundle.config, {"news": SCORES})
    after = tree(copy)
    assert {name for name in after if after[name] != before[name]} == {"scores.json", "README.md"}
    assert json.loads(after["scores.json"]) == {"news": SCORES}
    assert open_bundle(copy).config == bundle.config


def test_the_card_shows_scores_in_a_table_whose_cells_no_signature_breaks(made: Path) -> None:
    config = open_bundle(made).config
    assert "| Test |" not in card(config, {})
    assert card(config, {"news": SCORES}).split("\n")[-5:] == [
        "| Test | Metric | Score | Signature |",
        "|---|---|---|---|",
        "| news | bleu | 12.35 | `nrefs:1\\|case:mixed` |",
        "| news | ter | 70.00 | `nrefs:1\\|case:lc` |",
        "",
    ]


@pytest.mark.parametrize("name", ["model.safetensors", "source.model", "target.model", "tokenizer.json"])
def test_any_changed_byte_of_a_verified_file_is_found(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    rng = random.Random(name)
    for _ in range(20):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (copy / name).write_bytes(damaged)
        assert error_of(copy).startswith(f"{copy / name}: damaged: its SHA-256 is not the one in config.json")
    for cut in (0, 1, len(content) - 1):
        (copy / name).write_bytes(content[:cut])
        assert error_of(copy).startswith(f"{copy / name}: damaged: ")
    (copy / name).write_bytes(content)
    assert open_bundle(copy).config == open_bundle(copy).config


@pytest.mark.parametrize("name", ["model.safetensors", "source.model", "target.model", "tokenizer.json"])
def test_a_file_that_the_config_does_not_list_is_refused(copy: Path, name: str) -> None:
    files = read_json(copy / "config.json")["files"]
    change_config(copy, files={key: value for key, value in files.items() if key != name})
    assert error_of(copy).startswith(f"{copy / 'config.json'}: damaged: its files do not list {name} (")


def test_weights_of_another_type_are_refused_even_with_a_right_digest(copy: Path, weights: dict[str, Tensor]) -> None:
    for kind in (torch.float64, torch.bfloat16, torch.int32):
        save_tensors({name: tensor.to(kind) for name, tensor in weights.items()}, copy / "model.safetensors")
        files = read_json(copy / "config.json")["files"]
        change_config(copy, files={**files, "model.safetensors": digest_file(copy / "model.safetensors")})
        with pytest.raises(ArtifactError, match=r" is of type \w+, not F32"):
            load_model(open_bundle(copy))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "d_model", 2**40), ("model", "ffn", 10**30), ("model", "encoder_layers", 10**9),
        ("model", "max_length", 10**9), ("model", "heads", 2**62), ("decoding", "beam_size", 10**9),
        ("decoding", "no_repeat_ngram", 10**30), ("decoding", "max_length_ratio", 1e300),
        ("evaluation", "chrf_word_order", 10**9), ("model", "dropout", "0.1"), ("model", "d_model", 8.5),
        ("decoding", "beam_size", None), ("languages", "source", ["en"]), ("model", "norm", {"post": 1}),
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused_before_a_model_is_built(
    copy: Path, section: str, key: str, value: object
) -> None:
    change_config(copy, **{section: {**read_json(copy / "config.json")[section], key: value}})
    assert error_of(copy).startswith(f"{copy / 'config.json'}: {section}.{key}: must be ")


def test_a_config_of_another_model_is_refused_before_the_model_is_built(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = read_json(copy / "config.json")["model"]
    change_config(copy, model={**model, "d_model": 2**16, "ffn": 2**18, "decoder_layers": 3})
    monkeypatch.setattr("nmt.inference.engines.native.build_undrawn", lambda *_: pytest.fail("a model is built"))
    with pytest.raises(ArtifactError, match=r"model\.safetensors: does not hold this model: "):
        load_model(open_bundle(copy))


def test_a_damaged_config_is_an_error_or_a_valid_config_and_never_a_crash(copy: Path) -> None:
    content = (copy / "config.json").read_bytes()
    rng = random.Random(1)
    refused: list[str] = []
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (copy / "config.json").write_bytes(damaged)
        try:
            assert isinstance(open_bundle(copy).config, BundleConfig)
        except ArtifactError as error:
            refused.append(str(error))
    assert len(refused) > 200
    assert [message for message in refused if str(copy) not in message or "\n" in message] == []


def test_a_format_of_the_future_is_named_before_its_unknown_keys(copy: Path) -> None:
    change_config(copy, format=3, nmt="3.1", surprise=True)
    assert error_of(copy).startswith(f"{copy}: a bundle of format 3; this nmt ")
    assert error_of(copy).endswith(" reads formats 1 to 2 (use nmt 3.1 or newer)")


def test_a_bundle_of_an_nmt_that_knew_fewer_knobs_works_as_before(copy: Path) -> None:
    before = open_bundle(copy).config
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    del config["decoding"]["no_repeat_ngram"], config["model"]["attention_dropout"]
    change_config(copy, decoding=config["decoding"], model={**config["model"], "preset": "big"})
    found = open_bundle(copy).config
    assert found == before.model_copy(update={"model": before.model.model_copy(update={"preset": "big"})})


def test_an_unknown_key_of_this_format_is_named(copy: Path) -> None:
    change_config(copy, surprise=True, nmt="3.1")
    expected = f"{copy / 'config.json'}: surprise: Extra inputs are not permitted (use nmt 3.1 or newer)"
    assert error_of(copy) == expected


def test_weights_of_another_model_are_refused_even_with_a_right_digest(copy: Path, weights: dict[str, Tensor]) -> None:
    path = copy / "model.safetensors"
    files = json.loads((copy / "config.json").read_text(encoding="utf-8"))["files"]
    name = next(iter(weights))
    for wrong in (
        {key: tensor for key, tensor in weights.items() if key != name},
        {**weights, "more": torch.zeros(1)},
        {**weights, name: torch.zeros(3, 3)},
    ):
        save_tensors(wrong, path)
        change_config(copy, files={**files, "model.safetensors": digest_file(path)})
        assert error_of(copy).startswith(f"{path}: does not hold this model: ")


def test_what_is_no_safetensors_file_is_refused_even_with_a_right_digest(copy: Path) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(b"\x80\x02}q\x00.")  # a pickle
    files = json.loads((copy / "config.json").read_text(encoding="utf-8"))["files"]
    change_config(copy, files={**files, "model.safetensors": digest_file(path)})
    assert error_of(copy).startswith(f"{path}: damaged: ")
    with pytest.raises(ArtifactError):
        load_tensors(path)


def test_tokenizers_that_were_exchanged_are_found(copy: Path) -> None:
    (copy / "source.model").rename(copy / "x")
    (copy / "target.model").rename(copy / "source.model")
    (copy / "x").rename(copy / "target.model")
    assert "damaged: its SHA-256" in error_of(copy)


def test_a_folder_that_does_not_exist_or_is_empty_is_said_so(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none") == (
        f"{tmp_path / 'none'}: no such bundle (after `nmt run` it is runs/NAME/model)"
    )
    assert error_of(tmp_path) == (
        f"{tmp_path / 'config.json'}: missing, so this is no bundle "
        "(copy the bundle again, or make it again with `nmt run`)"
    )


def test_the_tokenizer_of_a_bundle_is_a_tokenizer_folder(made: Path) -> None:
    assert Tokenizer.load(made).source.encode(["A dog."]) == open_bundle(made).tokenizer.source.encode(["A dog."])


def test_a_bundle_says_what_is_kept_as_it_is_and_older_ones_keep_nothing(
    made: Path, weights: dict[str, Tensor], tmp_path: Path, copy: Path
) -> None:
    write_bundle(tmp_path / "keeps", weights, made, {}, BUNDLE_CONFIG.model_copy(update={"protect": "[0-9]+"}))
    assert open_bundle(tmp_path / "keeps").config.protect == "[0-9]+"
    older = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    del older["protect"], older["digest"]
    write_json(copy / "config.json", {**older, "digest": digest_json(older)})
    assert open_bundle(copy).config.protect is None


@pytest.mark.parametrize(
    ("objective", "hint"),
    [("denoising", "fine-tune it: nmt run RECIPE --init-from"), ("masked", "an encoder alone does not translate")],
)
def test_a_model_of_another_objective_does_not_translate_and_its_card_says_so(
    made: Path, copy: Path, objective: str, hint: str
) -> None:
    open_bundle(made).check_translates()
    change_config(copy, objective=objective)
    bundle = open_bundle(copy)
    with pytest.raises(UsageError, match=f"model: was trained for {objective}, not translation") as caught:
        bundle.check_translates()
    assert str(caught.value.hint).startswith(hint)
    text = card(bundle.config, {})
    assert f"A pretrained model made by nmt {bundle.config.nmt}: encoder-decoder Transformer, width 8, " in text
    assert f" layers. It was trained for {objective}, and does not translate.\n" in text
    assert "\nnmt run RECIPE --init-from PATH_OF_THIS_FOLDER\n" in text
    assert "nmt translate" not in text


def test_a_bundle_of_an_older_nmt_translates(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    del config["objective"], config["digest"]
    write_json(copy / "config.json", {**config, "digest": digest_json(config)})
    open_bundle(copy).check_translates()
