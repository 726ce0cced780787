#!/bin/bash
# sacreBLEU 2.6.0, seen on 2026-11-28.
# A segment of WMT's XML may have one reference where others have two. One would expect that it is scored by the one it
# has: sacreBLEU's metrics take None for a missing reference. Seen: its reader of WMT's XML writes an empty line, which
# the command line takes for a reference of length 0: the closest length of a hypothesis is then too short, and a
# hypothesis that is too short has no brevity penalty. Hurt are scores against several references of such sets.
# Exits with 0 while this is so, with 1 when it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet sacrebleu==2.6.0
venv/bin/python - <<'PYTHON'
import io
import sys

import sacrebleu
from sacrebleu.dataset.wmt_xml import WMTXMLDataset

text = """<dataset id="t"><doc id="d" origlang="en">
<src lang="en"><p><seg id="1">The small dog sleeps on the sofa.</seg><seg id="2">A cat came home late.</seg></p></src>
<ref lang="de" translator="A"><p><seg id="1">Der kleine Hund schläft auf dem Sofa.</seg>
<seg id="2">Eine Katze kam spät heim.</seg></p></ref>
<ref lang="de" translator="B"><p><seg id="2">Eine Katze kam spät nach Hause.</seg></p></ref>
</doc></dataset>"""
fields = WMTXMLDataset._unwrap_wmt21_or_later(io.BytesIO(text.encode()))
print("references B:", fields["ref:B"])
hypotheses = ["Der kleine Hund schläft", "Eine Katze kam spät heim."]
blank = sacrebleu.corpus_bleu(hypotheses, [fields["ref:A"], fields["ref:B"]]).score
missing = sacrebleu.corpus_bleu(hypotheses, [fields["ref:A"], [line or None for line in fields["ref:B"]]]).score
print(f"BLEU with the blank line: {blank:.2f}; with None in its place: {missing:.2f}")
sys.exit(0 if fields["ref:B"][0] == "" and blank > missing else 1)
PYTHON
