"""Look at a recipe before hours are spent on it: one finding a check, nothing written into the run folder.

What is cheap is done in full; what is not, on the first pairs of the data and for some seconds, and the finding
says so. The checks call the stages' own functions in a temporary folder, so that they see what the run would see.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from nmt import console, runtime
from nmt.config import Recipe
from nmt.data import prepare, tokenizer
from nmt.data.corpus import read_corpus
from nmt.data.dataset import PreparedPairs
from nmt.data.tokenizer import PAD_ID, Side, Tokenizer
from nmt.errors import DataError, NmtError, StorageError, UsageError
from nmt.model.transformer import Transformer
from nmt.pipeline import Pipeline
from nmt.stages import MANIFEST, read_record
from nmt.training import memory, rehearsal
from nmt.training.distributed import Ranks
from nmt.training.journal import summary_writer
from nmt.training.loop import Trainer, TrainingFiles
from nmt.training.optimizer import learning_rate
from nmt.training.validation import DevSet

READ = 5_000_000
"""Pairs of a corpus that are read, at most."""
SAMPLE = 50_000
"""First training pairs that are cleaned and encoded, at most, and that a tokenizer is trained on."""
SPELLED = 2_000
"""Pairs of the sample whose words are counted."""

SEEN = 0.01
"""Share of a dev or test set whose sentences may be in train without a warning."""
DROPPED = 0.2
"""Share of the training pairs that cleaning may drop without a warning."""
LONG = 0.05
"""Share of the training pairs that may be too long without a warning."""
BYTES = 0.01
"""Share of the pieces that may be single bytes, or unknown, without a warning."""
EPOCHS = 200
"""Epochs without a warning."""
DAYS = 7
"""Days of training without a warning."""


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


@dataclass
class Case:
    """A recipe under examination: what the checks have found out for those after them."""

    pipeline: Pipeline
    scratch: Path
    """A temporary folder, for all that is made."""
    pairs: dict[str, int] = field(default_factory=dict)
    """Pairs read of each corpus."""
    seen: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Of each dev and test set: its sources, those that are in train, and those there with one of their targets."""
    sample: dict[str, Any] = field(default_factory=dict)
    """The counts of `prepare.write_text`."""
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
    def is_whole(self) -> bool:
        """Tell whether the sample is all of the training text."""
        return bool(self.sample["funnel"]["read"] >= self.pairs["train"])

    @property
    def size(self) -> str:
        """Say what the sample is."""
        read = f"{self.sample['funnel']['read']:,}"
        return f"all {read} pairs" if self.is_whole else f"the first {read} of {self.pairs['train']:,} pairs"

    @property
    def text(self) -> Path:
        """The sample as text, and dev and test."""
        return self.scratch / "text"


def examine(pipeline: Pipeline) -> Iterator[tuple[str, Finding]]:
    """Yield the name and the finding of each check, as soon as it is done.

    A check that needs one that failed is skipped, and so are those that need it.
    """
    with tempfile.TemporaryDirectory(prefix="nmt-doctor-") as scratch:
        case, failed = Case(pipeline, Path(scratch)), set[str]()
        for name, look, needs in CHECKS:
            if missing := [need for need in needs if need in failed]:
                finding = Finding("skipped", f"needs the check of {missing[0]}")
            else:
                try:
                    finding = look(case)
                except NmtError as error:
                    finding = Finding("error", str(error), error=error)
            if finding.level in ("error", "skipped"):
                failed.add(name)
            yield name, finding


def judge(found: str, doubts: list[tuple[str, str]]) -> Finding:
    """Return OK with what was `found`, or the doubts about it, each with what to do, as a warning."""
    if not doubts:
        return Finding("OK", found)
    tips = dict.fromkeys(tip for _, tip in doubts)
    return Finding("warning", "; ".join([found, *(doubt for doubt, _ in doubts)]), "; ".join(tips))


