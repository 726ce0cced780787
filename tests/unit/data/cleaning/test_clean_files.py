"""Text cleaned from files to files."""

import gzip
from pathlib import Path

import pytest

from nmt.config.data import CleaningConfig
from nmt.data.cleaning.clean_files import clean_files, output_paths, writing_pairs
from nmt.data.reading.named_files import NamedCorpus, named_corpus
from nmt.errors import UsageError

PAIRS = [("A red house.", "Ein rotes Haus."), ("Two  dogs.", "Zwei Hunde."), ("same", "same")]


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NamedCorpus:
    """Go to a folder with a text of three pairs, of which two are good."""
    monkeypatch.chdir(tmp_path)
    for side, language in enumerate(("en", "de")):
        (tmp_path / f"a.{language}").write_text("".join(f"{pair[side]}\n" for pair in PAIRS), encoding="utf-8")
    return named_corpus(["a.en", "a.de"])


def cleaned(text: NamedCorpus, held_out: NamedCorpus | None, output: str) -> list[str]:
    paths, counts = clean_files(text, held_out, Path(output), CleaningConfig(), workers=1, stdin=None)
    lines = [path.read_text(encoding="utf-8").split("\n")[:-1] for path in paths]
    assert all(len(side) == counts.pairs for side in lines)
    return lines[0]


def test_text_is_cleaned_and_held_out_text_kept_out_of_it(text: NamedCorpus, tmp_path: Path) -> None:
    assert cleaned(text, None, "b") == ["A red house.", "Two dogs."]
    (tmp_path / "test.tsv").write_text("A red house!\tEin rotes Haus!\n", encoding="utf-8")
    held_out = named_corpus(["test.tsv"], "en", "de")
    assert cleaned(text, held_out, "c.tsv") == ["Two dogs.\tZwei Hunde."]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.de", "a.en", "b.de", "b.en", "c.tsv", "test.tsv"]


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("b", ["b.en", "b.de"]),
        ("b.gz", ["b.en.gz", "b.de.gz"]),
        ("b.v2", ["b.v2.en", "b.v2.de"]),
        ("b.tsv", ["b.tsv"]),
        ("b.tsv.gz", ["b.tsv.gz"]),
        ("b.TSV.GZ", ["b.TSV.GZ"]),
        ("b.xz", ["b.en.xz", "b.de.xz"]),
        ("b.zst", ["b.en.zst", "b.de.zst"]),
    ],
)
def test_the_output_is_a_table_or_a_file_of_each_language(text: NamedCorpus, output: str, names: list[str]) -> None:
    assert output_paths(Path(output), text, None) == list(map(Path, names))


@pytest.mark.parametrize("output", ["-", "b.zip", "b.gz.xz", "b.csv", "b.tar.gz", "no/b", "a", "t", "folder"])
def test_outputs_that_cannot_be_written_are_errors(text: NamedCorpus, output: str, tmp_path: Path) -> None:
    (tmp_path / "folder.de").mkdir()
    (tmp_path / "t.en").write_text("x\n", encoding="utf-8")
    (tmp_path / "t.de").write_text("x\n", encoding="utf-8")
    with pytest.raises(UsageError, match=rf"^-o {output}: "):
        output_paths(Path(output), text, named_corpus(["t.en", "t.de"]))


def test_compressed_pairs_have_no_date_and_tabs_within_a_side_become_spaces(tmp_path: Path) -> None:
    contents = []
    for name in ("one.tsv.gz", "two.tsv.gz"):
        with writing_pairs([tmp_path / name]) as write:
            write("a\tb", "c")
            write("d", "e")
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert gzip.decompress(contents[0]) == b"a b\tc\nd\te\n"
    with writing_pairs([tmp_path / "x.en", tmp_path / "x.de"]) as write:
        write("a\tb", "c")
    assert [(tmp_path / f"x.{code}").read_bytes() for code in ("en", "de")] == [b"a\tb\n", b"c\n"]
