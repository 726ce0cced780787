#!/usr/bin/env bash
# tokenizers 0.23.3 and sentencepiece 0.2.3, 29 November 2026.
# Input: pieces of single bytes, as models with byte fallback write them: a letter of ASCII, and after it a byte that is no
# UTF-8 by itself.
# Expected: the letter, and U+FFFD for the other byte, as SentencePiece decodes them.
# Seen: the decoder ByteFallback writes U+FFFD for all bytes of such a run: the letter is lost.
# Hurts: whoever decodes by tokenizer.json what was trained with SentencePiece: the same ids are another text.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install tokenizers==0.23.3 sentencepiece==0.2.3
cat > look.py <<'END'
import io
import sentencepiece
from tokenizers.decoders import ByteFallback

model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(["an old house"] * 20),
    model_writer=model,
    vocab_size=300,
    hard_vocab_limit=False,
    byte_fallback=True,
    minloglevel=2,
)
processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
pieces = ["<0x59>", "<0x9B>"]
of_sentencepiece = processor.decode([processor.piece_to_id(piece) for piece in pieces])
of_tokenizers = ByteFallback().decode(pieces)
print("sentencepiece:", ascii(of_sentencepiece))
print("tokenizers:   ", ascii(of_tokenizers))
raise SystemExit("Y" not in of_sentencepiece or "Y" in of_tokenizers)
END
venv/bin/python look.py