def check_folder(case: Case) -> Finding:
    """Look whether the run folder can be used: no other recipe's, no checkpoints of other settings."""
    case.pipeline.refuse_other_folder()
    run = case.pipeline.run
    return Finding("OK", f"{run.path} is {'of this recipe' if run.lock.exists() else 'new'}")


def check_device(case: Case) -> Finding:
    """Look for the device that the recipe asks for."""
    training = case.recipe.training
    case.device = runtime.pick_device(training.device)
    free = runtime.free_memory(case.device) / 2**30
    what = f"threads: {torch.get_num_threads()}"
    if case.device.type == "cuda":
        what = torch.cuda.get_device_name(case.device)
    return Finding("OK", f"{case.device.type}, {what}, {free:.1f} GiB of free memory, {training.precision}")


def check_compiler(case: Case) -> Finding:
    """Look for a compiler, if the recipe asks for one."""
    if not case.recipe.training.compile:
        return Finding("OK", "not asked for")
    if runtime.compiler_works(case.device):
        return Finding("OK", "torch.compile works")
    return Finding(
        "warning",
        "training.compile = true, and no compiler works on this machine: the layers will run as they are",
        "install a C++ compiler, or set training.compile = false",
    )


def check_tensorboard(case: Case) -> Finding:
    """Look for the package of TensorBoard, if the recipe asks for it."""
    if not case.recipe.training.tensorboard:
        return Finding("OK", "not asked for")
    summary_writer(case.scratch / "tensorboard", 0).close()
    return Finding("OK", "installed")


def check_schedule(case: Case) -> Finding:
    """Hold the warm-up against the length of the training."""
    optimizer, training = case.recipe.optimizer, case.recipe.training
    warmup, last = optimizer.warmup_steps, training.max_steps
    peak = learning_rate(min(warmup, last), optimizer, d_model=case.recipe.model.d_model, max_steps=training.max_steps)
    doubts = []
    if warmup >= last:
        tip = "lower optimizer.warmup_steps to a tenth of training.max_steps, or raise the latter"
        doubts.append((f"that is within the warm-up of {warmup:,} steps", tip))
    return judge(f"{last:,} steps, the learning rate at its highest, {peak:.2g}, at step {min(warmup, last):,}", doubts)


def check_export(case: Case) -> Finding:
    """Say whether `nmt export` knows the shape of the model, and whether it could run here."""
    from importlib.util import find_spec

    model = case.recipe.model
    shape = f"{model.norm}-norm, {model.positions} positions, tied_embeddings {model.tied_embeddings}"
    there = "installed" if find_spec("ctranslate2") else 'not installed here: pip install "nmt[ctranslate2]"'
    return Finding("OK", f"a model of this shape can be exported to CTranslate2: {shape}; the package is {there}")


def check_data(case: Case) -> Finding:
    """Read every corpus, and note which sentences of dev and test are in train."""

    def read(name: str) -> Iterator[tuple[str, str]]:
        config, split = pipeline.corpora[name], {"dev": "validation", "train": "train"}.get(name, "test")
        found = read_corpus(config, recipe.languages, root=pipeline.root, local=pipeline.local, default_split=split)
        case.pairs[name] = 0
        for source, target in islice(found, READ):
            case.pairs[name] += 1
            yield source.strip(), target.strip()

    pipeline, recipe = case.pipeline, case.recipe
    held: dict[str, dict[str, set[str]]] = {}
    for name in pipeline.corpora:
        if name != "train":
            held[name] = {}
            for source, target in read(name):
                held[name].setdefault(source, set()).add(target)
    sources: dict[str, set[str]] = {name: set() for name in held}
    pairs: dict[str, set[str]] = {name: set() for name in held}
    for source, target in read("train"):
        for name, targets in held.items():
            if source in targets:
                sources[name].add(source)
                if target in targets[source]:
                    pairs[name].add(source)
    case.seen = {name: (len(held[name]), len(sources[name]), len(pairs[name])) for name in held}
    counts = ", ".join(f"{name} {case.pairs[name]:,}" for name in pipeline.corpora)
    cut = [name for name, count in case.pairs.items() if count == READ]
    rest = f"; read no further than {READ:,} pairs: {', '.join(cut)}" if cut else ""
    return Finding("OK", f"pairs of {counts}; UTF-8, each line with its translation{rest}")


