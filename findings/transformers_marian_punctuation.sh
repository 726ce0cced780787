#!/usr/bin/env bash
# transformers 5.24.0, 29 November 2026.
# Input: a text with typographic quotation marks, to a MarianTokenizer, with sacremoses installed as its warning recommends.
# Expected: the ids of the text whose punctuation is normalised, as in the training of OPUS-MT's models.
# Seen: the ids of the text as it is: the tokenizer sets a normaliser up, and has a method that calls it, which nothing calls.
# Hurts: whoever installs sacremoses for it: the models get characters that they hardly saw, and nothing says so.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install transformers==5.24.0 sentencepiece==0.2.3 sacremoses==0.1.1
cat > look.py <<'END'
import io
import json
import sentencepiece
from transformers import MarianTokenizer

model = io.BytesIO()
lines = ['He said "yes" and \u201cno\u201d.', "She said yes."] * 20
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines), model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
)
for name in ("source.spm", "target.spm"):
    open(name, "wb").write(model.getvalue())
processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
pieces = ["</s>", "<unk>", *(processor.id_to_piece(i) for i in range(3, processor.get_piece_size())), "<pad>"]
json.dump({piece: index for index, piece in enumerate(pieces)}, open("vocab.json", "w"))
tokenizer = MarianTokenizer("source.spm", "target.spm", "vocab.json", source_lang="en", target_lang="de")
text = "He said \u201cyes\u201d."
print("normalised by the tokenizer's own method:", tokenizer.normalize(text))
print("pieces:", tokenizer.tokenize(text))
print("pieces of the normalised text:", tokenizer.tokenize(tokenizer.normalize(text)))
raise SystemExit(tokenizer.normalize(text) == text or tokenizer.tokenize(text) == tokenizer.tokenize(tokenizer.normalize(text)))
END
PYTHONWARNINGS=ignore venv/bin/python look.py
