"""Marian models in Hugging Face's layout, small and drawn at random, saved by transformers."""

import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch

from nmt.tasks.grammar import generate

CONFIG: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "activation_function": "swish",
    "scale_embedding": True,
    "static_position_embeddings": True,
    "max_position_embeddings": 96,
    "dropout": 0.1,
    "num_beams": 3,
}
TAGS = [">>deu<<", ">>nds<<"]
ENDING = 6.5  # bias of EOS: a model drawn at random seldom ends
CARD = "---\nlanguage:\n- en\n- de\nlicense: cc-by-4.0\n---\n\n# A model\n"


def train_pieces(lines: list[str], size: int, kind: str) -> tuple[bytes, list[str]]:
    """Train a SentencePiece model as OPUS-MT has them, and return it with its pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=size,
        model_type=kind,
        character_coverage=1.0,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return model.getvalue(), [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]


def write_vocabulary(path: Path, pieces: list[str]) -> int:
    """Write a vocabulary in the order of Marian's, and return its size."""
    whole = ["</s>", "<unk>", *dict.fromkeys(pieces), "<pad>"]
    path.write_text(json.dumps({piece: index for index, piece in enumerate(whole)}), encoding="utf-8")
    return len(whole)


def save_marian(
    folder: Path,
    *,
    separate: bool = False,
    tags: bool = False,
    kind: str = "unigram",
    pickled: bool = False,
    half: bool = False,
    seed: int = 1,
    **config: Any,
) -> Path:
    """Save a model of the built-in grammar's words; the vocabulary lacks some pieces, as those of OPUS-MT do."""
    from transformers import MarianConfig, MarianMTModel

    folder.mkdir(parents=True)
    pairs = list(generate("train", 300, 1))
    parts = {
        side: train_pieces([pair[at] for pair in pairs] + [extra] * 3, 180, kind)
        for at, (side, extra) in enumerate([("source", "caf\u00e9 5% x"), ("target", "\u4e2d \u20ac gr\u00fc\u00df")])
    }
    for side, (model, _) in parts.items():
        (folder / f"{side}.spm").write_bytes(model)
    source, target = ([piece for at, piece in enumerate(pieces) if at % 40 != 39] for _, pieces in parts.values())
    names = TAGS if tags else []
    if separate:
        sizes = {"vocab_size": write_vocabulary(folder / "vocab.json", source)}
        sizes["decoder_vocab_size"] = write_vocabulary(folder / "target_vocab.json", target)
    else:
        sizes = {"vocab_size": write_vocabulary(folder / "vocab.json", [*names, *source, *target])}
    padding = sizes.get("decoder_vocab_size", sizes["vocab_size"]) - 1
    special = {"pad_token_id": padding, "decoder_start_token_id": padding, "eos_token_id": 0}
    whole = {**CONFIG, **sizes, **special, "share_encoder_decoder_embeddings": not separate, **config}
    torch.manual_seed(seed)
    model = MarianMTModel(MarianConfig(**whole)).eval()
    for name, parameter in model.named_parameters():
        if "embed_positions" not in name:
            torch.nn.init.normal_(parameter, mean=float(name.endswith("norm.weight")), std=0.5)
    model.final_logits_bias.normal_(std=0.5)
    model.final_logits_bias[0, 0] += ENDING
    (model.half() if half else model).save_pretrained(folder)
    if pickled:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    values = {
        "source_lang": "eng",
        "target_lang": "deu",
        "tokenizer_class": "MarianTokenizer",
        "separate_vocabs": separate,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder
