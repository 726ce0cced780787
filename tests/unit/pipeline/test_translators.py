"""The models that make synthetic pairs: which side they read, and those that cannot make any."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from runs import make_run, write_translator

from nmt.errors import ArtifactError, RecipeError, UsageError
from nmt.files import read_json
from nmt.inference.bundle import BUNDLE, CONFIG
from nmt.pipeline.pipeline import run_stages
from nmt.pipeline.run import Run
from nmt.pipeline.translators import digests_of_models


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Write a model from English to German, and one from German to English."""
    write_translator(tmp_path / "en-de", "en", "de")
    write_translator(tmp_path / "de-en", "de", "en")
    return tmp_path


def run_of(root: Path, train: dict[str, Any], **sections: Any) -> Run:
    (root / "held-out.tsv").write_text("Good evening .\tGuten Abend .\n", encoding="utf-8")
    held_out = {"files": "held-out.tsv"}
    return make_run(root, data={"train": train, "dev": held_out, "test": {"news": held_out}}, **sections)


def mono(root: Path, **changed: Any) -> dict[str, Any]:
    (root / "news.de").write_text("Der Hund sieht die Katze.\n", encoding="utf-8")
    return {"monolingual": "news.de", "translate_with": "de-en", **changed}


def pairs(root: Path) -> dict[str, Any]:
    (root / "pairs.tsv").write_text("The dog .\tDer Hund .\n", encoding="utf-8")
    return {"files": "pairs.tsv"}


def test_a_model_reads_the_side_of_its_source_language(models: Path) -> None:
    both = {**pairs(models), "translate_with": ["en-de", "de-en"], "synthetic": {"score_with": "en-de"}}
    run = run_of(models, {"a": {**both, "synthetic": None}, "b": mono(models)})
    found = [(maker.corpus, maker.number, maker.side, maker.scorer) for maker in run.open_makers()]
    assert found == [("a", 0, 0, None), ("a", 1, 1, None), ("b", 0, 1, None)]
    assert run.open_makers()[0].name == f"a by {models / 'en-de'}"
    assert run.open_makers()[0].shards(Path("x")) == Path("x/a/0")
    scored = run_of(models, {"b": mono(models, synthetic={"score_with": "en-de", "keep_share": 0.5})})
    assert [maker.scorer for maker in scored.open_makers()] == [models / "en-de"]
    digests = digests_of_models(scored.recipe.translated["b"], models)
    assert list(digests) == ["de-en", "en-de"]
    assert len({*digests.values()}) == 2


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ({"translate_with": "en-de"}, "data.train.mono.translate_with: {}/en-de translates en to de, not de to en"),
        ({"language": "en"}, "data.train.mono.translate_with: {}/de-en translates de to en, not en to de"),
        (
            {"synthetic": {"score_with": "de-en", "keep_share": 0.5}},
            "data.train.mono.synthetic.score_with: {}/de-en translates de to en, not en to de (it scores pairs in the "
            "direction in which they were not made)",
        ),
        (
            {"translate_with": ["de-en", "en-de"], "synthetic": {"ensemble": True}},
            "data.train.mono.translate_with: models of both directions cannot be an ensemble (set ensemble = false)",
        ),
        (
            {"translate_with": ["de-en", "en-de"], "synthetic": {"method": "noised"}},
            "data.train.mono.translate_with: {}/en-de makes targets, and the noise of data.train.mono.synthetic.method "
            'is for sources (take method = "beam" or "sampling")',
        ),
    ],
)
def test_models_of_other_directions_are_refused(models: Path, corpus: dict[str, Any], message: str) -> None:
    origin = pairs(models) if isinstance(corpus.get("translate_with"), list) else mono(models)
    run = run_of(models, {"mono": {**origin, **corpus}}, tokenizer={"user_defined_symbols": ["<blank>"]})
    with pytest.raises(RecipeError) as caught:
        run_stages(run, "text")
    assert str(caught.value) == message.format(models)
    assert not run.folder.path.exists()


def test_a_teacher_is_of_the_direction_of_the_recipe_there_and_of_another_run(models: Path) -> None:
    def refusal(teacher: str, error: type[Exception]) -> str:
        with pytest.raises(error) as caught:
            run_stages(run_of(models, {"real": pairs(models)}, distillation={"teacher": teacher}), "text")
        return str(caught.value).removeprefix(f"{models}/")

    wrong = f"distillation.teacher: {models}/de-en translates de to en, not en to de"
    assert refusal("de-en", RecipeError) == wrong
    assert refusal("nothing", ArtifactError) == "nothing: no such bundle (after `nmt run` it is runs/NAME/model)"
    shutil.copytree(models / "en-de", models / "run" / "model")
    own = "run/model: lies in the folder of the run that would learn from it (take another model)"
    assert refusal("run/model", UsageError) == own
    values = {key: value for key, value in read_json(models / "en-de" / CONFIG).items() if key != "digest"}
    BUNDLE.write(models / "en-de", {**values, "objective": "denoising"})
    assert refusal("en-de", UsageError).startswith("en-de: was trained for denoising, not translation (fine-tune it")


def test_a_tag_that_the_model_lacks_is_found_before_anything_runs(models: Path) -> None:
    run = run_of(models, {"mono": mono(models, synthetic={"tags": ["<2xx>"]})})
    with pytest.raises(UsageError, match=r"^'<2xx>' is not a tag of the model: it has "):
        run_stages(run, "text")
    assert not run.folder.path.exists()


def test_a_model_searches_as_the_recipe_says_and_not_for_the_least_risk(models: Path) -> None:
    config = read_json(models / "de-en" / CONFIG)
    config["decoding"] |= {"mbr": 8}
    BUNDLE.write(models / "de-en", {key: value for key, value in config.items() if key != "digest"})
    (maker,) = run_of(models, {"b": mono(models)}).open_makers()
    assert maker.load("cpu", None).decoding.mbr == 0
    best_of = mono(models, synthetic={"best_of": 9, "score_with": "en-de"})
    with pytest.raises(RecipeError, match=r"data.train.b.synthetic.best_of = 9: .*de-en has a beam of 4"):
        run_of(models, {"b": best_of}).open_makers()


def test_a_model_of_several_directions_makes_pairs_in_those_of_the_corpus(models: Path) -> None:
    config = read_json(models / "de-en" / CONFIG)
    config["languages"] = {"source": "fr", "target": "en", "directions": ["fr-en", "de-en", "en-de"]}
    BUNDLE.write(models / "de-en", {key: value for key, value in config.items() if key != "digest"})
    run = run_of(models, {"b": mono(models, synthetic={"score_with": "de-en", "keep_share": 0.5})})
    (maker,) = run.open_makers()
    assert (maker.side, maker.pair) == (1, ("de", "en"))
    assert maker.load("cpu", None).direction.languages == ("de", "en")
    scorer = maker.load_scorer("cpu", None)
    assert scorer is not None
    assert scorer.direction.languages == ("en", "de")
    assert scorer.direction.tags[0] == "<2de>"
