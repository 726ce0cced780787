"""Exports for transformers: what is kept and what is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import write_random

pytest.importorskip("transformers")

from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import SentencePieceModel
from nmt.errors import ArtifactError, UsageError
from nmt.exporting import huggingface, transformers_model
from nmt.exporting.huggingface import check_shape, compare_tokenizers, export_huggingface, told
from nmt.files import digest_file, read_json
from nmt.inference.bundle import Bundle, open_bundle
from nmt.inference.engines.native import load_model
from nmt.version import install_hint

LINES = "A small dog sleeps.\nThe woman wants to see the old house.\n\nＡ dog\u00a0， e\u0301.\n"


@pytest.fixture(scope="module")
def bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with random weights. Shared: never change it."""
    return write_random(tmp_path_factory.mktemp("random") / "model", tiny_model)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample"
    path.write_text(LINES, encoding="utf-8")
    return path


def test_an_export_holds_figures_and_digests(bundle: Path, sample: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    made = export_huggingface(bundle, folder, sample=sample)
    assert made["parity"].keys() == {"beam_1", "beam_5", "own_settings"}
    assert all(found["lines"] and not found["differing"] for found in made["parity"].values())
    assert (made["tokenizer"]["lines"], made["tokenizer"]["odd_differing"], made["length_penalty"]) == (4, 0, 0.0)
    assert (made["sample"], made["engine"]) == (digest_file(sample), "huggingface")
    assert {**read_json(folder / "manifest.json"), "digest": ""} == {**made, "digest": ""}
    assert made["files"].keys() == {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert {path.stat().st_mode for path in folder.iterdir()} == {(folder / "manifest.json").stat().st_mode}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| beam 5 | " in card
    assert "length^" not in card


def test_an_export_that_translates_otherwise_is_not_kept(
    bundle: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Any = transformers_model.converted

    def wrong(*arguments: Any) -> Any:
        model = original(*arguments)
        with torch.no_grad():
            model.model.encoder.layer_norm.bias += 1
        return model

    monkeypatch.setattr(transformers_model, "converted", wrong)
    with pytest.raises(ArtifactError, match=r"the export is not kept: at beam 1 it translates 2 of 2 lines"):
        export_huggingface(bundle, tmp_path / "made", sample=sample)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sample"]


class Broken:
    """A tokenizer that knows one id and one text."""

    def __call__(self, text: list[str]) -> Any:
        return type("Encoding", (), {"input_ids": [[3] for _ in text]})

    def batch_decode(self, sequences: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
        return ["x" if skip_special_tokens else ""] * len(sequences)


def test_a_tokenizer_with_other_ids_or_texts_is_refused(bundle: Path) -> None:
    opened = open_bundle(bundle)
    for lines, hypotheses, problem in (
        (["", "a"], [], "its tokenizer gives 1 of 2 lines other ids, such as 'a'"),
        ([""], [opened.tokenizer.target.encode(["ab"])[0]], "gives 1 of 1 translations another text, such as 'ab'"),
    ):
        with pytest.raises(ArtifactError) as caught:
            compare_tokenizers(Broken(), opened, lines, hypotheses)
        assert problem in str(caught.value)
    half = opened.tokenizer.target.processor.piece_to_id("<0xE2>")
    found = compare_tokenizers(Broken(), opened, [""], [[half]])
    assert (found["decoded"], found["decoded_differing"]) == (1, 1)
    assert found["odd_differing"] > 10


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"architecture": "decoder-only"}, "model.architecture = decoder-only"),
        ({"architecture": "prefix-lm"}, "model.architecture = prefix-lm"),
        ({"positions": "rotary"}, "model.positions = rotary"),
        ({"positions": "learned", "norm": "post"}, 'model.positions = learned with model.norm = "post"'),
        ({"activation": "swiglu"}, "model.activation = swiglu"),
        ({"attention_kernel": "linear"}, "model.attention_kernel = linear"),
        ({"attention_window": 8}, "model.attention_window = 8"),
        ({"head_width": 8}, "model.head_width = 8"),
    ],
)
def test_a_setting_that_transformers_lacks_is_named(values: dict[str, object], setting: str) -> None:
    check_shape(ModelConfig.model_validate({"d_model": 16, "heads": 4}))
    with pytest.raises(UsageError) as caught:
        check_shape(ModelConfig.model_validate({"d_model": 16, "heads": 4, **values}))
    assert str(caught.value) == (
        f"{setting}: transformers has no encoder and decoder like this (translate with nmt, or see what --to "
        "ctranslate2 takes)"
    )


def test_a_missing_extra_and_a_folder_in_use_are_one_line(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(UsageError, match="is there already"):
        export_huggingface(bundle, tmp_path, sample=None)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("nmt.runtime.import_module", missing)
    with pytest.raises(UsageError) as caught:
        export_huggingface(bundle, tmp_path / "made", sample=None)
    hint = install_hint("huggingface")
    assert str(caught.value) == f"--to huggingface needs a package that is not installed ({hint})"


def test_a_tokenizer_of_words_is_refused(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SentencePieceModel, "is_of_words", True)
    with pytest.raises(UsageError) as caught:
        export_huggingface(bundle, tmp_path / "out", sample=None)
    assert str(caught.value) == (
        f"{bundle}: its tokenizer is of words, and the export has pieces of words alone "
        "(nmt export --to ctranslate2 takes it)"
    )
    assert not (tmp_path / "out").exists()


def test_another_length_penalty_is_said(bundle: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle)
    written: dict[str, float] = {}
    model: Any = load_model(opened)
    decoding = opened.config.decoding.model_copy(update={"length_penalty": 1.0})
    config = opened.config.model_copy(update={"decoding": decoding, "training_lines": None})
    changed = Bundle(opened.path, config, opened.tokenizer)
    written["exponent"] = huggingface.write_model(tmp_path / "made", model, changed, [[9] * 4, [9] * 14])
    assert written["exponent"] == round(10 / 15, 3)
    assert read_json(tmp_path / "made" / "generation_config.json")["length_penalty"] == written["exponent"]
    ids = {"lines": 3, "odd_lines": 9, "odd_differing": 1, "decoded": 3, "decoded_differing": 0}
    manifest: Any = {"tokenizer": ids, "length_penalty": 0.667}
    assert told(manifest) == [
        "the tokenizer gives all 3 lines the same ids, and 1 of 9 odd ones others; 0 of 3 translations have another "
        "text",
        "with its own settings transformers searches by another length penalty, length^0.667",
    ]
    manifest["length_penalty"] = 0.0
    assert len(told(manifest)) == 1
