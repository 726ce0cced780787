import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sacrebleu import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest, Result

from nmt.errors import UsageError
from nmt.evaluation import significance
from nmt.evaluation.metrics import LineStatistics, MetricName, Statistics, count, score
from nmt.evaluation.significance import compare, ends, p_value, permutation_test, read_seed, resamples, swaps


def counted(systems: dict[str, list[str]], references: list[list[str]], *metrics: MetricName) -> dict[str, Statistics]:
    return count(systems, references, tokenize="13a", lowercase=False, chrf_word_order=0, metrics=metrics)


def sentences(lines: int) -> tuple[dict[str, list[str]], list[list[str]]]:
    """Return translations by three systems, with some words of the reference changed, and two references."""
    rng = random.Random(7)
    words = ["one", "two", "three", "four", "five", "six"]
    references = [[" ".join(rng.choices(words, k=rng.randint(4, 12))) for _ in range(lines)] for _ in range(2)]
    systems = {
        name: [" ".join(rng.choice(words) if rng.random() < share else word for word in line.split()) for line in first]
        for first in references[:1]
        for name, share in (("base", 0.3), ("near", 0.35), ("far", 0.5))
    }
    return systems, references


def test_p_of_randomization_equals_that_of_the_sacrebleu_command(tmp_path: Path) -> None:
    systems, references = sentences(60)
    for name, lines in {**systems, "ref": references[0]}.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        "ref",
        "-i",
        *systems,
        "-m",
        "bleu",
        "chrf",
        "--paired-ar",
        "-f",
        "json",
    ]
    theirs = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout)
    ours = compare(counted(systems, references[:1], "bleu", "chrf"), ["bleu", "chrf"])
    found = [
        [ours[name][metric]["difference"]["randomization_p"] for metric in ("bleu", "chrf")] for name in ("near", "far")
    ]
    assert found == [[row["BLEU"]["p_value"], row["chrF2"]["p_value"]] for row in theirs[1:]]
    assert 0.05 < found[0][0] < 1
    assert found[1][0] < 0.05


def test_bootstrap_of_each_system_and_signatures_equal_sacrebleus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "TRIALS", 10)
    systems, references = sentences(40)
    metrics = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
    tested: list[MetricName] = ["bleu", "chrf", "ter"]
    signatures, theirs = PairedTest(list(systems.items()), metrics, references, test_type="bs")()
    ours = compare(counted(systems, references, *tested), tested)
    for name, key in zip(tested, ("BLEU", "chrF2", "TER"), strict=True):
        results = [result for result in theirs[key] if isinstance(result, Result)]
        for system, result in zip(systems, results, strict=True):
            found = ours[system][name]
            interval = found["interval"]
            assert found["score"] == result.score
            # sacreBLEU's samples are of 32 bits
            assert (interval["mean"], interval["half_width"]) == pytest.approx((result.mean, result.ci), rel=1e-5)
            assert interval["high"] - interval["low"] == pytest.approx(2 * interval["half_width"], rel=1e-12)
            assert interval["low"] < interval["mean"] < interval["high"]
            assert interval["signature"] == str(signatures[key])
            assert "|bs:1000|seed:12345|" in interval["signature"]
        difference = ours["far"][name]["difference"]
        assert difference["bootstrap_signature"] == str(signatures[key])
        assert difference["randomization_signature"] == str(signatures[key]).replace("bs:1000", "ar:10")
        assert difference["value"] == ours["far"][name]["score"] - ours["base"][name]["score"]
        assert difference["low"] < difference["value"] < difference["high"]
        assert difference["baseline"] == "base"
        # One half of the two-sided p, but for the few samples in which the sign of the difference is another one.
        assert (results[1].p_value or 1) < ours["near"][name]["difference"]["bootstrap_p"]


@pytest.mark.parametrize("lines", [1, 7, 33])
def test_lines_are_drawn_as_sacrebleu_draws_them(lines: int) -> None:
    for seed in (12345, 6):
        drawn = np.random.default_rng(seed).choice(lines, size=(1000, lines), replace=True)
        times = [[list(row).count(line) for line in range(lines)] for row in drawn]
        assert np.array_equal(np.vstack(list(resamples(lines, seed))), times)
        flips = np.random.default_rng(seed).integers(2, size=(10_000, lines), dtype=bool)
        assert np.array_equal(np.vstack(list(swaps(lines, seed))), flips)
    assert not np.array_equal(next(swaps(33, None)), next(swaps(33, None)))


def test_p_is_uniform_on_equal_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "TRIALS", 400)
    monkeypatch.setattr(significance, "RESAMPLES", 400)
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        words = rng.integers(5, 40, size=100)
        systems: dict[str, Statistics] = {
            name: {"ter": LineStatistics(SCORER, np.stack([rng.binomial(words, 0.4), words], 1).tolist())}
            for name in "ab"
        }
        difference = compare(systems, ["ter"])["b"]["ter"]["difference"]
        found.append((difference["bootstrap_p"], difference["randomization_p"]))
    for p in np.array(found).T:
        assert 3 <= np.sum(p < 0.05) <= 17
        for share in (0.2, 0.5, 0.8):
            assert abs(np.mean(p < share) - share) < 0.1


SCORER = TER(references=[["a"]])


def ter(*edits: int) -> Statistics:
    """Return statistics of lines of ten words."""
    return {"ter": LineStatistics(SCORER, [[float(edit), 10.0] for edit in edits])}


def test_systems_that_differ_in_one_line_or_none_do_not_differ() -> None:
    for other, least in ((ter(1, 2, 3), 1), (ter(1, 2, 9), 0.2)):
        difference = compare({"a": ter(1, 2, 3), "b": other}, ["ter"])["b"]["ter"]["difference"]
        assert difference["randomization_p"] == 1
        assert difference["bootstrap_p"] >= least


