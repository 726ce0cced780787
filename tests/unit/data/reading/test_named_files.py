import zipfile
from pathlib import Path
from typing import Any

import pytest

from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.reading.named_files import (
    NamedCorpus,
    distinct_names,
    holds_pairs,
    known_pair,
    language_pair,
    merged,
    named_corpora,
    named_corpus,
    safe_name,
    shortened,
    side_of,
    stem_of,
)
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
        "n.text",
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
def test_columns_are_those_of_the_files_that_have_some() -> None:
    Path("f.tmx").touch()
    names = ["c.tsv", "f.tmx", "a.en", "a.de", "sacrebleu:wmt14"]
    corpora = named_corpora(names, EN_DE, "--train", ["2", "3"])
    assert {name: config.columns for name, config in corpora.items()} == {
        "c": ["2", "3"],
        "f": None,
        "a": None,
        "wmt14": None,
    }
    assert merged(dict.fromkeys("xy", corpora["c"]), "--dev") == CorpusConfig(
        files=["c.tsv", "c.tsv"], columns=["2", "3"]
    )
    assert merged({key: corpora[key] for key in "fc"}, "--dev") == CorpusConfig(
        files=["f.tmx", "c.tsv"], columns=["2", "3"]
    )


@pytest.mark.usefixtures("here")
def test_names_that_come_twice_get_their_folder_before_them() -> None:
    assert list(grouped("a.en", "a.de", "sub/a.en", "sub/a.de")) == ["a", "sub-a"]
    assert distinct_names(["x", "x", "v 1/dé.en"]) == ["x", "x-2", "d-.en"]


@pytest.mark.parametrize(
    ("name", "side"),
    [("a.en", 0), ("a.PT.gz", 1), ("a.pt_br", 1), ("a.pt-BR", 1), ("a.pt-PT", None), ("en", 0), ("a.fr", None)],
)
def test_a_side_is_known_by_the_ending_of_its_name(name: str, side: int | None) -> None:
    assert side_of(name, LanguagesConfig(source="en", target="pt-BR")) == side


@pytest.mark.parametrize("name", ["train.en.txt", "train.EN.TXT.gz", "train.en.text", "a.b.en.txt.GZ", "a.EN"])
def test_a_language_may_stand_before_txt(name: str) -> None:
    assert side_of(name, EN_DE) == 0


