"""The threads of a training on a CPU, whose number is fixed when it begins: the last bits of gradients depend on it."""

import os

import torch

from nmt import console
from nmt.cores import NUMBER, cores
from nmt.training.checkpoint import TrainingState
from nmt.training.distributed import Ranks


def fix_threads(state: TrainingState, asked: int | None, ranks: Ranks) -> None:
    """Compute with the threads that the recipe has `asked` for, or else with those of the checkpoint, or torch's.

    Every rank has as many. The number is recorded in `state`, and where it is not what one may expect, a line says so.
    """
    usual, before = torch.get_num_threads(), state.threads
    state.threads = now = asked or before or ranks.min(usual)
    # Even where the number stays: MKL then takes no fewer, as it does by itself where it finds fewer cores.
    torch.set_num_threads(now)
    if before is None and state.step:
        console.warn(
            f"an older nmt began this run and did not record its threads: now {now}; with another number than before, "
            "rounding differs from an uninterrupted run"
        )
    elif before not in (None, now):
        console.warn(
            f"trained with {before} threads so far, now with {now}: rounding differs from an uninterrupted run"
        )
    elif before and before > cores():
        console.warn(
            f"training with {before} threads, as it began, on {cores()} usable cores: slow, but the bits stay; "
            f"training.threads = {cores()} is faster"
        )
    elif before not in (None, usual, asked):
        console.log(f"train: computing with {before} threads, as this run began, not {usual}")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if here > 1 and now == 1 and os.environ.get(NUMBER) == "1" and (share := cores() // here) > 1:
        console.warn(
            f"each of {here} processes computes with one thread, as torchrun sets it, and {cores()} cores may be used: "
            f"set {NUMBER}={share} before a run begins, or training.threads"
        )
