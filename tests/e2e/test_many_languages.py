"""One model for several directions: trained, translated and scored by direction, with scripts of all kinds."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Run

from nmt.evaluation import calibration
from nmt.inference.calibrating import Trust
from nmt.inference.translator import Translator

DIRECTIONS = {
    "en-he": ("the cat sees {}", "החתול רואה את {}"),
    "en-zh": ("the cat sees {}", "小猫看见了{}。"),
    "el-en": ("ο σκύλος βλέπει {}", "the dog sees {}"),
    "en-tr": ("the island sees {}", "İstanbul ısıyı {} Iğdır"),
}
"""Sentences of a language that is written from right to left, of one without spaces, and of two whose letters change in
other ways than usual between small and capital ones: final sigma, and i with and without a dot."""
NAMES = ["Maße", "Ωδός", "שלום", "老鼠", "ışık", "İzmir", "tree", "stone", "river", "house"]


def write_corpora(root: Path) -> None:
    """Write pairs of each direction, 40 to train on and 10 for dev and test."""
    for direction, (source, target) in DIRECTIONS.items():
        lines = [(f"{one} {other}", one, other) for one in NAMES for other in NAMES[:5]]
        for split, chosen in (("train", lines[10:]), ("held", lines[:10])):
            text = "".join(f"{source.format(name)}\t{target.format(name)}\n" for name, _, _ in chosen)
            (root / f"{split}.{direction}.tsv").write_text(text, encoding="utf-8")


RECIPE = """
name = "many"
[languages]
directions = ["en-he", "en-zh", "el-en", "en-tr"]
[tokenizer]
vocab_size = 420
hard_vocab_limit = false
[cleaning]
min_script = 0.3
[model]
d_model = 32
heads = 2
ffn = 64
encoder_layers = 1
decoder_layers = 1
[batching]
tokens_per_step = 400
[optimizer]
learning_rate = 1e-2
warmup_steps = 10
[training]
max_steps = 24
checkpoint_every = 12
validate_every = 12
average_checkpoints = 1
[evaluation]
tokenize = "auto"
""" + "".join(
    f"[data.{section}]\nfiles = '{split}.{direction}.tsv'\ndirection = '{direction}'\n"
    for direction in DIRECTIONS
    for split, section in (
        ("train", f"train.{direction}"),
        ("held", f"devs.{direction}"),
        ("held", f"test.{direction}"),
    )
)


@pytest.fixture(scope="module")
def run(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of four directions. Shared: never change it."""
    root = tmp_path_factory.mktemp("many")
    write_corpora(root)
    (root / "many.toml").write_text(RECIPE, encoding="utf-8")
    said = nmt_here("run", root / "many.toml", "--run-dir", root / "run", "--workers", "1")
    assert said.code == 0, said.err
    (root / "said.txt").write_text(said.err, encoding="utf-8")
    (root / "printed.txt").write_text(said.out, encoding="utf-8")
    return root / "run"


def test_the_next_step_translates_a_line_without_its_tag(run: Path) -> None:
    *_, last = (run.parent / "printed.txt").read_text(encoding="utf-8").splitlines()
    assert last.startswith("Next: echo ")
    assert last.endswith(f" | nmt translate {run / 'model'} --to he")
    assert "<2" not in last


