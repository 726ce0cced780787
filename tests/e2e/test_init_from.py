"""Fine-tuning: a training that begins with the weights and the tokenizer of another."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Run, TinyRun, command, environment, tree

from nmt.config.toml import load_recipe
from nmt.errors import ArtifactError
from nmt.model.tensors import load_tensors
from nmt.training.init_from import open_initial_model

SET = "--set"
STEPS = 6
TUNE = (
    TINY.replace('name = "tiny"', 'name = "tune"')
    .replace("pairs = 800", "pairs = 400\nseed = 2")
    .replace("max_steps = 200", f"max_steps = {STEPS}\nkeep_checkpoints = 20")
    .replace("checkpoint_every = 50", "checkpoint_every = 1")
    .replace("validate_every = 100", "validate_every = 1")
    .replace("vocab_size = 400", "vocab_size = 350")
)
Words = list[str | Path]
FROZEN = [SET, "optimizer.learning_rate=1e-30"]
"""An update that changes nothing: what is validated is what the training began with."""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tune.toml"
    path.write_text(TUNE, encoding="utf-8")
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def dev_losses(folder: Path) -> dict[int, float]:
    """Return the dev losses in the log of a run, by step."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {line["step"]: line["loss"] for line in lines if line["kind"] == "dev"}


def tokenizer_of(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree(folder).items() if name.startswith("tokenizer.")}


def copy_checkpoints(tiny: TinyRun, folder: Path) -> Path:
    """Copy what a checkpoint needs to be taken over, and return its folder of checkpoints."""
    for name in ("tokenizer", "checkpoints"):
        shutil.copytree(tiny.folder / name, folder / name)
    shutil.copyfile(tiny.folder / "lock.json", folder / "lock.json")
    return folder / "checkpoints"


@pytest.mark.parametrize("ema", [[], [SET, "training.ema_decay=0.9"]], ids=["weights", "moving average"])
def test_fine_tuning_begins_at_the_dev_loss_of_the_checkpoint_that_it_takes_over(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path, ema: list[str]
) -> None:
    newest = tiny.folder / "checkpoints" / "step-00000200"
    options: Words = [*FROZEN, *ema, SET, "training.max_steps=1", "--run-dir", tmp_path / "run"]
    said = nmt_here("train", recipe, "--init-from", newest, *options)
    assert said.code == 0, said.err
    assert dev_losses(tmp_path / "run")[1] == pytest.approx(dev_losses(tiny.folder)[200], rel=1e-5)
    assert f"train: starting from the weights {newest / 'model.safetensors'}" in said.messages


