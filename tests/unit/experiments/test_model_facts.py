"""The facts about a bundle, and those that its lock does not record."""

import json
from pathlib import Path

import pytest
from runs import unpack_format_1

from nmt.config.inference import InferenceConfig
from nmt.errors import ArtifactError, UsageError
from nmt.experiments.model_facts import LENGTH, facts
from nmt.inference.bundle import open_bundle
from nmt.inference.engines.native import NativeEngine, load_model
from nmt.model.size import SOURCE, memory_of_weights, operations


def test_the_facts_are_those_of_the_bundle_and_of_its_lock(tiny_model: Path) -> None:
    found = facts(tiny_model)
    bundle = open_bundle(tiny_model)
    model, config = load_model(bundle), bundle.config
    assert json.loads(json.dumps(found)) == found
    assert (found["path"], found["name"], found["nmt"]) == (str(tiny_model), "tiny", config.nmt)
    assert found["languages"] == {"source": "en", "target": "de"}
    assert found["model"] == config.model.model_dump()
    assert found["decoding"] == config.decoding.model_dump()
    sizes = {"joint": True, "source_size": 400, "target_size": 400}
    assert found["tokenizer"] == {**sizes, "tags": [], "placeholders": 0, "masks": 0}
    parts = found["parameters"]
    assert parts.pop("total") == sum(parts.values()) == sum(parameter.numel() for parameter in model.parameters())
    counted = found["operations"]
    assert counted["counted"] == SOURCE
    assert counted["target_piece"] == operations(model).target_piece
    total = operations(model).of_search(LENGTH, LENGTH, 4)
    assert counted["sentence"] == {"source": LENGTH, "target": LENGTH, "beam_size": 4, "total": total}
    (native,) = NativeEngine.load([tiny_model], InferenceConfig(device="cpu"), "float32").models
    files = [path.stat().st_size for path in tiny_model.iterdir()]
    assert found["bytes"] == {
        "weights": (tiny_model / "model.safetensors").stat().st_size,
        "bundle": sum(files),
        "memory": memory_of_weights(native),
    }
    training = found["training"]
    assert (training["recipe"], training["corpora"], training["seed"]) == ("tiny", ["train"], 1)
    assert (training["max_steps"], training["steps"], training["averaged"]) == (200, 200, 2)
    assert (training["objective"], training["pairs"]) == ("translation", 587)
    assert training["tokens"]["source"] > 10_000
    assert training["device"] == "cpu"
    assert training["versions"]["nmt"] == config.nmt


def test_what_an_older_nmt_did_not_record_is_none(tmp_path: Path) -> None:
    training = facts(unpack_format_1(tmp_path)[0])["training"]
    assert [training[key] for key in ("pairs", "tokens", "steps", "device")] == [None] * 4
    assert training["began"]


def test_memory_is_none_where_the_model_cannot_be_computed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UsageError("int8 needs another processor")

    monkeypatch.setattr(NativeEngine, "load", refuse)
    assert facts(tiny_model)["bytes"]["memory"] is None


def test_a_bundle_without_its_lock_is_refused(tmp_path: Path) -> None:
    model, _ = unpack_format_1(tmp_path)
    (model / "lock.json").unlink()
    with pytest.raises(ArtifactError, match=r"lock\.json: missing"):
        facts(model)
