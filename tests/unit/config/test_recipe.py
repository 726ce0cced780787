"""The recipe tree: every knob explained, the paper's defaults, bounds, and rules between fields."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from nmt.config import augmentation, data, decoding, model, synthetic, tokenizer, training
from nmt.config.model import ModelConfig
from nmt.config.recipe import Recipe
from nmt.config.section import Section, section_of
from nmt.config.tasks import TaskConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.config.toml import LIBRARY, knobs, load_recipe, recipe_names
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
        for value in [
            v
            for module in (augmentation, data, decoding, model, synthetic, tokenizer, training)
            for v in vars(module).values()
        ]
        if isinstance(value, type) and issubclass(value, Section)
    }
    assert reached == defined - {Section, TaskConfig, data.TrainingCorpusConfig} | {Recipe}
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
            {"data": {"train": {"gum": {"trees": "a.ptb"}}}},
            "data.train.gum.trees needs tokenizer.trees = true, by which brackets are pieces",
        ),
        (
            {"data": {"train": {"trees": "a.ptb"}}},
            "data.train.trees needs tokenizer.trees = true, by which brackets are pieces",
        ),
        (
            {"tokenizer": {"vocab_size": 299}},
            "tokenizer.vocab_size = 299 must be at least 300 with byte_fallback: 256 pieces are bytes",
        ),
        (
            {"data": {"monolingual": {"a": {"language": "fr", "text": "a"}}}},
            "data.monolingual.a.language = 'fr': neither languages.source = 'en' nor languages.target = 'de'",
        ),
        (
            {
                "data": {"monolingual": {"a": {"language": "en", "text": "a"}}},
                "tokenizer": {"joint": False},
                "model": {"tied_embeddings": "target"},
            },
            "data.monolingual needs tokenizer.joint = true: its lines are on both sides",
        ),
        (
            {"model": {"attention_kernel": "linear"}, "decoding": {"precision": "int8"}},
            'decoding.precision = "int8" has no model.attention_kernel = "linear"; take "float32" or "bfloat16"',
        ),
        (
            {"training": {"guided_alignment": 0.05}, "model": {"architecture": "prefix-lm"}},
            'training.guided_alignment = 0.05 needs model.architecture = "encoder-decoder": "prefix-lm" has no '
            "attention over the source alone",
        ),
        (
            {"training": {"guided_alignment": 1.0}, "model": {"attention_kernel": "linear"}},
            'training.guided_alignment = 1 needs model.attention_kernel = "softmax": weights of "linear" are no '
            "probabilities",
        ),
        (
            {"training": {"guided_alignment": 1.0}, "tokenizer": {"sampling": 0.1}},
            "training.guided_alignment = 1 needs fixed pieces: leave out tokenizer.sampling",
        ),
        (
            {
                "training": {"guided_alignment": 1.0, "objective": "denoising"},
                "data": {"monolingual": {"a": {"language": "en", "text": "a"}}},
            },
            'training.guided_alignment = 1: training.objective = "denoising" has no pairs: leave it out',
        ),
        (
            {"training": {"guided_alignment": 1.0}, "data": {"train": {"task": "copy", "pairs": 10}}},
            "training.guided_alignment = 1 needs pairs of sentences, and a corpus has trees or a task: leave it out",
        ),
        (
            {"data": {"train": {"files": "a.tsv", "tags": ["<mask>"]}}, "tokenizer": {"masks": 1}},
            "tags: '<mask>' is a piece of tokenizer.masks",
        ),
        (
            {
                "data": {"train": {"files": "a.tsv", "tags": ["<2de>"]}},
                "tokenizer": {"model_type": "word", "byte_fallback": False},
            },
            "tags: '<2de>' is no piece with tokenizer.model_type = \"word\"",
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


def test_placeholders_need_pieces_of_the_tokenizer() -> None:
    corpus = {"builtin": "train", "pairs": 10}
    with pytest.raises(ValidationError, match=r"data\.protect needs tokenizer\.placeholders of at least 1"):
        recipe(data={"train": corpus, "protect": "x"})
    codes = {"files": "a.tmx", "codes": "placeholders"}
    with pytest.raises(ValidationError, match=r'codes = "placeholders" needs tokenizer\.placeholders of at least 1'):
        recipe(data={"train": corpus, "test": {"t": codes}})
    assert (
        recipe(data={"train": codes}, tokenizer={"placeholders": 1}).data.placeholders_for == 'codes = "placeholders"'
    )
    assert recipe(data={"train": corpus, "protect": "x"}, tokenizer={"placeholders": 1}).data.protect == "x"
    from_another = {"init_from": "model"}
    assert recipe(data={"train": corpus, "protect": "x"}, training=from_another).tokenizer.placeholders == 0
    assert not recipe(tokenizer={"joint": False}, training=from_another).tokenizer.joint


def test_the_cleaning_of_a_corpus_is_completed_with_the_recipes() -> None:
    files = {"files": "a.tsv"}
    corpora = {"a": {**files, "cleaning": {"max_ratio": 2.0}}, "b": files}
    given = recipe(data={"train": corpora}, cleaning={"max_characters": 9, "max_ratio": 3.0})
    own = given.data.train["a"].cleaning
    assert own is not None
    assert (own.max_ratio, own.max_characters) == (2.0, 9)
    assert given.data.train["b"].cleaning is None
    only = recipe(data={"train": {**files, "cleaning": {"max_ratio": 2.0}}}, cleaning={"max_characters": 9})
    assert (own := only.data.train["train"].cleaning)
    assert own.max_characters == 9


def test_the_cleaning_of_a_task_is_not_completed_with_the_recipes() -> None:
    train = {
        "made": {"task": "copy", "pairs": 1, "cleaning": {"drop_same_source": True}},
        "plain": {"task": "copy", "pairs": 1},
        "read": {"files": "a.tsv", "cleaning": {"drop_same_source": True}},
    }
    given = recipe(data={"train": train}, cleaning={"drop_near_duplicates": True, "drop_copies": True})
    cleaned = {name: given.data.cleaning_of(name, given.cleaning) for name in train}
    assert {name: (own.drop_copies, own.drop_near_duplicates) for name, own in cleaned.items()} == {
        "made": (False, False),
        "plain": (False, False),
        "read": (True, True),
    }
    assert {name: own.drop_same_source for name, own in cleaned.items()} == {"made": True, "plain": False, "read": True}


def test_the_cleaning_of_monolingual_text_is_completed_too() -> None:
    lines = {"a": {"language": "de", "text": "a", "cleaning": {"max_ratio": 2.0}}}
    model = {"objective": "language-model"}
    own = (
        recipe(data={"monolingual": lines}, cleaning={"max_characters": 9}, training=model)
        .data.monolingual["a"]
        .cleaning
    )
    assert own is not None
    assert (own.max_ratio, own.max_characters) == (2.0, 9)


def test_one_score_of_a_test_set_is_expected() -> None:
    f1 = {"bracket_f1": 70.0, "signature": "s"}
    assert recipe(expected={"held-out": f1}).expected["held-out"].bracket_f1 == 70
    for wrong in ({"signature": "s"}, {**f1, "bleu": 1.0}):
        with pytest.raises(ValidationError, match="give one of bleu and bracket_f1"):
            recipe(expected={"held-out": wrong})


def test_f1_of_brackets_ranks_checkpoints_where_dev_is_of_trees() -> None:
    metric = {"best_metric": "strict-f1"}
    trees, text = {"trees": "a.ptb"}, {"files": "a.tsv"}
    pieces = {"trees": True, "normalization": "nfc"}
    for given in ({"train": text, "dev": trees}, {"train": {"a": trees, "b": trees}}):
        assert recipe(data=given, tokenizer=pieces, training=metric).training.best_metric == "strict-f1"
    for given in ({"train": trees, "dev": text}, {"train": {"a": trees, "b": text}}):
        with pytest.raises(ValidationError, match=r'training\.best_metric = "strict-f1" needs a dev set of trees'):
            recipe(data=given, tokenizer=pieces, training=metric)


def test_scores_are_expected_of_test_sets_that_there_are() -> None:
    score = {"bleu": 38.5, "signature": "s"}
    assert recipe(expected={"held-out": score}).expected["held-out"].tolerance == 0.5
    tests = {"data": {"train": {"builtin": "train", "pairs": 10}, "test": {"a": {"builtin": "test", "pairs": 1}}}}
    assert recipe(**tests, expected={"a": score}).expected["a"].is_measured
    with pytest.raises(ValidationError, match=r"expected\.held-out: no such test set, which are a"):
        recipe(**tests, expected={"held-out": score})


def test_each_recipe_in_the_table_expects_a_score_of_each_of_its_test_sets() -> None:
    table = (LIBRARY / "README.md").read_text(encoding="utf-8")
    names = [name for name in recipe_names() if f"\n| `{name}` |" in table]
    assert len(names) >= 9
    for name in names:
        shipped = load_recipe(name).recipe
        assert list(shipped.expected) == list(shipped.data.test), name
        assert all(each.source for each in shipped.expected.values()), name
        is_run = "iwslt" not in name and "wmt" not in name
        assert all(each.is_measured == is_run == ("version:" in each.signature) for each in shipped.expected.values())


LINES = {"monolingual": {"en": {"text": "a.en", "language": "en"}}}
PAIRS = {"train": {"builtin": "train", "pairs": 10}}
ENCODER = {"architecture": "encoder-only"}
MASKS = {"masks": 1}


@pytest.mark.parametrize(
    ("objective", "given", "message"),
    [
        (
            "masked",
            {"data": LINES},
            'training.objective = "masked": model.architecture = "encoder-decoder" has translation, denoising, '
            "language-model",
        ),
        ("translation", {"model": ENCODER}, 'model.architecture = "encoder-only" has masked'),
        ("translation", {"data": LINES}, "learns from the pairs of data.train alone: leave out data.monolingual"),
        ("denoising", {"data": PAIRS}, "learns from the lines of data.monolingual alone: leave out data.train"),
        ("language-model", {"data": {**PAIRS, **LINES}}, "lines of data.monolingual alone: leave out data.train"),
        ("denoising", {"data": LINES}, 'training.objective = "denoising" needs tokenizer.masks of at least 1'),
        (
            "denoising",
            {"data": LINES, "tokenizer": MASKS, "noise": {"target": "spans"}},
            'training.objective = "denoising" needs tokenizer.masks of at least 2',
        ),
        ("masked", {"model": ENCODER}, 'training.objective = "masked" needs tokenizer.masks of at least 1'),
        (
            "masked",
            {"model": {**ENCODER, "tied_embeddings": "none"}, "tokenizer": {**MASKS, "joint": False}},
            'training.objective = "masked" needs tokenizer.joint = true',
        ),
        (
            "translation",
            {"noise": {"mask_share": 0.5}},
            'noise.mask_share: training.objective = "translation" has none: leave it out',
        ),
        (
            "masked",
            {"model": ENCODER, "tokenizer": MASKS, "noise": {"target": "spans"}},
            'noise.target: training.objective = "masked" has none: leave it out',
        ),
        (
            "denoising",
            {
                "data": LINES,
                "tokenizer": MASKS,
                "model": {"architecture": "decoder-only"},
                "training": {"objective": "denoising", "source_loss": 0.5},
            },
            'training.source_loss: training.objective = "denoising" has none: leave it out',
        ),
        (
            "masked",
            {"model": ENCODER, "tokenizer": MASKS, "expected": {"held-out": {"bleu": 1, "signature": "s"}}},
            'expected.held-out: training.objective = "masked" has no scores',
        ),
    ],
)
def test_an_objective_has_its_families_corpora_and_masks(objective: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        recipe(**{"training": {"objective": objective}, **given})
    (error,) = caught.value.errors()
    assert error["msg"].endswith(message), error["msg"]


def test_what_goes_together_is_sound() -> None:
    for family, is_cut in {"encoder-decoder": True, "prefix-lm": True, "decoder-only": False}.items():
        model = {"architecture": family}
        assert recipe(model=model).has_prefixes is is_cut
        assert recipe(model=model, data=LINES, training={"objective": "language-model"}).masks_needed == 0
        given = recipe(model=model, data=LINES, training={"objective": "denoising"}, tokenizer=MASKS)
        assert given.masks_needed == 1
    noise = {"target": "spans", "mask_share": 0.2}
    masks = {"masks": 2}
    spans = recipe(data=LINES, training={"objective": "denoising"}, tokenizer=masks, noise=noise)
    assert spans.masks_needed == 2
    for corpora in (PAIRS, LINES, {**PAIRS, **LINES}):
        masked = {"model": ENCODER, "tokenizer": MASKS, "noise": {"mask_share": 0.2}}
        assert recipe(data=corpora, training={"objective": "masked"}, **masked).masks_needed == 1
    # The tokenizer of the initial model counts, which is not known here.
    assert recipe(data=LINES, training={"objective": "denoising", "init_from": "x"}).tokenizer.masks == 0


def test_a_confidence_is_calibrated_on_translations_of_sentences() -> None:
    on: dict[str, Any] = {"confidence": {"calibrate": True}}
    assert recipe(**on).confidence.calibrate
    with pytest.raises(ValidationError, match=r'confidence\.calibrate: training\.objective = "masked" makes no'):
        recipe(
            **on,
            data={"monolingual": {"a": {"files": "a.txt", "language": "en"}}},
            model={"architecture": "encoder-only"},
            training={"objective": "masked"},
            tokenizer={"masks": 1},
        )
    for given in ({"train": {"trees": "a.ptb"}}, {"train": {"files": "a.tsv"}, "dev": {"trees": "a.ptb"}}):
        with pytest.raises(ValidationError, match=r"confidence\.calibrate fits the chrF of sentences, and these are"):
            recipe(**on, data=given, tokenizer={"trees": True, "normalization": "nfc"})