def check_leakage(case: Case) -> Finding:
    """Judge how much of dev and test is in train: whole pairs, and sources with another translation."""
    if not case.seen:
        return Finding("OK", "dev and test are split off the training text")
    doubts, facts = [], []
    drops = case.recipe.cleaning.drop_leaked
    for name, (total, sources, pairs) in case.seen.items():
        facts.append(f"of {name}, {sources:,} of {total:,} sources are in train, {pairs:,} with the same target")
        if pairs and not drops:
            doubts.append((f"pairs of {name} stay in train", "set cleaning.drop_leaked = true"))
        if sources > SEEN * total:
            tip = f"take another {name}, or remove its sentences from train; cleaning drops the same pairs alone"
            doubts.append((f"{sources / total:.0%} of {name} is not new to the model", tip))
    return judge("; ".join(facts), doubts)


def check_cleaning(case: Case) -> Finding:
    """Clean the sample, and count what each filter drops."""
    recipe, pipeline = case.recipe, case.pipeline
    train = recipe.data.train
    # Enough for dev and test to be split off, where they are.
    split_off = (not recipe.data.dev) * recipe.data.dev_pairs + (not recipe.data.test) * recipe.data.test_pairs
    wanted = max(SAMPLE, 4 * split_off)
    first = train.model_copy(update={"pairs": min(wanted, train.pairs or wanted)})
    case.sample = prepare.write_text(
        recipe.data.model_copy(update={"train": first}),
        recipe.cleaning,
        recipe.languages,
        case.text,
        root=pipeline.root,
        local=pipeline.local,
    )
    funnel = case.sample["funnel"]
    dropped = {name: count for name, count in funnel["dropped"].items() if count}
    share = sum(dropped.values()) / funnel["read"]
    listed = ", ".join(f"{name} {count:,}" for name, count in dropped.items()) or "none"
    doubts = []
    if share > DROPPED:
        worst = max(dropped, key=lambda name: dropped[name])
        doubts.append((f"that is {share:.0%}", f"look at what {worst} drops, by nmt -v prepare, or loosen [cleaning]"))
    return judge(f"of {case.size}, dropped: {listed}", doubts)


def check_vocabulary(case: Case) -> Finding:
    """Encode the sample with the run's tokenizer or a new one, and judge how the pieces fit the text."""
    recipe = case.recipe
    try:
        origin = open_tokenizer(case)
    except DataError as error:
        if case.is_whole:
            raise
        return Finding("skipped", f"{case.size} allow no such tokenizer, all may: {error}")
    ids = case.scratch / "ids"
    counts = prepare.write_ids(case.text, case.tokenizer, recipe.cleaning, recipe.model.max_length, ids)
    case.train = PreparedPairs(ids / "train")
    facts, doubts = [origin], []
    text = list(islice(prepare.iterate_text(case.text, "train"), SPELLED))
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
    limit = min(recipe.cleaning.max_pieces or math.inf, recipe.model.max_length - 1)
    facts.append(f"{long / funnel['read']:.2%} of the pairs over {limit} pieces")
    if long > LONG * funnel["read"]:
        doubts.append(("these are dropped", "raise cleaning.max_pieces and model.max_length"))
    if counts["dev_cut"]:
        doubts.append((f"{counts['dev_cut']:,} dev pairs are cut for the dev loss", "raise model.max_length"))
    return judge("; ".join(facts), doubts)


