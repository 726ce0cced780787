"""docs/synthetic-data.md is true: models make pairs of text, teach students, and a killed run has the same bytes."""

import re
import shutil
import signal
import subprocess
import time
from itertools import product
from pathlib import Path

import pytest
from conftest import ROOT, TINY, Run, TinyRun, command, environment, tree
from launcher import end_of, launch

from nmt.data.cleaning.corpus_text import iterate_text
from nmt.files import read_json
from nmt.inference.bundle import BUNDLE
from nmt.pipeline.manifest import work_folder
from nmt.run_folder import RunFolder
from nmt.tasks.grammar import Split, generate

PAGE = (ROOT / "docs" / "synthetic-data.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
SMALL = (
    TINY[TINY.index("[cleaning]") :].replace("max_steps = 200", "max_steps = 20").replace("every = 50", "every = 10")
)
LINES = 8300  # a shard and some more
NAMES = ["".join(letters) for letters in product("BDFGKLMNPR", "aeiou", "nt")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny: TinyRun) -> Path:
    """Return a folder with the text that the page names, and the models `runs/big/model` and `runs/de-en/model`."""
    home = tmp_path_factory.mktemp("synthetic")
    splits: dict[Split, int] = {"train": 300, "dev": 10, "test": 20}
    for name, count in splits.items():
        pairs = list(generate(name, count, 1))
        for side, language in enumerate(("en", "de")):
            (home / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    german = [target for _, target in generate("train", 400, 5)]
    (home / "news.de").write_text("".join(f"{line}\n" for line in german), encoding="utf-8")
    tiny.copy_model(home / "runs" / "big" / "model")
    back = tiny.copy_model(home / "runs" / "de-en" / "model")
    config = {key: value for key, value in read_json(back / "config.json").items() if key != "digest"}
    BUNDLE.write(back, {**config, "languages": {"source": "de", "target": "en"}})
    return home


def write(home: Path, name: str, recipe: str) -> str:
    named = recipe.replace('name = "mine"', f'name = "{name}"')
    (home / f"{name}.toml").write_text(f"{named}\n{SMALL}", encoding="utf-8")
    return f"{name}.toml"


def test_the_example_runs_and_each_pair_is_a_translation_of_a_line(home: Path, nmt_here: Run) -> None:
    recipe = write(home, "mine", EXAMPLES[0])
    plan = nmt_here("run", recipe, "--dry-run", cwd=home)
    assert plan.lines[0] == "synthetic: runs: not made yet"
    said = nmt_here("run", recipe, cwd=home)
    assert said.code == 0, said.err
    assert re.search(r"synthetic: news: \d+ pairs of 400 lines", said.err)
    folder = RunFolder(home / "runs" / "mine")
    pairs = list(iterate_text(folder.synthetic / "news", "0"))
    translated = nmt_here("translate", "runs/de-en/model", "-i", "news.de", cwd=home).lines
    german = (home / "news.de").read_text(encoding="utf-8").splitlines()
    assert pairs == [pair for pair in zip(translated, german, strict=True) if pair[0]]
    train = list(iterate_text(folder.text, "train"))
    assert {source.startswith("<bt> ") for source, _ in train} == {True, False}
    lock = read_json(folder.lock)
    assert "runs/de-en/model" in lock["data"]["train.news"]
    assert next(iter(lock["results"])) == "synthetic"
    assert nmt_here("run", recipe, "--dry-run", cwd=home).lines[0] == "synthetic: skipped, its inputs have not changed"
    assert nmt_here("report", folder.path, cwd=home).code == 0
    row = f"Synthetic pairs of news</th><td>{len(pairs)} of 400 lines translated</td>"
    assert row in (folder.path / "report.html").read_text(encoding="utf-8")
    assert nmt_here("run", folder.recipe, "--run-dir", folder.path, "--data-dir", home, cwd=home).code == 0


def test_a_student_learns_from_its_teacher_alone(home: Path, nmt_here: Run) -> None:
    plain = EXAMPLES[0][: EXAMPLES[0].index("[data.train.news]")] + EXAMPLES[0][EXAMPLES[0].index("[data.dev]") :]
    recipe = write(home, "student", f"{plain}\n{EXAMPLES[2]}")
    said = nmt_here("prepare", recipe, cwd=home)
    assert said.code == 0, said.err
    folder = RunFolder(home / "runs" / "student")
    translated = nmt_here("translate", "runs/big/model", "-i", "train.en", cwd=home).lines
    english = (home / "train.en").read_text(encoding="utf-8").splitlines()
    pairs = list(iterate_text(folder.synthetic / "real", "0"))
    assert pairs == [pair for pair in zip(english, translated, strict=True) if pair[1]]
    sources = {source for source, _ in iterate_text(folder.text, "train")}
    assert sources <= {*english}
    without = nmt_here("prepare", recipe, "--set", "distillation=none", "--run-dir", "runs/plain", cwd=home)
    assert (without.code, "synthetic" in without.err) == (0, False)


def test_settings_of_the_page_are_keys_of_recipes_and_wrong_models_are_one_line(home: Path, nmt_here: Run) -> None:
    recipe = write(home, "sampled", f"{EXAMPLES[0]}\n{EXAMPLES[1]}")
    said = nmt_here("prepare", recipe, cwd=home)
    assert said.code == 0, said.err
    assert "low score" in said.err
    assert EXAMPLES[3].startswith("[data.train]")
    failed = nmt_here("run", recipe, "--set", 'data.train.news.translate_with="runs/big/model"', cwd=home)
    message = "nmt: data.train.news.translate_with: runs/big/model translates en to de, not de to en\n"
    assert (failed.code, failed.out, failed.err) == (2, "", message)
    failed = nmt_here("run", recipe, "--set", 'data.train.news.translate_with="runs/no/model"', cwd=home)
    assert (failed.code, failed.out) == (4, "")
    assert failed.err.startswith("nmt: runs/no/model: no such bundle")


def test_the_doctor_knows_the_models(home: Path, nmt_here: Run) -> None:
    recipe = write(home, "checked", EXAMPLES[0])
    said = nmt_here("doctor", recipe, cwd=home)
    assert said.code in (0, 1)
    assert "news by runs/de-en/model, de to en, beam" in said.out
    assert "swapped" not in said.out


def many_lines(home: Path, name: str) -> str:
    """Write a recipe whose monolingual text has more than one shard."""
    if not (home / "many.de").exists():
        words = [f"{first} {second}." for first in NAMES for second in NAMES]
        (home / "many.de").write_text("".join(f"{line}\n" for line in words[:LINES]), encoding="utf-8")
    settings = "[data.train.news.synthetic]\nbeam_size = 1\nkeep_share = 0.5\n"
    return write(home, name, EXAMPLES[0].replace("news.de", "many.de").replace("[data.dev]", f"{settings}\n[data.dev]"))


def test_a_killed_translation_goes_on_with_the_same_bytes(home: Path, nmt_here: Run) -> None:
    whole, killed = (many_lines(home, name) for name in ("whole", "killed"))
    assert nmt_here("prepare", whole, "--no-cache", cwd=home).code == 0
    folder = RunFolder(home / "runs" / "killed")
    process = subprocess.Popen(command("prepare", killed, "--no-cache"), cwd=home, env=environment({}))
    first = work_folder(folder.synthetic) / "made" / "scored" / "news" / "0" / "00000.json"
    while not first.exists():
        assert process.poll() is None, "it ended before the first shard"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not folder.synthetic.exists()
    said = nmt_here("prepare", killed, "--no-cache", cwd=home)
    assert said.code == 0, said.err
    other = RunFolder(home / "runs" / "whole")
    for stage in ("synthetic", "text", "ids"):
        assert tree(getattr(folder, stage)) == tree(getattr(other, stage)), stage


def test_ranks_share_the_translation_and_the_bytes_are_those_of_one(home: Path, nmt_here: Run) -> None:
    recipe = many_lines(home, "ranks")
    assert end_of(launch(2, "prepare", home / recipe, "--no-cache", "--run-dir", home / "runs" / "ranks")).code == 0
    one, several = (RunFolder(home / "runs" / name) for name in ("whole", "ranks"))
    if not one.synthetic.exists():
        assert nmt_here("prepare", many_lines(home, "whole"), "--no-cache", cwd=home).code == 0
    assert tree(several.synthetic) == tree(one.synthetic)
    shutil.rmtree(several.path)
