#!/usr/bin/env bash
# libretranslate 1.9.6, 29 November 2026.
# Input: a text in small letters, as people type in chats, and its German translation as the model wrote it.
# Expected: the translation as it is; German nouns are written with capitals whatever the source looks like.
# Seen: the server gives a translation the case of its source: a source without capitals puts the whole translation in
#   small letters, names and nouns too; a source in capitals puts it in capitals.
# Hurts: whoever measures a model through the server, as a case-sensitive BLEU falls, and all readers of German.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install --no-deps --target package libretranslate==1.9.6
venv/bin/python - <<'PYTHON'
import ast
import sys
from pathlib import Path

# The function alone: the module imports all of Argos Translate.
tree = ast.parse(Path("package/libretranslate/language.py").read_text(encoding="utf-8"))
tree.body = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "improve_translation_formatting"]
names = {}
exec(compile(tree, "language.py", "exec"), names)
found = names["improve_translation_formatting"]("the dogs of berlin sleep.", "Die Hunde von Berlin schlafen.")
print(found)
sys.exit(0 if found == "die hunde von berlin schlafen." else 1)
PYTHON
