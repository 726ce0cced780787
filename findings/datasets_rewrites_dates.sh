#!/usr/bin/env bash
# datasets 5.2.0 (with pandas 3.1.1, pyarrow 26.0.1), 28 November 2026.
# Input: lines of JSON with parallel text; all English texts of the file happen to be dates, as in a list of headings.
# Expected: the strings of the file. JSON has no type for dates, and `features` of strings ask for strings.
# Seen: the column becomes one of timestamps, as Arrow's reader guesses, also inside {"translation": {...}}; one other
#   text in the file, and it stays text. `features` are applied after the guess: "2024-05-01" comes back as the string
#   "2024-05-01 00:00:00", and "2024-05-02T10:00Z" without its time zone, while the German side is as it was.
# Hurts: whoever reads corpora in parts, or calls of an interface in batches: the type of a side depends on its neighbours,
#   and sources get hours, minutes and seconds that no reference has.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install datasets==5.2.0 pandas==3.1.1 pyarrow==26.0.1
cat > a.jsonl <<'JSON'
{"en": "2024-05-01", "de": "1. Mai 2024"}
{"en": "2024-05-02T10:00Z", "de": "2. Mai 2024, 10 Uhr UTC"}
JSON
cat a.jsonl - > b.jsonl <<<'{"en": "The sea is calm.", "de": "Das Meer ist ruhig."}'
seen=$(HF_HOME="$folder" HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON'
from datasets import Features, Value, disable_progress_bars, load_dataset

disable_progress_bars()
strings = Features({"en": Value("string"), "de": Value("string")})
guessed, typed, more = (
    load_dataset("json", data_files=name, split="train", features=features)
    for name, features in (("a.jsonl", None), ("a.jsonl", strings), ("b.jsonl", None))
)
print(guessed.features["en"].dtype, *typed["en"], more.features["en"].dtype, *more["en"][:2], sep=", ")
PYTHON
)
echo "guessed, with features, beside a sentence: $seen"
expected="timestamp[s], 2024-05-01 00:00:00, 2024-05-02 10:00:00, string, 2024-05-01, 2024-05-02T10:00Z"
[[ $seen == "$expected" ]]
