"""How a step is cut: fitted to the memory before the first one, cut smaller where it does not suffice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Result, Run
from torch.testing import assert_close

from nmt import devices
from nmt.errors import UsageError
from nmt.training import memory
from nmt.training.checkpoint import Checkpoint, read_checkpoint
from nmt.training.memory import fit
from nmt.training.updater import Updater

NO_CPU_MEMORY = "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried"


class Need:
    """A thousand bytes a token, and what was tried."""

    def __init__(self, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.tried: list[int] = []
        self.fails_at, self.error = fails_at, error

    def __call__(self, tokens: int) -> int:
        self.tried.append(tokens)
        if self.fails_at is not None and tokens >= self.fails_at and self.error:
            raise self.error
        return 1000 * tokens


def test_a_step_that_fits_stays_whole() -> None:
    need = Need()
    assert fit(need, 6000, room=11_000_000) == 6000
    assert need.tried == [1024, 2048, 4096, 6000]


def test_a_step_smaller_than_the_first_trial_is_tried_as_it_is() -> None:
    need = Need()
    assert fit(need, 700, room=8_000_000) == 700
    assert need.tried == [700]


@pytest.mark.parametrize(("room", "fitting"), [(1_300_000, 1024), (2_600_000, 2048), (5_200_000, 4096)])
def test_a_step_that_does_not_fit_is_cut_and_never_tried(room: int, fitting: int) -> None:
    need = Need()
    assert fit(need, 100_000, room) == fitting
    assert max(need.tried) == fitting
    assert all(1000 * tokens <= memory.HEADROOM * room for tokens in need.tried)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(NO_CPU_MEMORY)])
def test_a_trial_that_runs_out_of_memory_is_the_end_of_the_search(error: Exception) -> None:
    assert fit(Need(4096, error), 100_000, room=10**12) == 2048


def test_other_failures_of_a_trial_are_not_taken_for_a_full_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        fit(Need(2048, RuntimeError("shapes differ")), 100_000, room=10**12)


@pytest.mark.parametrize("need", [Need(), Need(1, torch.OutOfMemoryError("CUDA out of memory"))])
def test_a_memory_that_holds_not_even_the_smallest_pass_is_one_line(need: Need) -> None:
    with pytest.raises(UsageError) as caught:
        fit(need, 100_000, room=2**20)
    assert str(caught.value) == (
        "not even 1,024 padded tokens of the longest sentences fit into 0.0 GiB of free memory "
        "(take a smaller model, shorter sentences (cleaning.max_pieces), or a device with more memory)"
    )
    assert need.tried == [1024]


# The training, in a memory that is said to be small.

STEPS = 12
RECIPE = (
    TINY.replace("max_steps = 200", f"max_steps = {STEPS}")
    .replace("checkpoint_every = 50", "checkpoint_every = 4")
    .replace("validate_every = 100", "validate_every = 12")
    .replace("dropout = 0.1", "dropout = 0.0")
    .replace("warmup_steps = 20", "warmup_steps = 20\nepsilon = 1e-2")
)
"""Adam's usual epsilon would make a whole step of a gradient that is nothing but rounding."""


@pytest.fixture(scope="module")
def prepared(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the data once: a folder with the recipe and a run folder, `base`."""
    home = tmp_path_factory.mktemp("memory")
    (home / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    assert nmt_here("prepare", home / "tiny.toml", "--run-dir", home / "base").code == 0
    return home


@pytest.fixture
def train(nmt_here: Run, prepared: Path) -> Callable[..., Result]:
    """Return what trains in a folder, on from where it stands."""

    def call(folder: Path, *options: str, steps: int = STEPS) -> Result:
        if not folder.exists():
            shutil.copytree(prepared / "base", folder)
        to = ["--set", f"training.max_steps={steps}"]
        return nmt_here("train", prepared / "tiny.toml", "--run-dir", folder, *to, *options)

    return call


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a pass take a megabyte a token, of 1,400 that are free: 1,024 tokens fit, twice as many do not."""
    monkeypatch.setattr(memory, "micro_batch_cost", lambda *_: lambda tokens: 10**6 * tokens)
    monkeypatch.setattr(devices, "free_memory", lambda _: 1400 * 10**6)


def newest(folder: Path) -> Checkpoint:
    return read_checkpoint(max((folder / "checkpoints").glob("step-*")))


def log_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["kind"] == kind]


def passes_of(folder: Path) -> Any:
    return json.loads((folder / "lock.json").read_text(encoding="utf-8"))["passes"]["micro_batch_tokens"]


@pytest.fixture(scope="module")
def whole(nmt_here: Run, prepared: Path) -> Path:
    """Train with as much memory as there is."""
    folder = shutil.copytree(prepared / "base", prepared / "whole")
    assert nmt_here("train", prepared / "tiny.toml", "--run-dir", folder).code == 0
    return folder


def never(*_: Any) -> int:
    raise AssertionError("fits anew")


