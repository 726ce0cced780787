"""The constraints of hypotheses: prefixes, lengths, repetition, placeholders, trees. They act on the logits."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.data.encoding.trees import TreePieces
from nmt.inference.protocol import Row
from nmt.inference.term_constraint import Avoided, TermConstraint
from nmt.inference.trees import TreeConstraint

LIKELY = math.log(0.5)
"""Log-probability of EOS above which a hypothesis would end."""


def pad(rows: Sequence[list[int]], device: torch.device) -> Tensor:
    """Return `rows` of ids as one tensor (B, longest), padded at the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD_ID] * (longest - len(row))] for row in rows], dtype=torch.long, device=device)


class Constraints:
    """The pieces that may follow a hypothesis, whatever the model's probabilities."""

    def __init__(
        self,
        decoding: DecodingConfig,
        rows: Sequence[Row],
        longest: int,
        device: torch.device,
        trees: TreePieces | None = None,
        edges: bytes | None = None,
    ) -> None:
        limits = [row.limit(decoding, longest) for row in rows]
        self.decoding = decoding
        self.limits = torch.tensor(limits, device=device)  # (B) longest target in pieces, EOS included
        self.prefixes = pad([row.prefix for row in rows], device)  # (B, P) pieces with which each target begins, padded
        self.forbidden = pad([sorted(row.forbidden) for row in rows], device)  # (B, F) padded
        self.first_limit, self.last_limit = min(limits), max(limits)
        self.terms = self.avoided = None
        if edges is not None:
            bits = torch.frombuffer(bytearray(edges), dtype=torch.uint8).to(device)
            if any(row.needs for row in rows):
                self.terms = TermConstraint(rows, self.limits, bits)
            if any(row.avoided for row in rows):
                self.avoided = Avoided([row.avoided for row in rows], bits)
        self.trees = None if trees is None else TreeConstraint(trees, [row.words for row in rows], self.limits)

    def keep_sentences(self, sentences: Tensor) -> None:
        self.limits, self.prefixes = self.limits[sentences], self.prefixes[sentences]
        self.forbidden = self.forbidden[sentences]
        for constraint in (self.trees, self.terms, self.avoided):
            if constraint is not None:
                constraint.keep_sentences(sentences)

    def apply(self, logits: Tensor, norms: Tensor, histories: Tensor, part: "slice[int, int, int]") -> None:
        """Set `logits` (b, K, V) to minus infinity for pieces that may not follow `histories` (b, K, T).

        All are of the sentences `part`; `norms` (b, K) are the log-norms of `logits`. Padding, BOS and the forbidden
        pieces never follow; a prefix is forced; at its limit a hypothesis ends. In greedy search one that would end,
        and lacks terms, goes on with them. See `TreeConstraint` for trees.
        """
        step = histories.size(-1)  # of the next piece, from 1
        forced = None
        in_prefix = step <= self.prefixes.size(1)
        if in_prefix or step >= self.first_limit:
            prefix = self.prefixes[part, step - 1] if in_prefix else torch.full_like(self.limits[part], PAD_ID)
            forced = torch.where(self.limits[part] == step, EOS_ID, prefix)[:, None, None].expand(*logits.shape[:2], 1)
            kept = logits.gather(2, forced)
        if self.terms is not None:
            following = self.terms.follow(histories, part)
            of_terms = logits.gather(2, following)
            is_over = (logits[..., EOS_ID] - norms > LIKELY) & (self.decoding.beam_size == 1)
        if (size := self.decoding.no_repeat_ngram) and step > size:
            windows = histories[..., 1:].unfold(-1, size, 1)  # (B, K, windows, size)
            same = (windows[..., :-1] == histories[..., None, step - size + 1 :]).all(-1)
            logits.scatter_(2, torch.where(same, windows[..., -1], PAD_ID), -torch.inf)
        if self.forbidden.size(1):
            logits.scatter_(2, self.forbidden[part, None].expand(-1, logits.size(1), -1), -torch.inf)
        if self.avoided is not None:
            self.avoided.apply(logits, histories, part)
        logits[..., PAD_ID] = logits[..., BOS_ID] = -torch.inf
        if step <= self.decoding.min_length:
            logits[..., EOS_ID] = -torch.inf
        if self.terms is not None:
            self.terms.apply(logits, following, of_terms, is_over, step, part)
        if forced is not None:
            is_forced = forced != PAD_ID
            logits.masked_fill_(is_forced, -torch.inf)
            logits.scatter_(2, forced, torch.where(is_forced, kept, -torch.inf))
        if self.trees is not None:
            self.trees.apply(logits, histories, part)
