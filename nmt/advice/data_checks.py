"""What the checks of a recipe share, and those that look at its data: every corpus, from its files to its pieces.

Sentences are read in full, up to `READ` of a corpus; what takes longer is done with the first pairs of each.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nmt.advice.case import LEAST, READ, SAMPLE, Case, Finding, is_train, judge
from nmt.config.data import CorpusConfig, DataConfig
from nmt.data.cleaning.corpus_text import iterate_text, write_text
from nmt.data.cleaning.filters import duplicate_filters, filters
from nmt.data.cleaning.funnel import Funnel, numbers
from nmt.data.cleaning.keys import HeldOut
from nmt.data.encoding import tokenizer
from nmt.data.encoding.corpus_ids import IdsPlan, write_ids
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.tokenizer import Side, Tokenizer
from nmt.data.reading.archives import download_of
from nmt.data.reading.corpus import TEST_SET, file_names
from nmt.data.reading.downloads import is_fetched
from nmt.data.reading.hub import is_cached
from nmt.data.reading.sacrebleu_sets import sacrebleu_missing
from nmt.data.reading.streams import COMPRESSIONS
from nmt.errors import DataError, UsageError
from nmt.pipeline.tokenizer import has_own_settings

if TYPE_CHECKING:
    pass

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
    if pipeline.initial:
        known = Tokenizer.load(taken_over(case)).tags
        if missing := [tag for tag in data.tags if tag not in known]:
            tip = "begin with a model whose recipe had these tags, or leave out training.init_from or the tags"
            doubts.append((f"the tokenizer of training.init_from splits {', '.join(missing)} into pieces", tip))
    return judge(", ".join(facts), doubts)


def taken_over(case: Case) -> Path:
    """Return the folder of the tokenizer that training begins with: where it was, or the run's copy of it."""
    assert case.pipeline.initial is not None
    folder = Path(case.pipeline.initial.tokenizer)
    return folder if folder.exists() else case.pipeline.folder.tokenizer


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
    funnel = case.sample.funnel
    facts = [f"of {case.size}, dropped: {numbers(funnel.dropped) or 'none'}"]
    if mended := numbers(funnel.mended):
        facts.append(f"mended: {mended}")
    shares, doubts = [], []
    for name, found in case.sample.funnels.items():
        share = sum(found.dropped.values()) / found.read
        shares.append(f"{share:.0%} of {name}")
        if share > DROPPED:
            much = f"that is {share:.0%}" if len(case.sizes) == 1 else f"over {DROPPED:.0%} of {name}"
            doubts += hardly_left(name, found) or [(much, look_at_worst(found.dropped))]
    if len(shares) > 1:
        facts.append(f"that is {', '.join(shares)}")
    return judge("; ".join(facts), doubts)


def hardly_left(name: str, funnel: Funnel) -> list[tuple[str, str]]:
    """Doubt that what the filters left of a training corpus is one still."""
    if funnel.kept >= LEFT * funnel.read:
        return []
    return [(f"left of {name}: {funnel.kept or 'none'} of {funnel.read:,} pairs", look_at_worst(funnel.dropped))]


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
        recipe.data,
        recipe.cleaning,
        recipe.model.max_length,
        keep_text=recipe.tokenizer.sampling is not None,
    )
    counts = write_ids(plan, case.scratch / "ids", workers=1)
    case.train = PreparedPairs(case.scratch / "ids" / "train")
    facts, doubts = [origin], []
    every = max(1, case.sample.pairs // SPELLED)
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
    funnel = counts.funnel
    long = funnel.dropped["max_pieces"]
    facts.append(f"{long / funnel.read:.2%} of the pairs over {' or '.join(map(str, case.limits))} pieces")
    if long > LONG * funnel.read:
        doubts.append(("these are dropped", "raise cleaning.max_pieces and model.max_length"))
    for name, found in counts.funnels.items():
        doubts += hardly_left(name, found)
    if counts.dev_cut and "dev" not in case.left_out:
        doubts.append((f"{counts.dev_cut:,} dev pairs are cut for the dev loss", "raise model.max_length"))
    return judge("; ".join(facts), doubts)


def open_tokenizer(case: Case) -> tuple[str, Path]:
    """Say where the tokenizer comes from, another model, the run folder, or the sample, and return its folder."""

    def side(index: int) -> Iterator[str]:
        return (pair[index] for pair in iterate_text(case.text, "train"))

    config, pipeline = case.recipe.tokenizer, case.pipeline
    tags, seed = case.recipe.data.tags, case.recipe.training.seed
    if pipeline.initial:
        return "the tokenizer of training.init_from", taken_over(case)
    if has_own_settings(pipeline):
        return "the run folder's tokenizer", pipeline.folder.tokenizer.absolute()
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
