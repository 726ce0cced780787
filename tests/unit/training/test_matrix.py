"""The promises, for every family with every objective that it can have: resume, ranks and batches change nothing."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from blocks import small_blocks
from torch import Tensor

from nmt.config.decoding import DecodingConfig
from nmt.config.model import STACKS
from nmt.config.recipe import Recipe
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.steps import StepStream
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.shards import shard_path, write_shard
from nmt.inference.engines.native import NativeEngine
from nmt.inference.protocol import Request, Row
from nmt.run_folder import RunFolder
from nmt.training.checkpoint import Checkpoints
from nmt.training.log import TrainingLog
from nmt.training.loop import Trainer
from nmt.training.validation import DevSet

V, STEPS = 24, 4
SECTIONS: dict[str, Any] = {
    "name": "x",
    "languages": {"source": "en", "target": "de"},
    "data": {"train": {"files": "a.tsv"}},
    "cleaning": {"max_pieces": 12},
    "batching": {"tokens_per_step": 120},
    "optimizer": {"learning_rate": 1e-2, "warmup_steps": 2},
}
MODEL = {"d_model": 16, "heads": 4, "ffn": 24, "max_length": 16, "positions": "rotary", "norm": "pre"}
VARIANTS: dict[str, dict[str, Any]] = {
    "encoder-decoder": {"model": {"architecture": "encoder-decoder"}},
    "encoder-decoder, guided": {
        "model": {"architecture": "encoder-decoder"},
        "training": {"guided_alignment": 0.5},
    },
    "encoder-decoder, window": {"model": {"architecture": "encoder-decoder", "attention_window": 1}},
    "decoder-only": {"model": {"architecture": "decoder-only"}},
    "decoder-only, source too": {"model": {"architecture": "decoder-only"}, "training": {"source_loss": 0.3}},
    "prefix-lm": {"model": {"architecture": "prefix-lm"}},
    "linear attention": {"model": {"architecture": "encoder-decoder", "attention_kernel": "linear"}},
    "linear attention, decoder-only": {"model": {"architecture": "decoder-only", "attention_kernel": "linear"}},
}
TRANSLATING = list(VARIANTS)
LINES = {"monolingual": {"train": {"text": "a", "language": "en"}}}
for family in ("encoder-decoder", "decoder-only", "prefix-lm"):
    common = {"model": {"architecture": family}, "data": LINES}
    denoising = {**common, "training": {"objective": "denoising"}, "tokenizer": {"masks": 2}}
    VARIANTS[f"{family}, language-model"] = {**common, "training": {"objective": "language-model"}}
    VARIANTS[f"{family}, denoising"] = denoising
VARIANTS["denoising, spans"] = {**denoising, "noise": {"target": "spans", "mask_share": 0.5, "sentence_share": 0.3}}
masked = {"model": {"architecture": "encoder-only"}, "training": {"objective": "masked"}, "tokenizer": {"masks": 1}}
VARIANTS |= {"masked": {**masked, "data": LINES}, "masked, pairs": masked}
matrix = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(autouse=True, scope="module")
def setting() -> Iterator[None]:
    """Take one thread, and so small blocks for a window that a sentence has several."""
    torch.set_num_threads(1)
    with small_blocks():
        yield


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PreparedPairs:
    """Return 60 pairs of 1 to 9 pieces a side."""
    folder, rng = tmp_path_factory.mktemp("matrix") / "train", np.random.default_rng(1)
    sides = [[rng.integers(4, V, int(rng.integers(1, 10))).tolist() for _ in range(60)] for _ in range(2)]
    ids = pa.list_(pa.uint8())
    lengths = [[len(row) for row in side] for side in sides]
    of_pairs = [
        [place for j in range(target) for place in (j % source, j)] for source, target in zip(*lengths, strict=True)
    ]
    schema = pa.schema(
        [("src", ids), ("tgt", ids), ("src_length", pa.uint8()), ("tgt_length", pa.uint8()), ("links", ids)]
    )
    columns = [*sides, *lengths, of_pairs]
    write_shard(shard_path(folder, 0), schema, "train", [columns])
    return PreparedPairs(folder)


def test_guided_attention_changes_the_gradient(pairs: PreparedPairs, tmp_path: Path) -> None:
    gradients = []
    for variant in ("encoder-decoder", "encoder-decoder, guided"):
        trainer = make_trainer(variant, pairs, tmp_path, dropout=0.0)
        (step,) = [step for step, _ in zip(trainer.steps.steps(0, 0), range(1), strict=False)]
        trainer.accumulate(step.micro_batches, 1, step.target_tokens)
        gradients.append(trainer.updater.reduced.clone())
    plain, guided = gradients
    assert plain[-1] == guided[-1]  # the log-likelihood
    assert plain[-2] < guided[-2]
    assert not torch.equal(plain[:-2], guided[:-2])


def make_trainer(variant: str, pairs: PreparedPairs, folder: Path, *, dropout: float = 0.1) -> Trainer:
    sections = VARIANTS[variant]
    stacks = dict.fromkeys(STACKS[sections["model"]["architecture"]], 2)
    model = {**MODEL, **stacks, **sections["model"], "dropout": dropout}
    source = SimpleNamespace(pieces=lambda ids: ["."[: number == 9] for number in ids], trees=None)
    facts = {
        "source_size": V,
        "target_size": V,
        "placeholders": 0,
        "source": source,
        "target": source,
        "masks": [22, 23],
        "tags": [],
    }
    sizes = cast("Tokenizer", SimpleNamespace(**facts))
    recipe = Recipe.model_validate({**SECTIONS, **sections, "model": model})
    return Trainer(recipe, sizes, pairs, DevSet([], [], pairs), RunFolder(folder), data="abc")


def step_on(trainer: Trainer, count: int) -> None:
    with TrainingLog(None, resume_after=0, max_steps=100, tensorboard=None, shown=False) as log:
        for step, _ in zip(trainer.steps.steps(trainer.state.epoch, trainer.state.offset), range(count), strict=False):
            trainer.update(step, log, [])


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.updater.model.weights().items()}


@matrix
def test_a_training_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(
    variant: str, pairs: PreparedPairs, tmp_path: Path
) -> None:
    whole = make_trainer(variant, pairs, tmp_path)
    step_on(whole, STEPS)
    half = make_trainer(variant, pairs, tmp_path)
    before = weights(half)
    step_on(half, STEPS // 2)
    Checkpoints(tmp_path / "checkpoints", 3).save(half.state, half.updater.state(), half.identity)
    resumed = make_trainer(variant, pairs, tmp_path)
    resumed.resume()
    assert resumed.state.step == STEPS // 2
    step_on(resumed, STEPS - STEPS // 2)
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(resumed).items())
    assert not any(torch.equal(tensor, before[name]) for name, tensor in weights(whole).items() if tensor.dim() > 1)


@matrix
def test_ranks_and_micro_batches_sum_to_the_gradient_of_one_batch(
    variant: str, pairs: PreparedPairs, tmp_path: Path
) -> None:
    trainer = make_trainer(variant, pairs, tmp_path, dropout=0.0)
    (step,) = [step for step, _ in zip(trainer.steps.steps(0, 0), range(1), strict=False)]

    def gradient(batches: list[Any]) -> Tensor:
        assert trainer.accumulate(batches, 1, step.target_tokens)
        return trainer.updater.reduced.clone()

    whole = gradient(step.micro_batches)
    assert float(whole.abs().max()) > 0
    ranks = [
        StepStream(pairs, 120, 1, corruption=trainer.steps.corruption, rank=rank, ranks=2).collate(step.indices, 40, 0)
        for rank in range(2)
    ]
    assert all(len(batches) > 1 for batches in ranks)
    torch.testing.assert_close(sum(map(gradient, ranks)), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant not in TRANSLATING])
def test_dev_has_the_same_loss_at_every_validation(variant: str, pairs: PreparedPairs, tmp_path: Path) -> None:
    one, other = (make_trainer(variant, pairs, tmp_path) for _ in range(2))
    found = one.validation()
    assert (found.bleu, found.chrf, one.translator) == (None, None, None)
    assert found == one.validation() == other.validation()
    one.try_longest_dev()  # translates nothing
    one.warn_of_dev()
    step_on(one, STEPS)
    assert one.validation().loss < found.loss


@pytest.mark.parametrize("variant", TRANSLATING)
def test_a_line_is_translated_alone_as_in_a_batch(variant: str, pairs: PreparedPairs, tmp_path: Path) -> None:
    trainer = make_trainer(variant, pairs, tmp_path)
    step_on(trainer, STEPS)
    model = trainer.updater.eval_model.eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data.mul_(2)  # so that predictions are not all alike
    engine = NativeEngine([model])
    rows = [Row(ids.tolist()) for ids in pairs.sides(np.arange(20))[0]]
    request = Request(DecodingConfig(beam_size=3, min_length=4), 3)
    (together,) = engine.search([rows], request)
    alone = [found for (found,) in engine.search([[row] for row in rows], request)]
    assert len({tuple(best.ids) for best, *_ in together}) > 1
    for one, other in zip(alone, together, strict=True):
        assert [hypothesis.ids for hypothesis in one] == [hypothesis.ids for hypothesis in other]
        assert [each.score for each in one] == pytest.approx([each.score for each in other], abs=1e-5)
