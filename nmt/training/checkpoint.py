"""Resumable training states: save, verify, keep the last and the best, average."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from nmt.cards import Card
from nmt.config.compatibility import changed_inputs
from nmt.config.section import first_error
from nmt.errors import ArtifactError, storage_error
from nmt.files import JsonObject, digest_file, entries, read_json, remove, replacing
from nmt.model.tensors import load_tensors, save_tensors
from nmt.training.identity import UPDATES

FORMAT = 2
WEIGHTS, MOMENTS, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
CHECKPOINT = Card(STATE, "checkpoint", FORMAT)
EMA = "ema.safetensors"  # exponential moving average of the weights, where the recipe keeps one
TensorFiles = Mapping[str, Mapping[str, Tensor]]  # tensors by file and name


@dataclass
class TrainingState:
    """The state of a training between two steps, beside its tensors; everything else follows from the seed."""

    step: int = 0  # updates done
    epoch: int = 0  # epoch of the next step
    offset: int = 0  # steps of that epoch already done
    metric: str = ""  # the `training.best_metric` of the next two fields
    ranked: Sequence[tuple[float | None, int]] = field(default_factory=list)
    """Value and step of the best validations so far, best first, as many as are kept."""
    stale: int = 0  # validations since the best one
    micro_batch_tokens: int | None = None  # padded tokens a side of a micro-batch, once fitted to the memory or lowered
    skipped: int = 0  # updates skipped because of an abnormal loss or gradient
    in_a_row: int = 0  # skipped updates just before the next step
    rollbacks: int = 0  # returns to an older checkpoint
    ranks: int = 1  # processes that trained together
    threads: int | None = None  # threads of each of them on a CPU; unknown of what an older nmt trained
    losses: list[float | None] = field(default_factory=list)
    """Dev losses of the `ranked`; None of what is no number. They are missing of what an older nmt ranked."""
    stage_ends: list[int] = field(default_factory=list)
    """The last step of each stage that is over."""
    stage_best: tuple[float | None, float | None] | None = None  # value and loss of the best validation of the stage
    stage_stale: int = 0  # validations of the stage since that one
    guard_set: str = ""  # digest of the text and the metric of the next two fields
    guard_start: float | None = None  # score of the guard before the fine-tuning
    guard_score: float | None = None  # that of the last validation

    @classmethod
    def read(cls, values: JsonObject) -> Self:
        """Read the state in a card. Format 1 has the best validation alone; keys of a newer nmt are ignored.

        Raises ValidationError where a value is of another type.
        """
        known = {key.name for key in dataclasses.fields(cls)}
        own = {key: value for key, value in values.items() if key in known}
        if values.get("best_step") is not None:
            own["ranked"] = [(values.get("best"), values["best_step"])]
        return TypeAdapter(cls).validate_python(own)

    def unranked(self, metric: str) -> Self:
        """Return the state without what it knows of validations, which `metric` ranks from now on."""
        return dataclasses.replace(self, metric=metric, ranked=[], losses=[], stale=0, stage_best=None, stage_stale=0)

    @property
    def best(self) -> float | None:
        return self.ranked[0][0] if self.ranked else None

    @property
    def best_step(self) -> int | None:
        return self.ranked[0][1] if self.ranked else None


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk."""

    path: Path
    state: TrainingState
    identity: JsonObject  # the inputs of its updates; resuming under others is refused
    files: dict[str, str]  # SHA-256 of each file of tensors

    @property
    def bundle_file(self) -> str:
        """Name of the file with the weights that a bundle holds: their moving average where there is one."""
        return EMA if EMA in self.files else WEIGHTS

    def weights(self) -> dict[str, Tensor]:
        return load_tensors(self.path / WEIGHTS)

    def bundle_weights(self) -> dict[str, Tensor]:
        return load_tensors(self.path / self.bundle_file)

    def moments(self) -> dict[str, Tensor]:
        """Read the optimizer's moments, by `MOMENT.PARAMETER`, and the guard's tensors."""
        return load_tensors(self.path / MOMENTS)


@dataclass(frozen=True)
class Inspection:
    """The result of verifying a checkpoint's folder."""

    path: Path
    size: int  # bytes on disk
    state: TrainingState | None  # None where the card is damaged
    damage: str  # the message of the error, which may also be that it cannot be read; empty where it is whole

    @property
    def step(self) -> int:
        return step_of(self.path)

    @property
    def verdict(self) -> str:
        """`whole`, or the damage without the folder's path."""
        return self.damage.removeprefix(str(self.path)).lstrip("/: ") or "whole"


