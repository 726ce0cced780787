"""The trainings of `nmt study in-context-regression`, and what is compared with them.

Losses are mean squared errors without the noise of the values, so that 0 is the function itself. Shapes as in
`nmt.tasks.regression`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nmt.config.model import ModelConfig
from nmt.files import JsonObject
from nmt.model.protocol import Network
from nmt.model.regression import VectorNetwork, example_mask, regression_tokens
from nmt.studies.fitting import fit
from nmt.studies.regression_fields import RegressionCell, RegressionConfig
from nmt.tasks import estimators
from nmt.tasks.regression import Floats, LinearFunctions, Sequences

TRAIN, COUNTS, TEST, FITTING, SHIFTED = range(5)  # what is drawn, each by a seed of its own


@dataclass(frozen=True)
class TokenBatch:
    """The tokens of sequences, what each sees, and the values that their queries ask for."""

    tokens: Tensor  # (B, n + q, d + 1)
    mask: Tensor  # (B, 1, n + q, n + q)
    wanted: Tensor  # (B, q)


def token_batch(sequences: Sequences, counts: Tensor, *, is_causal: bool) -> TokenBatch:
    """Make the batch of `sequences`, of which the first `counts` (B) examples are seen."""
    parts = (sequences.x, sequences.y, sequences.queries, sequences.wanted)
    x, y, queries, wanted = (torch.from_numpy(part).float() for part in parts)
    mask = example_mask(counts, x.size(1), queries.size(1), is_causal=is_causal)
    return TokenBatch(regression_tokens(x, y, queries), mask, wanted)


def predict(network: Network, batch: TokenBatch) -> Tensor:
    """Return the predictions (B, q) of the values of the queries."""
    outputs: Tensor = network(batch.tokens, batch.mask)
    return outputs[:, -batch.wanted.size(1) :, 0]


def squared_error(network: Network, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """Return the squared error of the queries, summed, to train on and to record."""
    error = (predict(network, batch) - batch.wanted).square().sum()
    return error, error.detach()


def functions_of(config: RegressionConfig) -> LinearFunctions:
    return LinearFunctions(config.dimension, config.noise)


def numbers_of_examples(config: RegressionConfig) -> list[int]:
    """Return the numbers of examples that are tested: from the fewest of training to twice the most."""
    few, most = config.fewest_examples, config.examples
    spread = np.geomspace(few, 2 * most, 9).round().astype(int).tolist()
    return sorted({*spread, few, most, 2 * most})


def held_out(config: RegressionConfig) -> tuple[dict[int, Sequences], dict[str, Sequences]]:
    """Return the test sequences by their number of examples, and those that are shifted, by their shift."""
    functions, most, queries = functions_of(config), config.examples, config.queries
    whole = functions.draw(config.tests, 2 * most, queries, (config.seed, TEST))
    shifts = {
        "inputs": functions.shifted(input_scale=config.test_input_scale),
        "weights": functions.shifted(weight_scale=config.test_weight_scale),
    }
    shifted = {name: shift.draw(config.tests, most, queries, (config.seed, SHIFTED)) for name, shift in shifts.items()}
    return {count: whole.first(count) for count in numbers_of_examples(config)}, shifted


def train_cell(cell: RegressionCell, config: RegressionConfig, folder: Path) -> JsonObject:
    """Train the network of `cell` in `folder`, from where it was killed, and return its losses and distances."""
    model = ModelConfig(
        architecture="decoder-only",
        d_model=config.d_model,
        heads=config.heads,
        ffn=config.ffn,
        encoder_layers=0,
        decoder_layers=cell.layers,
        dropout=0.0,
        norm="pre",
        attention_kernel="softmax" if cell.kind == "softmax" else "linear",
    )
    torch.manual_seed(config.seed)
    has_norm = cell.kind != "lsa"
    network = VectorNetwork(
        model, config.dimension + 1, 1, feed_forward=config.feed_forward and has_norm, has_norm=has_norm
    )
    functions, most, is_causal = functions_of(config), config.examples, cell.mask == "causal"

    def batch_of(step: int) -> tuple[TokenBatch, int]:
        sequences = functions.draw(config.batch, most, config.queries, (config.seed, TRAIN, step))
        rng = np.random.default_rng((config.seed, COUNTS, step))
        counts = torch.from_numpy(rng.integers(config.fewest_examples, most, config.batch, endpoint=True))
        return token_batch(sequences, counts, is_causal=is_causal), sequences.wanted.size

    identity = {"cell": cell.name, "config": config.model_dump()}
    diverged = fit(
        network,
        batch_of,
        squared_error,
        config.optimizer,
        steps=config.steps,
        seed=config.seed,
        folder=folder / "checkpoints",
        identity=identity,
    )
    return {"diverged": diverged} if diverged else {"diverged": None, **tested(network, cell, config)}


@torch.no_grad()
def tested(network: VectorNetwork, cell: RegressionCell, config: RegressionConfig) -> JsonObject:
    """Return the losses of a trained `network` on the tests, and its distances from the estimators.

    `median` is that of the losses of the sequences: a mean may be of few of them alone.
    """
    by_count, shifted = held_out(config)

    def predicted(sequences: Sequences) -> Floats:
        counts = torch.full((len(sequences.x),), sequences.x.shape[1])
        batch = token_batch(sequences, counts, is_causal=cell.mask == "causal")
        return predict(network.eval(), batch).double().numpy()

    predictions = {count: predicted(sequences) for count, sequences in by_count.items()}
    found = predictions[config.examples]
    others = estimates(by_count[config.examples], config)
    distances = {name: np.square(found - other).mean((-2, -1)) for name, other in others.items()}
    return {
        "losses": {str(count): float(by_count[count].loss(of)) for count, of in predictions.items()},
        "median": float(np.median(np.square(found - by_count[config.examples].wanted).mean(-1))),
        "shifted": {name: float(sequences.loss(predicted(sequences))) for name, sequences in shifted.items()},
        "distances": {name: of.tolist() for name, of in distances.items()},
    }


def estimates(sequences: Sequences, config: RegressionConfig) -> dict[str, Floats]:
    """Return the predictions (B, q) of the estimators, (K, B, q) of the descents, whose rates are fitted on others."""
    functions, (x, y), steps = functions_of(config), (sequences.x, sequences.y), config.descent_steps
    fitting = functions.draw(config.fitting, x.shape[1], config.queries, (config.seed, FITTING))
    return {
        "least squares": sequences.predict(estimators.least_squares(x, y)),
        "ridge": sequences.predict(estimators.ridge(x, y, functions.ridge)),
        "online": sequences.predict(estimators.online_descent(x, y)),
        "descent": estimators.fitted_descent(estimators.gradient_descent, sequences, fitting, steps)[1],
        "causal descent": estimators.fitted_descent(estimators.causal_descent, sequences, fitting, steps)[1],
    }


def estimate_cell(config: RegressionConfig) -> JsonObject:
    """Return the losses of the estimators on the tests, as `tested` has them of a model; of a descent by step."""
    by_count, shifted = held_out(config)

    def losses(sequences: Sequences) -> dict[str, list[float] | float]:
        return {name: sequences.loss(of).tolist() for name, of in estimates(sequences, config).items()}

    return {
        "losses": {str(count): losses(sequences) for count, sequences in by_count.items()},
        "shifted": {name: losses(sequences) for name, sequences in shifted.items()},
    }
