"""The identity of a training: what a checkpoint is bound to."""

import json
from typing import Any

from nmt.config.compatibility import RECIPE, changed_inputs
from nmt.config.recipe import Recipe
from nmt.training.plan import UPDATES, TrainingPlan


def changed(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    return changed_inputs(first, second, UPDATES)


def make_plan(init: str | None = None, **sections: Any) -> TrainingPlan:
    languages, data = {"source": "en", "target": "de"}, {"train": {"files": "a.tsv"}}
    recipe = Recipe.model_validate({"name": "x", "languages": languages, "data": data, **sections})
    return TrainingPlan(recipe, init)


def test_the_inputs_of_the_updates_are_in_the_identity_and_nothing_else_is() -> None:
    plan = make_plan().identity("abc")
    free = {
        "max_steps": 7000, "device": "cpu", "checkpoint_every": 3, "keep_checkpoints": 9, "average_checkpoints": 2,
        "validate_every": 4, "best_metric": "loss", "patience": 2, "log_every": 1, "average": "best",
        "tensorboard": True, "compile": True, "init_from": "somewhere",
    }  # fmt: skip
    same = make_plan(
        training=free,
        batching={"micro_batch_tokens": 512},
        decoding={"beam_size": 1},
        evaluation={"lowercase": True},
        model={"preset": "base"},
    )
    assert same.identity("abc")[RECIPE].keys() == plan[RECIPE].keys()
    assert changed(same.identity("abc"), plan) == []
    assert json.loads(json.dumps(plan)) == plan
    shaping = {
        "training.seed": make_plan(training={"seed": 2}),
        "training.label_smoothing": make_plan(training={"label_smoothing": 0.2}),
        "training.precision": make_plan(training={"precision": "bfloat16"}),
        "training.ema_decay": make_plan(training={"ema_decay": 0.999}),
        "model.dropout": make_plan(model={"dropout": 0.2}),
        "batching.tokens_per_step": make_plan(batching={"tokens_per_step": 900}),
        "optimizer.clip_norm": make_plan(optimizer={"clip_norm": 1.0}),
        "tokenizer.sampling": make_plan(tokenizer={"sampling": 0.1}),
        "init": make_plan("5" * 64),
    }
    for key, other in shaping.items():
        assert changed(other.identity("abc"), plan) == [key]
    assert changed(make_plan().identity("xyz"), plan) == ["data"]


def test_a_linear_schedule_binds_the_checkpoint_to_its_last_step() -> None:
    plans = [make_plan(optimizer={"schedule": "linear"}, training={"max_steps": steps}) for steps in (5000, 6000)]
    assert changed(plans[0].identity("abc"), plans[1].identity("abc")) == ["max_steps"]


def test_the_weights_of_corpora_are_in_the_identity_only_where_the_recipe_sets_some() -> None:
    def two(weight: float | None = None, **data: Any) -> dict[str, Any]:
        small = {"files": "b.tsv"} if weight is None else {"files": "b.tsv", "weight": weight}
        return {"train": {"large": {"files": "a.tsv"}, "small": small}, **data}

    plain = make_plan().identity("abc")
    assert changed(make_plan(data=two()).identity("abc"), plain) == []
    for data, key in ((two(2.0), "data.train.small.weight"), (two(temperature=5.0), "data.temperature")):
        assert changed(make_plan(data=data).identity("abc"), plain) == [key]
