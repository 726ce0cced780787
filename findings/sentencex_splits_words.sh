#!/usr/bin/env bash
# sentencex 1.0.32, 28 November 2026.
# Input: one French sentence each with a date before Christ and with the title M., and one German sentence each with an
#   ordinal and with the title Dipl.-Ing.
# Expected: each stays one sentence. The documentation prefers two sentences left together to one split in its middle, for
#   machine translation among others, and speaks of lists of known abbreviations in as many languages as possible.
# Seen: "av. J.-C." and "Dipl.-Ing." are split before the hyphen, within a word; "M. Dupont" after the most frequent
#   title of French; "im 19. Jahrhundert" after the ordinal, as all German nouns have capitals, though not before a month.
# Hurts: whoever translates documents sentence by sentence with it: "-C., il part." and "Jahrhundert." go to the model
#   alone, and alignments of sentences fail where the other side, as English, is not split.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install sentencex==1.0.32
split=$(venv/bin/python - <<'PYTHON'
from sentencex import segment

for language, text in (
    ("fr", "En 50 av. J.-C., il part."),
    ("fr", "Je vois M. Dupont."),
    ("de", "Wir sehen Dipl.-Ing. Meier."),
    ("de", "Es war im 19. Jahrhundert."),
    ("de", "Es war am 3. Mai."),
):
    print("|".join(segment(language, text)), end=" / ")
PYTHON
)
echo "split: $split"
expected="En 50 av. J.|-C., il part. / Je vois M. |Dupont. / Wir sehen Dipl.|-Ing. |Meier. / "
[[ $split == "${expected}Es war im 19. |Jahrhundert. / Es war am 3. Mai. / " ]]
