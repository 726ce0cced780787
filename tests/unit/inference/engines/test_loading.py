"""From folders to engines: what goes together, and what each engine is told."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nmt
from nmt.config.inference import DeviceName, InferenceConfig
from nmt.errors import UsageError
from nmt.inference.engines import loading
from nmt.inference.engines.ctranslate2 import CTranslate2Engine
from nmt.inference.engines.loading import EnginePlan, check_device, open_bundles
from nmt.inference.engines.native import NativeEngine

PATHS = [Path("a"), Path("b")]
CPUS: tuple[DeviceName, ...] = ("cpu", "auto")
GPUS: tuple[DeviceName, ...] = ("cuda", "auto")


def bundles(*digests: str) -> dict[Path, Any]:
    """Return bundles whose tokenizers have these digests, and whose weights differ."""
    return {
        path: SimpleNamespace(
            path=path,
            config=SimpleNamespace(files={"tokenizer.model": digest, "model.safetensors": path.name}),
            tokenizer=SimpleNamespace(files=["tokenizer.model"]),
            check_translates=lambda: None,
        )
        for path, digest in zip(PATHS, digests, strict=False)
    }


def test_models_of_an_ensemble_share_a_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    same = bundles("1", "1")
    monkeypatch.setattr(loading, "open_bundle", same.get)
    assert open_bundles(PATHS) == list(same.values())
    monkeypatch.setattr(loading, "open_bundle", bundles("1", "2").get)
    with pytest.raises(UsageError) as caught:
        open_bundles(PATHS)
    assert str(caught.value) == (
        "b does not share the vocabulary of a (the models of an ensemble share a tokenizer: "
        "train them with --init-from, or with other seeds)"
    )


def test_the_native_engine_is_loaded_with_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NativeEngine, "load", lambda *arguments: arguments)
    inference = InferenceConfig(device="cpu", threads=3)
    loaded: Any = EnginePlan(PATHS, inference, "bfloat16").load()
    assert loaded == (PATHS, inference, "bfloat16")


def test_ctranslate2_is_loaded_by_the_name_of_its_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CTranslate2Engine, "load", lambda *arguments: arguments)
    inference = InferenceConfig(engine="ctranslate2", threads=3, export="small")
    loaded: Any = EnginePlan(PATHS, inference).load()
    assert loaded[:2] == (PATHS, inference)


def test_more_processes_than_the_machine_has_cores_or_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "cores", lambda: 3)
    gpus = 0

    def check_gpus(count: int) -> None:
        if count > gpus:
            raise UsageError(f"{gpus} GPUs")

    monkeypatch.setattr(NativeEngine, "check_gpus", check_gpus)
    for device in CPUS:
        check_device(InferenceConfig(device=device, devices=3))
        with pytest.raises(UsageError) as caught:
            check_device(InferenceConfig(device=device, devices=4))
        assert str(caught.value) == "4 processes share the cores, and 3 can be used here (lower --devices)"
    gpus = 4
    for device in GPUS:
        check_device(InferenceConfig(device=device, devices=4))
    with pytest.raises(UsageError, match="4 GPUs"):
        check_device(InferenceConfig(device="cuda", devices=5))
    with pytest.raises(UsageError, match="4 processes share the cores"):
        check_device(InferenceConfig(device="cpu", devices=4))


def test_from_python_too_an_engine_whose_package_is_missing_is_named_with_its_command(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "nmt.inference.engines.native")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r'^the engine native needs .*\.\[train\]", or take the engine ct'):
        nmt.Translator.load(tiny_model)