class Checkpoints:
    """The checkpoints of one run: `step-00001000/`, `best-00000800/`, and `halt-00001234/` where a signal ended it."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def save(self, state: TrainingState, tensors: TensorFiles, identity: JsonObject, *, halting: bool = False) -> Path:
        """Write a checkpoint, whole or not at all, then delete those that it replaces.

        A checkpoint that is written only because the run is `halting` counts neither among the newest `keep` nor in
        an average: the run ends with the same files as without the signal.
        """
        path = self.folder / f"{'halt' if halting else 'step'}-{state.step:08}"
        write_checkpoint(path, state, tensors, identity)
        outdated = [old for old in self.folder.glob("halt-*") if old != path]
        if not halting:
            # While updates are skipped the last good one stays, however old: a rollback may need it.
            outdated += [*([] if state.in_a_row else self.paths()[: -self.keep]), *self.unranked(state)]
        for old in outdated:
            remove(old)
        return path

    def save_best(self, state: TrainingState, weights: Mapping[str, Tensor], identity: JsonObject) -> None:
        """Write the weights of one of the best validations; delete those that are no longer among the best."""
        write_checkpoint(self.folder / f"best-{state.step:08}", state, {WEIGHTS: weights}, identity)
        for old in self.unranked(state):
            remove(old)

    def of_kind(self, kind: str) -> list[Path]:
        """Return the folders `KIND-STEP`, oldest first."""
        return entries(self.folder, f"{kind}-{'[0-9]' * 8}")

    def paths(self) -> list[Path]:
        """Return the folders of the regular checkpoints, oldest first."""
        return self.of_kind("step")

    def all_paths(self) -> list[Path]:
        return sorted([path for kind in ("best", "halt", "step") for path in self.of_kind(kind)], key=step_of)

    def unranked(self, state: TrainingState) -> list[Path]:
        ranked = {step for _, step in state.ranked}
        return [path for path in self.of_kind("best") if step_of(path) not in ranked]

    def best_paths(self) -> list[Path]:
        """Return the folders of the best validations, best first, as the newest card ranks them.

        Raises ArtifactError where that card is damaged.
        """
        best = {step_of(path): path for path in self.of_kind("best")}
        if not best:
            return []
        newest = max([*best.values(), *self.paths()], key=lambda path: (step_of(path), path.name))
        ranked = read_card(newest)[1].ranked
        return [best[step] for _, step in ranked if step in best]

    def has_begun(self) -> bool:
        return bool(self.paths() or self.of_kind("halt"))

    def newest_good(self) -> Checkpoint | None:
        """Return the newest whole checkpoint whose last update was taken, if there is one."""
        for path in reversed(self.paths()):
            with suppress(ArtifactError):
                if not (checkpoint := read_checkpoint(path)).state.in_a_row:
                    return checkpoint
        return None

    def refuse_other(self, identity: Callable[[str], JsonObject]) -> None:
        """Raise ArtifactError where the newest checkpoint belongs to a recipe that makes other updates.

        `identity` returns the recipe's identity for a digest of the data. The checkpoint's own digest is used: the
        data may not be prepared yet.
        """
        for path in self.paths()[-1:]:
            card = read_json(path / STATE)
            known = card.get("identity") if isinstance(card, dict) else None
            if isinstance(known, dict):
                refuse_other(path, known, identity(known.get("data", "")))

    def newest(self, advice: str = "") -> tuple[Checkpoint | None, list[str]]:
        """Return the newest whole checkpoint, if there is one, and the damage of newer ones.

        Raises ArtifactError, with `advice` in its hint, where there are checkpoints and none is whole.
        """
        damage: list[str] = []
        for path in sorted([*self.paths(), *self.of_kind("halt")], key=step_of, reverse=True):
            try:
                return read_checkpoint(path), damage
            except ArtifactError as error:
                damage.append(str(error))
        if damage:
            raise ArtifactError(damage[0], hint=f"no older checkpoint is whole{advice}")
        return None, damage

    def survey(self) -> list[Inspection]:
        """Verify every checkpoint, by step; change nothing."""
        inspections = []
        for path in self.all_paths():
            with suppress(FileNotFoundError):  # a training under way may delete it at this moment
                inspection = inspect(path)
                if path.is_dir():
                    inspections.append(inspection)
        return inspections

    def chosen(self, count: int, of: Literal["last", "best"] = "last") -> list[Path]:
        """Return the folders of the newest or the best `count` checkpoints, or of as many as there are.

        Raises ArtifactError where there is none.
        """
        paths = self.paths()[-count:] if of == "last" else self.best_paths()[:count]
        if not paths:
            raise ArtifactError(f"{self.folder}: no {'best ' * (of == 'best')}checkpoint", hint="train first")
        return paths

    def average(self, count: int, of: Literal["last", "best"] = "last") -> dict[str, Tensor]:
        """Return the mean of the bundle weights of the newest or best `count` (Vaswani et al. 2017, section 6.1).

        Raises ArtifactError where there is none, or one is damaged or belongs to another recipe than the others.
        """
        checkpoints = [read_checkpoint(path) for path in self.chosen(count, of)]
        total: dict[str, Tensor] = {}
        for checkpoint in checkpoints:
            refuse_other(checkpoint.path, checkpoint.identity, checkpoints[0].identity)
            for name, tensor in checkpoint.bundle_weights().items():
                total[name] = total[name] + tensor.double() if name in total else tensor.double()
        return {name: (tensor / len(checkpoints)).float() for name, tensor in total.items()}


def step_of(path: Path) -> int:
    return int(path.name.partition("-")[2])


def refuse_other(path: Path, identity: JsonObject, wanted: JsonObject) -> None:
    """Raise ArtifactError where the checkpoint at `path` belongs to a recipe that makes other updates."""
    if keys := changed_inputs(identity, wanted, UPDATES):
        raise ArtifactError(
            f"{path}: a checkpoint of another recipe: it differs in {', '.join(keys)}",
            hint="take another --run-dir, or delete the folder checkpoints to train anew",
        )


def write_checkpoint(path: Path, state: TrainingState, tensors: TensorFiles, identity: JsonObject) -> None:
    """Write the files of tensors, and `state.json` with the digest of each."""
    with replacing(path) as scratch:
        scratch.mkdir()
        for name, content in tensors.items():
            save_tensors(content, scratch / name)
        files = {name: digest_file(scratch / name) for name in tensors}
        card = {"format": FORMAT, "state": dataclasses.asdict(state), "files": files, "identity": identity}
        CHECKPOINT.write(scratch, card)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify the checkpoint at `path`. Raises ArtifactError."""
    card, state = read_card(path)
    CHECKPOINT.verify(path, card["files"])
    return Checkpoint(path, state, card["identity"], card["files"])


