"""Exports: what is kept, what is refused, and what every refusal says."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import environment, tree

pytest.importorskip("ctranslate2")

import nmt
from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.errors import ArtifactError, DataError, UsageError
from nmt.exporting import ctranslate2
from nmt.exporting.ctranslate2 import Agreement, check, draw_sample, export_ctranslate2, is_tie, read_sample
from nmt.files import digest_file, digest_json
from nmt.inference.bundle import WEIGHTS, open_bundle
from nmt.inference.engines.ctranslate2 import MANIFEST, CTranslate2Engine, find_export, open_export
from nmt.inference.engines.loading import EnginePlan
from nmt.inference.protocol import Request, Row
from nmt.inference.translator import Options, Translator

NAME = "exact"


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with an ctranslate2. Shared: never change it."""
    bundle = shutil.copytree(tiny_model, tmp_path_factory.mktemp("export") / "model")
    export_ctranslate2(bundle, quantization="float32", name=NAME, sample=None)
    return bundle


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "model")


def load(bundle: Path, **options: Any) -> CTranslate2Engine:
    return CTranslate2Engine.load([bundle], device="cpu", threads=1, **options)


def again(bundle: Path) -> str:
    return f"(make it again: nmt export {bundle} --to ctranslate2 --name {NAME})"


def edit_manifest(bundle: Path, **changes: Any) -> None:
    """Change values of the manifest, as one who knows how to write it."""
    path = bundle / "exports" / NAME / MANIFEST
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    del values["digest"]
    path.write_text(json.dumps({**values, "digest": digest_json(values)}), encoding="utf-8")


def test_the_manifest_says_what_it_was_made_from_and_how_it_agrees(made: Path) -> None:
    manifest = json.loads((made / "exports" / NAME / MANIFEST).read_text(encoding="utf-8"))
    assert manifest.pop("digest") == digest_json(manifest)
    assert manifest["weights"] == digest_file(made / WEIGHTS)
    assert (manifest["format"], manifest["engine"], manifest["quantization"]) == (1, "ctranslate2", "float32")
    assert manifest["sample"] == "drawn from the vocabulary"
    assert sorted(manifest["files"]) == ["config.json", "model.bin", "shared_vocabulary.json"]
    assert manifest["files"] == {name: digest_file(made / "exports" / NAME / name) for name in manifest["files"]}
    assert list(manifest["parity"]) == ["beam_1", "beam_5", "own_settings"]
    for search, found in manifest["parity"].items():
        assert 0 < found["lines"] <= 240, search
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


def test_pieces_are_drawn_again_as_they_were_and_fit_the_model(made: Path) -> None:
    bundle = open_bundle(made)
    drawn = draw_sample(bundle)
    assert drawn == draw_sample(bundle)
    assert len(drawn) == 240
    assert {len(ids) for ids in drawn} == {1, 2, 4, 8, 16, 32}
    assert all(EOS_ID < piece < bundle.tokenizer.source_size for ids in drawn for piece in ids)
    short = bundle.config.model.model_copy(update={"max_length": 8})
    object.__setattr__(bundle, "config", bundle.config.model_copy(update={"model": short}))
    assert {len(ids) for ids in draw_sample(bundle)} == {1, 2, 4, 7}


def test_text_is_a_sample_without_the_lines_that_no_model_takes(copy: Path, tmp_path: Path) -> None:
    text = tmp_path / "sample.en"
    text.write_text("A small dog sleeps.\n\n" + "old " * 500 + "\nThe woman sees a house.\n", encoding="utf-8")
    assert len(read_sample(text, open_bundle(copy))) == 2
    manifest = export_ctranslate2(copy, quantization="float32", name="by-text", sample=text)
    assert manifest["sample"] == digest_file(text)
    assert manifest["parity"]["beam_1"]["lines"] == 2


def test_text_without_a_line_for_the_model_is_refused(made: Path, tmp_path: Path) -> None:
    text = tmp_path / "blank.en"
    text.write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_sample(text, open_bundle(made))
    assert str(caught.value) == f"{text}: no line that the model takes (give text in the source language)"


