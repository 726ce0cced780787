"""What dev says of the model: loss, perplexity, and BLEU by the same path as `translate`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nmt.data.batching import by_tokens
from nmt.data.dataset import PreparedPairs
from nmt.data.tokenizer import PAD_ID
from nmt.evaluation.metrics import score
from nmt.inference.translator import Translator
from nmt.model.transformer import Transformer
from nmt.training.loss import smoothed_loss


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
def dev_loss(model: Transformer, pairs: PreparedPairs, batch_tokens: int) -> float:
    """Return the mean negative log-likelihood of the target pieces, EOS included, in nats."""
    device = next(model.parameters()).device
    longest = [max(int(s), int(t)) for s, t in zip(pairs.src_lengths, pairs.tgt_lengths, strict=True)]
    total, tokens = 0.0, 0
    for indices in by_tokens(longest, batch_tokens):
        batch = pairs.collate(indices).to(device)
        real = batch.labels != PAD_ID
        labels = batch.labels[real]
        _, nll = smoothed_loss(model(batch.src, batch.tgt_in, real), labels, smoothing=0.0)
        total += float(nll)
        tokens += len(labels)
    return total / tokens


def validate(model: Transformer, translator: Translator, dev: DevSet, *, tokenize: str, lowercase: bool) -> Validation:
    """Score `model` on `dev`; `translator` translates with the same weights."""
    model.eval()
    loss = dev_loss(model, dev.pairs, translator.decoding.batch_tokens)
    hypotheses = [translation.text for translation in translator.stream(dev.sources)]
    bleu = score(hypotheses, [dev.references], tokenize=tokenize, lowercase=lowercase, metrics=("bleu",))["bleu"]
    return Validation(loss, bleu["score"], bleu["signature"])
