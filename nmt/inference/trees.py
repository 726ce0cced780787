"""The constraint of targets that are trees: well-formed brackets over exactly the words of the source."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.data.encoding.trees import TreePieces

WORD, OPEN, CLOSE, TAG, END, NONE = range(6)
"""Kinds of pieces: of a word, a bracket with a label, a closing bracket, a tag, EOS, and those that never follow."""
LONGEST_CHAIN = 8
"""Brackets that may open in a row; in the training trees of GUM (Zeldes 2017) it is never over 7."""


class TreeConstraint:
    """The pieces that may follow the beginning of a tree.

    A tree is one bracket with a label around all words. The pieces of the next word are forced first; then brackets may
    close that hold something, and open, until the word's tag. A bracket opens only where the limit of the hypothesis
    leaves room for all that is still to come, so that every hypothesis can be finished.
    """

    def __init__(self, pieces: TreePieces, rows: Sequence[Sequence[Sequence[int]]], limits: Tensor) -> None:
        """Constrain the hypotheses of `rows`, each the pieces of its words, to at most `limits` (B) pieces with EOS."""
        device = limits.device
        ends = [[*accumulate(map(len, words), initial=0)] for words in rows]
        self.pieces, self.limits = pieces, limits
        self.counts = torch.tensor([len(words) for words in rows], device=device)  # (B) words of each sentence
        # (B, W + 1) pieces of the first w words; past the last one it stays, as nothing is to be written.
        longest = max(map(len, ends))
        self.ends = torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in ends], device=device)
        flat = [[index for word in words for index in word] for words in rows]
        longest = max(map(len, flat)) + 1
        self.flat = torch.tensor([[*row, *[PAD_ID] * (longest - len(row))] for row in flat], device=device)  # (B, P)
        self._kinds: Tensor | None = None

    def keep_sentences(self, sentences: Tensor) -> None:
        self.limits, self.counts = self.limits[sentences], self.counts[sentences]
        self.ends, self.flat = self.ends[sentences], self.flat[sentences]

    def kinds(self, size: int) -> Tensor:
        """Return the kind of each of `size` pieces (V)."""
        if self._kinds is None:
            kinds = torch.full((size,), WORD)
            kinds[self.pieces.first : self.pieces.close] = OPEN
            kinds[self.pieces.close] = CLOSE
            kinds[self.pieces.close + 1 : self.pieces.last + 1] = TAG
            kinds[EOS_ID] = END
            kinds[[PAD_ID, BOS_ID]] = NONE
            self._kinds = kinds.to(self.limits.device)
        return self._kinds

    def apply(self, logits: Tensor, histories: Tensor, part: "slice[int, int, int]") -> None:
        """Set `logits` (b, K, V) to minus infinity for pieces that may not follow `histories` (b, K, T), BOS first.

        Both are of the sentences `part`. All is counted anew from the histories, so that a hypothesis keeps no state.
        """
        kinds = self.kinds(logits.size(-1))
        history = kinds[histories]  # (b, K, T)
        opened, closed, tagged, written = ((history == kind).sum(-1) for kind in (OPEN, CLOSE, TAG, WORD))
        depth, length = opened - closed, histories.size(-1) - 1
        words, limits = self.counts[part, None], self.limits[part, None]
        ends, flat = self.ends[part], self.flat[part]
        in_word = written < ends.gather(1, (tagged + 1).clamp(max=ends.size(1) - 1))
        has_words = tagged < words
        # Tags and pieces of the words that are left, closing brackets, EOS; and the pieces that may still come.
        needed = (words - tagged) + (ends[:, -1:] - written) + depth + 1
        has_room = needed + 2 <= limits - length
        last = history[..., -LONGEST_CHAIN:]
        may_open = has_words & has_room & ((depth > 0) | (opened == 0))
        may_open &= (last != OPEN).any(-1) | (last.size(-1) < LONGEST_CHAIN)
        may_close = (depth > 0) & (last[..., -1] != OPEN) & ((depth > 1) | ~has_words)
        may_end = (depth == 0) & (opened > 0) & ~has_words
        never = torch.zeros_like(in_word)
        allowed = torch.stack([never, may_open, may_close, has_words & (depth > 0), may_end, never], -1)
        allowed &= ~in_word[..., None]  # (b, K, kinds)
        forced = flat.gather(1, written.clamp(max=flat.size(1) - 1))[..., None]  # (b, K, 1) next piece of the word
        kept = torch.where(in_word[..., None], logits.gather(2, forced), -torch.inf)
        logits.masked_fill_(~allowed[..., kinds], -torch.inf)
        logits.scatter_(2, forced, torch.maximum(kept, logits.gather(2, forced)))
