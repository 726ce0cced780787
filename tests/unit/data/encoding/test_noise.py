"""Corruption of lines: shares, spans, sentences, and what is to be predicted."""

from collections import Counter
from typing import Any, cast

import numpy as np
import pytest

from nmt.data.encoding.dataset import MaskedPairs
from nmt.data.encoding.noise import Corruption, Denoising, Draws, LanguageModel, Masking, Noise
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID

MASKS = [90, 91, 92, 93]
STOP = 50
LINE = list(range(10, 40))
BART = Noise(0.3, 3.0)


def masked_places(noise: Noise, ids: list[int], draws: int) -> list[list[int]]:
    """Return the masked places of `ids` in each of some draws."""
    rows = (noise.spans(ids, Draws(f"{number}")) for number in range(draws))
    return [[place for span in spans for place in range(*span)] for spans in rows]


def applied(corruption: Corruption, rows: list[list[int]], epoch: int = 1, start: int = 0) -> list[tuple[Any, Any]]:
    """Return source and target of lines, numbered from `start`, as lists."""
    ids = [np.array(row, np.uint16) for row in rows]
    indices = np.arange(start, start + len(rows))
    pairs = corruption.apply((cast("Any", ids), cast("Any", ids)), indices, epoch)
    sides = pairs.sides(np.arange(len(rows)))
    assert pairs.tgt_lengths.tolist() == [len(tgt) + (not isinstance(pairs, MaskedPairs)) for tgt in sides[1]]
    return [(src.tolist(), tgt.tolist()) for src, tgt in zip(*sides, strict=True)]


@pytest.mark.parametrize(("share", "length", "expected"), [(0.3, 30, 9), (0.15, 30, 4), (0.15, 3, 1), (0.9, 1, 1)])
@pytest.mark.parametrize("span_length", [1.0, 3.0])
def test_the_share_of_a_line_is_masked_and_at_least_one_piece(
    share: float, length: int, expected: int, span_length: float
) -> None:
    for number in range(50):
        spans = Noise(share, span_length).spans(LINE[:length], Draws(f"{number}"))
        places = [place for span in spans for place in range(*span)]
        assert len(places) == expected
        assert places == sorted(set(places))
        assert set(places) <= set(range(length))
        assert all(start < end for start, end in spans)
        assert span_length > 1 or all(end - start == 1 for start, end in spans)


def test_a_line_without_pieces_has_nothing_to_mask() -> None:
    assert BART.spans([], Draws("1")) == []


def test_spans_have_the_mean_length_and_are_not_all_as_long() -> None:
    ids = [7] * 2000
    lengths = [end - start for number in range(20) for start, end in BART.spans(ids, Draws(f"{number}"))]
    assert np.mean(lengths) == pytest.approx(3, abs=0.1)
    assert np.var(lengths) == pytest.approx(2, abs=0.25)  # 1 and a Poisson distribution of mean 2
    assert min(lengths) == 1


def test_every_place_is_as_likely() -> None:
    counts = Counter(place for places in masked_places(Noise(0.3, 1.0), LINE[:10], 1500) for place in places)
    assert all(counts[place] == pytest.approx(450, abs=75) for place in range(10))
    spans = Counter(tuple(BART.spans(LINE[:7], Draws(f"{number}"))) for number in range(400))
    pairs = sorted(span for (span, *rest) in spans if not rest and span[1] - span[0] == 2)
    assert pairs == [(start, start + 2) for start in range(6)]


def test_tags_at_the_beginning_are_never_masked() -> None:
    noise = Noise(0.9, 3.0, 0.5, frozenset([STOP]), frozenset([8, 9]))
    ids = [8, 9, 20, 21, STOP, 8, 22]
    assert all(min(places) >= 2 for places in masked_places(noise, ids, 100))
    assert any(5 in places for places in masked_places(noise, ids, 100))  # elsewhere it is a piece like others
    assert noise.spans([8, 9], Draws("1")) == []


