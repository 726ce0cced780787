"""A Marian model as transformers computes it, with nmt's ids; importing this module needs that package."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stderr

import torch
from transformers import GenerationConfig, LogitsProcessor, MarianMTModel, MarianTokenizer
from transformers.utils import logging as messages

from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.importing.marian import MarianFolder
from nmt.inference.protocol import BATCH_TOKENS, Hypothesis, Pair, Request, Row


class Limits(LogitsProcessor):  # type: ignore[misc]  # the package is not read for types
    """Ends each hypothesis at the limit of its row with the probability of EOS, as nmt does.

    `generate` has one limit for all rows, at which EOS is certain, or is left out.
    """

    def __init__(self, limits: torch.Tensor, end: int) -> None:
        self.limits, self.end = limits, end

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Leave EOS alone to those of `scores` (B * K, V) whose `input_ids` (B * K, T), BOS first, are so long."""
        at_limit = input_ids.size(1) >= self.limits.repeat_interleave(len(input_ids) // len(self.limits))
        others = torch.arange(scores.size(1)) != self.end
        return scores.masked_fill(at_limit[:, None] & others, -torch.inf)


class Peer:
    """The model and the tokenizer of a folder, in float32 on a processor."""

    batch_tokens = BATCH_TOKENS["cpu"]
    workers = 1

    def __init__(self, folder: MarianFolder) -> None:
        self.source, self.target = folder.source.order, folder.target.order  # their ids by ours
        self.own_source, self.own_target = (
            {theirs: ours for ours, theirs in enumerate(order) if ours != BOS_ID or order.count(theirs) == 1}
            for order in (self.source, self.target)
        )
        messages.set_verbosity_error()
        with redirect_stderr(io.StringIO()):  # bars of progress, and a package that it would like to have
            self.tokenizer = MarianTokenizer.from_pretrained(folder.path, local_files_only=True)
            self.model = MarianMTModel.from_pretrained(folder.path, local_files_only=True, dtype=torch.float32).eval()
        self.padding, self.end = self.target[PAD_ID], self.target[EOS_ID]
        self.model.generation_config = GenerationConfig()  # whose values would replace those that are not given

    def encode(self, lines: Sequence[str], *, target: bool = False) -> list[list[int]]:
        """Return our ids of each line, without EOS."""
        own, end = (self.own_target, self.end) if target else (self.own_source, self.source[EOS_ID])
        rows = self.tokenizer(text_target=list(lines)) if target else self.tokenizer(list(lines))
        return [[own[i] for i in row[: -1 if row[-1:] == [end] else None]] for row in rows["input_ids"]]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each row of our ids of the target."""
        theirs = [[self.target[i] for i in row] for row in rows]
        return [str(self.tokenizer.decode(row, skip_special_tokens=True)) for row in theirs]

    @torch.inference_mode()
    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        """Return the best hypothesis of each row of each batch, with its log-probability."""
        for batch in batches:
            limits = [row.limit(request.decoding, self.model.config.max_position_embeddings) for row in batch]
            inputs, mask = self._padded([[self.source[i] for i in (*row.ids, EOS_ID)] for row in batch])
            config = GenerationConfig(
                num_beams=request.decoding.beam_size,
                length_penalty=0.0,
                do_sample=False,
                early_stopping=False,
                max_new_tokens=max(limits),
                bad_words_ids=[[self.padding]],
                eos_token_id=self.end,
                pad_token_id=self.padding,
                decoder_start_token_id=self.target[BOS_ID],
            )
            written = self.model.generate(
                input_ids=inputs,
                attention_mask=mask,
                generation_config=config,
                logits_processor=[Limits(torch.tensor(limits), self.end)],
            ).tolist()
            rows = [[self.own_target[i] for i in row[1 : row.index(self.end, 1)]] for row in written]
            scores = self.score([list(zip([row.ids for row in batch], rows, strict=True))])
            yield [[Hypothesis(row, sum(each))] for row, each in zip(rows, next(scores), strict=True)]

    @torch.inference_mode()
    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]:
        """Return the log-probabilities of the target pieces of each pair, EOS last."""
        for batch in batches:
            inputs, mask = self._padded([[self.source[i] for i in (*src, EOS_ID)] for src, _ in batch])
            labels, _ = self._padded([[self.target[i] for i in (*tgt, EOS_ID)] for _, tgt in batch])
            tgt_in, _ = self._padded([[self.target[i] for i in (BOS_ID, *tgt)] for _, tgt in batch])
            logits = self.model(input_ids=inputs, attention_mask=mask, decoder_input_ids=tgt_in).logits
            log_probs = logits.float().log_softmax(-1).gather(-1, labels[..., None])[..., 0]
            yield [row[: len(tgt) + 1] for row, (_, tgt) in zip(log_probs.tolist(), batch, strict=True)]

    def _padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows of their ids as one tensor, padded at the right, and a mask that is 1 where nothing is padded."""
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[self.padding] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return ids, mask
