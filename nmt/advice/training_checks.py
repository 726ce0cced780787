"""The doctor's checks of machine, sizes, memory and time."""

from __future__ import annotations

import dataclasses
import math
import shutil

import torch

from nmt import console, devices
from nmt.advice.case import Case, Finding, judge
from nmt.data.cleaning.corpus_text import read_text
from nmt.data.encoding.dataset import PreparedPairs
from nmt.errors import StorageError, UsageError
from nmt.model.families import build_without_weights
from nmt.training import memory, profiling
from nmt.training.log import summary_writer
from nmt.training.loop import Trainer
from nmt.training.optimizer import learning_rate
from nmt.training.plan import TrainingFiles
from nmt.training.validation import DevSet

EPOCHS = 200
"""Epochs without a warning."""


DAYS = 7
"""Days of training without a warning."""


def check_device(case: Case) -> Finding:
    """Look for the device that the recipe asks for."""
    training = case.recipe.training
    case.device = devices.pick_device(training.device)
    free = devices.free_memory(case.device) / 2**30
    what = f"threads: {torch.get_num_threads()}"
    if case.device.type == "cuda":
        what = torch.cuda.get_device_name(case.device)
    return Finding("OK", f"{case.device.type}, {what}, {free:.1f} GiB of free memory, {training.precision}")


def check_compiler(case: Case) -> Finding:
    """Look for a compiler, if the recipe asks for one."""
    if not case.recipe.training.compile:
        return Finding("OK", "not asked for")
    if devices.compiler_works(case.device):
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


def check_batching(case: Case) -> Finding:
    """Plan an epoch of the sample, and reckon how many epochs the training is."""
    recipe = case.recipe
    budget, last = recipe.batching.tokens_per_step, recipe.training.max_steps
    case.trainer = open_trainer(case)
    plan = case.trainer.steps.plan(0)
    longest = int(memory.longer_sides(case.train).max())
    tokens = sum(count for count, _ in case.epoch_tokens().values())
    epoch = max(1, round(len(plan) * tokens / planned_tokens(case)))
    doubts = []
    limit = case.limits[-1] + 1
    if budget < limit and not case.is_whole:
        doubts.append((f"a sentence may have {limit} tokens", "raise batching.tokens_per_step to that"))
    if last < epoch:
        doubts.append((f"{1 - last / epoch:.0%} of the pairs are never seen", f"set training.max_steps = {epoch}"))
    if last > EPOCHS * epoch:
        doubts.append(("that many epochs learn by heart", "lower training.max_steps, or set training.patience"))
    about = "" if case.is_whole else "at least " if case.is_cut else "about "
    return judge(
        f"the longest sentence has {longest} tokens of {budget:,} a step; an epoch is {about}{epoch:,} steps, "
        f"the training {last / epoch:.1f} epochs",
        doubts,
    )


def planned_tokens(case: Case) -> int:
    """Count the target tokens of an epoch of the sample."""
    return sum(int(case.train.tgt_lengths[step].sum()) for step in case.trainer.steps.plan(0))


def open_trainer(case: Case) -> Trainer:
    """Return a trainer of the sample that writes nothing. Raises UsageError where the model has no room."""
    pipeline, scratch = case.pipeline, case.scratch
    plan = pipeline.training_plan
    training = plan.recipe.training.model_copy(update={"compile": False})
    dev = DevSet(*read_text(case.text, "dev"), PreparedPairs(scratch / "ids" / "dev"))
    files = TrainingFiles(*(scratch / name for name in ("checkpoints", "log", "lock", "tensorboard", "diverged")))
    try:
        return Trainer(
            dataclasses.replace(plan, recipe=plan.recipe.model_copy(update={"training": training})),
            case.tokenizer,
            case.train,
            dev,
            files,
            data="",
        )
    except (RuntimeError, MemoryError) as error:
        if not memory.is_out_of_memory(error):
            raise
        raise UsageError("the model alone does not fit into the memory", hint="take a smaller model") from None


def check_sizes(case: Case) -> Finding:
    """Count the parameters, and hold what the checkpoints take against the free disk."""
    training, sides = case.recipe.training, case.tokenizer
    model = build_without_weights(case.recipe.model, sides.source_size, sides.target_size)
    parameters = sum(tensor.numel() for tensor in model.weights().values())
    weights = 4 * parameters  # float32; Adam has two moments of each
    checkpoint = (3 if training.ema_decay is None else 4) * weights
    best = training.average_checkpoints if training.average == "best" else 1
    # One more of each kind while it is written, and the model folder.
    needed = (training.keep_checkpoints + 1) * checkpoint + (best + 2) * weights
    path = case.pipeline.folder.path.absolute()
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
    room = memory.room_for_micro_batches(trainer.updater)
    trials = profiling.MemoryTrials(memory.micro_batch_cost(trainer.updater, trainer.pairs))
    size = memory.fit(trials, wanted, room)
    trainer.try_longest_dev()
    case.pass_tokens = min(size, trials.largest)
    cut = "is one pass" if size == whole else f"is cut into passes of {size:,}, which"
    verb = "and takes" if size == whole else "take"
    dev = "sentences that stand for dev" if "dev" in case.left_out else "dev sentences"
    reckoned = f", reckoned from {trials.largest:,} tokens" if trials.largest < size else ""
    doubts = []
    if size < wanted and asked != "auto":
        doubts.append((f"a pass of {wanted:,} may not fit", 'set batching.micro_batch_tokens = "auto", or that size'))
    return judge(
        f"a step of up to {whole:,} padded tokens {cut} {verb} {trials.taken[size] / 2**30:.2f} of "
        f"{room / 2**30:.1f} GiB{reckoned}; the longest {dev} fit",
        doubts,
    )


def check_time(case: Case) -> Finding:
    """Measure the speed of training and translation for some seconds, and reckon how long the recipe takes."""
    training, trainer = case.recipe.training, case.trainer
    rate, update = profiling.training_speed(trainer, case.pass_tokens)
    tokens = planned_tokens(case) / len(trainer.steps.plan(0))
    step = tokens / rate + update
    sentence = profiling.translation_speed(trainer)
    counts, given = case.sample, case.recipe.data.test
    validation = 0.0 if "dev" in case.left_out else sentence * counts.dev
    validations = math.ceil(training.max_steps / training.validate_every)
    tests = sentence * sum(count for name, count in counts.test.items() if not given or name in given)
    total = step * training.max_steps + validation * validations + tests
    parts = [f"{training.max_steps:,} steps of {step:.2f} s ({tokens / step:,.0f} target tokens a second)"]
    if validation:
        parts.append(f"{validations} validations of {console.duration(validation)}")
    if tests:
        parts.append(f"the tests {console.duration(tests)}")
    left_out = f"; not reckoned: {', '.join(case.left_out)}" if case.left_out else ""
    doubts = []
    if total > DAYS * 86_400:
        doubts.append((f"that is more than {DAYS} days", "take a GPU, a smaller model, or fewer steps"))
    return judge(f"about {console.duration(total)}: {', '.join(parts)}{left_out}", doubts)
