"""The settings of synthetic pairs: which corpora are translated by which models, and what cannot be."""

from typing import Any

import pytest

from nmt.config.recipe import Recipe
from nmt.config.synthetic import SyntheticConfig
from nmt.config.toml import check
from nmt.errors import RecipeError

FILES = {"files": "a.tsv"}
MONO = {"monolingual": "news.de", "translate_with": "back/model"}


def recipe(train: dict[str, Any], **sections: Any) -> Recipe:
    tree = {
        "name": "x",
        "languages": {"source": "en", "target": "de"},
        "data": {"train": train, "dev": FILES, "test": {"a": FILES}},
    }
    return check({**tree, **sections}, "x.toml")


def refusal(train: dict[str, Any], **sections: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe(train, **sections)
    return str(caught.value).removeprefix("x.toml: ")


def test_corpora_with_models_are_translated_and_the_others_are_not() -> None:
    given = recipe({"real": FILES, "mono": MONO, "both": {**FILES, "translate_with": ["one", "two"]}})
    found = given.translated
    assert list(found) == ["mono", "both"]
    assert (found["mono"].key, found["mono"].section) == ("data.train.mono.translate_with", "data.train.mono.synthetic")
    assert (found["mono"].models, found["mono"].readable, found["mono"].config) == (
        ["back/model"],
        (1,),
        SyntheticConfig(),
    )
    assert (found["both"].groups, found["both"].readable) == ([["one"], ["two"]], (0, 1))
    assert recipe({"real": FILES}).translated == {}
    assert recipe(MONO).translated["train"].key == "data.train.translate_with"
    own = recipe({"mono": {**MONO, "language": "en"}}).translated["mono"]
    assert own.readable == (0,)


def test_a_teacher_translates_the_sources_of_all_other_corpora() -> None:
    found = recipe({"real": FILES, "mono": MONO}, distillation={"teacher": ["a", "b"], "ensemble": True}).translated
    assert (found["real"].key, found["real"].section) == ("distillation.teacher", "distillation")
    assert (found["real"].groups, found["real"].readable) == ([["a", "b"]], (0,))
    assert found["mono"].models == ["back/model"]
    assert [found[name].config.keep_original for name in ("real", "mono")] == [False, True]
    scored = recipe(FILES, distillation={"teacher": "a", "score_with": "b", "keep_share": 0.5}).translated["train"]
    assert scored.names == ["a", "b"]


def test_pairs_are_scored_where_something_depends_on_it() -> None:
    for given, found in (
        ({}, (False, False)),
        ({"min_score": -1.0}, (True, True)),
        ({"keep_share": 1.0}, (True, True)),
        ({"best_of": 2, "score_with": "x"}, (False, True)),
        ({"score_with": "x"}, (False, False)),
    ):
        config = SyntheticConfig.model_validate(given)
        assert (config.is_filtered, config.has_scores) == found


ORIGINS = "monolingual, source and target, files, trees, dataset, builtin, task"
FOR_SOURCES = 'the translations are targets, and noise is for sources: take "beam" or "sampling"'


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        (
            {"monolingual": "news.de"},
            ": monolingual needs translate_with, a model that makes pairs of the text; to pretrain on the text as it "
            "is, give it as [data.monolingual.NAME] text = ...",
        ),
        ({"translate_with": "m"}, f": give exactly one of {ORIGINS}; got none"),
        ({**MONO, **FILES}, f": give exactly one of {ORIGINS}; got monolingual and files"),
        ({**MONO, "monolingual": []}, ": monolingual names no file"),
        ({**MONO, "translate_with": []}, ": translate_with names no model"),
        ({**MONO, "translate_with": [""]}, ": translate_with names no model"),
        ({**FILES, "translate_with": ""}, ": translate_with names no model"),
        ({**FILES, "language": "de"}, ": language applies to monolingual alone, and there is none"),
        ({**FILES, "synthetic": {}}, ": synthetic applies to translate_with alone, and there is none"),
        (
            {**MONO, "synthetic": {"keep_original": False}},
            ": synthetic.keep_original is for corpora of pairs, not for monolingual: leave it out",
        ),
        (
            {**MONO, "language": "fr"},
            ".language = 'fr': neither languages.source = 'en' nor languages.target = 'de'",
        ),
        ({**MONO, "language": "en", "synthetic": {"method": "noised"}}, f'.synthetic.method = "noised": {FOR_SOURCES}'),
        (
            {**MONO, "synthetic": {"method": "noised"}},
            ".synthetic.noise.symbol = '<blank>' is none of tokenizer.user_defined_symbols: add it there, or set "
            "blank = 0",
        ),
    ],
)
def test_a_corpus_that_cannot_be_is_one_clear_line(corpus: dict[str, Any], message: str) -> None:
    assert refusal({"a": corpus}) == f"data.train.a{message}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampling": {"top_k": 5}}, 'sampling is for method = "sampling": leave it out'),
        ({"noise": {"drop": 0.2}}, 'noise is for method = "noised": leave it out'),
        (
            {"method": "sampling", "beam_size": 2},
            'beam_size is for a search, not for method = "sampling": leave it out',
        ),
        ({"keep_share": 0.5, "min_score": -1.0}, "keep_share and min_score exclude each other"),
        ({"best_of": 2}, "best_of needs score_with, the model that tells which hypothesis is best"),
        ({"best_of": 5, "beam_size": 4, "score_with": "m"}, "best_of = 5 is more than beam_size = 4"),
    ],
)
def test_settings_that_exclude_each_other_are_one_clear_line(settings: dict[str, Any], message: str) -> None:
    assert refusal({"a": {**MONO, "synthetic": settings}}) == f"data.train.a.synthetic: {message}"
    assert refusal({"a": FILES}, distillation={"teacher": "m", **settings}) == f"distillation: {message}"


def test_a_teacher_without_a_name_or_without_work_and_noisy_targets_are_refused() -> None:
    assert refusal({"a": FILES}, distillation={"teacher": []}) == "distillation.teacher names no model"
    assert refusal({"a": FILES}, distillation={"teacher": "m", "method": "noised"}) == (
        f'distillation.method = "noised": {FOR_SOURCES}'
    )
    assert refusal({"a": MONO}, distillation={"teacher": "m"}) == (
        "distillation: all corpora of data.train have translate_with, or there are none: nothing is left for the "
        "teacher to translate"
    )


@pytest.mark.parametrize("there", [{"test": {"a": FILES}}, {"dev": FILES}])
def test_dev_and_test_are_not_split_off_synthetic_pairs(there: dict[str, Any]) -> None:
    missing = "test" if "dev" in there else "dev"
    message = f"data.{missing}: each training corpus has synthetic pairs, and none can be split off: give it files"
    assert refusal({}, data={"train": MONO, **there}) == message
    assert recipe({}, data={"train": {"real": FILES, "mono": MONO}, **there}).translated


def test_noise_goes_with_a_symbol_of_the_tokenizer_with_a_given_tokenizer_or_without_blanks() -> None:
    noised = {"mono": {**MONO, "synthetic": {"method": "noised"}}}
    assert recipe(noised, tokenizer={"user_defined_symbols": ["<blank>"]}).translated
    assert recipe(noised, training={"init_from": "m"}).translated
    assert recipe({"mono": {**MONO, "synthetic": {"method": "noised", "noise": {"blank": 0.0}}}}).translated
