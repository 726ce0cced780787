"""The engine CTranslate2 and the exports that it opens."""

import json
import math
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import environment

pytest.importorskip("ctranslate2")

import nmt
from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.config.inference import InferenceConfig, Options
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.ctranslate2 import export_ctranslate2
from nmt.files import digest_file, digest_json, read_json, write_json
from nmt.inference.bundle import WEIGHTS, open_bundle
from nmt.inference.engines.ctranslate2 import MANIFEST, CTranslate2Engine, correction, find_export, open_export
from nmt.inference.engines.loading import EnginePlan
from nmt.inference.protocol import Pair, Request, Row
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


def load(bundle: Path, export: str | None = None) -> CTranslate2Engine:
    inference = InferenceConfig(engine="ctranslate2", device="cpu", threads=1, export=export)
    return CTranslate2Engine.load([bundle], inference)


def again(bundle: Path) -> str:
    return f"(make it again: nmt export {bundle} --to ctranslate2 --name {NAME})"


def edit_manifest(bundle: Path, **changes: Any) -> None:
    """Change values of the manifest, as one who knows how to write it."""
    path = bundle / "exports" / NAME / MANIFEST
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    del values["digest"]
    path.write_text(json.dumps({**values, "digest": digest_json(values)}), encoding="utf-8")


def test_the_only_export_needs_no_name(copy: Path) -> None:
    assert find_export(copy, None) == find_export(copy, NAME) == copy / "exports" / NAME
    (copy / "exports" / f".{NAME}.1.partial").mkdir()
    assert find_export(copy, None) == copy / "exports" / NAME
    (copy / "exports" / "other").mkdir()
    assert find_export(copy, NAME) == copy / "exports" / NAME
    with pytest.raises(UsageError) as caught:
        find_export(copy, None)
    assert str(caught.value) == f"{copy}: holds several exports: exact, other (name one of them)"
    with pytest.raises(ArtifactError) as missing:
        find_export(copy, "third")
    assert str(missing.value) == (
        f"{copy}: holds no export 'third', only exact, other (make it: nmt export {copy} --to ctranslate2 --name third)"
    )


def test_a_bundle_without_exports_says_how_to_make_one(tiny_model: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        Translator.load(tiny_model, engine="ctranslate2")
    assert str(caught.value) == (
        f"{tiny_model}: holds no export for the engine ctranslate2 (make one: nmt export {tiny_model} --to ctranslate2)"
    )


def cut(folder: Path) -> None:
    content = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(content[: len(content) // 2])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (
        lambda folder: (folder / MANIFEST).unlink(),
        "{folder}/manifest.json: missing, so this is no export",
    ),
    "half a manifest": (lambda folder: (folder / MANIFEST).write_text("{"), "{folder}/manifest.json: damaged"),
    "another's manifest": (lambda folder: (folder / MANIFEST).write_text("[]"), "{folder}/manifest.json: damaged"),
    "a digit": (
        lambda folder: (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace('"beam_1"', '"beam_2"')),
        "{folder}/manifest.json: damaged: its digest is not that of its content",
    ),
    "half a model": (cut, "{folder}/model.bin: damaged: its SHA-256 is not the one in manifest.json"),
    "no model": (
        lambda folder: (folder / "model.bin").unlink(),
        "{folder}/model.bin: missing, though manifest.json names it",
    ),
    "a vocabulary": (
        lambda folder: (folder / "shared_vocabulary.json").write_text("[]"),
        "{folder}/shared_vocabulary.json: damaged: its SHA-256 is not the one in manifest.json",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_export_is_one_clear_line(copy: Path, damage: str) -> None:
    break_it, message = DAMAGES[damage]
    break_it(copy / "exports" / NAME)
    with pytest.raises(ArtifactError) as caught:
        load(copy)
    assert str(caught.value) == f"{message.format(folder=copy / 'exports' / NAME)} {again(copy)}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"target_limit": 10**9},
            "manifest.json: damaged: target_limit: must be less than or equal to 1048576",
        ),
        ({"target_limit": True}, "manifest.json: damaged: target_limit: must be a valid integer"),
        ({"quantization": "int4"}, "manifest.json: damaged: quantization: must be 'float32'"),
        ({"weights": None}, "manifest.json: damaged: weights: must be a valid string"),
        ({"files": {"model.bin": 1}}, "manifest.json: damaged: files.model.bin: must be a valid string"),
        ({"files": {}}, "manifest.json: damaged: its files do not list config.json"),
        ({"files": {"../../config.json": "0"}}, "manifest.json: names '../../config.json', which is no file beside it"),
        ({"engine": ["ctranslate2"]}, "manifest.json: damaged: engine: must be a valid string"),
    ],
)
def test_a_manifest_of_a_stranger_is_checked_key_by_key(copy: Path, values: dict[str, Any], message: str) -> None:
    edit_manifest(copy, **values)
    with pytest.raises(ArtifactError) as caught:
        load(copy)
    assert str(caught.value).startswith(f"{copy / 'exports' / NAME}/{message}")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", {"bos_token": "</s>"}, "damaged: its special pieces are ['<unk>', '</s>', '</s>', '<s>']"),
        ("config.json", {"decoder_start_token": 5}, "damaged: decoder_start_token: must be a valid string"),
        ("config.json", {"add_source_bos": []}, "damaged: add_source_bos: must be False"),
        ("config.json", {"layer_norm_epsilon": 1e9}, "damaged: layer_norm_epsilon: must be less than 1"),
        ("shared_vocabulary.json", {"5": 5}, "does not hold the pieces of the bundle's tokenizer"),
    ],
)
def test_files_of_a_stranger_s_export_are_checked_even_with_right_digests(
    copy: Path, name: str, change: dict[str, Any], message: str
) -> None:
    folder = copy / "exports" / NAME
    values = read_json(folder / name)
    write_json(folder / name, {**values, **change} if isinstance(values, dict) else values[:-1])
    edit_manifest(copy, files={**read_json(folder / MANIFEST)["files"], name: digest_file(folder / name)})
    with pytest.raises(ArtifactError) as caught:
        load(copy)
    assert str(caught.value).startswith(f"{folder / name}: {message}")