def read_card(path: Path) -> tuple[JsonObject, TrainingState]:
    """Read the card of the checkpoint at `path`, and the state in it. Raises ArtifactError."""
    card = CHECKPOINT.read(path)
    try:
        if not all(isinstance(card.get(key), dict) for key in ("state", "files", "identity")):
            raise ArtifactError(f"{path / STATE}: damaged")
        if WEIGHTS not in card["files"]:
            raise ArtifactError(f"{path / STATE}: damaged: its files do not list {WEIGHTS}")
        return card, TrainingState.read(card["state"])
    except ValidationError as error:
        raise ArtifactError(f"{path / STATE}: damaged: state.{first_error(error)}") from None


def inspect(path: Path) -> Inspection:
    """Verify the checkpoint at `path`."""
    size, state, damage = sum(file.stat().st_size for file in path.iterdir()), None, ""
    try:
        _, state = read_card(path)
        read_checkpoint(path)
    except FileNotFoundError:
        raise
    except (ArtifactError, OSError) as error:
        damage = str(storage_error(error) if isinstance(error, OSError) else error)
    return Inspection(path, size, state, damage)


def moments_of(optimizers: list[torch.optim.Optimizer], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the optimizers' states by `MOMENT.PARAMETER`."""
    return {
        f"{moment}.{name}": tensor
        for name, parameter in parameters.items()
        for optimizer in optimizers
        for moment, tensor in optimizer.state.get(parameter, {}).items()
    }


def restore_moments(
    optimizers: list[torch.optim.Optimizer], parameters: Mapping[str, Tensor], moments: Mapping[str, Tensor]
) -> None:
    """Restore the result of `moments_of`."""
    owner = {id(each): one for one in optimizers for group in one.param_groups for each in group["params"]}
    for key, tensor in moments.items():
        moment, _, name = key.partition(".")
        parameter = parameters[name]
        owner[id(parameter)].state[parameter][moment] = tensor.to(parameter.device)
