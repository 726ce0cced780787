#!/usr/bin/env bash
# PYEVALB 0.1.3, 29 November 2026.
# Input: parses that equal their references, one with a constituent NP in another NP; and a file with an empty parse.
# Expected: as EVALB, of which PYEVALB is "a python version": all brackets of equal trees match, as EVALB's README says of
#   equal constituents over the same words ("If n==m, recall and precision are both 100%"), and an empty parse is skipped.
# Seen: of the two NP one is matched, recall and precision are 50. The empty parse gets the figures of the line before it
#   a second time: precision and recall are those of two lines, and "Number of Skip sentence" is 0. Punctuation and TOP
#   count as words and brackets, which EVALB's COLLINS.prm takes out: a wrongly placed full stop costs a bracket.
# Hurts: whoever compares figures of PYEVALB with published ones, which are EVALB's.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install PYEVALB==0.1.3 pytablewriter==1.2.1
found=$(venv/bin/python - <<'PYTHON'
import contextlib
import io

from PYEVALB import parser, scorer, summary

tree = parser.create_from_bracket_string
nested = scorer.Scorer().score_trees(tree("(NP (NP (NN cat)))"), tree("(NP (NP (NN cat)))"))
stop = scorer.Scorer().score_trees(tree("(S (VP (VB go)) (. .))"), tree("(S (VP (VB go) (. .)))"))
references = ["(S (NP (NN cat)) (VP (VB sat)))", "(S (NP (NN dog)) (VP (VB ran)))"]
with contextlib.redirect_stdout(io.StringIO()):
    lines = scorer.Scorer().score_corpus(references, [references[0], ""])
whole = summary.summary(lines)
print(f"{nested.recall:.2f} {stop.recall:.2f} {whole.skip_sent_num:.0f} {whole.valid_sent_num:.0f} {whole.bracket_recall:.0f}")
PYTHON
)
echo "recall of equal trees: ${found%% *}; all: $found"
[[ $found == "0.50 0.50 0 2 100" ]]
