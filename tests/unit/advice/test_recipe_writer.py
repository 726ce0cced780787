"""What `nmt init` chooses by the data and the machine, and how it reads its arguments."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from nmt.advice.choices import (
    ORDER,
    Choices,
    Found,
    Lengths,
    Machine,
    Side,
    choose,
    choose_vocabulary,
    doubts,
    lowered,
    rounded,
    value_of,
)
from nmt.advice.recipe_writer import choice_text, corpus_text, located, recipe_head, recipe_sections, rough
from nmt.advice.survey import computes_bfloat16, quantile, survey, try_tokenizer
from nmt.config.data import CorpusConfig, LanguagesConfig
from nmt.config.recipe import Recipe
from nmt.errors import DataError

EN_DE = LanguagesConfig(source="en", target="de")
CPU = Machine("a CPU of 2 cores", is_gpu=False, has_bfloat16=True)
GPU = Machine("a GPU", is_gpu=True, has_bfloat16=True)
LENGTHS = Lengths(target=20.0, longest=83)


def side(code: str, script: str = "LATIN", alphabet: int = 80, longest: int = 200, own: float = 1.0) -> Side:
    return Side(code, words=12.0, longest=longest, alphabet=alphabet, scripts={script: 1.0}, own=own)


def of(pairs: int, **more: Any) -> Found:
    """Return what would be found in a corpus of so many pairs."""
    facts: dict[str, Any] = {"source": side("en"), "target": side("de"), "corpora": {"train": pairs}, "ratio": 1.1}
    return Found(**(facts | more))


def chosen(found: Found, machine: Machine = CPU, given: set[str] | None = None) -> dict[str, Any]:
    """Return all values by their dotted keys."""
    made = all_of(found, machine, given)
    return {f"{section}.{choice.key}": choice.value for section in made for choice in made[section]}


def all_of(found: Found, machine: Machine = CPU, given: set[str] | None = None) -> Choices:
    return choose(found, choose_vocabulary(found), LENGTHS, machine, given or set())


SIZES = [250, 1999, 9_999, 10_000, 29_000, 60_000, 172_000, 460_000, 999_999, 4_500_000, 36_000_000]
CHINESE = {"target": side("zh", "CJK", alphabet=3000), "ratio": 3.6}
JAPANESE = {"source": side("ja", "HIRAGANA", alphabet=2600), "ratio": 2.4}


@pytest.mark.parametrize("machine", [CPU, GPU, Machine("an old CPU", is_gpu=False, has_bfloat16=False)])
@pytest.mark.parametrize("languages", [{}, CHINESE, JAPANESE], ids=["en-de", "en-zh", "ja-de"])
@pytest.mark.parametrize("pairs", SIZES)
def test_every_choice_has_a_reason_and_together_they_are_a_recipe(
    pairs: int, languages: dict[str, Any], machine: Machine
) -> None:
    found = of(pairs, **languages)
    choices = all_of(found, machine)
    assert all(choice.why.endswith(".") and len(choice.why) < 240 for made in choices.values() for choice in made)
    train = {"train": CorpusConfig(source="a.en", target="a.de")}
    text = [*recipe_head("x", EN_DE, found, machine), *recipe_sections(choices, train, {}, found.corpora)]
    recipe = Recipe.model_validate(tomllib.loads("\n\n".join(text)))
    assert recipe.training.max_steps > recipe.training.validate_every >= recipe.training.checkpoint_every
    assert recipe.optimizer.warmup_steps < recipe.training.max_steps
    assert recipe.batching.tokens_per_step > recipe.model.max_length


def test_the_vocabulary_grows_with_the_text() -> None:
    sizes = [value_of(choose_vocabulary(of(pairs)), "vocab_size") for pairs in SIZES]
    assert sizes == [1000, 1000, 2000, 4000, 8000, 8000, 8000, 16_000, 16_000, 32_000, 32_000]


def test_sides_of_one_script_share_a_vocabulary_and_others_do_not() -> None:
    assert chosen(of(50_000))["tokenizer.joint"] is True
    apart = chosen(of(50_000, **CHINESE))
    assert (apart["tokenizer.joint"], apart["model.tied_embeddings"]) == (False, "target")
    assert apart["tokenizer.vocab_size"] == 8000
    assert chosen(of(5000, **CHINESE))["tokenizer.joint"] is True, "too few pairs for two"


def test_a_large_alphabet_has_room_in_the_vocabulary_and_is_not_covered_whole() -> None:
    few = chosen(of(12_000, **CHINESE))
    assert (few["tokenizer.vocab_size"], few["tokenizer.character_coverage"]) == (6000, 0.9995)
    assert chosen(of(12_000))["tokenizer.character_coverage"] == 1.0


def test_little_text_is_split_anew_each_time() -> None:
    assert chosen(of(50_000))["tokenizer.sampling"] == 0.1
    assert "tokenizer.sampling" not in chosen(of(500_000))


def test_a_gpu_gets_larger_models_with_more_data() -> None:
    small, middle, base = (chosen(of(pairs), GPU) for pairs in (20_000, 172_000, 4_500_000))
    assert small["model.preset"] == "small"
    assert [middle[f"model.{key}"] for key in ("preset", "ffn", "heads", "dropout")] == ["base", 1024, 4, 0.3]
    assert [base[f"model.{key}"] for key in ("preset", "dropout")] == ["base", 0.1]
    assert (base["training.max_steps"], base["optimizer.warmup_steps"]) == (100_000, 4000)
    assert (base["batching.tokens_per_step"], "optimizer.learning_rate" in base) == (25_000, False)


def test_a_cpu_gets_a_small_model_and_no_endless_training() -> None:
    found = chosen(of(4_500_000))
    assert (found["model.preset"], found["training.max_steps"]) == ("small", 20_000)


def test_dropout_and_smoothing_fall_with_the_data() -> None:
    values = [chosen(of(pairs)) for pairs in (5000, 29_000, 460_000)]
    assert [value["model.dropout"] for value in values] == [0.3, 0.2, 0.1]
    assert [value["training.label_smoothing"] for value in values] == [0.2, 0.1, 0.1]
    assert [value["batching.tokens_per_step"] for value in values] == [1024, 4096, 4096]


def test_the_precision_is_what_the_machine_computes() -> None:
    assert chosen(of(29_000))["training.precision"] == "bfloat16"
    old = Machine("an old CPU", is_gpu=False, has_bfloat16=False)
    assert chosen(of(29_000), old)["training.precision"] == "float32"


def test_steps_are_epochs_of_the_tokens() -> None:
    assert chosen(of(29_000))["training.max_steps"] == rounded(25 * 29_000 * 20 / 4096) == 3500


def test_what_is_not_given_is_split_off() -> None:
    assert {key: value for key, value in chosen(of(5000)).items() if key.startswith("data.")} == {
        "data.dev_pairs": 250,
        "data.test_pairs": 250,
    }
    large = chosen(of(500_000), given={"dev"})
    assert ("data.dev_pairs" in large, large["data.test_pairs"]) == (False, 2000)
    assert "data.test_pairs" not in chosen(of(5000), given={"dev", "test"})


def test_corpora_of_very_different_sizes_get_a_temperature() -> None:
    assert chosen(of(0, corpora={"a": 100_000, "b": 10_000}))["data.temperature"] == 1.5
    assert "data.temperature" not in chosen(of(0, corpora={"a": 100_000, "b": 10_001}))
    assert "data.temperature" not in chosen(of(100_000))


def test_lengths_come_from_the_text() -> None:
    found = chosen(of(29_000, source=side("en", longest=1234)))
    assert (found["cleaning.max_pieces"], found["model.max_length"]) == (90, 256)
    assert found["cleaning.max_characters"] == 1300
    assert "cleaning.max_characters" not in chosen(of(29_000))
    made = choose(of(29_000), choose_vocabulary(of(29_000)), Lengths(20, 400), CPU, set())
    assert (value_of(made["cleaning"], "max_pieces"), value_of(made["model"], "max_length")) == (400, 448)
    made = choose(of(29_000), choose_vocabulary(of(29_000)), Lengths(20, 4000), CPU, set())
    assert value_of(made["cleaning"], "max_pieces") == 500


def test_the_filter_of_ratios_leaves_languages_that_write_densely() -> None:
    assert chosen(of(29_000, **CHINESE))["cleaning.max_ratio"] == 9.0
    assert "cleaning.max_ratio" not in chosen(of(29_000))


def test_scripts_are_filtered_where_a_language_is_not_latin_and_the_text_is_what_it_says() -> None:
    assert chosen(of(29_000, **CHINESE))["cleaning.min_script"] == 0.5
    assert "cleaning.min_script" not in chosen(of(29_000))
    assert "cleaning.min_script" not in chosen(of(29_000, target=side("ru", "LATIN", own=0.4)))


@pytest.mark.parametrize(
    ("code", "tokenize"), [("zh", "zh"), ("ja", "ja-mecab"), ("kor_Hang", "ko-mecab"), ("de", None)]
)
def test_bleu_cuts_the_target_as_its_language_wants(code: str, tokenize: str | None) -> None:
    assert chosen(of(29_000, target=side(code))).get("evaluation.tokenize") == tokenize


def test_few_pairs_and_swapped_sides_are_said() -> None:
    assert doubts(of(29_000)) == []
    assert doubts(of(900)) == [
        "900 pairs are few: a model from nothing will translate badly; if there is a model of these languages, "
        "fine-tune it with --init-from MODEL"
    ]
    assert doubts(of(29_000, target=side("ru", "LATIN", own=0.02))) == [
        "only 2% of the lines of ru are in a script of that language, most letters are LATIN: are SRC and TGT, or the "
        "columns, the other way round?"
    ]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a folder in it."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_names_start_at_the_recipes_folder_where_they_can(here: Path) -> None:
    corpora = {"a": CorpusConfig(source=["a.en"], target="sub/../a.de"), "t": CorpusConfig(files="sacrebleu:wmt14")}
    assert located(corpora, here) == {
        "a": CorpusConfig(source=["a.en"], target="a.de"),
        "t": CorpusConfig(files="sacrebleu:wmt14"),
    }
    below = located(corpora, here / "sub")["a"]
    assert (below.source, below.target) == ([str(here / "a.en")], str(here / "a.de"))


def test_odd_names_are_escaped() -> None:
    text = corpus_text("train.v1.2", CorpusConfig(files='a "b"\\c\n.tsv'), 5)
    assert text == '[data.train."v1.2"]\n# 5 pairs.\nfiles = "a \\"b\\"\\\\c\\n.tsv"'
    assert tomllib.loads(text)["data"]["train"]["v1.2"]["files"] == 'a "b"\\c\n.tsv'


def test_reasons_are_comments_above_the_keys() -> None:
    made = choose_vocabulary(of(29_000))[1]
    assert choice_text(made).split("\n")[-1] == "joint = true"
    assert all(line.startswith("# ") and len(line) <= 112 for line in choice_text(made).split("\n")[:-1])


# What is in them.


def test_a_side_is_surveyed() -> None:
    found = survey(["Der Hund schläft.", "Да, hier", "1 2 3"], "de")
    assert found.words == pytest.approx(8 / 3)
    assert (found.longest, found.own) == (17, 1.0)
    assert list(found.scripts) == ["LATIN", "CYRILLIC"]
    assert survey(["123"], "de").scripts == {}


def test_the_alphabet_is_what_nearly_all_of_the_text_is_made_of() -> None:
    assert survey(["ab" * 5000 + "c"], "en").alphabet == 2


def test_the_quantile_leaves_one_of_a_thousand() -> None:
    assert quantile([*range(1, 1001), 10_000]) == 1000
    assert quantile([7]) == 7


def test_a_vocabulary_that_the_text_cannot_fill_is_lowered() -> None:
    sample = [(f"the cat {n} sat", f"die Katze {n} saß") for n in range(300)]
    choices, lengths = try_tokenizer(choose_vocabulary(of(300)), sample)
    size = value_of(choices, "vocab_size")
    assert 300 <= size < 1000
    assert choices == lowered(choose_vocabulary(of(300)), size)
    assert 1 < lengths.target < lengths.longest + 2 < 30


def test_text_that_no_tokenizer_fits_is_one_line() -> None:
    letters = "".join(chr(0x4E00 + n) for n in range(1000))
    with pytest.raises(DataError, match=r"^tokenizer\.vocab_size = \d+ is too small for both sides: "):
        try_tokenizer(lowered(choose_vocabulary(of(300)), 400), [(letters, letters)])


def test_the_processors_instructions_are_read(tmp_path: Path) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text("flags\t: fpu avx512_bf16 sse\n")
    assert computes_bfloat16(facts)
    facts.write_text("flags\t: fpu sse\n")
    assert not computes_bfloat16(facts)
    assert not computes_bfloat16(tmp_path / "nosuch")


def test_numbers_are_rounded_to_two_digits() -> None:
    assert [rounded(number) for number in (0.2, 7.4, 99.6, 2549, 123_456)] == [1, 7, 100, 2500, 120_000]
    assert rough(344_123) == "340,000"


def test_the_sections_are_those_of_the_recipe() -> None:
    assert list(all_of(of(29_000))) == list(ORDER)
