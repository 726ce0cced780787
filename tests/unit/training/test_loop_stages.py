"""Stages and the guard in the loop: what each step learns from, resuming anywhere, and how a training ends."""

import json
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor
from trainers import make_trainer, two, values

from nmt.config.training import BatchingConfig
from nmt.data.encoding.dataset import PreparedPairs
from nmt.errors import ForgottenError, TerminatedTrainingError
from nmt.training import loop
from nmt.training.checkpoint import Checkpoints, TrainingState
from nmt.training.loop import Trainer
from nmt.training.validation import DevSet, Validation

STAGES: list[dict[str, Any]] = [
    {"name": "all", "steps": 7},
    {"name": "wait", "patience": 2, "corpora": ["small"]},
    {"name": "mixed", "steps": 3, "corpora": {"small": 1, "large": 0.2}},
]
TRAINING: dict[str, Any] = {"stages": STAGES, "max_steps": 40, "validate_every": 2, "log_every": 1}
DEV = {2: 10.0, 4: 12.0, 6: 11.0, 7: 13.0, 8: 12.0, 10: 12.5, 12: 12.1, 14: 12.4, 16: 1.0, 17: 14.0}
"""BLEU of dev by step: of the second stage that of step 10 is the best, and two later ones are no better."""
GUARD = {"guard": {"bound": 1.0}}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def trainer_of(
    pairs: PreparedPairs, store: Checkpoints, general: dict[int, float] | None = None, **training: Any
) -> Trainer:
    """Return a trainer whose validations have the scores of DEV, and of `general` text those by step."""
    corpora = two() if general is None else two(guard={"files": "g.tsv"})
    sections: dict[str, Any] = {
        "data": corpora,
        "batching": BatchingConfig(tokens_per_step=60, micro_batch_tokens=None),
    }
    trainer = make_trainer(
        pairs,
        store,
        training={**TRAINING, **training},
        guard=DevSet(["a"], ["b"], pairs) if general else None,
        **sections,
    )

    def validation(text: DevSet) -> Validation:
        scores = DEV if text is trainer.dev or general is None else general
        return Validation(2.0, bleu=scores[trainer.state.step], chrf=1.0)

    trainer.validation = validation  # type: ignore[method-assign]
    store.folder.mkdir(exist_ok=True)
    return trainer


