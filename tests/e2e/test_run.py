"""`nmt run` and its single stages: what lies in the run folder, what is skipped, what runs again and why."""

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Result, Run, TinyRun, tree

from nmt.config.toml import load_recipe
from nmt.files import digest_file
from nmt.training.checkpoint import read_checkpoint
from nmt.version import __version__

STAGES = ["text", "tokenizer", "prepare", "train", "bundle", "evaluate"]
SHORT = ["--set", "training.max_steps=4"]


def ran(said: Result) -> dict[str, str]:
    """Return the stages that ran, in order, each with the reason given."""
    found = [re.fullmatch(r"(\w+): running(?:: (.*))?", line) for line in said.messages]
    return {match[1]: match[2] or "" for match in found if match}


def skipped(said: Result) -> list[str]:
    """Return the stages that were skipped, in order."""
    end = ": skipped, its inputs have not changed"
    return [line.removesuffix(end) for line in said.messages if line.endswith(end)]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


def test_one_command_makes_all_that_a_run_folder_holds(tiny: TinyRun) -> None:
    assert ran(tiny.said) == dict.fromkeys(STAGES, "")
    assert sorted(path.name for path in tiny.folder.iterdir()) == [
        *("checkpoints", "evaluation", "lock.json", "log.jsonl", "model", "prepared"),
        *("recipe.given.toml", "recipe.toml", "tokenizer"),
    ]
    assert (tiny.folder / "recipe.given.toml").read_text(encoding="utf-8") == TINY
    assert {"tokenizer.model", "tokenizer.json", "manifest.json"} == set(tree(tiny.folder / "tokenizer"))
    assert {"text/manifest.json", "ids/manifest.json"} <= set(tree(tiny.folder / "prepared"))
    assert {"model.safetensors", "config.json", "tokenizer.model", "tokenizer.json", "lock.json", "README.md"} <= set(
        tree(tiny.model)
    )
    best = read(tiny.folder / "checkpoints" / "manifest.json")["counts"]["best_step"]
    assert [path.name for path in sorted((tiny.folder / "checkpoints").iterdir())] == [
        *(f"best-{best:08}", "manifest.json", "step-00000050", "step-00000100", "step-00000150", "step-00000200")
    ]


def test_the_scores_are_of_every_test_set_and_metric_each_with_its_signature(tiny: TinyRun) -> None:
    scores = read(tiny.folder / "evaluation" / "scores.json")
    assert list(scores) == ["test"]
    assert list(scores["test"]) == ["bleu", "chrf", "ter"]
    assert all(list(found) == ["score", "signature"] for found in scores["test"].values())
    assert scores["test"]["bleu"]["score"] > 0
    sacrebleu = version("sacrebleu")
    assert {name: found["signature"] for name, found in scores["test"].items()} == {
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu}",
        "ter": f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:{sacrebleu}",
    }
    assert scores == read(tiny.model / "scores.json")
    hypotheses = (tiny.folder / "evaluation" / "test.de").read_bytes()
    assert hypotheses.count(b"\n") == 20


def test_the_end_of_a_run_shows_samples_scores_and_what_to_type_next(tiny: TinyRun) -> None:
    lines = tiny.said.lines
    assert lines[0] == "Samples of test:"
    assert [line[:6] for line in lines[1:4]] == ["  en  ", "  de  ", "  ref "]
    score = read(tiny.folder / "evaluation" / "scores.json")["test"]["bleu"]
    assert ["test", "BLEU", f"{score['score']:.2f}", score["signature"]] in [line.split() for line in lines]
    counts = read(tiny.folder / "checkpoints" / "manifest.json")["counts"]
    path = f"runs/tiny/checkpoints/best-{counts['best_step']:08}"
    best = f"Best checkpoint: step {counts['best_step']} of 200, dev BLEU {counts['best']:.2f}, {path}"
    assert lines[-4] == best
    assert re.fullmatch(r"Total time: (\d+m )?\d+s", lines[-3])
    assert lines[-1].startswith("Next: echo '")
    assert lines[-1].endswith("| nmt translate runs/tiny/model")


def test_standard_error_holds_nothing_but_the_progress(tiny: TinyRun) -> None:
    known = re.compile(
        r"(text|tokenizer|prepare|train|bundle|evaluate): .*|nmt: warning: (\d+ dev pairs are|input lines) longer .*"
        r"|nmt: warning: input lines (with a sentence|translated in segments).*|nmt: warning: translations that .*"
        r"|step \d+ of 200: loss [\d.]+, perplexity [\d.]+, [\d,]+ target tokens/s.*"
        r"|step [12]00: dev loss [\d.]+, perplexity [\d.]+, BLEU [\d.]+.*"
    )
    assert [line for line in tiny.said.messages if not known.fullmatch(line)] == []


