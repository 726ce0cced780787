"""How the options of a command load a model."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from nmt.commands.model_options import load_translator, read_terms
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig, TermsConfig
from nmt.data.directions import Direction
from nmt.errors import UsageError
from nmt.inference.translator import Translator


def loaded(
    monkeypatch: pytest.MonkeyPatch, search: DecodingConfig, inference: InferenceConfig, *, is_trained: bool = True
) -> dict[str, object]:
    """Return what the translator is loaded with."""
    seen: dict[str, object] = {}

    def load(*paths: Path, **settings: object) -> SimpleNamespace:
        seen.update(settings, paths=paths)
        return SimpleNamespace(direction=Direction("de", "fr", is_trained=is_trained))

    monkeypatch.setattr(Translator, "load", load)
    load_translator([Path("a"), Path("b")], search, inference)
    return seen


def test_only_settings_of_the_search_that_were_given_replace_the_models_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, DecodingConfig(beam_size=4), InferenceConfig(tags=["<t>"], devices=2, threads=3)) == {
        **{"paths": (Path("a"), Path("b")), "decoding": {"beam_size": 4}},
        **{"tags": ["<t>"], "devices": 2, "threads": 3, "terms": None},
    }


@pytest.mark.parametrize("is_trained", [True, False])
def test_a_direction_that_was_not_trained_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_trained: bool
) -> None:
    loaded(monkeypatch, DecodingConfig(), InferenceConfig(), is_trained=is_trained)
    warning = "nmt: warning: the model was not trained to translate de to fr: expect little of it (zero-shot)\n"
    assert capsys.readouterr().err == ("" if is_trained else warning)


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
    other = InferenceConfig(engine="ctranslate2")
    glossary = TermsConfig(glossary=both.glossary)
    hard = TermsConfig(glossary=both.glossary, glossary_mode="hard")
    for files, option in ((both, "--avoid"), (hard, "--glossary-mode hard")):
        with pytest.raises(UsageError) as error:
            read_terms(files, other)
        assert str(error.value) == f"the engine ctranslate2 has no {option} (leave out --engine)"
    assert read_terms(glossary, other) is not None
    with pytest.raises(UsageError, match="--glossary-mode is for --glossary, and there is none"):
        read_terms(TermsConfig(avoid=both.avoid, glossary_mode="soft"), InferenceConfig())
