#!/usr/bin/env bash
# langcodes 3.5.1 (with language_data 1.4.0), 28 November 2026.
# Input: headings of columns that tables of parallel text have beside the languages: index, person, gender, duration,
#   remarks, characters, semantics, bilingual.
# Expected: `find` raises LookupError, as for "source" or "comment": no language has such a name. Its documentation
#   allows that a name "can be shortened to match a single language name", with "Hakka dialect" for Hakka.
# Seen: names are shortened within words, too, to any four letters that name a language in some language: index is
#   Da'a Kaili, person is Persian, gender is Gende, and none of the answers tells itself from that for "Farsi".
# Hurts: whoever finds the languages of a table by its headings: "person" beside "English" is read as Persian text.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install langcodes==3.5.1 language_data==1.4.0
found=$(venv/bin/python -c '
import langcodes
names = "index person gender duration remarks characters semantics bilingual Farsi".split()
print(*(f"{name}={langcodes.find(name)}" for name in names))
')
echo "found: $found"
[[ $found == "index=kzf person=fa gender=gaf duration=drq remarks=bow characters=cra semantics=nsm bilingual=byn Farsi=fa" ]]
