#!/usr/bin/env bash
# torch 2.13.0, 29 November 2026, on a processor with AVX-512.
# Input: attention scores in float32, (sentences, heads, queries, keys), for sentences of 15 and of 16 pieces.
# Expected: about the same time for a number of either.
# Seen: with rows of 8 to 15 keys softmax takes some ten times as long for a number as with rows of 16 and more: a row
#   that does not fill the widest vector of the processor is computed number by number. Padding the row to 16 with -inf
#   gives the same weights in a fraction of the time.
# Hurts: who trains or translates on a CPU: batches of captions, titles or chat lines have such rows, and the short
#   sentences of a corpus sorted by length meet in batches of their own, so that a shorter batch takes longer.
# Exit code: 0 while this holds (rows of 15 take at least three times as long for a number), 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install torch==2.13.0 numpy
venv/bin/python - <<'PYTHON'
import math
import time

import torch
from torch.nn import functional as F

torch.set_num_threads(1)


def nanoseconds(scores: torch.Tensor) -> float:
    """Return the time that softmax takes for a number, the best of 20 trials."""
    times = []
    for _ in range(20):
        start = time.perf_counter()
        scores.softmax(-1)
        times.append(time.perf_counter() - start)
    return min(times) / scores.numel() * 1e9


short, longer = (torch.randn(64, 8, keys, keys) for keys in (15, 16))
padded = F.pad(short, (0, 1), value=-math.inf)
assert torch.allclose(padded.softmax(-1)[..., :15], short.softmax(-1))
print(f"rows of 15: {nanoseconds(short):.2f} ns a number, of 16: {nanoseconds(longer):.2f}, padded: {nanoseconds(padded):.2f}")
raise SystemExit(nanoseconds(short) < 3 * nanoseconds(longer))
PYTHON
