#!/usr/bin/env bash
# langcodes 3.5.1, 28 November 2026.
# Input: codes of languages that CLDR's table of likely subtags does not list: Mesopotamian Arabic (acm), Evenki (evn),
#   Khakas (kjh), South Azerbaijani (azb).
# Expected: `maximize()` adds no script, or that of the macrolanguage: acm belongs to ar, which is Arab.
# Seen: each is completed from the entry of the unknown language, `und`, to Latin script in the United States, as if that
#   were known: acm-Latn-US, evn-Latn-US. Nothing tells such an answer from one of the table, such as en-Latn-US.
# Hurts: whoever filters or guesses text by the script of its language: good lines in Cyrillic or Arabic are dropped.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install langcodes==3.5.1
found=$(venv/bin/python -c '
from langcodes import Language
print(*(Language.get(code).maximize().to_tag() for code in ("acm", "evn", "kjh", "azb", "ar")))
')
echo "maximized: $found"
[[ $found == "acm-Latn-US evn-Latn-US kjh-Latn-US azb-Latn-US ar-Arab-EG" ]]
