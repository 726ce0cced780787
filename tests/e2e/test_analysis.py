"""`nmt evaluate --analysis` and `--scores`, as a user types them."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, TinyRun

COMET = "comet:wmt22-comet-da"


@pytest.fixture(scope="module")
def texts(tiny: TinyRun, nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the test set of the tiny run, two systems, scores and labels of its lines."""
    folder = tmp_path_factory.mktemp("texts")
    nmt_here("data", "synthesize", folder, "--split", "test", "--pairs", "20", "--seed", "1")
    (folder / "hyp.de").write_bytes((tiny.folder / "evaluation" / "test.de").read_bytes())
    (folder / "labels").write_text("long\n" * 5 + "\n" * 15, encoding="utf-8")
    (folder / "short").write_text("0.5\n", encoding="utf-8")
    for name, score in (("a", 0.5), ("b", 0.7)):
        (folder / name).write_text("".join(f"{score + 0.01 * line}\n" for line in range(20)), encoding="utf-8")
    return folder


def analyzed(nmt: Run, texts: Path, *arguments: str) -> dict[str, Any]:
    said = nmt(
        "evaluate",
        *arguments,
        "--reference",
        "test.de",
        "--source",
        "test.en",
        "--json",
        "--no-significance",
        cwd=texts,
    )
    assert said.code == 0
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_an_analysis_of_a_model_groups_by_the_words_of_its_training_text(
    tiny: TinyRun, nmt_here: Run, texts: Path
) -> None:
    found = analyzed(nmt_here, texts, str(tiny.folder / "model"), "--analysis", "--labels", "labels")
    analysis = found.pop("analysis")
    assert list(found) == list(analysis["scores"]) == ["bleu", "chrf", "chrf++", "ter"]
    assert found["bleu"]["score"] == analysis["scores"]["bleu"]["score"]
    groups = [analysis["by_length"], analysis["by_frequency"], analysis["by_label"]["labels"]]
    assert [sum(group["lines"] for group in each) for each in groups] == [20] * 3
    assert [(group["name"], group["lines"]) for group in groups[2]] == [("unknown", 15), ("long", 5)]
    given = analyzed(nmt_here, texts, "--hypotheses", "hyp.de", "--analysis", "--training-source", "test.en")
    assert given["analysis"]["scores"] == analysis["scores"]
    assert given["analysis"]["by_frequency"] != analysis["by_frequency"]
    assert "0" not in [group["name"] for group in given["analysis"]["by_frequency"]]
    assert (given["analysis"]["flaws"], given["analysis"]["by_label"]) == (analysis["flaws"], {})


def test_an_analysis_is_printed_as_tables_of_all_systems(nmt_here: Run, texts: Path) -> None:
    words = ("evaluate", "--reference", "test.de", "--source", "test.en", "--analysis", "--hypotheses")
    tables = nmt_here(*words, "hyp.de", "test.de", "--metrics", "ter", cwd=texts).out.split("\n\n")
    assert [table.split()[0] for table in tables] == ["system", "metric", "lines", "words", "flaw", "kept", "check"]
    assert [row.split()[1] for row in tables[0].split("\n")[1:4]] == ["BLEU", "chrF", "TER"]
    assert [row.split()[:3] for row in tables[4].split("\n")[1:3]] == [
        ["copied", "hyp.de", "0"],
        ["copied", "test.de", "0"],
    ]
    one = nmt_here(*words, "hyp.de", "--no-significance", cwd=texts).out.split("\n\n")
    assert [table.split()[0] for table in one] == ["test", "lines", "words", "flaw", "kept", "check"]


