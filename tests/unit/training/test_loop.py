"""The parts of the loop: resuming, one step, the shares of the corpora."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from trainers import SMALL, make_trainer, step_on, two, values, write_ids

from nmt.config.data import DataConfig
from nmt.config.model import ModelConfig
from nmt.config.training import BatchingConfig, TrainingConfig
from nmt.data.encoding.dataset import PreparedPairs
from nmt.errors import ArtifactError, StorageError, TerminatedTrainingError, UsageError
from nmt.training import checkpoint, checkpoint_writer
from nmt.training.checkpoint import MOMENTS, Checkpoints, TrainingState
from nmt.training.distributed import Ranks
from nmt.training.guard import MAX_SKIPPED_IN_A_ROW
from nmt.training.log import TrainingLog
from nmt.training.loop import Trainer
from nmt.training.validation import DevSet


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PreparedPairs:
    """Return 40 pairs of 1 to 8 pieces a side."""
    folder = tmp_path_factory.mktemp("loop") / "train"
    write_ids(folder, 0, "train", 40)
    return PreparedPairs(folder)


class Two(Ranks):
    """This process and another one, whose values are equal but for those of `differing` names."""

    differing: tuple[str, ...] = ()

    def all_reduce(self, tensor: Tensor, operation: str = "SUM") -> None:
        """Reduce nothing: the other one has the same."""

    def gather(self, value: Any) -> list[Any]:
        other = {key: each if key not in self.differing else "other" for key, each in value.items()}
        return [value, other]


def test_resuming_without_a_checkpoint_begins_at_the_beginning(pairs: PreparedPairs, store: Checkpoints) -> None:
    trainer = make_trainer(pairs, store)
    trainer.resume()
    assert trainer.state == TrainingState(metric="bleu", threads=1)


def test_flaws_of_dev_are_said_before_the_first_step(
    pairs: PreparedPairs, store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(pairs, store)
    trainer.warn_of_dev()
    trainer.dev = DevSet(["a", "b"], ["สวัสดีตอนเช้า", ""], pairs)
    trainer.warn_of_dev()
    assert [line.partition(" in ")[0] for line in capsys.readouterr().err.split("\n")] == [
        "nmt: warning: dev: 1 of 2 lines is blank",
        "nmt: warning: dev: BLEU's tokenizer 13a finds no words",
        "",
    ]


def test_a_step_done_moves_the_state_to_where_the_next_begins(pairs: PreparedPairs, store: Checkpoints) -> None:
    trainer = make_trainer(pairs, store)
    count = len(trainer.steps.plan(0))
    before = values(trainer)
    for done in range(1, count + 2):
        step_on(trainer, 1)
        state = trainer.state
        assert (state.step, state.epoch, state.offset) == (done, *divmod(done, count))
    assert not all(map(torch.equal, values(trainer).values(), before.values()))
    assert [row.tolist() for row in trainer.recent] == [
        row.tolist() for row in [*trainer.steps.plan(0), trainer.steps.plan(1)[0]]
    ]


@pytest.mark.parametrize("block", [{}, {"activation": "swiglu", "positions": "rotary"}], ids=["default", "swiglu"])
def test_resuming_restores_the_newest_whole_checkpoint_and_warns_of_the_damaged_one(
    block: dict[str, str], pairs: PreparedPairs, store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ModelConfig.model_validate({**SMALL, **block})
    trainer = make_trainer(pairs, store, model=model)
    trainer.resume()
    step_on(trainer, 2)
    first = store.save(trainer.state, trainer.updater.state(), trainer.identity)
    saved, position = values(trainer), (trainer.state.step, trainer.state.epoch, trainer.state.offset)
    step_on(trainer, 1)
    damaged = store.save(trainer.state, trainer.updater.state(), trainer.identity) / MOMENTS
    damaged.write_bytes(damaged.read_bytes()[:-1])
    partial = store.folder / ".step-00000020.123.partial"
    shutil.copytree(first, partial)
    other = make_trainer(pairs, store, model=model)
    other.resume()
    assert first.name == "step-00000002"
    assert not partial.exists()
    assert (other.state.step, other.state.epoch, other.state.offset) == position
    assert all(map(torch.equal, values(other).values(), saved.values()))
    assert capsys.readouterr().err == (
        f"nmt: warning: {damaged}: damaged: its SHA-256 is not the one in state.json; "
        "going on from an older checkpoint\n"
        "train: resuming after step 2\n"
    )
    step_on(other, 1)
    assert all(map(torch.equal, values(other).values(), values(trainer).values()))


def test_a_checkpoint_of_another_recipe_is_refused_with_the_keys_that_differ(
    pairs: PreparedPairs, store: Checkpoints
) -> None:
    trainer = make_trainer(pairs, store)
    path = store.save(TrainingState(step=5), trainer.updater.state(), trainer.identity)
    with pytest.raises(ArtifactError) as caught:
        make_trainer(pairs, store, digest="xyz", model=ModelConfig.model_validate({**SMALL, "d_model": 32})).resume()
    assert str(caught.value) == (
        f"{path}: a checkpoint of another recipe: it differs in data, model.d_model "
        "(take another --run-dir, or delete the folder checkpoints to train anew)"
    )


@pytest.mark.parametrize("name", ["inputs", "step", "checkpoint", "micro-batch size"])
def test_ranks_that_see_other_files_begin_no_training(pairs: PreparedPairs, store: Checkpoints, name: str) -> None:
    ranks = Two(0, 2)
    make_trainer(pairs, store, ranks=ranks).resume()
    ranks.differing = (name,)
    with pytest.raises(ArtifactError, match=f"^the processes of this job differ in their {name}: .* other on rank 1"):
        make_trainer(pairs, store, ranks=ranks).resume()


def test_no_checkpoint_is_written_of_weights_that_other_ranks_do_not_have(
    pairs: PreparedPairs, store: Checkpoints
) -> None:
    ranks = Two(0, 2)
    trainer = make_trainer(pairs, store, ranks=ranks)
    trainer.resume()
    step_on(trainer, 1)
    trainer.save(halting=False)
    ranks.differing = ("weights after step 2",)
    step_on(trainer, 1)
    with pytest.raises(
        ArtifactError, match=r"^the processes .* weights after step 2: \w{12} on rank 0, other on rank 1 \("
    ):
        trainer.save(halting=False)
    trainer.finish_saving()
    assert [path.name for path in store.all_paths()] == ["step-00000001"]


@pytest.mark.parametrize("number", [0, 1])
def test_a_memory_too_small_for_the_optimizer_is_one_line(
    pairs: PreparedPairs, store: Checkpoints, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise [torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("CUDA error: out of memory", 2)][
            number
        ]

    trainer = make_trainer(pairs, store)
    monkeypatch.setattr(trainer.updater, "apply", fail)
    with pytest.raises(UsageError) as caught:
        step_on(trainer, 1)
    assert str(caught.value) == (
        "out of memory in the optimizer at step 1 "
        "(take a smaller model, lower cleaning.max_pieces, or a device with more memory)"
    )


def test_deterministic_algorithms_compute_the_same_bits(
    pairs: PreparedPairs, store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setattr("torch.utils.deterministic.fill_uninitialized_memory", True)
    ends = []
    try:
        for _ in range(2):
            trainer = make_trainer(pairs, store, training=TrainingConfig(deterministic=True))
            assert torch.are_deterministic_algorithms_enabled()
            step_on(trainer, 2)
            ends.append(values(trainer))
    finally:
        torch.use_deterministic_algorithms(False)
    usual = make_trainer(pairs, store)
    step_on(usual, 2)
    for each in (ends[1], values(usual)):
        assert all(map(torch.equal, each.values(), ends[0].values()))


def test_a_checkpoint_that_does_not_fit_the_model_is_refused(pairs: PreparedPairs, store: Checkpoints) -> None:
    trainer = make_trainer(pairs, store)
    wide = make_trainer(pairs, store, model=ModelConfig.model_validate({**SMALL, "ffn": 32}))
    path = store.save(TrainingState(step=5), wide.updater.state(), trainer.identity)
    with pytest.raises(ArtifactError) as caught:
        trainer.resume()
    assert str(caught.value) == (
        f"{path}: does not hold this model: encoder.0.feed_forward.inner.weight is (32, 16), not (24, 16)"
    )


def test_a_training_resumed_under_other_threads_ends_with_the_same_bits(
    tmp_path: Path, store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ids(tmp_path / "train", 0, "train", 2000)
    sizes: dict[str, Any] = {
        "model": ModelConfig.model_validate({**SMALL, "d_model": 64}),
        "batching": BatchingConfig(tokens_per_step=4000),
    }

    def trainer_of(threads: int, *, steps: int) -> Trainer:
        torch.set_num_threads(threads)
        trainer = make_trainer(PreparedPairs(tmp_path / "train"), store, **sizes)
        trainer.resume()
        step_on(trainer, steps)
        return trainer

    whole, alone = (values(trainer_of(threads, steps=2)) for threads in (2, 1))
    assert not all(map(torch.equal, alone.values(), whole.values()))
    half = trainer_of(2, steps=1)
    store.save(half.state, half.updater.state(), half.identity)
    resumed = trainer_of(1, steps=1)
    torch.set_num_threads(1)
    assert resumed.state.threads == 2
    assert "train: computing with 2 threads, as this run began, not 1\n" in capsys.readouterr().err
    assert all(map(torch.equal, values(resumed).values(), whole.values()))


def delayed(monkeypatch: pytest.MonkeyPatch, write: Callable[..., None]) -> None:
    """Write checkpoints in a thread, as on a GPU, by `write`, which begins late."""

    def write_late(*arguments: Any) -> None:
        time.sleep(0.05)
        write(*arguments)

    monkeypatch.setattr(checkpoint_writer, "FOREGROUND", set())
    monkeypatch.setattr(checkpoint, "write_checkpoint", write_late)


def silent_log() -> TrainingLog:
    return TrainingLog(None, resume_after=0, max_steps=100, tensorboard=None, shown=False)


def test_a_return_to_an_older_checkpoint_waits_for_the_one_being_written(
    pairs: PreparedPairs, store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(pairs, store)
    step_on(trainer, 1)
    saved = values(trainer)
    delayed(monkeypatch, checkpoint.write_checkpoint)
    trainer.save(halting=False)
    step_on(trainer, 1)
    trainer.updater.guard.in_a_row.fill_(MAX_SKIPPED_IN_A_ROW + 1)
    with silent_log() as log:
        assert trainer.roll_back_if_diverged(log)
    assert (trainer.state.step, trainer.state.offset) == (1, 2)
    assert all(map(torch.equal, values(trainer).values(), saved.values()))


def test_a_signal_is_answered_when_the_checkpoint_is_whole(
    pairs: PreparedPairs, store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(pairs, store)
    delayed(monkeypatch, checkpoint.write_checkpoint)
    with silent_log() as log, pytest.raises(TerminatedTrainingError, match="stopped after step 1, saved"):
        trainer.run_steps(log, [signal.SIGTERM])
    found, _ = store.newest()
    assert found is not None
    assert found.path.name == "halt-00000001"


def test_a_disk_that_is_full_in_the_background_ends_the_training_before_the_next_checkpoint(
    pairs: PreparedPairs, store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *_: Any) -> None:
        raise StorageError(f"{path}: cannot be written")

    trainer = make_trainer(pairs, store, training=TrainingConfig(checkpoint_every=40))
    delayed(monkeypatch, fail)
    with silent_log() as log, pytest.raises(StorageError, match="step-00000040: cannot be written"):
        trainer.run_steps(log, [])
    assert 40 <= trainer.state.step < 80


def test_another_metric_begins_a_ranking_of_its_own(pairs: PreparedPairs, store: Checkpoints) -> None:
    trainer = make_trainer(pairs, store)
    state = TrainingState(step=5, epoch=1, offset=2, metric="bleu", ranked=[(21.5, 3)], stale=1)
    store.save(state, trainer.updater.state(), trainer.identity)
    trainer.resume()
    assert (trainer.state.ranked, trainer.state.stale) == ([(21.5, 3)], 1)
    other = make_trainer(pairs, store, training=TrainingConfig(best_metric="loss"))
    other.resume()
    assert other.state == TrainingState(step=5, epoch=1, offset=2, metric="loss", threads=1)


@pytest.mark.parametrize(
    ("corpora", "weights", "said"),
    [
        (two(), [1, 1], "large 75.0% (weight 1), small 25.0% (weight 1)"),
        (two(3.0), [1, 3], "large 50.0% (weight 1), small 50.0% (weight 3)"),
        (two(temperature=2.0), [1, 3**0.5], "large 63.4% (weight 1), small 36.6% (weight 1.73)"),
    ],
)
def test_the_share_of_each_corpus_follows_from_its_weight_and_is_said(
    two_corpora: PreparedPairs,
    store: Checkpoints,
    capsys: pytest.CaptureFixture[str],
    corpora: DataConfig,
    weights: list[float],
    said: str,
) -> None:
    trainer = make_trainer(two_corpora, store, data=corpora)
    assert trainer.steps.weights == pytest.approx(dict(zip(("large", "small"), weights, strict=True)))
    trainer.curriculum.log_shares(trainer.state)
    assert capsys.readouterr().err == f"train: pairs of an epoch: {said}\n"
    epoch = trainer.steps.plan(0)
    step_on(trainer, len(epoch))
    assert sum(trainer.tokens_seen.values()) == sum(int(two_corpora.tgt_lengths[step].sum()) for step in epoch)
    small = weights[1] * int(two_corpora.tgt_lengths[30:].sum())
    assert trainer.tokens_seen["small"] == pytest.approx(small, rel=0.2)


def test_of_a_single_corpus_no_share_is_said(
    pairs: PreparedPairs, store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(pairs, store)
    trainer.curriculum.log_shares(trainer.state)
    assert capsys.readouterr().err == ""


def test_dev_dev_is_corrupted_alike_whatever_the_seed_and_training_is_not(
    pairs: PreparedPairs, store: Checkpoints
) -> None:
    data = DataConfig.model_validate({"monolingual": {"train": {"text": "a", "language": "en"}}})
    sections: dict[str, Any] = {"data": data, "tokenizer": {"masks": 1}}
    one, other = (
        make_trainer(pairs, store, training={"objective": "denoising", "seed": seed}, **sections) for seed in (1, 2)
    )
    rows = np.arange(len(pairs))
    assert one.dev.pairs.collate(rows).src.equal(other.dev.pairs.collate(rows).src)
    assert not one.steps.whole_batch(rows).src.equal(other.steps.whole_batch(rows).src)
