"""The settings of `nmt learn`: a short fine-tuning on corrections, with general text beside them."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from nmt.config.inference import DeviceName
from nmt.config.section import Count, Flag, Section, Seed


class LearningConfig(Section):
    """How a model learns from corrections, and what it may lose."""

    replay: Annotated[list[Path], Flag("--replay", "FILE...")] = Field(default_factory=list)
    """Files of general pairs that the model should not forget, .tsv or of another format that corpora have; by default
    the training text of the run folder."""
    dev: Annotated[Path | None, Flag(metavar="FILE")] = None
    """File of general pairs to score before and after; by default dev and training text of the run folder, half each,
    or pairs of --replay; these pairs are not replayed."""
    run: Annotated[Path | None, Flag(metavar="RUN")] = None
    """The run folder whose text is taken; by default the one that MODEL lies in."""
    epochs: Annotated[int, Field(gt=0, le=1000)] = 10
    """How often each correction is learned from."""
    replay_share: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """The share of the pairs that are general, drawn anew each epoch."""
    replay_weight: NonNegativeFloat = 1.0
    """Weight of the loss of predicting what the model predicted before, beside that of the corrected pieces."""
    learning_rate: PositiveFloat = 1e-3
    """Peak of the learning rate of Adam, after a tenth of the steps; it falls linearly to 0."""
    tokens_per_step: Count = 1000
    """Pieces a side of an update, at most, unless a pair is longer."""
    dev_lines: Count = 500
    """General pairs that are scored, at most: spread evenly over the file."""
    bound: NonNegativeFloat = 0.3
    """BLEU that the general pairs may lose; where they lose more, nothing is written."""
    seed: Seed = 1
    """Seed of the pairs that are replayed, and of the order of all."""
    device: DeviceName = "auto"
    """Device; auto is a GPU if there is one."""
