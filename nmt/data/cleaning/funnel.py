"""The funnel: counts and samples of what cleaning dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nmt import console
from nmt.data.pairs import Pair

SAMPLES = 3
"""Dropped pairs kept as examples, for each filter."""


SAMPLE_CHARACTERS = 200
"""Length at which a side of such an example is cut."""


@dataclass
class Funnel:
    """How many pairs went in, how many came out, and which filter took the rest."""

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Count of each enabled filter, in order, zeros included."""
    samples: dict[str, list[Pair]] = field(default_factory=dict)
    """The first few pairs that each filter dropped, long ones cut."""
    mended: dict[str, int] = field(default_factory=dict)
    """Sides that each enabled mend changed, in order, zeros included; of all pairs read."""

    def drop(self, name: str, source: str, target: str) -> None:
        """Count a pair that filter `name` dropped."""
        self.dropped[name] = self.dropped.get(name, 0) + 1
        samples = self.samples.setdefault(name, [])
        if len(samples) < SAMPLES:
            samples.append((source[:SAMPLE_CHARACTERS], target[:SAMPLE_CHARACTERS]))

    def add(self, other: Funnel) -> None:
        """Count what `other` counted of the pairs that follow."""
        self.read += other.read
        self.kept += other.kept
        for counts, others in ((self.dropped, other.dropped), (self.mended, other.mended)):
            for name, count in others.items():
                counts[name] = counts.get(name, 0) + count
        for name, pairs in other.samples.items():
            self.samples[name] = [*self.samples.get(name, []), *pairs][:SAMPLES]

    def as_json(self) -> dict[str, Any]:
        """Return the counts, as they stand in a manifest; the samples are not among them."""
        return {"read": self.read, "kept": self.kept, "mended": self.mended, "dropped": self.dropped}


def numbers(counts: Mapping[str, int]) -> str:
    """List what was counted, but for what is 0."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def show_funnel(stage: str, counts: dict[str, Any]) -> None:
    """Say what was mended and what each filter dropped, and where there are several corpora, of which; with -v, show
    examples."""
    funnels = {"": counts["funnel"]}
    if len(counts["corpora"]) > 1:
        all_of = {f" of {name}": found["funnel"] for name, found in counts["corpora"].items()}
        funnels |= {of: funnel for of, funnel in all_of.items() if funnel["kept"] < funnel["read"] or stage == "text"}
    for of, funnel in funnels.items():
        dropped, mended = (numbers(funnel[key]) for key in ("dropped", "mended"))
        console.log(
            f"{stage}: kept {funnel['kept']:,} of {funnel['read']:,} training pairs{of}; dropped: {dropped or 'none'}"
            + (f"; mended: {mended}" if mended else "")
        )
        if not funnel["kept"]:
            console.warn(f"no training pair is kept{of}")
    for name, pairs in counts["samples"].items():
        for source, target in pairs:
            console.detail(f"  {name}: {source[:100]!r} / {target[:100]!r}")
