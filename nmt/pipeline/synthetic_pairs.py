"""The work of the stage `synthetic`: lines translated shard by shard, by one process or by ranks in turns.

A call resumes what a killed one left in its folder. A line is translated in the same chunk of lines whether the work
was interrupted or not, so that the bytes are the same.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from nmt import console
from nmt.config.inference import Options
from nmt.data.cleaning.corpus_text import COLUMNS
from nmt.data.pairs import Pair, is_blank
from nmt.data.shards import ROWS, card_of, read_shard, shard_path, write_shard
from nmt.data.word_noise import with_noise
from nmt.errors import StorageError
from nmt.files import JsonObject
from nmt.inference.report import WARNINGS, Report
from nmt.inference.results import Translation
from nmt.inference.translator import LARGEST_CHUNK, Translator
from nmt.pipeline.translators import Maker
from nmt.training.distributed import Ranks

SHARD_LINES = 4 * LARGEST_CHUNK  # a minute or so of a small model on a CPU: the most that a killed run loses
LOG_SECONDS = 60.0
SCORE = ("score", pa.float32())
COUNTED = ("blank", "emptied", "unscored")  # kinds of a report that are counted as dropped
BLANK, EMPTIED, UNSCORED, LOW = "blank lines", "blank translations", "not scored", "low score"


class Turns:
    """The turns of the ranks at shards, which all of them count in the same order."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._number = 0  # of the next shard
        self._own: int | None = None  # the number that this rank has drawn

    def is_mine(self) -> bool:
        """Return whether the next shard is this rank's, and go on to the one after it."""
        if self._own is None:
            self._own = self._number if self._ranks.size == 1 else self._ranks.take()
        self._number += 1
        if self._number <= self._own:
            return False
        self._own = None
        return True


@dataclass
class Shard:
    """A shard that is being made."""

    path: Path
    pairs: list[Pair]  # as read
    done: list[Translation] = field(default_factory=list)


@dataclass
class PairWriter:
    """Makes the shards of a maker in a folder."""

    maker: Maker
    folder: Path
    device: str
    threads: int | None
    lines: int = 0  # translated by this process

    def make(self, pairs: Iterator[Pair], turns: Turns) -> int:
        """Make the missing shards whose turn it is of the corpus with `pairs`; return the number of all its shards."""
        shards: deque[Shard] = deque()
        count = 0

        def lines() -> Iterator[str]:
            nonlocal count
            while chunk := list(islice(pairs, SHARD_LINES)):
                path = shard_path(self.folder, count)
                count += 1
                if turns.is_mine() and card_of(path) is None:
                    shards.append(Shard(path, chunk))
                    yield from (pair[self.maker.side] for pair in chunk)

        missing = lines()
        if (first := next(missing, None)) is not None:
            self._translate(chain([first], missing), shards)
        return count

    def _translate(self, lines: Iterable[str], shards: deque[Shard]) -> None:
        """Translate `lines` and write each of `shards`, which grow meanwhile, when its lines are done."""
        config = self.maker.config
        translator = self.maker.load(self.device, self.threads)
        scorer = self.maker.load_scorer(self.device, self.threads)
        sampling = config.sampling if config.method == "sampling" else None
        options = Options(n_best=config.best_of, sampling=sampling)
        began = said = time.monotonic()
        with console.Progress("synthetic", None, unit="lines") as progress:
            for translation in translator.stream(lines, options, first_chunk=LARGEST_CHUNK):
                self.lines += 1
                shards[0].done.append(translation)
                if len(shards[0].done) == len(shards[0].pairs):
                    self._write(shards.popleft(), translator, scorer)
                if self.lines % LARGEST_CHUNK == 0:
                    progress.update(self.lines)
                    if (now := time.monotonic()) > said + LOG_SECONDS:
                        speed = self.lines / (now - began)
                        progress.log(f"synthetic: {self.maker.name}: {self.lines:,} lines, {speed:,.0f} a second")
                        said = now

    def _write(self, shard: Shard, translator: Translator, scorer: Translator | None) -> None:
        """Write a shard, and take its lines out of the report of `translator`."""
        maker, dropped = self.maker, Counter({BLANK: 0, EMPTIED: 0})
        lines = [pair[maker.side] for pair in shard.pairs]
        hypotheses = [[candidate.text for candidate in translation.candidates] for translation in shard.done]
        scores = [[0.0] for _ in lines]
        if maker.config.has_scores:
            scores = scores_of(lines, hypotheses, translator, scorer)
        rows: list[tuple[str, str, float]] = []
        for line, texts, of_texts in zip(lines, hypotheses, scores, strict=True):
            best = max(range(len(of_texts)), key=of_texts.__getitem__)
            text, score = texts[best], of_texts[best]
            if is_blank(line) or is_blank(text):
                dropped[BLANK if is_blank(line) else EMPTIED] += 1
            elif score == -math.inf:
                dropped[UNSCORED] += 1
            else:
                text = with_noise(text, maker.config.noise) if maker.config.method == "noised" else text
                rows.append((text, line, score) if maker.side else (line, text, score))
        card = {"rows": len(rows), "lines": len(lines), "dropped": dropped}
        write_rows(shard.path, maker, rows, {**card, "found": taken_from(translator.report, self.lines)})


