#!/usr/bin/env bash
# sacreBLEU 2.6.0, 29 November 2026.
# Input: a paired test with SACREBLEU_SEED=0, three times.
# Expected: the same p each time, as with any other seed, because the signature says seed:0.
# Seen: other p-values each time: the seed 0 is taken for no seed, while the signature says seed:0.
# Hurts: whoever fixes the seed at 0, which is a common choice: neither they nor others can reproduce the number.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install sacrebleu==2.6.0
for line in {1..40}; do
    echo "the dog number $line sleeps on $((line % 4)) sofas" >> reference
    echo "the dog number $line sleeps on $((line % 3)) sofas" >> first
    echo "the dog number $line sleeps on $((line % 5)) sofas" >> second
done
p_of() {
    SACREBLEU_SEED=$1 venv/bin/sacrebleu reference -i first second -m chrf --paired-ar --paired-ar-n 1000 -f json 2> /dev/null |
        venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)[1]["chrF2"]["p_value"])'
}
for seed in 0 1; do
    for run in 1 2 3; do p_of $seed; done | sort -u > "seed$seed"
    echo "seed $seed: $(tr '\n' ' ' < "seed$seed")"
done
[[ $(wc -l < seed0) -gt 1 && $(wc -l < seed1) -eq 1 ]]
