#!/usr/bin/env bash
# CTranslate2 4.8.5, 29 November 2026.
# Input: a decoder-only model of one layer with weights drawn at random that never ends a text, a prompt of four pieces, and
#   `Generator.generate_batch(..., max_length=8)`, once with `include_prompt_in_result=True` (the default) and once False.
# Expected: the flag says what the result shows, so the same number of pieces is generated; the documentation calls
#   `max_length` the maximum generation length.
# Seen: with the prompt in the result only five pieces are generated, as the prompt counts but for one piece; without it, eight.
# Hurts: whoever bounds translations by a decoder-only model with a length, as a ratio to the source: with the default, the
#   longer the source, the shorter the translation, and a source longer than the limit has none or next to none.
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
from ctranslate2.specs import TransformerDecoderModelSpec, TransformerDecoderSpec

WIDTH, VOCABULARY = 8, ["<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"]
rng = np.random.default_rng(1)
decoder = TransformerDecoderSpec(num_layers=1, num_heads=2, with_encoder_attention=False)
spec = TransformerDecoderModelSpec(decoder)
spec.register_vocabulary(VOCABULARY)


def draw(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


decoder.embeddings.weight = draw(len(VOCABULARY), WIDTH)
decoder.projection.weight = draw(len(VOCABULARY), WIDTH)
decoder.projection.bias = np.array([-100.0, -100.0, -100.0, 0, 0, 0, 0, 0], np.float32)  # the special pieces never come
decoder.position_encodings.encodings = draw(64, WIDTH)
layer = decoder.layer[0]
for linear, shape in [
    (layer.self_attention.linear[0], (3 * WIDTH, WIDTH)),
    (layer.self_attention.linear[1], (WIDTH, WIDTH)),
    (layer.ffn.linear_0, (2 * WIDTH, WIDTH)),
    (layer.ffn.linear_1, (WIDTH, 2 * WIDTH)),
]:
    linear.weight, linear.bias = draw(*shape), draw(shape[0])
for norm in (layer.self_attention.layer_norm, layer.ffn.layer_norm, decoder.layer_norm):
    norm.gamma, norm.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
spec.config.multi_query_attention = False
spec.validate()
os.mkdir("model")
spec.save("model")
generator = ctranslate2.Generator("model", intra_threads=1)
prompt, generated = ["<s>", "a", "b", "c"], {}
for shown in (True, False):
    (result,) = generator.generate_batch([prompt], max_length=8, include_prompt_in_result=shown)
    generated[shown] = len(result.sequences[0]) - (len(prompt) - 1 if shown else 0)  # the result leaves out <s>
    print(f"include_prompt_in_result={shown}:", " ".join(result.sequences[0]), f"({generated[shown]} generated)")
sys.exit(generated != {True: 5, False: 8})
PYTHON
