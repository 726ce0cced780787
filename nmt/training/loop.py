"""The training loop, from the newest checkpoint to the last step."""

import dataclasses
import json
import signal
import sys
from collections import Counter, deque
from contextlib import closing

import torch

from nmt import console, devices, runtime
from nmt.config.curriculum import StageConfig
from nmt.config.inference import TrainingLines
from nmt.config.recipe import Recipe
from nmt.data.encoding.batching import Ints
from nmt.data.encoding.dataset import Batch, PreparedPairs, SubwordRegularization
from nmt.data.encoding.steps import Step, StepStream
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.errors import ArtifactError, DivergedError, UsageError, explaining_shortage, is_out_of_memory
from nmt.evaluation.metrics import resolve_tokenizer
from nmt.evaluation.scoring import choose_tokenizer
from nmt.files import digest_json, read_json, remove, remove_partials, write_json, write_text
from nmt.inference.protocol import BATCH_TOKENS
from nmt.model.families import build
from nmt.run_folder import RunFolder
from nmt.training import forgetting, memory
from nmt.training.checkpoint import Checkpoint, Checkpoints, TrainingState, refuse_other, step_of
from nmt.training.checkpoint_writer import CheckpointWriter
from nmt.training.curriculum import Curriculum
from nmt.training.distributed import Ranks, checksum
from nmt.training.forgetting import ForgettingGuard
from nmt.training.guard import MAX_SKIPPED_IN_A_ROW
from nmt.training.identity import identity_of
from nmt.training.init_from import InitialModel
from nmt.training.log import METRICS, TrainingLog
from nmt.training.objectives import corruption_of, loss_weights
from nmt.training.signals import catching_signals, halt
from nmt.training.threads import fix_threads
from nmt.training.updater import Updater, step_seed
from nmt.training.validation import (
    DevSet,
    Validation,
    rank_validation,
    translator_of,
    validate,
    validate_loss,
    with_prepared,
)

CHECK_EVERY = 10  # steps between checks of the skipped updates, which wait for the device
MAX_ROLLBACKS = 1  # returns to an older checkpoint before the training gives up
NO_ROOM = "take a smaller model, lower cleaning.max_pieces, or a device with more memory"
DEV_SAMPLE = 8  # longest dev sentences that are translated before the first step


