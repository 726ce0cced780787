"""Validation on dev: loss, perplexity, BLEU and chrF by the same path as `translate`, and the ranking of results."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Self

import numpy as np
import torch

from nmt.config.data import GUARD
from nmt.config.decoding import EvaluationConfig, InferencePrecision
from nmt.config.inference import TrainingLines
from nmt.config.recipe import Recipe
from nmt.config.training import TrainingConfig
from nmt.data.cleaning.corpus_text import DEVS
from nmt.data.directions import Direction
from nmt.data.encoding.batching import by_tokens
from nmt.data.encoding.corpus_ids import protected
from nmt.data.encoding.dataset import DrawnPairs, Ids, Pairs
from nmt.data.encoding.tokenizer import SentencePieceModel, Tokenizer
from nmt.data.placeholders import protector_for
from nmt.evaluation.metrics import resolve_tokenizer, score, with_brackets
from nmt.inference.engines.native import NativeEngine
from nmt.inference.translator import Translator
from nmt.model.preparation import prepare
from nmt.model.protocol import Model
from nmt.training.checkpoint import TrainingState
from nmt.training.distributed import Ranks
from nmt.training.objectives import corruption_of, translation_loss

DEV_SEED = 0
MAX_NLL = 700.0  # nats above which a perplexity would overflow a float


@dataclass(frozen=True)
class DevPart:
    """One of several dev sets."""

    rows: range  # of all
    direction: Direction  # in which it is translated
    tokenize: str  # BLEU's tokenizer for its target language


def dev_parts(recipe: Recipe, corpora: Mapping[str, tuple[int, int]]) -> dict[str, DevPart]:
    """Return the dev sets by name, whose rows `corpora` gives; none where the recipe has one direction and one set."""
    if not recipe.data.devs and not recipe.languages.directions:
        return {}
    parts = {}
    for name, rows in corpora.items():
        languages = recipe.languages_of(name if name in recipe.data.held_out else f"{DEVS}{name}")
        tokenize = resolve_tokenizer(recipe.evaluation.tokenize, languages.target)
        parts[name] = DevPart(range(*rows), Direction.of(*languages.pair, recipe.languages), tokenize)
    return parts


@dataclass(frozen=True)
class DevSet:
    """Dev as text and as ids."""

    sources: list[str]
    references: list[str]
    pairs: Pairs
    parts: Mapping[str, DevPart] = field(default_factory=dict)
    """The dev sets that it consists of, by name; none where it is one, of the only direction."""

    @classmethod
    def of(
        cls, sources: list[str], references: list[str], recipe: Recipe, tokenizer: Tokenizer, name: str = GUARD
    ) -> "DevSet":
        """Encode the set `name`, which has no prepared ids, as dev is encoded: sides are cut to `model.max_length`."""
        longest, pairs = recipe.model.max_length - 1, list(zip(sources, references, strict=True))
        if (protector := protector_for(recipe.data.protect, tokenizer.placeholders)) is not None:
            pairs = [protected(pair, protector, tokenizer.tags) for pair in pairs]

        def encoded(side: int, model: SentencePieceModel) -> list[Ids]:
            return [np.array(ids[:longest], np.int64) for ids in model.encode([pair[side] for pair in pairs])]

        drawn = DrawnPairs(encoded(0, tokenizer.source), encoded(1, tokenizer.target))
        return cls(sources, references, drawn, dev_parts(recipe, {name: (0, len(sources))}))

    def corrupted(self, recipe: Recipe, tokenizer: Tokenizer) -> "DevSet":
        """Return dev as the objective of `recipe` makes it in the first epoch of DEV_SEED, the same for every seed."""
        rows = np.arange(len(self.pairs.tgt_lengths))
        corpora = {} if recipe.data.train else {"dev": (0, len(rows))}
        corruption = corruption_of(recipe, tokenizer, corpora, DEV_SEED)
        return replace(self, pairs=corruption.apply(self.pairs.sides(rows), rows, 0)) if corruption else self


@dataclass(frozen=True)
class Validation:
    """The result of one validation."""

    loss: float  # negative log-likelihood of a target piece, in nats, unsmoothed
    bleu: float | None = None  # None of other objectives than translation, and so the others
    signature: str | None = None
    chrf: float | None = None
    chrf_signature: str | None = None
    bracket_f1: float | None = None  # None also where dev is not of trees, and so the next two
    strict_f1: float | None = None
    strict_signature: str | None = None
    parts: Mapping[str, "Validation"] = field(default_factory=dict)  # of several dev sets each, whose means these are

    @classmethod
    def mean(cls, parts: Mapping[str, Self]) -> Self:
        """Return the means of several dev sets; a signature that they do not share is None."""

        def mean(name: str) -> float | None:
            values = [getattr(part, name) for part in parts.values()]
            return None if None in values else math.fsum(values) / len(values)

        def shared(name: str) -> str | None:
            values = {getattr(part, name) for part in parts.values()}
            return values.pop() if len(values) == 1 else None

        scores = {name: mean(name) for name in ("bleu", "chrf", "bracket_f1", "strict_f1")}
        signatures = {name: shared(name) for name in ("signature", "chrf_signature", "strict_signature")}
        loss = math.fsum(part.loss for part in parts.values()) / len(parts)
        return cls(loss, **scores, **signatures, parts=parts)  # type: ignore[arg-type]

    @property
    def perplexity(self) -> float:
        return perplexity(self.loss)


def perplexity(nll: float) -> float:
    """Return exp(`nll`), or the largest that can be written."""
    return math.exp(min(nll, MAX_NLL))


def translator_of(recipe: Recipe, tokenizer: Tokenizer, model: Model, lines: TrainingLines | None) -> Translator:
    """Return the translator of validation, which translates with the weights that `model` has at the moment."""
    return Translator(
        NativeEngine([model]),
        tokenizer,
        recipe.decoding,
        max_length=recipe.model.max_length,
        protector=protector_for(recipe.data.protect, tokenizer.placeholders),
        direction=Direction.of(*recipe.languages.pair, recipe.languages),
        lines=lines,
    )


def with_prepared(translator: Translator, model: Model, precision: InferencePrecision) -> Translator:
    """Return `translator` with a copy of `model` that computes as `nmt translate` does."""
    translator = copy.copy(translator)
    translator.engine = NativeEngine([prepare(copy.deepcopy(model), precision)])
    return translator


@torch.inference_mode()
def dev_nll(
    model: Model, pairs: Pairs, batch_tokens: int, ranks: Ranks, rows: range | None = None
) -> tuple[float, int]:
    """Return the negative log-likelihood, in nats, and the number of the target pieces in this rank's share.

    Of `rows` alone, if they are given.
    """
    rows = range(len(pairs.src_lengths)) if rows is None else rows
    longest = [max(int(pairs.src_lengths[row]), int(pairs.tgt_lengths[row])) for row in rows]
    total, tokens = 0.0, 0
    for indices in by_tokens(longest, batch_tokens)[ranks.rank :: ranks.size]:
        batch = pairs.collate([rows[index] for index in indices]).to(model.device)
        _, nll = translation_loss(model, batch, smoothing=0.0)
        total += float(nll)
        tokens += batch.target_tokens
    return total, tokens


def validate(model: Model, translator: Translator, dev: DevSet, ranks: Ranks, metrics: EvaluationConfig) -> Validation:
    """Score `model` on `dev`, or on each of several dev sets, each rank a share.

    `translator` translates with the same weights. The tokenizer of `metrics` is one of sacreBLEU's, not `auto`; each of
    several dev sets has its own.
    """
    model.eval()
    parts = {
        name: _validate(model, translator.facing(part.direction), dev, part.rows, ranks, metrics, part.tokenize)
        for name, part in dev.parts.items()
    }
    if len(parts) > 1:
        return Validation.mean(parts)
    return next(iter(parts.values()), None) or _validate(model, translator, dev, None, ranks, metrics, metrics.tokenize)


def _validate(
    model: Model,
    translator: Translator,
    dev: DevSet,
    rows: range | None,
    ranks: Ranks,
    metrics: EvaluationConfig,
    tokenize: str,
) -> Validation:
    """Score `model` on `rows` of `dev`, by default all, with this tokenizer of BLEU."""
    nll = dev_nll(model, dev.pairs, translator.batch_tokens, ranks, rows)
    own = slice(None) if rows is None else slice(rows.start, rows.stop)
    sources, references = dev.sources[own], dev.references[own]
    texts = [translation.text for translation in translator.stream(sources[ranks.rank :: ranks.size])]
    shares = ranks.gather((nll, texts))
    loss = sum(total for (total, _), _ in shares) / sum(tokens for (_, tokens), _ in shares)
    hypotheses = [""] * len(sources)
    for rank, (_, share) in enumerate(shares):
        hypotheses[rank :: ranks.size] = share
    scores = score(
        hypotheses,
        [references],
        tokenize=tokenize,
        lowercase=metrics.lowercase,
        chrf_word_order=metrics.chrf_word_order,
        metrics=with_brackets(("bleu", "chrf"), [references]),
    )
    bleu, chrf = scores["bleu"], scores["chrf"]
    validation = Validation(loss, bleu["score"], bleu["signature"], chrf["score"], chrf["signature"])
    if "strict-f1" not in scores:
        return validation
    strict = scores["strict-f1"]
    return replace(
        validation,
        bracket_f1=scores["bracket-f1"]["score"],
        strict_f1=strict["score"],
        strict_signature=strict["signature"],
    )


def validate_loss(model: Model, dev: DevSet, batch_tokens: int, ranks: Ranks) -> Validation:
    """Compute the loss of `model` alone on `dev`, or on each of several dev sets, each rank a share."""
    model.eval()

    def of(rows: range | None) -> Validation:
        shares = ranks.gather(dev_nll(model, dev.pairs, batch_tokens, ranks, rows))
        return Validation(sum(total for total, _ in shares) / sum(tokens for _, tokens in shares))

    if len(dev.parts) > 1:
        return Validation.mean({name: of(part.rows) for name, part in dev.parts.items()})
    return of(None)


def rank_validation(state: TrainingState, validation: Validation, config: TrainingConfig) -> bool:
    """Rank `validation` in `state`, and return whether it is among the best that are kept."""
    found: float = getattr(validation, config.best_metric.replace("-", "_"))
    value = found if math.isfinite(found) else None  # as a checkpoint has it
    loss = validation.loss if math.isfinite(validation.loss) else None
    rows = [*zip_longest(state.ranked, state.losses), ((value, state.step), loss)]
    # Of equals the earlier one is better: it comes first, and the sort is stable.
    rows.sort(key=lambda row: _order(row[0][0], row[1], config))
    state.stale = 0 if rows[0][0][1] == state.step else state.stale + 1
    kept = rows[: config.average_checkpoints if config.average == "best" else 1]
    state.ranked, state.losses = [row for row, _ in kept], [loss for _, loss in kept]
    if state.stage_best is None or _order(value, loss, config) < _order(*state.stage_best, config):
        state.stage_best, state.stage_stale = (value, loss), 0
    else:
        state.stage_stale += 1
    return state.step in {step for _, step in state.ranked}


def _order(value: float | None, loss: float | None, config: TrainingConfig) -> tuple[float, float]:
    """Return the key by which validations are sorted, best first; None is what is no number."""
    if value is None or config.best_metric == "loss":
        return math.inf if value is None else value, 0.0
    # Scores count as they are printed: a BLEU of 0.001 is no progress over one of 0.
    return -round(value, 2), math.inf if loss is None else loss
