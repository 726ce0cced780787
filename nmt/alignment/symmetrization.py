"""One alignment of two: the source words of each target word, and the target words of each source word."""

from collections.abc import Collection
from typing import Literal, get_args

from nmt.alignment.words import Link

Symmetrization = Literal["grow-diag-final-and", "intersection", "union"]
SYMMETRIZATIONS: tuple[Symmetrization, ...] = get_args(Symmetrization)
NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def symmetrize(forward: Collection[Link], backward: Collection[Link], method: Symmetrization) -> list[Link]:
    """Return the links of both alignments joined, sorted.

    `grow-diag-final-and` (Koehn et al. 2005) begins with the links of both, adds links of one that are neighbours of
    links and link a word that has none, and at last links of two words that both have none.
    """
    both = set(forward) & set(backward)
    if method == "intersection":
        return sorted(both)
    if method == "union":
        return sorted(set(forward) | set(backward))
    return _grow(both, forward, backward)


def _grow(links: set[Link], forward: Collection[Link], backward: Collection[Link]) -> list[Link]:
    sources, targets = {i for i, _ in links}, {j for _, j in links}
    waiting = sorted((set(forward) | set(backward)) - links)
    has_grown = True
    while has_grown:
        has_grown = False
        for i, j in waiting:
            is_new = i not in sources or j not in targets
            if is_new and (i, j) not in links and any((i + di, j + dj) in links for di, dj in NEIGHBOURS):
                links.add((i, j))
                sources.add(i)
                targets.add(j)
                has_grown = True
    for one in (forward, backward):
        for i, j in sorted(one):
            if i not in sources and j not in targets:
                links.add((i, j))
                sources.add(i)
                targets.add(j)
    return sorted(links)
