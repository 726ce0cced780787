"""One update: its gradients, its float32 weights, what it skips, the moving average, and what is saved of it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from nmt.config.model import ModelConfig
from nmt.config.training import Algorithm, OptimizerConfig, Precision
from nmt.data.encoding.dataset import Batch
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.model.encoder_decoder import Transformer
from nmt.training.checkpoint import EMA, MOMENTS, WEIGHTS, Checkpoint, Checkpoints, TrainingState
from nmt.training.updater import Updater, UpdateResult, step_seed

V = 20
precisions = pytest.mark.parametrize("precision", ["float32", "bfloat16"])
# Adam's usual epsilon would make a whole step of a gradient that is nothing but rounding.
CALM = OptimizerConfig(epsilon=1e-2)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_updater(
    precision: Precision = "float32",
    optimizer: OptimizerConfig = CALM,
    seed: int = 1,
    ema_decay: float | None = None,
    **values: Any,
) -> Updater[Any]:
    torch.manual_seed(seed)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0}
    model = Transformer(ModelConfig.model_validate({**shape, **values}), V, V, pad_id=PAD_ID)
    return Updater(model, optimizer, precision, ema_decay=ema_decay)


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
    return Batch(src, tgt_in, labels, (labels.flatten() != PAD_ID).nonzero().flatten())


def take(
    updater: Updater[Any],
    batches: list[Batch],
    *,
    step: int = 1,
    rate: float = 0.05,
    seed: int = 1,
    smoothing: float = 0.1,
) -> UpdateResult:
    tokens = sum(batch.target_tokens for batch in batches)
    updater.accumulate(batches, seed=seed, smoothing=smoothing, tokens=tokens)
    return updater.apply(step, rate=rate, tokens=tokens)


def update(
    updater: Updater[Any], *seeds: int, step: int = 1, rate: float = 0.05, smoothing: float = 0.1
) -> UpdateResult:
    batches = [make_batch(seed) for seed in seeds]
    return take(updater, batches, step=step, rate=rate, seed=seeds[0], smoothing=smoothing)


def values(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    """As `assert_equal`, where some are not yet numbers."""
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert_close(tensor, second[name], rtol=0, atol=0, equal_nan=True)


def test_an_update_is_adam_on_the_mean_smoothed_loss_of_all_tokens_of_the_step() -> None:
    updater, other = make_updater(), make_updater().model
    adam = torch.optim.Adam(other.parameters(), lr=0.05, betas=(0.9, 0.98), eps=1e-2)
    for step in range(3):
        batches = [make_batch(10 + step, 6), make_batch(20 + step, 2)]
        result = take(updater, batches, step=step + 1)
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
    for mine, theirs in zip(updater.model.weights().values(), other.weights().values(), strict=True):
        assert_close(mine, theirs, rtol=0, atol=2e-5)


@precisions
def test_updates_lower_the_loss(precision: Precision) -> None:
    updater = make_updater(precision)
    losses = [float(update(updater, 1).loss) for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]


def test_in_bfloat16_weights_gradients_and_moments_stay_float32_and_the_copy_follows() -> None:
    updater = make_updater("bfloat16")
    for seed in range(3):
        update(updater, seed)
    weights, moments = updater.state()[WEIGHTS], updater.state()[MOMENTS]
    assert {tensor.dtype for tensor in [*weights.values(), *moments.values(), *updater.gradients]} == {torch.float32}
    working = updater.working.weights()
    assert {tensor.dtype for tensor in working.values()} == {torch.bfloat16}
    assert_equal(working, {name: weight.bfloat16() for name, weight in weights.items()})
    # A master that were rounded each time would lose the small steps.
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in weights.values())


def test_steps_too_small_for_bfloat16_add_up_in_the_masters() -> None:
    updater = make_updater("bfloat16")
    before = values(updater.model.weights())
    for _ in range(10):
        update(updater, 1, rate=1e-5)
    name = "encoder.0.feed_forward.inner.weight"
    change = (updater.model.weights()[name] - before[name]).abs()
    # Where one step of the rate is lost in bfloat16, ten of them are not in float32.
    lost = before[name].bfloat16() + 1e-5 == before[name].bfloat16()
    assert 1e-5 < float(change[lost].max()) < 2e-4


def test_tied_weights_are_tied_in_the_copy_too() -> None:
    working = make_updater("bfloat16").working
    source, target = (working.get_parameter(f"{side}_embedding.weight") for side in ("source", "target"))
    assert working.generator.weight is target is source


def test_bfloat16_takes_nearly_the_gradient_of_float32_also_over_micro_batches() -> None:
    exact, near = make_updater("float32"), make_updater("bfloat16")
    first, second = update(exact, 1, 2, 3), update(near, 1, 2, 3)
    assert_close(second.loss, first.loss, rtol=5e-3, atol=0)
    for mine, theirs in zip(near.gradients, exact.gradients, strict=True):
        scale = float(theirs.norm()) + 1e-3
        assert float((mine - theirs).norm()) < 0.05 * scale


def test_each_update_forgets_the_gradients_of_the_one_before() -> None:
    updater = make_updater()
    update(updater, 1, rate=0.0)
    first = [gradient.clone() for gradient in updater.gradients]
    update(updater, 1, rate=0.0)
    assert all(map(torch.equal, updater.gradients, first))
    assert any(bool(gradient.any()) for gradient in first)


def test_a_rate_of_zero_moves_nothing() -> None:
    updater = make_updater()
    before = values(updater.model.weights())
    update(updater, 1, rate=0.0)
    assert_equal(updater.model.weights(), before)


def test_clipping_scales_a_long_gradient_down_and_reports_the_norm_before_it() -> None:
    free, clipped, loose = (
        make_updater(optimizer=OptimizerConfig(clip_norm=norm)) for norm in (None, 1e-3, 1e3)
    )  # fmt: skip
    norms = [float(update(updater, 1).gradient_norm) for updater in (free, clipped, loose)]
    assert norms[0] == norms[1] == norms[2] > 0.01
    shrunk = torch.nn.utils.get_total_norm(clipped.gradients)
    assert float(shrunk) == pytest.approx(1e-3, rel=1e-4)
    assert all(map(torch.equal, loose.gradients, free.gradients))
    for mine, theirs in zip(clipped.gradients, free.gradients, strict=True):
        assert_close(mine, theirs * 1e-3 / norms[0], rtol=1e-3, atol=1e-9)


def test_dropout_follows_the_seed_of_the_update_and_no_generator_of_before() -> None:
    losses = []
    for noise, seed in ((0, 5), (99, 5), (0, 6)):
        updater = make_updater(dropout=0.3)
        torch.manual_seed(noise)
        losses.append(float(take(updater, [make_batch(1)], rate=0.0, seed=seed).loss))
    assert losses[0] == losses[1] != losses[2]


def test_the_nll_of_an_update_is_its_loss_without_smoothing() -> None:
    smoothed, plain = update(make_updater(), 1, smoothing=0.2), update(make_updater(), 1, smoothing=0.0)
    assert float(smoothed.nll) == pytest.approx(float(plain.nll)) == pytest.approx(float(plain.loss))
    assert float(smoothed.loss) != pytest.approx(float(smoothed.nll))


def saved(updater: Updater[Any], folder: Path) -> Checkpoint:
    """Save an updater, and read it back."""
    Checkpoints(folder, 1).save(TrainingState(step=3), updater.state(), {})
    found, _ = Checkpoints(folder, 1).newest()
    assert found is not None
    return found


@pytest.mark.parametrize(("algorithm", "ema_decay"), [("adam", None), ("adam", 0.9), ("muon", None)])
@precisions
def test_an_updater_restored_from_disk_goes_on_bit_for_bit(
    precision: Precision, algorithm: Algorithm, ema_decay: float | None, tmp_path: Path
) -> None:
    dropouts: dict[str, Any] = {"dropout": 0.2, "attention_dropout": 0.1, "activation_dropout": 0.1}
    config = OptimizerConfig(algorithm=algorithm, clip_norm=1.0)
    straight = make_updater(precision, config, ema_decay=ema_decay, **dropouts)
    for step in range(1, 4):
        update(straight, step, step + 10, step=step)
    found = saved(straight, tmp_path)
    for step in range(4, 7):
        update(straight, step, step + 10, step=step)

    resumed = make_updater(precision, config, seed=2, ema_decay=ema_decay, **dropouts)
    resumed.restore(found)
    for step in range(4, 7):
        update(resumed, step, step + 10, step=step)
    assert resumed.state().keys() == straight.state().keys() == {WEIGHTS, MOMENTS} | ({EMA} if ema_decay else set())
    for file, tensors in straight.state().items():
        assert_same(resumed.state()[file], tensors)
    assert_equal(resumed.working.weights(), straight.working.weights())
    assert_equal(resumed.eval_model.weights(), straight.eval_model.weights())
    assert float(next(v for k, v in resumed.state()[MOMENTS].items() if k.startswith("step."))) == 6


def test_the_tensors_of_another_model_are_not_restored(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"encoder\.0\.feed_forward\.inner\.weight is \(32, 16\), not \(24, 16\)"):
        make_updater().restore(saved(make_updater(ffn=32), tmp_path))


def test_moments_are_named_after_their_parameters() -> None:
    updater = make_updater()
    guard = {f"guard.{name}" for name in ("recent", "skipped", "in_a_row")}
    assert updater.state()[MOMENTS].keys() == guard
    update(updater, 1)
    weights, moments = updater.state()[WEIGHTS], updater.state()[MOMENTS]
    named = {f"{moment}.{name}" for moment in ("step", "exp_avg", "exp_avg_sq") for name in weights}
    assert moments.keys() == named | guard
    assert all(moments[f"exp_avg.{name}"].shape == weight.shape for name, weight in weights.items())


def test_accumulating_moves_no_weight_and_can_be_done_again_in_other_micro_batches() -> None:
    updater = make_updater(dropout=0.3)
    before, batch = values(updater.model.weights()), make_batch(1)
    updater.accumulate([make_batch(2), make_batch(3)], seed=7, smoothing=0.1, tokens=5)  # where the memory ran out
    updater.accumulate([batch], seed=1, smoothing=0.1, tokens=batch.target_tokens)
    assert_equal(updater.model.weights(), before)
    other = make_updater(dropout=0.3)
    other.accumulate([batch], seed=1, smoothing=0.1, tokens=batch.target_tokens)
    assert torch.equal(updater.reduced, other.reduced)
    assert bool(updater.flat_gradient.any())


@precisions
def test_gradients_are_of_a_token_of_the_whole_step_and_losses_are_sums(precision: Precision) -> None:
    updater, batch = make_updater(precision), make_batch(1)
    updater.accumulate([batch], seed=1, smoothing=0.1, tokens=batch.target_tokens)
    once = updater.reduced.clone()
    updater.accumulate([batch], seed=1, smoothing=0.1, tokens=4 * batch.target_tokens)  # three more on other ranks
    assert_close(updater.flat_gradient, once[:-2] / 4, rtol=1e-5, atol=1e-9)
    assert torch.equal(updater.loss_sums, once[-2:])


def test_any_loss_of_a_batch_of_any_kind_can_be_summed_over_micro_batches() -> None:
    updater = make_updater()
    name, weight = next(iter(updater.model.named_parameters()))

    def loss_of(model: Any, factor: float) -> tuple[Tensor, Tensor]:
        loss = factor * model.get_parameter(name).square().sum()
        return loss, torch.tensor(factor)

    updater.sum_gradients([1.0, 2.0], loss_of, seed=1, tokens=4)
    assert_close(weight.grad, 2 * 3 / 4 * weight.detach())
    assert_close(updater.loss_sums, torch.stack([3 * weight.detach().square().sum(), torch.tensor(3.0)]))
    (result,) = [updater.apply(1, rate=0.1, tokens=4)]
    assert (float(result.nll), result.tokens) == (3.0, 4)


def test_without_a_micro_batch_there_is_no_gradient_and_no_loss() -> None:
    updater = make_updater()
    update(updater, 1)
    updater.accumulate([], seed=1, smoothing=0.1, tokens=9)
    assert not updater.reduced.any()


@pytest.mark.parametrize(("algorithm", "clip_norm"), [("adam", None), ("adam", 1.0), ("muon", None), ("muon", 1.0)])
@precisions
def test_a_skipped_update_leaves_weights_and_moments_as_they_were(
    precision: Precision, algorithm: Algorithm, clip_norm: float | None
) -> None:
    config = OptimizerConfig(algorithm=algorithm, clip_norm=clip_norm)
    updater = make_updater(precision, config)
    update(updater, 1)
    before = {file: values(tensors) for file, tensors in updater.state().items()}
    working = values(updater.working.weights())
    batch = make_batch(2)
    for poison in (math.nan, math.inf):
        updater.accumulate([batch], seed=2, smoothing=0.1, tokens=batch.target_tokens)
        updater.flat_gradient[3] = poison
        result = updater.apply(2, rate=0.05, tokens=batch.target_tokens)
        assert math.isnan(float(result.loss))
        assert not math.isfinite(float(result.gradient_norm))
        assert result.tokens == batch.target_tokens
    assert updater.guard.counts() == (2, 2)
    after = updater.state()
    assert_equal(after[WEIGHTS], before[WEIGHTS])
    assert_equal(updater.working.weights(), working)
    for name, tensor in before[MOMENTS].items():
        if not name.startswith("guard."):
            assert torch.equal(after[MOMENTS][name], tensor), name
    # The next one is taken, as if nothing had been.
    straight = make_updater(precision, config)
    update(straight, 1)
    assert math.isfinite(float(update(updater, 3, step=4).loss))
    update(straight, 3, step=4)
    assert_equal(updater.model.weights(), straight.model.weights())


def test_a_loss_far_off_skips_the_update_though_its_gradient_is_a_number() -> None:
    updater = make_updater()
    for step in range(1, 20 + 1):
        update(updater, 1, step=step, rate=0.0)
    before, batch = values(updater.model.weights()), make_batch(1)
    updater.accumulate([batch], seed=1, smoothing=0.1, tokens=batch.target_tokens)
    updater.loss_sums.mul_(5)
    assert math.isnan(float(updater.apply(20 + 1, rate=0.05, tokens=batch.target_tokens).loss))
    assert_equal(updater.model.weights(), before)
    assert updater.guard.counts() == (1, 1)


def test_the_evaluated_model_is_the_trained_one_unless_an_average_is_kept() -> None:
    plain, averaging = make_updater(), make_updater(ema_decay=0.9)
    assert plain.eval_model is plain.model
    assert plain.state().keys() == {WEIGHTS, MOMENTS}
    assert averaging.eval_model is not averaging.model
    assert_equal(averaging.state()[EMA], averaging.model.weights())
    tied = averaging.eval_model
    assert tied.generator.weight is tied.get_parameter("target_embedding.weight")


@precisions
def test_the_average_follows_the_weights_fast_at_first_and_then_by_its_decay(precision: Precision) -> None:
    updater = make_updater(precision, ema_decay=0.5)
    name = "encoder.0.feed_forward.inner.weight"
    expected = updater.model.weights()[name].clone()
    decays = []
    for step in range(1, 21):
        update(updater, step, step=step)
        decays.append(min(0.5, (1 + step) / (10 + step)))
        expected = decays[-1] * expected + (1 - decays[-1]) * updater.model.weights()[name]
        assert_close(updater.eval_model.weights()[name], expected, rtol=1e-5, atol=1e-6)
    assert decays[0] == 2 / 11
    assert decays[7] == decays[-1] == 0.5
    assert not torch.allclose(updater.eval_model.weights()[name], updater.model.weights()[name])
    assert {weight.dtype for weight in updater.state()[EMA].values()} == {torch.float32}


def test_the_average_has_no_part_in_the_updates() -> None:
    plain, averaging = make_updater(), make_updater(ema_decay=0.9)
    for updater in (plain, averaging):
        for step in range(1, 4):
            update(updater, step, step=step)
    assert_equal(plain.model.weights(), averaging.model.weights())


def test_the_seeds_of_steps_differ_from_each_other_and_between_runs() -> None:
    seeds = {step_seed(seed, step) for seed in range(5) for step in range(2000)}
    assert len(seeds) == 10_000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert step_seed(1, 12) == step_seed(1, 12) != step_seed(11, 2)


def test_the_seeds_of_ranks_differ_and_a_single_process_has_that_of_the_first() -> None:
    seeds = {step_seed(1, step, rank) for step in range(100) for rank in range(8)}
    assert len(seeds) == 800
    assert step_seed(1, 12, 0) == step_seed(1, 12)


def test_of_the_copy_the_first_gradients_are_copied_and_later_ones_added_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    updater, calls = make_updater("bfloat16"), list[tuple[str, int]]()
    batches = [make_batch(seed) for seed in (1, 2, 3)]
    alone = []
    for batch in batches:
        updater.accumulate([batch], seed=1, smoothing=0.1, tokens=20)
        alone.append([gradient.clone() for gradient in updater.gradients])
    for name in ("_foreach_copy_", "_foreach_add_"):
        function = getattr(torch, name)

        def spy(ours: list[Tensor], theirs: list[Tensor], function: Any = function, name: str = name) -> None:
            calls.append((name, len(theirs)))
            function(ours, theirs)

        monkeypatch.setattr(torch, name, spy)
    updater.flat_gradient.fill_(math.nan)
    updater.accumulate(batches, seed=1, smoothing=0.1, tokens=20)
    count = len(updater.parameters)
    assert calls == [("_foreach_copy_", count), ("_foreach_add_", count), ("_foreach_add_", count)]
    for gradient, (first, second, third) in zip(updater.gradients, zip(*alone, strict=True), strict=True):
        assert torch.equal(gradient, first + second + third)
    assert all(parameter.grad is None for parameter in updater.working.parameters())
