"""Commands on a terminal of 80 columns: no signature is cut, colours help, and `translate` says when it is ready."""

import json
from pathlib import Path

import pytest
from conftest import TinyRun
from terminals import TYPED_END, on_terminal, without_codes

from nmt.tasks.grammar import generate


def signatures(tiny: TinyRun) -> list[str]:
    scores = json.loads((tiny.folder / "evaluation" / "scores.json").read_text(encoding="utf-8"))
    return [value["signature"] for value in scores["test"].values()]


def test_run_and_evaluate_show_every_signature_whole(tiny: TinyRun, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    (tmp_path / "test.de").write_text("".join(f"{german}\n" for _, german in generate("test", 20)), encoding="utf-8")
    hypotheses = folder / "evaluation" / "test.de"
    for words in (
        ("run", tiny.recipe, "--run-dir", folder),
        ("evaluate", "--hypotheses", hypotheses, "--reference", "test.de"),
    ):
        code, shown = on_terminal(*words, cwd=tmp_path)
        assert code == 0, shown
        lines = without_codes(shown).split("\n")
        for signature in signatures(tiny):
            (line,) = [line for line in lines if line.endswith(signature)]
            assert len(line) <= 80
        assert "…" not in "".join(line for line in lines if "nrefs" in line)
        assert "\x1b[1mmetric  signature\x1b[0m" in shown


@pytest.mark.parametrize("no_color", [False, True])
def test_an_error_is_red_unless_no_color_is_set(tmp_path: Path, no_color: bool) -> None:
    code, shown = on_terminal("run", "nosuch.toml", cwd=tmp_path, no_color=no_color)
    assert code == 2
    assert shown.startswith("nmt: " if no_color else "\x1b[31mnmt:\x1b[0m ")
    assert ("\x1b" in shown) == (not no_color)


def test_translate_says_when_it_is_ready(tiny_model: Path, tmp_path: Path) -> None:
    ready = "ready: type a line, Ctrl-D ends\n"
    code, shown = on_terminal(
        "translate", tiny_model, cwd=tmp_path, typed=b"They left.\n" + TYPED_END, after=ready.rstrip("\n")
    )
    assert code == 0
    lines = without_codes(shown).split("\n")
    assert lines[:2] == [ready.rstrip("\n"), "They left."]
    assert lines[2], "no translation"
