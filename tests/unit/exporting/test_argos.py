"""Packages of Argos Translate: their content, and what is refused."""

import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from runs import write_random

pytest.importorskip("ctranslate2")
pytest.importorskip("onnx")

import ctranslate2
import sentencepiece

from nmt.config.model import ModelConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.argos import Package, argos_code, check_spelling, describe, export_argos, longest_source, otherwise
from nmt.exporting.converter import TransformerConverter
from nmt.exporting.tokenizers import standalone
from nmt.files import digest_file, read_json
from nmt.inference.bundle import BUNDLE, WEIGHTS
from nmt.inference.translator import Translator

LINES = ["A small dog sleeps.", "The woman sees the old house.", "Do nine women talk about his boring parks?"]


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Package]:
    folder = tmp_path_factory.mktemp("package")
    (folder / "sample").write_text("\n".join([*LINES, "he came. she went", "and slept"]) + "\n", encoding="utf-8")
    package = export_argos(
        tiny_model, folder / "new" / "m.argosmodel", quantization="float32", sample=folder / "sample"
    )
    return folder / "new" / "m.argosmodel", package


@pytest.fixture(scope="module")
def unpacked(made: tuple[Path, Package], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(made[0]) as archive:
        archive.extractall(folder)
    (inner,) = folder.iterdir()
    return inner


def test_a_package_has_what_the_installer_looks_for(
    tiny_model: Path, unpacked: Path, made: tuple[Path, Package]
) -> None:
    model = ["config.json", "model.bin", "shared_vocabulary.json"]
    others = ["README.md", "metadata.json", "minisbd/sentences.onnx", "sentencepiece.model"]
    assert sorted(tree(unpacked)) == sorted([*others, *(f"model/{name}" for name in model)])
    assert unpacked.name == f"translate-en_de-{digest_file(tiny_model / WEIGHTS)[:8]}"
    metadata = json.loads((unpacked / "metadata.json").read_text(encoding="ascii"))
    assert {key: value for key, value in metadata.items() if key != "nmt"} == {
        "package_version": "1.0",
        "argos_version": "1.11",
        "type": "translate",
        "from_code": "en",
        "from_name": "English",
        "to_code": "de",
        "to_name": "German",
    }
    assert metadata["nmt"] == made[1]
    with zipfile.ZipFile(made[0]) as archive:
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # the same bytes at any time
    assert (unpacked / "README.md").read_bytes() == (tiny_model / "README.md").read_bytes()


def test_the_model_translates_as_the_engine_does(tiny_model: Path, unpacked: Path, made: tuple[Path, Package]) -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(unpacked / "sentencepiece.model"))
    model = ctranslate2.Translator(str(unpacked / "model"), "cpu", compute_type="float32")
    results = model.translate_batch([tokenizer.encode(line, out_type=str) for line in LINES], beam_size=1)
    texts = [tokenizer.decode_pieces(result.hypotheses[0]) for result in results]
    own = Translator.load(tiny_model, decoding={"beam_size": 1, "max_extra_length": 100}).translate(LINES)
    assert texts == [each.text for each in own]
    for found in made[1]["model"]["parity"].values():
        assert (found["differing"], found["bleu"]) == (0, 100)
    assert made[1]["model"]["weights"] == digest_file(tiny_model / WEIGHTS)


def test_a_source_of_more_pieces_than_the_model_takes_is_translated_all_the_same(unpacked: Path) -> None:
    model = ctranslate2.Translator(str(unpacked / "model"), "cpu", compute_type="float32")
    for length in (1023, 1025):
        assert model.translate_batch([["\u2581A"] * length], beam_size=2)[0].hypotheses


def test_learned_positions_end_where_they_end() -> None:
    for length, expected in ((64, 128), (511, 1022), (512, None)):
        assert longest_source(ModelConfig(positions="learned", max_length=length)) == expected
    assert longest_source(ModelConfig(max_length=64)) is None


def test_without_a_sample_there_is_no_figure_of_sentences(
    tiny_model: Path, made: tuple[Path, Package], tmp_path: Path
) -> None:
    bundle = shutil.copytree(tiny_model, tmp_path / "model")
    config = {key: value for key, value in read_json(bundle / "config.json").items() if key != "digest"}
    BUNDLE.write(bundle, {**config, "protect": "[0-9]+"})
    before = tree(bundle)
    package = export_argos(bundle, tmp_path / "small", quantization="int8", sample=None)
    assert (package["model"]["quantization"], package["model"]["sample"]) == ("int8", "drawn from the vocabulary")
    assert (package["texts"], package["cut_otherwise"], package["protects"]) == (0, 0, True)
    assert (made[1]["texts"], made[1]["cut_otherwise"], made[1]["protects"]) == (4, 1, False)
    assert (tmp_path / "small").stat().st_size < made[0].stat().st_size
    assert tree(bundle) == before


