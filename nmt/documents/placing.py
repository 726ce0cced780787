"""Put the tags of a unit into its translation: by the alignment of words, or by placeholders that the model kept.

Every tag gets a part of the translation within its parent's part and beside those of its siblings, so that the result
is balanced whatever the alignment.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from nmt.data.placeholders import SPELLED, placeholder
from nmt.documents.units import Kind, Node, Unit

WORD = re.compile(r"\S+")
MARKS, TRAILING = re.compile(r"[^\w\s]*"), re.compile(r"[^\w\s]*$")
"""Punctuation at the edges of a word."""
ALIKE = 0.6
"""Share of letters, as difflib counts it, from which text is the copy of an atom."""
Interval = tuple[int, int]


@dataclass(frozen=True)
class Placed:
    """A translated unit."""

    source: str  # in the document's format
    unplaced: int = 0  # tags around text whose place could not be found: they stand empty, or at the end
    replaced: int = 0  # words of the translation in whose place text stands that is kept


def by_alignment(unit: Unit, translation: str, pairs: Sequence[tuple[int, int]]) -> Placed:
    """Return `translation` with the tags of `unit`, given the aligned pairs of a source word and a target word.

    A span takes the run of words that holds most of its own; a point stands where the fewest aligned words cross it; an
    atom replaces the words that are its translation.
    """
    line, nodes = unit.layout()
    return _Alignment(line, nodes, translation, pairs).place(unit)


class _Alignment:
    """The places of nodes in a translation by aligned words."""

    def __init__(self, line: str, nodes: list[Node], translation: str, pairs: Sequence[tuple[int, int]]) -> None:
        self.line, self.nodes, self.translation = line, nodes, translation
        self.source_words = [match.span() for match in WORD.finditer(line)]
        self.target_words = [match.span() for match in WORD.finditer(translation)]
        self.sources: list[set[int]] = [set() for _ in self.target_words]
        """Source words of each target word."""
        for source, target in pairs:
            if source < len(self.source_words) and target < len(self.target_words):
                self.sources[target].add(source)
        self.places: list[Interval] = [(0, 0)] * len(nodes)
        self.replaced = 0
        self.owners = [-1] * len(translation)  # of each character: the innermost node placed around it

    def place(self, unit: Unit) -> Placed:
        """Place the nodes level by level, and write the unit."""
        children = children_of(self.nodes)
        unplaced = 0
        waiting = [-1]
        while waiting:
            parent = waiting.pop()
            within = self.places[parent] if parent >= 0 else (0, len(self.translation))
            unplaced += self._place_siblings(children.get(parent, []), within)
            waiting += [index for index in children.get(parent, []) if index in children]
        return Placed(write(unit, self.nodes, self.places, self.translation), unplaced, self.replaced)

    def _place_siblings(self, siblings: list[int], within: Interval) -> int:
        """Set the places of `siblings`, those of most aligned words first; return the number of those without any."""
        wanted = {index: self._words_of(self.nodes[index]) for index in siblings}
        support = {index: sum(not words.isdisjoint(wanted[index]) for words in self.sources) for index in siblings}
        later = []
        for index in sorted(siblings, key=lambda index: -support[index]):
            node = self.nodes[index]
            has_text = self.line[node.start : node.end].strip()
            found = self._find(node, wanted[index], within) if has_text else None
            if found is None:
                later.append(index)
                continue
            self.places[index] = found
            self.owners[found[0] : found[1]] = [index] * (found[1] - found[0])
        for index in later:
            at = self._point(self.nodes[index], within)
            self.places[index] = at, at
        return sum(self.nodes[index].start < self.nodes[index].end for index in later)

    def _words_of(self, node: Node) -> set[int]:
        """Return the source words that the node holds, or most of whose letters it holds."""
        found = set()
        for index, (start, end) in enumerate(self.source_words):
            if start < node.end and node.start < end:
                held = _letters(self.line[max(start, node.start) : min(end, node.end)])
                if held * 2 > _letters(self.line[start:end]) or (node.start <= start and end <= node.end):
                    found.add(index)
        return found

    def _find(self, node: Node, words: set[int], within: Interval) -> Interval | None:
        """Return the characters of a span or an atom in the translation, None where it has none."""
        own = self.line[node.start : node.end].strip()
        if (node.kind is Kind.ATOM or not words) and (copied := self._copied(node, own, words)):
            return copied
        run = self._run(node, words, within)
        if run is None:
            return None
        start = max(self.target_words[run[0]][0], within[0])
        end = min(self.target_words[run[1]][1], within[1])
        # Punctuation that the source does not have within the tag stays outside.
        text = self.line[node.start : node.end]
        before = "" if text[0].isspace() else self.line[: node.start].rpartition(" ")[2]
        after = "" if text[-1].isspace() else self.line[node.end :].partition(" ")[0]
        held = own if node.kind is Kind.ATOM else ""  # the marks of an atom are its own, wherever it has them
        while start < end and _is_mark(self.translation[start], own[0], before, held):
            start += 1
        while start < end and _is_mark(self.translation[end - 1], own[-1], after, held):
            end -= 1
        if node.kind is Kind.ATOM:
            is_copy = _is_like(own, self.translation[start:end])
            is_foreign = not is_copy and (run[1] - run[0] >= len(words) or self._is_beside_lost(words))
            if is_foreign or _letters(before + after):  # other text than its own would be lost
                end = start
            self.replaced += 0 if is_copy else len(self.translation[start:end].split())
        return (start, end) if start == end or self._is_free(node, start, end) else None

    def _is_beside_lost(self, words: set[int]) -> bool:
        """Whether a word beside `words` of the source is aligned to no word: then theirs may be its translation."""
        beside = {min(words) - 1, max(words) + 1} & {*range(len(self.source_words))}
        return not beside <= set[int]().union(*self.sources)

    def _copied(self, node: Node, own: str, words: set[int]) -> Interval | None:
        """Return where the text of an atom, or of a part of a word as in H2O, was copied; an aligned place first."""
        held = words or {i for i, (start, end) in enumerate(self.source_words) if start <= node.start < end}
        aligned = [span for span, sources in zip(self.target_words, self.sources, strict=True) if sources & held]
        pattern = re.escape(own)
        if words:
            pattern = rf"(?<!\w){pattern}" if own[0].isalnum() else pattern
            pattern = rf"{pattern}(?!\w)" if own[-1].isalnum() else pattern
        found = [match.span() for match in re.finditer(pattern, self.translation, 0 if words else re.IGNORECASE)]
        free = [span for span in found if self._is_free(node, *span)]
        near = [span for span in free if any(start < span[1] and span[0] < end for start, end in aligned)]
        return next(iter(near or (free if words else [])), None)

    def _run(self, node: Node, words: set[int], within: Interval) -> tuple[int, int] | None:
        """Return the first and the last word of the run that has the most words aligned to `words`, less the others.

        A run for an atom, which it replaces, has no others, nor words that are aligned to others too.
        """
        best, best_score = None, 0
        start, score = -1, 0
        for index, (begin, end) in enumerate(self.target_words):
            sources = self.sources[index]
            is_own = not sources.isdisjoint(words) and (node.kind is not Kind.ATOM or sources <= words)
            is_barred = not self._is_free(node, max(begin, within[0]), min(end, within[1]))
            if is_barred or (node.kind is Kind.ATOM and not is_own):
                start, score = -1, 0
                continue
            if start < 0 and is_own:
                start = index
            score += (1 if is_own else -1) if start >= 0 else 0
            if start >= 0 and score < 0:
                start, score = -1, 0
            elif is_own and (score > best_score or (best is not None and score == best_score and best[0] == start)):
                best, best_score = (start, index), score
        return best

    def _is_free(self, node: Node, start: int, end: int) -> bool:
        """Whether there are characters from `start` to `end`, all in the node's parent and in none of its siblings."""
        return start < end and self.owners[start:end].count(node.parent) == end - start

    def _point(self, node: Node, within: Interval) -> int:
        """Return the place of a node without words: between the words beside it, or where the fewest would cross it."""
        position = sum(start < node.start for start, _ in self.source_words)
        earlier = [sum(source < position for source in words) for words in self.sources]
        crossings = sum(earlier)
        # One that stands at a word without a space goes with it.
        glued = position - 1 if not node.spaced[0] else position if not node.spaced[1] else None
        best, best_key = within[0], (True, True, len(self.target_words) * len(self.source_words), 0)
        for index in range(len(self.target_words) + 1):
            if index:
                crossings += len(self.sources[index - 1]) - 2 * earlier[index - 1]
            at = self._boundary(index, node)
            if not within[0] <= at <= within[1]:
                continue
            if within[0] < at < within[1] and self.owners[at - 1] == self.owners[at] != node.parent:
                continue  # in the middle of a sibling
            before_it = self.sources[index - 1] if index else set()
            behind_it = self.sources[index] if index < len(self.sources) else set()
            beside = (position - 1 in before_it) + (position in behind_it)
            is_between = beside == 2 or (position in before_it and position - 1 in behind_it)
            is_apart = glued is not None and glued not in (before_it if glued < position else behind_it)
            key = is_apart, not is_between, crossings, -beside
            if key < best_key:
                best, best_key = at, key
        return best

    def _boundary(self, index: int, node: Node) -> int:
        """Return the place of a point between the target words `index - 1` and `index`."""
        if index == 0:
            return 0
        start, end = self.target_words[index - 1]
        rest = self.line[node.end :].partition(" ")[0]
        if not node.spaced[0] and rest and MARKS.fullmatch(rest):  # before the full stop
            return end - len(_match(TRAILING, self.translation[start:end]))
        is_of_next = node.spaced[0] and not node.spaced[1] and index < len(self.target_words)
        return self.target_words[index][0] if is_of_next else end


