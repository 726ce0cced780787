"""The values that `nmt init` chooses by the data and the machine, and their reasons."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from nmt import advice
from nmt.advice.choices import (
    Choice,
    choose,
    choose_vocabulary,
    data_warnings,
    rounded,
)
from nmt.advice.normal_form import Changes
from nmt.advice.recipe_writer import recipe_head, recipe_sections
from nmt.advice.survey import Machine, Markup, PieceLengths, SideSurvey, TextSurvey
from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.recipe import Recipe
from nmt.evaluation.metrics import tokenizer_for

CPU = Machine("a CPU of 2 cores", is_gpu=False, is_faster_in_bfloat16=True)
OLD_CPU = Machine("an old CPU", is_gpu=False, is_faster_in_bfloat16=False)
GPU = Machine("a GPU", is_gpu=True, is_faster_in_bfloat16=True)
LENGTHS = PieceLengths(target_mean=20.0, longest=83)
REASONS = Path(advice.__file__).with_name("reasons.toml")
BOTH = {"dev", "test"}
NOTHING = Changes(100)
SIZES = [250, 1999, 9_999, 10_000, 29_000, 60_000, 172_000, 460_000, 999_999, 4_500_000, 36_000_000]


def side(
    language: str,
    script: str = "LATIN",
    alphabet: int = 80,
    longest: int = 200,
    own_script: float = 1.0,
    tokens: float = 14.0,
    replaced: Changes = NOTHING,
) -> SideSurvey:
    scripts, tokenizer = {script: 1.0}, tokenizer_for(language)
    return SideSurvey(language, 12.0, longest, alphabet, scripts, own_script, tokenizer, tokens, replaced)


CHINESE = {"target": side("zh", "CJK", alphabet=3000, own_script=0.95), "length_ratio": 3.6}
KOREAN = {"target": side("ko", "HANGUL", longest=1200)}
THAI = {"target": side("th", "THAI", tokens=3.5)}
JAPANESE = {"source": side("ja", "HIRAGANA", alphabet=2600), "length_ratio": 2.4}


def survey_of(pairs: int, **facts: Any) -> TextSurvey:
    """Return the survey of a corpus of `pairs`."""
    sides = facts.get("source", side("en")), facts.get("target", side("de"))
    return TextSurvey(sides, facts.get("corpora", {"train": pairs}), facts.get("length_ratio", 1.1))


def choices_of(
    survey: TextSurvey, machine: Machine = CPU, held_out: set[str] | None = None, lengths: PieceLengths = LENGTHS
) -> dict[str, list[Choice]]:
    return choose(survey, choose_vocabulary(survey), lengths, machine, held_out or set())


def values_of(
    survey: TextSurvey, machine: Machine = CPU, held_out: set[str] | None = None, lengths: PieceLengths = LENGTHS
) -> dict[str, Any]:
    """Return all values by their dotted keys."""
    choices = choices_of(survey, machine, held_out, lengths)
    return {f"{section}.{choice.key}": choice.value for section in choices for choice in choices[section]}


def reason(key: str, survey: TextSurvey, machine: Machine = CPU) -> str:
    """Return the reason for the value of a dotted key."""
    section, _, name = key.partition(".")
    return next(choice.reason for choice in choices_of(survey, machine)[section] if choice.key == name)


OF_ALL = {"hard_vocab_limit": False, "normalization": "nmt_nfkc", "target_normalization": "nfc"}
WRITTEN = {"upper": 0.05, "title": 0.01, "lower": 0.02, "no_final_mark": 0.05, "typos": 0.03, "join": 0.02}
WORDS = {"single_words": 0.02, "copied_tokens": 0.01}
FEW_ON_CPU = """
data = { dev_pairs = 250, test_pairs = 250 }
cleaning = { max_pieces = 90 }
tokenizer = { vocab_size = 2000, joint = true, character_coverage = 1.0, byte_fallback = true, sampling = 0.1 }
model = { preset = "small", norm = "pre", dropout = 0.3, max_length = 256 }
batching = { tokens_per_step = 1024 }
optimizer = { learning_rate = 0.002, schedule = "inverse-sqrt", warmup_steps = 740 }
evaluation = {}

