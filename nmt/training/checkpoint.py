"""Resumable training states: save, verify, keep the last and the best, average."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt.errors import ArtifactError
from nmt.files import differing, digest_file, digest_json, read_json, remove, remove_partials, replacing, write_json
from nmt.model.tensors import load_tensors, save_tensors

FORMAT = 1
WEIGHTS, MOMENTS, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


@dataclass
class TrainingState:
    """Where training stands between two steps; all else follows from the seed."""

    step: int = 0
    """Updates done."""
    epoch: int = 0
    """Epoch of the next step."""
    offset: int = 0
    """Steps of that epoch already done."""
    metric: str = ""
    """The `training.best_metric` that the next three are about."""
    best: float | None = None
    """Its best value so far."""
    best_step: int | None = None
    """The step that had it."""
    stale: int = 0
    """Validations since."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk."""

    path: Path
    state: TrainingState
    identity: dict[str, Any]
    """What shaped the updates so far; resuming under another is refused."""

    def weights(self) -> dict[str, Tensor]:
        """Read the weights by parameter name."""
        return load_tensors(self.path / WEIGHTS)

    def moments(self) -> dict[str, Tensor]:
        """Read the optimizer's moments by `MOMENT.PARAMETER`."""
        return load_tensors(self.path / MOMENTS)


class Checkpoints:
    """The checkpoints of one run: `step-00001000/`, `best/`, and `halt-00001234/` where a signal ended it."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def save(
        self,
        state: TrainingState,
        weights: Mapping[str, Tensor],
        moments: Mapping[str, Tensor],
        identity: Any,
        *,
        halting: bool = False,
    ) -> Path:
        """Write a checkpoint whole or not at all, then delete those that it outdates.

        One that is written only because the run is `halting` does not count among the newest `keep`, nor in
        an average: the run ends with the same files as if nothing had happened.
        """
        path = self.folder / f"{'halt' if halting else 'step'}-{state.step:08}"
        write_checkpoint(path, state, {WEIGHTS: weights, MOMENTS: moments}, identity)
        outdated = [old for old in self.folder.glob("halt-*") if old != path]
        for old in outdated if halting else [*outdated, *self.paths()[: -self.keep]]:
            remove(old)
        return path

    def save_best(self, state: TrainingState, weights: Mapping[str, Tensor], identity: Any) -> None:
        """Keep the best weights so far, without the optimizer's."""
        write_checkpoint(self.folder / "best", state, {WEIGHTS: weights}, identity)

    def paths(self) -> list[Path]:
        """Return the checkpoints' folders, oldest first."""
        return sorted(self.folder.glob("step-*"))

    def refuse_other(self, identity: Callable[[str], dict[str, Any]]) -> None:
        """Raise ArtifactError where the newest checkpoint is of a recipe that makes other updates.

        `identity` is what the recipe wants, given the digest of the data: which is taken as it is, for it may
        not be known yet.
        """
        for path in self.paths()[-1:]:
            card = read_json(path / STATE)
            found = card.get("identity") if isinstance(card, dict) else None
            if isinstance(found, dict):
                refuse_other(path, found, identity(found.get("data", "")))

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest checkpoint that is whole, and what is wrong with newer ones.

        Raises ArtifactError where there are checkpoints and none is whole.
        """
        remove_partials(self.folder)
        damage: list[str] = []
        paths = [*self.paths(), *self.folder.glob("halt-*")]
        for path in sorted(paths, key=lambda path: path.name.partition("-")[2], reverse=True):
            try:
                return read_checkpoint(path), damage
            except ArtifactError as error:
                damage.append(str(error))
        if damage:
            raise ArtifactError(damage[0], hint="no older checkpoint is whole; delete the folder to start anew")
        return None, []

    def average(self, count: int) -> dict[str, Tensor]:
        """Return the mean of the weights of the newest `count` checkpoints (Vaswani et al. 2017, section 6.1)."""
        paths = self.paths()[-count:]
        if not paths:
            raise ArtifactError(f"{self.folder}: no checkpoint", hint="train first")
        total: dict[str, Tensor] = {}
        for path in paths:
            for name, tensor in read_checkpoint(path).weights().items():
                total[name] = total[name] + tensor.double() if name in total else tensor.double()
        return {name: (tensor / len(paths)).float() for name, tensor in total.items()}


def refuse_other(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ArtifactError where the checkpoint at `path` is of a recipe that makes other updates."""
    if keys := differing(found, wanted):
        raise ArtifactError(
            f"{path}: a checkpoint of another recipe: it differs in {', '.join(keys)}",
            hint="take another --run-dir, or delete the folder checkpoints to train anew",
        )


def write_checkpoint(
    path: Path, state: TrainingState, tensors: Mapping[str, Mapping[str, Tensor]], identity: Any
) -> None:
    """Write files of tensors, and `state.json` with the digest of each."""
    with replacing(path) as scratch:
        scratch.mkdir()
        for name, content in tensors.items():
            save_tensors(content, scratch / name)
        files = {name: digest_file(scratch / name) for name in tensors}
        card = {"format": FORMAT, "state": dataclasses.asdict(state), "files": files, "identity": identity}
        write_json(scratch / STATE, {**card, "digest": digest_json(card)})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify the checkpoint at `path`. Raises ArtifactError."""
    card = read_json(path / STATE)
    if not isinstance(card, dict) or "format" not in card:
        raise ArtifactError(f"{path / STATE}: missing or damaged")
    if card["format"] != FORMAT:
        raise ArtifactError(
            f"{path}: checkpoint of format {card['format']}, not {FORMAT}", hint="use the nmt that wrote it"
        )
    if card.pop("digest", None) != digest_json(card):
        raise ArtifactError(f"{path / STATE}: damaged: its digest is not that of its content")
    for name, expected in card["files"].items():
        if not (path / name).is_file() or digest_file(path / name) != expected:
            raise ArtifactError(f"{path / name}: missing or damaged")
    return Checkpoint(path, TrainingState(**card["state"]), card["identity"])


def moments_of(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """Return Adam's state by `MOMENT.PARAMETER`; `names` are those of its parameters, in order."""
    return {
        f"{moment}.{name}": tensor
        for name, parameter in zip(names, optimizer.param_groups[0]["params"], strict=True)
        for moment, tensor in optimizer.state[parameter].items()
    }


def restore_moments(optimizer: torch.optim.Optimizer, names: list[str], moments: Mapping[str, Tensor]) -> None:
    """Put back what `moments_of` returned."""
    for key, tensor in moments.items():
        moment, _, name = key.partition(".")
        parameter = optimizer.param_groups[0]["params"][names.index(name)]
        optimizer.state[parameter][moment] = tensor.to(parameter.device)
