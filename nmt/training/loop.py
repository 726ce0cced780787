"""The training loop, from the newest checkpoint to the last step."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing

import torch

from nmt import console, runtime
from nmt.config.training import TrainingConfig
from nmt.data.encoding.batching import Ints, Step, StepStream
from nmt.data.encoding.dataset import Batch, PreparedPairs, Sampling
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.placeholders import protector_for
from nmt.errors import ArtifactError, DivergedError, UsageError
from nmt.evaluation.metrics import resolve_tokenizer
from nmt.files import digest_json, read_json, remove, write_json, write_text
from nmt.inference.engines.native import NativeEngine
from nmt.inference.translator import Translator
from nmt.model.families import build
from nmt.training import memory
from nmt.training.checkpoint import Checkpoint, Checkpoints, TrainingState, refuse_other, step_of
from nmt.training.distributed import Ranks
from nmt.training.init_from import Start
from nmt.training.log import METRICS, Journal
from nmt.training.optimizer import learning_rate
from nmt.training.plan import TrainingFiles as TrainingFiles
from nmt.training.plan import TrainingPlan as TrainingPlan
from nmt.training.signals import catching_signals, halt
from nmt.training.updater import Engine, step_seed
from nmt.training.validation import DevSet, Validation, validate

LOOK_EVERY = 10
"""Steps after which the updates skipped are looked at: the device is waited for."""
TOO_MANY = 5
"""Updates skipped in a row that mean divergence."""
DEV_TRIAL = 8
"""Longest dev sentences that are translated before the first step."""
ROLLBACKS = 1
"""Returns to an older checkpoint before the training gives up."""


def train(
    plan: TrainingPlan,
    tokenizer: Tokenizer,
    pairs: PreparedPairs,
    dev: DevSet,
    files: TrainingFiles,
    *,
    data: str,
    start: Start | None = None,
    ranks: Ranks | None = None,
) -> TrainingState:
    """Train to the end, from the newest whole checkpoint if there is one, else from `start`; return the last state.

    `data` is the digest of the prepared ids. Killed at any instant and called again, it ends with the same
    bits, on a CPU with as many threads and ranks. Raises ArtifactError where the checkpoints are another recipe's
    and DivergedError where too many updates are off.
    """
    return Trainer(plan, tokenizer, pairs, dev, files, data=data, start=start, ranks=ranks or Ranks()).run()


class Trainer:
    """One training under way on this rank."""

    def __init__(
        self,
        plan: TrainingPlan,
        tokenizer: Tokenizer,
        pairs: PreparedPairs,
        dev: DevSet,
        files: TrainingFiles,
        *,
        data: str,
        start: Start | None,
        ranks: Ranks,
    ) -> None:
        self.plan, self.config, self.ranks, self.files, self.start = plan, plan.training, ranks, files, start
        self.tokenizer, self.pairs, self.dev = tokenizer, pairs, dev
        self.identity = plan.identity(data)
        runtime.keep_freed_memory()
        runtime.bound_kernels()
        self.device = runtime.pick_device(self.config.device)
        torch.manual_seed(self.config.seed)
        model = build(plan.model, tokenizer.source_size, tokenizer.target_size).to(self.device)
        compiled = self.config.compile and runtime.compiler_works(self.device)
        if self.config.compile and not compiled:
            console.warn("training.compile: no compiler that works on this machine; the layers run as they are")
        self.engine = Engine(
            model, plan.optimizer, self.config.precision, ranks, ema_decay=self.config.ema_decay, compiled=compiled
        )
        self.translator = Translator(
            NativeEngine([self.engine.shipping]),
            tokenizer,
            plan.decoding,
            max_length=plan.model.max_length,
            protector=protector_for(plan.protect, tokenizer.placeholders),
        )
        self.tokenize = resolve_tokenizer(plan.evaluation.tokenize, plan.target_language)
        self.store = Checkpoints(files.checkpoints, self.config.keep_checkpoints)
        sizes_of = {name: end - start for name, (start, end) in pairs.corpora.items()}
        self.weights = plan.corpora.weights(sizes_of) if plan.corpora else dict.fromkeys(sizes_of, 1.0)
        self.steps = StepStream(
            pairs,
            plan.batching.tokens_per_step,
            self.config.seed,
            weights=self.weights,
            sampling=Sampling(tokenizer, plan.sampling, self.config.seed, longest=plan.model.max_length - 1)
            if plan.sampling
            else None,
            rank=ranks.rank,
            ranks=ranks.size,
        )
        self.seen = Counter(dict.fromkeys(pairs.corpora, 0))
        """Target tokens of each corpus since the last line of the log."""
        self.state = TrainingState()
        self.recent: deque[Ints] = deque(maxlen=2 * LOOK_EVERY)
        """Sentences of the last steps."""

    def run(self) -> TrainingState:
        """Train to the end."""
        self.resume()
        state, config = self.state, self.config
        if state.step > config.max_steps:
            raise ArtifactError(
                f"{self.store.folder}: trained for {state.step} steps, beyond training.max_steps = {config.max_steps}",
                hint="take another --run-dir, or delete the folder checkpoints to train anew",
            )
        if is_tired(state, config) or state.step == config.max_steps:
            console.log(f"train: step {state.step:,} was the last one; nothing to do")
            return state
        if state.step == 0:
            if self.start is not None:
                self.engine.start_from(self.start.load())
                console.log(f"train: beginning with the weights {self.start.file}")
            self.fit_memory()
        self.say_shares()
        is_main = self.ranks.is_main
        with (
            catching_signals() as signals,
            Journal(
                self.files.log if is_main else None,
                resume_after=state.step,
                max_steps=config.max_steps,
                tensorboard=self.files.tensorboard if is_main and config.tensorboard else None,
                shown=is_main,
            ) as journal,
        ):
            # After a return to an older checkpoint the stream is entered anew, where the data stand.
            while not self.go_on(journal, signals):
                pass
        if is_tired(self.state, config):
            console.log(
                f"train: stopped early: {self.state.stale} validations without a better dev "
                f"{METRICS[config.best_metric]}"
            )
        return self.state

    def say_shares(self) -> None:
        """Say what part of an epoch each corpus has, where there are several."""
        if self.plan.corpora and len(self.pairs.corpora) > 1:
            found = self.plan.corpora.shares({name: end - start for name, (start, end) in self.pairs.corpora.items()})
            shares = (f"{name} {its['share']:.1%} (weight {its['weight']:.3g})" for name, its in found.items())
            console.log(f"train: pairs of an epoch: {', '.join(shares)}")

    def resume(self) -> None:
        """Restore the newest whole checkpoint, if there is one."""
        if not self.ranks.is_main:
            self.ranks.wait()  # the first one removes what a killed writer left
        found, damage = self.store.newest()
        if self.ranks.is_main:
            self.ranks.wait()
        for message in damage:
            console.warn(f"{message}; going on from an older checkpoint")
        if found is not None:
            refuse_other(found.path, found.identity, self.identity)
            self.take_over(found)
            console.log(f"train: resuming after step {found.state.step:,}")
            if found.state.ranks != self.ranks.size:
                console.warn(
                    f"trained by {found.state.ranks} processes so far, now by {self.ranks.size}: the sentences of each "
                    "step stay, but dropout and rounding differ from an uninterrupted run"
                )
        if self.state.metric != self.config.best_metric:
            self.state = dataclasses.replace(self.state, metric=self.config.best_metric, ranked=[], stale=0)
        self.state.ranks = self.ranks.size

    def take_over(self, found: Checkpoint) -> None:
        """Put weights, moments and state back to those of a checkpoint."""
        try:
            self.engine.restore(found)
        except (ValueError, KeyError) as error:
            raise ArtifactError(f"{found.path}: does not hold this model: {error}") from None
        self.state = found.state

    def fit_memory(self) -> None:
        """Find how many tokens a pass may have, where the recipe leaves it open."""
        if self.plan.batching.micro_batch_tokens != "auto":
            return
        lock, wanted = read_json(self.files.lock) or {}, digest_json(self.identity)
        if (known := lock.get("passes")) and known["identity"] == wanted and known["ranks"] == self.ranks.size:
            self.state.micro_batch_tokens = known["micro_batch_tokens"]
            return
        # Adam's two moments come with the first update; processes on CPUs share one memory.
        room = runtime.free_memory(self.device) - 8 * self.engine.flat.numel()
        room //= self.ranks.size if self.device.type == "cpu" else 1
        share = -(-memory.longest_step(self.pairs, self.steps) // self.ranks.size)
        size = self.ranks.smallest(memory.fit(memory.trial(self.engine, self.pairs), share, room))
        self.try_longest_dev()
        text = f"a step is one pass of up to {share:,} padded tokens a side"
        if size < share:
            text = f"a step is cut into passes of {size:,} padded tokens a side"
        if size < share or self.plan.sampling:  # splits drawn anew may make a step longer than all that were tried
            self.state.micro_batch_tokens = min(size, share)
        console.log(f"train: {text}, which fits into {room / 2**30:.1f} GiB of free memory")
        if self.ranks.is_main:
            passes = {"identity": wanted, "ranks": self.ranks.size, "micro_batch_tokens": self.state.micro_batch_tokens}
            write_json(self.files.lock, {**lock, "passes": passes})

    def try_longest_dev(self) -> None:
        """Translate the longest dev sentences once, so that what does not fit fails now. Raises UsageError."""
        try:
            self.translator.translate(sorted(self.dev.sources, key=len)[-DEV_TRIAL:])
        except (RuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error):
                raise
            raise UsageError(
                "the longest dev sentences do not fit into the memory", hint="lower decoding.batch_tokens"
            ) from None

    @property
    def pass_size(self) -> int | None:
        """How a step is cut now; None: it is one pass."""
        asked = self.plan.batching.micro_batch_tokens
        sizes = [size for size in (asked, self.state.micro_batch_tokens) if isinstance(size, int)]
        return min(sizes, default=None)

    def go_on(self, journal: Journal, signals: list[int]) -> bool:
        """Take steps from where the state stands; return False where it went back to an older checkpoint."""
        self.steps.micro_batch_tokens = self.pass_size
        with closing(self.steps.from_position(self.state.epoch, self.state.offset)) as stream:
            journal.start_lap()
            for step in stream:
                journal.waited()
                stop = self.update(step, journal, signals)
                journal.update(self.state.step)
                is_last = self.state.step == self.config.max_steps
                if (is_last or self.state.step % LOOK_EVERY == 0) and self.is_off(journal):
                    return False
                if is_last or self.state.step % self.config.log_every == 0:
                    skipped, _ = self.engine.skipped()
                    journal.train_line(
                        self.state,
                        self.rate(),
                        memory=runtime.peak_memory(self.device),
                        skipped=skipped,
                        seen=self.seen,
                    )
                    self.seen = Counter(dict.fromkeys(self.seen, 0))
                if is_last or self.state.step % self.config.validate_every == 0:
                    self.validate(journal)
                is_last = is_last or is_tired(self.state, self.config)
                is_regular = is_last or self.state.step % self.config.checkpoint_every == 0
                if is_regular or stop:
                    self.save(halting=not is_regular)
                if is_last:
                    return True
                if stop:
                    halt(signals[0] if signals else signal.SIGTERM, self.state.step)
                journal.start_lap()
        return True

    def rate(self) -> float:
        """Return the learning rate of the last update."""
        return learning_rate(
            self.state.step, self.plan.optimizer, d_model=self.plan.model.d_model, max_steps=self.config.max_steps
        )

    def update(self, step: Step, journal: Journal, signals: list[int]) -> bool:
        """Take one step, in smaller passes where memory runs out; return whether a rank was told to stop."""
        state = self.state
        state.step += 1
        state.epoch, state.offset = step.next_epoch, step.next_offset
        seed = step_seed(self.config.seed, state.step - 1, self.ranks.rank)
        passes = step.micro_batches
        if step.micro_batch_tokens != self.pass_size:
            passes = self.steps.passes(step.indices, self.pass_size, step.epoch)
        while True:
            is_short = not self.accumulate(passes, seed, step.target_tokens)
            is_short, stop = self.ranks.any(is_short, bool(signals))
            if not is_short:
                break
            passes = self.cut_smaller(step, journal)
        result = self.engine.apply(state.step, rate=self.rate(), tokens=step.target_tokens)
        journal.add(result)
        self.recent.append(step.indices)
        self.seen.update(self.pairs.tokens_by_corpus(step.indices))
        return stop

    def accumulate(self, passes: list[Batch], seed: int, tokens: int) -> bool:
        """Compute the gradients of this rank; return whether the memory sufficed."""
        try:
            self.engine.accumulate(
                [batch.to(self.device) for batch in passes],
                seed=seed,
                smoothing=self.config.label_smoothing,
                tokens=tokens,
            )
        except (RuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error):
                raise
            return False
        return True

    def cut_smaller(self, step: Step, journal: Journal) -> list[Batch]:
        """Halve the passes, for this step and all that follow; every rank does the same."""
        longer = memory.longer_sides(self.pairs)[step.indices]
        now = min(self.pass_size or sys.maxsize, -(-len(step.indices) // self.ranks.size) * int(longer.max()))
        if now <= longer.max():
            raise UsageError(
                f"out of memory at step {self.state.step} with a pass of a single sentence of {longer.max()} pieces",
                hint="take a smaller model, lower cleaning.max_pieces, or a device with more memory",
            )
        self.state.micro_batch_tokens = self.steps.micro_batch_tokens = now // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        text = f"out of memory at step {self.state.step:,}: redone in passes of {now // 2:,} padded tokens"
        journal.say(f"nmt: warning: {text}")
        journal.event(self.state.step, "out_of_memory", {"micro_batch_tokens": now // 2})
        return self.steps.passes(step.indices, now // 2, step.epoch)

    def is_off(self, journal: Journal) -> bool:
        """Look at the updates skipped; go back to an older checkpoint, and return True, where there are too many.

        The data go on where they stand, as in Chowdhery et al. 2022, section 5.1: the same steps would end the
        same. Raises DivergedError where there is no older checkpoint, or not for the first time.
        """
        state = self.state
        skipped, state.in_a_row = self.engine.skipped()
        if skipped > state.skipped:
            new = skipped - state.skipped
            journal.say(f"step {state.step:,}: {new} update{'s' * (new > 1)} skipped: loss or gradient was off")
            journal.event(state.step, "skipped", {"updates": new})
        state.skipped = skipped
        if state.in_a_row < TOO_MANY:
            return False
        good = self.store.newest_good()
        if state.rollbacks == ROLLBACKS or good is None:
            raise self.diverged(state.step - state.in_a_row + 1)
        journal.say(
            f"step {state.step:,}: {state.in_a_row} updates in a row were off; back to step {good.state.step:,}, "
            "going on with the data that come next"
        )
        self.take_over(good)
        self.state = dataclasses.replace(
            good.state,
            epoch=state.epoch,
            offset=state.offset,
            rollbacks=state.rollbacks + 1,
            skipped=skipped,
            micro_batch_tokens=state.micro_batch_tokens,
            ranks=state.ranks,
        )
        self.engine.guard["skipped"].fill_(skipped)
        if self.ranks.is_main:
            for path in self.store.all_paths():
                if step_of(path) > good.state.step:
                    remove(path)
        self.ranks.wait()
        journal.event(state.step, "rollback", {"to_step": self.state.step})
        return True

    def diverged(self, step: int) -> DivergedError:
        """Return the error of a training that went off at `step`, and write down the sentences of that step.

        Where that step was taken before an interruption, it is the first one since then.
        """
        back = min(self.state.step - step + 1, len(self.recent))
        step, indices = self.state.step - back + 1, self.recent[-back]
        rows = [
            {
                "pair": index + 1,
                "source": self.tokenizer.source.decode([self.pairs.src(index).tolist()])[0],
                "target": self.tokenizer.target.decode([self.pairs.tgt(index).tolist()])[0],
            }
            for index in indices.tolist()
        ]
        if self.ranks.is_main:
            write_text(self.files.diverged, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return DivergedError(
            f"loss or gradient is off since step {step:,}, in {self.state.in_a_row} updates in a row"
            f"{' again, after a return to an older checkpoint' if self.state.rollbacks else ''}; the "
            f"{len(rows):,} sentence pairs of that step are in {self.files.diverged}",
            hint="likely causes: learning_rate too high, warmup_steps too short, no clip_norm, or broken pairs",
        )

    def validate(self, journal: Journal) -> None:
        """Score dev; keep the weights where they are among the best."""
        evaluation = self.plan.evaluation
        found = validate(
            self.engine.shipping,
            self.translator,
            self.dev,
            self.ranks,
            tokenize=self.tokenize,
            lowercase=evaluation.lowercase,
        )
        if judge(self.state, found, self.config) and self.ranks.is_main:
            self.store.save_best(self.state, self.engine.shipping.weights(), self.identity)
        journal.dev_line(self.state, found)

    def save(self, *, halting: bool) -> None:
        """Write a checkpoint; no rank goes on before it is there."""
        _, self.state.in_a_row = self.engine.skipped()
        if self.ranks.is_main:
            self.store.save(self.state, self.engine.state(), self.identity, halting=halting)
        self.ranks.wait()


def is_tired(state: TrainingState, config: TrainingConfig) -> bool:
    """Tell whether `patience` is at its end."""
    return config.patience is not None and state.stale >= config.patience


def judge(state: TrainingState, found: Validation, config: TrainingConfig) -> bool:
    """Rank `found` in `state`, and return whether it is among the best that are kept."""
    is_bleu = config.best_metric == "bleu"
    value = found.bleu if is_bleu else found.loss
    better: Callable[[float, float], bool] = float.__gt__ if is_bleu else float.__lt__
    state.stale = 0 if state.best is None or better(value, state.best) else state.stale + 1
    kept = config.average_checkpoints if config.average == "best" else 1
    # Of equals the earlier one is better: it stood there first, and the sort is stable.
    ranked = sorted([*state.ranked, (value, state.step)], key=lambda entry: entry[0], reverse=is_bleu)
    state.ranked = ranked[:kept]
    return state.step in {step for _, step in state.ranked}
