#!/usr/bin/env bash
# tokenizers 0.23.3, 29 November 2026.
# Input: a letter with two combining marks, one of them added to Unicode after version 9 (2016), in the order that is not the
# canonical one, to the normalizer NFC.
# Expected: the order that Unicode's normal form C has had for these marks since they exist, as in Python's unicodedata.
# Seen: the marks stay as they are: they count as no marks. It is so for 51 marks of Unicode 14, of N'Ko, Arabic, Hanifi
# Rohingya and others.
# Hurts: whoever converts a tokenizer with a normal form of its own to tokenizer.json: such text gets other pieces.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install tokenizers==0.23.3
cat > look.py <<'END'
import unicodedata
from tokenizers.normalizers import NFC

nfc = NFC()
acute = "\u0301"
odd = []
for code in range(0x300, 0x20000):
    mark = chr(code)
    if unicodedata.combining(mark):
        texts = (f"a{mark}{acute}", f"a{acute}{mark}")
        if any(nfc.normalize_str(text) != unicodedata.normalize("NFC", text) for text in texts):
            odd.append(mark)
print(f"marks in another order than in Unicode {unicodedata.unidata_version}: {len(odd)}")
for mark in odd[:5]:
    print(f"U+{ord(mark):04X} {unicodedata.name(mark)}")
raise SystemExit(not odd)
END
venv/bin/python look.py
