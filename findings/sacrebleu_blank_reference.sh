#!/usr/bin/env bash
# sacreBLEU 2.6.0, 28 November 2026.
# Input: two reference files, of which the second has no translation of line 1, so the line is blank.
# Expected: the missing reference is left out, as the documentation of the Python interface says that references may be
#   "'' or None to allow the use of variable number of references per segment": BLEU as with the first file alone, 42.4.
# Seen: "" counts as a reference of length 0, the closest one to any short hypothesis, so the brevity penalty is gone:
#   BLEU is 100.0, and neither a warning nor the signature (nrefs:2) shows it. None in its place gives 42.4 and nrefs:var.
# Hurts: whoever scores with partial references, as from several translators, through the command or with "".
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install sacrebleu==2.6.0
printf 'the small dog sleeps\nA cat.\n' > hypotheses
printf 'the small dog sleeps on the old sofa at home\nA cat.\n' > first
printf '\nA cat.\n' > second
alone=$(venv/bin/sacrebleu first -i hypotheses -m bleu -b)
both=$(venv/bin/sacrebleu first second -i hypotheses -m bleu -b)
none=$(venv/bin/python - <<'PYTHON'
from sacrebleu import BLEU

hypotheses, first = (open(name).read().split("\n")[:2] for name in ("hypotheses", "first"))
bleu = BLEU()
print(f"{bleu.corpus_score(hypotheses, [first, [None, 'A cat.']]).score:.1f} {str(bleu.get_signature())[:9]}")
PYTHON
)
echo "one reference: $alone; a second with a blank line: $both; None in its place: $none"
[[ $alone == 42.4 && $both == 100.0 && $none == "42.4 nrefs:var" ]]