def test_a_model_that_translates_otherwise_is_not_kept(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TransformerConverter._load

    def wrong(converter: TransformerConverter) -> Any:
        spec = whole(converter)
        spec.decoder.layer_norm.gamma *= -1
        return spec

    monkeypatch.setattr(TransformerConverter, "_load", wrong)
    with pytest.raises(ArtifactError, match=r"^the export is not kept: at beam 1 it translates \d+ of "):
        export_argos(tiny_model, tmp_path / "m.argosmodel", quantization="float32", sample=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["ctranslate2", "onnx"])
def test_a_package_that_is_missing_is_named_with_its_command(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as caught:
        export_argos(tiny_model, tmp_path / "x", quantization="float32", sample=None)
    extra = {"ctranslate2": ("the engine ctranslate2", "ctranslate2"), "onnx": ("the export to argos", "argos")}[
        package
    ]
    assert str(caught.value) == f'{extra[0]} needs a package that is not installed (pip install -e ".[{extra[1]}]")'


def test_a_model_that_argos_translate_does_not_have_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    alone = write_random(tmp_path / "model", tiny_model, architecture="decoder-only", decoder_layers=1)
    with pytest.raises(UsageError) as caught:
        export_argos(alone, tmp_path / "x", quantization="float32", sample=None)
    assert str(caught.value) == (
        "Argos Translate has no model of the architecture decoder-only "
        "(take --to ctranslate2, or translate with the native engine)"
    )
    assert not (tmp_path / "x").exists()


def separate(folder: Path, byte_fallback: bool) -> Tokenizer:
    config = TokenizerConfig(vocab_size=300, hard_vocab_limit=False, joint=False, byte_fallback=byte_fallback)
    folder.mkdir()
    train(["a dog sees 1 cat"] * 3, ["ein Hund_e sieht 1 Kätzchen"] * 3, config, folder, seed=1)
    return Tokenizer.load(folder)


def test_the_tokenizer_of_the_source_spells_the_target_of_separate_ones_too(tmp_path: Path) -> None:
    with_bytes, without = separate(tmp_path / "bytes", True), separate(tmp_path / "none", False)
    for tokenizer in (with_bytes, without):
        (tmp_path / "model").write_bytes(standalone(tokenizer.source))
        check_spelling(tmp_path / "model", tokenizer)
    with pytest.raises(ArtifactError) as caught:  # its pieces of bytes are no pieces there
        check_spelling(tmp_path / "model", with_bytes)
    assert str(caught.value) == (
        "the export is not kept: with the tokenizer of the source, which Argos Translate takes for both sides, "
        "' ' is spelled '<0x00>' (train with tokenizer.joint = true)"
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("en", "en"),
        ("deu_Latn", "de"),
        ("pt-BR", "pb"),
        ("pt", "pt"),
        ("pt_PT", "pt"),
        ("zh", "zh"),
        ("zh-TW", "zt"),
        ("zho_Hant", "zt"),
        ("zho_Hans", "zh"),
        ("Reversed!", "reversed!"),
    ],
)
def test_codes_are_those_of_argos_translate(code: str, expected: str) -> None:
    assert argos_code(code) == expected


def test_a_language_without_a_name_is_its_code() -> None:
    found = describe("reversed!", "sr_Latn")
    assert [found[key] for key in ("from_code", "from_name", "to_code", "to_name")] == [
        "reversed!",
        "reversed!",
        "sr",
        "Serbian (Latin)",
    ]


def test_all_that_differs_is_said(made: tuple[Path, Package]) -> None:
    search = "Argos Translate searches by settings of its own: beam size 4, and a length penalty of 0.2"
    sentences = "1 of 4 texts of two lines are cut into other sentences than nmt's"
    quiet: Package = {**made[1], "underscored": 0}
    assert otherwise(quiet) == [search, sentences]
    loud: Package = {**quiet, "texts": 0, "underscored": 2, "longest_source": 128, "tags": ["<2de>", "<2fr>"]}
    assert otherwise({**loud, "protects": True}) == [
        search,
        "an underscore of a translation becomes a space; pieces with one: 2",
        "a sentence of more than 128 pieces ends in an error: positions are learned",
        "tags have to stand in the text: <2de> <2fr>",
        "no text is protected by placeholders",
    ]
