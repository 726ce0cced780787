"""Read and write constituency trees in the brackets of the Penn Treebank (Marcus et al. 1993), tags included.

A tree is text of one line: `(S (NP (DT the) (NN cat)) (VP (VBD sat)) (. .))`. Each word stands alone in a bracket,
under its tag; every other bracket is a constituent. Nothing here recurses: a tree may be as deep as a file spells it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from nmt.errors import DataError

ROOTS = frozenset({"", "ROOT", "S1", "TOP"})
"""Labels of the outermost bracket of a treebank's trees, which says nothing of the sentence."""
TOP = "TOP"
"""Label of the outermost bracket that stays: around several constituents, or around a word alone."""
EMPTY = "-NONE-"
"""Tag of the empty elements: traces, and what is understood."""
_TOKEN = re.compile(r"\(([^\s()]*)|\)|[^\s()]+")
ESCAPES = {"(": "-LRB-", ")": "-RRB-"}
"""The spelling of brackets in the words of a tree (Marcus et al. 1993)."""
_CONTROL = re.compile("[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
_SHOWN = 20  # characters of a text that a message shows


class Span(NamedTuple):
    """A constituent by its label and its words, from the word `start` up to the word `end`, not included."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, eq=False, repr=False)
class Tree:
    """A constituent with its children, or a tag with its word."""

    label: str
    children: tuple["Tree", ...] = ()
    word: str | None = None

    def __post_init__(self) -> None:
        if (self.word is None) != bool(self.children):
            raise ValueError(f"{self.label}: a tree has children or a word")

    def __str__(self) -> str:
        """Return the tree in one line, as `read_tree` reads it."""
        parts = []
        for opens, node in self.walk():
            parts.append(f"({node.label} {node.word})" if node.word is not None else f"({node.label}" if opens else ")")
        return " ".join(parts).replace(" )", ")")

    def __repr__(self) -> str:
        return f"read_tree({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def walk(self) -> Iterator[tuple[bool, "Tree"]]:
        """Yield each constituent where it opens, with True, and where it closes, with False, and each tag once."""
        pending = [(True, self)]
        while pending:
            opens, node = pending.pop()
            yield opens, node
            if opens and node.children:
                pending.append((False, node))
                pending += [(True, child) for child in reversed(node.children)]

    def preterminals(self) -> list[tuple[str, str]]:
        """Return the tag and the word of each word."""
        return [(node.label, node.word) for _, node in self.walk() if node.word is not None]

    def words(self) -> list[str]:
        return [word for _, word in self.preterminals()]

    def spans(self) -> list[Span]:
        """Return the constituents in the order in which they open, tags not included."""
        spans: list[Span] = []
        opened: list[int] = []
        words = 0
        for opens, node in self.walk():
            if node.word is not None:
                words += 1
            elif opens:
                opened.append(len(spans))
                spans.append(Span(node.label, words, words))
            else:
                index = opened.pop()
                spans[index] = spans[index]._replace(end=words)
        return spans

    def simplified(self, found: Counter[str] | None = None) -> "Tree | None":
        """Return the tree as parsers are trained and scored on it; None where no word is left.

        Labels of constituents lose function tags and indices (NP-SBJ-1 and NP=2 are NP); tags of words stay. Empty
        elements go, with all that holds nothing else. So does the outermost bracket, if it is one of `ROOTS` around a
        single constituent; around anything else it becomes `TOP`. A constituent may be left alone in another of its
        label, NP in NP, and stays. `found` counts, by name, what was taken off.
        """
        found = Counter() if found is None else found
        opened: list[list[Tree]] = [[]]
        for opens, node in self.walk():
            if node.word is not None:
                if node.label == EMPTY:
                    found["empty elements"] += 1
                else:
                    opened[-1].append(node)
            elif opens:
                opened.append([])
            elif children := opened.pop():
                label = plain_label(node.label)
                if label != node.label:
                    found["function tags"] += 1
                opened[-1].append(Tree(label, tuple(children)))
        if not opened[0]:
            return None
        [tree] = opened[0]
        while tree.label in ROOTS and len(tree.children) == 1 and tree.children[0].children:
            found["outermost brackets"] += 1
            tree = tree.children[0]
        if tree.word is not None:
            return Tree(TOP, (tree,))
        return Tree(TOP, tree.children) if tree.label in ROOTS else tree


def escape(word: str) -> str:
    """Return `word` as it stands in a tree: brackets by their names, and no control characters.

    >>> escape("f(x)")
    'f-LRB-x-RRB-'
    """
    return re.sub(r"[()]", lambda bracket: ESCAPES[bracket[0]], _CONTROL.sub("", word))


def unescape(word: str) -> str:
    """Return the word that stands in a tree as `word`.

    >>> unescape("-LRB-")
    '('
    """
    return re.sub("-[LR]RB-", lambda name: "(" if name[0] == ESCAPES["("] else ")", word)


def plain_label(label: str) -> str:
    """Return the label of a constituent without function tags and indices.

    >>> plain_label("NP-SBJ-1"), plain_label("PP-LOC=2"), plain_label("-LRB-")
    ('NP', 'PP', '-LRB-')
    """
    return label[:1] + re.split("[-=]", label[1:], maxsplit=1)[0] if label[:1] not in ("-", "=") else label


@dataclass
class _Open:
    """A bracket that is not closed yet."""

    label: str
    at: int  # its first character
    children: list[Tree] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def close(self) -> Tree:
        """Return the tree. Raises DataError where it is none."""
        if self.children and self.words:
            raise DataError(f"{_quoted(self.words[0])} has no tag: it stands beside brackets, in {self}")
        if len(self.words) > 1:
            raise DataError(f"{len(self.words)} words under one tag, in {self}")
        if not (self.children or self.words):
            raise DataError(f"nothing in {self}")
        if self.words and not self.label:
            raise DataError(f"{_quoted(self.words[0])} has no tag, in {self}")
        return Tree(self.label, tuple(self.children), self.words[0] if self.words else None)

    def __str__(self) -> str:
        return f"{_quoted('(' + self.label)} at character {self.at + 1}"


def read_tree(text: str) -> Tree:
    """Return the tree that `text` spells. Raises DataError, which says what is wrong and where, if it is none."""
    trees = read_trees(text)
    if not trees:
        raise DataError("no bracket in it")
    if len(trees) > 1:
        raise DataError(f"{len(trees)} trees, where one should be")
    return trees[0]


def read_trees(text: str) -> list[Tree]:
    """Return the trees that `text` spells, one after the other. Raises DataError where a bracket is wrong."""
    if control := _CONTROL.search(text):
        raise DataError(f"a control character, U+{ord(control[0]):04X}, at character {control.start() + 1}")
    opened, trees = list[_Open](), list[Tree]()
    for token in _TOKEN.finditer(text):
        at = token.start()
        if token[1] is not None:
            if opened and not token[1]:
                raise DataError(f"a bracket without a label at character {at + 1}")
            opened.append(_Open(token[1], at))
        elif not opened:
            what = "it closes more often than it opens" if token[0] == ")" else f"{_quoted(token[0])} is in no bracket"
            raise DataError(f"{what}, at character {at + 1}")
        elif token[0] == ")":
            tree = opened.pop().close()
            (opened[-1].children if opened else trees).append(tree)
        else:
            opened[-1].words.append(token[0])
    if opened:
        raise DataError(f"it does not close: {len(opened)} open at its end, the last is {opened[-1]}")
    return trees


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