def test_without_it_the_first_dev_loss_is_that_of_a_random_model(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    options: Words = [*FROZEN, SET, "training.max_steps=1", "--run-dir", tmp_path / "run"]
    assert nmt_here("train", recipe, *options).code == 0
    assert dev_losses(tmp_path / "run")[1] > dev_losses(tiny.folder)[200] + 1


def test_every_one_of_several_processes_begins_with_the_same_weights(
    tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "nmt"]
    options: Words = [*FROZEN, SET, "training.max_steps=1", "--run-dir", tmp_path / "run"]
    words = map(str, ["train", recipe, "--init-from", tiny.folder / "checkpoints", *options])
    done = subprocess.run([*launcher, *words], env=environment(), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert dev_losses(tmp_path / "run")[1] == pytest.approx(dev_losses(tiny.folder)[200], rel=1e-5)


def test_the_tokenizer_is_taken_over_and_a_second_call_skips_every_stage(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    folder, bundle = tmp_path / "run", tiny.copy_model(tmp_path / "base")
    said = nmt_here("run", recipe, "--init-from", bundle, "--run-dir", folder)
    assert said.code == 0, said.err
    line = f"tokenizer: copied from {bundle}; the recipe's section [tokenizer] is not used"
    assert said.messages.count(line) == 1
    assert tokenizer_of(folder / "tokenizer") == tokenizer_of(tiny.model) == tokenizer_of(folder / "model")
    lock = read(folder / "lock.json")
    assert lock["recipe"]["training"]["init_from"] == str(bundle)
    assert lock["init"]["weights"] == read(bundle / "config.json")["files"]["model.safetensors"]

    moved = bundle.rename(tmp_path / "moved")
    for place in (bundle, moved):  # where it no longer lies, and where it does
        again = nmt_here("run", recipe, "--init-from", place, "--run-dir", folder)
        assert again.code == 0, again.err
        assert [line.partition(":")[2][:9] for line in again.messages] == [" skipped,"] * 6


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints/step-00000200", "checkpoints/best-00000200", "model"])
def test_a_recipe_names_a_model_folder_or_a_checkpoint_relative_to_itself(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path, name: str
) -> None:
    ranked = read(tiny.folder / "checkpoints/step-00000200/state.json")["state"]["ranked"]
    name = name.replace("best-00000200", f"best-{ranked[0][1]:08}")
    (tmp_path / "base").symlink_to(tiny.folder)
    recipe = tmp_path / "tune.toml"
    recipe.write_text(TUNE.replace("[training]", f'[training]\ninit_from = "base/{name}"'), encoding="utf-8")
    said = nmt_here("tokenizer", "train", recipe, "--run-dir", tmp_path / "run")
    assert said.code == 0, said.err
    assert tokenizer_of(tmp_path / "run" / "tokenizer") == tokenizer_of(tiny.model)
    taken = name.replace("checkpoints", "checkpoints/step-00000200") if name == "checkpoints" else name
    assert read(tmp_path / "run" / "lock.json")["init"]["file"] == str(tiny.folder / taken / "model.safetensors")


def test_what_ends_by_a_kill_goes_on_without_the_old_weights_to_the_same_end(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    whole, killed, bundle = tmp_path / "whole", tmp_path / "killed", tiny.copy_model(tmp_path / "base")
    options: Words = ["--init-from", bundle]
    assert nmt_here("run", recipe, *options, "--run-dir", whole).code == 0

    process = subprocess.Popen(
        command("run", recipe, *options, "--run-dir", killed), stderr=subprocess.PIPE, env=environment()
    )
    try:
        while not (killed / "checkpoints" / "step-00000002").exists():
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    shutil.rmtree(bundle)

    last = nmt_here("run", recipe, *options, "--run-dir", killed)
    assert last.code == 0, last.err
    assert any(line.startswith("train: resuming after step ") for line in last.messages)
    assert tree(killed / "checkpoints") == tree(whole / "checkpoints")
    assert (killed / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()


def test_a_run_goes_on_with_no_other_weights_than_it_began_with(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    folder, store = tmp_path / "run", tiny.folder / "checkpoints"
    options: Words = ["--run-dir", folder, SET, "training.max_steps=1"]
    assert nmt_here("train", recipe, *options, "--init-from", store / "step-00000200").code == 0
    others: list[Words] = [["--init-from", store / "step-00000150"], []]
    for other in others:
        said = nmt_here("train", recipe, *options, *other)
        assert (said.code, len(said.messages)) == (4, 1)
        assert "a checkpoint of another recipe: it differs in init" in said.err


def test_a_model_that_is_gone_before_the_first_checkpoint_is_missed(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    bundle = tiny.copy_model(tmp_path / "base")
    options: Words = ["--run-dir", tmp_path / "run", "--init-from", bundle]
    assert nmt_here("prepare", recipe, *options).code == 0
    shutil.rmtree(bundle)
    said = nmt_here("train", recipe, *options)
    assert (said.code, said.messages) == (4, [f"nmt: {neither(bundle)}"])


def neither(path: Path) -> str:
    """Return what is said of a path that cannot be taken over."""
    return (
        f"{path}: neither a bundle nor a checkpoint (training.init_from takes runs/NAME/model, "
        "runs/NAME/checkpoints, or a folder in that)"
    )


def test_what_is_no_model_is_one_line_and_nothing_is_made(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    for path in (tmp_path / "nowhere", recipe, tmp_path, tiny.folder):
        said = nmt_here("train", recipe, "--init-from", path, "--run-dir", tmp_path / "run")
        assert (said.code, said.messages) == (4, [f"nmt: {neither(path)}"])
    assert not (tmp_path / "run").exists()


def test_a_damaged_model_or_checkpoint_is_one_line(nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path) -> None:
    bundle, store = tiny.copy_model(tmp_path / "base"), copy_checkpoints(tiny, tmp_path / "old")
    expected = {
        bundle: f"{bundle / 'model.safetensors'}: damaged: its SHA-256 is not the one in config.json (copy the bundle "
        "again, or make it again with `nmt run`)"
    }
    steps = sorted(store.glob("step-*"))
    damaged = "damaged: its SHA-256 is not the one in state.json"
    expected[steps[-1]] = f"{steps[-1] / 'model.safetensors'}: {damaged}"
    expected[store] = f"{steps[-1] / 'model.safetensors'}: {damaged} (no older checkpoint is whole)"
    for file in (bundle / "model.safetensors", *(path / "model.safetensors" for path in steps)):
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    for path, message in expected.items():
        said = nmt_here("train", recipe, "--init-from", path, "--run-dir", tmp_path / "run")
        assert (said.code, said.messages) == (4, [f"nmt: {message}"])


def test_of_a_folder_of_checkpoints_the_newest_whole_one_is_taken(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    store = copy_checkpoints(tiny, tmp_path / "old")
    (store / "step-00000200" / "model.safetensors").write_bytes(b"")
    (store / ".writing.partial").mkdir()
    said = nmt_here("tokenizer", "train", recipe, "--init-from", store, "--run-dir", tmp_path / "run")
    assert said.code == 0
    damaged = store / "step-00000200" / "model.safetensors"
    reason = "damaged: its SHA-256 is not the one in state.json"
    assert f"nmt: warning: {damaged}: {reason}; starting from an older checkpoint" in said.messages
    assert read(tmp_path / "run" / "lock.json")["init"]["file"] == str(store / "step-00000150" / "model.safetensors")
    assert (store / ".writing.partial").exists(), "another run's folder was changed"


def test_a_checkpoint_without_its_tokenizer_or_with_another_is_one_line(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    store = copy_checkpoints(tiny, tmp_path / "old")
    tokenizer, newest = tmp_path / "old" / "tokenizer", store / "step-00000200"
    shutil.rmtree(tokenizer)
    options: Words = ["--init-from", newest, "--run-dir", tmp_path / "run"]
    said = nmt_here("train", recipe, *options)
    hint = "take a checkpoint in its run folder, or a bundle"
    assert (said.code, said.messages) == (4, [f"nmt: {newest}: its tokenizer is not at {tokenizer} ({hint})"])

    assert nmt_here("tokenizer", "train", recipe, "--run-dir", tmp_path / "other").code == 0
    shutil.copytree(tmp_path / "other" / "tokenizer", tokenizer)
    said = nmt_here("train", recipe, *options)
    assert (said.code, said.messages) == (
        4,
        [
            f"nmt: {newest}: does not fit the model of the recipe: target_embedding.weight is (400, 32), not (350, 32) "
            "(the tokenizer beside it is not the one that it was trained with)"
        ],
    )


@pytest.mark.parametrize("kind", ["model", "checkpoints/step-00000200"])
@pytest.mark.parametrize(
    ("changes", "facts", "hint"),
    [
        (
            ["model.d_model=64"],
            "model.d_model = 32 there, 64 here; target_embedding.weight is (400, 32), not (400, 64)",
            "set model.d_model = 32",
        ),
        (["model.heads=4"], "model.heads = 2 there, 4 here", "set model.heads = 2"),
        (
            ["model.tied_embeddings=target"],
            'model.tied_embeddings = "all" there, "target" here; source_embedding.weight is not in both the file and '
            "the model",
            'set model.tied_embeddings = "all"',
        ),
        (
            ["model.norm=post", "model.ffn=32"],
            'model.ffn = 64 there, 32 here; model.norm = "pre" there, "post" here; decoder_norm.bias is not in both '
            "the file and the model",
            'set model.ffn = 64, model.norm = "pre"',
        ),
    ],
)
def test_a_model_of_another_shape_is_one_line_with_the_keys_to_change(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path, kind: str, changes: list[str], facts: str, hint: str
) -> None:
    options = [word for change in changes for word in (SET, change)]
    said = nmt_here("run", recipe, "--init-from", tiny.folder / kind, "--run-dir", tmp_path / "run", *options)
    message = f"nmt: {tiny.folder / kind}: does not fit the model of the recipe: {facts} ({hint})"
    assert (said.code, said.messages) == (4, [message])
    assert not (tmp_path / "run").exists()


def test_dropout_and_the_length_limit_may_differ_and_separate_vocabularies_in_the_recipe_say_nothing(
    nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path
) -> None:
    options = ["model.dropout=0.3", "model.attention_dropout=0.1", "model.max_length=80", "tokenizer.joint=false"]
    said = nmt_here(
        *("tokenizer", "train", recipe, "--init-from", tiny.model, "--run-dir", tmp_path / "run"),
        *(word for option in options for word in (SET, option)),
    )
    assert said.code == 0, said.err


@pytest.mark.parametrize("kind", ["model", "checkpoints"])
def test_other_languages_are_a_warning(nmt_here: Run, tiny: TinyRun, recipe: Path, tmp_path: Path, kind: str) -> None:
    text = TUNE.replace("vocab_size", "# vocab_size").replace('target = "de"', 'target = "fr"')
    for split, pairs in (("train", 800), ("dev", 10), ("test", 20)):
        files = f'source = "{split}.en"\ntarget = "{split}.de"'
        text = text.replace(f'builtin = "{split}"\npairs = {400 if split == "train" else pairs}', files)
        assert nmt_here("data", "synthesize", tmp_path, "--split", split, "--pairs", str(pairs)).code == 0
    recipe.write_text(text.replace("\nseed = 2", ""), encoding="utf-8")
    said = nmt_here("tokenizer", "train", recipe, "--init-from", tiny.folder / kind, "--run-dir", tmp_path / "run")
    assert said.code == 0, said.err
    assert said.messages[0] == (
        f"nmt: warning: {tiny.folder / kind} translates en to de, the recipe en to fr: its tokenizer and its weights "
        "know other text"
    )


def test_a_run_does_not_begin_with_itself(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, "--init-from", folder / "model")
    message = f"nmt: {folder / 'model'}: lies in the run folder that would start from it (take another --run-dir)"
    assert (said.code, said.messages) == (2, [message])


def test_weights_that_changed_since_they_were_found_are_one_line(tiny: TinyRun, tmp_path: Path) -> None:
    recipe = load_recipe(str(tiny.recipe)).recipe
    bundle = tiny.copy_model(tmp_path / "base")
    initial = open_initial_model(bundle, recipe.model, recipe.languages)
    assert initial.load().keys() == load_tensors(bundle / "model.safetensors").keys()
    (bundle / "model.safetensors").write_bytes(b"others")
    with pytest.raises(ArtifactError) as caught:
        initial.load()
    message = "gone or changed since this run began (run it again)"
    assert str(caught.value) == f"{bundle / 'model.safetensors'}: {message}"


def test_the_key_is_explained(nmt_here: Run) -> None:
    said = nmt_here("recipe", "explain", "training.init_from")
    assert said.out.startswith(
        'training.init_from (str) = "none"\n    Fine-tuning: start from the weights and the tokenizer'
    )
