"""Minimum Bayes risk decoding: the hypothesis that is most like all others (Eikema and Aziz 2020).

The utility of a hypothesis is its mean sentence chrF (Popović 2015) against the hypotheses, which stand for the model's
distribution of translations.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.config.inference import Options
from nmt.data.encoding.tokenizer import SentencePieceModel
from nmt.data.encoding.trees import TreePieces
from nmt.errors import UsageError
from nmt.inference.protocol import Hypothesis, Request

ORDER = 6  # longest character n-grams of chrF
BETA2 = 4.0  # weight of recall over precision, squared


def request_of(decoding: DecodingConfig, options: Options, trees: TreePieces | None) -> Request:
    """Return the search for the hypotheses that `options` want, or for those among which they are chosen.

    Raises UsageError where more are wanted than there will be.
    """
    sampling = options.sampling
    most = decoding.mbr or (decoding.beam_size if sampling is None else options.n_best)
    if not 1 <= options.n_best <= most:
        of = f"those of mbr, {most}" if decoding.mbr else f"the beam size, {most}"
        raise UsageError(f"n_best = {options.n_best} must be 1 to {of}")
    if not decoding.mbr:
        return Request(decoding, options.n_best, sampling, trees)
    if sampling is None and decoding.mbr_from == "sampling":
        sampling = SamplingConfig(temperature=decoding.mbr_temperature)
    if sampling is None and decoding.mbr > decoding.beam_size:
        hint = "raise beam_size, or take mbr_from = sampling"
        raise UsageError(f"mbr of the {decoding.mbr} best needs a beam of as many, not {decoding.beam_size}", hint=hint)
    return Request(decoding, decoding.mbr, sampling, trees)


def choose(hypotheses: Sequence[Hypothesis], tokenizer: SentencePieceModel, count: int) -> list[Hypothesis]:
    """Return the `count` different hypotheses that are most like all of `hypotheses`, the first of equals first."""
    texts = tokenizer.decode([hypothesis.ids for hypothesis in hypotheses])
    firsts = dict(zip(reversed(texts), reversed(hypotheses), strict=True))
    utilities = dict(zip(texts, expected_utilities(texts), strict=True))
    return [firsts[text] for text in sorted(utilities, key=utilities.__getitem__, reverse=True)[:count]]


def pairwise_chrf(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the sentence chrF (N, N) of each of `texts`, as a hypothesis, against each as the reference, 0 to 100.

    It is sacreBLEU's chrF2 of sentences, which leaves out white space, computed for all pairs at once.
    """
    number = len(texts)
    precisions, recalls, orders = (np.zeros((number, number)) for _ in range(3))
    plain = ["".join(text.split()) for text in texts]
    for order in range(1, ORDER + 1):
        matches = _matches([[text[at : at + order] for at in range(len(text) - order + 1)] for text in plain])
        totals = np.diag(matches)
        both = np.minimum.outer(totals, totals) > 0
        precisions += np.divide(matches, totals[:, None], out=np.zeros_like(matches), where=both)
        recalls += np.divide(matches, totals[None, :], out=np.zeros_like(matches), where=both)
        orders += both
    precisions /= np.maximum(orders, 1)
    recalls /= np.maximum(orders, 1)
    weighted = BETA2 * precisions + recalls
    return 100 * (1 + BETA2) * precisions * recalls / np.where(weighted > 0, weighted, 1)


def expected_utilities(texts: Sequence[str]) -> list[float]:
    """Return the mean chrF of each of `texts` against all of them, a text that occurs twice counted twice."""
    counts = Counter(texts)
    distinct = list(counts)
    means = pairwise_chrf(distinct) @ np.array([counts[text] for text in distinct]) / len(texts)
    of_texts = dict(zip(distinct, means.tolist(), strict=True))
    return [of_texts[text] for text in texts]


def _matches(ngrams: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Return the n-grams (N, N) that two texts share, each as often as both have it."""
    columns: dict[tuple[str, int], int] = {}
    rows: list[int] = []
    found: list[int] = []
    for row, of_text in enumerate(ngrams):
        seen: Counter[str] = Counter()
        for ngram in of_text:
            seen[ngram] += 1  # the k-th occurrence in one text matches the k-th in another
            found.append(columns.setdefault((ngram, seen[ngram]), len(columns)))
            rows.append(row)
    has = np.zeros((len(ngrams), max(len(columns), 1)), dtype=np.float32)
    has[rows, found] = 1
    return (has @ has.T).astype(np.float64)
