#!/usr/bin/env bash
# datasets 5.2.0 (with pandas 3.1.1, pyarrow 26.0.1), 28 November 2026.
# Input: lines of JSON with parallel text, in one of which a text is written as a number, 1984, not as "1984".
# Expected: an error for the one line; or, with `features` of strings, the text of the others and 1984 as text.
# Seen: the whole column becomes of the type Json (`arrow.json`). With `features` of strings each text of it, of all
#   lines, is JSON's source: in quotation marks, with \" for those within it and \n for a break. The same text is
#   in what `to_parquet` writes, for every other reader of Parquet, as in pyarrow's `to_pylist`.
# Hurts: whoever trains on such a column: one cell puts quotation marks around all sentences of a side, and the model
#   learns to write, or to expect, them.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install datasets==5.2.0 pandas==3.1.1 pyarrow==26.0.1
cat > a.jsonl <<'JSON'
{"en": "The \"Nord\" sails.", "de": "Die Nord segelt."}
{"en": 1984, "de": "1984"}
JSON
seen=$(HF_HOME="$folder" HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON'
import pandas
from datasets import Features, Value, disable_progress_bars, load_dataset

disable_progress_bars()
strings = Features({"en": Value("string"), "de": Value("string")})
typed = load_dataset("json", data_files="a.jsonl", split="train", features=strings)
load_dataset("json", data_files="a.jsonl", split="train").to_parquet("a.parquet")
print(typed[0]["en"], typed[0]["de"], pandas.read_parquet("a.parquet")["en"][0], sep=" | ")
PYTHON
)
echo "with features, in Parquet: $seen"
[[ $seen == '"The \"Nord\" sails." | Die Nord segelt. | "The \"Nord\" sails."' ]]