def test_scores_made_elsewhere_have_intervals_and_tests_beside_the_others(nmt_here: Run, texts: Path) -> None:
    words = ("evaluate", "--reference", "test.de", "--hypotheses", "hyp.de", "test.de", "--metrics", "chrf", "--scores")
    said = nmt_here(*words, f"{COMET}=a", f"{COMET}=b", cwd=texts)
    rows = [line.split() for line in said.lines]
    assert rows[2][:3] == ["hyp.de", COMET, "0.5950"]
    assert rows[4][1:3] + rows[4][5:6] == [COMET, "0.7950", "+0.2000"]
    assert rows[-1] == [COMET, f"{COMET}|seed:12345|ar:10000"]
    latex = nmt_here(*words, f"{COMET}=a", f"{COMET}=b", "--latex", cwd=texts)
    assert f"% {COMET}: {COMET}" in latex.lines
    plain = nmt_here(
        *words[:5], "--metrics", "chrf", "--scores", f"{COMET}=a", "--no-significance", "--json", cwd=texts
    )
    assert json.loads(plain.out)[COMET] == {"score": pytest.approx(0.595), "signature": COMET}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--analysis"], 2, "--analysis needs the source of --hypotheses (add --source FILE)"),
        (["--source", "test.en"], 2, "--hypotheses are scored as they are (leave out the options for translating)"),
        (
            ["--analysis", "--source", "test.en", "--latex"],
            2,
            "--latex prints scores alone (leave out --analysis, --robustness and --confidence, or print --json)",
        ),
        (["--robustness"], 2, "--robustness has MODEL translate (leave out --hypotheses)"),
        (["--labels", "labels"], 2, "--labels groups the lines of an analysis (add --analysis)"),
        (["--training-source", "x"], 2, "--training-source groups the lines of an analysis (add --analysis)"),
        (["--analysis", "--source", "test.en", "--labels", "short"], 3, "--labels short: 1 labels of 20 lines"),
        (["--analysis", "--source", "short"], 3, "short has 1 lines but test.de has 20"),
        (["--scores", "a"], 2, "--scores a: no metric is named (write --scores comet:wmt22-comet-da=FILE)"),
        (["--scores", "m:1=a", "m:1=a"], 2, "--scores m:1=a is given twice"),
        (["--scores", "m:1=short"], 3, "m:1=short: 1 scores of hyp.de, which has 20 lines"),
        (
            ["--scores", "m:1=a", "m:1=b"],
            3,
            "m:1=a, b: scores of 2 systems (?, ?), not of hyp.de (give one file for each system, in their order, "
            "or one with their names)",
        ),
    ],
)
def test_what_cannot_be_analyzed_is_one_line(
    nmt_here: Run, texts: Path, arguments: list[str], code: int, message: str
) -> None:
    said = nmt_here("evaluate", "--hypotheses", "hyp.de", "--reference", "test.de", *arguments, cwd=texts)
    assert said == (code, "", f"nmt: {message}\n")


def test_scores_are_read_before_a_model_translates(tiny: TinyRun, nmt_here: Run, texts: Path) -> None:
    words = ("evaluate", tiny.folder / "model", "--source", "test.en", "--reference", "test.de", "-o", "kept")
    said = nmt_here(*words, "--scores", "m:1=short", cwd=texts)
    assert said == (3, "", "nmt: m:1=short: 1 scores of test.en, which has 20 lines\n")
    assert not (texts / "kept").exists()


def test_a_model_translates_the_source_in_other_ways_of_writing_too(tiny: TinyRun, nmt_here: Run, texts: Path) -> None:
    for side in ("en", "de"):
        lines = (texts / f"test.{side}").read_text(encoding="utf-8").split("\n")[:2]
        (texts / f"two.{side}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    words = ("evaluate", tiny.model, "--source", "two.en", "--reference", "two.de", "--beam-size", "1", "--robustness")
    said = nmt_here(*words, "--max-extra-length", "2", "--no-significance", "--json", cwd=texts)
    found = json.loads(said.out)
    variants = found["robustness"]["variants"]
    names = ["capitals", "title case", "lower case", "typos", "no final mark"]
    assert [variant["name"] for variant in variants] == names
    assert variants[3]["plain"]["bleu"] == found["bleu"]
    assert [line for line in said.messages if line.startswith("evaluate: ")] == [
        f"evaluate: {name}" for name in [*names, "single words"]
    ]
    words = found["robustness"]["single_words"]
    assert words["words"] > 5
    assert 0 <= words["over_long"] <= words["words"]
