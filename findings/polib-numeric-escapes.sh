#!/bin/bash
# polib 1.2.0, seen on 2026-11-28; needs msgfmt of GNU gettext.
# Strings in PO files have the escapes of C, and gettext reads `\x41` and `\101` as A, `\303\244` as ä. One would expect
# the same of a library for PO files. Seen: polib keeps the backslashes and digits as text, in reading and in the .mo
# files that it compiles, so that a program does not find the message. Hurt are catalogues that older tools wrote in
# ASCII, and corpora made of them.
# Exits with 0 while this is so, with 1 when it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet polib==1.2.0
cat > a.po <<'PO'
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"

msgid "\101 \x41"
msgstr "M\303\244rz"
PO
msgfmt -o gettext.mo a.po
venv/bin/python - <<'PYTHON'
import gettext
import sys

import polib

polib.pofile("a.po").save_as_mofile("polib.mo")
found = [gettext.GNUTranslations(open(f"{name}.mo", "rb")).gettext("A A") for name in ("gettext", "polib")]
print(f"gettext: {found[0]!r}, polib: {found[1]!r}")
sys.exit(0 if found == ["März", "A A"] else 1)
PYTHON
