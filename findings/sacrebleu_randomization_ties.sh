#!/usr/bin/env bash
# sacreBLEU 2.6.0, 29 November 2026.
# Input: two systems whose translations differ in one of 30 lines, and two that do not differ at all.
# Expected: `--paired-ar` gives p = 1. Swapping the one line changes only the sign of the difference, so that each of the
#   10,000 trials has an absolute difference as large as the one observed.
# Seen: p = 0.0001, marked as significant, in both cases, because only trials with a larger difference are counted, and no
#   trial has one. The printed definition of p is "the absolute score difference (delta) or higher".
# Hurts: whoever compares systems that differ in few lines, as after a fix of postprocessing: with 3 lines in favour of
#   one system p is 0.0001 in place of 0.25.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install sacrebleu==2.6.0
for line in {1..30}; do echo "the dog number $line sleeps on the sofa"; done > reference
sed 's/sofa/chair/' reference > same
cp same baseline
sed '7s/chair/sofa/' baseline > other
for system in other same; do
    p=$(venv/bin/sacrebleu reference -i baseline $system -m bleu --paired-ar -f json 2> /dev/null |
        venv/bin/python -c 'import json, sys; print(f"{json.load(sys.stdin)[1]['"'BLEU'"']['"'p_value'"']:.4f}")')
    echo "baseline and $system: p = $p"
    [[ $p == 0.0001 ]] || exit 1
done
