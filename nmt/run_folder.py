"""The paths of a run folder."""

from pathlib import Path

from nmt.errors import ArtifactError


class RunFolder:
    """The paths of one run's files; the names are stable, scripts rely on them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.toml"  # the recipe as run: with every default and override
        self.given = path / "recipe.given.toml"  # the recipe's file as given
        self.lock = path / "lock.json"  # all that the scores depend on, and all that was made
        self.log = path / "log.jsonl"  # progress of the training, one JSON object a line
        self.tensorboard = path / "tensorboard"  # the curves of the training, if the recipe asks for them
        self.diverged = path / "diverged.jsonl"
        """The sentence pairs of the step where a training diverged, one JSON object a line."""
        self.synthetic = path / "prepared" / "synthetic"  # the pairs that models made, where the recipe wants some
        self.text = path / "prepared" / "text"  # the cleaned pairs
        self.alignment = path / "prepared" / "alignment"  # the aligned words of the training pairs, if they are needed
        self.augmentation = path / "prepared" / "augmentation"  # pairs made from them, if the recipe asks for some
        self.tokenizer = path / "tokenizer"  # the SentencePiece models
        self.ids = path / "prepared" / "ids"  # the encoded pairs
        self.checkpoints = path / "checkpoints"  # resumable training states
        self.bundle = path / "model"  # the bundle
        self.evaluation = path / "evaluation"  # hypotheses and scores of the test sets
        self.scores = self.evaluation / "scores.json"  # scores of every test set: {test: {metric: {score, signature}}}
        self.brackets = (
            self.evaluation / "brackets.json"
        )  # of every test set of trees, what EVALB prints: {test: {...}}
        self.reliability = self.evaluation / "confidence.json"  # of every test set, how reliable the confidence is
        self.times = self.evaluation / "times.json"  # of the translation of every test set: {test: {lines, seconds}}

    @property
    def stages(self) -> dict[str, Path]:
        """The folders of the stages, by their names in their order."""
        return {
            "synthetic": self.synthetic,
            "text": self.text,
            "alignment": self.alignment,
            "augmentation": self.augmentation,
            "tokenizer": self.tokenizer,
            "prepare": self.ids,
            "train": self.checkpoints,
            "bundle": self.bundle,
            "evaluate": self.evaluation,
        }

    def check(self) -> None:
        """Raise ArtifactError where this is no folder that a run made."""
        if not self.path.is_dir() or not self.lock.exists():
            hint = "name a folder that `nmt run` made, such as runs/demo"
            raise ArtifactError(f"{self.path}: not a run folder", hint=hint)

    def relocate(self, path: Path, other: Path) -> None:
        """Let the name of `path` lead to `other`, for one who looks at what a run would find."""
        vars(self).update({name: other for name, value in vars(self).items() if value == path})
