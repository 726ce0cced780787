"""Word alignment by a hidden Markov model of each direction, learned from the pairs themselves (Vogel et al. 1996).

In a direction each word is the translation of a word of the other side, or of none, and the places of successive words
on the other side are near each other. Both directions are trained together: a link counts by the product of its
posteriors (Liang et al. 2006). Sums are made in one order by one process, so the same pairs have the same alignments.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nmt import console
from nmt.alignment.symmetrization import Symmetrization, symmetrize
from nmt.alignment.words import Link

LEXICAL_ITERATIONS, ITERATIONS = 5, 5
"""Iterations of expectation maximization where all places are equally likely (IBM model 1), and then with jumps."""
EMPTY = 0.1  # probability that a word is the translation of none
FARTHEST = 8  # jumps of as many words or more are equally likely
LEAST = 1e-7  # the smallest probability of a translation, that of pairs that were never seen
LONGEST = 200  # words of the longest side that is aligned
CELLS = 1 << 18  # pairs of words that are computed at once
MERGED = 1 << 22  # pairs of words that are sorted at once
STEP = 4  # lengths are padded to a multiple
JUMPS = 2 * FARTHEST + 1
Words = Sequence[str]
Ids = NDArray[np.int32]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _Group:
    """Pairs of lines of similar lengths: B sources of at most S words, and targets of at most T."""

    rows: Integers  # (B,), numbers of the pairs
    sources: Ids  # (B, S), padded by -1
    targets: Ids  # (B, T), padded by -1


def _groups(sources: Sequence[Ids], targets: Sequence[Ids]) -> Iterator[_Group]:
    """Yield the pairs whose sides have 1 to LONGEST words, by lengths, at most CELLS pairs of words in a group."""
    sizes = [(len(source), len(target)) for source, target in zip(sources, targets, strict=True)]
    lengths = np.array(sizes, np.int64).reshape(-1, 2)
    padded = -(-lengths // STEP) * STEP
    order = np.lexsort((padded[:, 1], padded[:, 0]))
    order = order[(lengths[order].min(1) > 0) & (lengths[order].max(1) <= LONGEST)]
    shapes = padded[order]
    bounds = np.flatnonzero(np.diff(shapes, axis=0, prepend=-1).any(1)).tolist()
    for start, end in pairwise([*bounds, len(order)]):
        step = max(CELLS // int(shapes[start].prod()), 1)
        for begin in range(start, end, step):
            rows = order[begin : min(begin + step, end)]
            yield _Group(rows, _padded(sources, rows, shapes[start, 0]), _padded(targets, rows, shapes[start, 1]))


def _padded(lines: Sequence[Ids], rows: Integers, size: int) -> Ids:
    result = np.full((len(rows), size), -1, np.int32)
    for index, row in enumerate(rows.tolist()):
        result[index, : len(lines[row])] = lines[row]
    return result


class _Direction:
    """A model of the words of one side, given those of the other.

    Attributes: `words` is the probability of each pair of words that occurs, then that of others, and 0 of padding;
    `empty` that of each word, and of unknown ones, as the translation of none; `jumps` are the weights of jumps of
    -FARTHEST to FARTHEST words.
    """

    def __init__(self, pairs: int, size: int) -> None:
        self.words = np.full(pairs + 2, 1 / max(size, 1), np.float32)
        self.words[-2:] = LEAST, 0
        self.empty = np.full(size + 1, 1 / max(size, 1), np.float32)
        self.jumps = np.ones(JUMPS, np.float32)
        self.is_lexical = True  # whether the jumps are equally likely

    def posteriors(self, emissions: Floats, given: Ids, words: Ids, moves: NDArray[np.float64] | None = None) -> Floats:
        """Return the probabilities (T, B, S) of each word's place on the other side; those of none are the rest.

        `emissions` (T, B, S) are the probabilities of `words` (B, T) as translations of those `given` (B, S). The
        expected jumps, and how many would have been possible, are added to `moves` (2, JUMPS).
        """
        known = words >= 0
        # A word of the padding is one of none, and leaves the place.
        none = np.where(known, self.empty[words] * np.float32(EMPTY), np.float32(1)).T  # (T, B)
        lengths = (given >= 0).sum(1)
        if self.is_lexical:
            weighed = emissions * (np.float32(1 - EMPTY) / lengths)[:, None].astype(np.float32)
            return weighed / (weighed.sum(2) + none)[:, :, None]
        size = given.shape[1]
        index = np.arange(size)[None, :] - np.arange(-1, size)[:, None]
        index = index.clip(-FARTHEST, FARTHEST) + FARTHEST  # (S + 1, S), from the place before the first, too
        weights = self.jumps[index]
        # The sum of the weights of the places of a line, after each place.
        totals = weights.cumsum(1)[:, lengths - 1].T  # (B, S + 1)
        posteriors, jumped = _forward_backward(emissions, none, weights, np.float32(1 - EMPTY) / totals)
        if moves is not None:
            moves[0] += np.bincount(index.ravel(), jumped.ravel(), JUMPS)
            possible = np.broadcast_to(jumped.sum(1, keepdims=True), jumped.shape)
            moves[1] += np.bincount(index.ravel(), possible.ravel(), JUMPS)
        return posteriors

    def improve(self, links: NDArray[np.float64], given: Integers, size: int, none: NDArray[np.float64]) -> None:
        """Set the probabilities by expected counts: of the pairs of words, which are `given` a word, and of none."""
        self.empty[-1] = LEAST
        totals = np.bincount(given, links, size)
        self.words[:-2] = np.maximum(links / np.maximum(totals, LEAST)[given], LEAST)
        self.empty[:-1] = np.maximum(none / max(none.sum(), LEAST), LEAST)


def _forward_backward(emissions: Floats, none: Floats, weights: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Return the posteriors (T, B, S) of the places, and the expected number of jumps (S + 1, S) between them.

    `emissions` is (T, B, S), `none` (T, B) the probability of each word as one of none, `weights` (S + 1, S) of the
    jumps, and `scale` (B, S + 1) makes them probabilities.
    """
    steps, batch, size = emissions.shape
    before = np.zeros((steps + 1, batch, size + 1), np.float32)  # the place of the last word that has one
    before[0, :, 0] = 1
    posteriors, sums = np.empty_like(emissions), np.empty_like(none)
    for step in range(steps):
        place, rest = posteriors[step], before[step + 1]
        np.matmul(before[step] * scale, weights, out=place)
        place *= emissions[step]
        np.multiply(before[step], none[step, :, None], out=rest)
        rest[:, 1:] += place
        sums[step] = rest.sum(1)
        rest /= sums[step, :, None]
        place /= sums[step, :, None]
    after = np.ones((batch, size + 1), np.float32)
    moves = np.zeros_like(weights)
    for step in reversed(range(steps)):
        posteriors[step] *= after[:, 1:]
        ahead = emissions[step] * after[:, 1:]
        ahead /= sums[step, :, None]
        moves += (before[step] * scale).T @ ahead
        after *= (none[step] / sums[step])[:, None]
        after += scale * (ahead @ weights.T)
    return posteriors, moves * weights


