#!/usr/bin/env bash
# argostranslate 1.11.0 with sentencepiece 0.2.3, 29 November 2026.
# Input: a translation that holds an underscore, as in names of files and variables, hashtags and e-mail addresses.
# Expected: the detokenizer of a package gives back what the tokenizer was given, as SentencePiece does.
# Seen: it replaces U+2581, SentencePiece's sign for a space, and then each underscore, by a space: "my_file.txt" becomes
#   "my file.txt". Both look alike in many fonts.
# Hurts: translations of technical text, in Argos Translate and in LibreTranslate, whose copy (argos-translate-lt 1.12.1)
#   does the same.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install sentencepiece==0.2.3
for package in argostranslate==1.11.0 argos-translate-lt==1.12.1; do
    venv/bin/pip -q install --no-deps --target "${package%%==*}" "$package"
done
venv/bin/python - <<'PYTHON'
import importlib.util
import sys
from pathlib import Path

import sentencepiece

text = "open my_file.txt"
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter([text] * 20), model_prefix="m", vocab_size=30, hard_vocab_limit=False, minloglevel=2
)
found = []
for package in ("argostranslate", "argos-translate-lt"):
    spec = importlib.util.spec_from_file_location("tokenizer", f"{package}/argostranslate/tokenizer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tokenizer = module.SentencePieceTokenizer(Path("m.model"))
    found.append(tokenizer.decode(tokenizer.encode(text)).strip())
own = sentencepiece.SentencePieceProcessor(model_file="m.model")
print(f"sentencepiece: {own.decode(own.encode(text))!r}, argostranslate: {found}")
sys.exit(0 if own.decode(own.encode(text)) == text and found == ["open my file.txt"] * 2 else 1)
PYTHON
