"""`nmt score`: one line out for every pair, with the score that `nmt translate` gave it."""

import gzip
import json
import math
import os
import threading
from pathlib import Path

import pytest
from conftest import Run, TinyRun

from nmt.commands import score as command
from nmt.inference.translator import Translator

SENTENCES = [
    "A small dog sleeps.",
    "The woman wants to see the old house.",
    "Do nine women talk about his boring parks?",
    "You thank Martin's colleague although Lena cries.",
]
SAME = 2e-6
"""What two numbers written with six decimals may differ by."""


def write(path: Path, lines: list[str]) -> Path:
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(scope="module")
def best(tiny_model: Path, nmt_here: Run) -> list[dict[str, object]]:
    """Translate the sentences, and tell how."""
    said = nmt_here("translate", tiny_model, "--format", "jsonl", stdin="\n".join(SENTENCES).encode())
    assert said.code == 0
    return [json.loads(line)["hypotheses"][0] for line in said.lines]


@pytest.fixture
def files(tmp_path: Path, best: list[dict[str, object]]) -> list[str | Path]:
    """Return the options that name the sentences and their translations."""
    source = write(tmp_path / "source", SENTENCES)
    return ["--source", source, "--target", write(tmp_path / "target", [str(one["text"]) for one in best])]


def test_translations_have_the_scores_that_translate_gave_them(
    tiny_model: Path, nmt_here: Run, files: list[str | Path], best: list[dict[str, object]]
) -> None:
    text = nmt_here("score", tiny_model, *files)
    table = nmt_here("score", tiny_model, *files, "--format", "tsv")
    objects = nmt_here("score", tiny_model, *files, "--format", "jsonl")
    assert [(said.code, said.err) for said in (text, table, objects)] == [(0, "")] * 3
    assert len(text.lines) == len(table.lines) == len(objects.lines) == len(SENTENCES)
    same_pieces = 0
    for line, row, written, source, hypothesis in zip(
        text.lines, table.lines, objects.lines, SENTENCES, best, strict=True
    ):
        found = json.loads(written)
        assert list(found) == ["source", "target", "score", "log_probability", "pieces", "token_scores"]
        assert (found["source"], found["target"]) == (source, hypothesis["text"])
        assert row.split("\t") == [line, f"{found['log_probability']:.6f}", str(len(found["pieces"]) + 1)]
        assert line == f"{found['score']:.6f}"
        assert sum(found["token_scores"]) == pytest.approx(found["log_probability"], abs=1e-4)
        penalty = ((5 + len(found["token_scores"])) / 6) ** 0.6
        assert found["log_probability"] / penalty == pytest.approx(found["score"], abs=SAME)
        # The model may spell a text by other pieces than the tokenizer; that is another way to say it.
        if found["pieces"] == hypothesis["pieces"]:
            same_pieces += 1
            assert found["score"] == pytest.approx(hypothesis["score"], abs=1e-4)
            assert found["token_scores"] == pytest.approx(hypothesis["token_scores"], abs=1e-4)
    assert same_pieces


def test_the_length_penalty_is_the_one_asked_for(tiny_model: Path, nmt_here: Run, files: list[str | Path]) -> None:
    said = nmt_here("score", tiny_model, *files, "--format", "tsv", "--length-penalty", "0")
    for row in said.lines:
        score, log_probability, _ = row.split("\t")
        assert score == log_probability
    assert said.lines


def test_batches_and_threads_change_nothing_but_rounding(
    tiny_model: Path, nmt: Run, nmt_here: Run, files: list[str | Path]
) -> None:
    scores = [float(line) for line in nmt_here("score", tiny_model, *files).lines]
    for said in (
        nmt_here("score", tiny_model, *files, "--batch-tokens", "1"),
        nmt("score", tiny_model, *files, "--threads", "2"),
    ):
        assert (said.code, said.err) == (0, "")
        assert [float(line) for line in said.lines] == pytest.approx(scores, abs=2e-5)


def test_several_models_score_together(tiny_model: Path, nmt_here: Run, files: list[str | Path]) -> None:
    one = nmt_here("score", tiny_model, *files)
    two = nmt_here("score", tiny_model, tiny_model, *files)
    assert (two.code, two.err) == (0, "")
    assert [float(line) for line in two.lines] == pytest.approx([float(line) for line in one.lines], abs=1e-5)


