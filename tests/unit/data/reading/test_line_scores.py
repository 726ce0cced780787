"""Files of line scores, as the command lines of neural metrics write them."""

import gzip
import json
from pathlib import Path

import pytest

from nmt.data.reading.line_scores import read_line_scores
from nmt.errors import DataError

COMET = [{"src": "s", "mt": "m", "ref": "r", "COMET": 0.5}, {"src": "s", "mt": "m", "ref": "r", "COMET": 1}]
METRICX = '{"hypothesis": "h", "label": 3, "prediction": 0.5}\n{"hypothesis": "h", "label": 4, "prediction": 2}\n'
PRINTED = (
    "a.de\tSegment 0\tscore: 0.5\nb.de\tSegment 0\tscore: -0.25\n"
    "a.de\tSegment 1\tscore: 1.0\nb.de\tSegment 1\tscore: 2e-1\n"
    "a.de\tscore: 0.75\nb.de\tscore: 0.0\nPredictions saved in: x.json.\n"
)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("0.5\n-1\n", {"": [0.5, -1.0]}),
        ("0.5\r\n 1e-3 \r\n", {"": [0.5, 0.001]}),
        (json.dumps({"x/a.de": COMET}, indent=4), {"x/a.de": [0.5, 1.0]}),
        (json.dumps({"a.de": COMET, "b.de": COMET[::-1]}), {"a.de": [0.5, 1.0], "b.de": [1.0, 0.5]}),
        (json.dumps(COMET), {"": [0.5, 1.0]}),
        ("[0.5, 1]", {"": [0.5, 1.0]}),
        (METRICX, {"": [0.5, 2.0]}),
        (METRICX[:51], {"": [0.5]}),
        ('{"text": "t", "bleurt": 0.5, "good": true}\n{"bleurt": 1}', {"": [0.5, 1.0]}),
        (PRINTED, {"a.de": [0.5, 1.0], "b.de": [-0.25, 0.2]}),
        ("a.de\tSegment 0\tscore: 0.5\tvariance: 0.1\n", {"a.de": [0.5]}),
        ("S\t0.5\nT\t1\nS\t2\n", {"S": [0.5, 2.0], "T": [1.0]}),
    ],
)
def test_the_scores_of_each_system_are_read(tmp_path: Path, text: str, columns: dict[str, list[float]]) -> None:
    (tmp_path / "scores").write_text(text, encoding="utf-8", newline="")
    assert read_line_scores(tmp_path / "scores") == columns


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "scores.json.gz").write_bytes(gzip.compress(json.dumps({"a": COMET}).encode()))
    assert read_line_scores(tmp_path / "scores.json") == {"a": [0.5, 1.0]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": no scores in it"),
        ("\n \n", ": no scores in it"),
        ("0.5\n\n", ", line 2: '' is no score"),
        ("0.5\nnan\n", ", line 2: 'nan' is no score"),
        ("1\n2\ninf", ", line 3: 'inf' is no score"),
        ("BLEU = 30.1", ", line 1: 'BLEU = 30.1' is no score"),
        ("a\tSegment 1\tscore: 1", ", line 1: segment 1 of a, not 0"),
        ("a\tSegment 0\tscore: 1\na\tSegment 2\tscore: 1", ", line 2: segment 2 of a, not 1"),
        ("a\tscore: 1", ", line 1: 'score: 1' is no score"),
        ('{"a": 1, "b": 2}\n{"a": 1}', ", line 1: no score in 'a', 'b'"),
        ('{"prediction": true}', ", item 1: 'True' is no score"),
        ('{"prediction": 1}\n{"prediction": ', ", line 2: no JSON"),
        ('{"a.de": [{"COMET": null}]}', ", a.de 1: 'None' is no score"),
        ('[{"COMET": 1}, {"COMET": 1e999}]', ", item 2: 'inf' is no score"),
    ],
)
def test_what_holds_no_scores_is_one_line_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "scores"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_line_scores(path)
    assert caught.value.args == (f"{path}{problem}",)
    assert caught.value.hint is not None or "segment" in problem


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_line_scores(tmp_path / "scores")
