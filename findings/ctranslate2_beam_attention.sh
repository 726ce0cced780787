#!/usr/bin/env bash
# CTranslate2 4.8.5, 29 November 2026.
# Input: an encoder-decoder of one layer with weights drawn at random, and eight sources of one to eight pieces, translated with
#   `beam_size=4, return_attention=True`, all in one batch and each alone.
# Expected: the hypothesis of a source, which is the same in both, has the same attention in both.
# Seen: with equal hypotheses the attention differs by up to 0.69 between the two; with `beam_size=1` it does not.
# Hurts: whoever aligns words, restores tags or uses `replace_unknowns` with a beam search in batches.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install ctranslate2==4.8.5 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import os
import sys

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerDecoderSpec, TransformerEncoderSpec, TransformerSpec

WIDTH, VOCABULARY = 8, ["<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"]
rng = np.random.default_rng(1)


def draw(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def fill(linear, rows: int, columns: int) -> None:
    linear.weight, linear.bias = draw(rows, columns), draw(rows)


encoder, decoder = TransformerEncoderSpec(1, 2), TransformerDecoderSpec(1, 2, alignment_heads=2)
spec = TransformerSpec(encoder, decoder)
spec.register_source_vocabulary(VOCABULARY)
spec.register_target_vocabulary(VOCABULARY)
encoder.embeddings[0].weight, decoder.embeddings.weight = draw(8, WIDTH), draw(8, WIDTH)
fill(decoder.projection, 8, WIDTH)
for stack in (encoder, decoder):
    stack.position_encodings.encodings = draw(64, WIDTH)
    layer = stack.layer[0]
    fill(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
    fill(layer.self_attention.linear[1], WIDTH, WIDTH)
    fill(layer.ffn.linear_0, 2 * WIDTH, WIDTH)
    fill(layer.ffn.linear_1, WIDTH, 2 * WIDTH)
    norms = [stack.layer_norm, layer.self_attention.layer_norm, layer.ffn.layer_norm]
    for norm in [*norms, *([layer.attention.layer_norm] if stack is decoder else [])]:
        norm.gamma, norm.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
for linear, rows in zip(decoder.layer[0].attention.linear, (WIDTH, 2 * WIDTH, WIDTH)):
    fill(linear, rows, WIDTH)
spec.validate()
spec.optimize()
os.mkdir("model")
spec.save("model")
model = ctranslate2.Translator("model", "cpu", intra_threads=1)
sources = [[VOCABULARY[3 + (i * k) % 5] for k in range(i)] for i in range(1, 9)]


def difference(beam_size: int) -> float:
    """Return the largest difference of the attention between the batch and each alone, where hypotheses are equal."""
    options = {"beam_size": beam_size, "return_attention": True, "max_decoding_length": 12}
    alone = [model.translate_batch([source], **options)[0] for source in sources]
    largest = 0.0
    for source, one, other in zip(sources, alone, model.translate_batch(sources, **options)):
        if one.hypotheses == other.hypotheses:
            sides = [np.array(each.attention[0])[:, : len(source)] for each in (one, other)]
            largest = max(largest, float(abs(sides[0] - sides[1]).max()))
    return largest


greedy, beam = difference(1), difference(4)
print(f"largest difference: beam size 1 {greedy:.6f}, beam size 4 {beam:.6f}")
sys.exit(0 if greedy < 1e-4 and beam > 0.1 else 1)
PYTHON
