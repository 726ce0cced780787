"""Parallel text looked at, cleaned, and what became of it drawn."""

import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Run, TinyRun, command, environment

from nmt.data.cleaning.clean_files import writing_pairs

TARGETS = ["Ein rotes Haus.", "Zwei  Hunde rennen.", "same", "", "Ein rotes Haus."]
SOURCES = ["A red house.", "Two dogs run.", "same", "Nothing", "A red house."]
DEFAULTS = "empty", "max_characters", "max_ratio", "copies", "urls", "leaked", "leaked_near", "duplicates"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Write five pairs, of which two are good, as files of lines and as a table."""
    (tmp_path / "a.en").write_text("\n".join(SOURCES) + "\n", encoding="utf-8")
    (tmp_path / "a.de").write_text("\n".join(TARGETS) + "\n", encoding="utf-8")
    table = "".join(f"{source}\t{target}\n" for source, target in zip(SOURCES, TARGETS, strict=True))
    (tmp_path / "a.en-de.tsv").write_text(table, encoding="utf-8")
    (tmp_path / "b.tsv").write_text(table, encoding="utf-8")
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_inspect_shows_what_there_is_and_what_would_matter(nmt_here: Run, home: Path) -> None:
    said = nmt_here("data", "inspect", "a.en", "a.de", cwd=home)
    assert (said.code, said.err) == (0, "")
    assert said.lines[0] == "a.en, a.de: 5 pairs"
    text = [" ".join(line.split()) for line in said.lines]
    for line in (
        "en de",
        "words 11 10",
        "different words 8 7",
        "scripts of the letters Latin 100.00% Latin 100.00%",
        "lines with surplus white space 0 1",
        "characters a line en de",
        "copies drop_copies = true 1 5 20.00%",
        "duplicates drop_duplicates = true 1 5 20.00%",
        "copies: 'same' / 'same'",
        "[cleaning]",
        "# drop_same_source = true # drops 1 of 5 pairs, 20.00%: check the examples first",
    ):
        assert line in text
    assert any("█" in line for line in said.lines)


def test_inspect_says_the_same_as_json_of_whatever_form_the_text_has(nmt_here: Run, home: Path) -> None:
    said = nmt_here("data", "inspect", "--json", "a.en", "a.de", cwd=home)
    report = json.loads(said.out)
    assert (report.pop("files"), report["pairs"], report["odd"]) == (["a.en", "a.de"], 5, {})
    assert report["languages"] == {"source": "en", "target": "de"}
    table = json.loads(nmt_here("data", "inspect", "--json", "a.en-de.tsv", cwd=home).out)
    pipe = nmt_here(
        *("data", "inspect", "--json", "-", "--source-language", "en", "--target-language", "de"),
        stdin=(home / "b.tsv").read_bytes(),
    )
    assert (table.pop("files"), table) == (["a.en-de.tsv"], report)
    assert json.loads(pipe.out) == {"files": ["-"], **report}


def test_inspect_takes_the_first_pairs_and_names_what_is_odd(nmt_here: Run, home: Path) -> None:
    (home / "a.en").write_bytes(b"\xef\xbb\xbfOne\r\nTwo\x00\r\nThree\r\n")
    (home / "a.de").write_text("Eins\nZwei\nDrei\nVier\n", encoding="utf-8")
    said = nmt_here("data", "inspect", "a.en", "a.de", "--pairs", "2", cwd=home)
    assert said.lines[:4] == [
        "a.en, a.de: 2 pairs",
        "  irregular: CRLF line ends 2",
        "  irregular: byte-order marks 1",
        "  irregular: NUL characters 1",
    ]
    assert "  unusual in en: U+0000 control character: 1" in said.lines


def test_columns_are_chosen_by_name(nmt_here: Run, home: Path) -> None:
    (home / "c.en-de.csv").write_text("id,deutsch,english\n1,Haus,house\n", encoding="utf-8")
    said = nmt_here("data", "inspect", "c.en-de.csv", "--columns", "english,deutsch", "--json", cwd=home)
    assert json.loads(said.out)["source"]["vocabulary"]["common"] == [["house", 1]]


def test_clean_writes_what_is_left_and_says_what_dropped_the_rest(nmt_here: Run, home: Path) -> None:
    before = files(home)
    said = nmt_here("data", "clean", "a.en", "a.de", "-o", "out", "--workers", "1", "-v", cwd=home)
    assert said.code == 0
    assert (home / "out.en").read_text(encoding="utf-8") == "A red house.\nTwo dogs run.\n"
    assert (home / "out.de").read_text(encoding="utf-8") == "Ein rotes Haus.\nZwei Hunde rennen.\n"
    assert files(home) == sorted([*before, "out.de", "out.en"])
    rows = [line.split() for line in said.lines]
    assert rows[0] == ["pairs", "share"]
    assert [row[0] for row in rows[1:11]] == ["read", *DEFAULTS, "kept"]
    assert ["copies", "1", "20.00%"] in rows
    assert rows[10] == ["kept", "2", "40.00%"]
    assert "normalised: whitespace 1 sides" in said.lines
    assert "  copies: 'same' / 'same'" in said.lines
    assert said.messages == ["clean: wrote 2 pairs to out.en and out.de"]


def test_clean_keeps_every_pair_where_nothing_is_held_out(nmt_here: Run, home: Path) -> None:
    (home / "a.en").write_text("A red house.\n", encoding="utf-8")
    (home / "a.de").write_text("Ein rotes Haus.\n", encoding="utf-8")
    said = nmt_here("data", "clean", "a.en", "a.de", "-o", "out", "--json", cwd=home)
    assert json.loads(said.out)["pairs"] == {"train": 1, "dev": 0, "test": {}}


def test_clean_keeps_out_what_it_is_held_against(nmt_here: Run, home: Path) -> None:
    (home / "test.en").write_text("Two dogs run!\n", encoding="utf-8")
    (home / "test.de").write_text("Zwei Hunde rennen!\n", encoding="utf-8")
    said = nmt_here(
        "data", "clean", "a.en", "a.de", "-o", "out.tsv", "--against", "test.en", "test.de", "--json", cwd=home
    )
    report = json.loads(said.out)
    assert report["funnel"]["dropped"]["leaked_near"] == 1
    assert report["written"] == ["out.tsv"]
    assert (home / "out.tsv").read_text(encoding="utf-8") == "A red house.\tEin rotes Haus.\n"


def test_clean_of_standard_input_with_settings_writes_gzip_with_the_same_bytes(nmt_here: Run, home: Path) -> None:
    for name in ("one", "two"):
        said = nmt_here(
            *("data", "clean", "-", "--source-language", "en", "--target-language", "de", "-o", f"{name}.gz"),
            *("--set", "cleaning.drop_copies=false", "--set", "cleaning.min_characters=2"),
            stdin=(home / "b.tsv").read_bytes(),
            cwd=home,
        )
        assert said.code == 0, said.err
    with gzip.open(home / "one.en.gz", "rt", encoding="utf-8") as file:
        assert file.read() == "A red house.\nTwo dogs run.\nsame\n"
    assert (home / "one.de.gz").read_bytes() == (home / "two.de.gz").read_bytes()


def test_clean_replaces_a_tab_by_a_space_where_tabs_part_the_sides(nmt_here: Run, home: Path) -> None:
    (home / "a.en").write_text("A\tred house.\n", encoding="utf-8")
    (home / "a.de").write_text("Ein rotes Haus.\n", encoding="utf-8")
    options = ("--set", "cleaning.whitespace=false")
    assert nmt_here("data", "clean", "a.en", "a.de", "-o", "out.tsv", *options, cwd=home).code == 0
    assert (home / "out.tsv").read_text(encoding="utf-8") == "A red house.\tEin rotes Haus.\n"


def test_clean_of_two_files_with_one_ending_takes_the_languages_that_are_named(nmt_here: Run, home: Path) -> None:
    (home / "a.en").rename(home / "one.txt")
    (home / "a.de").rename(home / "two.txt")
    languages = ("--source-language", "en", "--target-language", "de")
    assert nmt_here("data", "clean", "one.txt", "two.txt", *languages, "-o", "out", cwd=home).code == 0
    assert (home / "out.de").read_text(encoding="utf-8") == "Ein rotes Haus.\nZwei Hunde rennen.\n"


def test_an_example_that_is_cut_says_so(nmt_here: Run, home: Path) -> None:
    for name in ("a.en", "a.de"):
        (home / name).write_text(f"{'x' * 150}\nno copy in {name}\n", encoding="utf-8")
    said = nmt_here("data", "clean", "a.en", "a.de", "-o", "out", "--workers", "1", "-v", cwd=home)
    cut = f"'{'x' * 99}…'"
    assert f"  copies: {cut} / {cut}" in said.lines


BAD = {
    "nosuch.en a.de": (3, "nosuch.en: no such file (nor nosuch.en.gz)"),
    "a.en": (
        3,
        "a.en: its name does not say what format it has (name its format by --format, or give two files, one of each "
        "side)",
    ),
    "a.en b.tsv": (
        3,
        "a.en and b.tsv: one is a file of one side, the other of both (give two files of one side each, or files of "
        "both sides; see --format)",
    ),
    "b.tsv": (
        2,
        "b.tsv: no language codes in the file names (name the languages by --source-language and --target-language)",
    ),
    "a.en a.de --target-language @": (2, "'@' is no language code (codes are as in ISO 639: en, de)"),
    "a.en a.de --columns a,b": (2, "--columns is for files of both sides"),
    "a.en-de.tsv --columns a,b,c": (2, "--columns a,b,c: not two columns but 3 (such as --columns src,tgt)"),
    "a.en a.de a.en a.de": (
        3,
        "a.en, a.de, a.en, a.de: more than two files, and a.en is taken for a file of one side (one pair of such files "
        "is the limit; of files of both sides there may be many; see --format)",
    ),
    "a.en a.de b.tsv": (
        3,
        "a.en, a.de, b.tsv: more than two files, and a.en is taken for a file of one side (one pair of such files is "
        "the limit; of files of both sides there may be many; see --format)",
    ),
    "one.txt two.txt": (
        2,
        "one.txt and two.txt: both end in .txt, which cannot be the language of both (name the languages by "
        "--source-language and --target-language)",
    ),
    "a.en a.de --target-language EN": (
        2,
        "the source and the target language are both en (name the languages by --source-language and "
        "--target-language)",
    ),
    "a.en short.de": (
        3,
        "a.en has 5 lines but short.de has 1 (the two files of a corpus are translations line by line)",
    ),
}
"""Files that cannot be read, for both commands."""


@pytest.mark.parametrize("words", BAD)
@pytest.mark.parametrize("command", ["inspect", "clean -o out"])
def test_what_cannot_be_read_is_one_line_and_nothing_is_written(
    nmt_here: Run, home: Path, command: str, words: str
) -> None:
    (home / "short.de").write_text("Ein Haus\n", encoding="utf-8")
    for name in ("one.txt", "two.txt"):
        (home / name).write_text("Ein Haus\n", encoding="utf-8")
    before = files(home)
    code, message = BAD[words]
    assert nmt_here("data", *command.split(), *words.split(), cwd=home) == (code, "", f"nmt: {message}\n")
    assert files(home) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-o -", "-o -: the output is files, not standard output (such as -o clean, or -o clean.tsv)"),
        ("-o no/out", "-o no/out: no folder no (make it first)"),
        ("-o a", "-o a: a.en is one of the files to be read (give the output another name)"),
        ("--against a.en a.de -o a", "-o a: a.en is one of the files to be read (give the output another name)"),
        (
            "-o out.parquet",
            "-o out.parquet: not a name of what can be written (two files of lines, or one .tsv; "
            "plain, or .gz, .xz, .zst, .bz2)",
        ),
        (
            "-o out.gz.xz",
            "-o out.gz.xz: not a name of what can be written (two files of lines, or one .tsv; "
            "plain, or .gz, .xz, .zst, .bz2)",
        ),
        ("-o taken", "-o taken: taken.en is a folder"),
        (
            "-o out --set cleaning.max_rato=3",
            "--set cleaning.max_rato=3: unknown key cleaning.max_rato (did you mean 'max_ratio'?)",
        ),
        ("-o out --set cleaning=3", "--set cleaning=3: cleaning is a section, not 3"),
        (
            "-o out --set model.heads=3",
            "--set model: only [cleaning] can be set here (such as --set cleaning.max_ratio=3)",
        ),
        (
            "-o out --set cleaning.max_pieces=9",
            "--set cleaning.max_pieces: this takes a tokenizer (nmt prepare drops such pairs)",
        ),
    ],
)
def test_what_cannot_be_written_or_set_is_one_line(nmt_here: Run, home: Path, words: str, message: str) -> None:
    (home / "taken.en").mkdir()
    before = files(home)
    assert nmt_here("data", "clean", "a.en", "a.de", *words.split(), cwd=home) == (2, "", f"nmt: {message}\n")
    assert files(home) == before


def test_clean_that_leaves_nothing_says_what_dropped_it_and_leaves_what_was_there(nmt_here: Run, home: Path) -> None:
    (home / "out.en").write_text("old\n", encoding="utf-8")
    said = nmt_here("data", "clean", "a.en", "a.de", "-o", "out", "--set", "cleaning.min_characters=99", cwd=home)
    assert (said.code, said.out) == (3, "")
    assert said.messages[0].startswith(
        "nmt: a.en, a.de: no training pair is left of 5; dropped: empty 1, min_characters 4"
    )
    assert (home / "out.en").read_text(encoding="utf-8") == "old\n"
    assert "out.de" not in files(home)


def test_clean_on_a_full_disk_is_one_line_and_leaves_nothing(home: Path) -> None:
    def restrict() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    before = files(home)
    done = subprocess.run(
        command("data", "clean", "a.en", "a.de", "-o", "out"),
        preexec_fn=restrict,
        capture_output=True,
        text=True,
        cwd=home,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("nmt: ")
    assert ": cannot be written: File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert files(home) == before


def test_clean_killed_between_its_two_files_leaves_no_old_one_beside_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "out.en", tmp_path / "out.de"]
    for path in paths:
        path.write_text("old\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), writing_pairs(paths) as write:
        write("new", str(1 / 0))
    assert [path.read_text(encoding="utf-8") for path in paths] == ["old\n", "old\n"]
    replace = Path.replace
    renamed: list[Path] = []

    def stop(path: Path, target: Path) -> Path:
        if renamed:
            raise KeyboardInterrupt
        renamed.append(target)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt), writing_pairs(paths) as write:
        write("new", "neu")
    assert files(tmp_path) == [renamed[0].name]


def test_clean_removes_what_a_killed_run_left_beside_its_output(nmt_here: Run, home: Path) -> None:
    before = files(home)
    with subprocess.Popen("true") as ended:
        pass
    for process in (ended.pid, os.getpid(), os.getppid()):
        (home / f".out.{process}.text.partial" / "train").mkdir(parents=True)
        (home / f".out.{process}.text.partial" / "train" / "00000.arrow").write_bytes(b"of another text")
        for name in ("out.en", "out.de"):
            (home / f".{name}.{process}.partial").write_text("half\n", encoding="utf-8")
    (home / f".other.{ended.pid}.text.partial").mkdir()
    assert nmt_here("data", "clean", "a.en", "a.de", "-o", "out", cwd=home).code == 0
    running = [f".{name}.{os.getppid()}.{end}" for name, end in (("out.en", "partial"), ("out.de", "partial"))]
    running += [f".out.{os.getppid()}.text.partial", f".other.{ended.pid}.text.partial"]
    assert files(home) == sorted([*before, *running, "out.de", "out.en"])
    assert (home / "out.en").read_text(encoding="utf-8") == "A red house.\nTwo dogs run.\n"


def test_filters_lists_the_keys_of_cleaning_with_their_defaults(nmt_here: Run) -> None:
    rows = [line.split(None, 3) for line in nmt_here("data", "filters").lines]
    assert rows[0] == ["name", "key", "default", "what it does"]
    assert ["copies", "drop_copies", "true", "Drop pairs whose target equals their source."] in rows
    assert [row[:3] for row in rows if row[0] == "script"] == [["script", "min_script", '"none"']]


def test_the_funnel_of_a_run_is_a_table_and_a_picture_with_the_same_bytes(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    said = nmt_here("data", "funnel", tiny.folder)
    rows = [line.split() for line in said.lines]
    assert rows[1] == ["read", "800", "100.00%"]
    assert rows[-1][0] == "kept" or rows[-1][0].endswith(":")
    for name in ("one.svg", "two.svg", "three.png"):
        assert nmt_here("data", "funnel", tiny.folder, "-o", tmp_path / name).messages == [
            f"funnel: drawn to {tmp_path / name}"
        ]
    picture = (tmp_path / "one.svg").read_bytes()
    assert picture == (tmp_path / "two.svg").read_bytes()
    assert b">read<" in picture
    assert b">800 (100.00%)<" in picture
    assert (tmp_path / "three.png").read_bytes().startswith(b"\x89PNG")


def test_a_funnel_of_text_alone_can_be_drawn(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    shutil.copytree(tiny.folder / "prepared" / "text", tmp_path / "run" / "prepared" / "text")
    assert nmt_here("data", "funnel", tmp_path / "run").code == 0
    assert nmt_here("data", "funnel", tmp_path / "run", "-o", tmp_path / "f.svg").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("empty", 4, "empty: no prepared text in it (nmt prepare RECIPE makes it)"),
        ("empty -o f.jpg", 2, "-o f.jpg: not a picture (name it .svg or .png)"),
        ("empty -o no/f.svg", 2, "-o no/f.svg: no folder no (make it first)"),
    ],
)
def test_a_funnel_that_cannot_be_is_one_line(
    nmt_here: Run, tmp_path: Path, words: str, code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert nmt_here("data", "funnel", *words.split(), cwd=tmp_path) == (code, "", f"nmt: {message}\n")
