"""The trainings of `nmt study softmax-regression`. Shapes as in `nmt.tasks.softmax_regression`."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nmt.config.model import ModelConfig
from nmt.files import JsonObject
from nmt.model.protocol import Network
from nmt.model.regression import VectorNetwork, example_mask, regression_tokens
from nmt.studies.fitting import fit
from nmt.studies.regression_cell import TEST, TRAIN, TokenBatch
from nmt.tasks.regression import Floats
from nmt.tasks.softmax_regression import SoftmaxProblems

if TYPE_CHECKING:
    from nmt.studies.softmax_regression import SoftmaxCell, SoftmaxRegressionConfig


def problem_batch(problems: SoftmaxProblems, size: float) -> TokenBatch:
    """Make the batch of `problems`: rows of A with n b, and x, which sees them, to predict -gradient / `size`."""
    rows = problems.b.shape[1]
    a, b, x, wanted = (
        torch.from_numpy(part).float()
        for part in (problems.a, problems.b * rows, problems.x[:, None], -problems.gradient() / size)
    )
    mask = example_mask(torch.full((len(a),), rows), rows, 1, is_causal=False)
    return TokenBatch(regression_tokens(a, b, x), mask, wanted)


def updates(network: Network, batch: TokenBatch) -> Tensor:
    """Return the updates (B, d) of x."""
    outputs: Tensor = network(batch.tokens, batch.mask)
    return outputs[:, -1]


def squared_error(network: Network, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """Return the squared error of the updates, summed, to train on and to record."""
    error = (updates(network, batch) - batch.wanted).square().sum()
    return error, error.detach()


def root_mean_square(values: Floats) -> float:
    """Return the root of the mean squared length of the rows of `values` (B, ...)."""
    return float(np.sqrt(np.square(values).sum(-1).mean()))


def train_cell(cell: "SoftmaxCell", config: "SoftmaxRegressionConfig", folder: Path) -> JsonObject:
    """Train the layer on problems of the norm of `cell`, from where it was killed; return how near its update comes."""
    columns, shape = config.columns, (config.rows, config.columns, cell.norm)
    model = ModelConfig(
        architecture="decoder-only",
        d_model=config.d_model,
        heads=config.heads,
        encoder_layers=0,
        decoder_layers=1,
        dropout=0.0,
        norm="pre",
    )
    torch.manual_seed(config.seed)
    network = VectorNetwork(model, columns + 1, columns, has_norm=False)
    test = SoftmaxProblems.draw(config.tests, *shape, (config.seed, TEST))
    size = root_mean_square(test.gradient()) / columns**0.5  # of a number: so that all norms train alike

    def batch_of(step: int) -> tuple[TokenBatch, int]:
        return problem_batch(SoftmaxProblems.draw(config.batch, *shape, (config.seed, TRAIN, step)), size), config.batch

    diverged = fit(
        network,
        batch_of,
        squared_error,
        config.optimizer,
        steps=config.steps,
        seed=config.seed,
        folder=folder / "checkpoints",
        identity={"cell": cell.name, "config": config.model_dump()},
    )
    if diverged:
        return {"diverged": diverged}
    with torch.no_grad():
        update = updates(network.eval(), problem_batch(test, size)).double().numpy() * size
    return {"diverged": None, **compared(test, update, config.rates)}


def compared(problems: SoftmaxProblems, update: Floats, rates: list[float]) -> JsonObject:
    """Compare `update` (B, d) with the negative gradient, as updates of x and, at each rate, by the values after them.

    An error is a root mean square, as a share of the root mean square of what the step of gradient descent changes.
    Losses are means, as shares of the loss before. `bound` is the largest change of the values by the step over that of
    x, which Li et al. 2023 bound by n^1.5 exp(10 R^2).
    """
    step, before, loss = -problems.gradient(), problems.values(), problems.loss().mean()
    by_rate = {}
    for rate in rates:
        by_step, by_update = problems.x + rate * step, problems.x + rate * update
        changed = problems.values(by_step) - before
        moved = np.linalg.norm(rate * step, axis=-1)
        by_rate[f"{rate:g}"] = {
            "error": root_mean_square(problems.values(by_update) - problems.values(by_step))
            / root_mean_square(changed),
            "step": float(problems.loss(by_step).mean() / loss),
            "attention": float(problems.loss(by_update).mean() / loss),
            "bound": float((np.linalg.norm(changed, axis=-1) / moved).max()),
        }
    return {"error": root_mean_square(update - step) / root_mean_square(step), "rates": by_rate}
