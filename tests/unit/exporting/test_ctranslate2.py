"""Exports to CTranslate2: what is kept and what is refused."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from runs import write_random

pytest.importorskip("ctranslate2")

import ctranslate2

from nmt.config.model import ModelConfig
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.converter import TransformerConverter
from nmt.exporting.ctranslate2 import check_shape, export_ctranslate2
from nmt.exporting.parity import read_sample
from nmt.exporting.tokenizers import ODD
from nmt.files import digest_file, digest_json, read_json
from nmt.inference.bundle import BUNDLE, WEIGHTS, open_bundle
from nmt.inference.engines.ctranslate2 import MANIFEST, CTranslate2Engine
from nmt.inference.translator import Translator

NAME = "exact"


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with an export. Shared: never change it."""
    bundle = shutil.copytree(tiny_model, tmp_path_factory.mktemp("export") / "model")
    export_ctranslate2(bundle, quantization="float32", name=NAME, sample=None)
    return bundle


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "model")


def test_the_manifest_says_what_it_was_made_from_and_how_it_agrees(made: Path) -> None:
    manifest = json.loads((made / "exports" / NAME / MANIFEST).read_text(encoding="utf-8"))
    assert manifest.pop("digest") == digest_json(manifest)
    assert manifest["weights"] == digest_file(made / WEIGHTS)
    assert (manifest["format"], manifest["engine"], manifest["quantization"]) == (1, "ctranslate2", "float32")
    assert (manifest["sample"], manifest["alignment_layer"]) == ("drawn from the vocabulary", 1)
    expected = ["config.json", "model.bin", "shared_vocabulary.json", "source.spm", "target.spm"]
    assert sorted(manifest["files"]) == expected
    assert [model["file"] for model in manifest["tokenizers"].values()] == expected[-2:]
    assert all(model["differing"] <= 0.01 * model["lines"] for model in manifest["tokenizers"].values())
    assert manifest["files"] == {name: digest_file(made / "exports" / NAME / name) for name in manifest["files"]}
    assert list(manifest["parity"]) == ["beam_1", "beam_5", "own_settings"]
    for search, found in manifest["parity"].items():
        assert 0 < found["lines"] <= 240 + len(ODD), search
        assert (found["differing"], found["ties"], round(found["bleu"], 6)) == (0, 0, 100), search
        assert 0 < found["score_difference"] < 1e-3, search


def test_the_bundle_itself_stays_as_it_is(tiny_model: Path, made: Path) -> None:
    files = {name: content for name, content in tree(made).items() if not name.startswith("exports/")}
    assert files == tree(tiny_model)


def test_making_an_export_again_replaces_it_by_the_same(copy: Path) -> None:
    before = tree(copy)
    (copy / "exports" / NAME / "model.bin").write_bytes(b"")
    export_ctranslate2(copy, quantization="float32", name=NAME, sample=None)
    assert tree(copy) == before


def test_text_is_a_sample_without_the_lines_that_no_model_takes(copy: Path, tmp_path: Path) -> None:
    text = tmp_path / "sample.en"
    text.write_text("A small dog sleeps.\n\n" + "old " * 500 + "\nThe woman sees a house.\n", encoding="utf-8")
    assert len(read_sample(text, open_bundle(copy))) == 2
    parity = export_ctranslate2(copy, quantization="float32", name="by-text", sample=text)["parity"]
    manifest = read_json(copy / "exports" / "by-text" / MANIFEST)
    assert manifest["parity"] == parity
    assert manifest["sample"] == digest_file(text)
    assert manifest["parity"]["beam_1"]["lines"] == 2


