"""What the checks of a recipe share, and those that look at its data: every corpus, from its files to its pieces.

Sentences are read in full, up to `READ` of a corpus; what takes longer is done with the first pairs of each.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nmt.config import CorpusConfig, DataConfig, Recipe
from nmt.data import tokenizer
from nmt.data.archives import download_of
from nmt.data.clean import HeldOut, duplicate_filters, filters
from nmt.data.corpus import TEST_SET
from nmt.data.dataset import PreparedPairs
from nmt.data.downloads import is_fetched, sacrebleu_missing
from nmt.data.hub import is_cached
from nmt.data.prepare import IdsPlan, write_ids
from nmt.data.streams import COMPRESSIONS
from nmt.data.text import TextPlan, iterate_text, write_text
from nmt.data.tokenizer import Side, Tokenizer
from nmt.errors import DataError, NmtError, UsageError
from nmt.pipeline import Pipeline
from nmt.stages import MANIFEST, numbers, read_record

if TYPE_CHECKING:
    import torch

    from nmt.training.loop import Trainer

READ = 5_000_000
"""Pairs of a corpus that are read, at most."""
SAMPLE = 50_000
"""First training pairs that are cleaned and encoded, and that a tokenizer is trained on: of each corpus its share."""
LEAST = 1000
"""Pairs of a corpus in that sample, where it has so many, however small its share is."""
SPELLED = 2000
"""Pairs of the sample whose words are counted, about."""

SEEN = 0.01
"""Share of a dev or test set whose sentences may be in train without a warning."""
DROPPED = 0.2
"""Share of the training pairs that cleaning may drop without a warning."""
LEFT = 0.01
"""Share of a training corpus that is to be left by cleaning, or else it is as good as none."""
LONG = 0.05
"""Share of the training pairs that may be too long without a warning."""
BYTES = 0.01
"""Share of the pieces that may be single bytes, or unknown, without a warning."""


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    level: Literal["OK", "warning", "error", "skipped"]
    found: str
    advice: str = ""
    error: NmtError | None = None
    """What the check raised."""

    def __str__(self) -> str:
        return f"{self.found} ({self.advice})" if self.advice else self.found


def judge(found: str, doubts: list[tuple[str, str]]) -> Finding:
    """Return OK with what was `found`, or the doubts about it, each with what to do, as a warning."""
    if not doubts:
        return Finding("OK", found)
    tips = dict.fromkeys(tip for _, tip in doubts)
    return Finding("warning", "; ".join([found, *(doubt for doubt, _ in doubts)]), "; ".join(tips))


@dataclass
class Case:
    """A recipe under examination: what the checks have found out for those after them."""

    pipeline: Pipeline
    scratch: Path
    """A temporary folder, for all that is made."""
    left_out: list[str] = field(default_factory=list)
    """Dev and test sets that are yet to be fetched, by the names of `Pipeline.corpora`."""
    pairs: dict[str, int] = field(default_factory=dict)
    """Pairs read of each corpus, by the names of `Pipeline.corpora`."""
    seen: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Of each dev and test set: its sources, those that are in train, and those there with one of their targets."""
    sample: dict[str, Any] = field(default_factory=dict)
    """The counts of `write_text`."""
    tokenizer: Tokenizer = field(init=False)
    train: PreparedPairs = field(init=False)
    """The sample's ids."""
    device: torch.device = field(init=False)
    trainer: Trainer = field(init=False)
    pass_tokens: int = 0
    """Padded tokens of a pass that fits into the memory and was tried."""

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.pipeline.recipe

    @property
    def plan(self) -> TextPlan:
        """What the text is made from, but for placeholders, which are known only with the tokenizer."""
        recipe, pipeline = self.recipe, self.pipeline
        return TextPlan(recipe.data, recipe.cleaning, recipe.languages, pipeline.root, pipeline.local)

    @property
    def sizes(self) -> dict[str, int]:
        """Pairs read of each training corpus, by its name in the recipe."""
        return {name.removeprefix("train."): count for name, count in self.pairs.items() if is_train(name)}

    @property
    def is_cut(self) -> bool:
        """Tell whether there may be more training pairs than were read."""
        return READ in self.sizes.values()

    @property
    def is_whole(self) -> bool:
        """Tell whether the sample is all of the training text."""
        return bool(self.sample["funnel"]["read"] >= sum(self.sizes.values()))

    @property
    def size(self) -> str:
        """Say what the sample is."""
        read, total = f"{self.sample['funnel']['read']:,}", f"{sum(self.sizes.values()):,}"
        if self.is_whole:
            return f"all {read} pairs"
        if len(self.sizes) == 1:
            return f"the first {read} of {total} pairs"
        return f"{read} of {total} pairs, the first of each corpus"

    @property
    def text(self) -> Path:
        """The sample as text, and dev and test."""
        return self.scratch / "text"

    @property
    def limits(self) -> list[int]:
        """The most pieces that a side of a training pair may have, EOS not counted; corpora may differ in it."""
        configs = [self.plan.cleaning_of(corpus) for corpus in self.recipe.data.train]
        return sorted({int(min(config.max_pieces or math.inf, self.recipe.model.max_length - 1)) for config in configs})

    def epoch_tokens(self) -> dict[str, tuple[float, float]]:
        """Reckon from the sample, for each training corpus, the target tokens of an epoch and the weight of its pairs.

        The sample holds more of small corpora, and what `data.temperature` gives depends on the sizes of all.
        """
        data, pairs = self.recipe.data, {}
        tokens = {}
        for name, size in self.sizes.items():
            scale = size / self.sample["corpora"][name]["funnel"]["read"]
            start, end = self.train.corpora.get(name, (0, 0))
            pairs[name] = round(scale * (end - start))
            tokens[name] = scale * float(self.train.tgt_lengths[start:end].sum())
        weights = data.weights(pairs)
        return {name: (weights[name] * count, weights[name]) for name, count in tokens.items()}


