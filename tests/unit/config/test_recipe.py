"""The recipe tree: every knob explained, the paper's defaults, bounds, and rules between fields."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from nmt.config import data, decoding, model, training
from nmt.config.data import CorpusConfig, TokenizerConfig
from nmt.config.model import PRESETS, ModelConfig
from nmt.config.recipe import Recipe
from nmt.config.section import Section, section_of
from nmt.config.toml import knobs
from nmt.config.training import OptimizerConfig, TrainingConfig


def sections(section: type[Section] = Recipe) -> Iterator[type[Section]]:
    yield section
    for field in section.model_fields.values():
        if inner := section_of(field):
            yield from sections(inner)


def recipe(**given: Any) -> Recipe:
    languages = {"source": "en", "target": "de"}
    data = {"train": {"builtin": "train", "pairs": 10}}
    return Recipe.model_validate({"name": "x", "languages": languages, "data": data, **given})


def finding(section: type[Section], **values: Any) -> tuple[str, str]:
    """Return field and message of the one thing that is wrong with `values`."""
    with pytest.raises(ValidationError) as caught:
        section.model_validate(values)
    (error,) = caught.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


def test_every_knob_is_explained_in_a_sentence() -> None:
    found = list(knobs())
    assert len(found) > 50
    for knob in found:
        assert knob.text.endswith("."), knob.key
        assert len(knob.text) > 10, knob.key


def test_every_section_is_in_the_recipe_and_explained() -> None:
    reached = set(sections())
    defined = {
        value
        for value in [v for module in (data, decoding, model, training) for v in vars(module).values()]
        if isinstance(value, type) and issubclass(value, Section)
    }
    assert reached == defined - {Section, decoding.SamplingConfig} | {Recipe}
    for section in reached:
        assert section.__doc__, section
        # A class without a docstring would show that of its base.
        assert section.__doc__ != Section.__doc__, section


def test_the_defaults_are_the_base_model_of_the_paper() -> None:
    model, optimizer, training = ModelConfig(), OptimizerConfig(), TrainingConfig()
    assert (model.d_model, model.heads, model.ffn, model.dropout) == (512, 8, 2048, 0.1)
    assert (model.encoder_layers, model.decoder_layers, model.norm, model.positions) == (6, 6, "post", "sinusoidal")
    assert (optimizer.beta1, optimizer.beta2, optimizer.epsilon) == (0.9, 0.98, 1e-9)
    assert (optimizer.warmup_steps, optimizer.learning_rate, optimizer.schedule) == (4000, None, "inverse-sqrt")
    assert (training.label_smoothing, training.max_steps, training.average_checkpoints) == (0.1, 100_000, 5)
    given = recipe()
    assert given.batching.tokens_per_step == 25_000
    assert (given.decoding.beam_size, given.decoding.length_penalty, given.decoding.max_extra_length) == (4, 0.6, 50)


@pytest.mark.parametrize(
    ("preset", "shape"),
    [
        ("base", (512, 2048, 8, 6, 6, 0.1)),
        ("big", (1024, 4096, 16, 6, 6, 0.3)),
        ("small", (256, 1024, 4, 3, 3, 0.1)),
        ("tiny", (128, 512, 4, 2, 2, 0.1)),
    ],
)
def test_a_preset_is_a_shape(preset: str, shape: tuple[float, ...]) -> None:
    model = ModelConfig.model_validate({"preset": preset})
    fields = ("d_model", "ffn", "heads", "encoder_layers", "decoder_layers", "dropout")
    assert tuple(getattr(model, field) for field in fields) == shape
    assert model.preset == preset


def test_every_preset_is_tested() -> None:
    assert PRESETS.keys() == {"base", "big", "small", "tiny"}


def test_a_given_key_wins_over_the_preset_wherever_it_stands() -> None:
    for values in ({"preset": "big", "dropout": 0.2, "heads": 8}, {"heads": 8, "dropout": 0.2, "preset": "big"}):
        model = ModelConfig.model_validate(values)
        assert (model.d_model, model.ffn, model.heads, model.dropout) == (1024, 4096, 8, 0.2)


def test_a_preset_does_not_change_the_table_of_presets() -> None:
    before = {name: dict(values) for name, values in PRESETS.items()}
    ModelConfig.model_validate({"preset": "tiny", "d_model": 64})
    assert before == PRESETS


def test_the_tree_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        recipe().model.d_model = 3  # type: ignore[misc]


@pytest.mark.parametrize("value", ["512", 512.0, True, "none", None])
def test_types_are_strict(value: Any) -> None:
    assert finding(ModelConfig, d_model=value) == ("d_model", "Input should be a valid integer")


def test_a_whole_number_is_fit_for_a_fraction() -> None:
    assert OptimizerConfig.model_validate({"learning_rate": 1}).learning_rate == 1.0


def test_none_switches_off_what_may_be_off() -> None:
    given = recipe(
        optimizer={"clip_norm": "none", "learning_rate": "none"},
        cleaning={"max_pieces": "none", "max_ratio": "none", "max_characters": "none"},
        training={"patience": "none", "ema_decay": "none"},
        batching={"micro_batch_tokens": "none"},
    )
    assert given.optimizer.clip_norm is given.optimizer.learning_rate is given.cleaning.max_pieces is None
    assert given.cleaning.max_ratio is given.cleaning.max_characters is given.training.patience is None
    assert given.training.ema_decay is None
    # Where a word is asked for, it is a word like others.
    assert recipe(description="none").description == "none"


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "d_model", 0),
        ("model", "dropout", 1.0),
        ("model", "dropout", -0.1),
        ("model", "max_length", 7),
        ("model", "preset", "huge"),
        ("model", "norm", "both"),
        ("optimizer", "beta2", 1.0),
        ("optimizer", "epsilon", 0.0),
        ("optimizer", "learning_rate", 0.0),
        ("optimizer", "learning_rate", float("nan")),
        ("optimizer", "warmup_steps", 0),
        ("training", "label_smoothing", 1.0),
        ("training", "seed", -1),
        ("training", "ema_decay", 0.0),
        ("training", "ema_decay", 1.0),
        ("training", "average", "all"),
        ("training", "precision", "float16"),
        ("decoding", "beam_size", 0),
        ("decoding", "length_penalty", 2.1),
        ("decoding", "length_penalty", -0.1),
        ("decoding", "max_extra_length", -1),
        ("tokenizer", "vocab_size", 15),
        ("tokenizer", "character_coverage", 0.0),
        ("cleaning", "max_ratio", 1.0),
        ("batching", "tokens_per_step", 0),
    ],
)
def test_a_value_out_of_bounds_is_refused(section: str, key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        recipe(**{section: {key: value}})
    (error,) = caught.value.errors()
    assert error["loc"] == (section, key)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (ModelConfig, {"d_model": 10, "heads": 4}, "heads = 4 must divide d_model = 10"),
        (
            ModelConfig,
            {"d_model": 9, "heads": 3},
            "d_model = 9 must be even: positions are pairs of sine and cosine",
        ),
        (
            TrainingConfig,
            {"average_checkpoints": 6},
            "average_checkpoints = 6 needs keep_checkpoints of at least that, not 5",
        ),
        (CorpusConfig, {}, "give exactly one of source and target, files, dataset, builtin; got none"),
        (
            CorpusConfig,
            {"files": "x", "dataset": "y"},
            "give exactly one of source and target, files, dataset, builtin; got files and dataset",
        ),
        (CorpusConfig, {"target": "x"}, "source and target go together; one of them is missing"),
        (CorpusConfig, {"builtin": "dev"}, "builtin needs pairs, the number of sentence pairs to generate"),
        (
            CorpusConfig,
            {"dataset": "x", "columns": ["a", "b", "c"]},
            "columns names one column or two, not 3",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    section: type[Section], values: dict[str, Any], message: str
) -> None:
    assert finding(section, **values) == ("", f"Value error, {message}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"tokenizer": {"joint": False}},
            'model.tied_embeddings = "all" needs tokenizer.joint = true; separate vocabularies allow "target"',
        ),
        (
            {"cleaning": {"max_pieces": 256}},
            "cleaning.max_pieces = 256 must be under model.max_length = 256: EOS takes one position",
        ),
        (
            {"optimizer": {"schedule": "linear", "warmup_steps": 10}, "training": {"max_steps": 10}},
            "optimizer.warmup_steps = 10 must be under training.max_steps = 10 for a linear schedule",
        ),
        (
            {"tokenizer": {"vocab_size": 299}},
            "tokenizer.vocab_size = 299 must be at least 300 with byte_fallback: 256 pieces are bytes",
        ),
    ],
)
def test_sections_that_contradict_each_other_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        recipe(**given)
    (error,) = caught.value.errors()
    assert (error["loc"], error["msg"]) == ((), f"Value error, {message}")


def test_just_inside_these_rules_a_recipe_is_sound() -> None:
    recipe(tokenizer={"joint": False}, model={"tied_embeddings": "target"})
    recipe(cleaning={"max_pieces": 255})
    recipe(training={"average": "best", "average_checkpoints": 6, "keep_checkpoints": 5})
    recipe(optimizer={"schedule": "linear", "warmup_steps": 10}, training={"max_steps": 11})
    recipe(optimizer={"warmup_steps": 10}, training={"max_steps": 10})
    recipe(tokenizer={"vocab_size": 299, "byte_fallback": False})
    assert TokenizerConfig(vocab_size=300).vocab_size == 300


@pytest.mark.parametrize("key", ["config", "split", "revision"])
def test_a_key_that_would_say_nothing_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match=f"{key} applies to dataset alone, and there is none"):
        CorpusConfig.model_validate({"files": "a.tsv", key: "x"})


@pytest.mark.parametrize(
    "tag", ["", "two words", "a\u2028b", "nul\0", "\u2581", "<s>", "</s>", "<unk>", "<0x41>", "<\u27e60\u27e7>"]
)
def test_a_tag_has_to_be_one_piece_of_its_own(tag: str) -> None:
    with pytest.raises(ValidationError, match="cannot be a tag"):
        CorpusConfig(files="a.tsv", tags=[tag])
    assert CorpusConfig(files="a.tsv", tags=["<2de>", "__news__", "⟦x⟧"]).tags


@pytest.mark.parametrize("key", ["source", "target", "files"])
def test_a_corpus_without_files_is_refused(key: str) -> None:
    sides = {"source": "a", "target": "b"} if key != "files" else {}
    with pytest.raises(ValidationError, match=f"{key} names no file"):
        CorpusConfig.model_validate({**sides, key: []})