def test_the_lock_says_what_the_run_was_made_from(tiny: TinyRun) -> None:
    lock = read(tiny.folder / "lock.json")
    assert lock["recipe"] == load_recipe(str(tiny.recipe)).recipe.model_dump()
    assert lock["seed"] == 1
    assert list(lock["data"]) == ["train", "dev", "test.test"]
    digests = [digest for corpus in lock["data"].values() for digest in corpus.values()]
    assert [bool(re.fullmatch("[0-9a-f]{64}", digest)) for digest in digests] == [True] * 3
    (session,) = lock["sessions"]
    packages = ("torch", "sentencepiece", "sacrebleu")
    assert session["versions"]["nmt"] == __version__
    assert {name: session["versions"][name] for name in packages} == {name: version(name) for name in packages}
    assert session["machine"]["threads"] == 1
    assert {"platform", "processor", "cores"} <= set(session["machine"])
    assert lock == read(tiny.model / "lock.json")


def test_the_log_has_every_step_and_every_validation(tiny: TinyRun) -> None:
    log = [json.loads(line) for line in (tiny.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in log if line["kind"] == "train"] == list(range(1, 201))
    dev = [line for line in log if line["kind"] == "dev"]
    assert [line["step"] for line in dev] == [100, 200]
    assert all(line["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|") for line in dev)
    counts = read(tiny.folder / "checkpoints" / "manifest.json")["counts"]
    best = max(dev, key=lambda line: line["bleu"])
    pairs = read(tiny.folder / "prepared" / "ids" / "manifest.json")["counts"]["pairs"]["train"]
    corpora = {"train": {"pairs": pairs, "weight": 1.0, "share": 1.0}}
    assert counts == {"steps": 200, "best_step": best["step"], "best": best["bleu"], "corpora": corpora}
    first, last = log[0], [line for line in log if line["kind"] == "train"][-1]
    assert last["loss"] < 0.8 * first["loss"]


def test_run_again_every_stage_is_skipped_and_nothing_changes(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    before = tree(folder)
    said = nmt_here("run", tiny.recipe, "--run-dir", folder)
    assert said.code == 0
    assert said.messages == [f"{stage}: skipped, its inputs have not changed" for stage in STAGES]
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "decoding.beam_size=2",
            {
                "train": "decoding.beam_size changed",
                "bundle": "decoding.beam_size changed",
                "evaluate": "config changed",
            },
        ),
        (
            "training.average_checkpoints=1",
            {
                "train": "training.average_checkpoints changed",
                "bundle": "training.average_checkpoints changed",
                "evaluate": "config, weights changed",
            },
        ),
    ],
)
def test_a_changed_key_reruns_the_stages_that_it_touches_and_says_why(
    tiny: TinyRun, nmt_here: Run, tmp_path: Path, override: str, expected: dict[str, str]
) -> None:
    folder = tiny.copy(tmp_path / "run")
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, "--set", override)
    assert said.code == 0
    assert skipped(said) == ["text", "tokenizer", "prepare"]
    assert ran(said) == expected
    assert "train: step 200 was the last one; nothing to do" in said.messages
    assert tree(folder / "checkpoints").keys() == tree(tiny.folder / "checkpoints").keys()


def test_more_steps_go_on_from_the_last_checkpoint(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, "--set", "training.max_steps=202")
    assert skipped(said) == ["text", "tokenizer", "prepare"]
    assert list(ran(said)) == ["train", "bundle", "evaluate"]
    assert ran(said)["train"].endswith("training.max_steps changed")
    assert "train: resuming after step 200" in said.messages
    assert [line for line in said.messages if line.startswith("step 20")] != []
    assert not [line for line in said.messages if line.startswith("step 1")]
    assert read(folder / "lock.json")["recipe"]["training"]["max_steps"] == 202


def test_another_test_set_is_scored_without_training_again(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    weights = (folder / "model" / "model.safetensors").read_bytes()
    more = ["--set", "data.test.more.builtin=unseen", "--set", "data.test.more.pairs=5"]
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, *more)
    assert said.code == 0
    assert {"tokenizer", "train", "bundle"} <= set(skipped(said))
    assert "evaluate" in ran(said)
    assert list(read(folder / "evaluation" / "scores.json")) == ["test", "more"]
    assert (folder / "model" / "model.safetensors").read_bytes() == weights


