"""Records of every nmt are compared by what their knobs do: what an older one did not know is as before."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from conftest import GOLDEN

from nmt.config import compatibility
from nmt.config.compatibility import (
    RECIPE,
    as_before,
    as_begun,
    changed_inputs,
    completed,
    effects_of,
    knobs_with,
    recorded_knobs,
)
from nmt.config.data import CorpusConfig, DataConfig
from nmt.config.recipe import Recipe
from nmt.config.section import Affects, AsBefore, Effect, Section, section_of
from nmt.config.toml import check
from nmt.config.training import TrainingConfig

UPDATES: set[Effect] = {"updates"}
TEXT: set[Effect] = {"text"}
TRAIN: set[Effect] = {"updates", "training", "decoding"}


def recipe(**sections: Any) -> Recipe:
    """Return a recipe of two corpora with some keys changed."""
    files = {"files": "a.tsv"}
    given = {
        "name": "x",
        "languages": {"source": "en", "target": "de"},
        "data": {"train": {"a": files, "b": files}},
        **sections,
    }
    return check(given, "x")


def inputs(given: Recipe, effects: set[Effect], **others: Any) -> dict[str, Any]:
    return {**others, RECIPE: knobs_with(effects, given)}


def changes(effects: set[Effect], **sections: Any) -> list[str]:
    """Name what differs from the plain recipe."""
    return changed_inputs(inputs(recipe(), effects), inputs(recipe(**sections), effects), effects)


def without_effect(section: type[Section], prefix: str = "") -> Iterator[str]:
    """Yield the keys of all knobs that change no result."""
    for name, field in section.model_fields.items():
        if inner := section_of(field):
            yield from without_effect(inner, f"{prefix}{name}.")
        elif not effects_of(section, name):
            yield prefix + name


@pytest.mark.parametrize("odd", [None, 5, "x", [], [1], {"a": {"b": 1}}])
def test_records_of_other_types_are_other_records(odd: Any) -> None:
    whole = {"recipe": {"model": {"heads": 4}, "data": {"train": {"a": {"weight": 2.0}}}}}
    for recorded in (
        {"recipe": odd}, {"recipe": {"model": odd}}, {"recipe": {"data": odd}}, {"recipe": {"data": {"train": odd}}},
        {"recipe": {"data": {"train": {"a": odd}}}}, {"pieces": odd}, {"average": odd}, {"weights": odd},
    ):  # fmt: skip
        assert changed_inputs(recorded, whole, {"updates", "weights"})
        assert completed(recorded, Recipe)


def test_the_knobs_that_change_no_result_are_these_alone() -> None:
    """A knob that is wrongly among them resumes in silence; one that declares nothing shapes updates."""
    assert set(without_effect(Recipe)) == {
        *("name", "description", "data.downloads.url", "data.downloads.sha256", "model.preset"),
        *("batching.micro_batch_tokens", "training.device", "training.threads", "training.compile"),
        *("training.log_every", "training.init_from", "training.tensorboard"),
        *("training.deterministic", "decoding.batch_tokens", "expected.bleu", "expected.bracket_f1"),
        *("expected.signature", "expected.tolerance", "expected.source", "expected.is_measured", "sweep"),
        # The pairs depend on the models themselves, whose digests are inputs.
        *("data.train.translate_with", "data.train.synthetic.score_with"),
        *("distillation.teacher", "distillation.score_with"),
    }
    assert Section.affects == {"updates"}


@pytest.mark.parametrize(
    ("key", "effects"),
    {
        "languages.target": {"text", "bundle"},
        "data.split_seed": {"text"},
        "data.protect": {"text", "ids", "decoding"},
        "cleaning.max_ratio": {"text"},
        "cleaning.max_pieces": {"ids"},
        "cleaning.max_piece_ratio": {"ids"},
        "tokenizer.vocab_size": {"tokenizer"},
        "tokenizer.sampling": {"updates"},
        "model.heads": {"weights", "updates"},
        "model.dropout": {"updates"},
        "model.max_length": {"ids", "weights", "updates"},
        "batching.tokens_per_step": {"updates"},
        "optimizer.algorithm": {"updates"},
        "optimizer.beta1": {"updates"},
        "training.seed": {"tokenizer", "updates"},
        "training.max_steps": {"training"},
        "training.average": {"training", "bundle"},
        "decoding.beam_size": {"decoding"},
        "evaluation.lowercase": {"decoding"},
    }.items(),
)
def test_a_knob_counts_for_the_results_that_it_declares(key: str, effects: set[Effect]) -> None:
    section, _, name = key.partition(".")
    annotation = Recipe.model_fields[section].annotation
    assert isinstance(annotation, type)
    assert issubclass(annotation, Section)
    assert effects_of(annotation, name) == effects
    for effect in ("text", "tokenizer", "ids", "weights", "updates", "training", "decoding", "bundle"):
        chosen = knobs_with({effect}, recipe())
        assert (name in chosen.get(section, {})) == (effect in effects)


def test_knobs_of_corpora_and_of_their_own_cleaning_are_chosen_alone() -> None:
    own = {"train": {"a": {"files": "a.tsv", "weight": 2.0, "cleaning": {"max_pieces": 9}}, "b": {"files": "b.tsv"}}}
    dump = recipe(data=own)
    assert knobs_with(UPDATES, dump)["data"] == {
        "train": {"a": {"weight": 2.0}, "b": {"weight": None}},
        "monolingual": {},
        "temperature": None,
    }
    of_ids = knobs_with({"ids"}, dump)
    assert of_ids["data"]["train"] == {
        "a": {"cleaning": {"max_pieces": 9, "max_piece_ratio": None}},
        "b": {"cleaning": None},
    }
    assert "weight" not in knobs_with(TEXT, dump)["data"]["train"]["a"]
    assert "max_pieces" not in knobs_with(TEXT, dump)["data"]["train"]["a"]["cleaning"]


def test_inputs_that_are_the_same_do_not_differ() -> None:
    for effects in (UPDATES, TEXT, TRAIN):
        assert changes(effects) == []


@pytest.mark.parametrize(
    ("effects", "sections", "keys"),
    [
        (UPDATES, {"model": {"heads": 4}}, ["model.heads"]),
        (UPDATES, {"training": {"log_every": 7, "device": "cpu", "max_steps": 9}}, []),
        (TRAIN, {"training": {"log_every": 7, "device": "cpu", "max_steps": 9}}, ["training.max_steps"]),
        (UPDATES, {"decoding": {"beam_size": 1}}, []),
        (TRAIN, {"decoding": {"beam_size": 1}, "training": {"seed": 2}}, ["decoding.beam_size", "training.seed"]),
        (TEXT, {"cleaning": {"max_characters": "none"}}, ["cleaning.max_characters"]),
        (TEXT, {"data": {"train": {"a": {"files": "a.tsv"}}}}, ["data.train.b.files"]),
        (TEXT, {"data": {"train": {"a": {"files": "b.tsv"}, "b": {"files": "a.tsv"}}}}, ["data.train.a.files"]),
        (
            TEXT,
            {"data": {"train": {"a": {"files": "a.tsv", "cleaning": {}}, "b": {"files": "a.tsv"}}}},
            [
                "data.train.a.cleaning",
                "data.train.a.cleaning.keep_special_spaces",
                "data.train.a.cleaning.language_margin",
            ],
        ),
        (UPDATES, {"data": {"temperature": 1.0, "train": {"a": {"files": "x"}}}}, []),
        (UPDATES, {"data": {"temperature": 5.0, "train": {"a": {"files": "x"}}}}, ["data.temperature"]),
        (UPDATES, {"data": {"train": {"a": {"files": "x", "weight": 1.0}}}}, []),
        (UPDATES, {"data": {"train": {"a": {"files": "x", "weight": 1.5}}}}, ["data.train.a.weight"]),
        (UPDATES, {"tokenizer": {"sampling": 0.1}}, ["tokenizer.sampling"]),
    ],
)
def test_what_differs_in_what_it_does_is_named(effects: set[Effect], sections: dict[str, Any], keys: list[str]) -> None:
    assert changes(effects, **sections) == keys


def test_other_inputs_are_compared_as_they_are_but_for_the_version_of_nmt() -> None:
    first = inputs(recipe(), UPDATES, nmt="0.1.0", data="1", files={"a": "x"})
    second = inputs(recipe(), UPDATES, nmt="0.2.0", data="2", files={"a": "y"}, new=None)
    assert changed_inputs(first, second, UPDATES) == ["data", "files.a"]


class NewTraining(TrainingConfig):
    """The section of an nmt to come."""

    shaping: int = 1
    other_default: Annotated[int, AsBefore(3)] = 1
    free: Annotated[int, Affects()] = 1
    kept_off: Annotated[float | None, Affects("updates", neutral=1)] = None


class NewSection(Section):
    """A section of an nmt to come."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"updates"})
    size: int = 2


