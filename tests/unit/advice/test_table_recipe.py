"""A recipe for a table of corpora: its directions, files and choices, and the tables that are refused."""

from pathlib import Path

import pytest

from nmt.advice.table_recipe import initialize_table, read_table
from nmt.config.toml import load_recipe
from nmt.errors import DataError, NmtError, UsageError
from nmt.tasks.grammar import generate

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
HEADER = "source\ttarget\ttrain\tdev\ttest\n"


def write_files(folder: Path) -> None:
    """Write files of English and German, of both sides and of one side each."""
    for name, count, seed in (("large", 4900, 1), ("small", 240, 2), ("other", 240, 3)):
        pairs = list(generate("train", count, seed))
        (folder / f"{name}.tsv").write_text("".join(f"{en}\t{de}\n" for en, de in pairs), encoding="utf-8")
        for side, code in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            (folder / f"{name}.{code}").write_text(text, encoding="utf-8")


def table(folder: Path, text: str) -> Path:
    (folder / "corpora.tsv").write_text(text, encoding="utf-8")
    return folder / "corpora.tsv"


def test_a_table_becomes_a_recipe_of_its_directions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(tmp_path)
    rows = "en\tde\tlarge.en large.de\t\t\nde\ten\tsmall.de small.en other.de other.en\t\t\n"
    initialize_table(table(tmp_path, HEADER + rows), tmp_path / "many.toml", None, False)
    recipe = load_recipe(str(tmp_path / "many.toml")).recipe
    assert (recipe.name, recipe.languages.directions) == ("many", ["en-de", "de-en"])
    assert {name: (corpus.source, corpus.target, corpus.direction) for name, corpus in recipe.data.train.items()} == {
        "en-de": ("large.en", "large.de", "en-de"),
        "de-en-small": ("small.de", "small.en", "de-en"),
        "de-en-other": ("other.de", "other.en", "de-en"),
    }
    # 4900 and 480 pairs: uneven by direction; a twentieth of the smaller one is split off each.
    assert recipe.data.temperature == 1.5
    assert (recipe.data.dev_pairs, recipe.data.test_pairs) == (24, 24)
    assert recipe.augmentation.single_words == 0
    assert recipe.cleaning.min_script is None
    assert recipe.evaluation.tokenize == "auto"
    assert "found: 5,380 training pairs" in capsys.readouterr().out


def test_dev_and_test_sets_have_the_direction_of_their_row(tmp_path: Path) -> None:
    write_files(tmp_path)
    rows = "en\tde\tlarge.en large.de\tsmall.en small.de\tother.en other.de\n"
    rows += "de\ten\tlarge.en large.de\tsmall.en small.de\tother.en other.de small.de small.en\n"
    initialize_table(table(tmp_path, HEADER + rows), tmp_path / "many.toml", "own", False)
    recipe = load_recipe(str(tmp_path / "many.toml")).recipe
    assert recipe.name == "own"
    assert [*recipe.data.held_out] == [
        *("devs.en-de", "devs.de-en", "test.en-de", "test.de-en-other", "test.de-en-small"),
    ]
    dev = recipe.data.devs["de-en"]
    assert (dev.source, dev.target, dev.tags) == ("small.de", "small.en", ["<2en>"])
    assert recipe.languages_of("test.de-en-small").pair == ("de", "en")


def test_rows_of_one_direction_are_one_and_codes_of_parts_have_underscores(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, "train\ttarget\tsource\na.tsv\tpt-BR\ten\n\nb.tsv\tpt-BR\ten\n"))
    assert [*found] == ["en-pt_BR"]
    assert found["en-pt_BR"].languages.pair == ("en", "pt_BR")
    assert found["en-pt_BR"].files["train"] == [str(tmp_path / "a.tsv"), str(tmp_path / "b.tsv")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column source (the first row names the columns, with TAB between: source, target, train, dev, test)"),
        (
            "source\ttarget\n",
            "no column train (the first row names the columns, with TAB between: source, target, train, dev, test)",
        ),
        (
            "source\ttarget\ttrain\tvalid\n",
            "unknown column 'valid' (its columns are source, target, train, dev, test)",
        ),
        (HEADER, "no row of a direction"),
        (
            "source\ttarget\ttrain\ttrain\nen\tde\ta.tsv\tb.tsv\n",
            "two columns 'train' (a cell may hold several files, with spaces between)",
        ),
        (
            HEADER + "".join(f"q{first}{second}\ten\ta.tsv\n" for first in "abcde" for second in ALPHABET),
            "130 directions, and one model has at most 100",
        ),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(table(tmp_path, text))
    assert str(caught.value) == f"{tmp_path / 'corpora.tsv'}: {said}"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("en\tde\t\t\t", "{table}, row 2: no training files"),
        ("en\tde", "{table}, row 2: no training files"),
        ("\n\nen\tde", "{table}, row 4: no training files"),
        ("en\tde\ta\tb\tc\td", "{table}, row 2: more cells than columns"),
        ("en\ten\ta", "the source and the target language are both en ({table}, row 2)"),
        (
            "en\tgerman\ta",
            "'german' is no language code (did you mean de? codes are as in ISO 639: en, de; qaa to qtz are free for "
            "other languages)",
        ),
    ],
)
def test_a_row_that_is_no_direction_is_refused(tmp_path: Path, row: str, said: str) -> None:
    path = table(tmp_path, f"{HEADER}{row}\n")
    with pytest.raises(NmtError) as caught:
        read_table(path)
    assert str(caught.value) == said.format(table=path)


def test_held_out_files_are_of_all_directions_or_of_none(tmp_path: Path) -> None:
    write_files(tmp_path)
    rows = "en\tde\tlarge.tsv\tsmall.tsv\t\nde\ten\tlarge.tsv\t\t\n"
    with pytest.raises(UsageError) as caught:
        initialize_table(table(tmp_path, HEADER + rows), tmp_path / "many.toml", None, False)
    assert str(caught.value) == (
        f"{tmp_path / 'corpora.tsv'}: de-en has no dev files, and others have some (give some to each direction, or to "
        "none: then pairs of each are split off)"
    )
    assert not (tmp_path / "many.toml").exists()