def test_sentences_are_masked_whole_and_one_of_a_line_stays() -> None:
    sentences = [[20, 21, STOP], [22, STOP], [23, 24, 25, STOP], [26, 27]]
    ids = [piece for sentence in sentences for piece in sentence]
    noise = Noise(1e-9, 1.0, 0.4, frozenset([STOP]))  # and one piece
    gaps = {(0, 3), (3, 5), (5, 9), (9, 11)}
    counts: list[int] = []
    for number in range(400):
        spans = noise.spans(ids, Draws(f"{number}"))
        whole = gaps & set(spans)
        counts.append(len(whole))
        assert sum(end - start for start, end in spans) == sum(end - start for start, end in whole) + 1
    assert set(counts) == {1, 2}
    assert np.mean(counts) == pytest.approx(1.6, abs=0.1)
    for share in (0.5, 0.99):
        places = masked_places(Noise(1e-9, 1.0, share, frozenset([STOP])), [20, STOP, 21, STOP], 20)
        assert {len(each) for each in places} == {3}  # a sentence, and a piece of the other
        assert all(len(each) == 1 for each in masked_places(Noise(1e-9, 1.0, share, frozenset([STOP])), [20, STOP], 9))


def test_a_span_around_a_masked_sentence_is_two() -> None:
    noise = Noise(0.99, 30.0, 0.34, frozenset([STOP]))
    ids = [20, 21, STOP, 22, STOP, 23, 24]
    found = {tuple(noise.spans(ids, Draws(f"{number}"))) for number in range(200)}
    assert ((0, 3), (3, 5), (5, 7)) in found
    for spans in found:
        places = [place for span in spans for place in range(*span)]
        assert places == sorted(set(places)) == list(range(7))


def test_a_whole_line_is_rebuilt_from_one_mask_a_span() -> None:
    denoising = Denoising(BART, MASKS[:1], 1, longest=60)
    for index, (src, tgt) in enumerate(applied(denoising, [LINE] * 20)):
        spans = BART.spans(LINE, Draws(f"1 1 {index} noise"))
        assert tgt == LINE
        shown = {start: MASKS[0] for start, _ in spans}
        hidden = {place for start, end in spans for place in range(start + 1, end)}
        assert src == [shown.get(place, piece) for place, piece in enumerate(LINE) if place not in hidden]


def rebuilt(src: list[int], predicted: list[int]) -> list[int]:
    """Put the predicted spans back where their masks stand."""
    spans: dict[int, list[int]] = {}
    for piece in predicted:
        if piece in MASKS:
            span = spans.setdefault(piece, [])
        else:
            span.append(piece)
    return [each for piece in src for each in (spans[piece] if piece in MASKS else [piece])]


@pytest.mark.parametrize("noise", [Noise(0.15, 3.0), Noise(0.5, 1.0), Noise(0.9, 2.0, 0.5, frozenset([STOP]))])
@pytest.mark.parametrize("length", [1, 2, 7, 30])
def test_predicted_spans_and_the_source_together_are_the_line(noise: Noise, length: int) -> None:
    line = [*LINE[:4], STOP, *LINE[4:]][:length]
    denoising = Denoising(noise, MASKS, 1, longest=30, predicts_spans=True)
    for src, predicted in applied(denoising, [line] * 40):
        masks = [piece for piece in src if piece in MASKS]
        assert masks == [piece for piece in predicted if piece in MASKS] == MASKS[: len(masks)]
        assert masks
        assert rebuilt(src, predicted) == line
        assert max(len(src), len(predicted)) <= 30


def test_there_are_no_more_predicted_spans_than_masks_or_than_fit() -> None:
    dense = Noise(0.9, 1.0)
    few = applied(Denoising(dense, MASKS, 1, longest=30, predicts_spans=True), [LINE] * 50)
    assert all(len(predicted) == 8 for _, predicted in few)
    assert len({tuple(predicted[1::2]) for _, predicted in few}) > 40  # not the first ones
    short = applied(Denoising(dense, MASKS, 1, longest=5, predicts_spans=True), [LINE[:5]] * 50)
    assert all(len(predicted) == 4 and rebuilt(src, predicted) == LINE[:5] for src, predicted in short)