def test_each_direction_has_dev_scores_and_their_mean_ranks_the_checkpoints(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = [line for line in lines if line["kind"] == "dev"][-1]
    assert [*last["sets"]] == [*DIRECTIONS]
    for name in ("loss", "bleu", "chrf"):
        mean = sum(found[name] for found in last["sets"].values()) / len(DIRECTIONS)
        assert last[name] == pytest.approx(mean, abs=1e-6)
    tokenizers = {name: found["signature"].split("tok:")[1].split("|")[0] for name, found in last["sets"].items()}
    assert tokenizers == {"en-he": "13a", "en-zh": "zh", "el-en": "13a", "en-tr": "13a"}
    assert "signature" not in last
    assert "chrf_signature" in last
    said = (run.parent / "said.txt").read_text(encoding="utf-8")
    assert all(f"{direction} " in said.split("dev loss")[1] for direction in DIRECTIONS)


def test_the_report_draws_the_curves_of_each_direction(run: Path, nmt_here: Run, tmp_path: Path) -> None:
    assert nmt_here("report", run, "-o", tmp_path / "report.html").code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(page.count(f">dev {direction}</text>") == 3 for direction in DIRECTIONS)  # loss, BLEU and chrF


def test_the_confidence_is_calibrated_on_each_dev_set_in_its_direction(
    run: Path, nmt_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "LEAST_LINES", 40)
    directions, own = list[str](), Trust.of

    def of(model: Path, translator: Translator, sources: list[str], *, is_fitted: bool) -> Trust:
        directions.append("-".join(map(str, translator.direction.languages)))
        return own(model, translator, sources, is_fitted=is_fitted)

    monkeypatch.setattr(Trust, "of", of)
    folder = shutil.copytree(run, tmp_path / "run")
    arguments = ("run", run.parent / "many.toml", "--run-dir", folder, "--set", "confidence.calibrate=true")
    said = nmt_here(*arguments)
    assert said.code == 0, said.err
    assert f"evaluate: confidence fitted to 40 lines: {folder / 'model' / 'calibration.json'}" in said.messages
    assert directions == [*DIRECTIONS, *DIRECTIONS], "of dev, and of the test sets"


def test_each_test_is_scored_by_the_tokenizer_of_its_target_language(run: Path) -> None:
    scores = json.loads((run / "evaluation" / "scores.json").read_text(encoding="utf-8"))
    assert [*scores] == [*DIRECTIONS]
    assert "tok:zh" in scores["en-zh"]["bleu"]["signature"]
    assert all("tok:13a" in scores[name]["bleu"]["signature"] for name in ("en-he", "el-en", "en-tr"))
    written = sorted(path.name for path in (run / "evaluation").glob("e*-*"))
    assert written == ["el-en.en", "en-he.he", "en-tr.tr", "en-zh.zh"]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_translate_and_evaluate_give_the_lines_and_scores_of_the_run(
    nmt_here: Run, run: Path, tmp_path: Path, direction: str
) -> None:
    source, target = direction.split("-")
    pairs = [
        line.split("\t") for line in (run.parent / f"held.{direction}.tsv").read_text(encoding="utf-8").splitlines()
    ]
    for side, name in enumerate(("source", "reference")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    said = nmt_here("translate", run / "model", "--from", source, "--to", target, "-i", tmp_path / "source")
    assert said.code == 0, said.err
    made = (run / "evaluation" / f"{direction}.{target}").read_text(encoding="utf-8")
    assert said.out == made
    options: list[str | Path] = ["--source", tmp_path / "source", "--reference", tmp_path / "reference"]
    scored = nmt_here("evaluate", run / "model", "--from", source, "--to", target, *options, "--json")
    assert scored.code == 0, scored.err
    recorded = json.loads((run / "evaluation" / "scores.json").read_text(encoding="utf-8"))[direction]
    found = json.loads(scored.out)
    assert {name: found[name]["score"] for name in ("bleu", "chrf")} == {
        name: pytest.approx(recorded[name]["score"]) for name in ("bleu", "chrf")
    }
    assert found["bleu"]["signature"] == recorded["bleu"]["signature"]


def test_a_line_with_a_tag_of_its_own_keeps_it_whatever_its_batch(run: Path) -> None:
    lines = [pair[0].format(name) for pair in DIRECTIONS.values() for name in NAMES]
    into_he, into_zh = (Translator.load(run / "model", device="cpu", to=to) for to in ("he", "zh"))
    wanted = [one.text for one in into_zh.translate(lines)]
    assert [one.text for one in into_he.translate([f"<2zh> {line}" for line in lines])] == wanted
    assert [one.text for one in into_he.with_direction("zh").translate(lines)] == wanted
    assert [into_zh.translate([line])[0].text for line in lines] == wanted
    assert into_zh.translate([lines[0]])[0].source == lines[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "the model translates {all}: no target language is given (--to he or zh or en or tr)"),
        (["--to", "el"], "--to el: the model translates {all}, and not to el"),
        (["--to", "he", "--from", "de"], "--from de: the model translates {all}, and not from de"),
    ],
)
def test_a_direction_that_there_is_not_is_refused_in_one_line(
    nmt_here: Run, run: Path, options: list[str], said: str
) -> None:
    found = nmt_here("translate", run / "model", *options, stdin=b"x\n")
    assert (found.code, found.out) == (2, "")
    assert found.err == f"nmt: {said.format(all=', '.join(DIRECTIONS))}\n"


def test_a_direction_that_was_not_trained_is_tried_with_a_warning(nmt_here: Run, run: Path) -> None:
    found = nmt_here("translate", run / "model", "--from", "el", "--to", "zh", stdin="ο σκύλος βλέπει\n".encode())
    assert found.code == 0, found.err
    assert found.messages[0] == (
        "nmt: warning: the model was not trained to translate el to zh: expect little of it (zero-shot)"
    )


def test_a_model_of_one_direction_has_no_other(nmt_here: Run, tiny_model: Path) -> None:
    found = nmt_here("translate", tiny_model, "--to", "fr", stdin=b"x\n")
    assert (found.code, found.err) == (2, "nmt: --to fr: the model translates en to de, and not to fr\n")


def test_a_training_that_goes_on_ends_with_the_same_bits(nmt_here: Run, run: Path, tmp_path: Path) -> None:
    again: list[str | Path] = ["train", run.parent / "many.toml", "--run-dir", tmp_path / "run"]
    assert nmt_here(*again, "--set", "training.max_steps=12").code == 0
    said = nmt_here(*again)
    assert said.code == 0, said.err
    name = "checkpoints/step-00000024/model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


def test_the_example_of_the_page_is_a_run(nmt_here: Run, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "multilingual.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```toml\n(.*?)```", page, flags=re.S)
    (tmp_path / "both-ways.toml").write_text(recipe, encoding="utf-8")
    said = nmt_here("run", tmp_path / "both-ways.toml", "--run-dir", tmp_path / "run")
    assert said.code == 0, said.err
    # back has 1000 of 4000 pairs: (4000/1000)^(1 - 1/2) = 2 times an epoch.
    assert "train: pairs of an epoch: there 66.7% (weight 1), back 33.3% (weight 2)" in said.messages
    assert said.lines[-1].endswith("run/model --to de")
    assert [*json.loads((tmp_path / "run" / "model" / "scores.json").read_text(encoding="utf-8"))] == ["en-de", "de-en"]
