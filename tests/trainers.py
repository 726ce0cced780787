"""Trainers of tiny models on ids alone, for the tests of the loop."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
from torch import Tensor

from nmt.config.data import DataConfig
from nmt.config.model import ModelConfig
from nmt.config.recipe import Recipe
from nmt.config.training import BatchingConfig
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.shards import shard_path, write_shard
from nmt.run_folder import RunFolder
from nmt.training.checkpoint import Checkpoints
from nmt.training.distributed import Ranks
from nmt.training.log import TrainingLog
from nmt.training.loop import Trainer
from nmt.training.validation import DevSet

V = 20
SMALL = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1}


def make_recipe(**sections: Any) -> Recipe:
    languages, data = {"source": "en", "target": "de"}, {"train": {"files": "a.tsv"}}
    return Recipe.model_validate({"name": "x", "languages": languages, "data": data, **sections})


def write_ids(folder: Path, number: int, corpus: str, count: int) -> None:
    """Write a shard of so many pairs of 1 to 8 pieces a side."""
    rng = np.random.default_rng(1)
    sides = [[rng.integers(4, V, int(rng.integers(1, 9))).tolist() for _ in range(count)] for _ in range(2)]
    ids = pa.list_(pa.uint8())
    schema = pa.schema([("src", ids), ("tgt", ids), ("src_length", pa.uint8()), ("tgt_length", pa.uint8())])
    columns = [*sides, *([len(row) for row in side] for side in sides)]
    write_shard(shard_path(folder, number), schema, corpus, [columns])


def two(weight: float | None = None, **data: Any) -> DataConfig:
    """Return a recipe's section of these two."""
    small = {"files": "b.tsv"} if weight is None else {"files": "b.tsv", "weight": weight}
    return DataConfig.model_validate({"train": {"large": {"files": "a.tsv"}, "small": small}, **data})


def make_trainer(
    pairs: PreparedPairs,
    store: Checkpoints,
    digest: str = "abc",
    ranks: Ranks | None = None,
    guard: DevSet | None = None,
    **sections: Any,
) -> Trainer:
    """Make a trainer whose tokenizer knows nothing but its pieces."""
    source, masks = SimpleNamespace(pieces=lambda ids: [f"{number}" for number in ids]), [V - 2, V - 1]
    facts = {"source_size": V, "target_size": V, "placeholders": 0, "source": source, "masks": masks, "tags": []}
    facts["target"] = SimpleNamespace(trees=None)
    sizes = cast("Tokenizer", SimpleNamespace(**facts))
    given = {"model": ModelConfig.model_validate(SMALL), "batching": BatchingConfig(tokens_per_step=60), **sections}
    folder = RunFolder(store.folder.parent)
    dev = DevSet([], [], pairs)
    return Trainer(make_recipe(**given), sizes, pairs, dev, folder, data=digest, guard=guard, ranks=ranks)


def step_on(trainer: Trainer, count: int) -> None:
    """Take the next steps."""
    with TrainingLog(None, resume_after=0, max_steps=100, tensorboard=None, shown=False) as log:
        for step, _ in zip(trainer.steps.steps(trainer.state.epoch, trainer.state.offset), range(count), strict=False):
            assert trainer.update(step, log, []) is False


def values(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.updater.model.weights().items()}