def test_files_of_text_are_paired_by_the_languages_before_txt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("t.en.txt", "t.de.txt.gz", "u.EN", "u.DE"):
        Path(name).touch()
    assert grouped("t.en.txt", "t.de.txt.gz") == {"t": ("t.en.txt", "t.de.txt.gz")}
    assert named_corpus(["t.en.txt", "t.de.txt.gz"]).languages == EN_DE
    assert named_corpus(["u.EN", "u.DE"]).languages == EN_DE
    assert side_of("en.txt", EN_DE) is None


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
            "NAME.de, both sides in .tsv, .csv, .jsonl, .parquet, .tmx, .xlf, .po, .xml, .xlsx, a folder or an archive "
            "of such files)",
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
        (("en", "eng_Latn"), "the source and the target language are both en (nmt init SRC TGT --train ...)"),
        (("en", "a/b"), "'a/b' is no language code (codes are as in ISO 639: en, de)"),
    ],
)
def test_languages_that_cannot_be_are_one_line(codes: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        language_pair(*codes, "nmt init SRC TGT --train ...")
    assert str(caught.value).startswith(message)


@pytest.mark.usefixtures("here")
def test_several_files_for_dev_are_one_corpus() -> None:
    several = merged(named_corpora(["a.en", "a.de", "x.en", "y.de"], EN_DE, "--dev"), "--dev")
    assert several == CorpusConfig(source=["a.en", "x.en"], target=["a.de", "y.de"])
    sided = {name: CorpusConfig(source=name, target="y.de", direction="en-de") for name in "ab"}
    both = merged(sided, "--dev")
    assert both is not None
    assert (both.source, both.direction) == (["a", "b"], "en-de")
    assert merged(named_corpora(["c.tsv", "sub"], EN_DE, "--dev"), "--dev") == CorpusConfig(files=["c.tsv", "sub"])
    assert merged({}, "--dev") is None
    with pytest.raises(UsageError) as caught:
        merged(named_corpora(["a.en", "a.de", "c.tsv"], EN_DE, "--dev"), "many.tsv: en-de")
    assert str(caught.value) == "many.tsv: en-de: files of one side and of both cannot be mixed (dev is one corpus)"


@pytest.mark.usefixtures("here")
def test_two_files_of_one_side_each_are_a_corpus_whose_languages_their_names_say() -> None:
    assert named_corpus(["a.de", "b.en"]) == NamedCorpus(
        CorpusConfig(source="a.de", target="b.en"), LanguagesConfig(source="de", target="en")
    )
    named = named_corpus(["b.en.gz", "n.txt"], target="pt-BR", pairs=7)
    assert named.corpus == CorpusConfig(source="b.en.gz", target="n.txt", pairs=7)
    assert named.languages == LanguagesConfig(source="en", target="pt-BR")
    assert named.paths == [Path("b.en.gz"), Path("n.txt")]


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("news.en-de.tsv", ("en", "de")),
        ("corpus/cs_en/part.jsonl", ("cs", "en")),
        ("sacrebleu:wmt14/full:en-fr", ("en", "fr")),
        ("EN-DE.tsv", ("en", "de")),
        ("wmt-2014.hin-eng.tsv.gz", ("hin", "eng")),
    ],
)
def test_the_name_of_a_file_of_both_sides_may_say_its_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, languages: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if not name.startswith("sacrebleu:"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    found = named_corpus([name]).languages
    assert (found.source, found.target) == languages
    given = named_corpus([name], source="x").languages
    assert (given.source, given.target) == ("x", languages[1])


@pytest.mark.parametrize("names", [["one.en-de.tsv", "two.en-fr.tsv"], ["x.english-de.tsv"], ["x.a-de.tsv"], ["-"]])
def test_names_that_say_no_languages_or_several_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(name).touch()
    with pytest.raises(UsageError) as caught:
        named_corpus(names)
    assert str(caught.value) == (
        f"{', '.join(names)}: no language codes in the file names "
        "(name the languages by --source-language and --target-language)"
    )
    named = named_corpus(names, "en", "de", columns="b,a", form="tsv", pairs=3)
    assert named.corpus == CorpusConfig(files=names, columns=["b", "a"], format="tsv", pairs=3)
    assert named_corpus(names, "en", "de", columns="a").corpus.columns == "a"
    assert named.paths == [Path(name) for name in names if name != "-"]


@pytest.mark.usefixtures("here")
def test_a_format_makes_any_file_one_of_both_sides() -> None:
    assert named_corpus(["a.en", "n.txt"], "en", "de", "csv").corpus == CorpusConfig(
        files=["a.en", "n.txt"], format="csv"
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["n.txt"], {}, "n.txt: its name does not say what format it has (name its format by --format, or give"),
        (["a.en", "c.tsv"], {}, "a.en and c.tsv: one is a file of one side, the other of both (give two files"),
        (["a.en", "a.de", "c.tsv"], {}, "a.en, a.de, c.tsv: more than two files, and a.en is taken for a file"),
        (["nosuch", "a.de"], {}, "nosuch: no such file (nor nosuch.gz)"),
        (["nosuch"], {"form": "tsv"}, "nosuch: no such file (nor nosuch.gz)"),
        (["a.en", "x.en"], {}, "a.en and x.en: both end in .en, which cannot be the language of both (name the lang"),
        (["a.en", "x.en"], {"target": "de"}, "a.en and x.en: both end in .en, which cannot be the language of both"),
        (["a.en", "n.text"], {}, "a.en, n.text: no language codes in the file names"),
        (["a.en", "a.de"], {"target": "EN"}, "the source and the target language are both en (name the languages"),
        (["a.en", "a.de"], {"target": "@"}, "'@' is no language code (codes are as in ISO 639: en, de)"),
        (["a.en", "a.de"], {"columns": "a,b"}, "--columns is for files of both sides"),
        (["c.tsv"], {"columns": "a,b,c", "source": "en", "target": "de"}, "--columns a,b,c: not two columns but 3 ("),
        (["c.tsv"], {"columns": "2,2", "source": "en", "target": "de"}, "--columns 2,2: the same column for both s"),
        (["a.en"], {"columns": "2,3", "form": "tmx", "target": "de", "source": "en"}, "--columns: no columns in a.en"),
    ],
)
def test_files_that_are_no_corpus_are_one_line(names: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, UsageError)) as caught:
        named_corpus(names, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.usefixtures("here")
def test_two_files_of_one_ending_are_a_corpus_of_the_languages_that_are_named() -> None:
    assert named_corpus(["a.en", "x.en"], "en", "de").corpus == CorpusConfig(source="a.en", target="x.en")


def test_folders_and_archives_hold_both_sides_and_files_in_archives_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        for name in ("a.en", "sub/b.en", "c.tsv"):
            file.writestr(name, "x\n")
    (tmp_path / "a.en").touch()
    expected = {
        "": True,
        "all.zip": True,
        "all.zip/sub": True,
        "all.zip/c.tsv": True,
        "all.zip/a.en": False,
        "a.en": False,
    }
    assert {name: holds_pairs(tmp_path / name) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.b.tsv", "a.b"), ("a.jsonl.gz", "a"), ("a.tar.gz", "a"), ("a.tgz", "a"), ("a.v1", "a.v1"), ("a.v1.xz", "a.v1")],
)
def test_the_stem_of_a_name_has_no_suffix_of_a_format(name: str, stem: str) -> None:
    assert stem_of(name) == stem


def test_a_name_of_suffixes_alone_is_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".en", ".de"):
        Path(name).touch()
    assert list(named_corpora([".en", ".de"], EN_DE, "--train")) == ["corpus"]
    assert [safe_name(name) for name in ("ü", "-a b-", "x..")] == ["corpus", "a-b", "x"]


def test_a_text_in_a_message_has_a_limit() -> None:
    assert shortened("a\tb", 3) == "'a\\tb'"
    assert shortened("abcd", 3) == "'ab…'"


@pytest.mark.parametrize(
    ("codes", "near"),
    [(("english", "german"), "en"), (("en", "german"), "de"), (("jp", "en"), "ja"), (("en", "cz"), "cs")],
)
def test_the_nearest_of_the_known_codes_is_named(codes: tuple[str, str], near: str) -> None:
    wrong = codes[0] if codes[0] != "en" else codes[1]
    with pytest.raises(UsageError) as caught:
        known_pair(*codes, "")
    assert str(caught.value).startswith(
        f"{wrong!r} is no language code (did you mean {near}? codes are as in ISO 639: "
    )


def test_known_codes_and_those_for_private_use_are_taken() -> None:
    with pytest.raises(UsageError, match=r"^'xx' is no language code \("):
        known_pair("en", "xx", "")
    assert known_pair("zho_Hans", "qaa", "") == LanguagesConfig(source="zho_Hans", target="qaa")
