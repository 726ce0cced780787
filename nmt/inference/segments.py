"""The segments of a line: where a line is cut that is longer than the lines that the model was trained on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from nmt.config.inference import TrainingLines
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.sentences import SentenceSplitter

Mode = Literal["auto", "sentence", "fill"]  # as in `decoding.segments`
SENTENCE_END = re.compile(r"(?<=[.!?…;])\s+|(?<=[。！？；])")  # of `fill`, which cuts as nmt 0.1.0 did
CLAUSE = re.compile(r".+?(?:[,;:…–—\u060c\u061b\u104a]+\s+|[、，；：。·]+|$)", re.DOTALL)
WORD = re.compile(r"\s*\S+\s*|\s+")
UNSPACED_END = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff9f][\"'\u201d\u2019»)\]]*$")


@dataclass(frozen=True)
class Segment:
    """A part of a line that is translated by itself."""

    ids: list[int]  # its pieces, those of the tags first
    is_glued: bool = False  # whether no space parts it from the segment before
    words: tuple[tuple[int, ...], ...] = ()  # where its translation is a tree, the pieces of each word in it


@dataclass(frozen=True)
class Segmenter:
    """Cuts lines into segments such as the model was trained on."""

    tokenizer: Tokenizer
    limit: int  # longest source in pieces, EOS not included
    splitter: SentenceSplitter
    mode: Mode = "auto"
    lines: TrainingLines | None = None

    @property
    def ratio(self) -> float:
        """The pieces of a translation that training leads to expect for each piece of its source."""
        return self.lines.ratio if self.lines else 1.0

    def split(self, text: str, head: list[int], ids: list[int], least: int = 0) -> tuple[list[Segment], bool]:
        """Return the segments of a line, and whether a sentence was cut.

        `text` has the pieces `ids`, those of its tags, `head`, first; each segment begins with the tags. The first
        segment has at least `least` sentences, as far as they fit the model.
        """
        if self._fills(ids):
            return self._fill(text, head, ids)
        groups, usual = self._groups(text, head, ids, least)
        return self._fit(groups, head, usual) if groups else ([Segment(ids)], False)

    def parts(self, text: str, head: list[int], ids: list[int]) -> list[str]:
        """Return the parts of a line, arguments as in `split`, that would be segmented alike as lines of their own.

        They are groups of sentences, each with the white space after it.
        """
        return [text] if self._fills(ids) else self._groups(text, head, ids)[0] or [text]

    def _fills(self, ids: list[int]) -> bool:
        return self.mode == "fill" or (self.mode == "auto" and self.lines is None and len(ids) <= self.limit)

    def _groups(self, text: str, head: list[int], ids: list[int], least: int = 0) -> tuple[list[str], TrainingLines]:
        """Return the groups of sentences that are segments, none where the line is one; and the limits of a segment."""
        usual = usual_lines(self.lines, self.mode, len(head), self.limit - len(head))
        sentences = self.splitter.split(text)
        is_usual = len(sentences) <= usual.sentences and len(ids) - len(head) <= usual.pieces
        if is_usual or (len(sentences) == 1 and len(ids) - len(head) <= usual.longest):
            return [], usual
        sizes = self._sizes(sentences)
        return pack(sentences, sizes, usual.sentences, usual.pieces, least, self.limit - len(head)), usual

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.source.encode(texts, tagged=False)  # what looks like a tag is text here

    def _sizes(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._encode([text.strip() for text in texts])]

    def _fit(self, groups: list[str], head: list[int], usual: TrainingLines) -> tuple[list[Segment], bool]:
        """Encode `groups` of sentences; cut a sentence that is too long at clauses, or else words, or else anywhere."""
        segments: list[Segment] = []
        is_glued = is_cut = False
        for group, size in zip(groups, self._sizes(groups), strict=True):
            most = self.limit - len(head) if len(self.splitter.split(group)) > 1 else usual.longest
            parts = [group]
            if size > most:
                is_cut = True
                parts = self._clauses(group, usual.pieces)
            for part, ids in zip(parts, self._encode([part.strip() for part in parts]), strict=True):
                step = len(ids) if len(ids) <= most else usual.pieces
                starts = range(0, len(ids), max(step, 1))
                segments += [Segment(head + ids[at : at + step], is_glued and at == 0) for at in starts]
                is_glued = not part[-1:].isspace()
        return segments, is_cut

    def _clauses(self, sentence: str, most: int) -> list[str]:
        """Cut a sentence into parts of at most `most` pieces, as far as there are clauses and words to cut at."""
        parts = CLAUSE.findall(sentence)
        sizes = self._sizes(parts)
        finer = [[part] if size <= most else WORD.findall(part) for part, size in zip(parts, sizes, strict=True)]
        parts = [part for fine in finer for part in fine]
        return pack(parts, self._sizes(parts), len(parts), most)

    def _fill(self, text: str, head: list[int], ids: list[int]) -> tuple[list[Segment], bool]:
        """Cut a line that is too long for the model into segments as long as it takes."""
        if len(ids) <= self.limit:
            return [Segment(ids)], False
        room = self.limit - len(head)
        rows: list[list[int]] = []
        sentences = self._encode(SENTENCE_END.split(text))
        for sentence in sentences:
            if rows and len(rows[-1]) + len(sentence) <= self.limit:
                rows[-1] += sentence
            else:
                rows += [head + sentence[start : start + room] for start in range(0, len(sentence), room)]
        return [Segment(row) for row in rows], any(len(sentence) > room for sentence in sentences)


@cache
def usual_lines(lines: TrainingLines | None, mode: Mode, head: int, room: int) -> TrainingLines:
    """Return the limits of a segment without its tags, which have `head` pieces; it may have `room` pieces."""
    if lines is None or mode == "sentence":
        longest = room if lines is None else lines.longest - head
        return TrainingLines(sentences=1, pieces=room, longest=min(max(longest, 1), room))
    pieces, longest = (min(max(size - head, 1), room) for size in (lines.pieces, lines.longest))
    return TrainingLines(sentences=lines.sentences, pieces=pieces, longest=longest)


def pack(texts: Sequence[str], sizes: Sequence[int], count: int, most: int, least: int = 0, room: int = 0) -> list[str]:
    """Join neighbours to groups of at most `count` texts and `most` pieces in total, given their `sizes`, in order.

    The first group has at least `least` texts, as far as they are of at most `room` pieces.
    """
    groups: list[str] = []
    held = total = 0
    for text, size in zip(texts, sizes, strict=True):
        is_begun = len(groups) == 1 and held < least and total + size <= room
        if groups and (is_begun or (held < count and total + size <= most)):
            groups[-1] += text
            held, total = held + 1, total + size
        else:
            groups.append(text)
            held, total = 1, size
    return groups


def join(texts: Sequence[str]) -> str:
    """Join the translations of segments by spaces, where the text before is written with spaces between sentences."""
    joined = ""
    for text in texts:
        joined += text if not joined or not text or UNSPACED_END.search(joined[-8:]) else f" {text}"
    return joined
