"""The doctor's checks of machine, sizes, memory and time."""

import math
import shutil
from importlib.util import find_spec

import torch

from nmt import console, devices
from nmt.advice.checkup import Checkup, Finding
from nmt.cores import cores
from nmt.data.cleaning.corpus_text import read_text
from nmt.data.encoding.dataset import PreparedPairs
from nmt.errors import StorageError, UsageError, explaining_shortage
from nmt.exporting.ctranslate2 import check_shape
from nmt.inference.engines.native import check_precision
from nmt.model.families import build_without_weights
from nmt.run_folder import RunFolder
from nmt.training import memory, profiling
from nmt.training.log import summary_writer
from nmt.training.loop import Trainer
from nmt.training.optimizer import learning_rate
from nmt.training.validation import DevSet, dev_parts
from nmt.version import install_hint

EPOCHS = 200  # maximum number of epochs without a warning
DAYS = 7  # maximum number of days of training without a warning


def check_device(checkup: Checkup) -> Finding:
    """Check that the recipe's device is there, and can decode as the recipe says."""
    training = checkup.recipe.training
    checkup.device = devices.pick_device(training.device)
    check_precision(checkup.recipe.decoding.precision, checkup.device)
    free = devices.free_memory(checkup.device) / 2**30
    is_gpu = checkup.device.type == "cuda"
    if training.threads and not is_gpu:
        torch.set_num_threads(training.threads)
    on_cores = f"threads: {torch.get_num_threads()}, usable cores: {cores()}"
    name = torch.cuda.get_device_name(checkup.device) if is_gpu else on_cores
    found = f"{checkup.device.type}, {name}, {free:.1f} GiB of free memory, {training.precision}"
    if not is_gpu and training.precision == "bfloat16" and (gain := devices.bfloat16_gain()) < 1:
        slow = f"{found}, whose products run at {gain:.2f} of float32's rate on this processor"
        return Finding("warning", slow, 'training.precision = "float32" is faster here')
    return Finding("OK", found)


def check_compiler(checkup: Checkup) -> Finding:
    """Check that torch.compile works, if the recipe asks for it."""
    if not checkup.recipe.training.compile:
        return Finding("OK", "not asked for")
    if devices.compiler_works(checkup.device):
        return Finding("OK", "torch.compile works")
    message = "training.compile = true, and no compiler works on this machine: the layers will run uncompiled"
    return Finding("warning", message, "install a C++ compiler, or set training.compile = false")


def check_tensorboard(checkup: Checkup) -> Finding:
    if not checkup.recipe.training.tensorboard:
        return Finding("OK", "not asked for")
    summary_writer(checkup.scratch / "tensorboard", 0).close()
    return Finding("OK", "installed")


def check_schedule(checkup: Checkup) -> Finding:
    """Compare the warm-up with the length of the training."""
    optimizer, training = checkup.recipe.optimizer, checkup.recipe.training
    warmup, last = optimizer.warmup_steps, training.max_steps
    peak = learning_rate(min(warmup, last), optimizer, d_model=checkup.recipe.model.d_model, max_steps=last)
    problems = []
    if warmup >= last:
        tip = "lower optimizer.warmup_steps to a tenth of training.max_steps, or raise the latter"
        problems.append((f"the training ends within the warm-up of {warmup:,} steps", tip))
    return Finding.of(f"{last:,} steps, peak learning rate {peak:.2g} at step {min(warmup, last):,}", problems)


def check_export(checkup: Checkup) -> Finding:
    """Check whether the model can be exported to CTranslate2, and whether this package is installed."""
    if (objective := checkup.recipe.training.objective) != "translation":
        return Finding("OK", f"a model that is trained for {objective} has none")
    if checkup.recipe.tokenizer.trees:
        return Finding("OK", "a model of trees has none")
    model = checkup.recipe.model
    try:
        check_shape(model)
    except UsageError as error:
        return Finding("OK", str(error))
    shape = f"{model.norm}-norm, {model.positions} positions, tied_embeddings {model.tied_embeddings}"
    package = "installed" if find_spec("ctranslate2") else f"not installed here: {install_hint('ctranslate2')}"
    return Finding("OK", f"a model of this shape can be exported to CTranslate2: {shape}; the package is {package}")


def check_batching(checkup: Checkup) -> Finding:
    """Plan an epoch of the sample, and estimate the number of epochs of the training."""
    recipe = checkup.recipe
    budget, last = recipe.batching.tokens_per_step, recipe.training.max_steps
    checkup.trainer = open_trainer(checkup)
    plan = checkup.trainer.steps.plan(0)
    longest = int(memory.longer_sides(checkup.train).max())
    tokens = sum(count for count, _ in checkup.epoch_tokens().values())
    epoch = max(1, round(len(plan) * tokens / planned_tokens(checkup)))
    problems = []
    limit = checkup.limits[-1] + 1
    if budget < limit and not checkup.is_whole:
        problems.append((f"a sentence may have {limit} tokens", "raise batching.tokens_per_step to that"))
    has_stages = bool(recipe.training.stages)
    if last < epoch:
        tip = f"give training.stages {epoch:,} steps together" if has_stages else f"set training.max_steps = {epoch}"
        problems.append((f"{1 - last / epoch:.0%} of the pairs are never seen", tip))
    if last > EPOCHS * epoch:
        less = "lower training.max_steps, or set training.patience"
        tip = "give training.stages fewer steps, or patience" if has_stages else less
        problems.append(("a model overfits in so many epochs", tip))
    about = "" if checkup.is_whole else "at least " if checkup.is_cut else "about "
    lengths = f"an epoch is {about}{epoch:,} steps, the training {last / epoch:.1f} epochs"
    return Finding.of(f"the longest sentence has {longest} tokens of {budget:,} a step; {lengths}", problems)


