"""How the options of a command load a model."""

from pathlib import Path

import pytest

from nmt.commands.model_options import load_translator, read_terms
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig, TermsConfig
from nmt.errors import UsageError
from nmt.inference.translator import Translator


def loaded(monkeypatch: pytest.MonkeyPatch, search: DecodingConfig, inference: InferenceConfig) -> dict[str, object]:
    """Return what the translator is loaded with."""
    seen: dict[str, object] = {}
    monkeypatch.setattr(Translator, "load", lambda *paths, **settings: seen.update(settings, paths=paths))
    load_translator([Path("a"), Path("b")], search, inference)
    return seen


def test_only_settings_of_the_search_that_were_given_replace_the_models_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, DecodingConfig(beam_size=4), InferenceConfig(tags=["<t>"], devices=2, threads=3)) == {
        **{"paths": (Path("a"), Path("b")), "decoding": {"beam_size": 4}},
        **{"tags": ["<t>"], "devices": 2, "threads": 3, "terms": None},
    }


@pytest.mark.parametrize(
    ("given", "passed"),
    [({}, {}), ({"protect": "none"}, {"protect": None}), ({"protect": ""}, {"protect": ""})],
)
def test_protection_is_the_models_own_unless_given(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], passed: dict[str, object]
) -> None:
    settings = loaded(monkeypatch, DecodingConfig(), InferenceConfig.model_validate(given))
    assert {name: value for name, value in settings.items() if name == "protect"} == passed


def test_terms_are_read_where_files_are_given_and_the_engine_knows_them(tmp_path: Path) -> None:
    (tmp_path / "terms.tsv").write_text("cat\tKatze\n", encoding="utf-8")
    (tmp_path / "avoid.txt").write_text("Hund\n", encoding="utf-8")
    assert read_terms(TermsConfig(), InferenceConfig(engine="ctranslate2")) is None
    both = TermsConfig(glossary=str(tmp_path / "terms.tsv"), avoid=str(tmp_path / "avoid.txt"))
    terms = read_terms(both, InferenceConfig())
    assert terms is not None
    assert (len(terms.entries), len(terms.avoided)) == (1, 1)
    with pytest.raises(UsageError) as error:
        read_terms(both, InferenceConfig(engine="ctranslate2"))
    assert str(error.value) == "the engine ctranslate2 has no --glossary (leave out --engine)"
