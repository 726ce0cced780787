"""From a raw line to rows of pieces: its tags, what is kept as it is, its segments; and back to what was kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from nmt.data.encoding.tokenizer import Tokenizer, plain
from nmt.data.placeholders import SPELLED, Protected, Protector, Restored, put_back, split_tags, symbols
from nmt.errors import ArtifactError
from nmt.inference.alignment import SPACE
from nmt.inference.protocol import Hypothesis, Row

SENTENCE_END = re.compile(r"(?<=[.!?…;])\s+|(?<=[。！？；])")


@dataclass(frozen=True)
class Source:
    """A line as the model takes it."""

    text: str
    """The line without its tags."""
    spelled: str
    """The same with placeholders."""
    kept: list[str]
    """What they stand for."""
    beyond: int
    """Matches for which there was no placeholder."""
    head: list[int]
    """Pieces of the tags."""
    ids: list[int]
    """All pieces, those of the tags first."""
    words: int
    """How many words of the line are tags."""

    @property
    def is_blank(self) -> bool:
        """Whether nothing but tags is there."""
        return self.ids == self.head


@dataclass
class Chunk:
    """Lines whose segments are batched together."""

    first: int
    """Number of the first line."""
    lines: Sequence[str]
    sources: list[Source]
    segments: list[int]
    """How many rows each line has."""
    rows: list[Row]
    batches: list[list[int]]
    """Rows that are searched for together."""
    found: dict[int, list[Hypothesis]] = field(default_factory=dict)
    """Hypotheses of the rows; batches are done in their order."""
    done: int = 0
    """Batches."""

    @property
    def is_done(self) -> bool:
        """Whether all rows are searched for."""
        return self.done == len(self.batches)

    def take(self, hypotheses: list[list[Hypothesis]]) -> None:
        """Take what was found for the next batch. Raises ArtifactError where nothing was."""
        if not all(hypotheses):
            raise ArtifactError("the model's output is not a number", hint="its training diverged")
        self.found.update(zip(self.batches[self.done], hypotheses, strict=True))
        self.done += 1


@dataclass(frozen=True)
class SourceReader:
    """What is done with each line before the model sees it."""

    tokenizer: Tokenizer
    limit: int
    """Pieces that the model takes, EOS not counted."""
    protector: Protector | None
    tags: tuple[str, ...]
    """What stands before every line, besides the tags that it has."""

    def read(self, line: str) -> Source:
        """Encode `line` with its tags and placeholders."""
        own, text = split_tags(plain(line), self.tokenizer.tags)
        protected = self.protector.protect(text) if self.protector else Protected(text, [], 0)
        tags, spelled = [*self.tags, *own], protected.text
        whole = " ".join([*tags, spelled])
        head, ids = self.tokenizer.encode_source([" ".join(tags), whole])
        if len(head) >= self.limit:  # they leave no room for a word, and are text like any other
            head, spelled = [], whole
        words = len(line.split()) - len(text.split())
        return Source(text, spelled, protected.kept, protected.beyond, head, ids, words)

    def split(self, source: Source) -> tuple[list[list[int]], bool]:
        """Return the ids of `source` in as many rows as the model needs, and whether it was split within a sentence.

        Each row begins with the tags; a blank line has none.
        """
        if source.is_blank or len(source.ids) <= self.limit:
            return [] if source.is_blank else [source.ids], False
        room = self.limit - len(source.head)
        rows: list[list[int]] = []
        sentences = self.tokenizer.encode_source(SENTENCE_END.split(source.spelled))
        for sentence in sentences:
            if rows and len(rows[-1]) + len(sentence) <= self.limit:
                rows[-1] += sentence
            else:
                rows += [source.head + sentence[start : start + room] for start in range(0, len(sentence), room)]
        return rows, any(len(sentence) > room for sentence in sentences)

    def spell(self, target: str, source: Source) -> str:
        """Put the placeholders of `source` into `target`, or into the beginning of one."""
        return self.protector.apply(plain(target), source.kept) if self.protector else target

    def restore(self, said: str, source: Source) -> Restored:
        """Put back what the placeholders of `source` stand for, and take out of what was `said` those made up.

        Where nothing is protected, those that stand in `source` are text; none is missing.
        """
        if self.protector:
            return self.protector.restore(said, source.kept)
        return put_back(said, {}, self._made_up(source))

    def invented(self, pieces: Sequence[str], source: Source) -> set[int]:
        """Return the places of those `pieces` that `restore` takes out where nothing is protected."""
        made_up = self._made_up(source)
        found = {place for place, piece in enumerate(pieces) if piece in made_up}
        return found | {place - 1 for place in found if place and pieces[place - 1] == SPACE}

    def _made_up(self, source: Source) -> set[str]:
        """Return the placeholders that mean nothing behind `source`, of which nothing is protected."""
        return set(symbols(self.tokenizer.placeholders)) - set(SPELLED.findall(source.spelled))