class NewRecipe(Recipe):
    """The recipe of an nmt to come."""

    training: NewTraining = NewTraining()
    more: NewSection = NewSection()


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compatibility, "Recipe", NewRecipe)


@pytest.mark.usefixtures("newer")
@pytest.mark.parametrize(
    ("training", "keys"),
    [
        ({"other_default": 3}, []),
        ({}, ["training.other_default"]),
        ({"other_default": 3, "shaping": 2}, ["training.shaping"]),
        ({"other_default": 3, "free": 2, "kept_off": 1.0}, []),
        ({"other_default": 3, "kept_off": 2.0}, ["training.kept_off"]),
    ],
)
def test_a_knob_that_the_record_does_not_know_compares_as_before(training: dict[str, Any], keys: list[str]) -> None:
    old = inputs(recipe(), UPDATES)
    dump = recipe().model_dump()
    new = NewRecipe.model_validate({**dump, "training": {**dump["training"], **training}})
    wanted = {RECIPE: knobs_with(UPDATES, new)}
    assert changed_inputs(old, wanted, UPDATES) == keys
    assert changed_inputs(wanted, old, UPDATES) == keys
    wanted[RECIPE]["more"]["size"] = 3
    assert changed_inputs(old, wanted, UPDATES) == ["more.size", *keys]


