"""One update, its masters and its state; and the small parts of the loop: log, means, identity, judgement."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from nmt import console
from nmt.config import (
    BatchingConfig,
    DecodingConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    Precision,
    TrainingConfig,
)
from nmt.data.batching import Step
from nmt.data.dataset import Batch
from nmt.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.errors import ArtifactError, DivergedError
from nmt.files import differing
from nmt.model.transformer import Transformer
from nmt.training.checkpoint import Checkpoints, TrainingState
from nmt.training.engine import Engine, UpdateResult, step_seed
from nmt.training.journal import Log, Meter
from nmt.training.loop import TrainingPlan, advance, check_finite, judge, report, resume
from nmt.training.validation import Validation

V = 20
precisions = pytest.mark.parametrize("precision", ["float32", "bfloat16"])
# Adam's usual epsilon would make a whole step of a gradient that is nothing but rounding.
CALM = OptimizerConfig(epsilon=1e-2)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_engine(
    precision: Precision = "float32", optimizer: OptimizerConfig = CALM, seed: int = 1, **values: Any
) -> Engine:
    torch.manual_seed(seed)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0}
    model = Transformer(ModelConfig.model_validate({**shape, **values}), V, V, pad_id=PAD_ID)
    return Engine(model, optimizer, precision)


def make_batch(seed: int, rows: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 7, (2, rows), generator=generator).tolist()
    src, labels = (
        torch.stack(
            [
                F.pad(torch.randint(4, V, (n,), generator=generator), (0, 7 - n), value=PAD_ID).index_fill(
                    0, torch.tensor(n), EOS_ID
                )
                for n in side
            ]
        )
        for side in lengths
    )
    tgt_in = F.pad(labels.masked_fill(labels == EOS_ID, PAD_ID)[:, :-1], (1, 0), value=BOS_ID)
    return Batch(src, tgt_in, labels)


def update(engine: Engine, *seeds: int, rate: float = 0.05, smoothing: float = 0.1) -> UpdateResult:
    return engine.update([make_batch(seed) for seed in seeds], rate=rate, seed=seeds[0], smoothing=smoothing)


def values(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_an_update_is_adam_on_the_mean_smoothed_loss_of_all_tokens_of_the_step() -> None:
    engine, other = make_engine(), make_engine().model
    adam = torch.optim.Adam(other.parameters(), lr=0.05, betas=(0.9, 0.98), eps=1e-2)
    for step in range(3):
        batches = [make_batch(10 + step, 6), make_batch(20 + step, 2)]
        result = engine.update(batches, rate=0.05, seed=1, smoothing=0.1)
        losses, tokens = [], 0
        for batch in batches:
            logits = other(batch.src, batch.tgt_in).flatten(0, 1)
            losses.append(
                F.cross_entropy(
                    logits, batch.labels.flatten(), label_smoothing=0.1, ignore_index=PAD_ID, reduction="sum"
                )
            )
            tokens += int((batch.labels != PAD_ID).sum())
        adam.zero_grad()
        (sum(losses, torch.zeros(())) / tokens).backward()
        norm = torch.stack([p.grad.norm() for p in other.parameters() if p.grad is not None]).norm()
        adam.step()
        assert result.tokens == tokens
        assert_close(result.loss, sum(losses, torch.zeros(())).detach(), rtol=1e-5, atol=0)
        assert_close(result.gradient_norm, norm, rtol=1e-4, atol=0)
    for mine, theirs in zip(engine.model.weights().values(), other.weights().values(), strict=True):
        assert_close(mine, theirs, rtol=0, atol=2e-5)


@precisions
def test_updates_lower_the_loss(precision: Precision) -> None:
    engine = make_engine(precision)
    losses = [float(update(engine, 1).loss) for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]


def test_in_bfloat16_weights_gradients_and_moments_stay_float32_and_the_copy_follows() -> None:
    engine = make_engine("bfloat16")
    for seed in range(3):
        update(engine, seed)
    weights, moments = engine.state()
    assert {tensor.dtype for tensor in [*weights.values(), *moments.values(), *engine.gradients]} == {torch.float32}
    working = engine.working.weights()
    assert {tensor.dtype for tensor in working.values()} == {torch.bfloat16}
    assert_equal(working, {name: weight.bfloat16() for name, weight in weights.items()})
    # A master that were rounded each time would lose the small steps.
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in weights.values())


def test_steps_too_small_for_bfloat16_add_up_in_the_masters() -> None:
    engine = make_engine("bfloat16")
    before = values(engine.model.weights())
    for _ in range(10):
        update(engine, 1, rate=1e-5)
    name = "encoder.0.feed_forward.inner.weight"
    change = (engine.model.weights()[name] - before[name]).abs()
    # Where one step of the rate is lost in bfloat16, ten of them are not in float32.
    lost = before[name].bfloat16() + 1e-5 == before[name].bfloat16()
    assert 1e-5 < float(change[lost].max()) < 2e-4


def test_tied_weights_are_tied_in_the_copy_too() -> None:
    working = make_engine("bfloat16").working
    assert working.generator.weight is working.target_embedding.weight is working.source_embedding.weight


def test_bfloat16_takes_nearly_the_gradient_of_float32_also_over_micro_batches() -> None:
    exact, near = make_engine("float32"), make_engine("bfloat16")
    first, second = update(exact, 1, 2, 3), update(near, 1, 2, 3)
    assert_close(second.loss, first.loss, rtol=5e-3, atol=0)
    for mine, theirs in zip(near.gradients, exact.gradients, strict=True):
        scale = float(theirs.norm()) + 1e-3
        assert float((mine - theirs).norm()) < 0.05 * scale


def test_each_update_forgets_the_gradients_of_the_one_before() -> None:
    engine = make_engine()
    update(engine, 1, rate=0.0)
    first = [gradient.clone() for gradient in engine.gradients]
    update(engine, 1, rate=0.0)
    assert all(map(torch.equal, engine.gradients, first))
    assert any(bool(gradient.any()) for gradient in first)


def test_a_rate_of_zero_moves_nothing() -> None:
    engine = make_engine()
    before = values(engine.model.weights())
    update(engine, 1, rate=0.0)
    assert_equal(engine.model.weights(), before)


def test_clipping_scales_a_long_gradient_down_and_reports_the_norm_before_it() -> None:
    free, clipped, loose = (
        make_engine(optimizer=OptimizerConfig(clip_norm=norm)) for norm in (None, 1e-3, 1e3)
    )  # fmt: skip
    norms = [float(update(engine, 1).gradient_norm) for engine in (free, clipped, loose)]
    assert norms[0] == norms[1] == norms[2] > 0.01
    shrunk = torch.nn.utils.get_total_norm(clipped.gradients)
    assert float(shrunk) == pytest.approx(1e-3, rel=1e-4)
    assert all(map(torch.equal, loose.gradients, free.gradients))
    for mine, theirs in zip(clipped.gradients, free.gradients, strict=True):
        assert_close(mine, theirs * 1e-3 / norms[0], rtol=1e-3, atol=1e-9)


def test_dropout_follows_the_seed_of_the_update_and_no_generator_of_before() -> None:
    losses = []
    for noise, seed in ((0, 5), (99, 5), (0, 6)):
        engine = make_engine(dropout=0.3)
        torch.manual_seed(noise)
        losses.append(float(engine.update([make_batch(1)], rate=0.0, seed=seed, smoothing=0.1).loss))
    assert losses[0] == losses[1] != losses[2]


def test_the_nll_of_an_update_is_its_loss_without_smoothing() -> None:
    smoothed, plain = update(make_engine(), 1, smoothing=0.2), update(make_engine(), 1, smoothing=0.0)
    assert float(smoothed.nll) == pytest.approx(float(plain.nll)) == pytest.approx(float(plain.loss))
    assert float(smoothed.loss) != pytest.approx(float(smoothed.nll))


@precisions
def test_an_engine_restored_from_disk_goes_on_bit_for_bit(precision: Precision, tmp_path: Path) -> None:
    dropouts: dict[str, Any] = {"dropout": 0.2, "attention_dropout": 0.1, "activation_dropout": 0.1}
    config = OptimizerConfig(clip_norm=1.0)
    straight = make_engine(precision, config, **dropouts)
    for seed in range(3):
        update(straight, seed, seed + 10)
    Checkpoints(tmp_path, 1).save(TrainingState(step=3), *straight.state(), {})
    for seed in range(3, 6):
        update(straight, seed, seed + 10)

    resumed = make_engine(precision, config, seed=2, **dropouts)
    found, _ = Checkpoints(tmp_path, 1).newest()
    assert found is not None
    resumed.restore(found.weights(), found.moments())
    for seed in range(3, 6):
        update(resumed, seed, seed + 10)
    for mine, theirs in zip(resumed.state(), straight.state(), strict=True):
        assert_equal(mine, theirs)
    assert_equal(resumed.working.weights(), straight.working.weights())
    assert float(next(v for k, v in resumed.state()[1].items() if k.startswith("step."))) == 6


def test_moments_are_named_after_their_parameters() -> None:
    engine = make_engine()
    assert engine.state()[1] == {}
    update(engine, 1)
    weights, moments = engine.state()
    assert moments.keys() == {f"{moment}.{name}" for moment in ("step", "exp_avg", "exp_avg_sq") for name in weights}
    assert all(moments[f"exp_avg.{name}"].shape == weight.shape for name, weight in weights.items())


def test_the_seeds_of_steps_differ_from_each_other_and_between_runs() -> None:
    seeds = {step_seed(seed, step) for seed in range(5) for step in range(2000)}
    assert len(seeds) == 10_000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert step_seed(1, 12) == step_seed(1, 12) != step_seed(11, 2)


IDENTITY = {"data": "abc", "model": {"d_model": 16}}


def test_resuming_without_a_checkpoint_begins_at_the_beginning(tmp_path: Path) -> None:
    assert resume(make_engine(), Checkpoints(tmp_path, 3), IDENTITY) == TrainingState()


def test_resuming_restores_the_newest_whole_checkpoint_and_warns_of_the_damaged_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, store = make_engine(), Checkpoints(tmp_path, 3)
    saved = {}
    for step in (1000, 2000):
        update(engine, step)
        store.save(TrainingState(step=step, epoch=1, offset=7), *engine.state(), IDENTITY)
        saved[step] = values(engine.model.weights())
    damaged = tmp_path / "step-00002000" / "optimizer.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    other = make_engine(seed=2)
    assert resume(other, store, IDENTITY) == TrainingState(step=1000, epoch=1, offset=7)
    assert_equal(other.model.weights(), saved[1000])
    assert capsys.readouterr().err == (
        f"nmt: warning: {damaged}: missing or damaged; going on from an older checkpoint\n"
        "train: resuming after step 1,000\n"
    )


def test_a_checkpoint_of_another_recipe_is_refused_with_the_keys_that_differ(tmp_path: Path) -> None:
    engine, store = make_engine(), Checkpoints(tmp_path, 3)
    path = store.save(TrainingState(step=5), *engine.state(), IDENTITY)
    with pytest.raises(ArtifactError) as caught:
        resume(engine, store, {"data": "xyz", "model": {"d_model": 32}})
    assert str(caught.value) == (
        f"{path}: a checkpoint of another recipe: it differs in data, model.d_model "
        "(take another --run-dir, or delete the folder checkpoints to train anew)"
    )


def test_a_checkpoint_that_does_not_fit_the_model_is_refused(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, 3)
    path = store.save(TrainingState(step=5), *make_engine(ffn=32).state(), IDENTITY)
    with pytest.raises(ArtifactError) as caught:
        resume(make_engine(), store, IDENTITY)
    assert str(caught.value) == (
        f"{path}: does not hold this model: encoder.0.feed_forward.inner.weight is (32, 16), not (24, 16)"
    )


def make_plan(**sections: Any) -> TrainingPlan:
    given: dict[str, Any] = {
        "model": ModelConfig(),
        "batching": BatchingConfig(),
        "optimizer": OptimizerConfig(),
        "training": TrainingConfig(),
        "decoding": DecodingConfig(),
        "evaluation": EvaluationConfig(),
        **sections,
    }
    return TrainingPlan(**given, target_language="de")


def test_what_shapes_the_updates_is_in_the_identity_and_nothing_else_is() -> None:
    plan = make_plan().identity("abc")
    free = TrainingConfig(
        max_steps=7, device="cpu", checkpoint_every=3, keep_checkpoints=9, average_checkpoints=2, validate_every=4,
        best_metric="loss", patience=2, log_every=1,
    )  # fmt: skip
    same = make_plan(
        training=free,
        decoding=DecodingConfig(beam_size=1),
        evaluation=EvaluationConfig(lowercase=True),
        model=ModelConfig(preset="base"),
    )
    assert same.identity("abc") == plan
    assert json.loads(json.dumps(plan)) == plan
    shaping = {
        "training.seed": make_plan(training=TrainingConfig(seed=2)),
        "training.label_smoothing": make_plan(training=TrainingConfig(label_smoothing=0.2)),
        "training.precision": make_plan(training=TrainingConfig(precision="bfloat16")),
        "model.dropout": make_plan(model=ModelConfig(dropout=0.2)),
        "batching.tokens_per_step": make_plan(batching=BatchingConfig(tokens_per_step=9)),
        "optimizer.clip_norm": make_plan(optimizer=OptimizerConfig(clip_norm=1.0)),
    }
    for key, changed in shaping.items():
        assert differing(changed.identity("abc"), plan) == [key]
    assert differing(make_plan().identity("xyz"), plan) == ["data"]


def test_a_linear_schedule_binds_the_checkpoint_to_its_last_step() -> None:
    linear = OptimizerConfig(schedule="linear")
    plans = [make_plan(optimizer=linear, training=TrainingConfig(max_steps=steps)) for steps in (5000, 6000)]
    assert differing(plans[0].identity("abc"), plans[1].identity("abc")) == ["max_steps"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_resumed_log_drops_the_steps_that_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "run" / "log.jsonl"
    log = Log(path, resume_after=0)
    for step in (10, 20, 30):
        log.write(kind="train", step=step, loss=1.5)
        log.write(kind="dev", step=step)
    Log(path, resume_after=20).write(kind="train", step=21)
    assert [(line["kind"], line["step"]) for line in lines(path)] == [
        ("train", 10), ("dev", 10), ("train", 20), ("dev", 20), ("train", 21),
    ]  # fmt: skip


@pytest.mark.parametrize("half", ['{"kind": "train", "st', "7", "[]", '{"kind": "train"}', '{"step": "x"}', "\n"])
def test_a_half_written_line_of_the_log_is_dropped(half: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n' + half, encoding="utf-8")
    Log(path, resume_after=5).write(step=3)
    assert lines(path) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_a_last_line_without_its_line_end_keeps_apart_from_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}', encoding="utf-8")
    Log(path, resume_after=5).write(step=3)
    assert [line["step"] for line in lines(path)] == [1, 2, 3]


def result(loss: float, nll: float, norm: float, tokens: int) -> UpdateResult:
    return UpdateResult(torch.tensor(loss), torch.tensor(nll), torch.tensor(norm), tokens)


def test_means_are_over_tokens_not_over_updates() -> None:
    meter = Meter()
    meter.add(result(40.0, 20.0, 1.0, 10), 0.5)
    meter.add(result(60.0, 40.0, 3.0, 30), 1.5)
    assert meter.summary() == {
        "loss": 2.5,
        "perplexity": round(math.exp(60 / 40), 4),
        "gradient_norm": 3.0,
        "tokens_per_second": 20.0,
    }
    meter.add(result(10.0, 10.0, 1.0, 10), 1.0)
    assert meter.summary()["loss"] == 1.0


def test_a_huge_loss_has_a_perplexity_that_is_still_a_number() -> None:
    meter = Meter()
    meter.add(result(1e6, 1e6, 1.0, 1), 1.0)
    assert math.isfinite(meter.summary()["perplexity"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_or_a_gradient_that_is_not_a_number_ends_the_training(value: float) -> None:
    for name, bad in (("loss", result(value, 1.0, 1.0, 1)), ("gradient norm", result(1.0, 1.0, value, 1))):
        with pytest.raises(DivergedError) as caught:
            check_finite(bad, 7)
        assert caught.value.exit_code == 5
        assert str(caught.value) == (
            f"the {name} is {value} at step 7 (lower optimizer.learning_rate, lengthen warmup_steps, or set "
            "optimizer.clip_norm)"
        )
    check_finite(result(1.0, 1.0, 1.0, 1), 7)


def test_progress_is_one_line_for_people_and_one_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = {"loss": 2.5, "perplexity": 4.4817, "gradient_norm": 3.0, "tokens_per_second": 2012.3}
    log = Log(tmp_path / "log.jsonl", resume_after=0)
    with console.Progress("train", 9000) as progress:
        state = TrainingState(step=1200, epoch=3, best=21.304)
        report(state, summary, 1e-3, 3900.0, TrainingConfig(max_steps=9000), log, progress)
    assert capsys.readouterr().err == (
        "step 1,200 of 9,000: loss 2.500, perplexity 4.48, 2,012 target tokens/s, learning rate 1.00e-03, "
        "best dev BLEU 21.30, 1h 05m left\n"
    )
    assert lines(log.path) == [{"kind": "train", "step": 1200, "epoch": 3, "learning_rate": 1e-3, **summary}]


@pytest.mark.parametrize(
    ("metric", "found", "best_steps", "stale"),
    [
        ("bleu", [(3.0, 10.0), (2.0, 9.0), (2.5, 11.0), (9.0, 11.0)], [1, 1, 3, 3], 1),
        ("loss", [(3.0, 10.0), (2.0, 9.0), (2.5, 11.0), (2.0, 12.0)], [1, 2, 2, 2], 2),
    ],
)
def test_the_best_validation_is_the_first_of_the_highest_bleu_or_of_the_lowest_loss(
    metric: str, found: list[tuple[float, float]], best_steps: list[int], stale: int
) -> None:
    state, config = TrainingState(), TrainingConfig.model_validate({"best_metric": metric})
    for number, ((loss, bleu), best_step) in enumerate(zip(found, best_steps, strict=True), 1):
        state.step = number
        assert judge(state, Validation(loss, bleu, "signature"), config) == (best_step == number)
        assert state.best_step == best_step
    assert state.stale == stale
    assert state.best == (11.0 if metric == "bleu" else 2.0)


def test_a_step_done_moves_the_state_to_where_the_next_begins() -> None:
    state = TrainingState(step=4, epoch=1, offset=9)
    advance(state, Step(epoch=1, offset=9, next_epoch=2, next_offset=0, micro_batches=[]))
    assert (state.step, state.epoch, state.offset) == (5, 2, 0)
