"""`nmt inspect`: a picture, a trace and the facts, as a user asks for them."""

import json
import re
from collections import Counter
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from runs import unpack_format_1

LINE = "The old woman sees a small dog."
TWO = "The man reads. A child sings."


def parsed(nmt_here: Run, *arguments: str | Path) -> Any:
    result = nmt_here("inspect", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.mark.parametrize(
    ("text", "options"), [(TWO, ["--beam-size", "2", "--length-penalty", "1"]), (LINE, ["--beam-size", "1"])]
)
def test_the_trace_ends_in_the_translation_of_nmt_translate(
    nmt_here: Run, tiny_model: Path, text: str, options: list[str]
) -> None:
    result = nmt_here("translate", tiny_model, *options, "--format", "jsonl", stdin=f"{text}\n".encode())
    (scored,) = json.loads(result.out)["hypotheses"]
    found = parsed(nmt_here, "search", tiny_model, text, *options)
    assert (found["translation"], found["score"]) == (scored["text"], scored["score"])
    pieces = [piece for segment in found["segments"] for piece in segment["finished"][0]["pieces"][:-1]]
    assert pieces == scored["pieces"]
    for segment in found["segments"]:
        assert segment["finished"][0]["score"] == segment["score"]
        assert {one["fate"] for step in segment["steps"] for one in step} <= {"kept", "finished", "dropped"}


def test_the_table_has_a_row_for_each_candidate(nmt_here: Run, tiny_model: Path) -> None:
    result = nmt_here("inspect", "search", tiny_model, LINE, "--beam-size", "2")
    found = parsed(nmt_here, "search", tiny_model, LINE, "--beam-size", "2")
    (segment,) = found["segments"]
    heading, columns, *rows, translation = result.lines
    assert heading == " ".join(segment["source"])
    assert columns.split() == ["step", "rank", "fate", "log-prob", "total", "score", "hypothesis"]
    assert translation == found["translation"]
    candidates = [one for step in segment["steps"] for one in step]
    assert len(rows) == len(candidates)
    assert all(" ".join(one["pieces"]) in row for one, row in zip(candidates, rows, strict=True))


def labels(path: Path) -> Counter[str]:
    """Return the texts of a picture of two heads of a layer, but those that all have."""
    texts = [unescape(text) for text in re.findall(">([^<>]+)</text>", path.read_text(encoding="utf-8"))]
    own = {"head 1", "head 2", "layer 1", "weight", *(f"{tenth / 10:.1f}" for tenth in range(11))}
    return Counter(text for text in texts if text not in own)


def test_a_line_in_segments_has_a_trace_of_each_and_the_picture_shows_the_first(
    nmt_here: Run, tiny_model: Path, tmp_path: Path
) -> None:
    result = nmt_here("inspect", "search", tiny_model, TWO, "--segments", "sentence")
    assert [line[:9] for line in result.lines if line.startswith("segment")] == ["segment 1", "segment 2"]
    assert "nmt: warning: input lines translated in segments: 1 (line 1)" in result.messages
    path = tmp_path / "a.svg"
    result = nmt_here("inspect", "attention", tiny_model, TWO, "--segments", "sentence", "-o", path, "--json")
    assert "nmt: warning: the picture shows the first of 2 segments" in result.messages
    first, _ = json.loads(result.out)["segments"]
    assert labels(path) == Counter(first["target"] + 2 * first["source"])


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross", "alignment"])
def test_a_picture_of_each_kind_is_written(nmt_here: Run, tiny_model: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.svg"
    result = nmt_here("inspect", "attention", tiny_model, LINE, "-o", path, "--kind", kind, "--json")
    assert result.surprises == [f"inspect: drawn to {path}"]
    found = json.loads(result.out)
    (segment,) = found["segments"]
    source, target = segment["source"], segment["target"]
    assert (
        labels(path)
        == {
            "encoder": Counter(3 * source),
            "decoder": Counter(target + 2 * ["<s>", *target[:-1]]),
            "cross": Counter(target + 2 * source),
            "alignment": Counter(LINE.split() + found["translation"].split()),
        }[kind]
    )


def test_a_picture_by_norms_has_a_last_column_of_all_heads(nmt_here: Run, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    result = nmt_here("inspect", "attention", tiny_model, LINE, "-o", path, "--measure", "norms", "--json")
    (segment,) = json.loads(result.out)["segments"]
    texts = Counter(["all heads", "share of the norms"])
    assert labels(path) == texts + Counter(segment["target"] + 3 * segment["source"])
    for name, maps in (("weights", 2), ("norms", 2)):
        assert [len(heads) for heads in segment[name]["cross"]] == [maps]
    (together,) = segment["layer_norms"]["cross"]
    assert sum(together[0]) == pytest.approx(1, abs=1e-4)


def test_without_a_name_the_picture_is_attention_png_and_with_json_there_is_none(
    nmt_here: Run, tiny_model: Path, tmp_path: Path
) -> None:
    result = nmt_here("inspect", "attention", tiny_model, LINE, "--layer", "1", "--head", "2", cwd=tmp_path)
    assert (result.code, result.surprises) == (0, ["inspect: drawn to attention.png"])
    (translation,) = result.lines
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "attention.png").unlink()
    result = nmt_here("inspect", "attention", tiny_model, LINE, "--json", cwd=tmp_path)
    assert not [*tmp_path.iterdir()]
    found = json.loads(result.out)
    assert found["translation"] == translation
    (segment,) = found["segments"]
    assert segment["source"][-1] == segment["target"][-1] == "</s>"
    assert found["alignment"][0][1] == 0
    assert segment["weights"].keys() == {"encoder", "decoder", "cross"}
    (heads,) = segment["weights"]["cross"]
    assert (len(heads), len(heads[0]), len(heads[0][0])) == (2, len(segment["target"]), len(segment["source"]))
    assert sum(heads[1][0]) == pytest.approx(1, abs=1e-4)
    one = parsed(nmt_here, "attention", tiny_model, LINE, "--kind", "cross", "--head", "2")
    assert one["segments"][0]["weights"] == {"cross": [[heads[1]]]}


def test_the_facts_of_a_model_are_a_table_or_json(nmt_here: Run, tiny_model: Path) -> None:
    result = nmt_here("inspect", "model", tiny_model)
    assert (result.code, result.err) == (0, "")
    assert result.lines[0].startswith(f"{tiny_model}: tiny, en to de, by nmt ")
    titles = [line for before, line in zip(result.lines, result.lines[1:], strict=False) if not before]
    assert titles == ["model", "tokenizer", "parameters", "operations", "bytes", "decoding", "training"]
    found = parsed(nmt_here, "model", tiny_model)
    rows = [line.split() for line in result.lines]
    assert ["total", f"{found['parameters']['total']:,}"] in rows
    assert ["joint", "yes"] in rows
    assert ["tags", "-"] in rows
    assert ["corpora", "train"] in rows


MESSAGES: list[tuple[list[str], int, str]] = [
    (["attention", "MODEL", " "], 3, "nmt: the text is blank (give a sentence)"),
    (["search", "MODEL", " "], 3, "nmt: the text is blank (give a sentence)"),
    (["search", "MODEL", ""], 2, "nmt: TEXT: the value is empty"),
    (["search", "MODEL/..", "a"], 4, "nmt: MODEL/..: a run folder, not a bundle (take MODEL/../model)"),
    (["model", "nowhere"], 4, "nmt: nowhere: no such bundle (after `nmt run` it is runs/NAME/model)"),
    (["attention", "MODEL", "a", "-o", "a.pdf"], 2, "nmt: -o a.pdf: not a picture (name it .svg or .png)"),
    (["attention", "MODEL", "a", "-o", "b/a.png"], 2, "nmt: -o b/a.png: no folder b (make it first)"),
    (
        ["attention", "MODEL", "a", "--kind", "alignment", "--head", "1"],
        2,
        "nmt: --head: an alignment is the mean of all heads (leave it out)",
    ),
    (
        ["attention", "MODEL", "a", "--kind", "alignment", "--measure", "norms"],
        2,
        "nmt: --measure: an alignment is by the weights (leave it out)",
    ),
    (
        ["attention", "MODEL", "a", "--layer", "2"],
        2,
        "nmt: no layer 2 of cross-attention (it has 1, counted from 1)",
    ),
    (
        ["attention", "MODEL", "a", "--kind", "alignment", "--layer", "2"],
        2,
        "nmt: there is no decoder layer 2: the model has 1, counted from 1",
    ),
]


@pytest.mark.parametrize(("arguments", "code", "message"), MESSAGES)
def test_bad_input_is_one_line_and_no_picture(
    nmt_here: Run, tiny_model: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    given = [argument.replace("MODEL", str(tiny_model)) for argument in arguments]
    result = nmt_here("inspect", *given, cwd=tmp_path)
    assert (result.code, result.out) == (code, "")
    assert result.surprises == [message.replace("MODEL", str(tiny_model))]
    assert not [*tmp_path.iterdir()]


def test_characters_that_no_font_has_are_named_for_a_png_alone(nmt_here: Run, tiny_model: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a.svg"):
        options = ["--kind", "alignment", "-o", str(tmp_path / name)]
        result = nmt_here("inspect", "attention", tiny_model, "A \U00012000 dog", *options)
        assert result.code == 0
        boxes = "nmt: warning: drawn as boxes, as no font here has them: \U00012000 (install one, or write an .svg)"
        assert (boxes in result.messages) == (name == "a.png")
        assert "nmt: warning: characters of the text that are unknown or spelled in bytes: 1" in result.messages


def test_with_placeholders_there_is_no_alignment(nmt_here: Run, tmp_path: Path) -> None:
    model, record = unpack_format_1(tmp_path)
    options = ["--protect", "[0-9]+", "-o", str(tmp_path / "a.png"), "--kind", "alignment"]
    result = nmt_here("inspect", "attention", model, record["lines"][0], *options)
    assert (result.code, result.surprises[-1:]) == (
        2,
        ["nmt: an alignment and placeholders exclude each other (add --protect none)"],
    )
