"""The attention of a report: which lines are shown, and that the maps are the model's own."""

import pytest
from conftest import TinyRun

from nmt.experiments.attention import attention_of, chosen_lines, maps_from_json
from nmt.experiments.finished_run import FinishedRun


def test_the_best_the_middle_and_the_worst_line_of_a_readable_length_are_shown() -> None:
    sources = ["a b c d"] * 5 + ["too short", "too " * 16, ""]
    assert chosen_lines(sources, [50, 90, 10, 60, 20, 100, 0, 0]) == [1, 0, 2]
    assert chosen_lines(["a", "", "b"], [3, 0, 4]) == [2, 0]
    assert chosen_lines(["", ""], [0, 0]) == []


def test_the_maps_of_a_line_are_those_of_its_translation(tiny: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = FinishedRun.open(tiny.folder)
    lines = run.lines("test")
    chrf = [float(number) for number in range(20)]
    found = attention_of(run, "test", chrf)
    for line in found:
        assert line["translation"] == lines.hypotheses[line["line"] - 1]
        assert (line["source"], line["chrf"]) == (lines.sources[line["line"] - 1], line["line"] - 1)
        maps = maps_from_json(line)
        assert "".join(maps.target).replace("\u2581", " ").strip() == f"{line['translation']}</s>"
        assert maps.weights["cross"].shape == (1, 2, len(maps.target), len(maps.source))
        shown = [*maps.weights.values(), *maps.norms.values(), *maps.layer_norms.values()]
        assert all(abs(weights.sum(-1) - 1).max() < 0.02 for weights in shown)
        assert (set(maps.norms), set(maps.layer_norms)) == ({"cross"}, set(maps.weights))
        words = len(line["source_words"]), len(line["translation_words"])
        assert all(left < words[0] and right < words[1] for left, right in line["alignment"])
    monkeypatch.setattr("nmt.experiments.attention.MOST_MAPS", 11)
    assert attention_of(run, "test", chrf) == found[:1]
