"""Find the units of subtitles (SubRip, .srt): the text of a cue, between its times and a blank line."""

import re
from functools import partial

from nmt.documents.filling import Setting
from nmt.documents.units import Part, parts_of, tagged_items
from nmt.errors import DataError

TIMES = re.compile(r"\s*(?:\d+:)?\d+:\d+[,.]\d+\s*-->\s*(?:\d+:)?\d+:\d+[,.]\d+")
TAGS = re.compile(r"</?[A-Za-z][^<>\n]*>|\{\\[^{}\n]*\}")
"""Tags such as `<i>`, and positions such as `{\\an8}`."""
SPEECH = re.compile(r"\s*[-\u2010-\u2015]\s*(?=\S)")
"""Begins a line of a cue that one of several speakers says."""
BREAK = re.compile(r" (?![^<>]*>)")  # a space that is not within a tag
LINES = re.compile(r"(\r?\n)")


def srt_parts(source: str, setting: Setting) -> list[Part]:
    """Return the parts of subtitles; lines of different speakers are units of their own.

    Raises DataError where there is text and no time.
    """
    parts: list[Part] = []
    cue: list[str] = []  # lines of the current cue, with the line breaks between them
    is_text = False
    fields = LINES.split(source)
    for line, end in zip(fields[::2], [*fields[1::2], ""], strict=True):
        if is_text and line.strip():
            cue += [line, end]
            continue
        parts += _cue_parts(cue)
        cue, is_text = [], bool(TIMES.match(line)) or (is_text and not line.strip() and not cue)
        parts.append(line + end)
    parts += _cue_parts(cue)
    if source.strip() and not any(isinstance(part, str) and TIMES.match(part) for part in parts):
        raise DataError(f"{setting.name}: holds no times as 00:00:01,000 --> 00:00:02,000", hint="is it a .srt?")
    return parts


def _cue_parts(cue: list[str]) -> list[Part]:
    """Return the parts of a cue, whose unit has as many lines as it had."""
    lines, ends = cue[::2], cue[1::2]
    if not lines:
        return []
    if sum(bool(SPEECH.match(line)) for line in lines) > 1:
        parts: list[Part] = []
        for line, end in zip(lines, ends, strict=True):
            dash = SPEECH.match(line)
            begin = dash.end() if dash else 0
            parts += [line[:begin], *parts_of(tagged_items(line[begin:], TAGS), str), end]
        return parts
    text = "".join(cue[:-1])
    finish = partial(wrap, count=len(lines), end=ends[0])
    return [*parts_of(tagged_items(text, TAGS), str, finish), ends[-1]]


def wrap(text: str, count: int, end: str) -> str:
    """Break `text` into up to `count` lines of about one length; tags do not count."""
    lines: list[str] = []
    for left in range(count, 1, -1):
        goal = _width(text) / left
        breaks = [match.start() for match in BREAK.finditer(text)]
        if not breaks:
            break
        at = min(breaks, key=lambda at: abs(_width(text[:at]) - goal))
        lines.append(text[:at])
        text = text[at + 1 :]
    return end.join([*lines, text])


def _width(text: str) -> int:
    return len(TAGS.sub("", text))
