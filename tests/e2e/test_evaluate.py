"""The chain from raw text to a score: whichever way it is taken, the number is the same."""

import gzip
import html
import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, TinyRun, command, environment

from nmt.files import digest_json


@pytest.fixture(scope="module")
def texts(tiny: TinyRun, nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the test set as a user has it: test.en.gz, test.de, test.other.de, and the run's own translations."""
    folder = tmp_path_factory.mktemp("texts")
    for split, pairs, seed in (("test", "20", "1"), ("unseen", "20", "1")):
        said = nmt_here("data", "synthesize", folder, "--split", split, "--pairs", pairs, "--seed", seed)
        assert said.code == 0
    (folder / "test.en.gz").write_bytes(gzip.compress((folder / "test.en").read_bytes()))
    (folder / "test.en").unlink()
    (folder / "unseen.de").rename(folder / "test.other.de")
    (folder / "hyp.de").write_bytes((tiny.folder / "evaluation" / "test.de").read_bytes())
    return folder


@pytest.fixture(scope="module")
def expected(tiny: TinyRun) -> dict[str, Any]:
    """Return the scores that the run itself found."""
    scores: dict[str, Any] = json.loads((tiny.folder / "evaluation" / "scores.json").read_text(encoding="utf-8"))
    return dict(scores["test"])


EXPECTED = ("nmt: warning: input lines ", "nmt: warning: translations that ")
"""The test set has sentences longer than the tiny model takes, and that model repeats itself."""


def evaluated(nmt: Run, *arguments: str | Path) -> dict[str, Any]:
    said = nmt("evaluate", *arguments, "--json", "--no-significance")
    assert said.code == 0
    assert all(line.startswith(EXPECTED) for line in said.err.split("\n")[:-1])
    scores: dict[str, Any] = json.loads(said.out)
    return scores


def signatures(scores: Mapping[str, Any]) -> dict[str, list[str]]:
    return {name: found["signature"].split("|") for name, found in scores.items()}


def test_translate_in_a_pipe_then_evaluate_gives_the_number_of_the_run(
    tiny: TinyRun, nmt: Run, texts: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    pipe = f"gzip -dc test.en.gz | {shlex.join(command('translate', tiny.model))} > {tmp_path / 'hyp'}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipe], cwd=texts, env=environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert all(line.startswith(EXPECTED) for line in done.stderr.decode().split("\n")[:-1])
    assert (tmp_path / "hyp").read_bytes() == (texts / "hyp.de").read_bytes()
    assert expected["bleu"]["score"] > 0
    assert evaluated(nmt, "--hypotheses", tmp_path / "hyp", "--reference", texts / "test.de") == expected


def test_evaluate_of_a_model_gives_the_number_of_the_run(
    tiny: TinyRun, nmt_here: Run, texts: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    arguments: list[str | Path] = [
        tiny.model,
        "--source",
        texts / "test.en",
        "--reference",
        texts / "test.de",
        "-o",
        tmp_path / "kept",
    ]
    assert evaluated(nmt_here, *arguments) == expected
    assert (tmp_path / "kept").read_bytes() == (texts / "hyp.de").read_bytes()


NAMES = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}


def test_without_json_evaluate_prints_tables(nmt_here: Run, texts: Path, expected: dict[str, Any]) -> None:
    words = ("evaluate", "--hypotheses", texts / "hyp.de", "--reference", texts / "test.de")
    said = nmt_here(*words, "--no-significance")
    assert (said.code, said.err) == (0, "")
    assert [line.split() for line in said.lines] == [
        ["test", "metric", "score", "signature"],
        *(
            ["hyp.de", NAMES[name], f"{found['score']:.2f}", found["signature"]]
            for name, found in expected.items()
        ),
    ]  # fmt: skip
    figures, signed = nmt_here(*words).out.split("\n\n")
    header, *rows = [line.split() for line in figures.split("\n")]
    assert header == ["system", "metric", "score", "95%", "interval"]
    assert [row[:3] for row in rows] == [
        ["hyp.de", NAMES[name], f"{found['score']:.2f}"] for name, found in expected.items()
    ]
    low, high = (float(cell.strip("[,]")) for cell in rows[0][3:])
    assert low < expected["bleu"]["score"] < high
    assert [line.split() for line in signed.split("\n")[1:-1]] == [
        [NAMES[name], expected[name]["signature"].replace("|", more, 1)]
        for name, more in [
            *(("bleu", "|"), ("bleu", "|bs:1000|seed:12345|")),
            *(("chrf", "|"), ("chrf", "|bs:1000|seed:12345|"), ("ter", "|")),
        ]
    ]


def test_systems_are_compared_with_the_first(nmt_here: Run, texts: Path, expected: dict[str, Any]) -> None:
    ours, perfect = str(texts / "hyp.de"), str(texts / "test.de")
    words = ("evaluate", "--hypotheses", ours, perfect, "--reference", perfect, "--metrics", "ter", "bleu")
    found = json.loads(nmt_here(*words, "--json").out)
    assert [list(scores) for scores in found.values()] == [["bleu", "ter"]] * 2
    assert found[ours]["bleu"]["score"] == expected["bleu"]["score"]
    assert "difference" not in found[ours]["bleu"]
    for name, perfection in (("bleu", 100), ("ter", 0)):
        difference = found[perfect][name]["difference"]
        assert difference["baseline"] == ours
        assert round(difference["value"] + expected[name]["score"], 9) == perfection
        assert max(difference["randomization_p"], difference["bootstrap_p"]) < 0.01
        assert "|ar:10000|seed:12345|" in difference["randomization_signature"]
    table = nmt_here(*words, "--latex").lines
    assert [line for line in table if line.startswith("%")] == [
        f"% {NAMES[name]}: {signature}"
        for name, score in found[perfect].items()
        for signature in (
            score["signature"], score["interval"]["signature"], score["difference"]["randomization_signature"],
        )
    ]  # fmt: skip
    assert [line.count("&") for line in table[-6:-2]] == [7] * 4


def test_two_references_count_as_two_however_they_are_given(
    nmt_here: Run, texts: Path, expected: dict[str, Any]
) -> None:
    first, second = texts / "test.de", texts / "test.other.de"
    together = evaluated(nmt_here, "--hypotheses", texts / "hyp.de", "--reference", first, second)
    apart = evaluated(nmt_here, "--reference", first, "--reference", second, "--hypotheses", texts / "hyp.de")
    assert together == apart
    assert [parts[0] for parts in signatures(together).values()] == ["nrefs:2"] * 3
    assert together["chrf"]["score"] > expected["chrf"]["score"]


def test_tokenizer_case_and_word_order_show_in_the_signature(
    nmt_here: Run, texts: Path, expected: dict[str, Any]
) -> None:
    files: list[str | Path] = ["--hypotheses", texts / "hyp.de", "--reference", texts / "test.de"]
    assert {"tok:13a", "case:mixed"} <= set(signatures(expected)["bleu"])

    by_character = evaluated(nmt_here, *files, "--tokenize", "char")
    assert "tok:char" in signatures(by_character)["bleu"]
    assert by_character["bleu"]["score"] > expected["bleu"]["score"]
    assert by_character["chrf"] == expected["chrf"]

    lowercase = evaluated(nmt_here, *files, "--lowercase")
    assert "case:lc" in signatures(lowercase)["bleu"]
    assert "case:lc" in signatures(lowercase)["chrf"]
    assert lowercase["chrf"]["score"] != expected["chrf"]["score"]

    chrf = evaluated(nmt_here, *files, "--chrf-word-order", "2")["chrf"]
    assert "nw:2" in chrf["signature"].split("|")
    assert chrf["score"] != expected["chrf"]["score"]


def test_a_perfect_translation_scores_a_hundred(nmt_here: Run, texts: Path) -> None:
    scores = evaluated(nmt_here, "--hypotheses", texts / "test.de", "--reference", texts / "test.de")
    assert [round(found["score"], 9) for found in scores.values()] == [100, 100, 0]


def test_test_sets_of_wmt_are_scored_by_document_and_segment(
    tiny: TinyRun, nmt_here: Run, texts: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    def documents(path: Path, kind: str) -> list[str]:
        lines = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")
        texts = [html.escape(line) for line in lines.split("\n")[:-1]]
        return [f"<{kind}><seg id='1'>{text}</seg></{kind}>" for text in texts]

    sides = [
        documents(texts / name, kind) for name, kind in (("test.en.gz", "src"), ("test.de", "ref"), ("hyp.de", "hyp"))
    ]
    wmt = "".join(f"<doc id='{number}'>{''.join(all_)}</doc>" for number, all_ in enumerate(zip(*sides, strict=True)))
    (tmp_path / "w.xml").write_text(f"<dataset>{wmt}</dataset>")
    for kind, root, side in (("src", "srcset", sides[0]), ("ref", "refset", sides[1])):
        body = [f"<doc docid={number}>{seg}</doc>\n" for number, seg in enumerate(side)]
        order = body if kind == "src" else body[::-1]
        (tmp_path / f"{kind}.sgm").write_text(f"<{root}>{''.join(order)}</{root}>")
    xml = tmp_path / "w.xml"
    assert evaluated(nmt_here, "--hypotheses", xml, "--reference", xml) == expected
    assert evaluated(nmt_here, "--hypotheses", texts / "hyp.de", "--reference", xml) == expected
    sets = "--source", tmp_path / "src.sgm", "--reference", tmp_path / "ref.sgm"
    assert evaluated(nmt_here, tiny.folder / "model", *sets) == expected


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--hypotheses", "hyp.de"], 2, "evaluate needs --reference FILE"),
        (["--reference", "test.de"], 2, "evaluate takes MODEL with --source, or --hypotheses"),
        (["--reference", "test.de", "--source", "test.en"], 2, "evaluate takes MODEL with --source, or --hypotheses"),
        (
            ["--reference", "test.de", "--source", "test.en", "--hypotheses", "hyp.de"],
            *(2, "--hypotheses are scored as they are"),
        ),
        (
            ["--hypotheses", "hyp.de", "--reference", "test.de", "--json", "--latex"],
            2,
            "--json and --latex are two ways",
        ),
        (["--hypotheses", "hyp.de", "--reference", "test.de", "--metrics", "x"], 2, "Invalid value for '--metrics': "),
        (["--hypotheses", "hyp.de", "--reference", "test.de", "--tokenize", "14a"], 2, "unknown BLEU tokenizer '14a'"),
        (["--hypotheses", "nosuch", "--reference", "test.de"], 3, "nosuch: no such file"),
        (["--hypotheses", "short", "--reference", "test.de"], 3, "2 hypotheses but 20 lines in reference set 1"),
        (["--hypotheses", "empty", "--reference", "empty"], 3, "no hypotheses to score"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    nmt_here: Run, texts: Path, arguments: list[str], code: int, message: str
) -> None:
    (texts / "short").write_bytes(b"a\nb\n")
    (texts / "empty").write_bytes(b"")
    said = nmt_here("evaluate", *arguments, cwd=texts)
    assert (said.code, said.out, len(said.messages)) == (code, "", 1)
    assert said.err.startswith(f"nmt: {message}")


def test_a_source_of_another_length_than_the_reference_is_refused_before_it_is_translated(
    nmt_here: Run, tiny: TinyRun, texts: Path
) -> None:
    (texts / "short").write_bytes(b"a\nb\n")
    said = nmt_here("evaluate", tiny.model, "--source", "short", "--reference", "test.de", cwd=texts)
    assert said == (3, "", "nmt: short has 2 lines but test.de has 20\n")


def test_a_model_says_how_its_hypotheses_are_scored(tiny: TinyRun, nmt_here: Run, texts: Path, tmp_path: Path) -> None:
    model = tiny.copy_model(tmp_path / "model")
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config["evaluation"]["lowercase"] = True
    del config["digest"]
    (model / "config.json").write_text(json.dumps({**config, "digest": digest_json(config)}), encoding="utf-8")
    words = ("evaluate", model, "--hypotheses", texts / "hyp.de", "--reference", texts / "test.de", "--json")
    assert "case:lc" in json.loads(nmt_here(*words).out)["bleu"]["signature"]


def test_options_for_translating_are_refused_with_hypotheses(nmt_here: Run, texts: Path) -> None:
    words = ("evaluate", "--hypotheses", texts / "hyp.de", "--reference", texts / "test.de", "--beam-size", "2")
    assert nmt_here(*words) == (
        2, "", "nmt: --hypotheses are scored as they are (leave out the options for translating)\n",
    )  # fmt: skip


def test_each_file_of_hypotheses_has_its_own_scores_however_they_are_given(
    nmt_here: Run, texts: Path, expected: dict[str, Any]
) -> None:
    ours, perfect = str(texts / "hyp.de"), str(texts / "test.de")
    found = evaluated(nmt_here, "--hypotheses", ours, "--hypotheses", perfect, "--reference", perfect)
    assert list(found) == [ours, perfect]
    assert found[ours] == {name: score for name, score in expected.items() if name != "ter"}
    assert round(found[perfect]["bleu"]["score"], 9) == 100
    assert evaluated(nmt_here, "--hypotheses", ours, perfect, "--reference", perfect) == found
    rows = nmt_here("evaluate", "--hypotheses", ours, perfect, "--reference", perfect).lines[1:5]
    assert [row.split()[:2] for row in rows] == [
        [name, metric] for name in (ours, perfect) for metric in ("BLEU", "chrF")
    ]


def test_files_of_hypotheses_that_cannot_be_scored_together_are_one_line(nmt_here: Run, texts: Path) -> None:
    (texts / "short").write_bytes(b"a\nb\n")
    words = ("evaluate", "--reference", "test.de", "--hypotheses", "hyp.de")
    assert nmt_here(*words, "hyp.de", cwd=texts) == (2, "", "nmt: --hypotheses: hyp.de is named twice\n")
    assert nmt_here(*words, "short", cwd=texts) == (3, "", "nmt: short has 2 lines but test.de has 20\n")


def test_a_blank_line_in_a_second_reference_is_no_reference(nmt_here: Run, tmp_path: Path) -> None:
    texts = {"hyp": "the small dog sleeps\nA cat.\n", "first": "the small dog sleeps on the old sofa at home\nA cat.\n"}
    for name, text in {**texts, "second": "\nA cat.\n", "blank": "\u3000\nA cat.\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    words = ("evaluate", "--hypotheses", "hyp", "--json", "--reference")
    said = nmt_here(*words, "first", "second", cwd=tmp_path)
    scores = json.loads(said.out)
    assert round(scores["bleu"]["score"], 2) == 42.44
    assert all(signature[0] == "nrefs:var" for signature in signatures(scores).values())
    assert said.messages[0] == (
        "nmt: warning: 1 of 2 lines is blank in reference set 2, and scored by the others: line 1"
    )
    said = nmt_here(*words, "blank", cwd=tmp_path)
    assert json.loads(said.out)["chrf"]["score"] == 100
    assert said.messages[0].startswith("nmt: warning: 1 of 2 lines is blank in the reference: line 1; ")
    said = nmt_here("evaluate", "--hypotheses", "blank", "first", "--reference", "first", cwd=tmp_path)
    assert said.messages == ["nmt: warning: blank: 1 of 2 hypotheses is blank: line 1"]


UNSPACED = "nmt: warning: BLEU's tokenizer 13a finds no words in text without spaces between them: "


@pytest.fixture(scope="module")
def thai(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("thai") / "test.txt"
    path.write_text("แมวดำนอนอยู่บนเก้าอี้\nฝนตกหนักเมื่อคืนนี้\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("options", "tokenizer", "said"),
    [
        ([], "char", "nmt: warning: the references are in a script without spaces between words"),
        (["--target-language", "tha_Thai"], "char", ""),
        (["--target-language", "lo"], "char", ""),
        (["--target-language", "zho_Hans"], "zh", "nmt: warning: BLEU"),
        (["--tokenize", "13a"], "13a", UNSPACED),
        (
            ["--target-language", "en"],
            "13a",
            UNSPACED,
        ),
    ],
)
def test_bleu_of_text_without_spaces_has_a_tokenizer_for_it_or_a_warning(
    nmt_here: Run, thai: Path, options: list[str], tokenizer: str, said: str
) -> None:
    found = nmt_here("evaluate", "--hypotheses", thai, "--reference", thai, "--json", *options)
    bleu = json.loads(found.out)["bleu"]
    assert f"tok:{tokenizer}" in bleu["signature"].split("|")
    assert bool(bleu["score"]) == (tokenizer == "char")
    assert len(found.messages) == bool(said)
    assert found.err.startswith(said)


def test_the_target_language_goes_before_the_models_own_tokenizer(tiny: TinyRun, nmt_here: Run, thai: Path) -> None:
    words = ("evaluate", tiny.model, "--hypotheses", thai, "--reference", thai, "--json", "--target-language", "th")
    assert "tok:char" in json.loads(nmt_here(*words).out)["bleu"]["signature"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target-language", "thai"], "--target-language thai: no language has this code (did you mean th?)"),
        (
            ["--target-language", "12"],
            "--target-language 12: no language has this code (codes are as in ISO 639-1: en, de)",
        ),
        (
            ["--target-language", "th", "--tokenize", "char"],
            "--target-language chooses BLEU's tokenizer, and --tokenize names it (give one of them)",
        ),
    ],
)
def test_a_target_language_that_chooses_nothing_is_one_line(
    nmt_here: Run, thai: Path, options: list[str], message: str
) -> None:
    said = nmt_here("evaluate", "--hypotheses", thai, "--reference", thai, *options)
    assert said == (2, "", f"nmt: {message}\n")