def test_an_export_for_another_engine_or_by_a_newer_nmt_is_refused(copy: Path) -> None:
    folder = copy / "exports" / NAME
    edit_manifest(copy, format=2, nmt="9.0")
    with pytest.raises(ArtifactError) as caught:
        load(copy)
    assert str(caught.value) == (
        f"{folder}: an export of format 2; this nmt {nmt.__version__} reads format 1 "
        f"(use nmt 9.0 or newer, or {again(copy)[1:]}"
    )
    edit_manifest(copy, format=1, engine="onnx")
    with pytest.raises(ArtifactError) as caught:
        load(copy)
    assert str(caught.value) == f"{folder}: an export for 'onnx', not for ctranslate2 {again(copy)}"


def test_an_export_of_other_weights_is_refused(copy: Path) -> None:
    edit_manifest(copy, weights="0" * 64)
    with pytest.raises(ArtifactError) as caught:
        load(copy)
    folder = copy / "exports" / NAME
    assert str(caught.value) == f"{folder}: made from other weights than {copy / WEIGHTS} {again(copy)}"


def test_files_that_ctranslate2_cannot_read_are_one_clear_line(copy: Path) -> None:
    folder = copy / "exports" / NAME
    (folder / "model.bin").write_bytes(b"not a model")
    edit_manifest(
        copy,
        files={name: digest_file(folder / name) for name in ("config.json", "model.bin", "shared_vocabulary.json")},
    )
    with pytest.raises(ArtifactError, match=r"exports/exact: CTranslate2 cannot load it: "):
        load(copy)


