"""Our scores of the WMT22 English-German systems against those the shared task published."""

import csv
import gzip
import os
from functools import cache
from pathlib import Path

import pytest

from nmt.evaluation.metrics import MetricName, score

REPOSITORY = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("NMT_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "wmt22-systems"
FAST = ("OpenNMT", "Online-B")
SLOW = ("JDExploreAcademy", "Lan-Bridge", "Online-A", "Online-G", "Online-W", "Online-Y", "PROMT")
METRICS: dict[str, MetricName] = {"bleu": "bleu", "chrf": "chrf"}
REFERENCES = {"A": ("A",), "B": ("B",), "all": ("A", "B")}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no WMT22 outputs at {FOLDER}: set NMT_TEST_DATA to the folder above it"
)


@cache
def lines(name: str) -> list[str]:
    text = gzip.decompress((FOLDER / name).read_bytes()).decode()
    return text.removesuffix("\n").split("\n")


def published() -> dict[str, dict[str, float]]:
    with (FOLDER / "scores.tsv").open(encoding="utf-8", newline="") as file:
        table: dict[str, dict[str, float]] = {}
        for row in csv.DictReader(file, delimiter="\t"):
            table.setdefault(row["system"], {})[row["metric"]] = float(row["score"])
        return table


def test_each_published_system_is_tested() -> None:
    table = published()
    assert sorted(table) == sorted(FAST + SLOW)
    assert all(set(rows) == {f"{m}-{r}" for m in METRICS for r in REFERENCES} for rows in table.values())


@pytest.mark.parametrize("system", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_scores_equal_the_published_ones_to_three_decimals(system: str) -> None:
    hypotheses = lines(f"hyp.{system}.de.gz")
    assert len(hypotheses) == 2037
    for row, expected in published()[system].items():
        metric, _, references = row.partition("-")
        sets = [lines(f"ref.{name}.de.gz") for name in REFERENCES[references]]
        ours = score(hypotheses, sets, metrics=[METRICS[metric]])[METRICS[metric]]
        assert ours["score"] == pytest.approx(expected, rel=0, abs=5e-4), f"{system} {row}"