[training]
max_steps = 5900
label_smoothing = 0.2
precision = "bfloat16"
checkpoint_every = 240
validate_every = 590
patience = 4
"""
SMALL_ON_OLD_CPU = """
data = {}
cleaning = { max_pieces = 90 }
tokenizer = { vocab_size = 8000, joint = true, character_coverage = 1.0, byte_fallback = true, sampling = 0.1 }
model = { preset = "small", norm = "pre", dropout = 0.2, max_length = 256 }
batching = { tokens_per_step = 4096 }
optimizer = { learning_rate = 0.002, schedule = "inverse-sqrt", warmup_steps = 440 }
evaluation = {}

[training]
max_steps = 3500
label_smoothing = 0.1
precision = "float32"
checkpoint_every = 140
validate_every = 350
patience = 4
"""
CHINESE_ON_CPU = """
data = { test_pairs = 2000 }
cleaning = { max_pieces = 90, max_ratio = 9.0, min_script = 0.5 }
tokenizer = { vocab_size = 16000, joint = false, character_coverage = 0.9995, byte_fallback = true }
model = { preset = "small", norm = "pre", dropout = 0.1, tied_embeddings = "target", max_length = 256 }
batching = { tokens_per_step = 4096 }
optimizer = { learning_rate = 0.002, schedule = "inverse-sqrt", warmup_steps = 1000 }
evaluation = { tokenize = "zh" }

[training]
max_steps = 20000
label_smoothing = 0.1
precision = "bfloat16"
checkpoint_every = 800
validate_every = 2000
patience = 4
"""
MEDIUM_ON_GPU = """
data = {}
cleaning = { max_pieces = 90 }
tokenizer = { vocab_size = 8000, joint = true, character_coverage = 1.0, byte_fallback = true }
model = { preset = "base", ffn = 1024, heads = 4, norm = "pre", dropout = 0.3, max_length = 256 }
batching = { tokens_per_step = 4096 }
optimizer = { learning_rate = 0.0005, schedule = "inverse-sqrt", warmup_steps = 4000 }
evaluation = {}

[training]
max_steps = 42000
label_smoothing = 0.1
precision = "bfloat16"
checkpoint_every = 1700
validate_every = 4200
patience = 4
"""
BASE_ON_GPU = """
data = {}
cleaning = { max_pieces = 90 }
tokenizer = { vocab_size = 32000, joint = true, character_coverage = 1.0, byte_fallback = true }
model = { preset = "base", norm = "pre", dropout = 0.1, max_length = 256 }
batching = { tokens_per_step = 25000 }
optimizer = { schedule = "inverse-sqrt", warmup_steps = 4000 }
evaluation = {}

