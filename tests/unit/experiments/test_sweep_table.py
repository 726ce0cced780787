"""The comparison of a sweep: mean and spread over seeds, in every form."""

import csv
import json
from pathlib import Path

import pytest
from conftest import TinyRun

from nmt.errors import UsageError
from nmt.evaluation.significance import Interval
from nmt.experiments import sweep_table
from nmt.experiments.costs import LEGEND
from nmt.experiments.finished_run import FinishedRun
from nmt.experiments.sweep import Sweep, plan_sweep
from nmt.experiments.sweep_table import Row, Spread, as_csv, as_markdown, best_validation, compare, draw
from nmt.experiments.variants import Variant
from nmt.files import read_json, write_json

INTERVALS: list[Interval | None] = [
    Interval(mean=1.1, half_width=0.5, low=0.5, high=1.5, signature="s"),
    Interval(mean=2.1, half_width=0.5, low=1.5, high=2.5, signature="s"),
]
ROWS = [
    Row(
        *("base", [], 1234, [1, 2], ["a", "b"], {"test BLEU": Spread([1.0, 2.0]), "dev BLEU": Spread([5.0, 5.0])}),
        {"train tokens/s": Spread([1000.0, 3000.0]), "test s": Spread([1.25])},
        {"test": INTERVALS},
    ),
    Row("A|1", ["model.heads=1", "x=2"], 99, [1], ["c"], {"test BLEU": Spread([4.0])}, {}, {"test": [None]}),
]


@pytest.fixture
def sweep(tiny: TinyRun, tmp_path: Path) -> Sweep:
    """Return a sweep of two variants with two seeds, of which the second variant has one finished run."""
    variants = (Variant("base", ()), Variant("log_every=2", ("training.log_every=2",)))
    planned = plan_sweep(str(tiny.recipe), (), variants, 2, tmp_path, None)
    for one in planned.runs[:3]:
        path = tiny.copy(one.run.folder.path) / "lock.json"
        write_json(path, {**read_json(path), "recipe": one.run.recipe.model_dump()})
    return planned


def test_a_spread_has_mean_deviation_of_the_sample_and_extremes() -> None:
    spread = Spread([1.0, 2.0, 4.5])
    assert spread.mean == 2.5
    assert spread.deviation == pytest.approx(1.8027756)
    assert str(spread) == "2.50 ± 1.80 [1.00, 4.50]"
    assert spread.summary() == {"mean": 2.5, "standard_deviation": spread.deviation, "min": 1.0, "max": 4.5}
    assert (Spread([2.0]).deviation, str(Spread([2.0]))) == (None, "2.00")


def test_the_csv_has_a_column_for_each_number() -> None:
    lines = list(csv.DictReader(as_csv(ROWS, ["test BLEU", "dev BLEU"]).splitlines()))
    assert lines[0]["test BLEU mean"] == "1.5"
    assert float(lines[0]["test BLEU standard_deviation"]) == pytest.approx(0.70710678)
    assert (lines[0]["dev BLEU min"], lines[0]["seeds"], lines[0]["changes"]) == ("5.0", "2", "")
    assert (lines[1]["variant"], lines[1]["parameters"], lines[1]["changes"]) == ("A|1", "99", "model.heads=1 x=2")
    assert (lines[1]["test BLEU max"], lines[1]["test BLEU standard_deviation"], lines[1]["dev BLEU mean"]) == (
        "4.0", "", "",
    )  # fmt: skip
    assert (lines[0]["train tokens/s mean"], lines[0]["train tokens/s max"]) == ("2000.0", "3000.0")
    assert (lines[0]["test BLEU low"], lines[0]["test BLEU high"]) == ("0.5", "1.5")
    assert (lines[1]["train tokens/s mean"], lines[1]["test BLEU low"], lines[1]["test BLEU high"]) == ("", "", "")


def test_the_tables_in_markdown_say_what_each_variant_changes_and_costs() -> None:
    assert as_markdown(ROWS, ["test BLEU", "dev BLEU"], ["test BLEU: s|t"]) == (
        "| variant | changes | parameters | seeds | test BLEU | dev BLEU |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| base |  | 1,234 | 2 | 1.50 ± 0.71 [1.00, 2.00] | 5.00 ± 0.00 [5.00, 5.00] |\n"
        "| A\\|1 | `model.heads=1`, `x=2` | 99 | 1 | 4.00 | - |\n\n"
        "Mean ± standard deviation of the sample [minimum, maximum] over the seeds; dev is of the best checkpoint.\n\n"
        "- test BLEU: s|t\n\n"
        "| variant | test BLEU 95% | train tokens/s | train GFLOP/s | train MiB | train s | test lines/s | test s |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| base | [0.50, 1.50] | 2,000 | - | - | - | - | 1.2 |\n"
        "| A\\|1 | - | - | - | - | - | - | - |\n\n"
        "[ends] of BLEU's 95% interval by the bootstrap over the lines, of the first seed; all else is a mean over "
        "seeds.\n"
        "Training: median target tokens and 10^9 operations a second; peak memory; time without validation.\n"
        "Test sets: the translation alone. Times are those of the machine at that moment, with all that ran beside.\n"
    )