def test_an_export_that_translates_otherwise_is_not_kept(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TransformerConverter._load

    def wrong(converter: TransformerConverter) -> Any:
        spec = whole(converter)
        spec.decoder.layer_norm.gamma *= -1
        return spec

    before = tree(copy)
    monkeypatch.setattr(TransformerConverter, "_load", wrong)
    with pytest.raises(ArtifactError, match=r"^the export is not kept: at beam 1 it translates \d+ of 252 lines ") as e:
        export_ctranslate2(copy, quantization="float32", name=NAME, sample=None)
    assert str(e.value).endswith("(use the native engine, or compare on text: --sample FILE)")
    assert tree(copy) == before
    assert [path.name for path in (copy / "exports").iterdir()] == [NAME]
    shutil.rmtree(copy / "exports")
    with pytest.raises(ArtifactError, match="in int8, at beam 1, its BLEU against the native engine is "):
        export_ctranslate2(copy, quantization="int8", name=NAME, sample=None)
    assert not (copy / "exports").exists()


def test_a_bundle_that_cannot_be_written_is_said_before_the_model_is_loaded(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copy / "exports")
    (copy / "exports").touch()
    monkeypatch.setattr("nmt.exporting.ctranslate2.load_model", lambda _: pytest.fail("the model is loaded"))
    with pytest.raises(NotADirectoryError) as caught:
        export_ctranslate2(copy, quantization="float32", name=NAME, sample=None)
    assert caught.value.filename == str(copy / "exports" / NAME)


def test_a_model_whose_output_is_no_number_is_not_exported(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CTranslate2Engine, "search", lambda _, batches, __: ([[] for _ in rows] for rows in batches))
    with pytest.raises(ArtifactError) as caught:
        export_ctranslate2(copy, quantization="float32", name="nan", sample=None)
    assert str(caught.value) == "the model's output is not a number (its training diverged)"


def test_a_package_that_is_missing_is_named_with_its_command(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    message = 'the engine ctranslate2 needs a package that is not installed (pip install -e ".[ctranslate2]")'
    for work in (
        lambda: Translator.load(made, engine="ctranslate2"),
        lambda: export_ctranslate2(made, quantization="float32", name=NAME, sample=None),
    ):
        with pytest.raises(UsageError) as caught:
            work()
        assert str(caught.value) == message


def test_a_compute_type_that_the_processor_lacks_is_said_when_the_export_is_loaded(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export_ctranslate2(copy, quantization="int16", name="other", sample=None)
    capsys.readouterr()
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda _: {"float32", "int8"})
    Translator.load(copy, engine="ctranslate2", export="other")
    assert capsys.readouterr().err == (
        "nmt: warning: CTranslate2 cannot compute in int16 on this processor: it takes float32\n"
    )
    Translator.load(copy, engine="ctranslate2", export=NAME)
    assert capsys.readouterr().err == ""


def test_an_export_that_only_its_own_settings_mislead_is_not_kept(copy: Path) -> None:
    config = read_json(copy / "config.json")
    config["decoding"]["length_penalty"] = 2.0  # CTranslate2 searches without a penalty
    BUNDLE.write(copy, {key: value for key, value in config.items() if key != "digest"})
    with pytest.raises(ArtifactError, match="with the model's own settings it translates") as caught:
        export_ctranslate2(copy, quantization="float32", name="other", sample=None)
    assert "(lower decoding.length_penalty in its recipe, use the native engine, or" in str(caught.value)
    assert not (copy / "exports" / "other").exists()


@pytest.mark.parametrize("quantization", ["int8", "int8_float32", "int16", "bfloat16", "float16"])
def test_every_quantization_says_how_near_it_is_and_in_what_it_was_computed(
    copy: Path, quantization: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    parity = export_ctranslate2(copy, quantization=quantization, name="other", sample=None)["parity"]
    manifest = read_json(copy / "exports" / "other" / MANIFEST)
    assert manifest["quantization"] == quantization
    if quantization in ctranslate2.get_supported_compute_types("cpu"):
        assert manifest["compute_type"].startswith(quantization)
        assert capsys.readouterr().err == ""
    else:
        assert manifest["compute_type"] == "float32"
        assert capsys.readouterr().err == (
            f"nmt: warning: CTranslate2 cannot compute in {quantization} on this processor: it takes float32\n"
        )
    assert 50 <= parity["beam_1"]["bleu"] <= 100.000001
    whole = (copy / "exports" / NAME / "model.bin").stat().st_size
    assert (copy / "exports" / "other" / "model.bin").stat().st_size < (0.6 if "8" not in quantization else 0.4) * whole
    assert Translator.load(copy, engine="ctranslate2", export="other").translate(["A dog."])[0].text


@pytest.fixture(scope="module")
def alone(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of a decoder alone with an export. Shared: never change it."""
    folder = tmp_path_factory.mktemp("alone") / "model"
    bundle = write_random(folder, tiny_model, architecture="decoder-only", decoder_layers=1)
    export_ctranslate2(bundle, quantization="float32", name=NAME, sample=None)
    return bundle


def test_a_decoder_alone_is_kept_as_it_translates_as_the_native_engine_does(alone: Path) -> None:
    manifest = read_json(alone / "exports" / NAME / MANIFEST)
    assert sorted(manifest["files"]) == ["config.json", "model.bin", "source.spm", "target.spm", "vocabulary.json"]
    for found in manifest["parity"].values():
        assert (found["differing"], found["ties"], found["bleu"]) == (0, 0, 100)
        assert found["lines"] > 100
    lines = ["A small dog sleeps.", "", "The woman sees the old house."]
    own, other = (Translator.load(alone, engine=engine).translate(lines) for engine in ("native", "ctranslate2"))
    assert [each.text for each in own] == [each.text for each in other]
    assert [each.score for each in own] == pytest.approx([each.score for each in other], abs=1e-4)


def test_a_damaged_vocabulary_of_a_decoder_is_one_clear_line(alone: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(alone, tmp_path / "model")
    folder = bundle / "exports" / NAME
    (folder / "vocabulary.json").write_text("[]")
    with pytest.raises(ArtifactError) as caught:
        Translator.load(bundle, engine="ctranslate2")
    assert str(caught.value).startswith(f"{folder}/vocabulary.json: damaged: its SHA-256 is not the one in ")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "prefix-lm"}, "CTranslate2 has no model of the architecture prefix-lm"),
        ({"architecture": "encoder-only"}, "CTranslate2 has no model of the architecture encoder-only"),
        (
            {"architecture": "decoder-only", "tied_embeddings": "target"},
            'model.tied_embeddings = "target": a decoder of CTranslate2 has one embedding for both sides',
        ),
        (
            {"architecture": "decoder-only", "positions": "none"},
            'model.positions = "none": a decoder of CTranslate2 has positions',
        ),
        ({"attention_window": 8}, "CTranslate2's encoder has no model.attention_window, which is 8"),
    ],
)
def test_a_model_that_ctranslate2_does_not_have_is_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_shape(ModelConfig.model_validate(values))
    native = "translate with the native engine, or take --to int8"
    train = ', or train with tied_embeddings = "all"' if "tied" in message else ""
    assert str(caught.value) == f"{message} ({native}{train})"


def test_a_model_with_linear_attention_has_no_other_engine_than_the_native_one() -> None:
    with pytest.raises(UsageError) as caught:
        check_shape(ModelConfig(attention_kernel="linear"))
    assert str(caught.value) == (
        "CTranslate2 has no model.attention_kernel = linear (translate with the native engine)"
    )


def test_a_model_that_ctranslate2_does_not_have_is_refused_and_nothing_is_written(
    tiny_model: Path, tmp_path: Path
) -> None:
    bundle = write_random(tmp_path / "model", tiny_model, architecture="prefix-lm", decoder_layers=1)
    before = tree(bundle)
    with pytest.raises(UsageError) as caught:
        export_ctranslate2(bundle, quantization="float32", name=NAME, sample=None)
    assert str(caught.value) == (
        "CTranslate2 has no model of the architecture prefix-lm (translate with the native engine, or take --to int8)"
    )
    assert tree(bundle) == before