def test_the_noise_is_a_function_of_seed_epoch_and_pair() -> None:
    denoising, rows = Denoising(BART, MASKS, 1, longest=60), [LINE] * 6
    first = applied(denoising, rows)
    assert first == applied(denoising, rows)
    assert first[3:] == applied(denoising, rows[3:], start=3)
    assert len({tuple(src) for src, _ in first}) == 6
    for other in (applied(Denoising(BART, MASKS, 2, longest=60), rows), applied(denoising, rows, epoch=2)):
        assert all(one != another for one, another in zip(first, other, strict=True))


def test_a_language_model_learns_the_line_or_the_rest_of_it_after_a_prefix() -> None:
    rows = [LINE[:4]] * 200 + [[]]
    assert applied(LanguageModel(1, is_cut=False), rows) == [([], row) for row in rows]
    found = applied(LanguageModel(1, is_cut=True), rows)
    assert [src + tgt for src, tgt in found] == rows
    cuts = Counter(len(src) for src, _ in found[:200])
    assert set(cuts) == {0, 1, 2, 3}
    assert all(count == pytest.approx(50, abs=25) for count in cuts.values())
    assert found == applied(LanguageModel(1, is_cut=True), rows)
    for other in (applied(LanguageModel(2, is_cut=True), rows), applied(LanguageModel(1, is_cut=True), rows, 2)):
        assert found != other


def masking(noise: Noise, *lines: tuple[int, int]) -> Masking:
    return Masking(noise, MASKS[0], range(60, 80), 1, lines)


def test_of_the_pieces_to_predict_most_are_masks_some_random_and_some_unchanged() -> None:
    ids = [5, 6, 7] * 2000
    seen, labels = masking(Noise(0.15, 1.0)).masked([ids], Draws("1"))
    assert (len(seen), seen[-1], labels[-1]) == (6001, EOS_ID, PAD_ID)
    chosen = [place for place, label in enumerate(labels) if label != PAD_ID]
    assert len(chosen) == 900
    assert all(labels[place] == ids[place] for place in chosen)
    assert all(seen[place] == ids[place] for place in set(range(6000)) - set(chosen))
    kinds = Counter("mask" if seen[place] == 90 else "same" if seen[place] < 10 else "random" for place in chosen)
    assert kinds["mask"] == pytest.approx(720, abs=40)
    assert kinds["random"] == pytest.approx(90, abs=30)
    assert kinds["same"] == pytest.approx(90, abs=30)
    assert {seen[place] for place in chosen} - {5, 6, 7, 90} == set(range(60, 80))


def test_a_sequence_is_a_line_or_both_sides_of_a_pair() -> None:
    sides = [np.array([10, 11, 12]), np.array([13])], [np.array([20, 21]), np.array([23])]
    found = masking(Noise(0.5, 1.0), (5, 6)).apply(cast("Any", sides), np.array([4, 5]), 0)
    batch = found.collate([0, 1])
    assert batch.src.shape == (2, 0)
    assert not batch.src_padded
    assert batch.tgt_in[0, [3, 4, 7]].tolist() == [EOS_ID, BOS_ID, EOS_ID]
    assert batch.labels[0, [3, 4, 7]].tolist() == [PAD_ID] * 3
    wanted = [10, 11, 12, PAD_ID, PAD_ID, 20, 21, PAD_ID]
    labels = batch.labels[0].tolist()
    assert all(label in (PAD_ID, piece) for label, piece in zip(labels, wanted, strict=True))
    assert (sum(map(bool, labels[:3])), sum(map(bool, labels[5:7]))) == (2, 1)
    assert (batch.tgt_in[1, 1:].tolist(), batch.labels[1].tolist()) == ([EOS_ID] + [PAD_ID] * 6, [23] + [PAD_ID] * 7)
    assert batch.real_labels.tolist() == [label for label in batch.labels.flatten().tolist() if label]
    assert found.labels(np.array([0, 1])) == batch.target_tokens == 4
    assert (found.labels(np.array([1])), found.collate([1]).tgt_in.shape) == (1, (1, 2))
    assert (found.src_lengths.tolist(), found.tgt_lengths.tolist()) == ([0, 0], [8, 2])


def test_of_blank_lines_the_end_is_predicted() -> None:
    assert masking(BART).masked([[], []], Draws("1")) == ([EOS_ID, BOS_ID, EOS_ID], [PAD_ID, PAD_ID, EOS_ID])