def children_of(nodes: Sequence[Node]) -> dict[int, list[int]]:
    """Return the indices of the nodes by their parents."""
    children: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(index)
    return children


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _is_mark(letter: str, edge: str, outside: str, held: str) -> bool:
    """Whether a letter at the edge of a tag is punctuation that its text, which has `edge` there, has `outside`.

    The text of an atom is `held`: what is not in it stands outside.
    """
    if letter.isspace() or not MARKS.fullmatch(letter):
        return False
    return letter in outside or (letter not in held if held else edge.isalnum())


def _is_like(text: str, copy: str) -> bool:
    """Whether most letters of `copy` are those of `text`, in order."""
    left, right = ("".join(filter(str.isalnum, side.casefold())) for side in (text, copy))
    return SequenceMatcher(None, left, right, autojunk=False).ratio() > ALIKE


def _match(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[0] if found else ""


def spell(unit: Unit) -> tuple[str, int]:
    """Return the line of a unit with a placeholder for each tag, and their number."""
    line, nodes = unit.layout()
    tags = sorted(_tags(nodes))
    text, last = "", 0
    for number, (at, end, _, index) in enumerate(tags):
        between = " " if nodes[index].kind is Kind.POINT and all(nodes[index].spaced) else ""
        text += f"{line[last:at]}{placeholder(number)}{between}"
        last = max(last, end)
    return text + line[last:], len(tags)


def _tags(nodes: Sequence[Node]) -> Iterator[tuple[int, int, int, int]]:
    """Yield each tag: the part of the line that it replaces, its rank at one place, and the index of its node.

    The rank puts ends before starts, inner ends before outer ones; it is negative for an end.
    """
    for index, node in enumerate(nodes):
        yield node.start, node.end if node.kind is Kind.ATOM else node.start, index + 1, index
        if node.kind is Kind.OPEN:
            yield node.end, node.end, -index - 1, index


def by_placeholders(unit: Unit, translation: str) -> Placed:
    """Return `translation`, which holds the placeholders of `spell`, with the tags of `unit` in their places."""
    _, nodes = unit.layout()
    tags = sorted(_tags(nodes))
    text, last = "", 0
    places: dict[tuple[int, bool], int] = {}  # by node and whether it is an end: the first place
    for match in SPELLED.finditer(translation):
        text, last = text + translation[last : match.start()], match.end()
        number = int(match[0][1:-1])
        if number < len(tags):
            places.setdefault((tags[number][3], tags[number][2] < 0), len(text))
        else:
            text += match[0]
    text += translation[last:]
    children, intervals, unplaced = children_of(nodes), [(0, len(text))] * len(nodes), 0
    waiting = [-1]
    while waiting:
        parent = waiting.pop()
        low, high = intervals[parent] if parent >= 0 else (0, len(text))
        siblings = children.get(parent, [])
        for index in sorted(siblings, key=lambda index: places.get((index, False), len(text))):
            start, end = places.get((index, False)), places.get((index, nodes[index].kind is Kind.OPEN))
            unplaced += start is None or end is None or not low <= start <= end <= high
            low = min(max(high if start is None else start, low), high)
            end = low if end is None else min(max(end, low), high)
            intervals[index] = low, end
            low = end  # the next sibling stands behind this one
        waiting += [index for index in siblings if index in children]
    return Placed(write(unit, nodes, intervals, text, spaces=False), unplaced)


def write(
    unit: Unit, nodes: Sequence[Node], places: Sequence[Interval], translation: str, *, spaces: bool = True
) -> str:
    """Return `translation`, escaped, with the source of `nodes` at their `places`, which are nested.

    An atom takes the place of its characters. With `spaces` a point between spaces stands between spaces again.
    """
    children = children_of(nodes)
    for siblings in children.values():
        siblings.sort(key=lambda index: (*places[index], index))
    out: list[str] = []
    at = 0
    stack: list[tuple[int, Iterator[int]]] = [(-1, iter(children.get(-1, [])))]
    while stack:
        parent, siblings_left = stack[-1]
        index = next(siblings_left, None)
        if index is None:
            stack.pop()
            end = places[parent][1] if parent >= 0 else len(translation)
            out += [unit.escape(translation[at:end]), nodes[parent].close if parent >= 0 else ""]
            at = end
            continue
        node, (start, end) = nodes[index], places[index]
        out.append(unit.escape(translation[at:start]))
        at = start
        if node.is_optional and start == end and index not in children:
            continue
        if node.kind is Kind.OPEN:
            out.append(node.raw)
            stack.append((index, iter(children.get(index, []))))
            continue
        has_space = spaces and start == end
        before = has_space and node.spaced[0] and translation[start - 1 : start].strip()
        after = has_space and node.spaced[1] and translation[start : start + 1].strip()
        out.append(f"{' ' * bool(before)}{node.raw}{' ' * bool(after)}")
        at = end
    return "".join(out)
