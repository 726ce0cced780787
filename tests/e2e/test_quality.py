"""What is known of a translation without a reference: docs/quality.md is true, and the server says the same."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, Result, Run, TinyRun
from pages import check_page
from servers import serving

from nmt.data.cleaning.corpus_text import read_text
from nmt.evaluation import calibration
from nmt.files import read_json, write_json
from nmt.tasks.grammar import generate

PAGE = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
LINES = ["A small dog sleeps.", "The 12 dogs of <b>Anna</b> cost 1,500.5.", "", "Two men write to a@b.example."]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
CPU = ["--device", "cpu"]
FAILING = "nmt: warning: translations that fail a check against their lines: "


@pytest.fixture(scope="module")
def calibrated(tiny: TinyRun, nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle whose confidence is fitted to text of the grammar."""
    home = tmp_path_factory.mktemp("calibrated")
    model = tiny.copy_model(home / "model")
    write_sides(home)
    said = nmt_here("evaluate", model, *files(home, "dev"), "--calibrate", "--metrics", "chrf", *CPU)
    assert said.code == 0, said.err
    assert said.messages[-1] == f"evaluate: confidence fitted to 110 lines: {model / 'calibration.json'}"
    return model


def write_sides(home: Path) -> None:
    for name, seed, lines in (("dev", 5, 110), ("test", 6, 30)):
        for side, texts in zip(("en", "de"), zip(*generate("test", lines, seed), strict=True), strict=True):
            (home / f"{name}.{side}").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


def files(home: Path, name: str) -> list[str | Path]:
    return ["--source", home / f"{name}.en", "--reference", home / f"{name}.de"]


def translated(nmt: Run, model: Path, *options: str) -> list[str]:
    said = nmt("translate", model, *options, *CPU, stdin=TEXT)
    assert said.code == 0, said.err
    return said.lines


def test_the_examples_of_the_page_run(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TINY.replace('"tiny"', '"mine"'), encoding="utf-8")
    lock = tiny.copy(tmp_path / "runs" / "mine") / "lock.json"
    write_json(lock, {**read_json(lock), "recipe": {**read_json(lock)["recipe"], "name": "mine"}})
    write_sides(tmp_path)
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.split("\n") if line.startswith("nmt ")]
    assert commands
    for command in commands:
        arguments, _, rest = command.partition(" < ")
        stdin = (tmp_path / rest.split()[0]).read_bytes() if rest else b""
        said = nmt_here(*shlex.split(arguments)[1:], stdin=stdin, cwd=tmp_path)
        assert said.code == 0, (command, said.err)


