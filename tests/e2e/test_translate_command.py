"""`nmt translate`: one line out for every line in, whatever stands in them."""

import gzip
import os
import threading
from pathlib import Path

import pytest
from conftest import Run, TinyRun, tree

SENTENCES = [
    "A small dog sleeps.",
    "The woman wants to see the old house.",
    "Do nine women talk about his boring parks?",
    "You thank Martin's colleague although Lena cries.",
]
NOT_UTF8 = "find out the encoding and convert it: iconv -f LATIN1 -t UTF-8"


def joined(lines: list[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


@pytest.fixture(scope="module")
def single(tiny_model: Path, nmt_here: Run) -> dict[str, str]:
    """Translate each sentence by itself."""
    found = {}
    for sentence in SENTENCES:
        said = nmt_here("translate", tiny_model, stdin=joined([sentence]))
        assert (said.code, said.surprises, len(said.lines)) == (0, [], 1)
        found[sentence] = said.lines[0]
    assert len(set(found.values())) == len(SENTENCES), "the tiny model cannot show an exchange of lines"
    return found


def test_one_line_out_for_every_line_in_in_order(tiny_model: Path, nmt_here: Run, single: dict[str, str]) -> None:
    lines = [SENTENCES[index * index % 4] for index in range(40)] + SENTENCES[::-1]
    said = nmt_here("translate", tiny_model, stdin=joined(lines))
    assert (said.code, said.surprises) == (0, [])
    assert said.lines == [single[line] for line in lines]


def test_blank_lines_stay_blank_and_are_counted(tiny_model: Path, nmt_here: Run, single: dict[str, str]) -> None:
    first, second = SENTENCES[:2]
    said = nmt_here("translate", tiny_model, stdin=joined(["", first, "  \t ", "\u3000\u2028", second]))
    assert said.code == 0
    assert said.lines == ["", single[first], "", "", single[second]]
    assert said.surprises == ["nmt: warning: input lines blank, and so are their translations: 3 (line 1, 3, 4)"]


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\0", "\t", "\x0b", "\x0c", "\x1c", "\r", "\ufeff", "🦆"])
def test_odd_characters_never_make_a_line_more_or_less(
    tiny_model: Path, nmt_here: Run, single: dict[str, str], odd: str
) -> None:
    first, second = SENTENCES[:2]
    said = nmt_here("translate", tiny_model, stdin=joined([first, f"A small{odd}dog.", odd * 3 + "x", second]))
    counted = {"\0": "NUL characters 4", "\r": "CR line ends 4"}
    expected = [f"nmt: warning: standard input: found in the text: {counted[odd]}"] if odd in counted else []
    assert (said.code, said.surprises) == (0, expected)
    assert len(said.lines) == 4
    assert said.lines[0::3] == [single[first], single[second]]
    assert all(line == " ".join(line.splitlines()) for line in said.lines), "a line break within a line"


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfA small dog sleeps.\nThe woman wants to see the old house.\n",
        b"A small dog sleeps.\r\nThe woman wants to see the old house.\r\n",
        b"A small dog sleeps.\nThe woman wants to see the old house.",
    ],
    ids=["a byte-order mark", "CRLF", "no final newline"],
)
def test_how_lines_begin_and_end_changes_nothing(
    tiny_model: Path, nmt_here: Run, single: dict[str, str], text: bytes
) -> None:
    expected = "".join(single[line] + "\n" for line in SENTENCES[:2])
    said = nmt_here("translate", tiny_model, stdin=text)
    assert (said.code, said.out, said.surprises) == (0, expected, [])


def test_nothing_in_is_nothing_out(tiny_model: Path, nmt: Run) -> None:
    assert nmt("translate", tiny_model) == (0, "", "")