def test_three_lines_in_favour_of_one_system_have_a_p_of_a_quarter() -> None:
    difference = compare({"a": ter(1, 1, 1, 5), "b": ter(2, 3, 5, 5)}, ["ter"])["b"]["ter"]["difference"]
    assert difference["value"] == pytest.approx(17.5)
    assert difference["randomization_p"] == pytest.approx(0.25, abs=0.02)


def test_p_counts_trials_as_large_in_either_direction_and_the_difference_itself() -> None:
    assert p_value(np.array([1.0, -2.0, 3.0]), 2.0) == p_value(np.array([1.0, -2.0, 3.0]), -2.0) == 0.75
    assert p_value(np.array([0.3, 1.0]), 0.1 + 0.2) == 1
    assert p_value(np.zeros(99), 1.0) == 0.01


def test_an_interval_leaves_out_a_fortieth_at_each_end() -> None:
    assert ends(np.arange(1000.0)[::-1]) == (25, 974)
    assert ends(np.arange(39.0)) == (0, 38)


def test_metrics_that_are_not_tested_are_scored_alone() -> None:
    systems, references = sentences(10)
    found = compare(counted(systems, references, "bleu", "chrf"), ["chrf"])
    assert found["far"]["bleu"] == score(systems["far"], references, metrics=["bleu"])["bleu"]
    assert set(found["far"]["chrf"]) == {"score", "signature", "interval", "difference"}
    assert set(found["base"]["chrf"]) == {"score", "signature", "interval"}
    assert compare(counted(systems, references, "bleu"), []) == {
        name: score(lines, references, metrics=["bleu"]) for name, lines in systems.items()
    }


def test_a_blank_reference_is_none_in_tests_too() -> None:
    systems = {"a": ["a small dog", "A cat."]}
    found = compare(counted(systems, [["a small dog sleeps", "A cat."], ["", "Cats."]], "chrf"), ["chrf"])["a"]["chrf"]
    assert found["interval"]["signature"].startswith("nrefs:var|bs:1000|seed:12345|")
    assert found["score"] == score(systems["a"], [["a small dog sleeps", "A cat."], ["", "Cats."]])["chrf"]["score"]


def test_the_seed_is_in_the_signatures() -> None:
    systems = {"a": ter(1, 2, 3, 4), "b": ter(4, 2, 1, 1)}
    first, second = (compare(systems, ["ter"], seed)["b"]["ter"] for seed in (0, None))
    assert ["|seed:0|" in first["interval"]["signature"], "|seed:none|" in second["interval"]["signature"]] == [
        True,
        True,
    ]
    assert "|ar:10000|seed:0|" in first["difference"]["randomization_signature"]
    assert compare(systems, ["ter"], 0)["b"]["ter"] == first


@pytest.mark.parametrize(("text", "seed"), [(None, 12345), ("7", 7), ("0", 0), ("none", None), ("None", None)])
def test_the_seed_is_sacrebleus(monkeypatch: pytest.MonkeyPatch, text: str | None, seed: int | None) -> None:
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    if text is not None:
        monkeypatch.setenv("SACREBLEU_SEED", text)
    assert read_seed() == seed


@pytest.mark.parametrize("text", ["", "-1", "1.5", "seed"])
def test_a_seed_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", text)
    with pytest.raises(UsageError) as caught:
        read_seed()
    assert str(caught.value) == (
        f"the environment has SACREBLEU_SEED={text} (set it to a number from 0 on, or to none)"
    )


def test_settings_are_tested_over_all_ways_to_divide_their_runs() -> None:
    # Of the 20 ways to choose 3 of 6 runs two have means as far apart: the one that is, and its mirror image.
    assert permutation_test([1, 2, 3], [4, 5, 6]) == (2 / 20, 2 / 20)
    assert permutation_test([4, 5, 6], [1, 2, 3]) == (2 / 20, 2 / 20)
    # 3 of 3 and 4, and 2 of 2 and 4, are nearer: {1, 4} against {2, 3} is as far apart as {2, 3} against {1, 4}.
    assert permutation_test([1, 2], [3, 4]) == (2 / 6, 2 / 6)
    assert permutation_test([1, 3], [2, 4]) == (4 / 6, 2 / 6)
    assert permutation_test([1, 4], [2, 3]) == (1, 2 / 6)
    assert permutation_test([5], [1, 2, 3]) == (1 / 4, 1 / 4)
    assert permutation_test([2], [1, 1.5, 4]) == (1, 1 / 4)
    assert permutation_test([0.1 + 0.2, 1], [0.3, 1]) == (1, 2 / 6)


def test_so_many_ways_that_some_are_drawn_give_about_the_exact_p(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [1.0, 2.5, 3.0, 4.0, 5.5], [3.0, 4.5, 5.0, 6.0, 7.5]
    exact = permutation_test(first, second)
    assert 0.05 < exact.p < 0.2
    assert exact.smallest_p == 2 / 252
    monkeypatch.setattr(significance, "WAYS", 251)
    assert permutation_test(first, second).smallest_p == 1 / 252
    monkeypatch.setattr(significance, "WAYS", 252)
    assert permutation_test(first, second) == exact
    monkeypatch.setattr(significance, "WAYS", 251)
    drawn = [permutation_test(first, second, seed).p for seed in range(40)]
    assert np.mean(drawn) == pytest.approx(exact.p, abs=0.015)
    assert len(set(drawn)) > 1
    assert permutation_test(first, second, 3).p == drawn[3]
