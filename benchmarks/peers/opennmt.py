"""Time OpenNMT-py's trainer, built and fed by its own functions."""

from __future__ import annotations

import sys
from unittest.mock import MagicMock

from timing import BOS, EOS, PAD, UNK, Clock, read_task, report


def main() -> None:
    """Train and print the speed."""
    # Text transforms that are not used here import these as soon as all transforms are registered.
    for name in ("ahocorasick", "fasttext", "rapidfuzz", "spacy"):
        sys.modules[name] = MagicMock()

    import torch
    from onmt.inputters import build_vocab  # type: ignore[import-not-found]
    from onmt.inputters.dynamic_iterator import build_dynamic_dataset_iter  # type: ignore[import-not-found]
    from onmt.model_builder import build_model  # type: ignore[import-not-found]
    from onmt.opts import train_opts  # type: ignore[import-not-found]
    from onmt.trainer import build_trainer  # type: ignore[import-not-found]
    from onmt.utils.misc import set_random_seed  # type: ignore[import-not-found]
    from onmt.utils.optimizers import Optimizer  # type: ignore[import-not-found]
    from onmt.utils.parse import ArgumentParser  # type: ignore[import-not-found]

    task = read_task()
    vocabulary = task.scratch / "vocabulary.txt"
    # It names its padding otherwise; special pieces come first.
    pieces = [piece for piece in task.vocabulary if piece not in (PAD, UNK, BOS, EOS)]
    vocabulary.write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    recipe = task.scratch / "train.yaml"
    recipe.write_text(
        f"""
data: {{corpus_1: {{path_src: {task.corpus}/train.src, path_tgt: {task.corpus}/train.tgt, transforms: []}}}}
src_vocab: {vocabulary}
tgt_vocab: {vocabulary}
share_vocab: true
share_embeddings: true
share_decoder_embeddings: true
vocab_size_multiple: 1
save_model: {task.scratch}/model
encoder_type: transformer
decoder_type: transformer
position_encoding: true
hidden_size: {task.size["d_model"]}
word_vec_size: {task.size["d_model"]}
transformer_ff: {task.size["ffn"]}
heads: {task.size["heads"]}
enc_layers: {task.size["encoder_layers"]}
dec_layers: {task.size["decoder_layers"]}
dropout: [0.1]
attention_dropout: [0.0]
label_smoothing: 0.1
param_init: 0.0
param_init_glorot: true
optim: adam
adam_beta2: 0.98
learning_rate: 0.0001
normalization: tokens
max_grad_norm: 0
batch_type: tokens
batch_size: {task.tokens_per_step}
bucket_size: 16384
num_workers: 0
seed: 1
""",
        encoding="utf-8",
    )
    parser = ArgumentParser()
    train_opts(parser)
    options, _ = parser.parse_known_args(["-config", str(recipe)])
    ArgumentParser.validate_train_opts(options)
    ArgumentParser.update_model_opts(options)
    ArgumentParser.validate_model_opts(options)
    ArgumentParser.validate_prepare_opts(options)
    set_random_seed(options.seed, False)
    torch.set_num_threads(task.threads)

    vocabs = build_vocab(options, {"src": [], "tgt": []})
    model = build_model(options, options, vocabs, None, -1)
    trainer = build_trainer(options, -1, model, vocabs, Optimizer.from_opt(model, options))
    pad = vocabs["tgt"]["<blank>"]
    clock = Clock(task)
    batches = clock.watch(
        build_dynamic_dataset_iter(options, {}, vocabs), lambda batch: int((batch[0]["tgt"][:, 1:, 0] != pad).sum())
    )
    trainer.train(batches, train_steps=0, save_checkpoint_steps=0, valid_steps=sys.maxsize)
    report("OpenNMT-py", task, clock.tokens, clock.seconds)


if __name__ == "__main__":
    main()