def is_train(name: str) -> bool:
    """Tell whether a name of `Pipeline.corpora` is that of a training corpus."""
    return name.partition(".")[0] == "train"


def check_symbols(case: Case) -> Finding:
    """Look whether a tokenizer that is taken over has the tags and the placeholders that the recipe needs."""
    data, pipeline = case.recipe.data, case.pipeline
    if not data.tags and data.protect is None:
        return Finding("OK", "not asked for")
    if data.protect is not None and not pipeline.placeholders:
        raise UsageError(
            "data.protect needs placeholders, and the tokenizer of training.init_from has none",
            hint="begin with a model whose recipe had tokenizer.placeholders, or leave out data.protect",
        )
    facts = [*data.tags, *([f"{pipeline.placeholders} placeholders"] if data.protect else [])]
    doubts = []
    if pipeline.start:
        known = Tokenizer.load(taken_over(case)).tags
        if missing := [tag for tag in data.tags if tag not in known]:
            tip = "begin with a model whose recipe had these tags, or leave out training.init_from or the tags"
            doubts.append((f"the tokenizer of training.init_from splits {', '.join(missing)} into pieces", tip))
    return judge(", ".join(facts), doubts)


def taken_over(case: Case) -> Path:
    """Return the folder of the tokenizer that training begins with: where it was, or the run's copy of it."""
    assert case.pipeline.start is not None
    folder = Path(case.pipeline.start.tokenizer)
    return folder if folder.exists() else case.pipeline.run.tokenizer


def check_filters(case: Case) -> Finding:
    """Make the filters, which fail where a package is missing, and list them."""
    found: dict[str, list[str]] = {}
    for name in case.recipe.data.train:
        config = case.plan.cleaning_of(name)
        made = [*filters(config, case.recipe.languages, HeldOut()), *duplicate_filters(config)]
        found.setdefault(", ".join(made) or "none", []).append(name)
    if len(found) == 1:
        return Finding("OK", next(iter(found)))
    return Finding("OK", "; ".join(f"of {', '.join(names)}: {made}" for made, names in found.items()))


