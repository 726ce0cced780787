"""docs/robust-input.md is true: its section runs, and what it adds is counted and can be read."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, TINY, Run

PAGE = (ROOT / "docs" / "robust-input.md").read_text(encoding="utf-8")
SECTION = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
KINDS = ["upper", "title", "lower", "no_final_mark", "typos", "join", "single_words", "copied_tokens"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the prepared run `runs/mine`, whose recipe has the section of the page."""
    home = tmp_path_factory.mktemp("robust")
    recipe = TINY.replace('name = "tiny"', 'name = "mine"').replace("[tokenizer]", f"{SECTION}\n[tokenizer]")
    (home / "mine.toml").write_text(recipe, encoding="utf-8")
    return home


def test_what_is_added_is_logged_counted_and_can_be_read(home: Path, nmt_here: Run) -> None:
    made = nmt_here("prepare", "mine.toml", cwd=home)
    assert made.code == 0
    added = dict(re.findall(r"augmentation: (\w+) added ([\d,]+) pairs", made.err))
    assert list(added) == KINDS
    assert "augmentation: skipped" in nmt_here("prepare", "mine.toml", cwd=home).err
    funnel = nmt_here("data", "funnel", "runs/mine", cwd=home).out
    assert dict(re.findall(r"added: (\w+) +([\d,]+)", funnel)) == added
    lines = [line.split("\t") for line in nmt_here("data", "added", "runs/mine", cwd=home).lines]
    assert {kind: f"{sum(line[0] == kind for line in lines):,}" for kind in KINDS} == added
    assert all(source == source.upper() for kind, source, _ in lines if kind == "upper")
    typed = nmt_here("data", "added", "runs/mine", "--kind", "typos", cwd=home).lines
    assert [line.split("\t") for line in typed] == [line for line in lines if line[0] == "typos"]


def test_a_run_without_added_pairs_has_none_to_print(home: Path, nmt_here: Run) -> None:
    (home / "plain.toml").write_text(TINY.replace('"tiny"', '"plain"'), encoding="utf-8")
    assert nmt_here("prepare", "plain.toml", cwd=home).code == 0
    assert not (home / "runs" / "plain" / "prepared" / "augmentation").exists()
    failed = nmt_here("data", "added", "runs/plain", cwd=home)
    assert (failed.code, failed.out) == (4, "")
    assert "runs/plain: no pairs were added to its training text" in failed.err
    failed = nmt_here("data", "added", "runs", cwd=home)
    assert (failed.code, failed.err) == (
        4, "nmt: runs: not a run folder (name a folder that `nmt run` made, such as runs/demo)\n"
    )  # fmt: skip
    failed = nmt_here("data", "added", "runs/mine", "--kind", "lowr", cwd=home)
    assert failed.code == 2
    assert f"--kind lowr: none of this run's kinds, {', '.join(KINDS)}" in failed.err


def test_the_table_of_the_page_has_all_kinds() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == [*KINDS, "inline_tags", "terms"]
    assert re.findall(r"^(\w+) = ", SECTION, re.MULTILINE) == KINDS