@dataclass(frozen=True)
class _Cells:
    """The pairs of words of a group."""

    group: _Group
    kinds: Integers  # the different ones: their keys, or their indices among those that the model knows
    index: Ids  # (B, S, T), which of them each is

    def among(self, known: Integers) -> Self:
        """Return the cells with indices in the sorted keys `known`, as `_Direction.words` has them."""
        places = np.searchsorted(known, self.kinds)
        if len(known):
            places[known[np.minimum(places, len(known) - 1)] != self.kinds] = len(known)
        return replace(self, kinds=np.where(self.kinds < 0, len(known) + 1, places))

    def emissions(self, direction: _Direction, axes: tuple[int, int, int]) -> Floats:
        return np.ascontiguousarray(direction.words[self.kinds][self.index].transpose(axes))


class Aligner:
    """A model of both directions, trained when it is made; the same pairs make the same one.

    Attributes: `pairs` is the number of pairs that it learned from.
    """

    def __init__(self, sources: Sequence[Words], targets: Sequence[Words]) -> None:
        """Learn from the words of pairs of lines. Pairs with an empty side, or one over LONGEST words, are left out."""
        self._numbers: tuple[dict[str, int], dict[str, int]] = {}, {}
        for numbers, lines in zip(self._numbers, (sources, targets), strict=True):
            for line in lines:
                for word in line:
                    numbers.setdefault(word, len(numbers))
        groups = list(_groups(*self._ids(sources, targets)))
        self.pairs = sum(len(group.rows) for group in groups)
        self._kinds, cells = self._find_kinds(groups)
        self._sizes = len(self._numbers[0]), len(self._numbers[1])
        self._directions = tuple(_Direction(len(self._kinds), size) for size in reversed(self._sizes))
        with console.Progress("alignment", LEXICAL_ITERATIONS + ITERATIONS, unit="iterations") as progress:
            for iteration in range(LEXICAL_ITERATIONS + ITERATIONS):
                self._improve(cells)
                for direction in self._directions:
                    direction.is_lexical = iteration + 1 < LEXICAL_ITERATIONS
                progress.update(iteration + 1)

    def _ids(self, sources: Iterable[Words], targets: Iterable[Words]) -> tuple[list[Ids], list[Ids]]:
        """Return the numbers of the words of each line; unknown words have the number behind the last."""

        def side(numbers: dict[str, int], lines: Iterable[Words]) -> list[Ids]:
            return [np.array([numbers.get(word, len(numbers)) for word in line], np.int32) for line in lines]

        return side(self._numbers[0], sources), side(self._numbers[1], targets)

    def _find_kinds(self, groups: Sequence[_Group]) -> tuple[Integers, list[_Cells]]:
        """Return the keys of all pairs of words that occur, sorted, and the cells of each group."""
        cells, known, waiting = [], np.zeros(0, np.int64), []
        for group in groups:
            cells.append(self._cells(group))
            waiting.append(cells[-1].kinds[cells[-1].kinds >= 0])
            if sum(map(len, waiting)) > max(len(known), MERGED):
                known, waiting = _distinct([known, *waiting]), []
        known = _distinct([known, *waiting])
        return known, [each.among(known) for each in cells]

    def _cells(self, group: _Group) -> _Cells:
        """Return the cells of a group, its kinds still the keys of pairs of words, -1 of padding."""
        keys = group.sources[:, :, None].astype(np.int64) * (len(self._numbers[1]) + 1) + group.targets[:, None, :]
        is_pair = (group.sources >= 0)[:, :, None] & (group.targets >= 0)[:, None, :]
        kinds, index = np.unique(np.where(is_pair, keys, -1), return_inverse=True)
        return _Cells(group, kinds, index.astype(np.int32).reshape(keys.shape))

    def _posteriors(self, cells: _Cells, moves: NDArray[np.float64] | None = None) -> tuple[Floats, Floats]:
        """Return the probabilities (B, S, T) of each target word's place, and of each source word's."""
        group, (forward, backward) = cells.group, self._directions
        one = forward.posteriors(
            cells.emissions(forward, (2, 0, 1)), group.sources, group.targets, None if moves is None else moves[0]
        )
        other = backward.posteriors(
            cells.emissions(backward, (1, 0, 2)), group.targets, group.sources, None if moves is None else moves[1]
        )
        return one.transpose(1, 2, 0), other.transpose(1, 0, 2)

    def _improve(self, groups: Sequence[_Cells]) -> None:
        """Do one iteration of expectation maximization."""
        links, moves = np.zeros(len(self._kinds) + 2), np.zeros((2, 2, JUMPS))
        none = [np.zeros(size) for size in reversed(self._sizes)]
        for cells in groups:
            one, other = self._posteriors(cells, moves)
            links[cells.kinds] += np.bincount(cells.index.ravel(), (one * other).ravel(), len(cells.kinds))
            for counts, words, rest in zip(
                none, (cells.group.targets, cells.group.sources), (1 - one.sum(1), 1 - other.sum(2)), strict=True
            ):
                is_word = words >= 0
                np.add.at(counts, words[is_word], rest[is_word].clip(0))
        given = np.divmod(self._kinds, len(self._numbers[1]) + 1)
        for direction, known, size, counts, (jumped, possible) in zip(
            self._directions, given, self._sizes, none, moves, strict=True
        ):
            direction.improve(links[:-2], known, size, counts)
            if not direction.is_lexical:
                direction.jumps[:] = (jumped + 1) / (possible + 1)

    def align(
        self, sources: Sequence[Words], targets: Sequence[Words], method: Symmetrization = "grow-diag-final-and"
    ) -> list[list[Link]]:
        """Return the links of each pair of lines, sorted; see `directions`."""
        return [symmetrize(*links, method) for links in self.directions(sources, targets)]

    def directions(self, sources: Sequence[Words], targets: Sequence[Words]) -> list[tuple[list[Link], list[Link]]]:
        """Return the links of each target word, and of each source word, of pairs it learned from, or of others.

        A word is linked to its most probable place, unless that it has none is more probable. Pairs with an empty side,
        or one over LONGEST words, have no links.
        """
        links: list[tuple[list[Link], list[Link]]] = [([], []) for _ in sources]
        for group in _groups(*self._ids(sources, targets)):
            one, other = self._posteriors(self._cells(group).among(self._kinds))
            forward, backward = _best(one, 1), _best(other, 2)
            for index, row in enumerate(group.rows.tolist()):
                links[row] = (
                    [(i, j) for j, i in enumerate(forward[index]) if i >= 0],
                    [(i, j) for i, j in enumerate(backward[index]) if j >= 0],
                )
        return links


def _distinct(parts: Sequence[Integers]) -> Integers:
    """Return the different numbers of `parts`, sorted; `np.unique`, which hashes them, takes minutes for some."""
    numbers = np.sort(np.concatenate(parts))
    return numbers[np.diff(numbers, prepend=-1) != 0]


def _best(posteriors: Floats, axis: int) -> list[list[int]]:
    """Return the most probable places along `axis`, -1 where none is more probable than no place."""
    has_place = posteriors.max(axis) > 1 - posteriors.sum(axis)
    result: list[list[int]] = np.where(has_place, posteriors.argmax(axis), -1).tolist()
    return result
