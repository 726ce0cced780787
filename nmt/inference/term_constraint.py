"""The constraint of terms: which hypotheses hold them, and a beam with room for those that are on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference.protocol import ANYWHERE, BEGINS, ENDS, JOINED, JOINS, NOWHERE, OPENS, SENTENCE_START, Row

NOTHING = -1  # in place of a piece that a spelling has not
COST = 4.0
"""Log-probability that a piece of a term is expected to cost: by it hypotheses with more and fewer pieces compare."""
Part: TypeAlias = "slice[int, int, int]"


@dataclass
class Progress:
    """How far hypotheses are, K of each of b sentences; N terms of A spellings of at most L pieces."""

    held: Tensor  # (b, K, N) places where a term stands, but for one at the end
    pending: Tensor  # (b, K, N) whether one stands at the end, where a word may go on
    begun: Tensor  # (b, K, A, L) whether the last l pieces are the first l of a spelling, for l from 0
    is_in_word: Tensor  # (b, K) whether the last piece ends within a word


class TermConstraint:
    """The terms that each hypothesis is to hold, and the choice of hypotheses that go on.

    Dynamic beam allocation (Post and Vilar 2018): hypotheses compete with those that hold as many pieces of terms. All
    is counted anew from the histories, so that a hypothesis keeps no state.
    """

    def __init__(self, rows: Sequence[Row], limits: Tensor, edges: Tensor) -> None:
        """Constrain the hypotheses of `rows` to at most `limits` (B) pieces with EOS; `edges` (V) as in `Request`."""
        device = limits.device
        self.limits, self.edges = limits, edges
        spellings = [[(n, *one) for n, need in enumerate(row.needs) for one in need.spellings] for row in rows]
        most, longest = max(map(len, spellings)), max(len(pieces) for row in spellings for _, pieces, _ in row)
        terms = max(len(row.needs) for row in rows)
        pieces = [[[*ids, *[NOTHING] * (longest - len(ids))] for _, ids, _ in row] for row in spellings]
        absent = [NOTHING] * longest

        def tensor(values: list[list[int]], width: int, fill: int) -> Tensor:
            return torch.tensor([[*row, *[fill] * (width - len(row))] for row in values], device=device)

        self.pieces = torch.tensor(
            [[*row, *[absent] * (most - len(row))] for row in pieces], device=device
        )  # (B, A, L)
        self.lengths = tensor([[len(ids) for _, ids, _ in row] for row in spellings], most, 1)  # (B, A)
        self.terms = tensor([[n for n, _, _ in row] for row in spellings], most, 0)  # (B, A) term of each spelling
        self.places = tensor([[place for _, _, place in row] for row in spellings], most, NOWHERE)  # (B, A)
        self.counts = tensor([[need.count for need in row.needs] for row in rows], terms, 0)  # (B, N)
        self.rooms = tensor([[need.room for need in row.needs] for row in rows], terms, 0)  # (B, N)
        widest = [
            [max(len(ids) for ids, place in need.spellings if place == ANYWHERE) for need in row.needs] for row in rows
        ]
        self.weights = tensor(widest, terms, 0)  # (B, N) banks of a term

    def keep_sentences(self, sentences: Tensor) -> None:
        for name in ("limits", "pieces", "lengths", "terms", "places", "counts", "rooms", "weights"):
            setattr(self, name, getattr(self, name)[sentences])

    def has(self, pieces: Tensor, bit: int) -> Tensor:
        """Return whether each of `pieces` has a bit of the edges; what is no piece has none."""
        return ((self.edges[pieces.clamp(min=0)] & bit) > 0) & (pieces >= 0)

    def progress(self, histories: Tensor, part: Part) -> Progress:
        """Find the terms in `histories` (b, K, T), BOS first, of the sentences `part`."""
        pieces, lengths, terms = self.pieces[part], self.lengths[part], self.terms[part]
        size, width, time = histories.shape
        longest, count = pieces.size(2), self.counts.size(1)
        windows = F.pad(histories, (0, longest - 1), value=NOTHING - 1).unfold(-1, longest, 1)  # (b, K, T, L)
        same = windows[:, :, None] == pieces[:, None, :, None]  # (b, K, A, T, L)
        runs = same.cumprod(-1, dtype=torch.uint8).bool()  # whether the first pieces are the same
        before = F.pad(histories[..., :-1], (1, 0), value=BOS_ID)
        begins = self.has(pieces[..., 0], BEGINS)  # (b, A)
        runs &= ~(self.has(before, ENDS)[:, :, None] & begins[:, None, :, None])[..., None]
        last = lengths - 1
        is_whole = runs.gather(-1, last[:, None, :, None, None].expand(*runs.shape[:-1], 1))[..., 0]  # (b, K, A, T)
        ends = torch.arange(time, device=histories.device) + lengths[..., None]  # (b, A, T) first piece after it
        goes_on = F.pad(self.has(histories, BEGINS), (0, longest))[:, :, None].expand(-1, -1, pieces.size(1), -1)
        goes_on = goes_on.gather(-1, ends[:, None].expand_as(is_whole))
        in_word = self.has(pieces.gather(2, last[..., None])[..., 0], ENDS)  # (b, A)
        is_whole &= ~(goes_on & in_word[:, None, :, None])
        # Two spellings may end at one place: it counts once.
        places = (terms[..., None] * (time + longest) + ends).flatten(1)  # (b, A * T)
        found = torch.zeros(size, width, count * (time + longest), dtype=torch.int32, device=histories.device)
        found.scatter_add_(2, places[:, None].expand(-1, width, -1), is_whole.flatten(2).int())
        found = found.unflatten(2, (count, -1)) > 0  # (b, K, N, T + L)
        is_in_word = self.has(histories[..., -1], ENDS)
        start = ~(is_in_word[..., None] & begins[:, None])  # (b, K, A)
        begun = [runs[..., max(time - length, 0), length - 1] & (time > length) for length in range(1, longest)]
        return Progress(found[..., :time].sum(-1), found[..., time], torch.stack([start, *begun], -1), is_in_word)

    def met(self, of: Progress, goes_on: Tensor | None, part: Part) -> Tensor:
        """Return how often each term stands in hypotheses, at most as wanted (b, K, N).

        With next pieces it is (b, K, M, N); `goes_on` (b, K, M) says whether each goes on with the word before it.
        """
        counts = self.counts[part, None]
        if goes_on is None:
            return torch.minimum(of.held + of.pending, counts)
        is_broken = goes_on & of.is_in_word[..., None]
        return torch.minimum(of.held[:, :, None] + (of.pending[:, :, None] & ~is_broken[..., None]), counts[:, None])

    def follow(self, histories: Tensor, part: Part) -> Tensor:
        """Return the pieces (b, K, 2A) that lead `histories` (b, K, T) to a term: those that go on, and that begin one.

        PAD stands in place of none. Notes the progress of these hypotheses, for `apply` and `choose`.
        """
        self.at = self.progress(histories, part)
        pieces, lengths, terms, places = self.pieces[part], self.lengths[part], self.terms[part], self.places[part]
        is_unmet = self.met(self.at, None, part) < self.counts[part, None]
        is_unmet = is_unmet.gather(2, terms[:, None].expand(-1, is_unmet.size(1), -1))  # (b, K, A)
        last = histories[..., -1:]
        opens = self.has(last, OPENS) | (last == BOS_ID)
        allowed = (
            (places == ANYWHERE)[:, None]
            | ((places == JOINED)[:, None] & self.has(last, JOINS))
            | ((places == SENTENCE_START)[:, None] & opens)
        )
        begun = self.at.begun.clone()
        begun[..., 0] &= allowed
        begun &= (
            is_unmet[..., None] & (torch.arange(pieces.size(2), device=pieces.device) < lengths[..., None])[:, None]
        )
        steps = torch.arange(pieces.size(2), device=pieces.device)
        longest = (begun * steps).amax(-1)  # (b, K, A) pieces of the spelling that are there
        following = pieces[:, None].expand(-1, histories.size(1), -1, -1).gather(3, longest[..., None])[..., 0]
        going = torch.where(longest > 0, following, PAD_ID)
        beginning = torch.where(begun[..., 0], pieces[:, None, :, 0], PAD_ID)
        # Pieces that are left of the spelling after the next one.
        rest = torch.stack([lengths[:, None] - longest, lengths[:, None].expand_as(longest)], 2) - 1
        self.rest = rest.flatten(2)
        self.following = torch.cat([going, beginning], -1)
        return self.following

    def apply(self, logits: Tensor, following: Tensor, kept: Tensor, is_over: Tensor, step: int, part: Part) -> None:
        """Set `logits` (b, K, V) to minus infinity where a term would be missing in the end.

        A hypothesis ends with all terms alone, and in the end there is room for those that are left. One that lacks
        some where `is_over` (b, K) goes on with them. The logits of the pieces `following` (b, K, F), from `follow`,
        become `kept`, those before other constraints.
        """
        counts, rooms, room = self.counts[part, None], self.rooms[part, None], self.limits[part] - step - 1
        met = self.met(self.at, None, part)
        lacks = (met < counts).any(-1)
        logits[..., EOS_ID].masked_fill_(lacks, -torch.inf)
        left = ((counts - met) * rooms).sum(-1)  # (b, K) pieces of the terms that are left
        goes_on = torch.ones_like(left, dtype=torch.bool)[..., None]
        left_on = ((counts - self.met(self.at, goes_on, part)[:, :, 0]) * rooms).sum(-1)  # after a piece that goes on
        is_tight = left_on > room[:, None]
        if is_tight.any():
            begins = (self.edges[: logits.size(-1)] & BEGINS) > 0
            too_many = torch.where(begins, is_tight[..., None], (left > room[:, None])[..., None])
            too_many[..., EOS_ID] = False
            logits.masked_fill_(too_many, -torch.inf)
            of_term = rooms.expand(-1, left.size(1), -1).gather(2, self.terms[part, None].expand(-1, left.size(1), -1))
            needed = torch.where(self.has(following, BEGINS), left_on[..., None], left[..., None])
            needed = needed - of_term.repeat(1, 1, 2) + self.rest
            kept = kept.masked_fill(needed > room[:, None, None], -torch.inf)
        leads_on = ((following != PAD_ID) & (kept > -torch.inf)).any(-1)
        logits.masked_fill_((is_over & lacks & leads_on)[..., None], -torch.inf)
        logits.scatter_(2, following, torch.where(following == PAD_ID, -torch.inf, kept))

    def banks(self, following: Tensor, part: Part) -> Tensor:
        """Return the pieces of terms (b, K, M) that hypotheses have with each of any next pieces `following`.

        A term counts as many as its longest spelling has, and the beginning of another spelling a share of them.
        """
        pieces = self.pieces[part]
        same = (following[..., None, None] == pieces[:, None, None]) & self.at.begun[:, :, None]  # (b, K, M, A, L)
        steps = (same * torch.arange(1, pieces.size(2) + 1, device=pieces.device)).amax(-1)  # (b, K, M, A)
        met, credit = self._credit(following, steps, part)
        return (met * self.weights[part, None, None]).sum(-1) + credit.amax(-1)

    def banks_of_terms(self, part: Part) -> Tensor:
        """Return the same (b, K, 2A) for the next pieces that `follow` returned, each as a part of its spelling."""
        lengths = self.lengths[part, None].repeat(1, 1, 2)
        steps = torch.diag_embed((lengths - self.rest).unflatten(2, (2, -1))).flatten(2, 3)  # (b, K, 2A, A)
        met, credit = self._credit(self.following, steps, part)
        return (met * self.weights[part, None, None]).sum(-1) + credit.amax(-1)

    def _credit(self, following: Tensor, steps: Tensor, part: Part) -> tuple[Tensor, Tensor]:
        """Return the terms held (b, K, M, N), and the credit for `steps` (b, K, M, A) pieces of a further one."""
        lengths, terms = self.lengths[part, None, None], self.terms[part]
        met = self.met(self.at, self.has(following, BEGINS), part)
        weights = self.weights[part].gather(1, terms)[:, None, None]  # (b, 1, 1, A)
        credit = torch.minimum((steps * weights + lengths - 1) // lengths, weights - (steps < lengths).long())
        is_unmet = met < self.counts[part, None, None]
        return met, credit * is_unmet.gather(3, terms[:, None, None].expand_as(credit))

    def goal(self, part: Part) -> Tensor:
        """Return the bank (b) of the hypotheses that hold all terms."""
        return (self.counts[part] * self.weights[part]).sum(-1)

    def choose(
        self, every: tuple[Tensor, Tensor], leading: Tensor, width: int, part: Part
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Choose twice `width` candidates of each sentence, in the order in which they are to go on.

        `every` is totals and pieces (b, K, M) of the likeliest candidates, `leading` the totals (b, K, 2A) of those
        with the pieces that `follow` returned. Returns totals, parents, pieces and whether all terms are held, each
        (b, 2 * width) or fewer.
        """
        leading = leading.masked_fill(~distinct(self.following, every[1]), -torch.inf)
        totals, following = torch.cat([every[0], leading], -1), torch.cat([every[1], self.following], -1)
        banks = torch.cat([self.banks(every[1], part), self.banks_of_terms(part)], -1)
        each = totals.size(2)
        bank, goal = banks.flatten(1), self.goal(part)[:, None]
        flat = totals.flatten(1)
        count = flat.size(1)
        expected = flat - COST * (goal - bank)
        by_score = expected.argsort(dim=1, descending=True, stable=True)
        sorted_banks = bank.gather(1, by_score)
        by_bank = sorted_banks.argsort(dim=1, stable=True)
        grouped = sorted_banks.gather(1, by_bank)
        is_first = F.pad(grouped[:, 1:] != grouped[:, :-1], (1, 0), value=True)
        places = torch.arange(count, device=flat.device)
        ranks = places - torch.where(is_first, places, 0).cummax(1).values  # in its bank
        is_there = (flat.gather(1, by_score) > -torch.inf).gather(1, by_bank)
        share = (width // (is_first & is_there).sum(1, keepdim=True).clamp(min=1)).clamp(min=1)
        in_share = torch.empty_like(is_there).scatter_(1, by_bank, (ranks < share) & is_there)
        chosen = by_score.gather(1, (places + count * ~in_share).topk(min(2 * width, count), 1, largest=False).indices)
        has_all = (bank >= goal).gather(1, chosen)
        return flat.gather(1, chosen), chosen // each, following.flatten(1).gather(1, chosen), has_all


def distinct(following: Tensor, others: Tensor) -> Tensor:
    """Mark the pieces of `following` (b, K, F) that occur for the first time, and not in `others` (b, K, M)."""
    equal = following[..., None] == following[..., None, :]
    is_first = ~equal.tril(-1).any(-1)
    return is_first & ~(following[..., None] == others[..., None, :]).any(-1) & (following != PAD_ID)


class Avoided:
    """The phrases that no hypothesis holds: the last piece of each may not follow the pieces before it."""

    def __init__(self, rows: Sequence[Sequence[tuple[int, ...]]], edges: Tensor) -> None:
        device, self.edges = edges.device, edges
        distinct = list(dict.fromkeys(rows))  # most rows have the same phrases
        phrases = list(dict.fromkeys(phrase for row in distinct for phrase in row))
        number = {phrase: index for index, phrase in enumerate(phrases)}
        masks = torch.zeros(len(distinct), len(phrases), dtype=torch.bool)
        for index, row in enumerate(distinct):
            masks[index, [number[phrase] for phrase in row]] = True
        self.is_held = masks[[distinct.index(row) for row in rows]].to(device)  # (B, X)
        sizes: dict[int, list[int]] = {}
        for index, phrase in enumerate(phrases):
            sizes.setdefault(len(phrase), []).append(index)
        self.by_length = [
            (torch.tensor(indices, device=device), torch.tensor([phrases[i] for i in indices], device=device))
            for indices in sizes.values()
        ]  # numbers (x) and pieces (x, l) of the phrases of each length

    def keep_sentences(self, sentences: Tensor) -> None:
        self.is_held = self.is_held[sentences]

    def apply(self, logits: Tensor, histories: Tensor, part: Part) -> None:
        """Set `logits` (b, K, V) to minus infinity for pieces that end a phrase in `histories` (b, K, T)."""
        for indices, phrases in self.by_length:
            length = phrases.size(1)
            if length > histories.size(-1):
                continue
            ending = histories[..., histories.size(-1) - length :]  # (b, K, l) the piece before, and the first pieces
            same = (ending[:, :, None, 1:] == phrases[:, :-1]).all(-1) & self.is_held[part, None][..., indices]
            in_word = (self.edges[ending[..., :1]] & ENDS > 0) & (self.edges[phrases[:, 0]] & BEGINS > 0)
            last = torch.where(same & ~in_word, phrases[:, -1], PAD_ID)
            logits.scatter_(2, last, -torch.inf)
