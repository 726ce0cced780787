"""The network that finds the ends of sentences for Argos Translate."""

import json
from pathlib import Path

import pytest

pytest.importorskip("onnx")

import numpy as np
import onnx

from nmt.data.sentences import SentenceSplitter
from nmt.exporting.argos_sentences import END, UNKNOWN, Splitter, differing, write

GERMAN = [
    "Das ist gut. Wir gehen. Und du?",
    "Am 3. Mai kam Dr. Maier mit z. B. zwei Hunden usw. Er bellt!",
    "Er wohnt, vgl. Abb. 3, in Bd. Vier. Karl V. war da. Um 5 p.m. Er kam. Um 5 p.m. kam er.",
    'Er sagte: "Ja." Dann ging er. »Wirklich?« fragte sie. (So war es.) [Ende!] Gut.',
    "Warte... was? Nein... Ja. Ende … Gut … so. Was?! Ja!! Nun,",
    "1. Ein Punkt. 12. Noch einer. Seite 3. Neu. Es waren 300. Alle kamen.",
    "Kosten: 3.50 Euro. Mehr unter www.example.org. Neu. - Ein Strich. – Noch einer.",
    "Ein Satz ohne Ende",
    "你好。我很好！“是吗？”他说。他说“走吧。”。好",
    "यह अच्छा है। हम जाते हैं। क्या?",
    "هذا جيد. نحن نذهب؟ نعم!",
    "  Zwei   Leerzeichen.  Und\u00a0mehr.  ",
]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "sentences.onnx"
    write(path, "de")
    return path


@pytest.fixture(scope="module")
def splitter(network: Path) -> Splitter:
    return Splitter(network)


@pytest.mark.parametrize("text", GERMAN)
def test_text_is_cut_as_nmt_cuts_it(splitter: Splitter, text: str) -> None:
    own = SentenceSplitter("de").split(" ".join(text.split()))
    assert splitter.split(text) == [part.strip() for part in own]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("er kam. sie ging.", 1),  # nmt looks whether the whole line is in small letters
        ("Ende. . Neu", 3),  # nmt has no sentences without words
        ("(und bzw.) Nur so.", 2),  # nmt looks for any abbreviation before a bracket
    ],
)
def test_what_needs_more_than_some_characters_is_cut_otherwise(splitter: Splitter, text: str, sentences: int) -> None:
    assert len(splitter.split(text)) == sentences != len(SentenceSplitter("de").split(text))


def test_no_text_has_no_sentence(splitter: Splitter) -> None:
    assert splitter.split(" \t") == []


def test_each_language_has_its_own_abbreviations(tmp_path: Path) -> None:
    text = "Mr. Gov. Smith came on Jan. 5 to St. Ives. On p. 3. Then he left."
    write(tmp_path / "en", "en_US")
    assert Splitter(tmp_path / "en").split(text) == [part.strip() for part in SentenceSplitter("en").split(text)]
    write(tmp_path / "xx", "xx")  # a language that nobody knows
    assert Splitter(tmp_path / "xx").split("Mr. Gov. Smith.") == ["Mr. Gov.", "Smith."]


def test_the_same_language_gives_the_same_bytes(network: Path, tmp_path: Path) -> None:
    write(tmp_path / "again", "de")
    assert (tmp_path / "again").read_bytes() == network.read_bytes()


def test_the_file_says_what_minisbd_asks_of_it(network: Path) -> None:
    model = onnx.load(network)
    onnx.checker.check_model(model, full_check=True)
    said = {item.key: item.value for item in model.metadata_props}
    assert said["lang_code"] == "de"
    assert json.loads(said["config"])["feat_funcs"] == ["capitalized"]
    vocabulary = json.loads(said["vocab"])
    assert vocabulary["lang"] == "de"
    assert vocabulary["_unit2id"]["<PAD>"] == 0
    assert vocabulary["_unit2id"][UNKNOWN] == 1
    assert [each.name for each in model.graph.input] == ["units", "features"]
    assert "\u4e01" not in vocabulary["_unit2id"]  # as <UNK>, a letter
    assert model.ir_version == 8


def test_padding_after_a_text_changes_no_label(splitter: Splitter) -> None:
    units = [splitter.units.get(character, 1) for character in "Ein Satz. Noch einer"]
    labels = splitter.labels(np.array([[*units, 0, 0, 0]]))
    assert labels.shape == (1, len(units) + 3)
    assert np.flatnonzero(labels == END).tolist() == [8]


def test_texts_that_are_cut_otherwise_are_counted(network: Path) -> None:
    texts = ["Ein Satz. Noch einer.", "", "Wie (z.B.) Hunde."]
    assert differing(network, texts, SentenceSplitter("de")) == 0
    assert differing(network, ["er kam. sie ging.", *texts], SentenceSplitter("de")) == 1
