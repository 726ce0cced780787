#!/bin/bash
# sacreBLEU 2.6.0, seen on 2026-11-28.
# In SGM, `&amp;` stands for `&`, names of elements may be in upper case, and a segment may go over several lines. One
# would expect three segments, the first with a plain `&`. Seen: sacreBLEU's reader of WMT's sets until 2020 goes line by
# line: it keeps `&amp;` in the text, leaves out a segment in upper case, and of one that goes over two lines it keeps the
# first, with the mark-up, without a word. Hurt is who extracts such a set, say with entities, and compares scores of other readers.
# Exits with 0 while this is so, with 1 when it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet sacrebleu==2.6.0
cat > set.sgm <<'SGM'
<srcset setid="t" srclang="any">
<doc docid="d">
<seg id="1">Salt &amp; pepper.</seg>
<SEG id="2">In upper case.</SEG>
<seg id="3">Over two
lines.</seg>
</doc>
</srcset>
SGM
venv/bin/python - <<'PYTHON'
import sys

from sacrebleu.dataset.fake_sgml import FakeSGMLDataset

FakeSGMLDataset("t", [], None, "", [])._convert_format("set.sgm", "set.txt")
lines = open("set.txt", encoding="utf-8").read().splitlines()
print(lines)
sys.exit(0 if lines[0] == "Salt &amp; pepper." and len(lines) == 2 and "lines." not in lines[1] else 1)
PYTHON
