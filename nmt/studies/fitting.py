"""The training of a study's network: the updater, schedule, guard and checkpoints of `nmt run` without its stages."""

from collections.abc import Callable
from pathlib import Path

from nmt import console
from nmt.config.training import OptimizerConfig
from nmt.errors import ArtifactError
from nmt.files import JsonObject, remove_partials
from nmt.model.protocol import Network
from nmt.training.checkpoint import Checkpoints, TrainingState
from nmt.training.guard import MAX_SKIPPED_IN_A_ROW
from nmt.training.optimizer import learning_rate
from nmt.training.updater import Loss, Micro, Updater, step_seed

CHECKPOINTS = 10  # of a training: so much of it is lost at most when it is killed
KEPT = 2  # checkpoints, so that one is whole if the other is damaged


def fit(
    network: Network,
    batch_of: Callable[[int], tuple[Micro, int]],
    loss_of: Loss[Network, Micro],
    optimizer: OptimizerConfig,
    *,
    steps: int,
    seed: int,
    folder: Path,
    identity: JsonObject,
) -> int | None:
    """Train `network` for `steps`, from the newest checkpoint in `folder` if there is one.

    `batch_of` returns the batch of a step, counted from 1, and its number of predictions, by which the sum of `loss_of`
    is divided; it is a function of the step alone, so that a training that is killed and goes on ends with the same
    bits. Returns the step at which more updates in a row were skipped than the guard allows, None after all steps.
    Raises ArtifactError where the checkpoints are of another `identity`.
    """
    updater, state = Updater(network, optimizer), TrainingState()
    checkpoints = Checkpoints(folder, KEPT)
    remove_partials(folder)
    newest, damage = checkpoints.newest("; delete the folder to start anew")
    for message in damage:
        console.warn(f"{message}; going on from an older checkpoint")
    if newest is not None:
        if newest.identity != identity:
            raise ArtifactError(f"{newest.path}: a checkpoint of other fields", hint="take another --run-dir")
        updater.restore(newest)
        state = newest.state
        console.log(f"resuming after step {state.step:,}")
    every = max(1, steps // CHECKPOINTS)
    while state.step < steps:
        state.step += 1
        batch, predictions = batch_of(state.step)
        updater.sum_gradients([batch], loss_of, seed=step_seed(seed, state.step), tokens=predictions)
        rate = learning_rate(state.step, optimizer, d_model=1, max_steps=steps)
        updater.apply(state.step, rate=rate, tokens=predictions)
        state.skipped, state.in_a_row = updater.guard.counts()
        if state.in_a_row > MAX_SKIPPED_IN_A_ROW:
            console.warn(
                f"diverged: {state.in_a_row} updates in a row have an abnormal loss, up to step {state.step:,}"
            )
            return state.step
        if state.step % every == 0 or state.step == steps:
            checkpoints.save(state, updater.state(), identity)
            loss = float(updater.guard.recent.nanmedian())
            console.log(f"step {state.step:,}: loss {loss:.4g}, {state.skipped} updates skipped")
    return None