def test_the_picture_has_the_same_bytes_for_the_same_numbers(tmp_path: Path) -> None:
    for ending, magic in ((".svg", b"<?xml"), (".png", b"\x89PNG")):
        for name in ("one", "two"):
            draw(ROWS, ["dev BLEU", "test BLEU"], (tmp_path / name).with_suffix(ending))
        one, two = ((tmp_path / name).with_suffix(ending).read_bytes() for name in ("one", "two"))
        assert one == two
        assert one.startswith(magic)
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert all(f">{word}<" in text for word in ("base", "A|1", "test BLEU", "dev BLEU"))


def test_the_best_validation_is_that_of_the_best_checkpoint(tiny: TinyRun, tmp_path: Path) -> None:
    run = FinishedRun.open(tiny.copy(tmp_path / "run"))
    counts = run.lock.results["train"].counts
    assert counts is not None
    assert best_validation(run)["step"] == counts["best_step"]
    assert round(best_validation(run)["bleu"], 2) == round(counts["best"], 2)
    run.folder.log.unlink()
    assert best_validation(FinishedRun.open(run.folder.path)) == {}


def test_finished_runs_are_compared_and_the_others_are_counted(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(sweep, as_json=False)
    said = capsys.readouterr()
    head, base, other, *rest = said.out.split("\n")
    assert head.split() == [
        *("variant", "parameters", "seeds", "dev", "perplexity", "dev", "BLEU", "test", "BLEU", "test", "chrF"),
    ]  # fmt: skip
    assert base.split()[:3] == ["base", "34,304", "2"]
    assert other.split()[:3] == ["log_every=2", "34,304", "1"]
    assert "±" in base
    assert "±" not in other
    assert rest[:5] == [
        "",
        "Mean ± standard deviation of the sample [minimum, maximum] over the seeds; dev is of the best checkpoint",
        "test BLEU: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
        "test chrF: nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0",
        "",
    ]
    _, base, other, _, *legend, _ = rest[5:]
    assert base.split()[0] == "base"
    assert "-" not in base.split()
    assert other.split()[1:] == base.split()[1:]  # copies of one run
    assert "\n".join(legend) == LEGEND
    assert said.err.startswith("nmt: warning: 1 of 4 runs are not finished, and not in the table\n")
    assert {path.name for path in sweep.folder.glob("sweep.*")} == {
        f"sweep.{ending}" for ending in ("json", "csv", "md", "png", "svg")
    }


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, which takes half a second."""
    monkeypatch.setattr(sweep_table, "draw", lambda *_: None)


@pytest.mark.usefixtures("no_pictures")
def test_as_json_every_value_is_there_with_its_run(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    compare(sweep, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found == read_json(sweep.folder / "sweep.json")
    assert (found["recipe"], found["runs"], [row["seeds"] for row in found["variants"]]) == ("tiny", 4, [[1, 2], [1]])
    scores = read_json(sweep.runs[0].run.folder.scores)["test"]
    chrf = found["variants"][0]["quantities"]["test chrF"]
    assert chrf["values"] == [scores["chrf"]["score"]] * 2
    assert (chrf["mean"], chrf["standard_deviation"]) == (scores["chrf"]["score"], 0.0)
    one, two = found["variants"][0]["intervals"]["test"]
    assert one == two
    assert one["low"] < scores["bleu"]["score"] < one["high"]
    assert "bs:1000" in one["signature"]
    lines = read_json(sweep.runs[0].run.folder.times)["test"]
    assert found["variants"][0]["costs"]["test lines/s"]["values"] == [lines["lines"] / lines["seconds"]] * 2
    assert found["variants"][1]["folders"] == [str(sweep.folder / "log_every=2-seed1")]


@pytest.mark.usefixtures("no_pictures")
def test_scores_of_several_signatures_are_not_compared_in_silence(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sweep.runs[2].run.folder.scores
    scores = read_json(path)
    scores["test"]["bleu"]["signature"] = "other"
    write_json(path, scores)
    compare(sweep, as_json=False)
    said = capsys.readouterr()
    assert "warning: test BLEU has several signatures, so that its scores cannot be compared\n" in said.err
    assert "\ntest BLEU: other\n" in said.out


def test_without_a_finished_run_there_is_nothing_to_compare(tiny: TinyRun, tmp_path: Path) -> None:
    planned = plan_sweep(str(tiny.recipe), (), (Variant("base", ()),), 1, tmp_path / "none", None)
    with pytest.raises(UsageError) as caught:
        compare(planned, as_json=False)
    assert str(caught.value) == f"{tmp_path / 'none'}: no run of this sweep is finished (run it without --table)"
    assert not (tmp_path / "none").exists()
