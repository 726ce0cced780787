#!/usr/bin/env bash
# sacreBLEU 2.6.0, 29 November 2026.
# Input: two files in the format of WMT's test sets since 2021, of two documents, of which one states its domain: in one
#   file the first document, in the other the last.
# Expected: the field `domain`, by which `sacrebleu --list` and `--echo domain` name the domains of segments, has the
#   domain of the document that states it, in both.
# Seen: `seen_domain` is set anew by each document, so that the last one decides: the first file has no domains at all, and
#   of the second the field has None for the first segment, on which the writing of the field fails:
#   AttributeError: 'NoneType' object has no attribute 'strip'.
# Hurts: whoever scores test sets by domain, or makes a set that is joined from others; sets that are wholly labelled, or
#   not at all, are read rightly.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install sacrebleu==2.6.0
venv/bin/python - <<'PYTHON'
import io
import sys

from sacrebleu.dataset.wmt_xml import WMTXMLDataset


def read(*domains: str) -> list[str | None] | None:
    documents = [
        f'<doc origlang="en" id="{number}" {domain}><src lang="en"><seg id="1">s</seg></src>'
        '<ref lang="de" translator="A"><seg id="1">r</seg></ref></doc>'
        for number, domain in enumerate(domains)
    ]
    file = io.BytesIO(f"<dataset>{''.join(documents)}</dataset>".encode())
    return WMTXMLDataset._unwrap_wmt21_or_later(file).get("domain")


first, last = read('domain="news"', ""), read("", 'domain="news"')
try:
    WMTXMLDataset._clean(last[0])
    failure = None
except AttributeError as error:
    failure = str(error)
print("domain of the first document alone:", first)
print("domain of the last document alone:", last, "-", failure)
sys.exit((first, last) != (None, [None, "news"]) or failure is None)
PYTHON