def check_downloads(case: Case) -> Finding:
    """Look which inputs are yet to be fetched, and leave those of dev and test out. Nothing is fetched here."""
    corpora, facts, tips = case.pipeline.corpora, ["nothing is to be fetched"], []
    missing = {name: origins for name, config in corpora.items() if (origins := to_fetch(config, case))}
    is_needed = any(map(is_train, missing))
    if missing:
        files = {file: origin for origins in missing.values() for file, origin in origins.items()}
        listed = "; ".join(f"{file} from {origin}" for file, origin in files.items())
        facts, tips = [f"to be fetched, and not looked at: {listed}"], ["nmt prepare fetches it, look again then"]
        if not is_needed:
            case.left_out = list(missing)
            facts.append(f"left out below: {', '.join(missing)}")
    parts = {part for config in corpora.values() for name in file_names(config) for part in Path(name).parts}
    named = {part + ending for part in parts for ending in ("", *COMPRESSIONS)}
    if idle := [name for name in case.recipe.data.downloads if name not in named]:
        facts.append(f"no corpus names the downloads {', '.join(idle)}")
        tips.append("a corpus names a download as a file: take it out, or correct its name")
    return Finding("skipped" if is_needed else "warning" if tips else "OK", "; ".join(facts), "; ".join(tips))


def file_names(config: CorpusConfig) -> list[str]:
    """Return what a corpus names as files, and as test sets of sacreBLEU."""
    values = (config.source, config.target, config.files)
    return [name for value in values for name in ([value] if isinstance(value, str) else value or [])]


def to_fetch(config: CorpusConfig, case: Case) -> dict[str, str]:
    """Return what of a corpus is not on this machine, with where it is to come from."""
    if config.dataset is not None:
        there = case.pipeline.local or is_cached(config)
        return {} if there else {f"dataset {config.dataset}": "the Hugging Face Hub"}
    return {name: origin for name in file_names(config) if (origin := mirrors(name, case))}


def mirrors(name: str, case: Case) -> str:
    """Return the URLs of what is neither among the data nor in a cache; "" where it is, or has none."""
    if name.startswith(TEST_SET):
        return " and ".join(sacrebleu_missing(name.removeprefix(TEST_SET), case.recipe.languages))
    downloads = case.recipe.data.downloads
    file = download_of(case.pipeline.root / name, downloads)
    if file is None or is_fetched(file, downloads[file]):
        return ""
    urls = downloads[file].url
    return urls if isinstance(urls, str) else " or ".join(urls)


def check_data(case: Case) -> Finding:
    """Read every corpus, and note which sentences of dev and test are in train."""
    odd: dict[str, Counter[str]] = {}

    def read(name: str) -> Iterator[tuple[str, str]]:
        split = "train" if is_train(name) else "validation" if name == "dev" else "test"
        odd[name], case.pairs[name] = Counter(), 0
        for source, target in islice(case.plan.read(corpora[name], split, odd[name]), READ):
            case.pairs[name] += 1
            yield source.strip(), target.strip()

    corpora = {name: config for name, config in case.pipeline.corpora.items() if name not in case.left_out}
    held: dict[str, dict[str, set[str]]] = {name: {} for name in corpora if not is_train(name)}
    for name, targets in held.items():
        for source, target in read(name):
            targets.setdefault(source, set()).add(target)
    sources: dict[str, set[str]] = {name: set() for name in held}
    pairs: dict[str, set[str]] = {name: set() for name in held}
    for source, target in (pair for name in corpora if is_train(name) for pair in read(name)):
        for name, targets in held.items():
            if source in targets:
                sources[name].add(source)
                if target in targets[source]:
                    pairs[name].add(source)
    case.seen = {name: (len(held[name]), len(sources[name]), len(pairs[name])) for name in held}
    facts = [f"pairs of {', '.join(f'{name} {case.pairs[name]:,}' for name in corpora)}"]
    facts.append("UTF-8, each line with its translation")
    facts += [f"found in {name}: {numbers(odd[name])}" for name in corpora if odd[name]]
    if cut := [name for name in corpora if case.pairs[name] == READ]:
        facts.append(f"read no further than {READ:,} pairs: {', '.join(cut)}")
    return Finding("OK", "; ".join(facts))


