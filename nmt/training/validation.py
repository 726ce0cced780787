"""What dev says of the model: loss, perplexity, and BLEU by the same path as `translate`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nmt.data.encoding.batching import by_tokens
from nmt.data.encoding.dataset import PreparedPairs
from nmt.evaluation.metrics import score
from nmt.inference.translator import Translator
from nmt.model.protocol import Model
from nmt.training.distributed import Ranks
from nmt.training.objectives import translation_loss


@dataclass(frozen=True)
class DevSet:
    """Dev as text and as ids."""

    sources: list[str]
    references: list[str]
    pairs: PreparedPairs


@dataclass(frozen=True)
class Validation:
    """One look at dev."""

    loss: float
    """Negative log-likelihood of a target piece, in nats, unsmoothed."""
    bleu: float
    signature: str

    @property
    def perplexity(self) -> float:
        """Of a target piece; it depends on the vocabulary."""
        return math.exp(min(self.loss, 700.0))


@torch.inference_mode()
def dev_nll(model: Model, pairs: PreparedPairs, batch_tokens: int, ranks: Ranks) -> tuple[float, int]:
    """Return the negative log-likelihood of this rank's share of the target pieces, in nats, and their number."""
    longest = [max(int(s), int(t)) for s, t in zip(pairs.src_lengths, pairs.tgt_lengths, strict=True)]
    total, tokens = 0.0, 0
    for indices in by_tokens(longest, batch_tokens)[ranks.rank :: ranks.size]:
        batch = pairs.collate(indices).to(model.device)
        _, nll = translation_loss(model, batch, smoothing=0.0)
        total += float(nll)
        tokens += batch.target_tokens
    return total, tokens


def validate(
    model: Model, translator: Translator, dev: DevSet, ranks: Ranks, *, tokenize: str, lowercase: bool
) -> Validation:
    """Score `model` on `dev`, each rank a share; `translator` translates with the same weights."""
    model.eval()
    nll = dev_nll(model, dev.pairs, translator.decoding.batch_tokens, ranks)
    texts = [translation.text for translation in translator.stream(dev.sources[ranks.rank :: ranks.size])]
    shares = ranks.gather((nll, texts))
    loss = sum(total for (total, _), _ in shares) / sum(tokens for (_, tokens), _ in shares)
    hypotheses = [""] * len(dev.sources)
    for rank, (_, share) in enumerate(shares):
        hypotheses[rank :: ranks.size] = share
    bleu = score(hypotheses, [dev.references], tokenize=tokenize, lowercase=lowercase, metrics=("bleu",))["bleu"]
    return Validation(loss, bleu["score"], bleu["signature"])
