"""Learning from corrections: a fine-tuning of seconds, which a guard may refuse.

On general pairs it is to predict what it predicted before (Li and Hoiem 2017, "Learning without forgetting").
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from nmt import console, devices, runtime
from nmt.config.data import CorpusConfig
from nmt.config.learning import LearningConfig
from nmt.config.training import OptimizerConfig
from nmt.data.cleaning.corpus_text import read_text
from nmt.data.encoding.batching import Ints, rows_of_epoch, steps_of_epoch
from nmt.data.encoding.corpus_ids import protected
from nmt.data.encoding.dataset import Batch, DrawnPairs, Ids
from nmt.data.encoding.tokenizer import UNK_ID
from nmt.data.pairs import Pair
from nmt.data.placeholders import protector_for
from nmt.data.reading.corpus import read_corpus
from nmt.data.reading.corrections import Corrections, read_corrections
from nmt.data.shards import read_shard, shard_paths
from nmt.errors import DataError, ForgottenError, UsageError
from nmt.evaluation.metrics import MetricName, Scores, resolve_tokenizer, score
from nmt.files import check_new_folder, digest_json, read_json, replacing
from nmt.inference.bundle import CONFIG, LOCK, Bundle, Learned, add_scores, open_bundle, write_bundle
from nmt.inference.engines.native import NativeEngine, load_model
from nmt.inference.translator import Translator
from nmt.model.layers import Dropout
from nmt.model.preparation import prepare
from nmt.model.protocol import Model
from nmt.run_folder import RunFolder
from nmt.training.init_from import languages_of
from nmt.training.objectives import correction_loss
from nmt.training.optimizer import learning_rate
from nmt.training.updater import Updater, step_seed
from nmt.version import __version__

CORRECTIONS, GENERAL = "corrections", "general"
MOST_REPLAYED = 20_000  # general pairs that are read, of which epochs draw
LEAST = 10  # general pairs, without which neither replay nor a score means anything
HELD_OUT = 5  # one pair of so many is held out of --replay, where no dev is given
WARM_UP = 10  # one step of so many
SMOOTHING, CLIP_NORM = 0.1, 1.0
WORD = re.compile(r"\w+")
FIXED = ("source_embedding", "target_embedding", "encoder")  # parameters that stay: learning takes less time
METRICS: tuple[MetricName, ...] = ("bleu", "chrf")


@dataclass(frozen=True)
class General:
    """General text: pairs to replay, and pairs to score."""

    replay: list[Pair]
    dev: list[Pair]


@dataclass(frozen=True)
class Outcome:
    """What a model does before and after it has learned."""

    right: tuple[int, int]  # corrections that are its translation
    before: dict[str, Scores]  # scores of the corrections and of the general pairs
    after: dict[str, Scores]
    learned: Learned
    corrections: int  # those that were read


def learn(model: Path, corrections: Path, output: Path, config: LearningConfig) -> Outcome:
    """Write a bundle that has learned `corrections` to the new folder `output`; return its scores beside the old ones.

    On a CPU the same inputs give the same bytes, with as many threads. Raises DataError for the corrections or general
    text, UsageError where there is no general text or `output` is in use, and ForgottenError where the general pairs
    lose more than the bound; nothing is written then.
    """
    check_new_folder(output)
    bundle = open_bundle(model)
    bundle.check_translates()
    bundle.check_float32()
    bundle.check_one_direction("learning")
    found = read_corrections(corrections)
    for remark in found.remarks:
        console.warn(remark)
    general = general_text(bundle, config)
    translator = Translator.load(model, device=config.device)
    tests = {CORRECTIONS: found.pairs, GENERAL: general.dev}
    hypotheses = translate(translator, tests)
    right, before = scores_of(bundle, tests, hypotheses)
    replay = agreeing(general.replay, found.pairs, hypotheses[CORRECTIONS])
    pairs, bounds = encode(bundle, {CORRECTIONS: found.pairs, GENERAL: replay}, found)
    fitting = bounds[GENERAL][1] - bounds[GENERAL][0]
    console.log(
        f"learn: general pairs to replay: {fitting:,}; left out: {len(general.replay) - len(replay):,} with a "
        f"corrected word, {len(replay) - fitting:,} too long"
    )
    device = devices.pick_device(config.device)
    network = load_model(bundle).to(device)
    train(network, bundle, pairs, bounds, config)
    precision = bundle.config.decoding.precision
    engine = NativeEngine([prepare(copy.deepcopy(network), precision) if device.type == "cpu" else network.eval()])
    right_after, after = scores_of(bundle, tests, translate(translator.with_engine(engine), tests))
    loss = round(before[GENERAL]["bleu"]["score"] - after[GENERAL]["bleu"]["score"], 4)
    if loss > config.bound:
        raise ForgottenError(
            f"{len(general.dev):,} general pairs lose {loss:.2f} BLEU, from {before[GENERAL]['bleu']['score']:.2f}, "
            f"more than --bound {config.bound:g}; nothing is written",
            hint="lower --epochs or --learning-rate, or raise --replay-weight",
        )
    learned = Learned(
        parent=read_json(model / CONFIG)["digest"],
        corrections=digest_json(found.pairs),
        general=digest_json([general.replay, general.dev]),
        pairs=bounds[CORRECTIONS][1] - bounds[CORRECTIONS][0],
        settings=config.model_dump(exclude={"replay", "dev", "run", "device"}),
        before=cast("dict[str, dict[str, dict[str, float | str]]]", before),
    )
    learned_config = bundle.config.model_copy(update={"learned": learned})
    with replacing(output) as scratch:
        lock = {"nmt": __version__, "learned": learned.model_dump(), "parent": read_json(model / LOCK)}
        write_bundle(scratch, network.weights(), model, lock, learned_config)
        add_scores(scratch, learned_config, after)
    if translator.calibration is not None:
        console.warn("the confidence of the old model is not taken over (calibrate it: nmt evaluate --calibrate)")
    return Outcome((right, right_after), before, after, learned, len(found.pairs))


def general_text(bundle: Bundle, config: LearningConfig) -> General:
    """Return the general text that is named, or that of the run folder of `bundle`.

    Raises UsageError where there is none, DataError where it is too little.
    """
    run = RunFolder(config.run or bundle.path.absolute().parent)
    has_run = (run.text / "train").is_dir()
    theirs, own = languages_of(run) if has_run and not config.replay else None, bundle.config.languages
    if theirs is not None and (theirs.directions or theirs.pair != own.pair):
        raise UsageError(
            f"{run.path}: its text is of {theirs.title}, and the model translates {own.title}",
            hint="give --replay FILE",
        )
    if config.run is not None and not has_run:
        raise UsageError(
            f"{config.run}: no run folder with its prepared text", hint="give --replay FILE, or `nmt prepare`"
        )
    if not config.replay and not has_run:
        raise UsageError(
            f"{bundle.path}: no general text, of which some is learned again so that it is not forgotten",
            hint="give --replay FILE, general pairs such as the model was trained on, or --run RUN, its run folder",
        )
    if config.replay:
        replay = read_pairs(config.replay, bundle)
    else:
        replay = draw_pairs(run.text / "train", MOST_REPLAYED, config.seed)
    if config.dev is not None:
        dev = read_pairs([config.dev], bundle)
    else:
        dev, replay = replay[::HELD_OUT], [pair for number, pair in enumerate(replay) if number % HELD_OUT]
        if not config.replay:  # the dev of a run may be of none of the domains that it was trained on
            half = config.dev_lines // 2
            of_run = list(zip(*read_text(run.text, "dev"), strict=True))
            dev = spread(of_run, config.dev_lines - half) + spread(dev, half)
    dev = spread(dev, config.dev_lines)
    known = {source for source, _ in dev}
    replay = [pair for pair in spread(replay, MOST_REPLAYED) if pair[0] not in known]
    for pairs, what in ((replay, "to replay"), (dev, "to score")):
        if len(pairs) < LEAST:
            raise DataError(
                f"{len(pairs)} general pairs {what}, and at least {LEAST} are needed", hint="give more of them"
            )
    return General(replay, dev)


def read_pairs(paths: Sequence[Path], bundle: Bundle) -> list[Pair]:
    corpus = CorpusConfig(files=[str(path) for path in paths])
    return list(read_corpus(corpus, bundle.config.languages, root=Path(), local=True, default_split="train"))


def draw_pairs(folder: Path, count: int, seed: int) -> list[Pair]:
    """Return `count` pairs of the shards in `folder`, or all if there are fewer, in their order."""
    batches = [batch for path in shard_paths(folder) for batch in read_shard(path)]
    ends = np.cumsum([batch.num_rows for batch in batches])
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = np.sort(rng.choice(ends[-1], min(count, int(ends[-1])), replace=False))
    pairs: list[Pair] = []
    for number, end, batch in zip(np.searchsorted(rows, ends), ends, batches, strict=True):
        chosen = batch.take(rows[len(pairs) : number] - (end - batch.num_rows))
        pairs += zip(chosen.column("source").to_pylist(), chosen.column("target").to_pylist(), strict=True)
    return pairs


def spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return `count` of `pairs`, or all if there are fewer, spread evenly."""
    return [pairs[number * len(pairs) // count] for number in range(count)] if len(pairs) > count else [*pairs]


def agreeing(general: list[Pair], corrections: list[Pair], hypotheses: Sequence[str]) -> list[Pair]:
    """Return the pairs of `general` without a target word that was corrected: one of `hypotheses` alone.

    Where these are most of the pairs, the hypotheses are of other text altogether, and all pairs are returned.
    """
    unwanted = set(WORD.findall(" ".join(hypotheses))).difference(WORD.findall(" ".join(t for _, t in corrections)))
    left = [pair for pair in general if unwanted.isdisjoint(WORD.findall(pair[1]))]
    return left if 2 * len(left) > len(general) else general


def encode(
    bundle: Bundle, corpora: dict[str, list[Pair]], found: Corrections
) -> tuple[DrawnPairs, dict[str, tuple[int, int]]]:
    """Encode the pairs of each corpus that fit into the model; return them, and the first and the end of each corpus.

    Warns of corrections that do not fit, or that hold characters which the model does not know. Raises DataError where
    none fits.
    """
    tokenizer, longest = bundle.tokenizer, bundle.config.model.max_length - 1
    protector = protector_for(bundle.config.protect, tokenizer.placeholders)
    columns: tuple[list[Ids], list[Ids]] = [], []
    bounds: dict[str, tuple[int, int]] = {}
    for name, pairs in corpora.items():
        lines = [protected(pair, protector, tokenizer.tags) for pair in pairs] if protector else pairs
        sides = [
            side.encode([pair[n] for pair in lines]) for n, side in enumerate((tokenizer.source, tokenizer.target))
        ]
        fitting = [row for row in zip(*sides, strict=True) if all(0 < len(ids) <= longest for ids in row)]
        if name == CORRECTIONS:
            warn_of(found, len(pairs) - len(fitting), sum(UNK_ID in src or UNK_ID in tgt for src, tgt in fitting))
        if not fitting:
            what = str(found.path) if name == CORRECTIONS else f"{name} pairs"
            raise DataError(f"{what}: none fits into {longest} pieces, as model.max_length wants")
        start = len(columns[0])
        for column, rows in zip(columns, zip(*fitting, strict=True), strict=True):
            column += [np.array(ids, np.int64) for ids in rows]
        bounds[name] = start, len(columns[0])
    return DrawnPairs(*columns), bounds


def warn_of(found: Corrections, long: int, unknown: int) -> None:
    if long:
        console.warn(f"{found.path}: corrections of more pieces than the model takes, left out: {long:,}")
    if unknown:
        console.warn(f"{found.path}: corrections with characters that the model cannot write: {unknown:,}")


def train(
    model: Model, bundle: Bundle, pairs: DrawnPairs, bounds: dict[str, tuple[int, int]], config: LearningConfig
) -> None:
    """Train `model` on the corrections, and to predict as that of `bundle` on general pairs, drawn anew each epoch."""
    runtime.keep_freed_memory()
    runtime.bound_kernels()
    for module in model.modules():
        if isinstance(module, Dropout):
            module.p = 0.0  # it would part the model from its teacher
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(FIXED))
    teacher = load_model(bundle).to(model.device).eval()
    steps = plan(pairs, bounds, config)
    optimizer = OptimizerConfig(
        learning_rate=config.learning_rate,
        warmup_steps=max(1, len(steps) // WARM_UP),
        schedule="linear",
        clip_norm=CLIP_NORM,
    )
    updater = Updater(model, optimizer)

    def loss_of(model: Model, step: tuple[Batch, Tensor]) -> tuple[Tensor, Tensor]:
        batch, corrected = step
        keep = config.replay_weight
        return correction_loss(model, batch, teacher=teacher, corrected=corrected, smoothing=SMOOTHING, weight=keep)

    with console.Progress(CORRECTIONS, len(steps), unit="steps") as progress:
        for number, rows in enumerate(steps, 1):
            batch = pairs.collate(rows).to(updater.device)
            corrected = torch.from_numpy(rows < bounds[CORRECTIONS][1]).to(updater.device)
            tokens = batch.target_tokens
            updater.sum_gradients([(batch, corrected)], loss_of, seed=step_seed(config.seed, number), tokens=tokens)
            rate = learning_rate(number, optimizer, d_model=bundle.config.model.d_model, max_steps=len(steps))
            updater.apply(number, rate=rate, tokens=tokens)
            progress.update(number)


def plan(pairs: DrawnPairs, bounds: dict[str, tuple[int, int]], config: LearningConfig) -> list[Ints]:
    """Return the pairs of each update."""
    corrections, general = (bounds[name][1] - bounds[name][0] for name in (CORRECTIONS, GENERAL))
    weight = config.replay_share / (1 - config.replay_share) * corrections / general
    longest = int(max(pairs.src_lengths.max(), pairs.tgt_lengths.max()))
    budget, steps = max(config.tokens_per_step, longest), []
    for epoch in range(config.epochs):
        rows = rows_of_epoch(bounds, {GENERAL: weight}, config.seed, epoch)
        rows = np.arange(len(pairs.src_lengths)) if rows is None else rows
        lengths = pairs.src_lengths[rows], pairs.tgt_lengths[rows]
        steps += [rows[step] for step in steps_of_epoch(*lengths, budget, seed=config.seed, epoch=epoch)]
    return steps


def translate(translator: Translator, tests: dict[str, list[Pair]]) -> dict[str, list[str]]:
    with torch.inference_mode():
        return {name: translator.translate_all([source for source, _ in pairs]) for name, pairs in tests.items()}


def scores_of(
    bundle: Bundle, tests: dict[str, list[Pair]], hypotheses: dict[str, list[str]]
) -> tuple[int, dict[str, Scores]]:
    """Return how many corrections are among the translations of `tests`, and the scores of each test."""
    evaluation = bundle.config.evaluation
    tokenize = resolve_tokenizer(evaluation.tokenize, bundle.config.languages.target)
    references = {name: [target for _, target in pairs] for name, pairs in tests.items()}
    scores = {
        name: score(
            hypotheses[name],
            [references[name]],
            tokenize=tokenize,
            lowercase=evaluation.lowercase,
            chrf_word_order=evaluation.chrf_word_order,
            metrics=METRICS,
        )
        for name in tests
    }
    return sum(map(str.__eq__, hypotheses[CORRECTIONS], references[CORRECTIONS])), scores
