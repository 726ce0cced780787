"""Read bracketed trees as pairs: the words of a sentence, and its simplified tree."""

from collections import Counter
from collections.abc import Iterable, Iterator

from nmt.data.pairs import Pair
from nmt.errors import DataError
from nmt.tasks.trees import read_tree, unescape

FORM = "a tree is brackets with tags, (S (NP (DT the) (NN cat)) (VP (VBD sat))), whose further lines begin with spaces"


def read_trees(lines: Iterable[str], name: str, anomalies: Counter[str]) -> Iterator[Pair]:
    """Yield the words, with single spaces, and the tree of each sentence in the `lines` of the file `name`.

    Brackets among the words are those of the sentence, and spelled in the tree.

    Trees stand one a line, or over several lines of which all but the first begin with white space, as in the Penn
    Treebank's own files (.mrg). They are simplified as `Tree.simplified` says. `anomalies` counts what that takes off,
    blank lines, and trees that have no words. Raises DataError, with the line on which it begins, for what is no tree.
    """
    for number, text in _whole_trees(lines, anomalies):
        try:
            tree = read_tree(text).simplified(anomalies)
        except DataError as error:
            raise DataError(f"{name}:{number}: no tree: {error}", hint=FORM) from None
        if tree is None:
            anomalies["trees without words"] += 1
        else:
            yield " ".join(map(unescape, tree.words())), str(tree)


def _whole_trees(lines: Iterable[str], anomalies: Counter[str]) -> Iterator[tuple[int, str]]:
    """Yield the text of each tree with the number of its first line."""
    first, parts, depth = 0, list[str](), 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            anomalies["blank lines"] += 1
            continue
        if parts and not (depth > 0 and line[0].isspace()):
            yield first, " ".join(parts)
            parts, depth = [], 0
        first = number if not parts else first
        parts.append(line)
        depth += line.count("(") - line.count(")")
    if parts:
        yield first, " ".join(parts)
