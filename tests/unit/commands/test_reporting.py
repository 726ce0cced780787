"""Scores of the lines of a test set that were made elsewhere, in the report of a run and of several."""

from pathlib import Path

import pytest
from conftest import TinyRun

from nmt.commands import reporting as module
from nmt.commands.reporting import report
from nmt.errors import UsageError
from nmt.experiments import facts as facts_module
from nmt.files import read_json, write_json


@pytest.fixture(autouse=True)
def _no_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long and is not looked at here."""
    monkeypatch.setattr(facts_module, "attention_of", lambda *_: None)
    monkeypatch.setattr(facts_module, "attention_facts", lambda *_: [])


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.txt"
    path.write_text("0.25\n0.5\n" * 10, encoding="utf-8")
    return path


def test_scores_made_elsewhere_stand_beside_those_of_a_run(tiny: TinyRun, scores: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    facts = report([tiny.folder], None, [f"comet:da={scores}"], page)
    found = facts["runs"][0]["tests"]["test"]["scores"]
    assert list(found) == ["bleu", "chrf", "ter", "comet:da"]
    assert (found["comet:da"]["score"], found["comet:da"]["signature"]) == (0.375, "comet:da")
    assert 0.25 < found["comet:da"]["interval"]["low"] < 0.375 < found["comet:da"]["interval"]["high"] < 0.5
    text = page.read_text(encoding="utf-8")
    assert "<td>comet:da</td>" in text
    assert '<td class="number">0.3750</td>' in text  # with four decimals, unlike a BLEU of 0 to 100


def test_scores_made_elsewhere_are_compared_between_runs(tiny: TinyRun, scores: Path, tmp_path: Path) -> None:
    other, better = tiny.copy(tmp_path / "other"), tmp_path / "better.txt"
    better.write_text("0.5\n0.75\n" * 10, encoding="utf-8")
    lock = read_json(other / "lock.json")
    write_json(other / "lock.json", {**lock, "seed": 2})
    facts = report([tiny.folder, other], "test", [f"comet:da={scores}", f"comet:da={better}"], tmp_path / "page.html")
    assert facts["scores"]["tests"]["test"]["other"]["comet:da"]["difference"]["value"] == 0.25
    assert '<td class="number">+0.2500</td>' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_test_set_is_chosen_for_scores_or_for_several_runs(
    tiny: TinyRun, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "report_of", lambda folder: {"of": folder})
    assert report([tiny.folder], None, [], None) == {"of": tiny.folder}
    with pytest.raises(UsageError, match=r"--test chooses the lines of --scores, or those of several runs"):
        report([tiny.folder], "test", [], None)
    with pytest.raises(UsageError, match=r"--test nosuch: not all runs were scored on it"):
        report([tiny.folder], "nosuch", [f"comet:da={scores}"], None)
