#!/usr/bin/env bash
# datasets 5.2.0 (with pandas 3.1.1, pyarrow 26.0.1), 28 November 2026.
# Input: a CSV file of parallel text whose first line names two columns, en and de, and whose rows have a third field,
#   the origin of the pair, that nobody named.
# Expected: an error for rows of another length than the first line, or the two named columns and the rest left out.
#   The documentation says only that the builder `csv` loads such files by their column names.
# Seen: the first field becomes an unnamed index, as pandas does by default, and every name moves by one field: the
#   column "en" holds the German text, "de" the origin; no warning, and the split has a column more. With
#   `features` of two strings that column is left out too, so that nothing shows the shift.
# Hurts: whoever trains on such a table: a model from German to names of corpora, or with the sides swapped.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install datasets==5.2.0 pandas==3.1.1 pyarrow==26.0.1
printf '%s\n' 'en,de' 'The ship sails.,Das Schiff segelt.,harbour' 'The sea is calm.,Das Meer ist ruhig.,harbour' > a.csv
seen=$(HF_HOME="$folder" HF_HUB_OFFLINE=1 venv/bin/python -W error::UserWarning - <<'PYTHON'
from datasets import Features, Value, disable_progress_bars, load_dataset

disable_progress_bars()
plain = load_dataset("csv", data_files="a.csv", split="train")
typed = Features({"en": Value("string"), "de": Value("string")})
typed = load_dataset("csv", data_files="a.csv", split="train", features=typed)
print(*plain.column_names, "|", *plain[0].values(), "|", *typed.column_names, "|", *typed[0].values())
PYTHON
)
echo "columns and first row, as they are and with features: $seen"
[[ $seen == "en de __index_level_0__ | Das Schiff segelt. harbour The ship sails. | en de | Das Schiff segelt. harbour" ]]
