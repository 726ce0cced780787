"""The stages of a training and the guard of a fine-tuning: what a recipe may ask, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from nmt.config.compatibility import changed_inputs, completed, knobs_with
from nmt.config.recipe import Recipe
from nmt.config.toml import check, check_overridden, explain, load_recipe, resolved_toml
from nmt.errors import RecipeError
from nmt.training.identity import UPDATES

TWO: list[dict[str, Any]] = [
    {"name": "general", "steps": 30},
    {"name": "domain", "corpora": {"small": 1, "large": 0.1}, "steps": 10, "learning_rate_factor": 0.5},
]
GUARDED = {"data": {"guard": {"files": "g.tsv"}}, "training": {"guard": {}, "init_from": "model"}}


def tree(**sections: Any) -> dict[str, Any]:
    data = {"train": {"large": {"files": "a.tsv"}, "small": {"files": "b.tsv"}}, **sections.pop("data", {})}
    return {"name": "x", "languages": {"source": "en", "target": "de"}, "data": data, **sections}


def recipe(**sections: Any) -> Recipe:
    return check(tree(**sections), "x.toml")


def refused(**sections: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe(**sections)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_steps_of_stages_are_those_of_the_training() -> None:
    assert recipe(training={"stages": TWO}).training.max_steps == 40
    assert recipe(training={"stages": TWO, "max_steps": 40}).training.max_steps == 40
    assert recipe(training={"stages": [*TWO, {"name": "end", "patience": 2}]}).training.max_steps == 100_000
    assert recipe().training.stages == []


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"stages": [{"name": "a"}]}, "training.stages.1: stage 'a' has no end: give steps or patience"),
        (
            {"stages": [{"name": "a", "steps": 1, "corpora": []}]},
            "training.stages.1: stage 'a' has no corpora: name some, or leave corpora out for all",
        ),
        ({"stages": [*TWO, {"name": "a", "steps": 0}]}, "training.stages.3.steps = 0: must be greater than 0"),
        ({"stages": [{"steps": 1}]}, "missing key training.stages.1.name"),
        (
            {"stages": [{"name": "a", "step": 1}]},
            "unknown key training.stages.1.step (did you mean 'steps'?)",
        ),
        ({"stages": [*TWO, TWO[0]]}, "training: stages: two stages have the name 'general'"),
        (
            {"stages": TWO, "max_steps": 50},
            "training: max_steps = 50, but the steps of stages are 40 together: leave max_steps out",
        ),
        (
            {"stages": [*TWO, {"name": "end", "patience": 2}], "max_steps": 40},
            "training: max_steps = 40 leaves no step to the stages without steps: the others have 40",
        ),
        (
            {"stages": TWO, "patience": 3},
            "training: patience = 3: stages have a patience of their own, give it there",
        ),
        (
            {"stages": [{"name": "a", "steps": 1, "corpora": ["large", "smal"]}]},
            "training.stages: stage 'a': no training corpus 'smal', which are large, small",
        ),
        ({"guard": {}, "init_from": "m"}, "training.guard needs [data.guard]: the guard compares scores of that text"),
        (
            {"guard": {"bound": 0}, "init_from": "m"},
            "training.guard.bound = 0: must be greater than 0",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(training: dict[str, Any], message: str) -> None:
    assert refused(training=training) == f"x.toml: {message}"


def test_a_guard_needs_text_a_start_and_the_best_checkpoints() -> None:
    data = {"guard": {"files": "g.tsv"}}
    assert refused(data=data) == "x.toml: data.guard needs [training.guard]: the guard compares scores of that text"
    assert refused(data=data, training={"guard": {}}) == (
        "x.toml: training.guard needs training.init_from or several training.stages: it compares with the score before "
        "a fine-tuning"
    )
    assert refused(data=data, training={"guard": {}, "init_from": "m", "average": "last"}) == (
        'x.toml: training: average = "last": guard keeps the best validation within its bound; take "best"'
    )
    assert recipe(data=data, training={"guard": {}, "stages": TWO}).training.guard is not None
    lines = {"train": {}, "monolingual": {"a": {"text": "a", "language": "en"}}, "guard": {"files": "g.tsv"}}
    training = {"guard": {}, "init_from": "m", "objective": "denoising"}
    assert refused(data=lines, training=training) == (
        'x.toml: training.guard: training.objective = "denoising" makes no translations'
    )


def test_with_a_guard_the_best_validation_is_bundled_and_others_need_not_agree() -> None:
    training = recipe(**GUARDED).training
    assert (training.average, training.average_checkpoints) == ("best", 1)
    assert recipe().training.average == "last"
    assert training.guard is not None
    assert (training.guard.metric, training.guard.bound) == ("bleu", 0.5)
    off = recipe(training={"guard": "none"}).training
    assert (off.guard, off.average, off.average_checkpoints) == (None, "last", 5)


def test_a_restarted_linear_schedule_needs_an_end_after_its_warm_up() -> None:
    linear = {"schedule": "linear", "warmup_steps": 10}
    stages = [{"name": "a", "steps": 20}, {"name": "b", "restart_schedule": True, "steps": 10}]
    assert refused(optimizer=linear, training={"stages": stages}) == (
        "x.toml: training.stages: stage 'b': restart_schedule needs optimizer.warmup_steps = 10 under its 10 steps"
    )
    stages[1] = {"name": "b", "restart_schedule": True, "patience": 1}
    assert refused(optimizer=linear, training={"stages": stages}) == (
        "x.toml: training.stages: stage 'b': restart_schedule needs steps, at the end of which a linear schedule is 0"
    )
    assert recipe(optimizer={"warmup_steps": 10}, training={"stages": stages})


def test_stages_are_written_as_toml_that_means_the_same(tmp_path: Path) -> None:
    given = recipe(training={"stages": TWO}, **{"data": {"test": {"t": {"files": "t.tsv"}}}})
    text = resolved_toml(given)
    assert '[[training.stages]]\nname = "domain"\ncorpora = {small = 1.0, large = 0.1}\nsteps = 10\n' in text
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    assert load_recipe(str(path)).recipe == given
    assert "stages = []" in resolved_toml(recipe())


def test_a_stage_is_overridden_by_its_name() -> None:
    base = tree(training={"stages": TWO})
    changed = check_overridden(base, ["training.stages.domain.steps=20"], "x.toml").training
    assert ([stage.steps for stage in changed.stages], changed.max_steps) == ([30, 20], 50)
    one = check_overridden(base, ['training.stages=[{name = "all", steps = 5}]'], "x.toml").training
    assert [stage.name for stage in one.stages] == ["all"]
    for override, message in {
        "training.stages.domian.steps=2": "no 'domian' among general, domain",
        "training.stages.domain=2": "not of the form training.stages.NAME.key=value",
        "training.max_steps=5": "training: max_steps = 5, but the steps of stages are 40 together: leave max_steps out",
        "languages.source.x=2": "source is not a section",
    }.items():
        with pytest.raises(RecipeError) as caught:
            check_overridden(base, [override], "x.toml")
        assert str(caught.value) == f"--set {override}: {message}"


def test_stages_are_explained_key_by_key() -> None:
    knobs = {knob.key: knob for knob in explain("training.stages")}
    assert list(knobs) == [
        f"training.stages.NAME.{key}"
        for key in ("name", "corpora", "steps", "patience", "learning_rate_factor", "restart_schedule")
    ]
    assert knobs["training.stages.NAME.corpora"].type == "list of str | table"
    assert knobs["training.stages.NAME.steps"].default == '"none"'


def test_a_checkpoint_is_bound_to_its_stages_but_not_to_their_names_or_the_guard() -> None:
    def identity(**training: Any) -> dict[str, Any]:
        return {"recipe": knobs_with(UPDATES, recipe(**{"training": training}))}

    def changed(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
        return changed_inputs(first, second, UPDATES)

    without = identity()
    del without["recipe"]["training"]["stages"]  # as an older nmt recorded it
    assert changed(identity(), without) == []
    domain = {**TWO[1], "steps": 11}
    assert changed(identity(stages=TWO), identity(stages=[TWO[0], domain])) == ["training.stages.2.steps"]
    assert changed(identity(stages=TWO), identity(stages=[{**TWO[0], "name": "first"}, TWO[1]])) == []
    assert "training.stages.2.corpora" in changed(identity(stages=TWO[:1]), identity(stages=TWO))
    guarded = {"recipe": knobs_with(UPDATES, recipe(**GUARDED))}
    assert changed(identity(init_from="model"), guarded) == []


def test_a_record_of_stages_is_completed_with_the_keys_that_its_nmt_did_not_know() -> None:
    recorded = tree(training={"stages": [{"name": "a", "steps": 3}]})
    (stage,) = completed(recorded, Recipe)["training"]["stages"]
    assert stage == {
        **{"name": "a", "corpora": None, "steps": 3, "patience": None},
        **{"learning_rate_factor": 1.0, "restart_schedule": False},
    }