class Trainer:
    """One training on this rank."""

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: Tokenizer,
        pairs: PreparedPairs,
        dev: DevSet,
        folder: RunFolder,
        *,
        data: str,
        lines: TrainingLines | None = None,
        initial: InitialModel | None = None,
        guard: DevSet | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        """Build the model and all that trains it; `data` is the digest of the prepared ids, `lines` their lengths.

        `initial` is the model whose weights a training starts from, by default random ones; `guard` is the text of
        `training.guard`.
        """
        config = recipe.training
        self.recipe, self.config, self.folder = recipe, config, folder
        self.initial, self.ranks = initial, ranks or Ranks()
        self.tokenizer, self.pairs, self.dev = tokenizer, pairs, dev.corrupted(recipe, tokenizer)
        self.guard = ForgettingGuard(config.guard, guard) if config.guard and guard else None
        self.identity = identity_of(recipe, data, initial.weights if initial else None)
        runtime.keep_freed_memory()
        runtime.bound_kernels()
        self.device = devices.pick_device(config.device)
        if config.deterministic:
            devices.compute_deterministically()
        torch.manual_seed(config.seed)
        model = build(recipe.model, tokenizer.source_size, tokenizer.target_size).to(self.device)
        compiled = config.compile and devices.compiler_works(self.device)
        if config.compile and not compiled:
            console.warn("training.compile: no compiler that works on this machine; the layers run as they are")
        self.updater = Updater(
            model, recipe.optimizer, config.precision, self.ranks, ema_decay=config.ema_decay, compiled=compiled
        )
        is_translation, eval_model = config.objective == "translation", self.updater.eval_model
        self.translator = translator_of(recipe, tokenizer, eval_model, lines) if is_translation else None
        """The translator of validation; other objectives have their loss alone."""
        tokenize = resolve_tokenizer(recipe.evaluation.tokenize, recipe.languages.target)
        self.metrics = recipe.evaluation.model_copy(update={"tokenize": tokenize})
        self.checkpoints = Checkpoints(folder.checkpoints, config.keep_checkpoints)
        self.writer = CheckpointWriter(self.checkpoints, self.device)
        self.corpus_sizes = {name: end - start for name, (start, end) in pairs.corpora.items()}
        self.curriculum = Curriculum(recipe, self.corpus_sizes)
        self.state = TrainingState()
        self.steps = self.steps_of(self.curriculum.stage(self.state))
        self.tokens_seen = Counter(dict.fromkeys(pairs.corpora, 0))
        """Target tokens of each corpus since the last line of the log."""
        self.recent: deque[Ints] = deque(maxlen=2 * CHECK_EVERY)  # sentences of the last steps

    def steps_of(self, stage: StageConfig) -> StepStream:
        """Return the steps of a stage, which each epoch draws anew."""
        recipe, tokenizer, seed = self.recipe, self.tokenizer, self.config.seed
        alpha, longest = recipe.tokenizer.sampling, recipe.model.max_length - 1
        return StepStream(
            self.pairs,
            recipe.batching.tokens_per_step,
            seed,
            weights=self.curriculum.weights(stage),
            regularization=SubwordRegularization(tokenizer, alpha, seed, longest) if alpha else None,
            corruption=corruption_of(recipe, tokenizer, self.pairs.corpora, seed),
            rank=self.ranks.rank,
            ranks=self.ranks.size,
        )

    def run(self) -> TrainingState:
        """Train to the end, from the newest whole checkpoint if there is one, else from the initial weights.

        Killed at any instant and called again, it ends with the same bits, on a CPU with as many threads and ranks.
        Raises ArtifactError where the checkpoints are another recipe's, DivergedError where too many updates are
        skipped, ForgottenError where not even the first validation is within the bound of the guard.
        """
        self.resume()
        state, config, last = self.state, self.config, self.config.max_steps
        if state.step > last:
            raise ArtifactError(
                f"{self.checkpoints.folder}: trained for {state.step} steps, beyond training.max_steps = {last}",
                hint="take another --run-dir, or delete the folder checkpoints to train anew",
            )
        if self.is_done():
            console.log(f"train: step {state.step:,} was the last one; nothing to do")
            forgetting.check_end(state, config)
            return state
        if self.curriculum.is_over(state):  # a guard, whose bound is higher now, had ended the training with the stage
            self.curriculum.advance(state)
        if state.step == 0:
            if self.initial is not None:
                self.updater.load_weights(self.initial.load())
                console.log(f"train: starting from the weights {self.initial.file}")
            self.fit_memory()
        if not self.curriculum.is_given:
            self.curriculum.log_shares(state)
        self.warn_of_dev()
        is_main = self.ranks.is_main
        with (
            catching_signals() as signals,
            self.writer,
            TrainingLog(
                self.folder.log if is_main else None,
                resume_after=state.step,
                max_steps=last,
                tensorboard=self.folder.tensorboard if is_main and config.tensorboard else None,
                shown=is_main,
            ) as log,
        ):
            if self.guard and state.step == 0 and self.initial is not None:
                self.guard.begin(state, self.validation(self.guard.text), log)
            # A rollback and a new stage restart the stream of steps at their position.
            while not self.run_steps(log, signals):
                pass
        if config.patience is not None and self.state.stale >= config.patience:
            metric = METRICS[config.best_metric]
            console.log(f"train: stopped early: {self.state.stale} validations without a better dev {metric}")
        forgetting.check_end(self.state, config)
        return self.state

    def is_done(self) -> bool:
        """Return whether the last step was taken, or the guard ended the training."""
        state = self.state
        is_over = self.curriculum.is_over(state) and self.curriculum.is_last(state)
        return is_over or forgetting.is_beyond(state, self.config.guard)

    def warn_of_dev(self) -> None:
        """Warn of blank references of dev, and of a tokenizer with which its BLEU means little."""
        if self.translator is None:
            return
        sets = {"dev": (self.metrics.tokenize, self.dev.references)}
        if self.dev.parts:
            sets = {
                f"dev {name}": (part.tokenize, self.dev.references[part.rows.start : part.rows.stop])
                for name, part in self.dev.parts.items()
            }
        for name, (tokenize, references) in sets.items():
            for flaw in choose_tokenizer(tokenize, None, [references])[1]:
                console.warn(f"{name}: {flaw}")

    def resume(self) -> None:
        """Restore the newest whole checkpoint, if there is one."""
        if not self.ranks.is_main:
            self.ranks.barrier()  # the first rank removes the partial files of a killed writer
        remove_partials(self.checkpoints.folder)
        newest, damage = self.checkpoints.newest("; delete the folder to start anew")
        if self.ranks.is_main:
            self.ranks.barrier()
        for message in damage:
            console.warn(f"{message}; going on from an older checkpoint")
        if newest is not None:
            refuse_other(newest.path, newest.identity, self.identity)
            self.restore(newest)
            where = f", {self.curriculum.title(self.state)}" if self.curriculum.is_given else ""
            console.log(f"train: resuming after step {newest.state.step:,}{where}")
            if newest.state.ranks != self.ranks.size:
                console.warn(
                    f"trained by {newest.state.ranks} processes so far, now by {self.ranks.size}: the sentences of "
                    "each step stay, but dropout and rounding differ from an uninterrupted run"
                )
        if self.state.metric != self.config.best_metric:
            self.state = self.state.unranked(self.config.best_metric)
        if self.guard:
            self.guard.bind(self.state, is_initial=self.initial is not None)
        self.state.ranks = self.ranks.size
        begun = {
            "inputs": digest_json(self.identity),
            "step": self.state.step,
            "checkpoint": digest_json(newest.files) if newest else None,
            "micro-batch size": self.micro_batch_tokens,
        }
        hint = (
            "several machines need one shared run folder: wait until all of them see the same files, and run it again"
        )
        self.ranks.check_equal(begun, hint)
        if self.device.type == "cpu":
            fix_threads(self.state, self.config.threads, self.ranks)

    def restore(self, checkpoint: Checkpoint) -> None:
        try:
            self.updater.restore(checkpoint)
        except (ValueError, KeyError) as error:
            raise ArtifactError(f"{checkpoint.path}: does not hold this model: {error}") from None
        self.state = checkpoint.state

    def fit_memory(self) -> None:
        """Find the largest micro-batch that fits into the memory, where the recipe leaves it open.

        The lock keeps the result, so that a run that is killed before its first checkpoint cuts its steps alike.
        """
        if self.recipe.batching.micro_batch_tokens != "auto":
            return
        lock, identity = read_json(self.folder.lock) or {}, digest_json(self.identity)
        (known, *_) = self.ranks.gather(lock.get("passes"))  # the first rank wrote it
        if known and known["identity"] == identity and known["ranks"] == self.ranks.size:
            self.state.micro_batch_tokens = known["micro_batch_tokens"]
            return
        room = memory.room_for_micro_batches(self.updater)
        room //= self.ranks.size if self.device.type == "cpu" else 1  # processes on CPUs share one memory
        streams = map(self.steps_of, self.curriculum.stages)
        share = -(-max(memory.longest_step(self.pairs, stream) for stream in streams) // self.ranks.size)
        size = self.ranks.min(memory.fit(memory.micro_batch_cost(self.updater, self.steps, self.config), share, room))
        self.try_longest_dev()
        text = f"a step is one micro-batch of up to {share:,} padded tokens a side"
        if size < share:
            text = f"a step is cut into micro-batches of up to {size:,} padded tokens a side"
        if size < share or self.recipe.tokenizer.sampling:  # new splits may make a step longer than any that was tried
            self.state.micro_batch_tokens = min(size, share)
        console.log(f"train: {text}, which fits into {room / 2**30:.1f} GiB of free memory")
        if self.ranks.is_main:
            now = self.state.micro_batch_tokens
            fitted = {"identity": identity, "ranks": self.ranks.size, "micro_batch_tokens": now}
            write_json(self.folder.lock, {**lock, "passes": fitted})

    def try_longest_dev(self) -> None:
        """Translate the longest dev sentences, so that a memory too small for them fails now. Raises UsageError."""
        if self.translator is None:
            return
        with explaining_shortage("the longest dev sentences do not fit into the memory", "lower decoding.batch_tokens"):
            self.translator.translate(sorted(self.dev.sources, key=len)[-DEV_SAMPLE:])

    @property
    def micro_batch_tokens(self) -> int | None:
        """The size into which a step is cut now; None: it is one micro-batch."""
        sizes = (self.recipe.batching.micro_batch_tokens, self.state.micro_batch_tokens)
        return min((size for size in sizes if isinstance(size, int)), default=None)

    def run_steps(self, log: TrainingLog, signals: list[int]) -> bool:
        """Take steps from the state's position to the last one; return False after a rollback, or a whole stage."""
        self.begin_stage(log)
        self.steps.micro_batch_tokens = self.micro_batch_tokens
        config, last = self.config, self.curriculum.last_step(self.state)
        with closing(self.steps.from_position(self.state.epoch, self.state.offset)) as stream:
            log.start_lap()
            for step in stream:
                log.data_ready()
                is_told_to_stop = self.update(step, log, signals)
                number = self.state.step
                log.show_step(number)
                self.writer.check()
                is_end = number == last
                if (is_end or number % CHECK_EVERY == 0) and self.roll_back_if_diverged(log):
                    return False
                if is_end or number % config.log_every == 0:
                    self.log_updates(log)
                if is_end or number % config.validate_every == 0:
                    self.validate(log)
                is_last, is_over = self.is_done(), self.curriculum.is_over(self.state)
                if is_over and not is_last:
                    self.curriculum.advance(self.state)
                is_regular = is_last or number % config.checkpoint_every == 0
                if is_regular or is_told_to_stop:
                    self.save(halting=not is_regular)
                if is_last or is_told_to_stop:
                    self.finish_saving()
                if is_last:
                    return True
                if is_told_to_stop:
                    halt(signals[0] if signals else signal.SIGTERM, number)
                if is_over:
                    return False
                log.start_lap()
        return True

    def begin_stage(self, log: TrainingLog) -> None:
        """Draw the steps of the stage of the state, where the recipe has stages, and say so."""
        if not self.curriculum.is_given:
            return
        self.steps = self.steps_of(self.curriculum.stage(self.state))
        self.curriculum.announce(self.state, log)

    def rate(self) -> float:
        """Return the learning rate of the last update."""
        return self.curriculum.learning_rate(self.state)

    def update(self, step: Step, log: TrainingLog, signals: list[int]) -> bool:
        """Take one step, in smaller micro-batches where memory runs out; return whether a rank was told to stop."""
        state = self.state
        state.step += 1
        state.epoch, state.offset = step.next_epoch, step.next_offset
        seed = step_seed(self.config.seed, state.step - 1, self.ranks.rank)
        batches = step.micro_batches
        if step.micro_batch_tokens != self.micro_batch_tokens:
            batches = self.steps.collate(step.indices, self.micro_batch_tokens, step.epoch)
        while True:
            is_short = not self.accumulate(batches, seed, step.target_tokens)
            is_short, is_told_to_stop = self.ranks.any(is_short, bool(signals))
            if not is_short:
                break
            batches = self.cut_smaller(step, log)
        with explaining_shortage(f"out of memory in the optimizer at step {state.step}", NO_ROOM):
            log.add_update(self.updater.apply(state.step, rate=self.rate(), tokens=step.target_tokens))
        self.recent.append(step.indices)
        self.tokens_seen.update(self.pairs.tokens_by_corpus(step.indices))
        return is_told_to_stop

    def accumulate(self, batches: list[Batch], seed: int, tokens: int) -> bool:
        """Compute the gradients of this rank; return whether the memory sufficed."""
        try:
            on_device = [batch.to(self.device) for batch in batches]
            self.updater.accumulate(on_device, seed=seed, tokens=tokens, **loss_weights(self.config))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def cut_smaller(self, step: Step, log: TrainingLog) -> list[Batch]:
        """Halve the micro-batches of this step and all later ones; every rank does the same."""
        longer = memory.longer_sides(self.pairs)[step.indices]
        now = min(self.micro_batch_tokens or sys.maxsize, -(-len(step.indices) // self.ranks.size) * int(longer.max()))
        if now <= longer.max():
            raise UsageError(
                f"out of memory at step {self.state.step} with a single sentence of {longer.max()} pieces",
                hint=NO_ROOM,
            )
        self.state.micro_batch_tokens = self.steps.micro_batch_tokens = now // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        text = f"out of memory at step {self.state.step:,}: repeated in micro-batches of {now // 2:,} padded tokens"
        log.say(f"nmt: warning: {text}")
        log.record("out_of_memory", self.state.step, {"micro_batch_tokens": now // 2})
        return self.steps.collate(step.indices, now // 2, step.epoch)

    def roll_back_if_diverged(self, log: TrainingLog) -> bool:
        """Report skipped updates; where too many follow each other, return to an older checkpoint and return True.

        The data go on where they stand, as in Chowdhery et al. 2022, section 5.1: the same steps would diverge again.
        Raises DivergedError where there is no older checkpoint, or not for the first time.
        """
        state = self.state
        skipped, state.in_a_row = self.updater.guard.counts()
        if skipped > state.skipped:
            new = skipped - state.skipped
            log.say(f"step {state.step:,}: {new} update{'s' * (new > 1)} skipped: abnormal loss or gradient")
            log.record("skipped", state.step, {"updates": new})
        state.skipped = skipped
        if state.in_a_row <= MAX_SKIPPED_IN_A_ROW:
            return False
        self.finish_saving()
        good = self.checkpoints.newest_good()
        if state.rollbacks == MAX_ROLLBACKS or good is None:
            raise self.diverged(state.step - state.in_a_row + 1)
        log.say(
            f"step {state.step:,}: {state.in_a_row} updates skipped in a row; back to step {good.state.step:,}, "
            "going on with the data that come next"
        )
        self.restore(good)
        kept = {name: getattr(state, name) for name in ("epoch", "offset", "micro_batch_tokens", "ranks", "threads")}
        if good.state.stage_ends != state.stage_ends:  # of the earlier stage, an epoch that is new
            kept |= {"epoch": state.epoch + bool(state.offset), "offset": 0}
        self.state = dataclasses.replace(good.state, **kept, rollbacks=state.rollbacks + 1, skipped=skipped)
        self.updater.guard.skipped.fill_(skipped)
        if self.ranks.is_main:
            for path in self.checkpoints.all_paths():
                if step_of(path) > good.state.step:
                    remove(path)
        self.ranks.barrier()
        log.record("rollback", state.step, {"to_step": self.state.step})
        return True

    def diverged(self, step: int) -> DivergedError:
        """Write the sentences of `step`, where the training diverged, and return the error to raise.

        Where that step was taken before an interruption, it is the first one since then.
        """
        back = min(self.state.step - step + 1, len(self.recent))
        step, indices = self.state.step - back + 1, self.recent[-back]
        rows = self.pairs.as_text(indices, self.tokenizer)
        if self.ranks.is_main:
            write_text(self.folder.diverged, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return DivergedError(
            f"abnormal loss or gradient since step {step:,}, in {self.state.in_a_row} updates in a row"
            f"{' again, after a return to an older checkpoint' if self.state.rollbacks else ''}; the "
            f"{len(rows):,} sentence pairs of that step are in {self.folder.diverged}",
            hint="likely causes: learning_rate too high, warmup_steps too short, no clip_norm, or broken pairs",
        )

    def log_updates(self, log: TrainingLog) -> None:
        """Write the line of the updates since the last one."""
        skipped, _ = self.updater.guard.counts()
        peak = devices.peak_memory(self.device)
        log.train_line(self.state, self.rate(), memory=peak, skipped=skipped, tokens_seen=self.tokens_seen)
        self.tokens_seen = Counter(dict.fromkeys(self.tokens_seen, 0))

    def validate(self, log: TrainingLog) -> None:
        """Score dev, and the text of the guard; keep the weights where they are among the best within its bound.

        Without an initial model the fine-tuning begins when the first stage is over.
        """
        state, guard, validation = self.state, self.guard, self.validation(self.dev)
        is_tuning = state.guard_start is not None
        if guard and is_tuning:
            guard.compare(state, self.validation(guard.text), log)
        is_within = not forgetting.is_beyond(state, self.config.guard)
        if is_within and rank_validation(state, validation, self.config) and self.ranks.is_main:
            self.writer.save_best(state, self.updater.eval_model.weights(), self.identity)
        log.dev_line(state, validation)
        if guard and not is_tuning and self.curriculum.is_over(state):
            guard.begin(state, self.validation(guard.text), log)

    def validation(self, text: DevSet) -> Validation:
        """Return the scores of `text`, or its loss where the objective has no others."""
        model, translator, decoding = self.updater.eval_model, self.translator, self.recipe.decoding
        if translator is None:
            batch_tokens = decoding.batch_tokens or BATCH_TOKENS[self.device.type]
            return validate_loss(model, text, batch_tokens, self.ranks)
        # As `nmt translate` computes; on a GPU a copy in float32 would take more than it gives.
        if self.device.type == "cpu" or decoding.precision != "float32":
            translator = with_prepared(translator, model, decoding.precision)
        return validate(model, translator, text, self.ranks, self.metrics)

    def save(self, *, halting: bool) -> None:
        """Begin to write a checkpoint, and go on when its tensors are copied.

        Raises ArtifactError where the weights of the ranks, which have the same bits, differ.
        """
        if self.ranks.size > 1:
            weights = {f"weights after step {self.state.step}": checksum(self.updater.parameters)}
            self.ranks.check_equal(weights, "run it again to go on from the checkpoint before, on machines of one kind")
        _, self.state.in_a_row = self.updater.guard.counts()
        if self.ranks.is_main:
            self.writer.save(self.state, self.updater.state(), self.identity, halting=halting)

    def finish_saving(self) -> None:
        """Wait for the checkpoints that were begun; no rank goes on before they are complete."""
        self.writer.wait()
        self.ranks.barrier()
