"""`nmt checkpoints`: what lies in a run folder, whether it is whole, and other averages of it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY, Run, TinyRun, tree
from torch import Tensor

from nmt.config.toml import load_recipe
from nmt.data.encoding.tokenizer import PAD_ID, Tokenizer
from nmt.model.encoder_decoder import Transformer
from nmt.model.tensors import load_tensors
from nmt.training.checkpoint import EMA, MOMENTS, STATE, WEIGHTS, Checkpoints, TrainingState

RANKED = [(21.25, 20), (20.5, 10)]
NAMES = ["best-00000010", "step-00000010", "best-00000020", "step-00000020", "step-00000030", "halt-00000033"]
DAMAGED = "damaged: its SHA-256 is not the one in state.json"
TEXT = b"A small dog sleeps.\nThe woman wants to see the old house.\n"


@pytest.fixture(scope="session")
def weights(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """Return a prepared run folder and weights of its model."""
    home = tmp_path_factory.mktemp("prepared")
    (home / "tiny.toml").write_text(TINY, encoding="utf-8")
    said = nmt_here("prepare", "tiny.toml", cwd=home)
    assert said.code == 0, said.err
    run = home / "runs" / "tiny"
    tokenizer = Tokenizer.load(run / "tokenizer")
    torch.manual_seed(1)
    recipe = load_recipe(str(home / "tiny.toml")).recipe
    model = Transformer(recipe.model, tokenizer.source_size, tokenizer.target_size, pad_id=PAD_ID)
    return run, {name: tensor.detach() for name, tensor in model.weights().items()}


@pytest.fixture
def run(weights: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> Path:
    """Return a run folder with checkpoints as a training leaves them: those of step N hold N/10 times the weights."""
    folder = shutil.copytree(weights[0], tmp_path / "runs" / "tiny")
    store = Checkpoints(folder / "checkpoints", keep=3)
    for step in (10, 20, 30, 33):
        ranked = [(value, known) for value, known in RANKED if known <= step]
        state = TrainingState(step=step, epoch=step // 15, metric="bleu", ranked=ranked)
        tensors = times(weights[1], step / 10)
        if (21.25 if step == 20 else 20.5, step) in ranked:
            store.save_best(state, tensors, {"data": "abc"})
        moments = {"exp_avg.x": torch.zeros(1000)}
        store.save(state, {WEIGHTS: tensors, MOMENTS: moments}, {"data": "abc"}, halting=step == 33)
    return folder


def times(weights: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    return {name: tensor * factor for name, tensor in weights.items()}


def assert_close(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def test_list_shows_every_checkpoint_with_its_place_size_score_and_state(nmt_here: Run, run: Path) -> None:
    said = nmt_here("checkpoints", "list", run)
    assert (said.code, said.err) == (0, "")
    size = sum(path.stat().st_size for path in (run / "checkpoints" / "step-00000010").iterdir())
    best = sum(path.stat().st_size for path in (run / "checkpoints" / "best-00000010").iterdir())
    assert [line.split() for line in said.lines] == [
        ["checkpoint", "step", "epoch", "size", "dev", "state"],
        ["best-00000010", "10", "0", f"{best / 1e6:.1f}", "MB", "bleu", "20.5", "whole"],
        ["step-00000010", "10", "0", f"{size / 1e6:.1f}", "MB", "bleu", "20.5", "whole"],
        ["best-00000020", "20", "1", f"{best / 1e6:.1f}", "MB", "bleu", "21.25", "whole"],
        ["step-00000020", "20", "1", f"{size / 1e6:.1f}", "MB", "bleu", "21.25", "whole"],
        ["step-00000030", "30", "2", f"{size / 1e6:.1f}", "MB", "whole"],
        ["halt-00000033", "33", "2", f"{size / 1e6:.1f}", "MB", "whole"],
    ]


@pytest.mark.parametrize("command", ["list", "verify"])
def test_the_folder_of_the_checkpoints_does_as_well_as_that_of_the_run(
    nmt_here: Run, run: Path, tmp_path: Path, command: str
) -> None:
    said = nmt_here("checkpoints", command, run)
    assert nmt_here("checkpoints", command, run / "checkpoints") == said
    assert nmt_here("checkpoints", command, ".", cwd=run) == said
    assert nmt_here("checkpoints", command, ".", cwd=run / "checkpoints") == said
    moved = (run / "checkpoints").rename(tmp_path / "elsewhere")
    assert nmt_here("checkpoints", command, moved) == said


def test_looking_changes_nothing_not_even_what_a_writer_is_about_to_finish(nmt_here: Run, run: Path) -> None:
    shutil.copytree(run / "checkpoints" / "step-00000030", run / "checkpoints" / ".step-00000040.1.partial")
    before = tree(run)
    for command in ("list", "verify"):
        assert len(nmt_here("checkpoints", command, run).lines) == len(NAMES) + (command == "list")
    assert tree(run) == before


def test_list_says_what_is_damaged(nmt_here: Run, run: Path) -> None:
    cut(run / "checkpoints" / "step-00000010" / MOMENTS)
    (run / "checkpoints" / "step-00000030" / STATE).unlink()
    said = nmt_here("checkpoints", "list", run)
    assert said.code == 0
    rows = {line.split()[0]: line.split() for line in said.lines}
    assert " ".join(rows["step-00000010"]).endswith(f" {MOMENTS}: {DAMAGED}")
    assert rows["step-00000030"][1:2] + rows["step-00000030"][3:] == [
        *("30", "MB", f"{STATE}:", *["missing,", "so", "this", "is", "no", "checkpoint"])
    ]
    assert rows["step-00000020"][-1] == "whole"


def test_verify_says_of_each_that_it_is_whole(nmt_here: Run, run: Path) -> None:
    assert nmt_here("checkpoints", "verify", run) == (0, "".join(f"{name}: whole\n" for name in NAMES), "")


def test_verify_ends_with_an_error_that_names_the_first_damaged_and_how_many_there_are(
    nmt_here: Run, run: Path
) -> None:
    damaged = [run / "checkpoints" / "step-00000020" / WEIGHTS, run / "checkpoints" / "halt-00000033" / MOMENTS]
    for path in damaged:
        cut(path)
    said = nmt_here("checkpoints", "verify", run)
    assert (said.code, said.lines) == (
        4,
        [
            *("best-00000010: whole", "step-00000010: whole", "best-00000020: whole"),
            *(f"step-00000020: {WEIGHTS}: {DAMAGED}", "step-00000030: whole"),
            f"halt-00000033: {MOMENTS}: {DAMAGED}",
        ],
    )
    assert said.err == f"nmt: 2 of 6 checkpoints are not whole, first {damaged[0]}: {DAMAGED}\n"


@pytest.mark.parametrize(
    ("options", "names", "factor"),
    [
        (["--last", "2"], ["step-00000020", "step-00000030"], 2.5),
        (["--last", "3"], ["step-00000010", "step-00000020", "step-00000030"], 2.0),
        (["--best", "1"], ["best-00000020"], 2.0),
        (["--best", "2"], ["best-00000020", "best-00000010"], 1.5),
        ([], ["step-00000020", "step-00000030"], 2.5),
    ],
)
def test_average_writes_a_whole_model_folder(
    nmt_here: Run,
    run: Path,
    weights: tuple[Path, dict[str, Tensor]],
    tmp_path: Path,
    options: list[str],
    names: list[str],
    factor: float,
) -> None:
    before = tree(run)
    said = nmt_here("checkpoints", "average", run, "-o", tmp_path / "new" / "model", *options)
    assert said == (0, "", f"averaged {', '.join(names)}: {tmp_path / 'new' / 'model'}\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]
    model = tmp_path / "new" / "model"
    assert_close(load_tensors(model / "model.safetensors"), times(weights[1], factor))
    lock = json.loads((run / "lock.json").read_text(encoding="utf-8"))
    assert json.loads((model / "lock.json").read_text(encoding="utf-8")) == {**lock, "averaged": names}
    assert tree(run) == before
    translated = nmt_here("translate", model, "--beam-size", "1", "--max-extra-length", "2", stdin=TEXT)
    assert (translated.code, len(translated.lines)) == (0, 2)


def test_average_ships_the_moving_average_of_the_weights(
    nmt_here: Run, run: Path, weights: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    state = TrainingState(step=40, ranked=RANKED)
    tensors = {WEIGHTS: weights[1], MOMENTS: {}, EMA: times(weights[1], 8)}
    Checkpoints(run / "checkpoints", keep=3).save(state, tensors, {"data": "abc"})
    assert nmt_here("checkpoints", "average", run, "-o", tmp_path / "model", "--last", "1").code == 0
    assert_close(load_tensors(tmp_path / "model" / "model.safetensors"), times(weights[1], 8))


def test_average_follows_a_recipe_that_names_the_best(nmt_here: Run, run: Path, tmp_path: Path) -> None:
    lock = json.loads((run / "lock.json").read_text(encoding="utf-8"))
    lock["recipe"]["training"]["average"] = "best"
    (run / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    said = nmt_here("checkpoints", "average", run / "checkpoints", "-o", tmp_path / "model")
    assert said.messages == [f"averaged best-00000020, best-00000010: {tmp_path / 'model'}"]


def test_average_fills_an_empty_folder_and_leaves_any_other_alone(nmt_here: Run, run: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    output.mkdir()
    average = ("checkpoints", "average", run, "--last", "1", "-o")
    assert nmt_here(*average, output).code == 0
    before = tree(output)
    refused = f"nmt: {output}: is there already (name a new or an empty folder)\n"
    assert nmt_here(*average, output) == (2, "", refused)
    assert tree(output) == before
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    refused = f"nmt: {tmp_path / 'file'}: is there already (name a new or an empty folder)\n"
    assert nmt_here(*average, tmp_path / "file") == (2, "", refused)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_average_checks_that_its_folder_can_be_written_before_it_reads_a_checkpoint(
    nmt_here: Run, run: Path, tmp_path: Path
) -> None:
    cut(run / "checkpoints" / "step-00000030" / WEIGHTS)
    (tmp_path / "file").touch()
    output = tmp_path / "file" / "model"
    said = nmt_here("checkpoints", "average", run, "-o", output, "--last", "1")
    assert said == (4, "", f"nmt: {output}: Not a directory\n")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--last", "4"], 4, "{run}/checkpoints: 4 newest checkpoints asked for, 3 there (take --last 3)"),
        (["--best", "3"], 4, "{run}/checkpoints: 3 best checkpoints asked for, 2 there (take --best 2)"),
        (["--last", "1", "--best", "1"], 2, "--last and --best exclude each other"),
        (["--last", "0"], 2, "Invalid value for '--last': must be greater than or equal to 1"),
    ],
)
def test_an_average_that_cannot_be_is_one_line(
    nmt_here: Run, run: Path, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    said = nmt_here("checkpoints", "average", run, "-o", tmp_path / "model", *options)
    assert said == (code, "", f"nmt: {message.format(run=run)}\n")
    assert not (tmp_path / "model").exists()


def test_average_needs_a_folder_to_write(nmt_here: Run, run: Path) -> None:
    assert nmt_here("checkpoints", "average", run) == (2, "", "nmt: Missing option '-o' / '--output'.\n")


def test_average_refuses_a_damaged_checkpoint_and_leaves_nothing(nmt_here: Run, run: Path, tmp_path: Path) -> None:
    path = run / "checkpoints" / "step-00000020" / WEIGHTS
    cut(path)
    output = tmp_path / "new" / "model"
    said = nmt_here("checkpoints", "average", run, "-o", output, "--last", "2")
    assert said == (4, "", f"nmt: {path}: {DAMAGED}\n")
    assert not output.parent.exists()
    assert nmt_here("checkpoints", "average", run, "-o", output, "--last", "1").code == 0


def test_average_needs_a_ranking_that_is_whole(nmt_here: Run, run: Path, tmp_path: Path) -> None:
    path = run / "checkpoints" / "step-00000030" / STATE
    cut(path)
    said = nmt_here("checkpoints", "average", run, "-o", tmp_path / "model", "--best", "1")
    assert said == (4, "", f"nmt: {path}: damaged\n")


def test_average_of_a_run_without_its_tokenizer_leaves_nothing(nmt_here: Run, run: Path, tmp_path: Path) -> None:
    (run / "tokenizer" / "tokenizer.model").unlink()
    (tmp_path / "new").mkdir()
    said = nmt_here("checkpoints", "average", run, "-o", tmp_path / "new" / "model")
    assert (said.code, said.out, len(said.messages)) == (4, "", 1)
    assert said.err.startswith(f"nmt: {run / 'tokenizer' / 'tokenizer.model'}: missing")
    assert list((tmp_path / "new").iterdir()) == []


def test_average_needs_the_lock_of_the_run(nmt_here: Run, run: Path, tmp_path: Path) -> None:
    average = ("checkpoints", "average", run, "-o", tmp_path / "model")
    lock = json.loads((run / "lock.json").read_text(encoding="utf-8"))
    lock["recipe"]["training"]["xyz"] = 1
    (run / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    said = nmt_here(*average)
    assert said == (*(4, "", f"nmt: {run / 'lock.json'}: unknown key training.xyz (use the nmt that wrote it)\n"),)
    cut(run / "lock.json")
    said = nmt_here(*average)
    assert said == (4, "", f"nmt: {run / 'lock.json'}: missing or damaged (`nmt run` writes it anew)\n")


@pytest.mark.parametrize("words", [["list"], ["verify"], ["average", "-o", "model"]])
def test_a_folder_without_checkpoints_is_one_line(
    nmt_here: Run, weights: tuple[Path, dict[str, Tensor]], tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "file").touch()
    for path in (
        tmp_path,
        weights[0],
        tmp_path / "run",
        tmp_path / "run" / "checkpoints",
        tmp_path / "no",
        tmp_path / "file",
    ):
        said = nmt_here("checkpoints", words[0], path, *words[1:], cwd=tmp_path)
        assert said == (4, "", f"nmt: {path}: no checkpoint in it (take a run folder, runs/NAME, that was trained)\n")
    assert not (tmp_path / "model").exists()


def test_the_checkpoints_of_a_run_are_whole_and_average_to_its_model(
    tiny: TinyRun, nmt_here: Run, tmp_path: Path
) -> None:
    said = nmt_here("checkpoints", "verify", tiny.folder)
    assert said.code == 0
    assert [line for line in said.lines if line.startswith("step")] == [
        f"step-{step:08}: whole" for step in (50, 100, 150, 200)
    ]
    listed = nmt_here("checkpoints", "list", tiny.folder)
    assert (listed.code, len(listed.lines)) == (0, len(said.lines) + 1)
    for options in ([], ["--last", "2"]):
        output = tmp_path / f"model{len(options)}"
        assert nmt_here("checkpoints", "average", tiny.folder, "-o", output, *options).code == 0
        for name in ("model.safetensors", "config.json", "tokenizer.model", "tokenizer.json"):
            assert (output / name).read_bytes() == (tiny.model / name).read_bytes()


def test_the_best_checkpoint_of_a_run_is_a_model_that_translates(tiny: TinyRun, nmt: Run, tmp_path: Path) -> None:
    said = nmt("checkpoints", "average", tiny.folder, "-o", tmp_path / "best", "--best", "1")
    assert said.code == 0, said.err
    translated = nmt("translate", tmp_path / "best", stdin=TEXT)
    assert (translated.code, len(translated.lines)) == (0, 2)
