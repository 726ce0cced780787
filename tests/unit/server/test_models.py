"""The models that are served: routes, third languages, names."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig, Options
from nmt.config.languages import LanguagesConfig
from nmt.data.reading.terms import Terms
from nmt.errors import ArtifactError, DataError, UsageError
from nmt.files import read_json
from nmt.inference.bundle import LOCK, WEIGHTS, open_bundle, write_bundle
from nmt.inference.results import Candidate, Translation
from nmt.model.tensors import load_tensors
from nmt.server.batching import Ticket
from nmt.server.models import Models, Route, Served, joined

LINES = ["A small dog sleeps.", "", "The woman wants to see the old house."]


@pytest.fixture(scope="module")
def served(tiny_model: Path) -> Iterator[Served]:
    model = Served.load(None, tiny_model, DecodingConfig(), InferenceConfig(device="cpu"), 0.0)
    yield model
    model.batcher.close()


def of_pair(served: Served, source: str, target: str, name: str = "") -> Served:
    return dataclasses.replace(served, source=source, target=target, name=name or f"{source}-{target}")


def names(route: Route | None) -> list[str]:
    return [model.name for model in route.models] if route else []


def test_a_model_has_the_name_of_its_recipe_and_its_languages(served: Served, tiny_model: Path) -> None:
    assert (served.name, served.source, served.target) == ("tiny", "en", "de")
    other = Served.load("mine", tiny_model, DecodingConfig(beam_size=2), InferenceConfig(device="cpu"), 0.0)
    assert (other.name, other.translator.decoding.beam_size) == ("mine", 2)
    other.batcher.close()
    with pytest.raises(ArtifactError):
        Served.load(None, tiny_model / "none", DecodingConfig(), InferenceConfig(), 0.0)


def test_it_translates_as_its_translator_does_with_a_report_of_its_own(served: Served) -> None:
    options = Options(n_best=2, alignment=True)
    translations, report = served.translate(LINES, options, Ticket())
    assert translations == served.translator.translate(LINES, options)
    assert (report.lines, report.blank) == (3, [2])
    begun, _ = served.translate(LINES, Options(), Ticket(), prefixes=["Der", "", ""])
    assert begun[0].text.startswith("Der")


def test_a_route_is_direct_or_by_way_of_a_third_language(served: Served) -> None:
    models = Models.of([of_pair(served, *pair.split("-")) for pair in ("de-en", "en-fr", "fr-de", "en-it", "de-fr")])
    assert names(models.route("de", "en")) == ["de-en"]
    assert names(models.route("de", "fr")) == ["de-fr"], "not by way of English"
    assert names(models.route("de", "it")) == ["de-en", "en-it"]
    assert models.route("it", "de") is None
    assert models.route("de", "de") is None
    by_english = models.route("de", "it")
    assert by_english is not None
    assert (by_english.source, by_english.target, by_english.pivot) == ("de", "it", "en")
    assert models.languages == ["de", "en", "fr", "it"]


def test_codes_in_any_spelling_name_a_language(served: Served) -> None:
    models = Models.of([of_pair(served, "en", "pt-BR"), of_pair(served, "en", "no")])
    assert names(models.route("eng", "pt")) == ["en-pt-BR"]
    assert names(models.route("EN", "nb")) == ["en-no"]


def test_of_several_models_of_a_pair_the_first_one_answers_and_others_have_names(served: Served) -> None:
    models = Models.of([of_pair(served, "en", "de", "one"), of_pair(served, "en", "de", "two")])
    assert names(models.route("en", "de")) == ["one"]
    assert names(models.named("two")) == ["two"]
    assert models.named("three") is None
    assert models.described() == ["en to de: one", "en to de: two, by its name"]
    with pytest.raises(UsageError, match="two models are called one"):
        Models.of([of_pair(served, "en", "de", "one"), of_pair(served, "de", "en", "one")])


def test_a_third_language_gives_the_translation_of_the_translation(served: Served) -> None:
    models = Models.of([of_pair(served, "de", "en"), of_pair(served, "en", "it")])
    route = models.route("de", "it")
    assert route is not None
    options = Options(n_best=2, alignment=True)
    found, reports = route.translate(LINES, options, Ticket())
    middle = served.translator.translate(LINES, options)
    expected = served.translator.translate([one.text for one in middle], options)
    assert [one.source for one in found] == LINES
    assert [[each.text for each in one.candidates] for one in found] == [
        [each.text for each in one.candidates] for one in expected
    ]
    assert found[0].score == pytest.approx(middle[0].score + expected[0].score)
    assert [warning for report in reports for warning in report.warnings() if "blank" in warning] == [
        "input lines blank, and so are their translations: 1 (line 2)"
    ] * 2


def test_by_way_of_a_third_language_the_first_is_checked_against_the_last(served: Served) -> None:
    route = Route((of_pair(served, "de", "en"), of_pair(served, "en", "it")))
    lines = ["Ein Hund.", "12 Hunde"]
    found, reports = route.translate(lines, Options(check=True, n_best=2), Ticket(chars=17))
    assert found[1].checks == {"numbers": {"missing": ["12"], "invented": []}}
    assert [one.checks for one in found[0].candidates] == [{}, {}]
    assert [report.failed for report in reports] == [{}, {"numbers missing": [2]}]
    plain, _ = route.translate(lines, Options(n_best=2), Ticket())
    assert [[one.text for one in each.candidates] for each in plain] == [
        [one.text for one in each.candidates] for each in found
    ]
    assert plain[1].checks is None


def test_alignments_are_joined() -> None:
    def translation(source: str, text: str, alignment: list[tuple[int, int]] | None) -> Translation:
        return Translation(source, [Candidate(text, -1.0, [], alignment=alignment)])

    first = translation("a b c", "x y", [(0, 0), (1, 0), (2, 1)])
    both = joined(first, translation("x y", "u v w", [(0, 2), (1, 0), (1, 1)]))
    assert (both.source, both.text, both.score) == ("a b c", "u v w", -2.0)
    assert both.candidates[0].alignment == [(0, 2), (1, 2), (2, 0), (2, 1)]
    assert joined(first, translation("x y", "u", None)).candidates[0].alignment is None


def test_the_characters_of_a_route_are_counted_once_for_all_its_models(served: Served) -> None:
    ticket = Ticket(chars=10)
    Route((served, served)).translate(["A dog.", ""], Options(), ticket)
    assert ticket.chars == 4
    with pytest.raises(DataError, match="unpacks to more text"):
        Route((served,)).translate(["A dog."], Options(), ticket)


def test_by_way_of_a_third_language_there_are_no_terms(served: Served) -> None:
    models = Models.of([of_pair(served, "de", "en"), of_pair(served, "en", "it")])
    route = models.route("de", "it")
    assert route is not None
    with pytest.raises(UsageError) as error:
        route.translate(LINES, Options(), Ticket(), terms=Terms.of({"dog": "Hund"}))
    problem = "a glossary goes with one model: de becomes it by way of en"
    assert str(error.value) == f"{problem} (leave out glossary and avoid)"


def test_a_model_of_several_directions_is_served_as_one_for_each(tmp_path: Path, tiny_model: Path) -> None:
    languages = LanguagesConfig.model_validate({"directions": ["de-en", "en-fr"]})
    bundle = open_bundle(tiny_model)
    config = bundle.config.model_copy(update={"name": "many", "languages": languages})
    write_bundle(
        tmp_path / "many", load_tensors(tiny_model / WEIGHTS), tiny_model, read_json(tiny_model / LOCK), config
    )
    model = Served.load(None, tmp_path / "many", DecodingConfig(), InferenceConfig(device="cpu"), 0.0)
    served = model.directions
    assert [one.name for one in served] == ["many/de-en", "many/en-fr"]
    assert [one.translator.direction.tags[0] for one in served] == ["<2en>", "<2fr>"]
    assert {one.batcher for one in served} == {model.batcher}
    models = Models.of(served)
    route = models.route("de", "fr")
    assert route is not None
    assert ([one.name for one in route.models], route.pivot) == (["many/de-en", "many/en-fr"], "en")
    assert models.languages == ["de", "en", "fr"]
    assert models.route("fr", "en") is None
    models.close()
    model.batcher.join()