def test_bytes_go_through_whatever_the_locale(tiny_model: Path, nmt: Run, single: dict[str, str]) -> None:
    lines = [SENTENCES[0], "Ä\u2028🦆", SENTENCES[1]]
    said = nmt("translate", tiny_model, stdin=joined(lines), env={"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert (said.code, said.surprises) == (0, [])
    assert len(said.lines) == 3
    assert said.lines[0::2] == [single[SENTENCES[0]], single[SENTENCES[1]]]


def test_a_line_longer_than_the_model_takes_is_translated_in_segments(
    tiny_model: Path, nmt_here: Run, single: dict[str, str]
) -> None:
    first = SENTENCES[0]
    long = " ".join(SENTENCES * 10)
    said = nmt_here("translate", tiny_model, stdin=joined([first, long, first]))
    assert said.code == 0
    assert said.lines[0::2] == [single[first]] * 2
    assert len(said.lines[1]) > 5 * len(single[first])
    assert said.surprises == ["nmt: warning: input lines translated in segments: 1 (line 2)"]


def test_a_sentence_longer_than_the_model_takes_is_split_within(tiny_model: Path, nmt_here: Run) -> None:
    lines = ["x" * 5000, SENTENCES[0], "word " * 300]
    said = nmt_here("translate", tiny_model, stdin=joined(lines))
    assert (said.code, len(said.lines)) == (0, 3)
    assert all(said.lines)
    assert said.surprises == [
        "nmt: warning: input lines translated in segments: 2 (line 1, 3)",
        "nmt: warning: input lines with a sentence too long for the model, split within it: 2 (line 1, 3)",
    ]


def test_files_are_read_and_written_plain_or_gzip(
    tiny_model: Path, nmt_here: Run, single: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "plain").write_bytes(joined(SENTENCES))
    (tmp_path / "zipped.gz").write_bytes(gzip.compress(joined(SENTENCES)))
    expected = joined([single[line] for line in SENTENCES])
    for name in ("plain", "zipped.gz", "zipped"):
        output = tmp_path / "out" / name
        said = nmt_here("translate", tiny_model, "-i", tmp_path / name, "-o", output)
        assert (said.code, said.out, said.surprises) == (0, "", [])
        written = output.read_bytes()
        assert (gzip.decompress(written) if name.endswith(".gz") else written) == expected
    said = nmt_here("translate", tiny_model, "-i", tmp_path / "plain")
    assert (said.code, said.out, said.surprises) == (0, expected.decode(), [])


def test_bytes_that_are_not_utf8_are_named_by_line(tiny_model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", tiny_model, stdin=b"a\nb\nna\xefve\n")
    assert (said.code, len(said.lines)) == (3, 2)
    assert said.err == f"nmt: standard input:3: not UTF-8: byte 0xef at position 3 ({NOT_UTF8})\n"


@pytest.mark.parametrize("from_file", [True, False])
def test_a_bad_input_leaves_no_output_and_an_older_one_as_it_was(
    tiny_model: Path, nmt_here: Run, tmp_path: Path, from_file: bool
) -> None:
    # More good lines than a first batch has, so that translations are there when the bad one comes.
    text = joined(SENTENCES * 12) + b"\xff\n"
    (tmp_path / "in").write_bytes(text)
    (tmp_path / "old").write_bytes(b"old\n")
    flags: list[str | Path] = ["-i", tmp_path / "in"] if from_file else []
    name = str(tmp_path / "in") if from_file else "standard input"
    before = tree(tmp_path)
    for output in ("new", "old"):
        said = nmt_here("translate", tiny_model, *flags, "-o", tmp_path / output, stdin=b"" if from_file else text)
        assert said == (3, "", f"nmt: {name}:49: not UTF-8: byte 0xff at position 1 ({NOT_UTF8})\n")
        assert tree(tmp_path) == before


def test_an_input_that_is_missing_or_a_folder_is_one_line(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    said = nmt_here("translate", tiny_model, "-i", tmp_path / "none")
    assert (said.code, said.out, len(said.messages)) == (3, "", 1)
    assert said.err.startswith(f"nmt: {tmp_path / 'none'}: no such file")
    assert nmt_here("translate", tiny_model, "-i", tmp_path) == (3, "", f"nmt: {tmp_path}: Is a directory\n")


def test_an_output_that_is_a_folder_is_one_line(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    said = nmt_here("translate", tiny_model, "-o", tmp_path, stdin=b"a\n")
    assert said == (4, "", f"nmt: {tmp_path}: Is a directory\n")


def test_n_best_gives_the_best_hypotheses_of_each_line_with_their_scores(
    tiny_model: Path, nmt_here: Run, single: dict[str, str]
) -> None:
    said = nmt_here("translate", tiny_model, "--n-best", "3", stdin=joined([*SENTENCES, ""]))
    assert said.code == 0
    rows = [line.split("\t") for line in said.lines]
    assert [row[0] for row in rows] == [*(number for number in "1234" for _ in range(3)), "5"]
    assert rows[-1] == ["5", "0.000000", ""]
    for number, sentence in enumerate(SENTENCES):
        scores, texts = zip(*((float(row[1]), row[2]) for row in rows[3 * number : 3 * number + 3]), strict=True)
        assert texts[0] == single[sentence]
        assert sorted(scores, reverse=True) == list(scores)
        assert scores[0] < 0


def test_the_widest_n_best_is_the_beam(tiny_model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", tiny_model, "--n-best", "5", stdin=b"a\n")
    assert said == (2, "", "nmt: --n-best 5 is more than the beam of 4 (raise --beam-size)\n")
    wider = nmt_here("translate", tiny_model, "--n-best", "5", "--beam-size", "5", stdin=b"a\n")
    assert (wider.code, len(wider.lines)) == (0, 5)


def test_flags_change_the_search(tiny_model: Path, nmt_here: Run, single: dict[str, str]) -> None:
    text = joined(SENTENCES)
    beam = nmt_here("translate", tiny_model, stdin=text)
    greedy = nmt_here("translate", tiny_model, "--beam-size", "1", stdin=text)
    assert (greedy.code, greedy.surprises, len(greedy.lines)) == (0, [], len(SENTENCES))
    assert greedy.out != beam.out
    nothing = nmt_here("translate", tiny_model, "--max-extra-length", "0", "--n-best", "1", stdin=joined(["a"]))
    assert (nothing.code, len(nothing.lines)) == (0, 1)
    assert len(nothing.lines[0]) <= 20
    one_by_one = nmt_here("translate", tiny_model, "--batch-tokens", "1", "--threads", "1", stdin=text)
    assert one_by_one.lines == [single[line] for line in SENTENCES]
    half = nmt_here("translate", tiny_model, "--precision", "bfloat16", "--device", "cpu", stdin=text)
    assert (half.code, len(half.lines)) == (0, len(SENTENCES))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--beam-size", "0"], "Invalid value for '--beam-size'"),
        (["--beam-size", "four"], "Invalid value for '--beam-size'"),
        (["--length-penalty", "-1"], "Invalid value for '--length-penalty'"),
        (["--length-penalty", "nan"], "Invalid value for '--length-penalty'"),
        (["--max-extra-length", "-1"], "Invalid value for '--max-extra-length'"),
        (["--batch-tokens", "0"], "Invalid value for '--batch-tokens'"),
        (["--n-best", "0"], "Invalid value for '--n-best'"),
        (["--precision", "float8"], "Invalid value for '--precision'"),
        (["--device", "tpu"], "Invalid value for '--device'"),
        (["--threads", "0"], "Invalid value for '--threads'"),
        (["--no-such-flag"], "No such option: --no-such-flag"),
    ],
)
def test_a_flag_that_cannot_be_is_one_line(tiny: TinyRun, nmt_here: Run, flags: list[str], message: str) -> None:
    said = nmt_here("translate", tiny.model, *flags, stdin=b"a\n")
    assert (said.code, said.out, len(said.messages)) == (2, "", 1)
    assert said.err.startswith(f"nmt: {message}")


@pytest.mark.parametrize("zipped", [False, True])
def test_an_input_that_is_a_pipe_is_read_once(tiny_model: Path, nmt_here: Run, tmp_path: Path, zipped: bool) -> None:
    text = joined(SENTENCES)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(text) if zipped else text,))
    writer.start()
    said = nmt_here("translate", tiny_model, "-i", pipe)
    writer.join()
    assert said == nmt_here("translate", tiny_model, stdin=text)
    assert len(said.lines) == len(SENTENCES)
