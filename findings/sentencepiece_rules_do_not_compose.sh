#!/bin/bash
# sentencepiece 0.2.3, 28 November 2026.
# Expected: text under the rules nfkc and nmt_nfkc is in Unicode's normal form NFKC, so that canonically equivalent
#   inputs give the same pieces.
# Seen: marks are composed only in the order of Unicode's decompositions. A Vietnamese e with circumflex and then dot
#   below stays two characters, a Korean syllable and its final consonant stay apart, and Arabic shadda before fatha is
#   not reordered; Python's unicodedata makes one character, one syllable, and the canonical order of them.
# Hurts: whoever trains on composed text and receives text as it is typed: the same words become other, rarer pieces.
# Exit 0 while it is so, 1 if it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q sentencepiece==0.2.3
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import unicodedata

import sentencepiece

differing = 0
for rule in ("nfkc", "nmt_nfkc"):
    normalizer = sentencepiece.SentencePieceNormalizer(
        rule_name=rule, add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )
    for text in ("e\u0302\u0323", "\uac00\u11a8", "\u0628\u0651\u064e"):
        found, wanted = normalizer.normalize(text), unicodedata.normalize("NFKC", text)
        print(rule, ascii(text), "gives", ascii(found), "and NFKC is", ascii(wanted))
        differing += found != wanted
sys.exit(differing != 6)
PYTHON
