"""Time a plain loop over Hugging Face's MarianMT model: sentences of like length, cross_entropy, Adam."""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from timing import BOS, EOS, PAD, Clock, Task, read_task, report
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import MarianConfig, MarianMTModel


def batches(task: Task, ids: dict[str, int]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield source, target input and labels; a side has at most `tokens_per_step` real tokens."""
    sides = []
    for side in ("src", "tgt"):
        with (task.corpus / f"train.{side}").open(encoding="utf-8") as lines:
            sides.append([torch.tensor([ids[piece] for piece in [*line.split(), EOS]]) for line in lines])
    pairs = sorted(zip(*sides, strict=True), key=lambda pair: (len(pair[1]), len(pair[0])))
    plan: list[list[tuple[Tensor, Tensor]]] = [[]]
    room = [task.tokens_per_step] * 2
    for pair in pairs:
        room = [left - len(side) for left, side in zip(room, pair, strict=True)]
        if min(room) < 0:
            plan.append([])
            room = [task.tokens_per_step - len(side) for side in pair]
        plan[-1].append(pair)
    random.Random(1).shuffle(plan)
    bos = torch.tensor([ids[BOS]])
    for step in plan:
        src = pad_sequence([src for src, _ in step], batch_first=True, padding_value=ids[PAD])
        tgt_in = pad_sequence([torch.cat([bos, tgt[:-1]]) for _, tgt in step], batch_first=True, padding_value=ids[PAD])
        labels = pad_sequence([tgt for _, tgt in step], batch_first=True, padding_value=ids[PAD])
        yield src, tgt_in, labels


def main() -> None:
    """Train and print the speed."""
    task = read_task()
    torch.manual_seed(1)
    ids = {piece: number for number, piece in enumerate(task.vocabulary)}
    pad = ids[PAD]
    config = MarianConfig(
        vocab_size=len(ids),
        d_model=task.size["d_model"],
        encoder_layers=task.size["encoder_layers"],
        decoder_layers=task.size["decoder_layers"],
        encoder_ffn_dim=task.size["ffn"],
        decoder_ffn_dim=task.size["ffn"],
        encoder_attention_heads=task.size["heads"],
        decoder_attention_heads=task.size["heads"],
        activation_function="relu",
        dropout=0.1,
        scale_embedding=True,
        use_cache=False,
        pad_token_id=pad,
        bos_token_id=ids[BOS],
        eos_token_id=ids[EOS],
        forced_eos_token_id=ids[EOS],
        decoder_start_token_id=ids[BOS],
    )
    model = MarianMTModel(config).train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9)
    clock = Clock(task)
    for src, tgt_in, labels in clock.watch(batches(task, ids), lambda batch: int((batch[2] != pad).sum())):
        logits = model(input_ids=src, attention_mask=src != pad, decoder_input_ids=tgt_in).logits
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=pad, label_smoothing=0.1)
        adam.zero_grad()
        loss.backward()
        adam.step()
    report("transformers", task, clock.tokens, clock.seconds)


if __name__ == "__main__":
    main()