[training]
max_steps = 100000
label_smoothing = 0.1
precision = "bfloat16"
checkpoint_every = 1000
validate_every = 5000
patience = 5
"""


@pytest.mark.parametrize(
    ("survey", "machine", "held_out", "recipe"),
    [
        (survey_of(5000), CPU, set(), FEW_ON_CPU),
        (survey_of(29_000), OLD_CPU, BOTH, SMALL_ON_OLD_CPU),
        (survey_of(400_000, **CHINESE), CPU, {"dev"}, CHINESE_ON_CPU),
        (survey_of(172_000), GPU, BOTH, MEDIUM_ON_GPU),
        (survey_of(4_500_000), GPU, BOTH, BASE_ON_GPU),
    ],
    ids=["few", "small", "chinese", "medium", "base"],
)
def test_all_choices_are_those_of_a_written_recipe(
    survey: TextSurvey, machine: Machine, held_out: set[str], recipe: str
) -> None:
    choices, wanted = choices_of(survey, machine, held_out), tomllib.loads(recipe)
    wanted["tokenizer"] |= OF_ALL
    wanted["augmentation"] = WRITTEN | (WORDS if survey.pairs < 1_000_000 else {})
    sections = "data cleaning augmentation tokenizer model batching optimizer training evaluation confidence"
    assert " ".join(choices) == sections
    has_enough = "dev" in held_out or survey.pairs >= 2000
    wanted["confidence"] = {"calibrate": True} if has_enough else {}
    assert {name: {one.key: one.value for one in section} for name, section in choices.items()} == wanted


def test_case_is_augmented_where_the_source_has_it_and_tags_where_pairs_have_two() -> None:
    def keys(**facts: Any) -> list[str]:
        return [one.key for one in choices_of(survey_of(29_000, **facts))["augmentation"]]

    assert keys(**JAPANESE) == ["no_final_mark", "typos", "join", "single_words", "copied_tokens"]
    assert keys(**CHINESE)[:3] == ["upper", "title", "lower"]
    sides = side("en"), side("de")
    for most, has_tags in ((1, False), (2, True)):
        survey = TextSurvey(sides, {"a": 29_000}, 1.1, Markup(0.005, most))
        assert ("inline_tags" in [one.key for one in choices_of(survey)["augmentation"]]) is has_tags


def test_every_reason_is_the_reason_of_some_choice() -> None:
    """The reasons are told apart by their words before the first gap and after the last one."""
    surveys = [survey_of(pairs, **languages) for pairs in SIZES for languages in ({}, CHINESE, JAPANESE, KOREAN, THAI)]
    surveys.append(TextSurvey((side("en"), side("de")), {"a": 1900, "b": 100}, 1.1, Markup(0.01, 3)))
    given = {
        one.reason
        for survey in surveys
        for machine in (CPU, GPU, OLD_CPU)
        for section in choices_of(survey, machine).values()
        for one in section
    }
    given |= {one.reason for one in choose_vocabulary(survey_of(29_000), 3000)}
    for numbers in (0, 9):
        changed = side("en", replaced=Changes(100, 9, numbers=numbers))
        given |= {one.reason for one in choose_vocabulary(survey_of(250, source=changed, target=changed))}
    for reason in tomllib.loads(REASONS.read_text(encoding="utf-8")).values():
        start, end = reason.partition("{")[0], reason.rpartition("}")[2]
        assert any(text.startswith(start) and text.endswith(end) for text in given), reason


@pytest.mark.parametrize("machine", [CPU, GPU, OLD_CPU])
@pytest.mark.parametrize("languages", [{}, CHINESE, JAPANESE], ids=["en-de", "en-zh", "ja-de"])
@pytest.mark.parametrize("pairs", SIZES)
def test_every_choice_has_a_reason_and_together_they_are_a_recipe(
    pairs: int, languages: dict[str, Any], machine: Machine
) -> None:
    survey = survey_of(pairs, **languages)
    choices = choices_of(survey, machine)
    assert all(choice.reason.endswith(".") and len(choice.reason) < 240 for each in choices.values() for choice in each)
    train = {"train": CorpusConfig(source="a.en", target="a.de")}
    head = recipe_head("x", LanguagesConfig(source="en", target="de"), survey, machine)
    text = [*head, *recipe_sections(choices, train, {}, survey.corpora)]
    recipe = Recipe.model_validate(tomllib.loads("\n\n".join(text)))
    assert recipe.training.max_steps > recipe.training.validate_every >= recipe.training.checkpoint_every
    assert recipe.optimizer.warmup_steps < recipe.training.max_steps
    assert recipe.batching.tokens_per_step > recipe.model.max_length


@pytest.mark.parametrize(
    ("key", "machine", "last", "before", "first", "after"),
    [
        ("augmentation.single_words", CPU, 999_999, 0.02, 1_000_000, None),
        ("tokenizer.vocab_size", CPU, 1999, 1000, 2000, 2000),
        ("tokenizer.vocab_size", CPU, 9999, 2000, 10_000, 4000),
        ("tokenizer.vocab_size", CPU, 24_999, 4000, 25_000, 8000),
        ("tokenizer.vocab_size", CPU, 299_999, 8000, 300_000, 16_000),
        ("tokenizer.vocab_size", CPU, 1_999_999, 16_000, 2_000_000, 32_000),
        ("tokenizer.sampling", CPU, 99_999, 0.1, 100_000, None),
        ("model.preset", GPU, 49_999, "small", 50_000, "base"),
        ("model.ffn", GPU, 49_999, None, 50_000, 1024),
        ("model.ffn", GPU, 999_999, 1024, 1_000_000, None),
        ("model.dropout", CPU, 9999, 0.3, 10_000, 0.2),
        ("model.dropout", CPU, 99_999, 0.2, 100_000, 0.1),
        ("model.dropout", GPU, 49_999, 0.2, 50_000, 0.3),
        ("model.dropout", GPU, 999_999, 0.3, 1_000_000, 0.1),
        ("batching.tokens_per_step", GPU, 9999, 1024, 10_000, 4096),
        ("batching.tokens_per_step", GPU, 299_999, 4096, 300_000, 8192),
        ("batching.tokens_per_step", GPU, 999_999, 8192, 1_000_000, 25_000),
        ("batching.tokens_per_step", CPU, 299_999, 4096, 300_000, 4096),
        ("training.label_smoothing", CPU, 9999, 0.2, 10_000, 0.1),
        # 60, 25, 15 epochs on a CPU, 50 with a model between, of 20 tokens a pair.
        ("training.max_steps", CPU, 9999, 12_000, 10_000, 1200),
        ("training.max_steps", OLD_CPU, 99_999, 12_000, 100_000, 7300),
        ("training.max_steps", GPU, 49_999, 6100, 50_000, 12_000),
        ("training.max_steps", CPU, 274_000, 20_000, 276_000, 20_000),
        ("training.max_steps", GPU, 999_999, 120_000, 1_000_000, 100_000),
        ("training.patience", GPU, 999_999, 4, 1_000_000, 5),
        ("training.validate_every", GPU, 999_999, 12_000, 1_000_000, 5000),
        ("training.checkpoint_every", GPU, 999_999, 4800, 1_000_000, 1000),
        ("optimizer.warmup_steps", GPU, 49_999, 760, 50_000, 1500),
    ],
)
def test_values_change_with_the_number_of_pairs(
    key: str, machine: Machine, last: int, before: object, first: int, after: object
) -> None:
    assert [values_of(survey_of(pairs), machine).get(key) for pairs in (last, first)] == [before, after]


def test_short_trainings_have_a_hundred_steps_and_log_more_often() -> None:
    short = values_of(survey_of(80))
    assert (short["training.max_steps"], short["training.log_every"], short["optimizer.warmup_steps"]) == (100, 4, 12)
    assert values_of(survey_of(844))["training.log_every"] == 40
    assert "training.log_every" not in values_of(survey_of(854))


def test_steps_are_epochs_of_the_target_tokens_and_the_reason_gives_both() -> None:
    survey = survey_of(29_000)
    assert values_of(survey)["training.max_steps"] == 3500
    assert values_of(survey, lengths=PieceLengths(40.0, 83))["training.max_steps"] == 7100
    assert reason("training.max_steps", survey) == (
        "At most 25 epochs; early stopping may end it sooner. An epoch is about 142 steps: 20.0 tokens a target line."
    )
    assert reason("training.max_steps", survey_of(4_500_000)).startswith(
        "No more on a CPU, where 15 epochs would take very long. An epoch is about 21,973 steps: "
    )
    assert reason("training.max_steps", survey_of(272_000)).startswith("At most 15 epochs"), "20,000 as they are"
    assert reason("training.max_steps", survey_of(281_000)).startswith("No more on a CPU")
    assert "about 1 steps" in reason("training.max_steps", survey_of(20))
    assert reason("training.patience", survey) == "Stops when 4 validations in a row were no better: 1,400 steps."


def test_large_models_and_small_ones_have_reasons_of_their_own() -> None:
    reasons = {
        "model.preset": ("The paper's base", "Width and depth", "Width 256", "Width 256"),
        "training.checkpoint_every": ("The model is the mean of the last 5 (Vaswani et al. 2017, section 6.1).",),
        "training.validate_every": ("A twentieth of", "A tenth of", "A tenth of", "A tenth of"),
        "optimizer.schedule": (
            "The paper's: it needs no end that is known before, so early stopping may come at any ",
        ),
        "training.precision": ("This GPU", "This GPU", "This GPU", "This processor"),
    }
    runs = [(4_500_000, GPU), (172_000, GPU), (20_000, GPU), (20_000, CPU)]
    for key, starts in reasons.items():
        found = [reason(key, survey_of(pairs), machine) for pairs, machine in runs]
        assert all(map(str.startswith, found, starts)), key
    assert reason("training.precision", survey_of(20_000), OLD_CPU).startswith(
        "The processor, or the GPU, is not faster"
    )
    assert "little data needs a small model" in reason("model.preset", survey_of(20_000), GPU)


def test_sides_of_one_script_share_a_vocabulary_and_others_do_not() -> None:
    assert values_of(survey_of(50_000))["tokenizer.joint"] is True
    separate = values_of(survey_of(50_000, **CHINESE))
    assert (separate["tokenizer.joint"], separate["model.tied_embeddings"]) == (False, "target")
    assert values_of(survey_of(9999, **CHINESE))["tokenizer.joint"] is True, "too few pairs for two"
    assert values_of(survey_of(10_000, **CHINESE))["tokenizer.joint"] is False


def test_a_large_alphabet_has_room_in_the_vocabulary_and_is_not_covered_whole() -> None:
    few = values_of(survey_of(12_000, **CHINESE))
    assert (few["tokenizer.vocab_size"], few["tokenizer.character_coverage"]) == (6000, 0.9995)
    pairs = 29_000
    found = [values_of(survey_of(pairs, source=side("ko", alphabet=alphabet))) for alphabet in (1499, 1500, 3000, 4001)]
    assert [each["tokenizer.character_coverage"] for each in found] == [1.0, 0.9995, 0.9995, 0.9995]
    assert [each["tokenizer.vocab_size"] for each in found] == [8000, 8000, 8000, 9000]
    assert reason("tokenizer.vocab_size", survey_of(12_000, **CHINESE)).startswith("3,000 characters need a piece of ")


def test_pairs_are_split_off_for_sets_that_are_not_given() -> None:
    def split(pairs: int, held_out: set[str]) -> list[Any]:
        values = values_of(survey_of(pairs), held_out=held_out)
        return [values.get(f"data.{name}_pairs") for name in ("dev", "test")]

    assert split(19_980, set()) == [999, 999]
    assert split(30_000, set()) == [1000, 1500]
    assert split(50_000, set()) == [1000, 2000]
    assert split(50_000, {"dev"}) == [None, 2000]
    assert split(50_000, BOTH) == [None, None]


def test_corpora_of_very_different_sizes_get_a_temperature() -> None:
    survey = survey_of(0, corpora={"a": 100_000, "b": 10_000, "c": 50_000})
    assert values_of(survey)["data.temperature"] == 1.5
    assert reason("data.temperature", survey).startswith("The corpora have 10,000 to 100,000 pairs: ")
    assert "data.temperature" not in values_of(survey_of(0, corpora={"a": 100_000, "b": 10_001}))
    assert "data.temperature" not in values_of(survey_of(100_000))


@pytest.mark.parametrize(
    ("longest", "pieces", "length"),
    [
        (7, 50, 256),
        (50, 50, 256),
        (51, 60, 256),
        (250, 250, 256),
        (255, 260, 320),
        (320, 320, 384),
        (400, 400, 448),
        (4000, 500, 512),
    ],
)
def test_limits_of_pieces_follow_the_longest_pairs(longest: int, pieces: int, length: int) -> None:
    values = values_of(survey_of(29_000), lengths=PieceLengths(20, longest))
    assert (values["cleaning.max_pieces"], values["model.max_length"]) == (pieces, length)


@pytest.mark.parametrize(("longest", "limit"), [(1000, None), (1001, 1100), (1234, 1300), (1300, 1300)])
def test_the_limit_of_characters_is_raised_for_long_lines(longest: int, limit: int | None) -> None:
    assert values_of(survey_of(29_000, source=side("en", longest=longest))).get("cleaning.max_characters") == limit


@pytest.mark.parametrize(("ratio", "limit"), [(1.5, None), (1.51, 4.0), (2.2, 5.5), (2.3, 6.0), (3.6, 9.0)])
def test_the_limit_of_the_ratio_is_raised_for_languages_that_write_densely(ratio: float, limit: float | None) -> None:
    assert values_of(survey_of(29_000, length_ratio=ratio)).get("cleaning.max_ratio") == limit


@pytest.mark.parametrize(
    ("target", "least"),
    [
        (side("de"), None),
        (side("ru", "CYRILLIC", own_script=0.9), 0.5),
        (side("ru", "CYRILLIC", own_script=0.89), None),
    ],
)
def test_scripts_are_filtered_where_a_language_is_not_latin_and_the_text_is_in_its_script(
    target: SideSurvey, least: float | None
) -> None:
    assert values_of(survey_of(29_000, target=target)).get("cleaning.min_script") == least


@pytest.mark.parametrize(
    ("language", "tokenize", "extra"),
    [
        ("zh", "zh", "sacreBLEU's tokenizer for this language; `auto` does the same."),
        (
            "ja",
            "ja-mecab",
            'sacreBLEU\'s tokenizer for this language; `auto` does the same. Needs pip install -e ".[ja]".',
        ),
        ("kor_Hang", "ko-mecab", None),
        (
            "tha_Thai",
            "char",
            "Each character is a word for BLEU, as the text has no spaces between words; sacreBLEU's flores200 is "
            "another.",
        ),
        ("de", None, None),
    ],
)
def test_bleu_has_the_tokenizer_of_the_target_language(language: str, tokenize: str | None, extra: str | None) -> None:
    survey = survey_of(29_000, target=side(language))
    assert values_of(survey).get("evaluation.tokenize") == tokenize
    assert extra is None or reason("evaluation.tokenize", survey) == extra


@pytest.mark.parametrize(("tokens", "metric"), [(3.96, "chrf"), (4.0, None)])
def test_chrf_ranks_checkpoints_where_lines_have_fewer_than_four_words(tokens: float, metric: str | None) -> None:
    survey = survey_of(29_000, target=side("de", tokens=tokens), source=side("en", tokens=1.0))
    assert values_of(survey).get("training.best_metric") == metric
    if metric:
        expected = "BLEU counts n-grams of up to 4 words, and a target line has 4.0; chrF counts those of characters."
        assert reason("training.best_metric", survey) == expected


def test_the_target_keeps_its_characters_and_the_reason_names_what_a_rule_would_change() -> None:
    survey = survey_of(29_000, target=side("zh", replaced=Changes(200, 150, examples=("'，' to ','",))))
    assert reason("tokenizer.target_normalization", survey).endswith("150 of 200 lines, for example '，' to ','.")
    assert "no line of the sample" in reason("tokenizer.target_normalization", survey_of(29_000))


@pytest.mark.parametrize(("numbers", "rule"), [(0, "nmt_nfkc"), (2, "nmt_nfkc"), (3, "nfc")])
def test_the_source_has_a_rule_unless_it_would_replace_fractions_and_the_like(numbers: int, rule: str) -> None:
    survey = survey_of(29_000, source=side("en", replaced=Changes(200, 50, numbers=numbers)))
    assert values_of(survey)["tokenizer.normalization"] == rule
    assert "50 of 200 lines" in reason("tokenizer.normalization", survey)


def test_a_smaller_vocabulary_replaces_the_size_alone() -> None:
    before = choose_vocabulary(survey_of(300))
    assert choose_vocabulary(survey_of(300), 1000) == before
    after = choose_vocabulary(survey_of(300), 650)
    assert (after[0].key, after[0].value, after[1:]) == ("vocab_size", 650, before[1:])
    assert after[0].reason != before[0].reason


def test_few_pairs_are_a_warning() -> None:
    assert data_warnings(survey_of(10_000)) == []
    assert data_warnings(survey_of(9999)) == [
        "9,999 pairs are few: a model from scratch will translate badly; fine-tune one of these languages with "
        "--init-from MODEL, such as a public one: nmt import Helsinki-NLP/opus-mt-en-de -o MODEL"
    ]


def test_numbers_are_rounded_to_two_digits() -> None:
    numbers = (0.2, 0.99, 1, 7.4, 9.6, 99.6, 100, 2549, 123_456)
    assert [rounded(number) for number in numbers] == [1, 1, 1, 7, 10, 100, 100, 2500, 120_000]
