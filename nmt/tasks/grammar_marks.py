"""The alignment of words in the built-in corpus: marks that both sides of a translation carry until a sentence is done.

A mark is a character of Unicode's private use area behind a word. A word with several marks translates several, as
"im" does "in the"; of words that translate each other as a whole only, as "next to" and "neben", links are possible and
not sure, as Och and Ney (2003) distinguish them.
"""

import re
from collections.abc import Iterator
from itertools import count

EnDe = tuple[str, str]  # English words, and the German ones that translate them
Links = set[tuple[int, int]]  # English and German words that are aligned, counted from 0 between spaces
SURE, POSSIBLE, END = 0xE000, 0xF000, 0xF900
MARK, WORD = re.compile("[\ue000-\uf8ff]"), re.compile(r"\S+")


def plain(text: str) -> str:
    """Return `text` without marks."""
    return MARK.sub("", text)


def with_mark(text: str, mark: str) -> str:
    """Return `text` with `mark` behind each word."""
    return WORD.sub(lambda word: word[0] + mark, text) if mark else text


class Marks:
    """Gives marks to the words of a sentence, or none if it is not `on`: then texts stay as they are."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.start()

    def start(self) -> None:
        """Begin another sentence."""
        self._sure: Iterator[int] = count(SURE)
        self._possible: Iterator[int] = count(POSSIBLE)

    def new(self, *, sure: bool = True) -> str:
        """Return a new mark."""
        return chr(next(self._sure if sure else self._possible)) if self.on else ""

    def pair(self, pair: EnDe) -> EnDe:
        """Mark a translation: word by word where both sides have as many words, else as a whole."""
        if not self.on:
            return pair
        english, german = (side.split() for side in pair)
        if len(english) == len(german):
            marks = [self.new() for _ in english]
        else:
            marks = [self.new(sure=False)] * max(len(english), len(german))
        sides = (" ".join(map(with_mark, side, marks)) for side in (english, german))
        first, second = sides
        return first, second

    def join(self, *pairs: EnDe) -> EnDe:
        """Mark translations, and join each side by spaces."""
        marked = [self.pair(pair) for pair in pairs]
        return " ".join(english for english, _ in marked), " ".join(german for _, german in marked)

    def whole(self, pair: EnDe) -> EnDe:
        """Mark a translation whose words all belong together."""
        mark = self.new()
        return with_mark(pair[0], mark), with_mark(pair[1], mark)


def links_of(pair: EnDe) -> tuple[Links, Links]:
    """Return the sure links of a marked pair, and the possible ones, the sure ones among them."""
    places: list[dict[str, list[int]]] = []
    for side in pair:
        places.append({})
        for index, word in enumerate(side.split(" ")):
            for mark in MARK.findall(word):
                places[-1].setdefault(mark, []).append(index)
    sure: Links = set()
    possible: Links = set()
    for mark, sources in places[0].items():
        found = {(i, j) for i in sources for j in places[1].get(mark, [])}
        possible |= found
        if ord(mark) < POSSIBLE:
            sure |= found
    return sure, possible
