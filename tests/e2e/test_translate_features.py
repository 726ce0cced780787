"""`nmt translate` with what it can do besides: formats, samples, prefixes, ensembles, limits, alignments."""

import json
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Run, TinyRun, environment, tree

LINES = [
    "A small dog sleeps.",
    "The woman wants to see the old house.",
    "Do nine women talk about his boring parks?",
    "You thank Martin's colleague although Lena cries.",
    "The old man sees two green birds in the house.",
]
TEXT = "".join(line + "\n" for line in LINES).encode()
CPU = ["--device", "cpu"]


@pytest.fixture(scope="module")
def twin(tiny: TinyRun, nmt: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a second model with the tokenizer of the first."""
    home = tmp_path_factory.mktemp("twin")
    (home / "twin.toml").write_text(
        TINY.replace('name = "tiny"', 'name = "twin"').replace("max_steps = 200", "max_steps = 100\nseed = 2"),
        encoding="utf-8",
    )
    said = nmt("run", "twin.toml", "--init-from", tiny.model, cwd=home)
    assert said.code == 0, said.err
    return home / "runs" / "twin" / "model"


def translated(nmt: Run, *arguments: str | Path, stdin: bytes = TEXT) -> list[str]:
    said = nmt("translate", *arguments, *CPU, stdin=stdin)
    assert (said.code, said.surprises) == (0, [])
    return said.lines


def refused(nmt: Run, *arguments: str | Path, stdin: bytes = TEXT) -> tuple[int, str]:
    said = nmt("translate", *arguments, stdin=stdin)
    assert (said.out, len(said.messages)) == ("", 1), said.err
    return said.code, said.messages[0].removeprefix("nmt: ")


# Formats


def test_json_lines_tell_all_of_every_hypothesis(tiny_model: Path, nmt_here: Run) -> None:
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in translated(nmt_here, tiny_model, "--format", "jsonl", "--n-best", "3")
    ]
    table = [line.split("\t") for line in translated(nmt_here, tiny_model, "--n-best", "3")]
    assert [row["source"] for row in rows] == LINES
    found = [
        [str(number), f"{one['score']:.6f}", one["text"]]
        for number, row in enumerate(rows, 1)
        for one in row["hypotheses"]
    ]
    assert found == table
    for row in rows:
        assert len(row["hypotheses"]) == 3
        for one in row["hypotheses"]:
            assert set(one) == {"text", "score", "pieces", "token_scores"}
            assert "".join(one["pieces"]).replace("▁", " ").strip() == one["text"] or "<0x" in "".join(one["pieces"])
            assert len(one["token_scores"]) == len(one["pieces"]) + 1, "the last is that of the end"
            penalty = ((5 + len(one["token_scores"])) / 6) ** 0.6
            assert sum(one["token_scores"]) / penalty == pytest.approx(one["score"], abs=1e-3)


def test_every_format_has_one_best_text(tiny_model: Path, nmt_here: Run) -> None:
    texts = translated(nmt_here, tiny_model)
    assert translated(nmt_here, tiny_model, "--format", "text") == texts
    table = translated(nmt_here, tiny_model, "--format", "tsv")
    assert [line.split("\t")[0::2] for line in table] == [[str(n), text] for n, text in enumerate(texts, 1)]
    objects = [json.loads(line) for line in translated(nmt_here, tiny_model, "--format", "jsonl")]
    assert [row["hypotheses"][0]["text"] for row in objects] == texts


def test_a_blank_line_is_a_row_in_every_format(tiny_model: Path, nmt_here: Run) -> None:
    outs = [
        nmt_here("translate", tiny_model, "--format", form, "--n-best", n, "--alignment", stdin=b"\n").lines
        for form, n in (("text", "1"), ("tsv", "2"), ("jsonl", "2"))
    ]
    blank = {"text": "", "score": 0.0, "pieces": [], "token_scores": [], "alignment": []}
    assert outs[:2] == [[" ||| "], ["1\t0.000000\t\t"]]
    assert json.loads(outs[2][0]) == {"source": "", "hypotheses": [blank]}


def test_alignments_are_pairs_of_words_in_every_format(tiny_model: Path, nmt_here: Run) -> None:
    rows = [line.split(" ||| ") for line in translated(nmt_here, tiny_model, "--alignment")]
    assert [text for text, _ in rows] == translated(nmt_here, tiny_model)
    assert any(pairs for _, pairs in rows)
    for source, (text, pairs) in zip(LINES, rows, strict=True):
        for pair in pairs.split():
            place = re.fullmatch(r"(\d+)-(\d+)", pair)
            assert place
            assert int(place[1]) < len(source.split())
            assert int(place[2]) < len(text.split())
    table = translated(nmt_here, tiny_model, "--alignment", "--format", "tsv")
    assert [line.split("\t")[2:] for line in table] == rows
    objects = [json.loads(line) for line in translated(nmt_here, tiny_model, "--alignment", "--format", "jsonl")]
    found = [" ".join(f"{s}-{t}" for s, t in row["hypotheses"][0]["alignment"]) for row in objects]
    assert found == [pairs for _, pairs in rows]
    assert translated(nmt_here, tiny_model, "--alignment", "--alignment-layer", "1") != []


def test_a_layer_that_the_model_has_not_is_a_usage_error(tiny_model: Path, nmt_here: Run) -> None:
    code, message = refused(nmt_here, tiny_model, "--alignment", "--alignment-layer", "9")
    assert code == 2
    assert "9" in message


# Samples


def test_samples_are_drawn_again_by_their_seed(tiny_model: Path, nmt_here: Run) -> None:
    draw: list[str | Path] = [tiny_model, "--sample", "--temperature", "0.9", "--top-k", "50", "--top-p", "0.95"]
    first = translated(nmt_here, *draw, "--seed", "7")
    assert translated(nmt_here, *draw, "--seed", "7") == first
    other = translated(nmt_here, *draw, "--seed", "8")
    assert all(one != two for one, two in zip(first, other, strict=True))
    assert first != translated(nmt_here, tiny_model)


def test_a_sample_depends_on_its_line_alone(tiny_model: Path, nmt_here: Run) -> None:
    first = translated(nmt_here, tiny_model, "--sample")
    assert translated(nmt_here, tiny_model, "--sample", "--batch-tokens", "1") == first
    turned = "".join(line + "\n" for line in LINES[::-1]).encode()
    assert translated(nmt_here, tiny_model, "--sample", stdin=turned) == first[::-1]
    alone = [translated(nmt_here, tiny_model, "--sample", stdin=f"{line}\n".encode()) for line in LINES]
    assert [text for (text,) in alone] == first


def test_there_are_as_many_samples_as_asked_for_and_they_differ(tiny_model: Path, nmt_here: Run) -> None:
    rows = [line.split("\t") for line in translated(nmt_here, tiny_model, "--sample", "--n-best", "6")]
    assert [row[0] for row in rows] == [str(number) for number in range(1, 6) for _ in range(6)]
    assert len({row[2] for row in rows}) > 25
    # The likeliest piece every time, whatever the seed.
    greedy = translated(nmt_here, tiny_model, "--beam-size", "1", "--max-extra-length", "10")
    for seed in ("1", "2"):
        flags = ["--sample", "--top-k", "1", "--seed", seed, "--max-extra-length", "10"]
        assert translated(nmt_here, tiny_model, *flags) == greedy


# Prefixes


def test_a_prefix_begins_its_translation_line_by_line(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    prefixes = ["Der", "", "Die Frau", "", "Ein alter"]
    (tmp_path / "prefix").write_text("".join(line + "\n" for line in prefixes), encoding="utf-8")
    free = translated(nmt_here, tiny_model)
    found = translated(nmt_here, tiny_model, "--prefix", tmp_path / "prefix")
    for prefix, text, other in zip(prefixes, found, free, strict=True):
        assert text.startswith(prefix)
        assert (text == other) == (not prefix)
    table = translated(nmt_here, tiny_model, "--prefix", tmp_path / "prefix", "--n-best", "2", "--sample")
    assert all(line.split("\t")[2].startswith(prefixes[n // 2]) for n, line in enumerate(table))


@pytest.mark.parametrize("from_file", [True, False])
@pytest.mark.parametrize("count", [2, 70])
def test_prefixes_that_are_not_as_many_as_lines_leave_no_output(
    tiny_model: Path, nmt_here: Run, tmp_path: Path, count: int, from_file: bool
) -> None:
    (tmp_path / "in").write_bytes(TEXT * 12)
    (tmp_path / "prefix").write_bytes(b"\n" * count)
    before = tree(tmp_path)
    flags: list[str | Path] = ["-i", tmp_path / "in"] if from_file else []
    flags += ["--prefix", tmp_path / "prefix", "-o", tmp_path / "out"]
    code, message = refused(nmt_here, tiny_model, *flags, stdin=TEXT * 12)
    assert code == 3
    if from_file:
        assert message == f"{tmp_path / 'in'} has 60 lines but {tmp_path / 'prefix'} has {count}"
    elif count < 60:
        assert message == f"standard input has more lines than {tmp_path / 'prefix'}, which has {count}"
    else:
        assert message == f"standard input has 60 lines but {tmp_path / 'prefix'} has {count}"
    assert tree(tmp_path) == before


# Limits of the search


def pieces(nmt: Run, *arguments: str | Path) -> list[list[str]]:
    rows = translated(nmt, *arguments, "--format", "jsonl")
    return [json.loads(row)["hypotheses"][0]["pieces"] for row in rows]


def test_lengths_are_within_what_flags_say(tiny_model: Path, nmt_here: Run) -> None:
    assert min(map(len, pieces(nmt_here, tiny_model, "--min-length", "40", "--max-extra-length", "100"))) >= 40
    sources = [json.loads(row)["source"] for row in translated(nmt_here, tiny_model, "--format", "jsonl")]
    assert sources == LINES
    assert max(map(len, pieces(nmt_here, tiny_model, "--max-length-ratio", "0.1"))) <= 5
    assert max(map(len, pieces(nmt_here, tiny_model, "--max-length-ratio", "0.1", "--min-length", "40"))) <= 5


def test_no_run_of_pieces_is_said_twice_where_that_is_forbidden(tiny_model: Path, nmt_here: Run) -> None:
    def pairs(row: list[str]) -> list[tuple[str, str]]:
        return list(pairwise(row))

    free = pieces(nmt_here, tiny_model, "--min-length", "40", "--max-extra-length", "100")
    assert any(len(set(pairs(row))) < len(pairs(row)) for row in free)
    flags = ["--min-length", "40", "--max-extra-length", "100", "--no-repeat-ngram", "2"]
    assert all(len(set(pairs(row))) == len(pairs(row)) for row in pieces(nmt_here, tiny_model, *flags))


def test_evaluate_takes_the_limits_too(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT)
    flags = ["--max-length-ratio", "0.1", "--min-length", "1", "--no-repeat-ngram", "3"]
    files: list[str | Path] = ["--source", tmp_path / "text", "--reference", tmp_path / "text"]
    said = nmt_here("evaluate", tiny_model, *files, *flags, "-o", tmp_path / "out")
    assert said.code == 0
    assert (tmp_path / "out").read_text(encoding="utf-8").split("\n")[:-1] == translated(nmt_here, tiny_model, *flags)
    for flag in ("--min-length", "--devices"):
        refusal = nmt_here("evaluate", "--hypotheses", tmp_path / "text", "--reference", tmp_path / "text", flag, "2")
        assert (refusal.code, len(refusal.messages)) == (2, 1)
        assert refusal.err.startswith("nmt: --hypotheses are scored as they are")
    refusal = nmt_here("evaluate", tiny_model, *files, "--export", "int8")
    assert refusal.code == 2
    assert refusal.err == "nmt: --export is for another engine than the native one (add --engine ctranslate2)\n"


# Ensembles


def test_an_ensemble_of_one_model_with_itself_is_that_model(tiny_model: Path, nmt_here: Run) -> None:
    assert translated(nmt_here, tiny_model, tiny_model) == translated(nmt_here, tiny_model)


def test_an_ensemble_is_neither_of_its_models_and_the_order_is_no_matter(
    tiny_model: Path, twin: Path, nmt_here: Run
) -> None:
    together = translated(nmt_here, tiny_model, twin, "--format", "tsv")
    assert translated(nmt_here, twin, tiny_model, "--format", "tsv") == together
    assert together != translated(nmt_here, tiny_model, "--format", "tsv")
    assert together != translated(nmt_here, twin, "--format", "tsv")


def test_models_of_different_vocabularies_are_no_ensemble(
    tiny: TinyRun, nmt: Run, nmt_here: Run, tmp_path: Path
) -> None:
    recipe = TINY.replace("vocab_size = 400", "vocab_size = 410").replace("max_steps = 200", "max_steps = 2")
    (tmp_path / "tiny.toml").write_text(recipe, encoding="utf-8")
    assert nmt("train", "tiny.toml", cwd=tmp_path).code == 0
    other = tmp_path / "runs" / "tiny" / "model"
    assert refused(nmt_here, tiny.model, other) == (
        2,
        f"{other} does not share the vocabulary of {tiny.model} (the models of an ensemble share a tokenizer: train "
        "them with --init-from, or with other seeds)",
    )


def test_each_model_of_an_ensemble_has_to_be_whole(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    damaged = tiny.copy_model(tmp_path / "model")
    (damaged / "model.safetensors").write_bytes(b"")
    code, message = refused(nmt_here, tiny.model, damaged)
    assert code == 4
    assert message.startswith(f"{damaged / 'model.safetensors'}: damaged")


# What cannot be


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--top-k", "5"], "--top-k: for translations drawn at random (add --sample)"),
        (["--seed", "5", "--top-p", "0.5"], "--top-p, --seed: for translations drawn at random (add --sample)"),
        (["--temperature", "2"], "--temperature: for translations drawn at random (add --sample)"),
        (["--sample", "--beam-size", "2"], "--beam-size and --length-penalty are for the search, not for --sample"),
        (["--sample", "--top-p", "0"], "Invalid value for '--top-p': must be greater than 0, not 0.0"),
        (
            ["--sample", "--temperature", "0"],
            "Invalid value for '--temperature': must be greater than 0, not 0.0",
        ),
        (
            ["--sample", "--temperature", "inf"],
            "Invalid value for '--temperature': must be a finite number, not inf",
        ),
        (
            ["--max-length-ratio", "0"],
            "Invalid value for '--max-length-ratio': must be greater than 0, not 0.0",
        ),
        (["--format", "text", "--n-best", "2"], "--format text has one translation a line, not 2 (take tsv or jsonl)"),
        (["--alignment-layer", "1"], "--alignment-layer says which layer --alignment takes (add --alignment)"),
        (["--export", "x"], "--export is for another engine than the native one (add --engine ctranslate2)"),
        (["--engine", "ctranslate2", "--sample"], "the engine ctranslate2 has no --sample (leave out --engine)"),
    ],
)
def test_flags_that_do_not_go_together_are_one_line_before_a_model_is_looked_for(
    nmt_here: Run, tmp_path: Path, flags: list[str], message: str
) -> None:
    assert refused(nmt_here, tmp_path / "no model", *flags) == (2, message)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "xml"], "Invalid value for '--format'"),
        (["--engine", "abacus"], "Invalid value for '--engine'"),
        (["--top-k", "-1", "--sample"], "Invalid value for '--top-k'"),
        (["--top-p", "1.5", "--sample"], "Invalid value for '--top-p'"),
        (["--seed", "-1", "--sample"], "Invalid value for '--seed'"),
        (["--errors", "ignore"], "Invalid value for '--errors'"),
        (["--max-wait-ms", "-1"], "Invalid value for '--max-wait-ms'"),
        (["--max-wait-ms", "nan"], "Invalid value for '--max-wait-ms'"),
        (["--devices", "0"], "Invalid value for '--devices'"),
        (["--alignment", "--alignment-layer", "0"], "Invalid value for '--alignment-layer'"),
        (["--min-length", "-1"], "Invalid value for '--min-length'"),
        (["--no-repeat-ngram", "-1"], "Invalid value for '--no-repeat-ngram'"),
    ],
)
def test_values_that_cannot_be_are_one_line(nmt_here: Run, tiny_model: Path, flags: list[str], message: str) -> None:
    code, said = refused(nmt_here, tiny_model, *flags)
    assert code == 2
    assert said.startswith(message)


def test_what_is_wrong_with_files_is_said_before_a_model_is_looked_for(nmt_here: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(TEXT)
    (tmp_path / "short").write_bytes(b"\n")
    model = tmp_path / "no model"
    assert refused(nmt_here, model, "-i", tmp_path / "none")[0] == 3
    assert refused(nmt_here, model, "--prefix", tmp_path / "none")[0] == 3
    assert refused(nmt_here, model, "-i", tmp_path / "in", "--prefix", tmp_path / "short") == (
        3,
        f"{tmp_path / 'in'} has 5 lines but {tmp_path / 'short'} has 1",
    )
    assert refused(nmt_here, model, "-o", tmp_path) == (4, f"{tmp_path}: Is a directory")
    assert refused(nmt_here, model, "-o", tmp_path / "in" / "out")[0] == 4
    assert refused(nmt_here, model)[1].startswith(f"{model}: no such bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "short"]


@pytest.mark.parametrize("words", [("translate",), ("score", "--target", "a"), ("evaluate", "--reference", "a")])
def test_a_missing_gpu_is_said_before_a_file_or_a_model_is_read(
    nmt_here: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    command, *rest = words
    source = "--input" if command == "translate" else "--source"
    said = nmt_here(command, "no model", source, "no file", *rest, "--device", "cuda")
    assert said == (2, "", "nmt: no GPU that torch can use on this machine (take device cpu or auto)\n")


def test_control_characters_of_names_are_written_as_escapes(nmt_here: Run) -> None:
    said = nmt_here("translate", "a\x1b[2J\u202e\x07\xe9\u4e2d")
    assert said.code == 4
    assert said.err.startswith("nmt: a\\x1b[2J\\u202e\\x07\xe9\u4e2d: no such bundle")


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "no model", "--source", "a", "--reference", "b"),
        ("score", "no model", "--source", "a", "--target", "b"),
        ("translate", "no model", "--input", "a", "--prefix", "b"),
    ],
)
def test_an_output_is_checked_before_anything_is_read(nmt_here: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    words = (*words, "-o")
    (tmp_path / "file").touch()
    assert nmt_here(*words, "file/out", cwd=tmp_path) == (4, "", "nmt: file/out: Not a directory\n")
    assert nmt_here(*words, ".", cwd=tmp_path) == (4, "", "nmt: .: Is a directory\n")


def test_an_engine_that_is_not_exported_to_is_one_line(tiny_model: Path, nmt_here: Run) -> None:
    code, message = refused(nmt_here, tiny_model, "--engine", "ctranslate2")
    assert code in (2, 4)
    assert "ctranslate2" in message


def test_what_is_imported_before_the_engine_has_no_torch_in_it() -> None:
    program = (
        "import sys; from nmt.inference.engines.loading import EnginePlan; "
        "from nmt.inference.translator import Translator; "
        "import nmt.commands.translate, nmt.commands.line_input, nmt.commands.line_output, nmt.cli; "
        "print({'torch', 'datasets', 'pyarrow', 'safetensors', 'sacrebleu', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "set()\n", "")


def test_a_model_folder_needs_no_more_than_read_permission(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    model = tiny.copy_model(tmp_path / "model")
    before = tree(model)
    for path in [*model.iterdir(), model]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert len(translated(nmt_here, model)) == len(LINES)
    finally:
        model.chmod(0o700)
    assert tree(model) == before
    shutil.rmtree(model)
