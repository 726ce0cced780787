#!/usr/bin/env bash
# transformers 5.24.0, 29 November 2026.
# Input: ids of a target text to the `decode` of a MarianTokenizer with one vocabulary and two SentencePiece models, of which
# that of the target has byte fallback.
# Expected: the text, put together by the model of the target, as `use_source_tokenizer` is said to default to False.
# Seen: the names of bytes, <0xC4><0x90>: with one vocabulary, the model of the source is taken by default.
# Hurts: whoever decodes translations: characters that are spelled in bytes are lost.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install transformers==5.24.0 sentencepiece==0.2.3
cat > look.py <<'END'
import io
import json
import sentencepiece
from transformers import MarianTokenizer


def train(name, line, **more):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line] * 20), model_writer=model, vocab_size=300, hard_vocab_limit=False, minloglevel=2, **more
    )
    open(name, "wb").write(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]


pieces = [*train("source.spm", "an old house"), *train("target.spm", "ein altes Haus", byte_fallback=True)]
whole = ["</s>", "<unk>", *dict.fromkeys(pieces), "<pad>"]
json.dump({piece: index for index, piece in enumerate(whole)}, open("vocab.json", "w"))
tokenizer = MarianTokenizer("source.spm", "target.spm", "vocab.json", source_lang="en", target_lang="de")
text = "ein \u0110 Haus"
ids = tokenizer(text_target=text).input_ids
print("text:", text)
print("decode:", decoded := tokenizer.decode(ids, skip_special_tokens=True))
print("decode, use_source_tokenizer=False:", tokenizer.decode(ids, skip_special_tokens=True, use_source_tokenizer=False))
raise SystemExit(decoded == text)
END
PYTHONWARNINGS=ignore venv/bin/python look.py