def check_leakage(case: Case) -> Finding:
    """Judge how much of dev and test is in train: whole pairs, and sources with another translation."""
    if not case.seen and not case.left_out:
        return Finding("OK", "dev and test are split off the training text")
    configs = [case.plan.cleaning_of(corpus) for corpus in case.recipe.data.train]
    drops_sides = all(config.drop_leaked_sides for config in configs)
    drops = all(config.drop_leaked or config.drop_leaked_near or config.drop_leaked_sides for config in configs)
    doubts, facts = [], []
    for name, (total, sources, pairs) in case.seen.items():
        facts.append(f"of {name}, {sources:,} of {total:,} sources are in train, {pairs:,} with the same target")
        if pairs and not drops:
            doubts.append((f"pairs of {name} stay in train", "set cleaning.drop_leaked = true"))
        if sources > SEEN * total and not drops_sides:
            tip = f"set cleaning.drop_leaked_sides = true, or take another {name}: cleaning drops the same pairs alone"
            doubts.append((f"{sources / total:.0%} of {name} is not new to the model", tip))
    if case.left_out:
        facts.append(f"not looked at: {', '.join(case.left_out)}")
    return judge("; ".join(facts), doubts)


def check_cleaning(case: Case) -> Finding:
    """Clean the sample, and count what each filter drops."""
    placeholders = case.pipeline.placeholders if case.recipe.data.protect else 0
    plan = dataclasses.replace(case.plan, data=shortened(case), placeholders=placeholders)
    case.sample = write_text(plan, case.text, workers=1)
    funnel = case.sample["funnel"]
    facts = [f"of {case.size}, dropped: {numbers(funnel['dropped']) or 'none'}"]
    if mended := numbers(funnel["mended"]):
        facts.append(f"mended: {mended}")
    shares, doubts = [], []
    for name, found in case.sample["corpora"].items():
        dropped = found["funnel"]["dropped"]
        share = sum(dropped.values()) / found["funnel"]["read"]
        shares.append(f"{share:.0%} of {name}")
        if share > DROPPED:
            much = f"that is {share:.0%}" if len(case.sizes) == 1 else f"over {DROPPED:.0%} of {name}"
            doubts += hardly_left(name, found["funnel"]) or [(much, look_at_worst(dropped))]
    if len(shares) > 1:
        facts.append(f"that is {', '.join(shares)}")
    return judge("; ".join(facts), doubts)


def hardly_left(name: str, funnel: dict[str, Any]) -> list[tuple[str, str]]:
    """Doubt that what the filters left of a training corpus is one still."""
    read, kept = funnel["read"], funnel["kept"]
    if kept >= LEFT * read:
        return []
    return [(f"left of {name}: {kept or 'none'} of {read:,} pairs", look_at_worst(funnel["dropped"]))]


def look_at_worst(dropped: dict[str, int]) -> str:
    """Advise to look at the filter that dropped most."""
    return f"look at what {max(dropped, key=dropped.__getitem__)} drops, by nmt -v prepare, or loosen [cleaning]"