def stopped_at(trainer: Trainer, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `trainer` until it is told to stop at `step`."""
    update = trainer.update

    def update_and_stop(*arguments: Any) -> bool:
        update(*arguments)
        return trainer.state.step == step

    monkeypatch.setattr(trainer, "update", update_and_stop)
    with pytest.raises(TerminatedTrainingError):
        trainer.run()


def facts(store: Checkpoints) -> list[dict[str, Any]]:
    """Return the log without what depends on time and memory."""
    timed = ("seconds", "tokens_per_second", "waiting", "memory_mib")
    lines = (store.folder.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in timed} for line in lines]


def test_each_stage_learns_from_its_corpora_until_its_end(
    two_corpora: PreparedPairs, store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = trainer_of(two_corpora, store)
    state = trainer.run()
    assert (state.step, state.stage_ends, state.best_step) == (17, [7, 14], 17)
    log = facts(store)
    large = {line["step"]: line["corpora"]["large"] for line in log if line["kind"] == "train"}
    assert all(large[step] == 0 for step in range(8, 15))
    assert 0 < large[15] + large[16] + large[17] < 1.5 < sum(large[step] for step in range(1, 8))
    stages = {line["step"]: line["stage"] for line in log if line["kind"] in ("train", "dev")}
    assert [stages[step] for step in (7, 8, 14, 15)] == ["all", "wait", "wait", "mixed"]
    assert [(line["step"], line["name"]) for line in log if line["kind"] == "stage"] == [
        *((1, "all"), (8, "wait"), (15, "mixed")),
    ]
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("train: ")] == [
        "train: stage 1 of 3, all, begins after step 0",
        "train: stage 1 of 3, all: pairs of an epoch: large 75.0% (weight 1), small 25.0% (weight 1)",
        "train: stage 2 of 3, wait, begins after step 7",
        "train: stage 2 of 3, wait: pairs of an epoch: small 100.0% (weight 1)",
        "train: stage 3 of 3, mixed, begins after step 14",
        "train: stage 3 of 3, mixed: pairs of an epoch: large 37.5% (weight 0.2), small 62.5% (weight 1)",
    ]
    assert [line.partition(":")[0] for line in said if "stage 3 of 3, mixed, step" in line][:2] == [
        "stage 3 of 3, mixed, step 15 of 40",
        "stage 3 of 3, mixed, step 16 of 40",
    ]


@pytest.fixture(scope="module")
def whole(
    two_corpora: PreparedPairs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Tensor], TrainingState, list[dict[str, Any]]]:
    """Return the weights, the state and the log of a training that nothing interrupts."""
    store = Checkpoints(tmp_path_factory.mktemp("whole") / "checkpoints", 3)
    trainer = trainer_of(two_corpora, store)
    trainer.run()
    return values(trainer), trainer.state, facts(store)


@pytest.mark.parametrize("step", [1, 6, 7, 8, 13, 14, 15])
def test_a_training_interrupted_at_any_step_of_any_stage_ends_with_the_same_bits_and_log(
    step: int,
    whole: tuple[dict[str, Tensor], TrainingState, list[dict[str, Any]]],
    two_corpora: PreparedPairs,
    store: Checkpoints,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped_at(trainer_of(two_corpora, store), step, monkeypatch)
    resumed = trainer_of(two_corpora, store)
    resumed.run()
    weights, state, log = whole
    assert all(map(torch.equal, values(resumed).values(), weights.values()))
    assert (resumed.state, facts(store)) == (state, log)


def test_a_finished_training_of_stages_has_nothing_to_do(
    two_corpora: PreparedPairs, store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer_of(two_corpora, store).run()
    capsys.readouterr()
    again = trainer_of(two_corpora, store)
    again.run()
    assert capsys.readouterr().err == (
        "train: resuming after step 17, stage 3 of 3, mixed\ntrain: step 17 was the last one; nothing to do\n"
    )


def test_a_return_to_a_checkpoint_of_an_earlier_stage_goes_on_with_an_epoch_of_its_own(
    two_corpora: PreparedPairs, store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECK_EVERY", 1)
    trainer = trainer_of(two_corpora, store, checkpoint_every=6)
    update, epochs = trainer.update, list[tuple[int, int]]()

    def update_and_diverge(*arguments: Any) -> bool:
        result = update(*arguments)
        if trainer.state.step == 9 and not trainer.state.rollbacks:
            trainer.updater.guard.in_a_row.fill_(9)
        epochs.append((trainer.state.step, arguments[0].epoch))
        return result

    monkeypatch.setattr(trainer, "update", update_and_diverge)
    state = trainer.run()
    assert (state.rollbacks, state.stage_ends, state.step) == (1, [7, 14], 17)
    steps = [step for step, _ in epochs]
    assert steps[8:11] == [9, 7, 8]
    assert epochs[9][1] == epochs[8][1] + 1, (
        "the epochs of the second stage have one step each"
    )  # step 7 of the first stage again, in the epoch after that of step 9


def test_the_guard_ends_a_training_whose_score_falls_after_its_first_stage(
    two_corpora: PreparedPairs, store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {7: 20.0, 8: 19.5, 10: 19.0, 12: 18.9}
    state = trainer_of(two_corpora, store, scores, **GUARD).run()
    assert (state.step, state.best_step, state.guard_start, state.guard_score) == (12, 7, 20.0, 18.9)
    assert [path.name for path in store.all_paths()] == ["best-00000007", "step-00000012"]
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == (
        "train: the guard ended the training at step 12: BLEU 18.90 loses 1.10, more than training.guard.bound = 1; "
        "the best validation before is that of step 7"
    )
    assert "stage 2 of 3, wait, step 10: guard BLEU 19.00, 20.00 before the fine-tuning" in said
    trainer_of(two_corpora, store, scores, **GUARD).run()
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "train: step 12 was the last one; nothing to do",
        said[-1],
    ]


@pytest.mark.parametrize("step", [6, 7, 9, 11])
def test_the_guard_compares_with_the_same_score_after_an_interruption(
    step: int, two_corpora: PreparedPairs, store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {7: 20.0, 8: 19.5, 10: 19.0, 12: 18.9}
    stopped_at(trainer_of(two_corpora, store, scores, **GUARD), step, monkeypatch)
    state = trainer_of(two_corpora, store, scores, **GUARD).run()
    assert (state.step, state.guard_start, state.guard_score) == (12, 20.0, 18.9)


def test_a_raised_bound_lets_the_training_go_on(two_corpora: PreparedPairs, store: Checkpoints) -> None:
    scores = {7: 20.0, 8: 18.5, **dict.fromkeys((10, 12, 14, 16, 17), 19.0)}
    assert trainer_of(two_corpora, store, scores, **GUARD).run().step == 8
    assert trainer_of(two_corpora, store, scores, guard={"bound": 2.0}).run().step == 17


def test_a_raised_bound_lets_the_next_stage_begin(two_corpora: PreparedPairs, store: Checkpoints) -> None:
    scores = {7: 20.0, **dict.fromkeys((8, 10, 12), 19.5), **dict.fromkeys((14, 16, 17), 18.5)}
    stages = [STAGES[0], {"name": "small", "steps": 7, "corpora": ["small"]}, STAGES[2]]
    ended = trainer_of(two_corpora, store, scores, stages=stages, max_steps=17, **GUARD).run()
    assert (ended.step, ended.stage_ends) == (14, [7])  # with the second stage, whose last step is the 14th
    state = trainer_of(two_corpora, store, scores, stages=stages, max_steps=17, guard={"bound": 2.0}).run()
    assert (state.step, state.stage_ends) == (17, [7, 14])


def test_a_fine_tuning_is_compared_with_its_initial_model(two_corpora: PreparedPairs, store: Checkpoints) -> None:
    class Initial:
        file, weights = "model", "0"

        def load(self) -> dict[str, Tensor]:
            return values(trainer)

    training = {"stages": [], "max_steps": 8, "init_from": "model", **GUARD}
    trainer = trainer_of(two_corpora, store, {0: 20.0, 2: 19.4, 4: 18.0}, **training)
    trainer.initial = Initial()  # type: ignore[assignment]
    state = trainer.run()
    assert (state.step, state.guard_start, state.best_step) == (4, 20.0, 2)
    shutil.rmtree(store.folder)
    first = trainer_of(two_corpora, store, {0: 20.0, 2: 18.0}, **training)
    first.initial = trainer.initial
    with pytest.raises(ForgottenError, match=r"at its first validation, step 2: BLEU 18\.00 loses 2\.00"):
        first.run()
