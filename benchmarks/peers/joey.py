"""Time JoeyNMT's training step on its own batches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from joeynmt.config import parse_global_args  # type: ignore[import-not-found]
from joeynmt.data import load_data  # type: ignore[import-not-found]
from joeynmt.model import build_model  # type: ignore[import-not-found]
from joeynmt.training import TrainManager  # type: ignore[import-not-found]
from timing import BOS, EOS, PAD, UNK, Clock, Task, read_task, report


def configuration(task: Task) -> dict[str, Any]:
    """Return what JoeyNMT would read from a YAML file."""
    vocabulary = task.scratch / "vocabulary.txt"
    # It puts the special pieces before these.
    pieces = [piece for piece in task.vocabulary if piece not in (PAD, UNK, BOS, EOS)]
    vocabulary.write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    # The text is split into pieces already, so pieces are its words.
    side = {"level": "word", "lowercase": False, "voc_file": str(vocabulary)}
    embeddings = {"embedding_dim": task.size["d_model"], "scale": True, "dropout": 0.1}
    layers = {
        "type": "transformer",
        "num_heads": task.size["heads"],
        "embeddings": embeddings,
        "hidden_size": task.size["d_model"],
        "ff_size": task.size["ffn"],
        "dropout": 0.1,
    }
    return {
        "name": "benchmark",
        "model_dir": str(task.scratch),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            "train": str(task.corpus / "train"),
            "dataset_type": "plain",
            "src": {"lang": "src", **side},
            "trg": {"lang": "tgt", **side},
        },
        "model": {
            "initializer": "xavier_uniform",
            "embed_initializer": "xavier_uniform",
            "tied_embeddings": True,
            "tied_softmax": True,
            "encoder": {**layers, "num_layers": task.size["encoder_layers"]},
            "decoder": {**layers, "num_layers": task.size["decoder_layers"]},
        },
        "training": {
            "loss": "crossentropy",
            "label_smoothing": 0.1,
            "normalization": "tokens",
            "optimizer": "adam",
            "adam_betas": [0.9, 0.98],
            "learning_rate": 1e-4,
            "scheduling": "decaying",
            "batch_size": task.tokens_per_step,
            "batch_type": "token",
            "shuffle": True,
            "epochs": 1,
        },
        "testing": {},
    }


def main() -> None:
    """Train and print the speed."""
    task = read_task()
    torch.set_num_threads(task.threads)
    torch.manual_seed(1)
    options = parse_global_args(configuration(task), mode="train")
    src_vocab, tgt_vocab, pairs, _, _ = load_data(options.data, datasets=["train"])
    model = build_model(options.model, src_vocab=src_vocab, trg_vocab=tgt_vocab)
    model.loss_function = (options.train.loss, options.train.label_smoothing)
    trainer = TrainManager(
        rank=0,
        model=model,
        model_dir=options.model_dir,
        device=options.device,
        autocast=options.autocast,
        seed=options.seed,
        train_args=options.train,
        dev_args=SimpleNamespace(),
    )
    loader = pairs.make_iter(
        batch_size=options.train.batch_size,
        batch_type=options.train.batch_type,
        seed=options.seed,
        shuffle=options.train.shuffle,
        eos_index=model.eos_index,
        pad_index=model.pad_index,
        device=options.device,
    )
    clock = Clock(task)
    for batch in clock.watch(loader, lambda batch: int(batch.ntokens)):
        trainer._train_step(batch)
        trainer.optimizer.step()
        model.zero_grad()
    report("joeynmt", task, clock.tokens, clock.seconds)


if __name__ == "__main__":
    main()
