"""Pretraining on monolingual text, and fine-tuning from it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Run

from nmt.training import profiling

SET = "--set"
TRAIN = TINY[TINY.index("[data.train]") : TINY.index("[data.dev]")]
LINES = "".join(
    f'[data.monolingual.{name}]\nlanguage = "{name}"\nbuiltin = "train"\npairs = {pairs}\n\n'
    for name, pairs in (("en", 250), ("de", 200))
)
PRETRAIN = (
    TINY.replace('name = "tiny"', 'name = "pretrain"')
    .replace(TRAIN, LINES)
    .replace("vocab_size = 400", "vocab_size = 400\nmasks = 4")
    .replace("max_steps = 200", 'objective = "denoising"\nmax_steps = 12')
    .replace("checkpoint_every = 50", "checkpoint_every = 4")
    .replace("validate_every = 100", "validate_every = 4")
)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def dev_events(folder: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["kind"] == "dev"]


@pytest.fixture(scope="module")
def pretrained(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the recipe, its run `runs/pretrain` and what this said. Shared: never change it."""
    home = tmp_path_factory.mktemp("pretraining")
    (home / "pretrain.toml").write_text(PRETRAIN, encoding="utf-8")
    said = nmt_here("run", "pretrain.toml", cwd=home, env={"NMT_NO_REPORT": ""})
    assert said.code == 0, said.err
    (home / "said.txt").write_text(said.out + said.err, encoding="utf-8")
    return home


def test_a_pretraining_ends_with_a_bundle_losses_and_the_next_command(pretrained: Path) -> None:
    folder, said = pretrained / "runs" / "pretrain", (pretrained / "said.txt").read_text(encoding="utf-8")
    assert "Best checkpoint: step 12 of 12, dev loss " in said
    assert "Next: nmt run RECIPE --init-from runs/pretrain/model" in said
    assert "BLEU" not in said
    assert not (folder / "evaluation").exists()
    events = dev_events(folder)
    assert [event.keys() for event in events] == [{"kind", "step", "loss", "perplexity"}] * 3
    assert events[0]["loss"] > events[1]["loss"] > events[2]["loss"]
    lock = read(folder / "lock.json")
    assert (list(lock["results"]), lock["scores"]) == (["text", "tokenizer", "prepare", "train", "bundle"], {})
    assert read(folder / "model" / "config.json")["objective"] == "denoising"


def test_run_again_it_does_nothing_and_its_plan_has_no_evaluation(nmt_here: Run, pretrained: Path) -> None:
    said = nmt_here("run", "pretrain.toml", "--dry-run", cwd=pretrained)
    stages = ("text", "tokenizer", "prepare", "train", "bundle")
    assert said.lines == [f"{stage}: skipped, its inputs have not changed" for stage in stages]


@pytest.mark.parametrize(
    "arguments",
    [
        ["translate", "MODEL"],
        ["evaluate", "MODEL", "--source", "FILE", "--reference", "FILE"],
        ["score", "MODEL", "--source", "FILE", "--target", "FILE"],
        ["export", "MODEL", "--to", "int8", "-o", "int8"],
        ["reproduce", "tiny.toml", "--from", "MODEL", SET, 'expected.test={bleu = 1.0, signature = "x"}'],
    ],
    ids=lambda arguments: arguments[0],
)
def test_its_bundle_does_not_translate(nmt_here: Run, pretrained: Path, tmp_path: Path, arguments: list[str]) -> None:
    model, file = pretrained / "runs" / "pretrain" / "model", tmp_path / "text"
    file.write_text("a\n", encoding="utf-8")
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    words = [{"MODEL": str(model), "FILE": str(file)}.get(word, word) for word in arguments]
    said = nmt_here(*words, stdin=b"a\n", cwd=tmp_path)
    hint = f"fine-tune it: nmt run RECIPE --init-from {model}"
    assert (said.code, said.out) == (2, "")
    assert said.err == f"nmt: {model}: was trained for denoising, not translation ({hint})\n"


def test_reports_and_comparisons_show_it_without_scores(nmt_here: Run, pretrained: Path, tmp_path: Path) -> None:
    folder = pretrained / "runs" / "pretrain"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'id="training"' in page
    assert '<th scope="row">Objective</th><td>denoising</td>' in page
    assert 'id="scores"' not in page
    assert 'id="translations"' not in page
    other = shutil.copytree(folder, tmp_path / "other")
    said = nmt_here("compare", folder, other)
    assert (said.code, "dev loss" in said.out.lower(), "BLEU" in said.out) == (0, True, False), said.err
    said = nmt_here("report", folder, other, "-o", tmp_path / "both.html")
    assert said.code == 0, said.err
    shutil.rmtree(other / "model")
    said = nmt_here("report", other)
    assert (said.code, said.err.partition(" (")[0]) == (4, f"nmt: {other}: a run without a bundle")


def test_a_translation_model_starts_from_it_with_its_tokenizer(nmt_here: Run, pretrained: Path, tmp_path: Path) -> None:
    model = pretrained / "runs" / "pretrain" / "model"
    (tmp_path / "tune.toml").write_text(TINY, encoding="utf-8")
    few = [SET, "training.max_steps=2", SET, "training.checkpoint_every=1", SET, "data.train.pairs=100"]
    said = nmt_here("run", "tune.toml", *few, "--init-from", model, cwd=tmp_path)
    assert said.code == 0, said.err
    assert f"train: starting from the weights {model / 'model.safetensors'}" in said.messages
    tuned = tmp_path / "runs" / "tiny" / "model"
    assert (tuned / "tokenizer.model").read_bytes() == (model / "tokenizer.model").read_bytes()
    assert read(tuned / "config.json")["objective"] == "translation"
    assert nmt_here("translate", tuned, stdin=b"the dog\n").code == 0


def test_what_goes_on_needs_the_masks_of_the_model(nmt_here: Run, pretrained: Path, tiny_model: Path) -> None:
    said = nmt_here("train", "pretrain.toml", "--init-from", tiny_model, "--run-dir", "other", cwd=pretrained)
    assert (said.code, said.out) == (2, "")
    assert said.messages[-1] == (
        'nmt: training.objective = "denoising": the model that training.init_from names has 0 masks, not 1 '
        "(train without init_from)"
    )


def test_a_sweep_has_no_table_of_such_runs(nmt_here: Run, pretrained: Path) -> None:
    said = nmt_here("sweep", "pretrain.toml", SET, "noise.mask_share=0.1,0.2", cwd=pretrained)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        'nmt: variant mask_share=0.1: training.objective = "denoising" has no scores to compare '
        "(nmt run it, and nmt compare such runs)\n"
    )


def test_the_doctor_measures_it_without_translating(
    nmt_here: Run, pretrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "MAX_MICRO_BATCHES", 2)
    said = nmt_here("doctor", "pretrain.toml", "--run-dir", "other", cwd=pretrained)
    assert said.code == 0, said.out
    assert "OK       export: a model that is trained for denoising has none" in said.lines
    assert "OK       metric: the loss of dev ranks the checkpoints; there are no other scores" in said.lines
    memory, time = said.lines[-2:]
    assert memory.startswith("OK       memory: ")
    assert memory.endswith(" GiB")
    assert time.startswith("OK       time: about ")
    assert time.endswith(" target tokens a second)")