def test_a_knob_that_only_the_record_knows_differs() -> None:
    old = inputs(recipe(), UPDATES)
    old[RECIPE]["model"]["of_the_future"] = 1
    assert changed_inputs(old, inputs(recipe(), UPDATES), UPDATES) == ["model.of_the_future"]


def test_a_record_is_completed_with_what_its_nmt_did() -> None:
    old = recipe(data={"train": {"a": {"files": "a.tsv"}}, "dev": {"files": "d.tsv"}}).model_dump()
    assert completed(old, Recipe) == old
    whole = completed(old, NewRecipe)
    assert {key: whole["training"][key] for key in ("shaping", "other_default", "free", "kept_off")} == {
        **dict.fromkeys(("shaping", "free"), 1),
        "other_default": 3,
        "kept_off": None,
    }
    assert whole["more"] == {"size": 2}
    del old["data"]["dev"]["seed"], old["data"]["train"]["a"]["pairs"], old["cleaning"], old["name"]
    whole = completed(old, Recipe)
    assert (whole["data"]["dev"]["seed"], whole["data"]["train"]["a"]["pairs"]) == (1, None)
    as_before = {"keep_special_spaces": False, "language_margin": None}
    assert whole["cleaning"] == {**recipe().cleaning.model_dump(), **as_before}
    assert "name" not in whole, "what is required is not made up"


def test_the_value_as_before_is_the_default_where_no_other_is_declared() -> None:
    fields = NewTraining.model_fields
    assert (as_before(fields["shaping"]), as_before(fields["other_default"])) == (1, 3)
    assert as_before(DataConfig.model_fields["test"]) == {}
    assert as_before(CorpusConfig.model_fields["tags"]) == []


def test_a_run_goes_on_with_the_knobs_that_it_began_with() -> None:
    given = {"name": "x", "languages": {"source": "en", "target": "de"}, "data": {"train": {"files": "a.tsv"}}}
    recorded = NewRecipe.model_validate(given).model_dump()
    for old in ({}, {"other_default": 3}):  # before the knob, and gone on with since
        section = {k: v for k, v in recorded["training"].items() if k != "other_default"} | old
        begun = as_begun(NewRecipe.model_validate(given), {**recorded, "training": section})
        assert begun.training.other_default == 3
        assert begun.tokenizer.target_normalization == "nfc"
        own = NewRecipe.model_validate({**given, "training": {"other_default": 1}})
        assert as_begun(own, {**recorded, "training": section}) == own
    assert as_begun(NewRecipe.model_validate(given), recorded) == NewRecipe.model_validate(given)
    tokenizer = {k: v for k, v in recorded["tokenizer"].items() if k != "target_normalization"}
    corpora = {"train": {"train": {"files": "a.tsv", "cleaning": {"unicode": "nfc"}}}}
    own = NewRecipe.model_validate({**given, "data": corpora})
    begun = as_begun(own, {"tokenizer": tokenizer})
    assert (begun.tokenizer.target_normalization, begun.training.other_default) == (None, 3)
    [corpus] = begun.data.train.values()
    assert corpus.cleaning is not None
    assert (corpus.cleaning.unicode, corpus.cleaning.keep_special_spaces) == ("nfc", False)
    assert "keep_special_spaces" not in own.cleaning.model_fields_set


