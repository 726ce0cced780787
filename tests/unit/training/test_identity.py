"""The identity of a training: what a checkpoint is bound to."""

import json
from typing import Any

from nmt.config.compatibility import RECIPE, changed_inputs
from nmt.config.recipe import Recipe
from nmt.training.identity import UPDATES, identity_of


def changed(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    return changed_inputs(first, second, UPDATES)


def identity(data_digest: str = "abc", init: str | None = None, **sections: Any) -> dict[str, Any]:
    languages, data = {"source": "en", "target": "de"}, {"train": {"files": "a.tsv"}}
    recipe = Recipe.model_validate({"name": "x", "languages": languages, "data": data, **sections})
    return identity_of(recipe, data_digest, init)


def test_the_inputs_of_the_updates_are_in_the_identity_and_nothing_else_is() -> None:
    plan = identity()
    free = {
        "max_steps": 7000, "device": "cpu", "checkpoint_every": 3, "keep_checkpoints": 9, "average_checkpoints": 2,
        "validate_every": 4, "best_metric": "loss", "patience": 2, "log_every": 1, "average": "best",
        "tensorboard": True, "compile": True, "init_from": "somewhere",
    }  # fmt: skip
    same = identity(
        training=free,
        batching={"micro_batch_tokens": 512},
        decoding={"beam_size": 1},
        evaluation={"lowercase": True},
        model={"preset": "base"},
    )
    assert same[RECIPE].keys() == plan[RECIPE].keys()
    assert changed(same, plan) == []
    assert json.loads(json.dumps(plan)) == plan
    shaping = {
        "training.seed": identity(training={"seed": 2}),
        "training.label_smoothing": identity(training={"label_smoothing": 0.2}),
        "training.precision": identity(training={"precision": "bfloat16"}),
        "training.ema_decay": identity(training={"ema_decay": 0.999}),
        "model.dropout": identity(model={"dropout": 0.2}),
        "batching.tokens_per_step": identity(batching={"tokens_per_step": 900}),
        "optimizer.clip_norm": identity(optimizer={"clip_norm": 1.0}),
        "tokenizer.sampling": identity(tokenizer={"sampling": 0.1}),
        "init": identity(init="5" * 64),
    }
    for key, other in shaping.items():
        assert changed(other, plan) == [key]
    assert changed(identity("xyz"), plan) == ["data"]


def test_a_linear_schedule_binds_the_checkpoint_to_its_last_step() -> None:
    plans = [identity(optimizer={"schedule": "linear"}, training={"max_steps": steps}) for steps in (5000, 6000)]
    assert changed(plans[0], plans[1]) == ["max_steps"]


def test_the_weights_of_corpora_are_in_the_identity_only_where_the_recipe_sets_some() -> None:
    def two(weight: float | None = None, **data: Any) -> dict[str, Any]:
        small = {"files": "b.tsv"} if weight is None else {"files": "b.tsv", "weight": weight}
        return {"train": {"large": {"files": "a.tsv"}, "small": small}, **data}

    plain = identity()
    assert changed(identity(data=two()), plain) == []
    for data, key in ((two(2.0), "data.train.small.weight"), (two(temperature=5.0), "data.temperature")):
        assert changed(identity(data=data), plain) == [key]
