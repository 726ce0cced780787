"""The trace of a search: the candidates of each step, and what became of them."""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference.search import BeamState, Candidates

Fate = Literal["kept", "finished", "dropped"]


@dataclass(frozen=True)
class Extension:
    """A candidate of a step: a hypothesis and its next piece."""

    ids: list[int]  # without BOS; EOS last where the piece ends it
    log_prob: float  # of the piece
    total: float  # of all pieces
    fate: Fate
    score: float | None  # of a finished one: the total over its length penalty


class Tracer:
    """An observer that writes down the steps of each row of a batch; it reads results and decides nothing."""

    def __init__(self) -> None:
        self.steps: defaultdict[int, list[list[Extension]]] = defaultdict(list)  # by row
        self._totals: defaultdict[int, dict[tuple[int, ...], float]] = defaultdict(lambda: {(BOS_ID,): 0.0})

    def __call__(self, histories: Tensor, candidates: Candidates, state: BeamState) -> None:
        """Write down a step, see `Observer`."""
        finished = state.finished.tolist(), state.finished_scores.tolist()
        kept = state.tokens.tolist(), state.totals.tolist()
        columns = (column.tolist() for column in (state.sentences, histories, *candidates))
        for index, (row, before, totals, parents, tokens) in enumerate(zip(*columns, strict=True)):
            going = _real(kept[0][index], kept[1][index])
            scores = _real([ids[: len(before[0]) + 1] for ids in finished[0][index]], finished[1][index])
            step = []
            for total, parent, token in zip(totals, parents, tokens, strict=True):
                if total == -math.inf or token == PAD_ID:
                    continue
                ids = (*before[parent], token)
                found = going if token != EOS_ID else scores
                fate: Fate = "dropped" if ids not in found else "finished" if token == EOS_ID else "kept"
                log_prob = total - self._totals[row][ids[:-1]]
                step.append(Extension(list(ids[1:]), log_prob, total, fate, scores.get(ids)))
            if step:
                self.steps[row].append(step)
            self._totals[row] = going


def _real(hypotheses: list[list[int]], values: list[float]) -> dict[tuple[int, ...], float]:
    """Return the values of hypotheses, without those that stand for none."""
    return {tuple(ids): value for ids, value in zip(hypotheses, values, strict=True) if value > -math.inf}