# A run folder of nmt 0.1.0, of two corpora, one with a weight and tags, one with filters of its own.


@pytest.fixture(scope="module")
def old_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(GOLDEN / "run-0.1.0.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "old"


STAGES: dict[str, set[Effect]] = {
    "prepared/text": TEXT,
    "tokenizer": {"tokenizer"},
    "prepared/ids": {"ids"},
    "checkpoints": TRAIN,
    "model": {"bundle", "decoding"},
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_manifest_of_nmt_0_1_0_holds_for_the_recipe_that_it_was_made_from(old_run: Path, stage: str) -> None:
    effects = STAGES[stage]
    lock = json.loads((old_run / "lock.json").read_text())
    recorded = json.loads((old_run / stage / "manifest.json").read_text())["inputs"]
    known = {"data", "init", "max_steps", "text", "tokenizer", "checkpoints", "order", "placeholders", "files"}
    others = {key: value for key, value in recorded.items() if key in {*known, "tags", "keep_text"}}
    if stage == "tokenizer":
        del others["tokenizer"]
    if stage == "prepared/text":
        del others["data"]
    wanted = {**others, RECIPE: knobs_with(effects, as_begun(Recipe.model_validate(lock["recipe"]), lock["recipe"]))}
    assert changed_inputs(recorded, wanted, effects) == []
    for key, value in CHANGES[stage].items():
        *path, name = key.split(".")
        changed = json.loads(json.dumps(wanted))
        section = changed[RECIPE]
        for part in path:
            section = section[part]
        section[name] = value
        assert changed_inputs(recorded, changed, effects) == [key]


CHANGES: dict[str, dict[str, Any]] = {
    "prepared/text": {"data.train.first.tags": [], "cleaning.max_ratio": 2.0, "data.protect": None},
    "tokenizer": {"tokenizer.vocab_size": 8000, "training.seed": 2},
    "prepared/ids": {
        "cleaning.max_pieces": 250,
        "data.train.second.cleaning.max_pieces": 51,
        "data.protect": "x",
        "model.max_length": 65,
    },
    "checkpoints": {
        "data.train.first.weight": None,
        "data.temperature": 2.0,
        "tokenizer.sampling": None,
        "training.patience": 3,
        "decoding.beam_size": 4,
        "data.protect": "x",
    },
    "model": {
        "training.average": "best",
        "training.average_checkpoints": 1,
        "data.protect": "x",
        "languages.source": "de",
    },
}


def test_scores_of_nmt_0_1_0_hold_for_the_same_weights_and_settings(old_run: Path) -> None:
    recorded = json.loads((old_run / "evaluation" / "manifest.json").read_text())["inputs"]
    wanted = {RECIPE: {}, **{key: recorded[key] for key in ("text", "weights", "config")}}
    assert changed_inputs(recorded, wanted, set()) == []
    assert changed_inputs(recorded, {**wanted, "weights": "other"}, set()) == ["weights"]


def test_knobs_that_nmt_0_1_0_recorded_alone_lie_in_their_sections() -> None:
    recorded = {"average": {"of": "best", "count": 3}, "seed": 7, "weights": {"a": 2.0}, "temperature": None}
    assert recorded_knobs(recorded) == {
        "training": {"average": "best", "average_checkpoints": 3, "seed": 7},
        "data": {"train": {"a": {"weight": 2.0}}, "temperature": None},
    }


def test_the_knobs_of_a_record_lie_in_their_sections_whichever_nmt_wrote_it(old_run: Path) -> None:
    card = json.loads((old_run / "checkpoints" / "step-00000004" / "state.json").read_text())
    found = recorded_knobs(card["identity"])
    assert found["model"]["d_model"] == 4
    assert found["tokenizer"] == {"sampling": 0.1}
    assert found["data"] == {"train": {"first": {"weight": 2.0}}}
    assert recorded_knobs({RECIPE: {"model": {"d_model": 5}}, "data": ""}) == {"model": {"d_model": 5}}
