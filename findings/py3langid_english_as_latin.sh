#!/usr/bin/env bash
# py3langid 0.4.0, 28 November 2026.
# Input: plain English sentences of physics and medicine with words such as minimum, radium, and calcium.
# Expected: English, as the articles, prepositions and verbs are; or a low probability, so that `min_confidence`, which the
#   documentation gives for such cases ("abstention", with 0.2), answers `und`.
# Seen: Latin, with probabilities of 0.88 to 0.96, above any usual threshold, here 0.8. Some endings in -um outweigh
#   "the", "at", "and", "is", and "of"; of 24 such sentences that were tried, 8 were taken for Latin.
# Hurts: whoever filters parallel text by language: the English of a technical or scientific domain is thinned out just
#   where its terms are.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install py3langid==0.4.0
found=$(venv/bin/python - <<'PYTHON'
from py3langid.langid import MODEL_FILE, LanguageIdentifier

identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=0.8)
for text in (
    "The pendulum has maximum momentum at the minimum.",
    "The quantum error is at a minimum in the vacuum.",
    "Uranium and radium emit radiation in a vacuum.",
    "The serum contains a minimum of sodium and a maximum of calcium.",
    "The ship crosses the calm sea in the morning.",
):
    print(identifier.classify(text)[0], end=" ")
PYTHON
)
echo "identified: $found"
[[ $found == "la la la la en " ]]
