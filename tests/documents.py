"""What tests of documents share: translators of words that need no model, and a check that HTML is balanced."""

import random
from collections.abc import Callable, Sequence
from html.parser import HTMLParser

from nmt.inference.results import Candidate, Translation

Pairs = list[tuple[int, int]]
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
OPTIONAL = {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "html", "head", "body"}


def translation(line: str, text: str, pairs: Pairs | None) -> Translation:
    return Translation(line, [Candidate(text, 0.0, [], alignment=pairs)])


def upper(lines: Sequence[str], *, alignment: bool) -> list[Translation]:
    """Write each line in capitals, word for word."""
    return [
        translation(line, line.upper(), [(i, i) for i in range(len(line.split()))] if alignment else None)
        for line in lines
    ]


def backwards(lines: Sequence[str], *, alignment: bool) -> list[Translation]:
    """Write the words of each line in capitals and in the opposite order."""
    found = []
    for line in lines:
        words = line.upper().split()[::-1]
        pairs = [(len(words) - 1 - i, i) for i in range(len(words))]
        found.append(translation(line, " ".join(words), pairs if alignment else None))
    return found


def unaligned(lines: Sequence[str], *, alignment: bool) -> list[Translation]:
    """Write each line in capitals, never with an alignment."""
    assert isinstance(alignment, bool)
    return upper(lines, alignment=False)


def always(text: str, pairs: Pairs | None = None) -> Callable[..., list[Translation]]:
    """Return a translator that writes `text` for every line."""

    def translate(lines: Sequence[str], *, alignment: bool) -> list[Translation]:
        return [translation(line, text, pairs if alignment else None) for line in lines]

    return translate


class Recorder:
    """Writes capitals, and notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], bool]] = []

    def __call__(self, lines: Sequence[str], *, alignment: bool) -> list[Translation]:
        self.asked.append((list(lines), alignment))
        return upper(lines, alignment=alignment)


def shuffled(seed: int, *, right: bool) -> Callable[..., list[Translation]]:
    """Return a translator that shuffles the words; it gives the right alignment or one at random, at times none."""
    draw = random.Random(seed)

    def translate(lines: Sequence[str], *, alignment: bool) -> list[Translation]:
        found = []
        for line in lines:
            words = line.upper().split()
            order = draw.sample(range(len(words)), len(words))
            pairs = [(i if right else draw.randrange(len(words) + 1), j) for j, i in enumerate(order)]
            is_aligned = alignment and draw.random() < 0.9
            found.append(translation(line, " ".join(words[i] for i in order), pairs if is_aligned else None))
        return found

    return translate


class _Balance(HTMLParser):
    """A stack of open elements; `wrong` lists the tags that do not belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in OPTIONAL:
            self.open.pop()
        if self.open[-1:] == [tag]:
            self.open.pop()
        else:
            self.wrong.append(f"</{tag}>")


def unbalanced(source: str) -> list[str]:
    """Return the tags of HTML that have no counterpart."""
    parser = _Balance()
    parser.feed(source)
    parser.close()
    return [*parser.wrong, *(f"<{tag}>" for tag in parser.open if tag not in OPTIONAL)]