def open_tokenizer(case: Case) -> str:
    """Put a tokenizer into `case`, and say where it comes from: another model, the run folder, or the sample."""

    def side(index: int) -> Iterator[str]:
        return (pair[index] for pair in prepare.iterate_text(case.text, "train"))

    pipeline, recipe = case.pipeline, case.recipe
    if pipeline.start:
        case.tokenizer = Tokenizer.load(Path(pipeline.start.tokenizer))
        return "the tokenizer of training.init_from"
    made = read_record(pipeline.run.tokenizer / MANIFEST, "inputs")
    if made and made["inputs"].get("tokenizer") == recipe.tokenizer.model_dump():
        case.tokenizer = Tokenizer.load(pipeline.run.tokenizer)
        return "the run folder's tokenizer"
    folder = case.scratch / "tokenizer"
    folder.mkdir()
    tokenizer.train(side(0), side(1), recipe.tokenizer, folder, seed=recipe.training.seed)
    case.tokenizer = Tokenizer.load(folder)
    return f"a tokenizer of {recipe.tokenizer.vocab_size:,} pieces, trained on {case.size}"


def odd_pieces(side: Side) -> list[int]:
    """Return the ids that spell what has no piece of its own: the unknown piece and those of single bytes."""
    return [tokenizer.UNK_ID, *(i for i in range(side.size) if side.processor.is_byte(i))]


def check_batching(case: Case) -> Finding:
    """Plan an epoch of the sample, and reckon how many epochs the training is."""
    recipe = case.recipe
    budget, last = recipe.batching.tokens_per_step, recipe.training.max_steps
    case.trainer = open_trainer(case)
    plan = case.trainer.steps.plan(0)
    longest = int(memory.longer_sides(case.train).max())
    share = case.sample["funnel"]["read"] / case.pairs["train"]
    epoch = max(1, round(len(plan) / share))
    doubts = []
    limit = min(recipe.cleaning.max_pieces or math.inf, recipe.model.max_length - 1) + 1
    if budget < limit and not case.is_whole:
        doubts.append((f"a sentence may have {limit} tokens", "raise batching.tokens_per_step to that"))
    if last < epoch:
        doubts.append((f"{1 - last / epoch:.0%} of the pairs are never seen", f"set training.max_steps = {epoch}"))
    if last > EPOCHS * epoch:
        doubts.append(("that many epochs learn by heart", "lower training.max_steps, or set training.patience"))
    about = "" if case.is_whole else "at least " if case.pairs["train"] == READ else "about "
    return judge(
        f"the longest sentence has {longest} tokens of {budget:,} a step; an epoch is {about}{epoch:,} steps, "
        f"the training {last / epoch:.1f} epochs",
        doubts,
    )


def open_trainer(case: Case) -> Trainer:
    """Return a trainer of the sample that writes nothing. Raises UsageError where the model has no room."""
    pipeline, scratch = case.pipeline, case.scratch
    plan = pipeline.plan
    as_they_are = plan.training.model_copy(update={"compile": False})
    dev = DevSet(*prepare.read_text(case.text, "dev"), PreparedPairs(scratch / "ids" / "dev"))
    files = TrainingFiles(*(scratch / name for name in ("checkpoints", "log", "lock", "tensorboard", "diverged")))
    try:
        return Trainer(
            dataclasses.replace(plan, training=as_they_are),
            case.tokenizer,
            case.train,
            dev,
            files,
            data="",
            start=None,
            ranks=Ranks(),
        )
    except (RuntimeError, MemoryError) as error:
        if not memory.is_out_of_memory(error):
            raise
        raise UsageError("the model alone does not fit into the memory", hint="take a smaller model") from None


def check_sizes(case: Case) -> Finding:
    """Count the parameters, and hold what the checkpoints take against the free disk."""
    training, sides = case.recipe.training, case.tokenizer
    with torch.device("meta"):  # shapes alone
        model = Transformer(case.recipe.model, sides.source_size, sides.target_size, pad_id=PAD_ID)
    parameters = sum(tensor.numel() for tensor in model.weights().values())
    weights = 4 * parameters  # float32; Adam has two moments of each
    checkpoint = (3 if training.ema_decay is None else 4) * weights
    best = training.average_checkpoints if training.average == "best" else 1
    # One more of each kind while it is written, and the model folder.
    needed = (training.keep_checkpoints + 1) * checkpoint + (best + 2) * weights
    path = case.pipeline.run.path.absolute()
    free = shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free
    found = (
        f"{parameters:,} parameters; {training.keep_checkpoints} checkpoints of {checkpoint / 1e6:,.1f} MB, "
        f"the best and the model need {needed / 1e9:.2f} GB"
    )
    if needed > free:
        raise StorageError(
            f"{found}, but {path} has {free / 1e9:.2f} GB free",
            hint="free some, take another --run-dir, or lower training.keep_checkpoints",
        )
    return Finding("OK", f"{found} of {free / 1e9:,.1f} GB free")