def test_failed_checks_are_counted_at_the_end_and_named_in_the_formats(tiny_model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", tiny_model, "--check", "-v", *CPU, stdin=TEXT)
    assert said.lines == translated(nmt_here, tiny_model)
    (warning,) = [message for message in said.messages if message.startswith(FAILING)]
    assert re.fullmatch(r"3? ?.*\(line 2, 4\): numbers missing in 1, emails missing in 1, tags missing in 1", warning)
    assert "line 2: numbers missing: 12, 1,500.5; tags missing: <b>, </b>" in said.messages
    table = [row.split("\t") for row in translated(nmt_here, tiny_model, "--check", "--format", "tsv")]
    assert [row[3] for row in table] == [
        "", "numbers missing: 12, 1,500.5; tags missing: <b>, </b>", "", "emails missing: a@b.example",
    ]  # fmt: skip
    objects: list[dict[str, Any]] = [
        json.loads(row) for row in translated(nmt_here, tiny_model, "--check", "--format", "jsonl")
    ]
    found = [row["hypotheses"][0]["checks"] for row in objects]
    assert found[0] == {}
    assert found[1]["tags"] == {"missing": ["<b>", "</b>"], "invented": []}


def test_lines_that_pass_are_counted_too(tiny_model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", tiny_model, "--check", *CPU, stdin=b"A small dog sleeps.\n\n")
    assert said.messages[-1] == "translate: lines that pass all checks: 2 of 2"
    assert not [message for message in said.messages if message.startswith(FAILING)]


def test_the_server_finds_what_the_command_finds(tiny_model: Path, nmt_here: Run) -> None:
    expected = [
        json.loads(row)["hypotheses"][0]["checks"]
        for row in translated(nmt_here, tiny_model, "--check", "--format", "jsonl")
    ]
    with serving(tiny_model) as server:
        asked = {"lines": LINES, "source": "en", "target": "de"}
        answer = server.post("/v1/translate", **asked, check=True).body
        plain = server.post("/v1/translate", **asked).body
    found = [line["candidates"][0]["checks"] for line in answer["translations"]]
    assert found == expected
    failing = "translations that fail a check against their lines: "
    assert f"{failing}emails missing" in answer["translations"][3]["warnings"]
    assert any(warning.startswith(f"{failing}2 (line 2, 4)") for warning in answer["warnings"])
    assert "checks" not in plain["translations"][1]["candidates"][0]


def test_checks_are_for_lines_of_text(tiny_model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", tiny_model, "--check", "--format", "html", stdin=b"<p>A</p>")
    assert (said.code, said.messages) == (2, ["nmt: --check is for lines, and --format html for a document"])


def test_what_is_found_does_not_depend_on_the_batch(tiny_model: Path, nmt_here: Run) -> None:
    tables = [
        [row.split("\t") for row in translated(nmt_here, tiny_model, "--check", "--format", "tsv", *options)]
        for options in ([], ["--batch-tokens", "1"], ["--batch-tokens", "64"])
    ]
    for one, *same in zip(*tables, strict=True):
        for other in same:
            assert (other[0], other[2:]) == (one[0], one[2:])
            assert float(other[1]) == pytest.approx(float(one[1]), abs=1e-4)


def test_the_confidence_of_a_calibrated_model_is_judged_on_other_text(calibrated: Path, nmt_here: Run) -> None:
    home = calibrated.parent
    said = nmt_here("evaluate", calibrated, *files(home, "test"), "--confidence", "--metrics", "chrf", *CPU)
    assert said.code == 0, said.err
    assert "calibration error" in said.out
    found = nmt_here("evaluate", calibrated, *files(home, "test"), "--confidence", "--json", *CPU).out
    reliability = json.loads(found)["confidence"]
    assert reliability["lines"] == sum(one["lines"] for one in reliability["bins"]) == 30
    assert reliability["error"] < 15


def test_unsure_lines_are_marked_withheld_and_counted_one_for_one(calibrated: Path, nmt_here: Run) -> None:
    plain = translated(nmt_here, calibrated)
    table = [row.split("\t") for row in translated(nmt_here, calibrated, "--confidence", "--format", "tsv")]
    confidences = [float(row[3]) for row in table]
    assert confidences[2] == 100.0, "a blank line"
    assert translated(nmt_here, calibrated, "--confidence") == [
        f"{text} ||| {row[3]}" for text, row in zip(plain, table, strict=True)
    ]
    least = f"{sorted(confidences)[1] + 0.01:.2f}"
    unsure = [confidence < float(least) for confidence in confidences]
    said = nmt_here("translate", calibrated, "--min-confidence", least, *CPU, stdin=TEXT)
    marked = [f"[?] {text}" if is_unsure else text for text, is_unsure in zip(plain, unsure, strict=True)]
    assert [line.split(" ||| ")[0] for line in said.lines] == marked
    count = f"translations of less than the least confidence: {sum(unsure)} (line "
    assert any(message.startswith(f"nmt: warning: {count}") for message in said.messages)
    withheld = translated(nmt_here, calibrated, "--min-confidence", least, "--below", "withhold")
    kept = ["" if is_unsure else text for text, is_unsure in zip(plain, unsure, strict=True)]
    assert [line.split(" ||| ")[0] for line in withheld] == kept
    with serving(calibrated) as server:
        answer = server.post("/v1/translate", lines=LINES, source="en", target="de", confidence=True).body
    found = [line["candidates"][0]["confidence"] for line in answer["translations"]]
    assert found == pytest.approx(confidences, abs=0.02)


def test_int8_says_that_the_confidence_was_calibrated_in_float32(
    calibrated: Path, nmt_here: Run, tmp_path: Path
) -> None:
    exported = tmp_path / "int8"
    said = nmt_here("export", calibrated, "--to", "int8", "-o", exported, "--sample", calibrated.parent / "test.en")
    assert said.code == 0, said.err
    said = nmt_here("translate", exported, "--confidence", *CPU, stdin=TEXT)
    assert said.code == 0
    assert "translate: the confidence was calibrated in float32, and this is int8" in said.messages
    said = nmt_here("translate", calibrated, "--confidence", *CPU, stdin=TEXT)
    assert not [message for message in said.messages if "calibrated in" in message]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--below", "withhold"], "--below is for translations of little confidence (add --min-confidence)"),
        (["--confidence", "--format", "html"], "--confidence is for lines, and --format html for a document"),
        (["--min-confidence", "5", "--format", "po"], "--min-confidence is for lines, and --format po for a document"),
        (
            ["--min-confidence", "5"],
            "{0}: has no calibration, so no confidence (calibrate it on text that it was not trained on: "
            "nmt evaluate {0} --source DEV --reference DEV --calibrate)",
        ),
    ],
)
def test_a_confidence_that_cannot_be_is_refused_in_one_line(
    tiny_model: Path, nmt_here: Run, options: list[str], message: str
) -> None:
    said = nmt_here("translate", tiny_model, *options, *CPU, stdin=TEXT)
    assert (said.code, said.out, said.messages) == (2, "", [f"nmt: {message.format(tiny_model)}"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--calibrate", "--confidence"],
            "--calibrate fits the confidence to these lines (give --confidence other ones)",
        ),
        (
            ["--confidence", "--latex"],
            "--latex prints scores alone (leave out --analysis, --robustness and --confidence, or print --json)",
        ),
        (
            ["--confidence"],
            "{0}: has no calibration, so no confidence (calibrate it on text that it was not trained on: "
            "nmt evaluate {0} --source DEV --reference DEV --calibrate)",
        ),
    ],
)
def test_a_confidence_that_cannot_be_judged_is_refused(
    calibrated: Path, tiny_model: Path, nmt_here: Run, options: list[str], message: str
) -> None:
    said = nmt_here("evaluate", tiny_model, *files(calibrated.parent, "test"), *options, *CPU)
    assert (said.code, said.out, said.messages) == (2, "", [f"nmt: {message.format(tiny_model)}"])