def test_a_deleted_file_is_made_again(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    scores = folder / "evaluation" / "scores.json"
    before = scores.read_bytes()
    scores.unlink()
    said = nmt_here("run", tiny.recipe, "--run-dir", folder)
    assert ran(said) == {"evaluate": "scores.json is missing"}
    assert scores.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "stages", "made"),
    [
        (("tokenizer", "train"), STAGES[:2], "tokenizer/tokenizer.model"),
        (("prepare",), STAGES[:3], "prepared/ids/manifest.json"),
        (("train",), STAGES[:5], "model/model.safetensors"),
    ],
)
def test_a_single_stage_first_runs_what_it_lacks_and_nothing_after(
    nmt_here: Run, recipe: Path, tmp_path: Path, command: tuple[str, ...], stages: list[str], made: str
) -> None:
    said = nmt_here(*command, recipe, *SHORT, cwd=tmp_path)
    assert said.code == 0, said.err
    assert list(ran(said)) == stages
    assert (tmp_path / "runs" / "tiny" / made).is_file()
    assert not (tmp_path / "runs" / "tiny" / "evaluation").exists()
    again = nmt_here(*command, recipe, *SHORT, cwd=tmp_path)
    assert (again.code, skipped(again), ran(again)) == (0, stages, {})


def test_relative_file_names_start_at_data_dir_and_else_at_the_recipe(nmt_here: Run, tmp_path: Path) -> None:
    for split, pairs in (("train", "300"), ("dev", "10"), ("test", "10")):
        assert nmt_here("data", "synthesize", tmp_path / "files", "--split", split, "--pairs", pairs).code == 0
    text = TINY
    for split in ("train", "dev", "test"):
        text = re.sub(
            rf'builtin = "{split}"\npairs = \d+', f'source = "{split}.en"\ntarget = "{split}.de"', text, count=1
        )
    assert "builtin" not in text
    beside, apart = tmp_path / "files" / "tiny.toml", tmp_path / "apart.toml"
    for path in (beside, apart):
        path.write_text(text, encoding="utf-8")
    options = ["--set", "tokenizer.vocab_size=350"]
    assert nmt_here("prepare", beside, "--run-dir", tmp_path / "a", *options).code == 0
    assert nmt_here("prepare", apart, "--data-dir", tmp_path / "files", "--run-dir", tmp_path / "b", *options).code == 0
    assert tree(tmp_path / "a" / "prepared" / "ids") == tree(tmp_path / "b" / "prepared" / "ids")
    assert read(tmp_path / "b" / "lock.json")["data"] == {
        name: {f"{split}.{side}": digest_file(tmp_path / "files" / f"{split}.{side}") for side in ("en", "de")}
        for name, split in (("train", "train"), ("dev", "dev"), ("test.test", "test"))
    }
    missing = nmt_here("prepare", apart, "--run-dir", tmp_path / "c", *options)
    assert missing.code == 3
    assert missing.messages[-1] == (
        f"nmt: {tmp_path / 'train.en'}: no such file (nor train.en.gz; names in a recipe start at --data-dir, "
        "or else at the recipe's folder)"
    )


def test_a_data_dir_that_is_none_is_a_usage_error(nmt_here: Run, recipe: Path, tmp_path: Path) -> None:
    assert nmt_here("run", recipe, "--data-dir", tmp_path / "none") == (
        *(2, "", f"nmt: --data-dir {tmp_path / 'none'}: no such folder\n"),
    )


