"""Time `generate` of Hugging Face's transformers, on its model of the same architecture with the same weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from safetensors.torch import load_file
from sentencepiece import SentencePieceProcessor
from transformers import (
    GenerationConfig,
    MarianConfig,
    MarianMTModel,
    PegasusConfig,
    PegasusForConditionalGeneration,
)
from translating import Rows, Task, Translate, batched, renamed, run

PAD_ID, BOS_ID, EOS_ID = 0, 2, 3

MODELS = {"pre": (PegasusConfig, PegasusForConditionalGeneration), "post": (MarianConfig, MarianMTModel)}
"""By where the norm is: the models with sinusoids, scaled embeddings, and a final norm where it is needed."""

NAMES = {
    r"^(encoder|decoder)_norm": r"model.\1.layer_norm",
    r"^(encoder|decoder)\.(\d)": r"model.\1.layers.\2",
    r"self_attention_norm": "self_attn_layer_norm",
    r"cross_attention_norm": "encoder_attn_layer_norm",
    r"feed_forward_norm": "final_layer_norm",
    r"self_attention": "self_attn",
    r"cross_attention": "encoder_attn",
    r"query": "q_proj",
    r"key": "k_proj",
    r"value": "v_proj",
    r"output": "out_proj",
    r"feed_forward\.inner": "fc1",
    r"feed_forward\.outer": "fc2",
    r"target_embedding": "model.shared",
}


def sinusoids(limit: int, width: int) -> torch.Tensor:
    """Return nmt's positions (limit, width), sines and cosines interleaved; the toolkit has them in two halves."""
    frequency = 10_000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(limit, dtype=torch.float64)[:, None] * frequency
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).float()


def convert(task: Task, vocabulary: int) -> None:
    """Save the model as the toolkit does; later calls load that, like any user of it."""
    sizes = task.sizes
    config_class, model_class = MODELS[sizes["norm"]]
    config = config_class(
        vocab_size=vocabulary,
        d_model=sizes["d_model"],
        encoder_layers=sizes["encoder_layers"],
        decoder_layers=sizes["decoder_layers"],
        encoder_ffn_dim=sizes["ffn"],
        decoder_ffn_dim=sizes["ffn"],
        encoder_attention_heads=sizes["heads"],
        decoder_attention_heads=sizes["heads"],
        max_position_embeddings=2 * sizes["max_length"],
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        forced_eos_token_id=EOS_ID,
        decoder_start_token_id=BOS_ID,
    )
    model = model_class(config)
    weights = renamed(load_file(task.bundle / "model.safetensors"), NAMES)
    positions = sinusoids(2 * sizes["max_length"], sizes["d_model"])
    weights |= {f"model.{side}.embed_positions.weight": positions for side in ("encoder", "decoder")}
    lacking, strangers = model.load_state_dict(weights, strict=False)
    tied = {
        "final_logits_bias",
        "lm_head.weight",
        *(f"model.{side}.embed_tokens.weight" for side in ("encoder", "decoder")),
    }
    if strangers or set(lacking) - tied:
        raise SystemExit(f"the weights do not fit: {strangers}, {set(lacking) - tied}")
    model.save_pretrained(task.bundle / "huggingface")


def load(task: Task) -> Translate:
    """Load the model, converted at the first call."""
    torch.set_num_threads(task.threads)
    tokenizer = SentencePieceProcessor(model_file=str(task.bundle / "tokenizer.model"))
    folder = task.bundle / "huggingface"
    if not folder.exists():
        convert(task, tokenizer.get_piece_size())
    model = MODELS[task.sizes["norm"]][1].from_pretrained(folder).eval()

    def search(batches: Iterable[Rows], beam_size: int) -> Iterator[Rows]:
        for rows in batches:
            longest = max(map(len, rows))
            ids = [[*tokenizer.piece_to_id(row), EOS_ID] + [PAD_ID] * (longest - len(row)) for row in rows]
            src = torch.tensor(ids)
            config = GenerationConfig(
                num_beams=beam_size,
                length_penalty=task.length_penalty,
                max_new_tokens=task.limit(rows),
                min_new_tokens=1,  # EOS not counted
                pad_token_id=PAD_ID,
                eos_token_id=EOS_ID,
                forced_eos_token_id=EOS_ID,
                decoder_start_token_id=BOS_ID,
            )
            found = model.generate(src, attention_mask=(src != PAD_ID).long(), generation_config=config)[:, 1:].tolist()
            yield [tokenizer.id_to_piece(row[: row.index(EOS_ID)] if EOS_ID in row else row) for row in found]

    return batched(task, search)


if __name__ == "__main__":
    run("transformers", load)