def check_memory(case: Case) -> Finding:
    """Make passes over the longest sentences, and translate the longest of dev, as the training will."""
    trainer, asked = case.trainer, case.recipe.batching.micro_batch_tokens
    whole = memory.longest_step(trainer.pairs, trainer.steps)
    wanted = min(asked, whole) if isinstance(asked, int) else whole
    room = runtime.free_memory(trainer.device) - 8 * trainer.engine.flat.numel()  # Adam's moments come later
    trials = rehearsal.Trials(memory.trial(trainer.engine, trainer.pairs))
    size = memory.fit(trials, wanted, room)
    trainer.try_longest_dev()
    case.pass_tokens = min(size, trials.tried)
    cut = "is one pass" if size == whole else f"is cut into passes of {size:,}, which"
    verb = "and takes" if size == whole else "take"
    reckoned = f", reckoned from {trials.tried:,} tokens" if trials.tried < size else ""
    doubts = []
    if size < wanted and asked != "auto":
        doubts.append((f"a pass of {wanted:,} may not fit", 'set batching.micro_batch_tokens = "auto", or that size'))
    return judge(
        f"a step of up to {whole:,} padded tokens {cut} {verb} {trials.taken[size] / 2**30:.2f} of "
        f"{room / 2**30:.1f} GiB{reckoned}; the longest dev sentences fit",
        doubts,
    )


def check_time(case: Case) -> Finding:
    """Measure the speed of training and translation for some seconds, and reckon how long the recipe takes."""
    training, trainer = case.recipe.training, case.trainer
    rate, update = rehearsal.training_speed(trainer, case.pass_tokens)
    tokens = float(case.train.tgt_lengths.sum()) / len(trainer.steps.plan(0))
    step = tokens / rate + update
    sentence = rehearsal.translation_speed(trainer)
    validation = sentence * case.sample["pairs"]["dev"]
    validations = math.ceil(training.max_steps / training.validate_every)
    tests = sentence * sum(case.sample["pairs"]["test"].values())
    total = step * training.max_steps + validation * validations + tests
    doubts = []
    if total > DAYS * 86_400:
        doubts.append((f"that is more than {DAYS} days", "take a GPU, a smaller model, or fewer steps"))
    return judge(
        f"about {console.duration(total)}: {training.max_steps:,} steps of {step:.2f} s "
        f"({tokens / step:,.0f} target tokens a second), {validations} validations of {console.duration(validation)}, "
        f"the tests {console.duration(tests)}",
        doubts,
    )


CHECKS: list[tuple[str, Callable[[Case], Finding], tuple[str, ...]]] = [
    ("run folder", check_folder, ()),
    ("device", check_device, ()),
    ("compiler", check_compiler, ("device",)),
    ("tensorboard", check_tensorboard, ()),
    ("schedule", check_schedule, ()),
    ("export", check_export, ()),
    ("data", check_data, ()),
    ("leakage", check_leakage, ("data",)),
    ("cleaning", check_cleaning, ("data",)),
    ("vocabulary", check_vocabulary, ("run folder", "cleaning")),
    ("sizes", check_sizes, ("vocabulary",)),
    ("batching", check_batching, ("device", "vocabulary")),
    ("memory", check_memory, ("batching",)),
    ("time", check_time, ("memory",)),
]
"""Name, function, and the checks that it needs, in the order in which they are made."""
