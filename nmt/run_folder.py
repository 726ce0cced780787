"""The paths of a run folder."""

from pathlib import Path


class RunFolder:
    """The paths of one run's files; the names are stable, scripts rely on them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.toml"
        """The recipe as run: with every default and override."""
        self.given = path / "recipe.given.toml"
        """The recipe's file as given."""
        self.lock = path / "lock.json"
        """The resolved recipe with digests, versions and machine."""
        self.log = path / "log.jsonl"
        """Progress of the training, one JSON object a line."""
        self.tensorboard = path / "tensorboard"
        """The curves of the training, if the recipe asks for them."""
        self.diverged = path / "diverged.jsonl"
        """The sentence pairs of the step where a training diverged, one JSON object a line."""
        self.text = path / "prepared" / "text"
        """The cleaned pairs."""
        self.tokenizer = path / "tokenizer"
        """The SentencePiece models."""
        self.ids = path / "prepared" / "ids"
        """The encoded pairs."""
        self.checkpoints = path / "checkpoints"
        """Resumable training states."""
        self.bundle = path / "model"
        """The bundle."""
        self.evaluation = path / "evaluation"
        """Hypotheses and scores of the test sets."""
        self.scores = self.evaluation / "scores.json"
        """Scores of every test set: {test: {metric: {score, signature}}}."""