@pytest.mark.usefixtures("small")
def test_a_small_memory_cuts_the_steps_and_the_run_remembers_it(
    train: Callable[..., Result], whole: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    said = train(folder, steps=4)
    assert said.code == 0, said.err
    cut = "train: a step is cut into micro-batches of up to 1,024 padded tokens a side"
    assert said.messages.count(f"{cut}, which fits into 1.3 GiB of free memory") == 1
    assert passes_of(folder) == 1024
    assert newest(folder).state.micro_batch_tokens == 1024

    monkeypatch.setattr(memory, "fit", never)
    beginning = shutil.copytree(folder, tmp_path / "beginning")
    assert train(folder).code == 0
    # Killed before its first checkpoint, a run takes what the lock says.
    shutil.rmtree(beginning / "checkpoints")
    assert train(beginning).code == 0
    for each in (folder, beginning):
        assert newest(each).state.micro_batch_tokens == 1024
        assert_close(newest(each).weights(), newest(whole).weights(), rtol=1e-4, atol=1e-6)
    assert newest(folder).files == newest(beginning).files


def test_a_memory_that_suffices_leaves_a_step_whole_and_says_so(
    train: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = train(tmp_path / "run", steps=1)
    assert said.code == 0
    assert any(
        line.startswith("train: a step is one micro-batch of up to ") and line.endswith(" GiB of free memory")
        for line in said.messages
    )
    assert passes_of(tmp_path / "run") is None
    monkeypatch.setattr(memory, "fit", never)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert train(tmp_path / "run", steps=1).code == 0


def test_another_model_is_fitted_anew(
    train: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    assert train(folder, steps=1).code == 0
    shutil.rmtree(folder / "checkpoints")
    asked: list[int] = []

    def fit_512(_: Any, whole: int, room: int) -> int:
        asked.append(room // whole)
        return 512

    monkeypatch.setattr(memory, "fit", fit_512)
    assert train(folder, "--set", "model.ffn=32", steps=1).code == 0
    assert len(asked) == 1
    assert passes_of(folder) == 512


def test_a_size_that_the_recipe_gives_is_not_fitted(
    train: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "fit", never)
    for name, size in (("number", "300"), ("none", "none")):
        assert train(tmp_path / name, "--set", f"batching.micro_batch_tokens={size}", steps=1).code == 0


def test_dev_sentences_that_do_not_fit_fail_before_the_first_step(
    train: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("nmt.inference.translator.Translator.translate", full)
    said = train(tmp_path / "run")
    assert said.code == 2
    assert said.messages[-1] == (
        "nmt: the longest dev sentences do not fit into the memory (lower decoding.batch_tokens)"
    )


class Shortage:
    """Lets every pass of more than so many padded tokens fail in some step, as a full memory does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: int, error: Exception, *, at: int = 6) -> None:
        self.calls = 0
        real = Updater.accumulate

        def accumulate(updater: Updater[Any], batches: list[Any], **values: Any) -> None:
            self.calls += values["seed"] != 0  # the trials have that seed
            if self.calls >= at and any(batch.tgt_in.numel() > limit for batch in batches):
                real(updater, batches[:1], **values)  # what was summed before it failed has to be forgotten
                raise error
            real(updater, batches, **values)

        monkeypatch.setattr(Updater, "accumulate", accumulate)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(NO_CPU_MEMORY)])
def test_a_step_that_runs_out_of_memory_is_done_again_in_smaller_passes(
    train: Callable[..., Result],
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    folder = tmp_path / "run"
    Shortage(monkeypatch, 600, error)
    said = train(folder)
    assert said.code == 0, said.err
    found = log_of(folder, "out_of_memory")
    assert found
    assert found[0]["step"] == 6
    for line in found:
        size = line["micro_batch_tokens"]
        assert said.messages.count(
            f"nmt: warning: out of memory at step {line['step']}: repeated in micro-batches of {size:,} padded tokens"
        )
    sizes = [line["micro_batch_tokens"] for line in found]
    assert sizes == [sizes[0] // 2**n for n in range(len(sizes))]
    assert newest(folder).state.micro_batch_tokens == sizes[-1]
    assert [line["step"] for line in log_of(folder, "train")] == list(range(1, STEPS + 1))
    assert newest(folder).state.skipped == 0
    assert_close(newest(folder).weights(), newest(whole).weights(), rtol=1e-4, atol=1e-6)


def test_a_run_remembers_the_smaller_passes(
    train: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        Shortage(patch, 600, torch.OutOfMemoryError(), at=2)
        assert train(folder, steps=4).code == 0
    size = newest(folder).state.micro_batch_tokens
    widest: list[int] = []
    real = Updater.accumulate

    def accumulate(updater: Updater[Any], batches: list[Any], **values: Any) -> None:
        widest.extend(batch.tgt_in.numel() for batch in batches)
        real(updater, batches, **values)

    monkeypatch.setattr(Updater, "accumulate", accumulate)
    assert train(folder).code == 0
    assert size is not None
    assert 0 < max(widest) <= size
    assert newest(folder).state.micro_batch_tokens == size


def test_a_single_sentence_that_does_not_fit_is_one_line(
    train: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Shortage(monkeypatch, 1, torch.OutOfMemoryError())
    said = train(tmp_path / "run")
    assert said.code == 2
    start, _, hint = said.messages[-1].partition(" (")
    assert start.startswith("nmt: out of memory at step 6 with a single sentence of ")
    assert start.endswith(" pieces")
    assert hint == "take a smaller model, lower cleaning.max_pieces, or a device with more memory)"
    assert "Traceback" not in said.err
