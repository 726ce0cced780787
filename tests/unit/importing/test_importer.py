"""Imported models split, score and translate as transformers does, and are refused where they do not."""

import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nmt.config.inference import Options
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.parity import agreement
from nmt.files import digest_file, read_json
from nmt.importing import importer
from nmt.importing.importer import import_model, licence_of, report
from nmt.importing.marian import MarianFolder
from nmt.inference.bundle import BundleConfig, open_bundle
from nmt.inference.translator import Translator

pytest.importorskip("transformers")
from marians import TAGS, save_marian

from nmt.importing.peer import Peer

KINDS: dict[str, dict[str, Any]] = {
    "joint": {"pickled": True},
    "tags": {"tags": True, "activation_function": "gelu"},
    "apart": {"separate": True, "activation_function": "relu", "scale_embedding": False, "seed": 2},
    "bpe": {"kind": "bpe", "seed": 4, "tie_word_embeddings": False, "half": True},
}
NAME, COMMIT = "Org/opus-mt-en-de", "a" * 40


def run(folder: Path, output: Path, **changes: Any) -> BundleConfig:
    settings: dict[str, Any] = {"origin": "some", "revision": None, "languages": (None, None), "sample": None}
    return import_model(folder, output, **{**settings, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a kind. Shared: never change it."""
    home = tmp_path_factory.mktemp("marian")

    def make(kind: str) -> Path:
        return home / kind if (home / kind).exists() else save_marian(home / kind, **KINDS[kind])

    return make


@pytest.fixture(scope="module")
def bundle_of(made: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the bundle of a kind. Shared: never change it."""
    home = tmp_path_factory.mktemp("bundle")

    def make(kind: str) -> Path:
        if not (home / kind).exists():
            run(made(kind), home / kind, origin=NAME, revision=COMMIT)
        return home / kind

    return make


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmt.exporting.parity.DRAWN_LINES", 24)
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_agrees_with_transformers(
    kind: str, made: Callable[[str], Path], bundle_of: Callable[[str], Path]
) -> None:
    config = open_bundle(bundle_of(kind)).config
    assert config.imported is not None
    parity = config.imported.parity
    assert list(parity) == ["tokenizer", "log_probabilities", "beam_1", "beam_5", "text"]
    assert parity["tokenizer"]["lines"] >= 100
    assert parity["log_probabilities"]["pieces"] > 24 * 12
    assert parity["log_probabilities"]["difference"] <= 1e-4
    for beam in ("beam_1", "beam_5"):
        assert parity[beam]["differing"] == 0
        assert parity[beam]["lines"] > 12
    assert parity["text"]["differing"] == 0
    assert config.imported.files["source.spm"] == digest_file(made(kind) / "source.spm")
    assert read_json(bundle_of(kind) / "lock.json")["imported"] == config.imported.model_dump()


def test_the_origin_is_on_the_card_and_said(bundle_of: Callable[[str], Path]) -> None:
    bundle = open_bundle(bundle_of("tags"))
    assert (bundle.config.name, bundle.config.languages.pair) == ("opus-mt-en-de", ("en", "de"))
    source = f"{NAME} (revision {COMMIT}, licence cc-by-4.0)"
    card = (bundle.path / "README.md").read_text(encoding="utf-8")
    assert f"It was imported from {source}; `lock.json` has the digests of its files." in card
    assert "A translation model imported by nmt " in card
    said = list(report(bundle.config))
    assert said[0] == f"{source}, en to de"
    assert said[3].startswith("beam 1: 0 of 24 lines differ from transformers', 0 ties; scores within ")
    assert said[-1].startswith(
        'to train on, a recipe has [model] d_model = 16, heads = 4, ffn = 24, activation = "gelu"'
    )
    assert "output_bias = true" in said[-1]


def test_a_text_is_compared_where_one_is_given(made: Callable[[str], Path], tmp_path: Path) -> None:
    sample = tmp_path / "sample.en"
    sample.write_text("The old woman sees a dog.\n\n>>deu<< A dog sleeps.\n", encoding="utf-8")
    config = run(made("tags"), tmp_path / "model", sample=sample)
    assert config.imported is not None
    assert config.imported.sample == digest_file(sample)
    assert config.imported.parity["beam_1"]["lines"] == 2


def test_a_bundle_translates_with_tags_and_alignments(bundle_of: Callable[[str], Path]) -> None:
    model = bundle_of("tags")
    plain = Translator.load(model, device="cpu")
    tagged = Translator.load(model, device="cpu", tags=[TAGS[1]])
    line = "The old woman sees a dog."
    whole = plain.translate([line, f"{TAGS[1]} {line}", f"{TAGS[0]} {line}"], Options(alignment=True))
    assert tagged.translate([line])[0].candidates[0].text == whole[1].candidates[0].text
    assert len({one.candidates[0].score for one in whole}) == 3
    words = {source for one in whole[1:] for source, _ in one.candidates[0].alignment or []}
    assert words <= set(range(1, 7))
    with pytest.raises(UsageError, match="'>>fra<<' is not a tag of the model: it has >>deu<<, >>nds<<"):
        Translator.load(model, device="cpu", tags=[">>fra<<"])


def test_pieces_that_are_forbidden_there_are_said(
    made: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(made("joint"), tmp_path / "folder")
    (folder / "generation_config.json").write_text('{"bad_words_ids": [[7]], "num_beams": 6}', encoding="utf-8")
    config = run(folder, tmp_path / "model")
    assert f"{folder}: bad_words_ids also forbids 7, which nmt's search may write\n" in capsys.readouterr().err
    assert config.decoding.beam_size == 6


def add_bias(peer: Peer) -> None:
    peer.model.final_logits_bias[0, 9] += 0.5


def tokenize_otherwise(peer: Peer) -> None:
    peer.own_source = {theirs: (ours + 1 if ours > 8 else ours) for theirs, ours in peer.own_source.items()}


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (add_bias, "the import is not kept: its log-probabilities are up to "),
        (tokenize_otherwise, "the import is not kept: it splits "),
    ],
)
def test_a_model_that_differs_is_not_kept(
    act: Callable[[Peer], None],
    expected: str,
    made: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = Peer.__init__

    def spoilt(self: Peer, folder: Any) -> None:
        begin(self, folder)
        with torch.no_grad():
            act(self)

    monkeypatch.setattr(Peer, "__init__", spoilt)
    with pytest.raises(ArtifactError) as caught:
        run(made("joint"), tmp_path / "model")
    assert str(caught.value).startswith(expected)
    assert str(caught.value).endswith(" than transformers does")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("score", "gap", "is_kept"),
    [(-2.0, 9e-5, True), (-2.0, 2e-4, False), (-30.0, 2e-4, True), (-30.0, 4e-4, False), (-2.0, math.nan, False)],
)
def test_log_probabilities_may_differ_in_their_last_digits(score: float, gap: float, is_kept: bool) -> None:
    def engine(found: float) -> Any:
        return SimpleNamespace(
            batch_tokens=100, target=range(9), score=lambda batches: ([[found] * 2] * len(batch) for batch in batches)
        )

    with nullcontext() if is_kept else pytest.raises(ArtifactError, match="its log-probabilities are up to "):
        found = importer.compare_scores(engine(score), engine(score + gap), [([5], [6])])
        assert found == {"pieces": 4, "difference": pytest.approx(gap)}


def test_another_search_is_not_kept(
    made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "agreement", lambda *arguments: {**agreement(*arguments), "differing": 3})
    with pytest.raises(
        ArtifactError, match=r"at beam 1 it translates 3 of 24 lines differently than transformers does"
    ):
        run(made("joint"), tmp_path / "model")


def test_languages_are_given_or_named(made: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(made("joint"), tmp_path / "folder")
    (folder / "tokenizer_config.json").write_text(json.dumps({}), encoding="utf-8")
    with pytest.raises(UsageError, match=r"folder: does not say its languages \(add --source SRC --target TGT\)"):
        run(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    opened = MarianFolder.open(folder)
    pairs = {
        origin: importer.config_of(opened, origin, given).languages.pair
        for origin, given in {
            "H/opus-mt-en-ROMANCE": (None, None),
            "opus-mt-tc-big-zle-en": (None, None),
            "x": ("eng", "pt_br"),
            "opus-mt-fi-sv": (None, "swe"),
        }.items()
    }
    assert list(pairs.values()) == [("en", "ROMANCE"), ("zle", "en"), ("en", "pt-BR"), ("fi", "sv")]


def test_an_output_in_use_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UsageError, match="is there already"):
        run(tmp_path / "none", tmp_path)


def test_without_transformers_the_command_that_installs_it_is_named(
    made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "nmt.importing.peer")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        UsageError, match=r"^nmt import needs a package that is not installed \(pip install .*huggingface"
    ):
        run(made("joint"), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\nlicense: [1]\n---\n", None),
        ("---\na: [\n---\n", None),
        ("no head", None),
        (None, None),
    ],
)
def test_the_licence_is_that_of_the_card(card: str | None, licence: str | None, tmp_path: Path) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert licence_of(tmp_path / "README.md") == licence
