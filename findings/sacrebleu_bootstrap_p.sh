#!/usr/bin/env bash
# sacreBLEU 2.6.0 with numpy 2.3.5, 29 November 2026.
# Input: 100 pairs of systems that are equal: in each of 100 lines of 20 words either system errs in any word with the
#   probability 0.4, so that the null hypothesis of `--paired-bs` is true.
# Expected: a p-value is under 0.05 in about 5 of 100 such pairs, as the command prints that p is "roughly the probability
#   of the absolute score difference (delta) or higher occurring due to chance", and marks p < 0.05 with "*".
# Seen: it is in 9, and under 0.2 in 58. The test centres the absolute differences of the resamples by their mean, not
#   the signed ones, and counts those above the absolute difference: p is one-sided, about half of the two-sided one for
#   large differences, and less for small ones.
#   Approximate randomization, `--paired-ar`, of the same pairs: 5 and 15.
# Hurts: whoever reports that a system is significantly better by `--paired-bs`: about twice as many of such
#   claims as stated are by chance.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install sacrebleu==2.6.0 numpy==2.3.5
venv/bin/python - <<'PYTHON'
import numpy as np
from sacrebleu import BLEU
from sacrebleu.significance import PairedTest

rng = np.random.default_rng(1)
reference = [" ".join(f"w{word}" for word in rng.integers(50, size=20)) for _ in range(100)]


def translate() -> list[str]:
    return [" ".join(word if rng.random() > 0.4 else "x" for word in line.split()) for line in reference]


found = {"bs": [], "ar": []}
for _ in range(100):
    systems = [("a", translate()), ("b", translate())]
    for kind in found:
        test = PairedTest(systems, {"BLEU": BLEU(force=True)}, [reference], test_type=kind, n_samples=300)
        found[kind].append(test()[1]["BLEU"][1].p_value)
counts = {kind: [sum(p < level for p in values) for level in (0.05, 0.2)] for kind, values in found.items()}
print(f"of 100 pairs of equal systems, p < 0.05 and p < 0.2: {counts}")
raise SystemExit(0 if counts["bs"][1] > 40 and counts["ar"][1] < 30 else 1)
PYTHON
