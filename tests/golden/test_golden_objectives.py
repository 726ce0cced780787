"""What objectives make of two lines, as it was: a change of it would change the bits of every pretraining."""

import numpy as np
import pytest

from nmt.data.encoding.dataset import Ids
from nmt.data.encoding.noise import Corruption, Denoising, LanguageModel, Masking, Noise

LINES: list[Ids] = [np.arange(10, 22, dtype=np.int64), np.arange(30, 37, dtype=np.int64)]
CORRUPTIONS: dict[str, Corruption] = {
    "line": Denoising(Noise(0.3, 3.0), [4], seed=1, longest=20),
    "spans": Denoising(Noise(0.3, 2.0), [4, 5, 6], seed=1, longest=20, predicts_spans=True),
    "language-model": LanguageModel(1, is_cut=True),
    "masked": Masking(Noise(0.3, 1.0), 4, range(40, 50), 1, [(0, 9)]),
}
GOLDEN = {
    "line": [
        [[10, 4, 13, 4, 16, 17, 18, 19, 20, 21, 3], [30, 31, 32, 33, 4, 36, 3, 0, 0, 0, 0]],
        [[2, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21], [2, 30, 31, 32, 33, 34, 35, 36, 0, 0, 0, 0, 0]],
        [[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 3], [30, 31, 32, 33, 34, 35, 36, 3, 0, 0, 0, 0, 0]],
    ],
    "spans": [
        [[10, 4, 13, 14, 15, 5, 6, 18, 19, 20, 21, 3], [30, 31, 32, 33, 4, 36, 3, 0, 0, 0, 0, 0]],
        [[2, 4, 11, 12, 5, 16, 6, 17], [2, 4, 34, 35, 0, 0, 0, 0]],
        [[4, 11, 12, 5, 16, 6, 17, 3], [4, 34, 35, 3, 0, 0, 0, 0]],
    ],
    "language-model": [
        [[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 3], [30, 31, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
        [[2, 21, 0, 0, 0, 0], [2, 32, 33, 34, 35, 36]],
        [[21, 3, 0, 0, 0, 0], [32, 33, 34, 35, 36, 3]],
    ],
    "masked": [
        [[], []],
        [[10, 4, 12, 4, 14, 15, 16, 4, 4, 19, 20, 21, 3], [4, 31, 32, 33, 34, 4, 36, 3, 0, 0, 0, 0, 0]],
        [[0, 11, 0, 13, 0, 0, 0, 17, 18, 0, 0, 0, 0], [30, 0, 0, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0]],
    ],
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_first_golden_lines_are_as_they_were(name: str) -> None:
    batch = CORRUPTIONS[name].apply((LINES, LINES), np.array([3, 7]), 2).collate([0, 1])
    assert [batch.src.tolist(), batch.tgt_in.tolist(), batch.labels.tolist()] == GOLDEN[name]