def test_too_few_lines_calibrate_nothing(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    model = tiny.copy_model(tmp_path / "model")
    for side in ("en", "de"):
        (tmp_path / f"dev.{side}").write_bytes(TEXT)
    said = nmt_here("evaluate", model, *files(tmp_path, "dev"), "--calibrate", "--no-significance", *CPU)
    assert said.code == 3
    assert said.messages[-1] == "nmt: 3 lines to calibrate on: 100 are the least (give more lines)"
    assert not (model / "calibration.json").exists()


def test_given_translations_have_no_confidence(calibrated: Path, nmt_here: Run) -> None:
    text = calibrated.parent / "test.de"
    said = nmt_here("evaluate", "--hypotheses", text, "--reference", text, "--calibrate")
    assert said.messages == ["nmt: --calibrate has MODEL translate (leave out --hypotheses)"]


REPAIRED = ["The woman sees 7.", "A small dog sleeps.", "Do 12 cats sleep?", "<b>Lena</b> sleeps.", "7", "Lena has 3."]
SHORT = ["--max-extra-length", "0"]


def test_lines_that_fail_are_repaired_counted_and_alike_in_every_batch(tiny_model: Path, nmt_here: Run) -> None:
    stdin = "".join(f"{line}\n" for line in REPAIRED).encode()
    said = nmt_here("translate", tiny_model, "--repair", "--format", "tsv", *SHORT, *CPU, stdin=stdin)
    plain = nmt_here("translate", tiny_model, "--check", "--format", "tsv", *SHORT, *CPU, stdin=stdin)
    before, after = ([row.split("\t") for row in each.lines] for each in (plain, said))
    failing = [number for number, row in enumerate(before, 1) if row[3]]
    passing = [number for number in failing if not after[number - 1][3]]
    assert passing
    count = f"{len(failing)} (line {', '.join(map(str, failing))}), of which pass now: {len(passing)}"
    assert f"nmt: warning: translations searched again for failed checks: {count}" in said.messages
    for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
        assert (old[2] == new[2]) == (number not in passing)
    single = nmt_here("translate", tiny_model, "--repair", "--batch-tokens", "1", *SHORT, *CPU, stdin=stdin)
    assert single.lines == [row[2] for row in after]
    with serving(tiny_model, *SHORT) as server:
        answer = server.post("/v1/translate", lines=REPAIRED, source="en", target="de", repair=True).body
    assert [line["candidates"][0]["text"] for line in answer["translations"]] == single.lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sample"], "--repair and --sample exclude each other (leave one of them out)"),
        (["--prefix", "x"], "--repair and --prefix exclude each other (leave one of them out)"),
        (["--engine", "ctranslate2"], "the engine ctranslate2 has no --repair (leave out --engine)"),
        (["--format", "html"], "--repair is for lines, and --format html for a document"),
    ],
)
def test_what_excludes_a_repair_is_refused(tiny_model: Path, nmt_here: Run, options: list[str], message: str) -> None:
    said = nmt_here("translate", tiny_model, "--repair", *options, *CPU, stdin=TEXT)
    assert (said.code, said.out, said.messages) == (2, "", [f"nmt: {message}"])