def test_an_export_that_translates_otherwise_is_not_kept(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ctranslate2.ctranslate2_spec

    def wrong(*arguments: Any) -> Any:
        spec = whole(*arguments)
        spec.decoder.layer_norm.gamma *= -1
        return spec

    before = tree(copy)
    monkeypatch.setattr(ctranslate2, "ctranslate2_spec", wrong)
    with pytest.raises(ArtifactError, match=r"^the export is not kept: at beam 1 it translates \d+ of 240 lines ") as e:
        export_ctranslate2(copy, quantization="float32", name=NAME, sample=None)
    assert str(e.value).endswith("(take the native engine; or compare on text, by --sample FILE)")
    assert tree(copy) == before
    assert [path.name for path in (copy / "exports").iterdir()] == [NAME]
    shutil.rmtree(copy / "exports")
    with pytest.raises(ArtifactError, match="in int8, at beam 1, its BLEU against the native engine is "):
        export_ctranslate2(copy, quantization="int8", name=NAME, sample=None)
    assert not (copy / "exports").exists()


def agreements(**changes: Any) -> dict[str, Agreement]:
    found: Agreement = {"lines": 100, "differing": 0, "ties": 2, "score_difference": 1e-5, "bleu": 99.9}
    return {"beam_1": found, "beam_5": {**found, **changes}, "own_settings": {**found, "differing": 3}}  # type: ignore[typeddict-item]


def test_float32_has_to_be_the_same_and_the_others_near() -> None:
    check(agreements(), "float32")
    check(agreements(differing=40, bleu=50.0), "int8")
    check(agreements(lines=0, bleu=0.0), "int8")
    with pytest.raises(ArtifactError) as caught:
        check(agreements(differing=1), "float32")
    assert str(caught.value) == (
        "the export is not kept: at beam 5 it translates 1 of 100 lines otherwise than the native engine (BLEU against "
        "it 99.9) (take the native engine; or compare on text, by --sample FILE)"
    )
    with pytest.raises(ArtifactError) as caught:
        check(agreements(differing=60, bleu=49.94), "int8")
    assert str(caught.value) == (
        "the export is not kept: in int8, at beam 5, its BLEU against the native engine is 49.9 on 100 lines, less "
        "than 50 (take another --quantization; or compare on text, by --sample FILE)"
    )


class Scorer:
    """An engine that finds these log-probabilities."""

    def __init__(self, *scores: list[float]) -> None:
        self.scores = scores

    def score(self, _: Any) -> Iterator[list[list[float]]]:
        yield list(self.scores)


@pytest.mark.parametrize(
    ("first", "second", "tie"),
    [
        ([-1.0, -2.0, -1.0], [-1.0, -1.0, -2.0 - 1e-5], True),  # as likely as a whole
        ([-1.0, -2.0, -1.0], [-1.0, -2.0 + 1e-5, -9.0], True),  # as likely where they part
        ([-1.0, -2.0, -1.0], [-1.0, -2.1, -9.0], False),
    ],
)
def test_a_tie_is_of_whole_hypotheses_or_of_the_pieces_where_they_part(
    first: list[float], second: list[float], tie: bool
) -> None:
    engine: Any = Scorer(first, second)
    assert is_tie(engine, [9], [5, 6], [5, 7]) == tie


def test_a_model_whose_output_is_no_number_is_not_exported(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CTranslate2Engine, "search", lambda _, batches, __: ([[] for _ in rows] for rows in batches))
    with pytest.raises(ArtifactError) as caught:
        export_ctranslate2(copy, quantization="float32", name="nan", sample=None)
    assert str(caught.value) == "the model's output is not a number (its training diverged)"


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
        lambda folder: (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace(": 240", ": 241")),
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
        translator.translate(["A dog."], Options(alignment=True))
    assert str(caught.value) == "alignments need the native engine (leave out the engine ctranslate2)"
    with pytest.raises(UsageError) as caught:
        translator.translate(["A dog."], Options(sampling=SamplingConfig()))
    assert str(caught.value) == ("sampling needs the native engine (CTranslate2 cannot draw by a seed of one's own)")


def test_a_gpu_that_is_not_there_is_a_usage_error(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ctranslate2

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    with pytest.raises(UsageError) as caught:
        Translator.load(made, engine="ctranslate2", device="cuda")
    assert str(caught.value) == "no GPU that CTranslate2 can use on this machine (take device cpu or auto)"
    assert Translator.load(made, engine="ctranslate2", device="auto").translate(["A dog."])[0].text


def test_a_package_that_is_missing_is_named_with_its_command(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    message = 'the engine ctranslate2 needs a package that is not installed (pip install "nmt[ctranslate2]")'
    for work in (
        lambda: Translator.load(made, engine="ctranslate2"),
        lambda: export_ctranslate2(made, quantization="float32", name=NAME, sample=None),
    ):
        with pytest.raises(UsageError) as caught:
            work()
        assert str(caught.value) == message


@pytest.mark.parametrize("quantization", ["int8", "int8_float32", "int16", "bfloat16", "float16"])
def test_every_quantization_says_how_near_it_is(copy: Path, quantization: Any) -> None:
    manifest = export_ctranslate2(copy, quantization=quantization, name="other", sample=None)
    assert manifest["quantization"] == quantization
    assert 50 <= manifest["parity"]["beam_1"]["bleu"] <= 100.000001
    whole = (copy / "exports" / NAME / "model.bin").stat().st_size
    assert (copy / "exports" / "other" / "model.bin").stat().st_size < (0.6 if "8" not in quantization else 0.4) * whole
    assert Translator.load(copy, engine="ctranslate2", export="other").translate(["A dog."])[0].text


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


def test_pairs_get_the_same_scores_by_either_engine(made: Path) -> None:
    sources, targets = ["A small dog sleeps.", "", "The old house."], ["Ein kleiner Hund.", "x", "Das alte Haus."]
    own, other = (Translator.load(made, engine=engine).score(sources, targets) for engine in ("native", "ctranslate2"))
    assert [each.score for each in own] == pytest.approx([each.score for each in other], abs=1e-4, nan_ok=True)


def test_a_plan_names_the_export(copy: Path) -> None:
    export_ctranslate2(copy, quantization="int8", name="small", sample=None)
    (found,) = next(
        EnginePlan([copy], "ctranslate2", "cpu", export="small")
        .load()
        .search([[Row([5, 6])]], Request(DecodingConfig()))
    )
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
    found = open_export(made / "exports" / NAME, bundle.config.files[WEIGHTS])
    assert found.source == found.target == bundle.tokenizer.source.pieces(range(bundle.tokenizer.source_size))
    assert (found.quantization, found.target_limit) == ("float32", 128)