def shortened(case: Case) -> DataConfig:
    """Return the section [data] with the first pairs of each training corpus, and without what is left out.

    Where that leaves no dev or test set, a few pairs of train stand for it.
    """
    data = case.recipe.data
    few = max(1, min(data.dev_pairs, sum(case.sizes.values()) // 100))
    test = {name: config for name, config in data.test.items() if f"test.{name}" not in case.left_out}
    if case.left_out:
        stand_ins = {"dev": None, "dev_pairs": few} if "dev" in case.left_out else {}
        data = data.model_copy(update={**stand_ins, "test": test, "test_pairs": few if data.test else data.test_pairs})
    # Enough for dev and test to be split off, where they are.
    split_off = (not data.dev) * data.dev_pairs + (not data.test) * data.test_pairs
    wanted, total = max(SAMPLE, 4 * split_off), sum(case.sizes.values())
    parts = {name: max(LEAST, math.ceil(wanted * size / total)) for name, size in case.sizes.items()}
    train = {
        name: corpus.model_copy(update={"pairs": min(parts[name], corpus.pairs or parts[name])})
        for name, corpus in data.train.items()
    }
    return data.model_copy(update={"train": train})


def check_vocabulary(case: Case) -> Finding:
    """Encode the sample with the run's tokenizer or a new one, and judge how the pieces fit the text."""
    recipe = case.recipe
    try:
        origin, folder = open_tokenizer(case)
    except DataError as error:
        if case.is_whole:
            raise
        return Finding("skipped", f"{case.size} allow no such tokenizer, all may: {error}")
    case.tokenizer = Tokenizer.load(folder)
    plan = IdsPlan(
        case.text,
        folder,
        recipe.cleaning,
        case.pipeline.own_cleaning,
        recipe.model.max_length,
        protect=recipe.data.protect,
        keep_text=recipe.tokenizer.sampling is not None,
    )
    counts = write_ids(plan, case.scratch / "ids", workers=1)
    case.train = PreparedPairs(case.scratch / "ids" / "train")
    facts, doubts = [origin], []
    every = max(1, case.sample["pairs"]["train"] // SPELLED)
    text = list(islice(iterate_text(case.text, "train"), 0, None, every))
    sides = (case.tokenizer.source, case.train.src_columns), (case.tokenizer.target, case.train.tgt_columns)
    for index, (name, (side, columns)) in enumerate(zip(("source", "target"), sides, strict=True)):
        lines = [pair[index] for pair in text]
        per_word = sum(map(len, side.encode(lines))) / max(1, sum(len(line.split()) for line in lines))
        values = np.concatenate([values for _, values in columns])
        odd = float(np.isin(values, odd_pieces(side)).mean())
        facts.append(f"{name}: {per_word:.2f} pieces a word, {odd:.2%} single bytes or unknown")
        if odd > BYTES:
            doubts.append((f"too many of {name}", "raise tokenizer.character_coverage or vocab_size"))
    funnel = counts["funnel"]
    long = funnel["dropped"]["max_pieces"]
    facts.append(f"{long / funnel['read']:.2%} of the pairs over {' or '.join(map(str, case.limits))} pieces")
    if long > LONG * funnel["read"]:
        doubts.append(("these are dropped", "raise cleaning.max_pieces and model.max_length"))
    for name, found in counts["corpora"].items():
        doubts += hardly_left(name, found["funnel"])
    if counts["dev_cut"] and "dev" not in case.left_out:
        doubts.append((f"{counts['dev_cut']:,} dev pairs are cut for the dev loss", "raise model.max_length"))
    return judge("; ".join(facts), doubts)


def open_tokenizer(case: Case) -> tuple[str, Path]:
    """Say where the tokenizer comes from, another model, the run folder, or the sample, and return its folder."""

    def side(index: int) -> Iterator[str]:
        return (pair[index] for pair in iterate_text(case.text, "train"))

    config, pipeline = case.recipe.tokenizer, case.pipeline
    tags, seed = case.recipe.data.tags, case.recipe.training.seed
    if pipeline.start:
        return "the tokenizer of training.init_from", taken_over(case)
    made = read_record(pipeline.run.tokenizer / MANIFEST, "inputs")
    wanted = {"tokenizer": config.model_dump(exclude={"sampling"}), "tags": tags}
    if made and wanted.items() <= made["inputs"].items():
        return "the run folder's tokenizer", pipeline.run.tokenizer.absolute()
    folder = case.scratch / "tokenizer"
    folder.mkdir()
    tokenizer.train(side(0), side(1), config, folder, seed=seed, tags=tags)
    return f"a tokenizer of {config.vocab_size:,} pieces, trained on {case.size}", folder


def odd_pieces(side: Side) -> list[int]:
    """Return the ids that spell what has no piece of its own: the unknown piece and those of single bytes."""
    return [tokenizer.UNK_ID, *(i for i in range(side.size) if side.processor.is_byte(i))]


def check_shares(case: Case) -> Finding:
    """Say what share each training corpus has of an epoch."""
    tokens = case.epoch_tokens()
    total = sum(count for count, _ in tokens.values())
    listed = [
        f"{name} {count / total:.1%}" + (f", each pair {weight:.3g} times" if weight != 1 else "")
        for name, (count, weight) in tokens.items()
    ]
    return Finding("OK", f"of the target tokens of an epoch: {'; '.join(listed)}")
