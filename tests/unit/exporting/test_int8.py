"""Bundles in int8: the bits that `precision="int8"` computes, from a quarter of the bytes; and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from precisions import in_int8
from runs import write_random
from torch import Tensor

from nmt.cards import Card
from nmt.errors import ArtifactError, UsageError
from nmt.exporting import int8 as exporting
from nmt.exporting.ctranslate2 import export_ctranslate2
from nmt.exporting.int8 import export_int8
from nmt.files import digest_file, digest_json, read_json, write_json
from nmt.inference.bundle import CONFIG, WEIGHTS, open_bundle, write_bundle
from nmt.inference.engines.native import load_model
from nmt.inference.translator import Translator
from nmt.model import int8
from nmt.model.preparation import dequantize, quantize_model
from nmt.model.tensors import load_tensors, save_tensors
from nmt.tasks.grammar import generate
from nmt.training.init_from import open_initial_model

pytestmark = in_int8
PAIRS = list(generate("test", 15, 3))
LINES, TARGETS = [source for source, _ in PAIRS], [target for _, target in PAIRS]
NEEDED = "its weights are in int8, and float32 ones are needed (take the bundle that it was made from)"


@pytest.fixture
def copy(int8_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(int8_model, tmp_path / "model")


def results(*paths: Path, **settings: Any) -> list[Any]:
    translator = Translator.load(*paths, device="cpu", **settings)
    found = translator.translate(LINES)
    return [[each.candidates for each in found], [pair.token_scores for pair in translator.score(LINES, TARGETS)]]


def test_it_computes_the_same_bits_as_its_origin_in_int8(tiny_model: Path, int8_model: Path) -> None:
    expected = results(tiny_model, precision="int8")
    assert results(int8_model) == expected
    assert results(int8_model, precision="int8") == expected
    assert results(tiny_model) != expected
    assert results(int8_model, tiny_model) == results(tiny_model, int8_model, precision="int8")


def test_in_float32_it_computes_with_the_rounded_weights(tiny_model: Path, int8_model: Path, tmp_path: Path) -> None:
    model = load_model(open_bundle(int8_model))
    dequantize(model)
    lock, config = {"seed": 1}, open_bundle(tiny_model).config
    own = {
        name: tensor
        for name, tensor in model.weights().items()
        if name in load_model(open_bundle(tiny_model)).weights()
    }
    write_bundle(tmp_path / "rounded", own, tiny_model, lock, config)
    assert results(int8_model, precision="float32") == results(tmp_path / "rounded")
    assert len(Translator.load(int8_model, device="cpu", precision="bfloat16").translate(LINES[:3])) == 3


def test_it_is_a_bundle_with_small_weights_each_stored_once(tiny_model: Path, int8_model: Path) -> None:
    tensors, own = load_tensors(int8_model / WEIGHTS), load_tensors(tiny_model / WEIGHTS)
    assert {name for name in tensors if not name.endswith((".scales", ".input_scale"))} == own.keys()
    for name, tensor in own.items():
        is_small = name.endswith("weight") and "norm" not in name
        assert tensors[name].dtype == (torch.int8 if is_small else torch.float32)
        if is_small:
            scales = tensors[name.replace("weight", "scales")]
            torch.testing.assert_close(tensors[name] * scales[:, None], tensor, rtol=0, atol=float(scales.max()) / 2)
        else:
            assert torch.equal(tensors[name], tensor)
    heads = open_bundle(tiny_model).config.model.heads
    attention = [tensor.shape for name, tensor in tensors.items() if name.endswith("attention.scales")]
    assert attention == [(2, heads)] * 3
    sizes = [sum(tensor.nbytes for tensor in each.values()) for each in (tensors, own)]
    assert sizes[0] < 0.33 * sizes[1]  # of rows of 32; those of 256 need a quarter
    for name in open_bundle(tiny_model).tokenizer.files:
        assert (int8_model / name).read_bytes() == (tiny_model / name).read_bytes()


def test_its_card_names_its_origin_and_has_no_scores_of_it(tiny_model: Path, int8_model: Path) -> None:
    own, config = open_bundle(tiny_model).config, open_bundle(int8_model).config
    assert (own.format, own.quantized, config.format, config.decoding.precision) == (1, None, 2, "int8")
    assert config.quantized is not None
    assert config.quantized.bundle == read_json(tiny_model / CONFIG)["digest"]
    assert list(config.quantized.parity) == ["beam_1", "beam_5", "own_settings"]
    assert all(50 <= found["bleu"] <= 100 for found in config.quantized.parity.values())
    kept = {"format", "decoding", "quantized", "files"}
    assert config.model_dump(exclude=kept) == own.model_dump(exclude=kept)
    assert config.decoding == own.decoding.model_copy(update={"precision": "int8"})
    lock = read_json(tiny_model / "lock.json")
    results = {stage: result for stage, result in lock["results"].items() if stage not in ("bundle", "evaluate")}
    assert read_json(int8_model / "lock.json") == {**lock, "results": results, "scores": {}}
    assert read_json(int8_model / "scores.json") == {}
    card = (int8_model / "README.md").read_text(encoding="utf-8")
    assert f"in float32 whose `config.json` has the digest `{config.quantized.bundle}`" in card
    assert "| Test |" not in card


def test_an_nmt_that_knows_float32_alone_says_so_in_one_line(int8_model: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r": a bundle of format 2; this nmt \S+ reads format 1 \(use nmt .* or newer"
    ):
        Card(CONFIG, "bundle", format=1).read(int8_model)


def test_a_text_as_the_sample_is_named_by_its_digest(tiny_model: Path, tmp_path: Path) -> None:
    text = tmp_path / "sample.en"
    text.write_text("".join(f"{line}\n" for line in LINES[:5]), encoding="utf-8")
    parity = export_int8(tiny_model, tmp_path / "small", sample=text)
    quantized = open_bundle(tmp_path / "small").config.quantized
    assert quantized is not None
    assert (quantized.sample, quantized.parity) == (digest_file(text), parity)
    assert parity["beam_1"]["lines"] <= 5


def test_one_that_translates_otherwise_is_not_kept(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: Any) -> None:
        quantize_model(model)
        model.decoder_norm.weight.data.mul_(-1)

    monkeypatch.setattr(exporting, "quantize_model", wrong)
    (tmp_path / "empty").mkdir()
    (tmp_path / "sample.en").write_text("".join(f"{line}\n" for line in LINES[:5]), encoding="utf-8")
    for folder in (tmp_path / "small", tmp_path / "empty"):
        with pytest.raises(ArtifactError) as caught:
            export_int8(tiny_model, folder, sample=tmp_path / "sample.en")
        assert str(caught.value).startswith(
            "the export is not kept: in int8, at beam 1, its BLEU against the native engi"
        )
        assert str(caught.value).endswith("(use the bundle in float32, or compare on text: --sample FILE)")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "sample.en"]


def test_what_cannot_be_written_is_said_before_the_model_is_loaded(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "load_model", lambda _: pytest.fail("the model is loaded"))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: is there already"):
        export_int8(tiny_model, tmp_path / "file", sample=None)
    with pytest.raises(NotADirectoryError):
        export_int8(tiny_model, tmp_path / "file" / "model", sample=None)


def test_float32_weights_are_needed_for_exports_and_training(int8_model: Path, tmp_path: Path) -> None:
    config = open_bundle(int8_model).config
    refused: list[Callable[[], Any]] = [
        lambda: export_int8(int8_model, tmp_path / "again", sample=None),
        lambda: Translator.load(int8_model, engine="ctranslate2"),
        lambda: open_initial_model(int8_model, config.model, config.languages),
    ]
    for call in refused:
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value) == f"{int8_model.resolve()}: {NEEDED}"
    pytest.importorskip("ctranslate2")
    with pytest.raises(UsageError, match="float32 ones are needed"):
        export_ctranslate2(int8_model, quantization="int8", name="x", sample=None)
    assert not (int8_model / "exports").exists()


def test_without_exact_products_it_is_for_float32_alone(
    tiny_model: Path, int8_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "is_exact", lambda: False)
    for call in (
        lambda: Translator.load(int8_model, device="cpu"),
        lambda: export_int8(tiny_model, tmp_path / "small", sample=None),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value) == "int8 needs a processor with exact 8-bit products (VNNI) (take float32)"
    assert len(Translator.load(int8_model, device="cpu", precision="float32").translate(LINES[:3])) == 3


def test_linear_attention_is_not_computed_in_int8(tiny_model: Path, tmp_path: Path) -> None:
    bundle = write_random(tmp_path / "model", tiny_model, attention_kernel="linear")
    for call in (
        lambda: Translator.load(bundle, device="cpu", precision="int8"),
        lambda: export_int8(bundle, tmp_path / "small", sample=None),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value) == "int8 has no model.attention_kernel = linear (take float32)"
    assert not (tmp_path / "small").exists()
    for precision in ("float32", "bfloat16"):
        assert len(Translator.load(bundle, device="cpu", precision=precision).translate(LINES[:3])) == 3


def changed(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], None]:
    def apply(tensors: dict[str, Tensor]) -> None:
        tensors[name] = change(tensors[name])

    return apply


MATRIX, SCALES = "decoder.0.feed_forward.inner.weight", "decoder.0.feed_forward.inner.scales"
HEADS = "encoder.0.self_attention.scales"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop(MATRIX), f"{MATRIX} is not in both the file and the model"),
        (lambda tensors: tensors.pop(SCALES), f"{SCALES} is not in both the file and the model"),
        (lambda tensors: tensors.pop(HEADS), f"{HEADS} is not in both the file and the model"),
        (changed(MATRIX, lambda matrix: matrix[1:]), f"{MATRIX} is (63, 32), not (64, 32)"),
        (changed(SCALES, lambda scales: scales[:, None]), f"{SCALES} is (64, 1), not (64,)"),
        (changed(MATRIX, torch.Tensor.float), f"{MATRIX} is of type torch.float32, not torch.int8"),
        (changed(SCALES, torch.Tensor.char), f"{SCALES} is of type torch.int8, not torch.float32"),
    ],
)
def test_weights_of_another_form_are_refused_even_with_a_right_digest(
    copy: Path, change: Callable[[dict[str, Tensor]], None], said: str
) -> None:
    tensors = load_tensors(copy / WEIGHTS)
    change(tensors)
    save_tensors(tensors, copy / WEIGHTS)
    sign(copy)
    with pytest.raises(ArtifactError) as caught:
        Translator.load(copy, device="cpu")
    assert str(caught.value) == f"{copy / WEIGHTS}: does not hold this model: {said}"


def sign(folder: Path, **values: Any) -> None:
    """Write the config with `values`, and the digests anew."""
    config = {**json.loads((folder / CONFIG).read_text(encoding="utf-8")), **values}
    del config["digest"]
    config["files"][WEIGHTS] = digest_file(folder / WEIGHTS)
    write_json(folder / CONFIG, {**config, "digest": digest_json(config)})


def test_a_file_cut_short_and_another_type_than_the_config_says_are_refused(copy: Path) -> None:
    sign(copy, quantized=None)
    with pytest.raises(ArtifactError, match=r"' is of type I8, not F32$"):
        Translator.load(copy, device="cpu")
    content = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(content[:-1])
    with pytest.raises(ArtifactError, match=r"model\.safetensors: damaged: its SHA-256 is not the one in config\.json"):
        Translator.load(copy, device="cpu")
    sign(copy)
    with pytest.raises(ArtifactError, match=r"model\.safetensors: damaged: "):
        Translator.load(copy, device="cpu")