def test_a_run_calibrates_on_dev_and_its_report_draws_how_reliable_the_confidence_is(
    tiny: TinyRun, nmt_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, on = tiny.copy(tmp_path / "run"), ("--set", "confidence.calibrate=true")

    def run(*options: str) -> Result:
        said = nmt_here("run", tiny.recipe, "--run-dir", folder, *options, env={"NMT_NO_REPORT": "0"})
        assert said.code == 0, said.err
        return said

    said, model = run(*on), folder / "model"
    short = "dev has 10 lines to calibrate on: 100 are the least (give more lines)"
    assert f"nmt: warning: the bundle gets no confidence: {short}" in said.messages
    assert not (model / "calibration.json").exists()
    shutil.rmtree(folder / "evaluation")
    monkeypatch.setattr(calibration, "LEAST_LINES", 10)
    monkeypatch.setattr(calibration, "GROUP", 5)
    said = run(*on)
    assert f"evaluate: confidence fitted to 10 lines: {model / 'calibration.json'}" in said.messages
    fitted = (model / "calibration.json").read_bytes()
    assert (folder / "evaluation" / "test.de").read_bytes() == (tiny.folder / "evaluation" / "test.de").read_bytes()
    found = read_json(folder / "evaluation" / "confidence.json")["test"]
    judged = nmt_here("evaluate", model, *of_tiny(folder, tmp_path), "--confidence", "--json", *CPU)
    again = json.loads(judged.out)["confidence"]
    assert (again["lines"], again["error"]) == (20, pytest.approx(found["error"], abs=1e-3))
    page = (folder / "report.html").read_text(encoding="utf-8")
    check_page(page)
    assert "Mean chrF of test by confidence. " in page
    assert f"is off by {found['error']:.1f} chrF on the mean of a tenth" in page
    shutil.rmtree(model)
    assert any(message.startswith("evaluate: skipped") for message in run(*on).messages)
    assert (model / "calibration.json").read_bytes() == fitted
    run()
    assert not (model / "calibration.json").exists()
    assert not (folder / "evaluation" / "confidence.json").exists()


def of_tiny(folder: Path, home: Path) -> list[str | Path]:
    for side, lines in zip(("en", "de"), read_text(folder / "prepared" / "text", "test.test"), strict=True):
        (home / f"own.{side}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return files(home, "own")