def planned_tokens(checkup: Checkup) -> int:
    """Return the target tokens of an epoch of the sample."""
    return sum(int(checkup.train.tgt_lengths[step].sum()) for step in checkup.trainer.steps.plan(0))


def open_trainer(checkup: Checkup) -> Trainer:
    """Return a trainer of the sample that writes nothing. Raises UsageError where the model has no room."""
    scratch, recipe = checkup.scratch, checkup.recipe
    ids = PreparedPairs(scratch / "ids" / "dev")
    dev = DevSet(*read_text(checkup.text, "dev"), ids, dev_parts(recipe, ids.corpora))
    with explaining_shortage("the model alone does not fit into the memory", "take a smaller model"):
        return Trainer(recipe, checkup.tokenizer, checkup.train, dev, RunFolder(scratch), data="")


def check_sizes(checkup: Checkup) -> Finding:
    """Count the parameters, and compare the size of the checkpoints with the free disk space."""
    training, sides = checkup.recipe.training, checkup.tokenizer
    model = build_without_weights(checkup.recipe.model, sides.source_size, sides.target_size)
    parameters = sum(tensor.numel() for tensor in model.weights().values())
    weights = 4 * parameters  # float32; Adam has two moments of each
    checkpoint = (3 if training.ema_decay is None else 4) * weights
    best = training.average_checkpoints if training.average == "best" else 1
    # A checkpoint of each kind that is being written, and the bundle.
    needed = (training.keep_checkpoints + 1) * checkpoint + (best + 2) * weights
    path = checkup.run.folder.path.absolute()
    free = shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free
    sizes = f"{parameters:,} parameters; {training.keep_checkpoints} checkpoints of {checkpoint / 1e6:,.1f} MB, "
    sizes += f"the best and the model need {needed / 1e9:.2f} GB"
    if needed > free:
        tip = "free some space, take another --run-dir, or lower training.keep_checkpoints"
        raise StorageError(f"{sizes}, but {path} has {free / 1e9:.2f} GB free", hint=tip)
    return Finding("OK", f"{sizes} of {free / 1e9:,.1f} GB free")


def check_memory(checkup: Checkup) -> Finding:
    """Try micro-batches of the longest sentences, and translate the longest of dev, as the training will."""
    trainer, asked = checkup.trainer, checkup.recipe.batching.micro_batch_tokens
    if trainer.updater.working.compiled:
        profiling.compile_now(trainer)
    whole = memory.longest_step(trainer.pairs, trainer.steps)
    wanted = min(asked, whole) if isinstance(asked, int) else whole
    room = memory.room_for_micro_batches(trainer.updater)
    trials = profiling.MemoryTrials(memory.micro_batch_cost(trainer.updater, trainer.steps, trainer.config))
    size = memory.fit(trials, wanted, room)
    trainer.try_longest_dev()
    checkup.micro_batch = min(size, trials.largest)
    cut = "is one micro-batch" if size == whole else f"is cut into micro-batches of {size:,}, which"
    verb = "and takes" if size == whole else "take"
    dev = "training sentences in place of dev" if "dev" in checkup.left_out else "dev sentences"
    estimated = f", estimated from {trials.largest:,} tokens" if trials.largest < size else ""
    problems = []
    if size < wanted and asked != "auto":
        tip = 'set batching.micro_batch_tokens = "auto", or that size'
        problems.append((f"a micro-batch of {wanted:,} may not fit", tip))
    taken = f"{trials.taken[size] / 2**30:.2f} of {room / 2**30:.1f} GiB{estimated}"
    fit = f"; the longest {dev} fit" if trainer.translator else ""
    return Finding.of(f"a step of up to {whole:,} padded tokens {cut} {verb} {taken}{fit}", problems)


def check_time(checkup: Checkup) -> Finding:
    """Measure the speed of training and translation for some seconds, and estimate the time of the run."""
    training, trainer = checkup.recipe.training, checkup.trainer
    rate, update = profiling.training_speed(trainer, checkup.micro_batch)
    tokens = planned_tokens(checkup) / len(trainer.steps.plan(0))
    step = tokens / rate + update
    sentence = profiling.translation_speed(trainer) if trainer.translator else 0.0  # the loss of dev takes little
    counts, named = checkup.sample, checkup.recipe.data.test
    validation = 0.0 if "dev" in checkup.left_out else sentence * counts.dev
    validations = math.ceil(training.max_steps / training.validate_every)
    tests = sentence * sum(count for name, count in counts.test.items() if not named or name in named)
    total = step * training.max_steps + validation * validations + tests
    parts = [f"{training.max_steps:,} steps of {step:.2f} s ({tokens / step:,.0f} target tokens a second)"]
    if validation:
        parts.append(f"{validations} validations of {console.duration(validation)}")
    if tests:
        parts.append(f"the tests {console.duration(tests)}")
    left_out = f"; not included: {', '.join(checkup.left_out)}" if checkup.left_out else ""
    problems = []
    if total > DAYS * 86_400:
        problems.append((f"that is more than {DAYS} days", "take a GPU, a smaller model, or fewer steps"))
    return Finding.of(f"about {console.duration(total)}: {', '.join(parts)}{left_out}", problems)
