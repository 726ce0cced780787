"""Bracketed trees as targets: the pieces of brackets and tags, and from the text of a tree to pieces and back.

A label opens a bracket, one piece closes every bracket, and a tag stands for its word, whose pieces come before all
that lies between this word and the one before: `(S (NP (DT the) (NN cat)) (VP (VBD sat)))` is
`the <(S> <(NP> <DT/> cat <NN/> sat <)> <(VP> <VBD/> <)> <)>`. Vinyals et al. 2015, section 2.1, write brackets and tags
alone. With the words, each before the decisions that depend on it, the decoder need not count where it is in the
sentence, and a tree can be read without its source.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nmt.tasks.trees import escape

EVENT = re.compile(r"\(\s*([^\s()]+)\s+([^\s()]+)\s*\)|\(\s*([^\s()]*)|(\))|([^\s()]+)")
"""A tag with its word, a label, a closing bracket, or a word without a tag: every text is a sequence of these."""
CLOSE = "<)>"
Ids = list[int]
Encode = Callable[[list[str]], list[Ids]]
Decode = Callable[[list[Ids]], list[str]]


@dataclass(frozen=True)
class TreeSymbols:
    """The labels and tags of trees, which have pieces of their own."""

    labels: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def pieces(self) -> list[str]:
        """The names of the pieces in the order of their ids."""
        return [*(f"<({label}>" for label in self.labels), CLOSE, *(f"<{tag}/>" for tag in self.tags)]


class SymbolCounter:
    """Collects the labels and tags of the trees that pass by."""

    def __init__(self) -> None:
        self._labels: set[str] = set()
        self._tags: set[str] = set()

    def words(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the words of the tree in each of `lines`, between spaces."""
        for line in lines:
            words = []
            for match in EVENT.finditer(line):
                tag, word, label, _, bare = match.groups()
                if tag:
                    self._tags.add(tag)
                elif label is not None:
                    self._labels.add(label)
                words += [text for text in (word, bare) if text]
            yield " ".join(words)

    @property
    def symbols(self) -> TreeSymbols:
        """The symbols so far, sorted."""
        return TreeSymbols(tuple(sorted(self._labels)), tuple(sorted(self._tags)))


@dataclass(frozen=True)
class TreePieces:
    """The ids of the pieces of `symbols`, from `first` on."""

    symbols: TreeSymbols
    first: int
    unknown: int  # the id of a label or a tag without a piece, and of a word without pieces

    @property
    def close(self) -> int:
        return self.first + len(self.symbols.labels)

    @property
    def last(self) -> int:
        return self.close + len(self.symbols.tags)

    @property
    def opening(self) -> range:
        """The ids that open a bracket with a label."""
        return range(self.first, self.close)

    @property
    def tags(self) -> range:
        """The ids of the tags."""
        return range(self.close + 1, self.last + 1)

    @cached_property
    def _ids(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        return (
            dict(zip(self.symbols.labels, self.opening, strict=True)),
            dict(zip(self.symbols.tags, self.tags, strict=True)),
        )

    def words(self, text: str, encode: Encode) -> list[Ids]:
        """Return the pieces of each word of a source `text` as they are in a tree, one or more.

        Words of control characters alone are left out.
        """
        words = [word for word in map(escape, text.split()) if word]
        return [ids or [self.unknown] for ids in encode(words)]

    def encode(self, lines: Sequence[str], encode: Encode) -> list[Ids]:
        """Return the ids of the tree in each of `lines`, whose words `encode` turns into ids.

        In text that is no tree, words without a tag stay where they are.
        """
        labels, tags = self._ids
        events = [[match.groups() for match in EVENT.finditer(line)] for line in lines]
        words = {
            text: i for i, text in enumerate(dict.fromkeys(w or b or "" for row in events for _, w, _, _, b in row))
        }
        encoded = [ids or [self.unknown] for ids in encode(list(words))]
        rows: list[Ids] = []
        for row in events:
            ids: Ids = []
            between: Ids = []  # what lies between the word before and the next one
            for tag, word, label, close, bare in row:
                if tag:
                    ids += [*encoded[words[word]], *between, tags.get(tag, self.unknown)]
                    between = []
                elif bare:
                    between += encoded[words[bare]]
                else:
                    between.append(self.close if close else labels.get(label, self.unknown))
            rows.append(ids + between)
        return rows

    def decode(self, rows: Sequence[Sequence[int]], decode: Decode) -> list[str]:
        """Return the text of each row of ids, whose words `decode` turns into text: a tree, if the ids are of one."""
        parts = [self._parts(row) for row in rows]
        texts = iter(decode([part for row in parts for part in row if isinstance(part, list)]))
        return [self._text(next(texts) if isinstance(part, list) else part for part in row) for row in parts]

    def _parts(self, row: Sequence[int]) -> list[int | Ids]:
        """Return the ids of brackets and tags, and in lists those of the words between them."""
        parts: list[int | Ids] = []
        for index in row:
            if self.first <= index <= self.last:
                parts.append(index)
            elif parts and isinstance(last := parts[-1], list):
                last.append(index)
            else:
                parts.append([index])
        return parts

    def _text(self, parts: Iterable[int | str]) -> str:
        text = word = ""
        for part in parts:
            if isinstance(part, str):
                spelled = escape(part.strip())  # the unknown piece is written with spaces around it
                word = f" {spelled}" if spelled else ""
            elif part == self.close:
                text += ")"
            elif part in self.opening:
                text += f" ({self.symbols.labels[part - self.first]}"
            else:
                text += f" ({self.symbols.tags[part - self.close - 1]}{word})"
                word = ""
        return (text + word).removeprefix(" ")
