"""The live line and its rows on a terminal, plain lines elsewhere."""

import io
import json
import math
import re
from contextlib import suppress

import pytest

from nmt import console


class Terminal(io.StringIO):
    """A standard error that somebody watches."""

    def isatty(self) -> bool:
        return True


class Screen(io.TextIOWrapper):
    """A standard output that somebody watches."""

    def __init__(self) -> None:
        super().__init__(ScreenBuffer(), encoding="utf-8")

    @property
    def text(self) -> str:
        assert isinstance(self.buffer, ScreenBuffer)
        return self.buffer.getvalue().decode()


class ScreenBuffer(io.BytesIO):
    def isatty(self) -> bool:
        return True


def frames(terminal: Terminal) -> list[list[str]]:
    """Return what the live display drew, frame by frame, as lines without colours."""
    # Each frame but the first begins by going back over the one before.
    drawn = re.split(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*", terminal.getvalue())
    texts = [re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", text) for text in drawn]
    return [[line.rstrip() for line in text.rstrip().splitlines()] for text in texts if text.strip()]


def watch(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal of 80 columns in the place of standard error, from within a test: pytest sets it anew."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    environ(monkeypatch)
    return terminal


def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Put a terminal of 80 columns in the place of standard output."""
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr(console, "end_with_pipe", lambda: None)
    environ(monkeypatch)
    return screen


def environ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TERM", "xterm-256color"), ("COLUMNS", "80"), ("LINES", "25")):
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_a_live_line_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    with console.Progress("translate", 2500, unit="lines") as progress:
        progress.update(100)
        progress.update(1200, "3m 05s left")
        progress.update(1201)
    (line,) = frames(terminal)[-1]
    assert re.fullmatch(r"translate \S+ 1,201 of 2,500 lines 3m 05s left", line.replace("╸", "━").replace("╺", "━"))


def test_without_a_total_the_live_line_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    with console.Progress("translate", None, unit="lines") as progress:
        progress.update(1200)
    (line,) = frames(terminal)[-1]
    assert line.startswith("translate ")
    assert line.endswith(" 1,200 lines")


def test_rows_stand_below_the_live_line_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    with console.Progress("train", 100) as progress:
        progress.show([("old", "gone")])
        progress.show([("train", "loss 2.5"), ("best dev", "BLEU [31.2]")])
    assert frames(terminal)[-1][1:] == ["train     loss 2.5", "best dev  BLEU [31.2]"]


@pytest.mark.parametrize("columns", [20, 40, 79])
def test_rows_are_cut_to_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = watch(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    with console.Progress("train", 1_000_000, done=999_999, unit="steps") as progress:
        progress.update(999_999, "123h 05m left")
        progress.show([("speed", "word " * 40), ("memory", "1.7 GB")])
    last = frames(terminal)[-1]
    assert len(last) == 3, "no line is wrapped"
    assert max(map(len, last)) <= columns
    assert last[1].endswith("…")
    assert last[2] == "memory  1.7 GB"


def test_a_line_that_stays_stands_above_and_the_live_ones_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    with console.Progress("train", 100) as progress:
        progress.show([("train", "loss 2.5")])
        progress.log("not on a terminal")
        progress.say("stays [bold]100%[/bold]")
        console.warn("careful")
    text = terminal.getvalue()
    assert "not on a terminal" not in text
    assert "stays [bold]100%[/bold]\n" in text
    assert "nmt: warning: careful\n" in re.sub(r"\x1b\[\d+m", "", text)
    assert frames(terminal)[-1][1:] == ["train  loss 2.5"]
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is hidden and comes back"
    assert text.endswith("\x1b[1A\x1b[2K"), "the last lines are erased"


def test_elsewhere_there_are_plain_lines_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Progress("train", 100) as progress:
        progress.update(5, "note")
        progress.show([("train", "loss 2.5")])
        progress.log("shown")
        progress.say("stays")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "shown\nstays\n")


def test_a_progress_that_is_not_shown_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    with console.Progress("train", 100, shown=False) as progress:
        progress.update(5)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    terminal = watch(monkeypatch)
    monkeypatch.setenv("TERM", term)
    with console.Progress("train", 100) as progress:
        progress.update(5)
        progress.log("shown")
    assert terminal.getvalue() == "shown\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (185, "3m 05s"), (7620, "2h 07m")]
)
def test_a_span_is_written_as_people_do(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


# Colours


def test_a_terminal_shows_errors_in_red_and_warnings_in_yellow(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    console.fail("broken")
    console.warn("careful")
    console.log("plain")
    assert terminal.getvalue() == "\x1b[31mnmt:\x1b[0m broken\n\x1b[33mnmt: warning:\x1b[0m careful\nplain\n"


def test_a_terminal_shows_headings_in_their_style(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = screen(monkeypatch)
    console.heading("Next:", " x")
    console.heading("OK", ": fine", "green")
    console.table(["name", "what"], [["a", "b"], ["c", "d"]])
    assert shown.text == (
        "\x1b[1mNext:\x1b[0m x\n\x1b[32mOK\x1b[0m: fine\n\x1b[1mname  what\x1b[0m\na     b\nc     d\n"
    )


def test_words_are_marked_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = screen(monkeypatch)
    console.marked("a\x1b ", [(False, "red"), (True, " "), (False, "d\x07g")])
    assert shown.text == "a\\x1b \x1b[1mred\x1b[0m \x1b[1md\\x07g\x1b[0m\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "unknown")])
def test_there_is_no_colour_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    terminal, shown = watch(monkeypatch), screen(monkeypatch)
    monkeypatch.setenv(name, value)
    console.fail("broken")
    console.warn("careful")
    console.heading("Next:", " x")
    assert (terminal.getvalue(), shown.text) == ("nmt: broken\nnmt: warning: careful\n", "Next: x\n")


def test_an_empty_no_color_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "")
    console.fail("broken")
    assert terminal.getvalue() == "\x1b[31mnmt:\x1b[0m broken\n"


def test_there_is_no_colour_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "end_with_pipe", lambda: None)
    monkeypatch.delenv("NO_COLOR", raising=False)
    console.fail("broken")
    console.warn("careful")
    console.heading("Next:", " x", "red")
    console.table(["name"], [["a"]])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("Next: x\nname\na\n", "nmt: broken\nnmt: warning: careful\n")


# Scores

SIGNATURES = {
    "bleu": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
    "ter": "nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0",
}
SCORES = {
    "bleu": {"score": 31.204, "signature": SIGNATURES["bleu"]},
    "ter": {"score": 9, "signature": SIGNATURES["ter"]},
}


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[\d*m", "", text).split("\n")


def test_signatures_stand_beside_the_scores_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = screen(monkeypatch)
    monkeypatch.setenv("COLUMNS", "92")
    console.scores({"test": SCORES})
    assert plain(shown.text) == [
        "test  metric  score  signature",
        f"test  BLEU    31.20  {SIGNATURES['bleu']}",
        f"test  TER     9.00   {SIGNATURES['ter']}",
        "",
    ]


@pytest.mark.parametrize("columns", [20, 80, 89])
def test_no_width_cuts_a_signature(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    shown = screen(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    console.scores({"test": SCORES, "another": SCORES})
    assert plain(shown.text) == [
        "test     metric  score",
        "test     BLEU    31.20",
        "test     TER     9.00",
        "another  BLEU    31.20",
        "another  TER     9.00",
        "",
        "metric  signature",
        f"BLEU    {SIGNATURES['bleu']}",
        f"TER     {SIGNATURES['ter']}",
        "",
    ]
    assert columns != 80 or max(map(len, plain(shown.text))) <= 80


def test_a_pipe_cuts_no_signature_either(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "end_with_pipe", lambda: None)
    monkeypatch.setenv("COLUMNS", "80")
    name = "a" * 200
    console.scores({name: SCORES})
    assert capsys.readouterr().out.split("\n")[1] == f"{name}  BLEU    31.20  {SIGNATURES['bleu']}"


def test_control_characters_in_names_are_shown_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, shown = "a\x1b[2Jb\r\u202ec\x9bd\u2066\te\nf", "a\\x1b[2Jb\\r\\u202ec\\x9bd\\u2066\te\nf"
    for say in (console.log, console.warn, console.fail):
        say(name)
        assert capsys.readouterr().err.endswith(f"{shown}\n")
    console.out(name)
    console.heading(name, name)
    assert capsys.readouterr().out == f"{shown}\n{shown}{shown}\n"
    console.table([name[:8]], [[name[:8]]])
    assert "\x1b" not in capsys.readouterr().out
    console.text_out("a\u200fb\x1b")
    assert capsys.readouterr().out == "a\u200fb\x1b\n"
    console.json_out([math.nan])
    assert capsys.readouterr().out == "[null]\n"
    console.json_out([name, "\x7f\x85"])
    assert json.loads(written := capsys.readouterr().out) == [name, "\x7f\x85"]
    assert not console.CONTROLS.search(written)
    monkeypatch.setattr(console, "QUIET", True)
    console.warn("x")
    assert capsys.readouterr().err == ""


def test_warnings_are_recorded_also_where_none_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console.warn("before")
    with console.recording() as outer:
        console.warn("one")
        monkeypatch.setattr(console, "QUIET", True)
        with console.recording() as inner:
            console.warn("two")
        console.log("no warning")
        console.warn("three")
    with suppress(KeyboardInterrupt), console.recording():
        raise KeyboardInterrupt
    console.warn("after")
    assert (outer, inner) == (["one", "two", "three"], ["two"])
    assert capsys.readouterr().err == "nmt: warning: before\nnmt: warning: one\n"