def test_pairs_that_cannot_be_scored_are_nan_and_counted(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    sources = write(tmp_path / "source", ["A dog.", "", "A dog.", "x" * 500, "A dog.", "A dog."])
    targets = write(tmp_path / "target", ["Ein Hund.", "Ein Hund.", "\u3000 ", "Ein Hund.", "y" * 500, "Ein Hund."])
    files = ("--source", sources, "--target", targets)
    message = (
        "nmt: warning: pairs with a side that is blank or too long for the model, not scored: 4 (line 2, 3, 4, 5)\n"
    )
    text = nmt_here("score", tiny_model, *files)
    assert (text.code, text.err) == (0, message)
    assert text.lines[1:5] == ["nan"] * 4
    assert text.lines[0] == text.lines[5]
    assert math.isfinite(float(text.lines[0]))
    table = nmt_here("score", tiny_model, *files, "--format", "tsv")
    assert table.lines[2] == "nan\tnan\t1"
    blank = json.loads(nmt_here("score", tiny_model, *files, "--format", "jsonl").lines[2])
    assert blank["target"] == "\u3000 "
    assert blank["pieces"] == []
    assert [blank[key] for key in ("score", "log_probability", "token_scores")] == [None] * 3


def test_files_are_read_and_written_plain_or_gzip(
    tiny_model: Path, nmt_here: Run, files: list[str | Path], best: list[dict[str, object]], tmp_path: Path
) -> None:
    write(tmp_path / "zipped.source.gz", SENTENCES)
    write(tmp_path / "zipped.target.gz", [str(one["text"]) for one in best])
    expected = nmt_here("score", tiny_model, *files)
    zipped = ("--source", tmp_path / "zipped.source", "--target", tmp_path / "zipped.target.gz")
    output = tmp_path / "out" / "scores"
    assert nmt_here("score", tiny_model, *zipped, "-o", output) == (0, "", "")
    assert output.read_text(encoding="utf-8") == expected.out


def test_a_pipe_is_read_once(tiny_model: Path, nmt_here: Run, files: list[str | Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=((tmp_path / "source").read_bytes(),))
    writer.start()
    said = nmt_here("score", tiny_model, "--source", pipe, *files[2:])
    writer.join()
    assert said == nmt_here("score", tiny_model, *files)


def test_chunks_change_nothing(
    tiny_model: Path, nmt_here: Run, files: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nmt_here("score", tiny_model, *files)
    sizes = []
    score = Translator.score

    def noting(self: Translator, sources: list[str], targets: list[str]) -> object:
        sizes.append(len(sources))
        return score(self, sources, targets)

    monkeypatch.setattr(Translator, "score", noting)
    monkeypatch.setattr(command, "CHUNK", 3)
    chunked = nmt_here("score", tiny_model, *files)
    assert [float(line) for line in chunked.lines] == pytest.approx([float(line) for line in whole.lines], abs=2e-5)
    assert sizes == [3, 1]


def test_files_of_unequal_length_are_an_error_before_anything_is_written(
    tiny_model: Path, nmt_here: Run, tmp_path: Path
) -> None:
    source, target = write(tmp_path / "source", SENTENCES), write(tmp_path / "target", SENTENCES[:3])
    output = tmp_path / "out" / "scores"
    choices: list[list[str | Path]] = [[], ["-o", output]]
    for flags in choices:
        said = nmt_here("score", tiny_model, "--source", source, "--target", target, *flags)
        assert said == (3, "", f"nmt: {source} has 4 lines but {target} has 3\n")
    assert not output.exists()


def test_nothing_in_is_nothing_out(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    nothing = write(tmp_path / "nothing", [])
    assert nmt_here("score", tiny_model, "--source", nothing, "--target", nothing) == (0, "", "")


def test_a_file_that_is_not_there_or_not_utf8_is_named(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    here, gone, latin = write(tmp_path / "here", ["a", "b"]), tmp_path / "gone", tmp_path / "latin"
    latin.write_bytes(b"a\nna\xefve\n")
    said = nmt_here("score", tiny_model, "--source", here, "--target", gone)
    assert said == (3, "", f"nmt: {gone}: no such file (nor gone.gz)\n")
    said = nmt_here("score", tiny_model, "--source", latin, "--target", here)
    assert (said.code, len(said.lines), len(said.messages)) == (3, 1, 1)  # the score of the line before
    assert said.err.startswith(f"nmt: {latin}:2: not UTF-8: byte 0xef at position 3")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--length-penalty", "3"], "Invalid value for '--length-penalty'"),
        (["--length-penalty", "nan"], "Invalid value for '--length-penalty'"),
        (["--batch-tokens", "0"], "Invalid value for '--batch-tokens'"),
        (["--format", "xml"], "Invalid value for '--format'"),
        (["--export", "int8"], "--export is for another engine than the native one (add --engine ctranslate2)"),
        (["--beam-size", "4"], "No such option: --beam-size"),
    ],
)
def test_a_flag_that_cannot_be_is_one_line(
    tiny: TinyRun, nmt_here: Run, files: list[str | Path], flags: list[str], message: str
) -> None:
    said = nmt_here("score", tiny.model, *files, *flags)
    assert (said.code, said.out, len(said.messages)) == (2, "", 1)
    assert said.err.startswith(f"nmt: {message}")


def test_both_files_have_to_be_named(tiny: TinyRun, nmt_here: Run, files: list[str | Path]) -> None:
    assert nmt_here("score", tiny.model, *files[:2]) == (2, "", "nmt: Missing option '--target'.\n")
    assert nmt_here("score", tiny.model, *files[2:]) == (2, "", "nmt: Missing option '--source'.\n")