def write_rows(path: Path, maker: Maker, rows: Sequence[tuple[str, str, float]], card: JsonObject) -> None:
    """Write a shard of `rows`: a source, a target, and their score, which is left out where none is computed."""
    schema = pa.schema([*COLUMNS, *([SCORE] if maker.config.has_scores else [])])
    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = (rows[start : start + ROWS] for start in range(0, len(rows), ROWS))
    batches = ([[row[index] for row in chunk] for index in range(len(schema))] for chunk in chunks)
    write_shard(path, schema, maker.corpus, batches, card)


def taken_from(report: Report, last: int) -> dict[str, int]:
    """Take the lines up to number `last` out of `report`; return how many there were of each kind that is kept."""
    found = {}
    for kind in WARNINGS:
        numbers: list[int] = getattr(report, kind)
        rest = [number for number in numbers if number > last]
        if (count := len(numbers) - len(rest)) and kind not in COUNTED:
            found[kind] = count
        numbers[:] = rest
    return found


def scores_of(
    lines: Sequence[str], hypotheses: Sequence[Sequence[str]], translator: Translator, scorer: Translator | None
) -> list[list[float]]:
    """Return the scores of the hypotheses of each line; minus infinity where a model cannot score one.

    They are mean log-probabilities of a piece, by `translator`; with a `scorer` in the other direction the dual scores
    of Junczys-Dowmunt 2018, section 3.1: less the difference of both, and the mean of both.
    """
    sources = [line for line, texts in zip(lines, hypotheses, strict=True) for _ in texts]
    targets = [text for texts in hypotheses for text in texts]
    forward = mean_log_probs(translator, sources, targets)
    if scorer is not None:
        backward = mean_log_probs(scorer, targets, sources)
        forward = [
            -math.inf if -math.inf in (one, other) else (one + other) / 2 - abs(one - other)
            for one, other in zip(forward, backward, strict=True)
        ]
    of_all = iter(forward)
    return [[next(of_all) for _ in texts] for texts in hypotheses]


def mean_log_probs(translator: Translator, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
    """Return the mean log-probability of the pieces of each target, EOS included."""
    scored = translator.with_engine(translator.engine).score(sources, targets)  # with a report of its own
    return [sum(each.token_scores) / len(each.token_scores) if each.token_scores else -math.inf for each in scored]


def choose_pairs(maker: Maker, count: int, made: Path, folder: Path) -> int:
    """Write the pairs of the `count` shards in `made` that are good enough to `folder`; return how many are not.

    A share is of all pairs of the maker; of equal scores the first pairs are kept.
    """
    config, paths = maker.config, [shard_path(made, number) for number in range(count)]
    tables = [pa.Table.from_batches(read_shard(path), pa.schema([*COLUMNS, SCORE])) for path in paths]
    sizes = [table.num_rows for table in tables]
    scores = np.concatenate([table.column("score").to_numpy() for table in tables]) if tables else np.empty(0)
    keep = np.zeros(len(scores), bool)
    if config.keep_share is not None:
        keep[np.argsort(-scores, kind="stable")[: math.ceil(config.keep_share * len(scores))]] = True
    elif config.min_score is not None:
        keep = scores >= config.min_score
    for number, (table, part) in enumerate(zip(tables, np.split(keep, np.cumsum(sizes)[:-1]), strict=True)):
        path = shard_path(folder, number)
        if card_of(path) is None:
            chosen = table.filter(pa.array(part))
            rows = list(zip(*(column.to_pylist() for column in chosen.columns), strict=True))
            write_rows(path, maker, rows, {"rows": len(rows)})
    return int((~keep).sum())


def cards_of(count: int, made: Path) -> list[JsonObject]:
    """Return the cards of the shards in `made`. Raises StorageError where one is missing."""
    cards = []
    for number in range(count):
        if (card := card_of(shard_path(made, number))) is None:
            hint = "do all ranks read the same files? run again to make it"
            raise StorageError(f"{shard_path(made, number)}: missing or damaged", hint=hint)
        cards.append(card)
    return cards
