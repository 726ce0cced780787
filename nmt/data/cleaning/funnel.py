"""The funnel: counts of pairs read, dropped and kept, of the whole text and of each corpus, as manifests hold them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Self

from nmt import console
from nmt.config.data import DataConfig
from nmt.data.pairs import Pair
from nmt.files import JsonObject

SAMPLES = 3  # dropped pairs kept as examples, for each filter
SAMPLE_CHARACTERS = 200  # length at which a side of an example is cut


@dataclass
class Funnel:
    """Counts of cleaning: pairs read, dropped by each filter, and kept."""

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # by enabled filter, in their order, zeros included
    samples: dict[str, list[Pair]] = field(default_factory=dict)  # the first few pairs that each filter dropped, cut
    mended: dict[str, int] = field(default_factory=dict)  # sides changed by each fix, of all pairs read, zeros included

    def drop(self, name: str, source: str, target: str) -> None:
        """Count a pair that filter `name` dropped."""
        self.dropped[name] = self.dropped.get(name, 0) + 1
        samples = self.samples.setdefault(name, [])
        if len(samples) < SAMPLES:
            samples.append(cut((source, target)))

    def add(self, other: "Funnel") -> None:
        """Add the counts of `other`, whose pairs come later."""
        self.read += other.read
        self.kept += other.kept
        for counts, others in ((self.dropped, other.dropped), (self.mended, other.mended)):
            for name, count in others.items():
                counts[name] = counts.get(name, 0) + count
        for name, pairs in other.samples.items():
            self.samples[name] = [*self.samples.get(name, []), *pairs][:SAMPLES]

    def counts(self) -> JsonObject:
        return {key: value for key, value in asdict(self).items() if key != "samples"}


def cut(pair: Pair) -> Pair:
    return pair[0][:SAMPLE_CHARACTERS], pair[1][:SAMPLE_CHARACTERS]


@dataclass
class TextCounts:
    """Counts of the text stage."""

    funnel: Funnel  # of all training corpora
    funnels: dict[str, Funnel]  # by training corpus, without samples
    train: dict[str, int]  # pairs of each training corpus after cleaning and splitting
    anomalies: dict[str, dict[str, int]]  # irregularities in the files of each training corpus
    dev: int = 0
    test: dict[str, int] = field(default_factory=dict)
    held_out_anomalies: dict[str, dict[str, int]] = field(default_factory=dict)  # those of `dev` and each `test.NAME`
    split_off: int = 0  # pairs of dev and test that were split off the training text
    protected: int | None = None  # training pairs with placeholders; None without `data.protect`

    @property
    def pairs(self) -> int:
        return sum(self.train.values())

    def to_json(self) -> JsonObject:
        return {
            "funnel": self.funnel.counts(),
            "corpora": {
                name: {"pairs": pairs, "funnel": self.funnels[name].counts(), "odd": self.anomalies[name]}
                for name, pairs in self.train.items()
            },
            "pairs": {"train": self.pairs, "dev": self.dev, "test": self.test},
            "odd": self.held_out_anomalies,
            "split_off": self.split_off,
            **({} if self.protected is None else {"protected": self.protected}),
            "samples": self.funnel.samples,
        }

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read the counts of a manifest. Raises KeyError or TypeError where it is none of the text stage."""
        corpora = values["corpora"]
        return cls(
            Funnel(**values["funnel"], samples=values["samples"]),
            {name: Funnel(**corpus["funnel"]) for name, corpus in corpora.items()},
            train={name: corpus["pairs"] for name, corpus in corpora.items()},
            anomalies={name: corpus.get("odd", {}) for name, corpus in corpora.items()},
            dev=values["pairs"]["dev"],
            test=values["pairs"]["test"],
            held_out_anomalies=values.get("odd", {}),
            split_off=values.get("split_off", 0),
            protected=values.get("protected"),
        )


@dataclass
class EncodedCounts:
    """Pairs of a split or corpus, and their pieces by side."""

    pairs: int = 0
    source: int = 0
    target: int = 0
    source_unknown: int = 0
    target_unknown: int = 0

    def add(self, other: "EncodedCounts") -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass
class IdsCounts:
    """Counts of the stage that encodes the text."""

    funnel: Funnel = field(default_factory=Funnel)
    funnels: dict[str, Funnel] = field(default_factory=dict)  # by training corpus, no samples; empty in old manifests
    train: EncodedCounts = field(default_factory=EncodedCounts)
    dev: EncodedCounts = field(default_factory=EncodedCounts)
    corpora: dict[str, EncodedCounts] = field(default_factory=dict)  # by training corpus
    dev_cut: int = 0  # pairs of dev that were cut to the model's maximum length
    training_lines: dict[str, float] | None = None  # fields of `TrainingLines`; None in old manifests
    augmented: dict[str, dict[str, int]] = field(default_factory=dict)
    """Pairs added to the training text, by kind and training corpus."""

    def add_augmented(self, corpus: str, kinds: Mapping[str, int]) -> None:
        """Count the pairs of each kind that were added to a shard of `corpus`."""
        for kind, pairs in kinds.items():
            corpora = self.augmented.setdefault(kind, {})
            corpora[corpus] = corpora.get(corpus, 0) + pairs

    def to_json(self) -> JsonObject:
        splits = {"train": asdict(self.train), "dev": asdict(self.dev)}
        return {
            "funnel": self.funnel.counts(),
            "pairs": {name: counts.pop("pairs") for name, counts in splits.items()},
            "tokens": splits,
            "corpora": {
                name: {**asdict(counts), "funnel": self.funnels[name].counts()} for name, counts in self.corpora.items()
            },
            "dev_cut": self.dev_cut,
            **({"training_lines": self.training_lines} if self.training_lines else {}),
            **({"augmented": self.augmented} if self.augmented else {}),
            "samples": self.funnel.samples,
        }

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read the counts of a manifest. Raises KeyError or TypeError where it is none of this stage."""
        corpora = {name: dict(corpus) for name, corpus in values["corpora"].items()}
        funnels = {name: corpus.pop("funnel", None) for name, corpus in corpora.items()}
        splits = {name: EncodedCounts(values["pairs"][name], **values["tokens"][name]) for name in ("train", "dev")}
        return cls(
            Funnel(**values["funnel"], samples=values["samples"]),
            {name: Funnel(**funnel) for name, funnel in funnels.items() if funnel is not None},
            corpora={name: EncodedCounts(**corpus) for name, corpus in corpora.items()},
            dev_cut=values["dev_cut"],
            training_lines=values.get("training_lines"),
            augmented=values.get("augmented", {}),
            **splits,
        )


def numbers(counts: Mapping[str, int]) -> str:
    """List the counts above 0."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def show_funnel(stage: str, counts: TextCounts | IdsCounts, data: DataConfig) -> None:
    """Log the counts of each fix and filter, by corpus where there are several; with -v, examples too."""
    funnels = {f"training {data.units}": counts.funnel}
    if len(counts.funnels) > 1:
        changed = {name: funnel for name, funnel in counts.funnels.items() if funnel.kept < funnel.read}
        of_corpora = counts.funnels if stage == "text" else changed
        funnels |= {
            f"training {'lines' if name in data.monolingual else 'pairs'} of {name}": funnel
            for name, funnel in of_corpora.items()
        }
    for units, funnel in funnels.items():
        fixed = numbers(funnel.mended)
        console.log(
            f"{stage}: kept {funnel.kept:,} of {funnel.read:,} {units}; "
            f"dropped: {numbers(funnel.dropped) or 'none'}" + (f"; normalised: {fixed}" if fixed else "")
        )
        if not funnel.kept:
            console.warn(f"none of the {units} is kept")
    for name, pairs in counts.funnel.samples.items():
        for source, target in pairs:
            console.detail(f"  {name}: {source[:100]!r} / {target[:100]!r}")


READ, SPLIT_OFF, KEPT = "read", "split off", "kept"  # the steps that are no filter
ADDED = "added: "  # before the kind of an augmentation


@dataclass(frozen=True)
class Step:
    """A step of the training pairs through the funnel."""

    name: str
    pairs: int
    corpora: dict[str, int]  # the pairs of each corpus; empty where they are unknown
    is_added: bool = False  # whether its pairs are more, not fewer


def steps_of(text: TextCounts, ids: IdsCounts | None = None) -> list[Step]:
    """Return the steps of the training pairs.

    They are read, dropped by each filter, split off, added by augmentation, dropped by pieces, and kept.
    """

    def step(name: str, corpora: dict[str, int]) -> Step:
        return Step(name, sum(corpora.values()), corpora)

    steps = [Step(READ, text.funnel.read, {name: funnel.read for name, funnel in text.funnels.items()})]
    for name, count in text.funnel.dropped.items():
        steps.append(Step(name, count, {corpus: each.dropped.get(name, 0) for corpus, each in text.funnels.items()}))
    left = dict(text.train)
    split = {name: funnel.kept - left[name] for name, funnel in text.funnels.items()}
    if sum(split.values()):
        steps.append(step(SPLIT_OFF, split))
    if ids is None:
        return [*steps, step(KEPT, left)]
    for kind, corpora in ids.augmented.items():
        added = {name: corpora.get(name, 0) for name in left}
        steps.append(replace(step(f"{ADDED}{kind}", added), is_added=True))
        left = {name: left[name] + added[name] for name in left}
    kept = {name: ids.corpora[name].pairs if name in ids.corpora else 0 for name in left}
    for name, count in ids.funnel.dropped.items():
        of_corpora = {}
        if len(ids.funnels) == len(ids.corpora) or not count:
            of_corpora = {corpus: ids.funnels.get(corpus, Funnel()).dropped.get(name, 0) for corpus in left}
        elif count == ids.funnel.read - ids.funnel.kept:  # the only filter that dropped any
            of_corpora = {corpus: left[corpus] - kept[corpus] for corpus in left}
        steps.append(Step(name, count, of_corpora))
    return [*steps, step(KEPT, kept)]


def percent(count: int, of: int) -> str:
    """Write a share; one too small for its decimals is not written as none.

    >>> percent(1, 3), percent(1, 100_000), percent(0, 3)
    ('33.33%', '<0.01%', '0.00%')
    """
    return "<0.01%" if 0 < count < of * 0.00005 else f"{count / of:.2%}"
