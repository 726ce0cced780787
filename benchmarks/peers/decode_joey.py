"""Time JoeyNMT's beam search, on its model with the same weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import torch
from joeynmt.batch import Batch  # type: ignore[import-not-found]
from joeynmt.model import build_model  # type: ignore[import-not-found]
from joeynmt.search import search as joey_search  # type: ignore[import-not-found]
from joeynmt.vocabulary import Vocabulary  # type: ignore[import-not-found]
from safetensors.torch import load_file
from sentencepiece import SentencePieceProcessor
from timing import BOS, EOS, PAD, UNK
from translating import Rows, Task, Translate, batched, renamed, run

NAMES = {
    r"(encoder|decoder)_norm": r"\1.layer_norm",
    r"^(encoder|decoder)\.(\d)": r"\1.layers.\2",
    r"(encoder.*)self_attention_norm": r"\1layer_norm",
    r"(decoder.*)self_attention_norm": r"\1x_layer_norm",
    r"cross_attention_norm": "dec_layer_norm",
    r"feed_forward_norm": "feed_forward.layer_norm",
    r"(encoder.*)self_attention": r"\1src_src_att",
    r"(decoder.*)self_attention": r"\1trg_trg_att",
    r"cross_attention": "src_trg_att",
    r"query": "q_layer",
    r"key": "k_layer",
    r"value": "v_layer",
    r"output": "output_layer",
    r"feed_forward\.inner": "feed_forward.pwff_layer.0",
    r"feed_forward\.outer": "feed_forward.pwff_layer.3",
    r"target_embedding": "src_embed.lut",
}

SPECIAL = SimpleNamespace(
    **{"unk_id": 0, "pad_id": 1, "bos_id": 2, "eos_id": 3, "sep_id": None, "sep_token": None, "lang_tags": []},
    **{"unk_token": UNK, "pad_token": PAD, "bos_token": BOS, "eos_token": EOS},
)
"""JoeyNMT's default special pieces; unlike nmt it has the unknown piece before the padding."""


def load(task: Task) -> Translate:
    """Build the model and give it the weights."""
    torch.set_num_threads(task.threads)
    tokenizer = SentencePieceProcessor(model_file=str(task.bundle / "tokenizer.model"))
    pieces = tokenizer.id_to_piece(list(range(tokenizer.get_piece_size())))
    vocabulary = Vocabulary(pieces, SPECIAL)
    sizes = task.sizes
    layers = {
        "type": "transformer",
        "num_heads": sizes["heads"],
        "embeddings": {"embedding_dim": sizes["d_model"], "scale": True},
        "hidden_size": sizes["d_model"],
        "ff_size": sizes["ffn"],
        "layer_norm": sizes["norm"],
    }
    config = {
        "tied_embeddings": True,
        "tied_softmax": True,
        "encoder": {**layers, "num_layers": sizes["encoder_layers"]},
        "decoder": {**layers, "num_layers": sizes["decoder_layers"]},
    }
    model = build_model(config, vocabulary, vocabulary)
    weights = renamed(load_file(task.bundle / "model.safetensors"), NAMES)
    ids = {piece: number for number, piece in enumerate(pieces)}
    order = [ids[piece] for piece in vocabulary._itos]
    embedding = weights.pop("src_embed.lut.weight")[order]
    weights |= dict.fromkeys(("src_embed.lut.weight", "trg_embed.lut.weight", "decoder.output_layer.weight"), embedding)
    lacking, strangers = model.load_state_dict(weights, strict=False)
    if strangers or any(not name.endswith(".pe.pe") for name in lacking):
        raise SystemExit(f"the weights do not fit: {strangers}, {lacking}")
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5  # as nmt trained it; here it would be 1e-6
    model.eval()

    def search(batches: Iterable[Rows], beam_size: int) -> Iterator[Rows]:
        for rows in batches:
            lengths = [len(row) + 1 for row in rows]
            padded = [[*row, EOS, *[PAD] * (max(lengths) - len(row) - 1)] for row in rows]
            batch = Batch(
                src=torch.tensor([[vocabulary.lookup(piece) for piece in row] for row in padded]),
                src_length=torch.tensor(lengths),
                src_prompt_mask=None,
                trg=None,
                trg_prompt_mask=None,
                indices=torch.arange(len(rows)),
                device=torch.device("cpu"),
                pad_index=model.pad_index,
                eos_index=model.eos_index,
                is_train=False,
            )
            found, _, _ = joey_search(
                model, batch, max_output_length=task.limit(rows), beam_size=beam_size, beam_alpha=task.length_penalty
            )
            sentences = vocabulary.arrays_to_sentences(arrays=found, cut_at_eos=True)
            yield [[piece for piece in sentence if piece != EOS] for sentence in sentences]

    return batched(task, search)


if __name__ == "__main__":
    run("joeynmt", load)