def test_the_run_folder_of_another_recipe_is_refused(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    before = tree(folder)
    said = nmt_here("run", tiny.recipe, "--set", "name=other", "--run-dir", folder)
    assert said == (2, "", f"nmt: {folder}: the run folder of recipe 'tiny' (take another --run-dir)\n")
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("override", "keys"),
    [
        ("model.d_model=16", "model.d_model"),
        ("training.seed=2", "training.seed"),
        ("optimizer.beta2=0.9", "optimizer.beta2"),
        ("batching.tokens_per_step=2000", "batching.tokens_per_step"),
        ("training.precision=bfloat16", "training.precision"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused_by_the_key_that_differs(
    tiny: TinyRun, nmt_here: Run, tmp_path: Path, override: str, keys: str
) -> None:
    folder = tiny.copy(tmp_path / "run")
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, "--set", override)
    assert said.code == 4
    assert said.messages[-1] == (
        f"nmt: {folder / 'checkpoints' / 'step-00000200'}: a checkpoint of another recipe: it differs in {keys} "
        "(take another --run-dir, or delete the folder checkpoints to train anew)"
    )
    assert tree(folder / "model") == tree(tiny.model)
    read_checkpoint(folder / "checkpoints" / "step-00000200")


def test_a_run_folder_that_is_a_file_is_one_line(nmt_here: Run, recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert nmt_here("run", recipe, "--run-dir", file) == (4, "", f"nmt: {file}: File exists\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nosuch"],
            "nosuch: no such recipe (give a TOML file, or one of architectures-multi30k, demo, ",
        ),
        (["demmo"], "; did you mean 'demo'?)"),
        (["demo", "--set", "model.head=8"], "--set model.head=8: unknown key model.head (did you mean 'heads'?)"),
        (
            ["demo", "--set", "model.heads=3"],
            "--set model.heads=3: model: heads = 3 must divide d_model = 256, or set head_width",
        ),
        (["demo", "--set", "model.heads"], "--set model.heads: not of the form section.key=value"),
        (["demo", "--sett", "a=b"], "No such option: --sett"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_line_and_makes_nothing(
    nmt_here: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    said = nmt_here("run", *arguments, cwd=tmp_path)
    assert (said.code, said.out, len(said.messages)) == (2, "", 1)
    assert said.err.startswith("nmt: ")
    assert message in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_bundle_is_made_again_with_its_scores(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    shutil.rmtree(folder / "model")
    assert nmt_here("run", tiny.recipe, "--run-dir", folder).code == 0
    for name in ("scores.json", "model.safetensors", "README.md"):
        assert (folder / "model" / name).read_bytes() == (tiny.model / name).read_bytes()


def test_fewer_steps_than_were_trained_are_refused(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, "--set", "training.max_steps=150")
    assert said.code == 4
    assert said.messages[-1].startswith(
        f"nmt: {folder / 'checkpoints'}: trained for 200 steps, beyond training.max_steps = 150 ("
    )


def test_a_refused_recipe_changes_nothing(tiny: TinyRun, nmt_here: Run, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    assert nmt_here("run", tiny.recipe, "--run-dir", folder, "--set", "model.d_model=16").code == 4
    assert tree(folder) == tree(tiny.folder)


def test_a_tokenizer_of_bleu_that_is_not_there_is_named_before_anything_is_made(
    nmt_here: Run, recipe: Path, tmp_path: Path
) -> None:
    said = nmt_here("run", recipe, "--run-dir", tmp_path / "run", "--set", "evaluation.tokenize=13b")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("nmt: unknown BLEU tokenizer '13b' (choose one of ")
    assert not (tmp_path / "run").exists()


def test_early_stopping_ends_the_training_and_more_patience_goes_on(
    nmt_here: Run, recipe: Path, tmp_path: Path
) -> None:
    keys = ["training.max_steps=40", "training.validate_every=5", "optimizer.learning_rate=1e-9"]
    options = [word for key in [*keys, "training.best_metric=bleu"] for word in ("--set", key)]
    folder = tmp_path / "run"
    said = nmt_here("train", recipe, "--run-dir", folder, *options, "--set", "training.patience=2")
    assert said.code == 0
    assert "train: stopped early: 2 validations without a better dev BLEU" in said.messages
    said = nmt_here("train", recipe, "--run-dir", folder, *options, "--set", "training.patience=3")
    assert "train: resuming after step 15" in said.messages
    assert "train: stopped early: 3 validations without a better dev BLEU" in said.messages


def test_verbose_shows_what_was_dropped_wherever_it_stands(nmt_here: Run, tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text("same\n" + "".join(f"line {n} of text\n" for n in range(400)), encoding="utf-8")
    (tmp_path / "a.de").write_text("same\n" + "".join(f"Zeile {n} Text\n" for n in range(400)), encoding="utf-8")
    (tmp_path / "copies.toml").write_text(
        'name = "copies"\n[languages]\nsource = "en"\ntarget = "de"\n[data]\ndev_pairs = 10\ntest_pairs = 10\n'
        '[data.train]\nsource = "a.en"\ntarget = "a.de"\n[tokenizer]\nvocab_size = 300\n'
        "[cleaning]\ndrop_leaked_near = false\n",
        encoding="utf-8",
    )
    said = nmt_here("prepare", tmp_path / "copies.toml", "--run-dir", tmp_path / "run", "-v")
    assert said.code == 0, said.err
    assert "text: kept 400 of 401 training pairs; dropped: copies 1" in said.messages
    assert "  copies: 'same' / 'same'" in said.messages
