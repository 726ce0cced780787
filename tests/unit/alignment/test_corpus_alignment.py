"""The alignment of training text, and the dictionary made from it."""

from collections import Counter
from pathlib import Path

import pytest

from nmt.alignment import corpus_alignment
from nmt.alignment.corpus_alignment import Translation, read_alignment, read_dictionary, write_alignment
from nmt.alignment.words import split_words
from nmt.config.data import DataConfig
from nmt.data.cleaning.corpus_text import _write_pairs
from nmt.errors import DataError
from nmt.files import digest_file

WORDS = {"House": "Haus", "dog": "Hund", "red": "rotes", "small": "kleines", "and": "und", "7": "7"}


def lines(count: int) -> list[tuple[str, str]]:
    """Return pairs of the same words in the same order, each a different selection."""
    words = [*WORDS]
    chosen = [[word for bit, word in enumerate(words) if (number % 62 + 1) >> bit & 1] for number in range(count)]
    return [(f"{' '.join(line)}.", f"{' '.join(WORDS[word] for word in line)}.") for line in chosen]


@pytest.fixture
def data() -> DataConfig:
    corpus = {"source": "x.en", "target": "x.de"}
    train = {"a": corpus, "b": {**corpus, "tags": ["<b>"]}}
    return DataConfig.model_validate({"train": train, "monolingual": {"m": {"text": "y", "language": "de"}}})


@pytest.fixture
def text(tmp_path: Path) -> Path:
    folder = tmp_path / "text"
    pairs = lines(150)
    _write_pairs(folder / "train", 0, "a", pairs[:100], {"rows": 100})
    _write_pairs(folder / "train", 1, "b", [(f"<b> {s}", t) for s, t in pairs[100:]], {"rows": 50})
    _write_pairs(folder / "train", 2, "m", [("Haus und Hund", "Haus und Hund")], {"rows": 1})
    return folder


def test_every_pair_has_its_links_between_the_words_of_its_lines(text: Path, data: DataConfig, tmp_path: Path) -> None:
    counts = write_alignment(text, data, tmp_path / "made")
    first, second, third = (list(read_alignment(tmp_path / "made", number)) for number in range(3))
    assert (len(first), len(second), third) == (100, 50, [[]])
    plain, tagged = lines(150)[5], lines(150)[105]
    assert first[5] == [(i, i) for i in range(len(split_words(plain[0])))]
    shift = len(split_words("<b>"))
    assert second[5] == [(i + shift, i) for i in range(len(split_words(tagged[0])))]
    assert (counts.pairs, counts.learned, counts.unaligned, counts.too_long) == (151, 150, 1, 0)
    assert counts.links == counts.source_words == counts.target_words == sum(map(len, first + second))


def test_the_dictionary_has_the_words_as_they_are_written(text: Path, data: DataConfig, tmp_path: Path) -> None:
    counts = write_alignment(text, data, tmp_path / "made")
    entries = read_dictionary(tmp_path / "made")
    assert {entry.source: entry.target for entry in entries} == {s: t for s, t in WORDS.items() if s != "7"}
    assert counts.translations == len(entries) == 5
    assert [entry.count for entry in entries] == sorted((entry.count for entry in entries), reverse=True)
    assert {entry.probability for entry in entries} == {1.0}


def test_a_word_has_its_most_frequent_translation_and_what_was_seen_once_is_left_out() -> None:
    links = Counter({("a", "x"): 3, ("a", "y"): 3, ("b", "z"): 1, ("c", "v"): 2, ("c", "w"): 4, ("d", "."): 9})
    words = Counter({"a": 8, "b": 1, "c": 4, "d": 9})
    assert corpus_alignment._translations(links, words) == [
        Translation("c", "w", 1.0, 4),
        Translation("a", "x", 0.375, 3),
    ]


def test_long_pairs_are_counted(data: DataConfig, tmp_path: Path) -> None:
    _write_pairs(tmp_path / "train", 0, "a", [("w " * 201, "w"), ("w", "w")], {"rows": 2})
    counts = write_alignment(tmp_path, data, tmp_path / "made")
    assert (counts.too_long, counts.unaligned, counts.learned) == (1, 1, 1)
    assert list(read_alignment(tmp_path / "made", 0)) == [[], [(0, 0)]]


def test_of_a_large_text_the_model_learns_from_pairs_evenly_spaced(
    text: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_alignment, "LEARNED", 60)
    counts = write_alignment(text, data, tmp_path / "made")
    assert counts.learned in (59, 60)  # the monolingual line may be one of them
    assert len(list(read_alignment(tmp_path / "made", 0))) == 100


def test_the_files_are_the_same_each_time(text: Path, data: DataConfig, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_alignment(text, data, tmp_path / name)
    for file in ("train/00000.txt", "train/00001.txt", "dictionary.tsv"):
        assert digest_file(tmp_path / "one" / file) == digest_file(tmp_path / "two" / file)


def test_files_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train/00003\.txt: missing or damaged \(prepare the data again\)$"):
        list(read_alignment(tmp_path, 3))
    with pytest.raises(DataError, match=r"dictionary\.tsv: missing or damaged \(prepare the data again\)$"):
        read_dictionary(tmp_path)
    (tmp_path / "dictionary.tsv").write_text("a\tb\t0.5\n")
    with pytest.raises(DataError, match=r"dictionary\.tsv: missing or damaged"):
        read_dictionary(tmp_path)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "00000.txt").write_text("0-0\n0-x\n")
    with pytest.raises(DataError, match=r"00000\.txt:2: '0-x' is no link"):
        list(read_alignment(tmp_path, 0))
    (tmp_path / "train" / "00000.txt").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match=r"00000\.txt: missing or damaged"):
        list(read_alignment(tmp_path, 0))
