"""From file names on a command line to corpora and languages."""

from pathlib import Path
from typing import Any

import pytest

from nmt.config.data import CorpusConfig, LanguagesConfig
from nmt.data.reading.named_files import distinct_names, language_pair, merged, named_corpora, side_of
from nmt.errors import DataError, UsageError

EN_DE = LanguagesConfig(source="en", target="de")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with files that are named as corpora are, and go there."""
    for name in (
        "a.en",
        "a.de",
        "b.en.gz",
        "b.de",
        "x.en",
        "y.de",
        "c.tsv",
        "d.jsonl.gz",
        "e.tar.gz",
        "n.txt",
        "sub/a.en",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "sub" / "a.de").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def grouped(*names: str, languages: LanguagesConfig = EN_DE) -> dict[str, Any]:
    corpora = named_corpora(names, languages, "--train")
    return {name: config.files or (config.source, config.target) for name, config in corpora.items()}


@pytest.mark.usefixtures("here")
def test_files_are_paired_by_their_names_in_any_order() -> None:
    assert grouped("a.en", "b.de", "a.de", "b.en.gz") == {"a": ("a.en", "a.de"), "b": ("b.en.gz", "b.de")}
    assert grouped("b.en", "b.de") == {"b": ("b.en.gz", "b.de")}, "a compressed file may be named without its ending"
    assert grouped("x.en", "y.de") == {"x": ("x.en", "y.de")}, "the only two that are left"


@pytest.mark.usefixtures("here")
def test_files_of_both_sides_are_corpora_by_themselves() -> None:
    assert grouped("c.tsv", "d.jsonl.gz", "sub", "e.tar.gz") == {
        "c": "c.tsv",
        "d": "d.jsonl.gz",
        "sub": "sub",
        "e": "e.tar.gz",
    }
    assert grouped("sacrebleu:wmt14/full:en-de") == {"wmt14-full": "sacrebleu:wmt14/full:en-de"}


@pytest.mark.usefixtures("here")
def test_names_that_come_twice_get_their_folder_before_them() -> None:
    assert list(grouped("a.en", "a.de", "sub/a.en", "sub/a.de")) == ["a", "sub-a"]
    assert distinct_names(["x", "x", "v 1/dé.en"]) == ["x", "x-2", "d-.en"]


@pytest.mark.parametrize(
    ("name", "place"),
    [("a.en", 0), ("a.PT.gz", 1), ("a.pt_br", 1), ("a.pt-BR", 1), ("a.pt-PT", None), ("en", 0), ("a.fr", None)],
)
def test_a_side_is_known_by_the_ending_of_its_name(name: str, place: int | None) -> None:
    assert side_of(name, LanguagesConfig(source="en", target="pt-BR")) == place


def test_two_scripts_of_a_language_are_known_by_the_whole_code() -> None:
    languages = LanguagesConfig(source="zh-CN", target="zh-TW")
    assert [side_of(f"a.{ending}", languages) for ending in ("zh-cn", "zh_TW", "zh")] == [0, 1, None]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.en"], "--train: a.en: no file of de with it (name a.de too)"),
        (["a.en", "a.de", "y.de"], "--train: y.de: no file of en with it (name y.en too)"),
        (["a.en", "a.de", "a.en"], "--train: a.en and a.en are the same side of a"),
        (
            ["n.txt"],
            "--train: n.txt: its name tells neither its language nor its format (lines of one side are in NAME.en and "
            "NAME.de, both sides in .tsv, .csv, .jsonl, .parquet, .tmx, a folder or an archive of such files)",
        ),
    ],
)
def test_files_that_cannot_be_paired_are_one_line(names: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        grouped(*names)
    assert str(caught.value) == message


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch.en", "nosuch.en: no such file (nor nosuch.en.gz)"),
        (
            "sacrebleu:wmt14/fall",
            "sacrebleu:wmt14/fall: sacreBLEU has no test set 'wmt14/fall' (did you mean wmt14/full",
        ),
        ("sacrebleu:wmt14/full:en-cs", "sacrebleu:wmt14/full:en-cs: of en-cs, but the recipe's languages are en-de"),
    ],
)
def test_data_that_is_not_there_is_one_line(name: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        grouped(name)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (("en", "EN"), "the source and the target language are both en (nmt init SRC TGT --train ...)"),
        (("en", "a b"), "'a b' is no language code (codes are as in ISO 639-1: en, de)"),
    ],
)
def test_languages_that_cannot_be_are_one_line(codes: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        language_pair(*codes, "nmt init SRC TGT --train ...")
    assert str(caught.value) == message


@pytest.mark.usefixtures("here")
def test_several_files_for_dev_are_one_corpus() -> None:
    several = merged(named_corpora(["a.en", "a.de", "x.en", "y.de"], EN_DE, "--dev"))
    assert several == CorpusConfig(source=["a.en", "x.en"], target=["a.de", "y.de"])
    assert merged(named_corpora(["c.tsv", "sub"], EN_DE, "--dev")) == CorpusConfig(files=["c.tsv", "sub"])
    assert merged({}) is None
    with pytest.raises(UsageError) as caught:
        merged(named_corpora(["a.en", "a.de", "c.tsv"], EN_DE, "--dev"))
    assert str(caught.value) == "--dev: files of one side and of both cannot be mixed (dev is one corpus)"
