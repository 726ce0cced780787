"""Filters of the training pairs, each optional and each counted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field

from nmt.config import CleaningConfig

SAMPLES = 3
"""Dropped pairs kept as examples, for each filter."""
SAMPLE_CHARACTERS = 200
"""Length at which a side of such an example is cut."""

Filter = Callable[[str, str], bool]
"""True where the pair (source, target) is to be dropped."""


@dataclass
class Funnel:
    """How many pairs went in, how many came out, and which filter took the rest."""

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Count of each enabled filter, in order, zeros included."""
    samples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """The first few pairs that each filter dropped, long ones cut."""

    def drop(self, name: str, source: str, target: str) -> None:
        """Count a pair that filter `name` dropped."""
        self.dropped[name] = self.dropped.get(name, 0) + 1
        samples = self.samples.setdefault(name, [])
        if len(samples) < SAMPLES:
            samples.append((source[:SAMPLE_CHARACTERS], target[:SAMPLE_CHARACTERS]))


def pair_key(source: str, target: str) -> int:
    """Name a pair by 64 bits, the same in every process; white space around a side does not count."""
    # A line holds no "\n", so the joined text names the pair.
    text = f"{source.strip()}\n{target.strip()}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")


def is_blank(source: str, target: str) -> bool:
    """Say whether a side holds white space only."""
    return not source.strip() or not target.strip()


def is_copy(source: str, target: str) -> bool:
    """Say whether the target is the source, untranslated."""
    return source.strip() == target.strip()


def is_longer_than(characters: int) -> Filter:
    """Drop pairs with a side of more than so many characters."""
    return lambda source, target: max(len(source), len(target)) > characters


def is_lopsided(ratio: float, ratio_from: int) -> Filter:
    """Drop pairs with one side over `ratio` times as long as the other, if it has `ratio_from` characters."""

    def lopsided(source: str, target: str) -> bool:
        shorter, longer = sorted((len(source.strip()), len(target.strip())))
        return longer >= ratio_from and longer > ratio * shorter

    return lopsided


def stood_before() -> Filter:
    """Drop pairs seen earlier; a 64-bit hash of each pair is remembered (some 80 bytes in a set), not its text."""
    seen: set[int] = set()

    def duplicate(source: str, target: str) -> bool:
        before = len(seen)
        seen.add(pair_key(source, target))
        return len(seen) == before

    return duplicate


def stands_in(held_out: Set[int]) -> Filter:
    """Drop pairs whose key is among `held_out`."""
    return lambda source, target: pair_key(source, target) in held_out


def filters(config: CleaningConfig, held_out: Set[int]) -> dict[str, Filter]:
    """Return the enabled filters by name, in the order of the recipe; a name is its field's without `drop_`."""
    chosen: dict[str, Filter] = {}
    if config.drop_empty:
        chosen["empty"] = is_blank
    if config.max_characters is not None:
        chosen["max_characters"] = is_longer_than(config.max_characters)
    if config.max_ratio is not None:
        chosen["max_ratio"] = is_lopsided(config.max_ratio, config.ratio_from)
    if config.drop_copies:
        chosen["copies"] = is_copy
    if config.drop_duplicates:
        chosen["duplicates"] = stood_before()
    if config.drop_leaked:
        chosen["leaked"] = stands_in(held_out)
    return chosen


def clean(
    pairs: Iterable[tuple[str, str]], config: CleaningConfig, *, held_out: Set[int], funnel: Funnel
) -> Iterator[tuple[str, str]]:
    """Yield the pairs that pass every filter, unchanged, and count the others in `funnel`.

    `held_out` holds the `pair_key` of each pair of dev and test.
    """
    chosen = filters(config, held_out)
    funnel.dropped |= dict.fromkeys(chosen, 0)
    return _clean(pairs, chosen, funnel)


def _clean(pairs: Iterable[tuple[str, str]], chosen: dict[str, Filter], funnel: Funnel) -> Iterator[tuple[str, str]]:
    for source, target in pairs:
        funnel.read += 1
        for name, drops in chosen.items():
            if drops(source, target):
                funnel.drop(name, source, target)
                break
        else:
            funnel.kept += 1
            yield source, target
