#!/usr/bin/env bash
# sacreBLEU 2.6.0 with numpy 2.3.5, 29 November 2026.
# Input: a paired bootstrap of two systems by chrF, printed as JSON.
# Expected: the JSON that `--paired-ar -f json` prints, with means and intervals.
# Seen: "TypeError: Object of type float32 is not JSON serializable", exit code 1. The counts of n-grams are of 32
#   bits, and since numpy 2 so is the chrF that is computed from them.
# Hurts: whoever reads the results of `--paired-bs` by a program: JSON is also the format to choose for that.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install sacrebleu==2.6.0 numpy==2.3.5
printf 'the small dog sleeps on the sofa\nA cat is here.\n' > reference
printf 'the small dog sleeps on a sofa\nA cat is here.\n' > first
printf 'a dog sleeps on the old sofa\nThe cat is here.\n' > second
venv/bin/sacrebleu reference -i first second -m chrf --paired-ar -f json > /dev/null 2>&1
code=0
venv/bin/sacrebleu reference -i first second -m chrf --paired-bs -f json > out 2> err || code=$?
echo "exit code $code: $(tail -n 1 err)"
[[ $code == 1 && $(tail -n 1 err) == "TypeError: Object of type float32 is not JSON serializable" ]]