def test_what_the_engine_cannot_do_is_a_usage_error(made: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Translator.load(made, made, engine="ctranslate2")
    assert str(caught.value) == "the engine ctranslate2 takes one model (an ensemble needs the native engine)"
    with pytest.raises(UsageError) as caught:
        Translator.load(made, engine="ctranslate2", precision="bfloat16")
    assert str(caught.value) == "the precision of an export is its own (nmt export has --quantization)"
    translator = Translator.load(made, engine="ctranslate2", device="cpu")
    with pytest.raises(UsageError) as caught:
        translator.translate(["A dog."], Options(sampling=SamplingConfig()))
    assert str(caught.value) == ("sampling needs the native engine (CTranslate2 cannot draw by a seed of one's own)")


def test_alignments_are_those_of_the_native_engine(made: Path) -> None:
    lines, wanted = ["The chef knows us.", "", "The old teacher sees the dog."], Options(alignment=True)
    own, other = (
        Translator.load(made, engine=name, device="cpu", threads=1).translate(lines, wanted)
        for name in ("native", "ctranslate2")
    )
    assert [one.candidates[0].alignment for one in other] == [one.candidates[0].alignment for one in own]
    assert other[0].candidates[0].alignment


def test_an_export_of_an_older_nmt_says_that_it_has_no_alignments(copy: Path) -> None:
    edit_manifest(copy, alignment_layer=None)
    translator = Translator.load(copy, engine="ctranslate2", device="cpu")
    assert len(translator.translate(["A dog."])) == 1
    with pytest.raises(UsageError) as caught:
        translator.translate(["A dog."], Options(alignment=True))
    assert str(caught.value) == "an export of an older nmt, which has no alignments (make it again: nmt export)"


def test_a_gpu_that_is_not_there_is_a_usage_error(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ctranslate2

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    with pytest.raises(UsageError) as caught:
        Translator.load(made, engine="ctranslate2", device="cuda")
    assert str(caught.value) == "no GPU that CTranslate2 can use on this machine (take device cpu or auto)"
    assert Translator.load(made, engine="ctranslate2", device="auto").translate(["A dog."])[0].text


def test_the_translator_says_the_same_by_either_engine(made: Path) -> None:
    rng = random.Random(5)
    words = ["A", "small", "dog", "sleeps", "the", "woman", "house", "sees", "old", "because", "."]
    lines = [" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(60)] + ["", "old " * 200]
    for options in (Options(), Options(n_best=3, token_scores=True)):
        own = Translator.load(made, decoding={"beam_size": 3}).translate(lines, options)
        other = Translator.load(made, engine="ctranslate2", decoding={"beam_size": 3}, threads=2).translate(
            lines, options
        )
        assert [each.text for each in own] == [each.text for each in other]
        assert [each.score for each in own] == pytest.approx([each.score for each in other], abs=1e-4)
    pieces = zip(own[0].candidates, other[0].candidates, strict=True)
    for one, two in pieces:
        assert (one.text, one.pieces) == (two.text, two.pieces)
        assert one.token_scores == pytest.approx(two.token_scores, abs=1e-4)


def test_with_a_minimum_of_one_piece_only_the_empty_target_is_scored(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(made)
    scored: list[list[int]] = []
    start = engine.model.score

    def scoring(pairs: list[Pair]) -> Callable[[], list[list[float]]]:
        scored.extend(tgt for _, tgt in pairs)
        return start(pairs)

    monkeypatch.setattr(type(engine.model), "score", lambda _, pairs: scoring(pairs))
    for least, count in ((0, 0), (1, 2)):
        next(engine.search([[Row([5, 6, 7]), Row([8])]], Request(DecodingConfig(min_length=least))))
        assert scored == [[]] * count


def test_a_correction_is_the_log_probability_of_not_ending_unless_it_is_small() -> None:
    assert correction(math.log(0.25)) == pytest.approx(math.log(0.75))
    assert correction(-80.0) == pytest.approx(0.0)
    assert correction(math.log(0.51)) is None


def test_pairs_get_the_same_scores_by_either_engine(made: Path) -> None:
    sources, targets = ["A small dog sleeps.", "", "The old house."], ["Ein kleiner Hund.", "x", "Das alte Haus."]
    own, other = (Translator.load(made, engine=engine).score(sources, targets) for engine in ("native", "ctranslate2"))
    assert [each.score for each in own] == pytest.approx([each.score for each in other], abs=1e-4, nan_ok=True)


def test_a_plan_names_the_export(copy: Path) -> None:
    export_ctranslate2(copy, quantization="int8", name="small", sample=None)
    plan = EnginePlan([copy], InferenceConfig(engine="ctranslate2", device="cpu", export="small"))
    (found,) = next(plan.load().search([[Row([5, 6])]], Request(DecodingConfig())))
    assert found


def test_neither_torch_nor_datasets_is_imported_to_translate(made: Path) -> None:
    program = f"""
import sys
from nmt import Translator
translator = Translator.load({str(made)!r}, engine="ctranslate2")
print(len(translator.translate(["A small dog sleeps."])))
print([name for name in ("torch", "datasets", "pyarrow", "sacrebleu", "safetensors") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    assert (done.stdout, done.stderr) == ("1\n[]\n", "")


def test_an_export_is_opened_with_what_the_engine_needs(made: Path) -> None:
    bundle = open_bundle(made)
    found = open_export(made / "exports" / NAME, bundle.config.files[WEIGHTS], bundle.tokenizer.pieces)
    assert found.source == found.target == bundle.tokenizer.source.pieces(range(bundle.tokenizer.source_size))
    assert (found.quantization, found.target_limit) == ("float32", 128)
