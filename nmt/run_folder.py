"""Where things lie in a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Where the files of one run lie; the names are stable, scripts rely on them."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe as given."""
        return self.path / "recipe.toml"

    @property
    def lock(self) -> Path:
        """The resolved recipe with digests, versions and machine."""
        return self.path / "lock.json"

    @property
    def log(self) -> Path:
        """Progress of the training, one JSON object a line."""
        return self.path / "log.jsonl"

    @property
    def tensorboard(self) -> Path:
        """The curves of the training, where the recipe asks for them."""
        return self.path / "tensorboard"

    @property
    def diverged(self) -> Path:
        """The sentence pairs of the step where a training went off, one JSON object a line."""
        return self.path / "diverged.jsonl"

    @property
    def text(self) -> Path:
        """The cleaned pairs."""
        return self.path / "prepared" / "text"

    @property
    def tokenizer(self) -> Path:
        """The SentencePiece models."""
        return self.path / "tokenizer"

    @property
    def ids(self) -> Path:
        """The encoded pairs."""
        return self.path / "prepared" / "ids"

    @property
    def checkpoints(self) -> Path:
        """Resumable training states."""
        return self.path / "checkpoints"

    @property
    def bundle(self) -> Path:
        """The model that is shipped."""
        return self.path / "model"

    @property
    def evaluation(self) -> Path:
        """Hypotheses and scores of the test sets."""
        return self.path / "evaluation"

    @property
    def scores(self) -> Path:
        """Scores of every test set: {test: {metric: {score, signature}}}."""
        return self.evaluation / "scores.json"
