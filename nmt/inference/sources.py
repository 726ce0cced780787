"""From a raw line to rows of pieces (tags, placeholders, segments), and from its placeholders back to their text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise

from nmt.config.decoding import DecodingConfig
from nmt.data.directions import Direction
from nmt.data.encoding.normalization import plain
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.pairs import is_blank
from nmt.data.placeholders import SPELLED, Protected, Protector, Restored, put_back, split_tags, symbols
from nmt.data.sentences import SentenceSplitter
from nmt.errors import UsageError
from nmt.inference.alignment import SPACE
from nmt.inference.protocol import Hypothesis, Row, least_tree, nan_error
from nmt.inference.segments import Segment, Segmenter, join
from nmt.inference.terms import Decode, Wanted

ROUNDS = 8  # the most further searches for translations without the phrases to avoid
UNBOUND = "search without decoding.well_formed"


def check_trees(tokenizer: Tokenizer, decoding: DecodingConfig) -> None:
    """Raise UsageError where the search is to be among trees, and `decoding` might leave none."""
    is_bound = tokenizer.target.trees is not None and decoding.well_formed
    if is_bound and (decoding.min_length or decoding.no_repeat_ngram):
        raise UsageError("min_length and no_repeat_ngram may leave no tree", hint="leave them at 0, or " + UNBOUND)


@dataclass(frozen=True)
class Source:
    """An encoded line."""

    text: str  # the line without its tags
    spelled: str  # the text with its placeholders
    kept: list[str]  # the text of each placeholder
    beyond: int  # number of matches without a placeholder: the model has no more
    head: list[int]  # pieces of the tags
    ids: list[int]  # all pieces, those of the tags first
    words: int  # number of words of the line that are tags

    @property
    def is_blank(self) -> bool:
        return self.ids == self.head or is_blank(self.text)


@dataclass
class Chunk:
    """Consecutive lines whose segments are batched together."""

    first: int  # number of the first line
    lines: Sequence[str]
    sources: list[Source]
    segments: list[list[Segment]]  # of each line, a row each
    rows: list[Row]
    wanted: list[Wanted]  # terms of each row
    batches: list[list[int]]  # indices of the rows in each batch
    hypotheses: dict[int, list[Hypothesis]] = field(default_factory=dict)
    """Hypotheses by row, of the batches done so far."""
    done: int = 0  # number of batches done, in their order

    @property
    def is_done(self) -> bool:
        return self.done == len(self.batches)

    def take(self, hypotheses: list[list[Hypothesis]]) -> None:
        """Add the hypotheses of the next batch. Raises ArtifactError where a row has none."""
        if not all(hypotheses):
            raise nan_error()
        self.hypotheses.update(zip(self.batches[self.done], hypotheses, strict=True))
        self.done += 1

    def search_again(self, search: Callable[[list[Row]], list[list[Hypothesis]]], decode: Decode) -> None:
        """Search those rows again whose hypotheses hold a phrase to avoid, in pieces as yet unknown."""
        for _ in range(ROUNDS):
            if not (again := self.to_search_again(decode)):
                return
            for index, hypotheses in zip(again, search([*again.values()]), strict=True):
                self.rows[index], self.hypotheses[index] = again[index], hypotheses or self.hypotheses[index]

    def to_search_again(self, decode: Decode) -> dict[int, Row]:
        """Return, by index, the rows with hypotheses that hold a phrase to avoid, which now avoid its pieces there."""
        again: dict[int, Row] = {}
        for index, (row, wanted) in enumerate(zip(self.rows, self.wanted, strict=True)):
            found = [phrase for one in self.hypotheses[index] for phrase in wanted.phrases(one.ids, decode)]
            if new := [phrase for phrase in dict.fromkeys(found) if phrase not in row.avoided]:
                again[index] = replace(row, avoided=(*row.avoided, *new))
        return again


@dataclass(frozen=True)
class SourceReader:
    """Encodes lines, with tags and placeholders, in segments that fit the model."""

    tokenizer: Tokenizer
    segmenter: Segmenter
    protector: Protector | None
    tags: tuple[str, ...]  # tags put before every line, ahead of its own
    direction_tags: tuple[str, ...] = ()  # the tag of the target language, ahead of all others, and those of other ones

    def facing(self, direction: Direction) -> "SourceReader":
        """Return a reader of lines that are to be translated in `direction`."""
        segmenter = replace(self.segmenter, splitter=SentenceSplitter(direction.source))
        return replace(self, segmenter=segmenter, direction_tags=direction.tags)

    def all_tags(self, own: list[str]) -> list[str]:
        """Return the tags of a line with its `own`: one that begins with a target language keeps that one."""
        if not self.direction_tags:
            return [*self.tags, *own]
        first, *rest = own if own and own[0] in self.direction_tags else [self.direction_tags[0], *own]
        return [first, *self.tags, *rest]

    def read(self, lines: Sequence[str]) -> list[Source]:
        """Encode each of `lines` with its tags and placeholders."""
        parts = [split_tags(plain(line), self.tokenizer.tags) for line in lines]
        protected = [self.protector.protect(text) if self.protector else Protected(text, [], 0) for _, text in parts]
        tags = [" ".join(self.all_tags(own)) for own, _ in parts]
        wholes = [f"{head} {one.text}" if head else one.text for head, one in zip(tags, protected, strict=True)]
        rows = self.tokenizer.source.encode([*tags, *wholes])  # one call, whose lines the threads share
        sources = []
        for number, (line, (_, text), one) in enumerate(zip(lines, parts, protected, strict=True)):
            head, ids, spelled = rows[number], rows[len(lines) + number], one.text
            if len(head) >= self.segmenter.limit:  # no room for a word: such tags are text like any other
                head, spelled = [], wholes[number]
            words = len(line.split()) - len(text.split())
            sources.append(Source(text, spelled, one.kept, one.beyond, head, ids, words))
        return sources

    def expected_pieces(self, source: Source) -> float:
        """Return the number of pieces to expect of the translation of `source`."""
        return self.segmenter.ratio * (len(source.ids) - len(source.head))

    def check_alignment(self) -> None:
        """Raise UsageError where translations have no words to align with those of their line."""
        # The words that a placeholder stands for cannot be aligned, as the model has not seen them.
        if self.protector is not None:
            raise UsageError("an alignment and placeholders exclude each other", hint='load with protect = "none"')
        if self.tokenizer.target.trees is not None:
            raise UsageError("a tree has its words from its line: there is no alignment to find")

    def check_text(self) -> None:
        """Raise UsageError where translations are no text whose numbers and tags could be compared with their line."""
        if self.tokenizer.target.trees is not None:
            raise UsageError("the checks are for text, and these translations are trees")

    def split(self, source: Source, least: int = 0) -> tuple[list[Segment], bool]:
        """Return the segments of `source`, and whether a sentence was cut; see `Segmenter.split`.

        A blank line has no segment. One whose translation is a tree is cut only where the model takes no more, and has
        no segment if no word is left for a tree.
        """
        if source.is_blank:
            return [], False
        if self.tokenizer.target.trees is not None:
            return [*self._with_words(source.spelled, source.head, source.ids)], False
        return self.segmenter.split(source.spelled, source.head, source.ids, least)

    def _with_words(self, text: str, head: list[int], ids: list[int]) -> Iterator[Segment]:
        """Yield `text`, whose pieces are `ids`, with its words, in parts if the smallest tree is longer than the model.

        A word is cut only where it fills a part by itself.
        """
        target = self.tokenizer.target
        assert target.trees is not None
        words = tuple(map(tuple, target.trees.words(text, target.encode_words)))
        if not words:
            return
        if max(len(ids), least_tree(words)) <= self.segmenter.limit or len(text) == 1:
            yield Segment(ids, words=words)
            return
        spelled = text.split()
        middle = len(spelled if len(spelled) > 1 else text) // 2
        parts = [text[:middle], text[middle:]]
        if len(spelled) > 1:
            parts = [" ".join(spelled[:middle]), " ".join(spelled[middle:])]
        for part, of_part in zip(parts, self.tokenizer.source.encode(parts, tagged=False), strict=True):
            yield from self._with_words(part, head, head + of_part)

    def texts(self, source: Source, segments: Sequence[Segment]) -> list[str]:
        """Return the text of each of the `segments` of `source`, of several in the normal form."""
        if len(segments) == 1:
            return [source.spelled]
        return self.tokenizer.source.decode([segment.ids[len(source.head) :] for segment in segments])

    def joined(self, texts: Sequence[str]) -> str:
        """Return the translation of a line from those of its segments; trees get a bracket around them."""
        if self.tokenizer.target.trees is None or len(texts) < 2:
            return join(texts)
        return f"(TOP {' '.join(texts)})"

    def parts(self, line: str, tags: Sequence[str] = ()) -> list[str]:
        """Return the parts of `line` that are translated by themselves, each with the white space after it.

        `tags` are put before each. The translations of the parts, put together by `segments.join`, are that of the
        line. A line with tags of its own or with protected text is one part.
        """
        source = self.read([" ".join([*tags, line])])[0]
        if source.is_blank or source.spelled != plain(line):
            return [line]
        ends = accumulate(map(len, self.segmenter.parts(source.spelled, source.head, source.ids)), initial=0)
        return [line[start:end] for start, end in pairwise(ends)]

    def spell(self, target: str, source: Source) -> str:
        """Replace protected text of `source` by its placeholders in `target`, a translation or a prefix of one."""
        return self.protector.apply(plain(target), source.kept) if self.protector else target

    @cached_property
    def _placeholders(self) -> dict[int, int]:
        """The id of each placeholder in the target by its id in the source."""
        pieces = set(symbols(self.tokenizer.placeholders))
        of_sides = [
            {piece: index for index, piece in enumerate(side.pieces(range(side.size))) if piece in pieces}
            for side in ((self.tokenizer.source, self.tokenizer.target) if pieces else ())
        ]
        return {of_sides[0][piece]: of_sides[1][piece] for piece in pieces}

    def forbidden(self, segment: Segment, prefix: Sequence[int]) -> frozenset[int]:
        """Return the ids of pieces that a translation of `segment` may not hold: marks, and placeholders not in it."""
        marks = self.tokenizer.term_marks
        if not self._placeholders:
            return marks.difference(prefix)
        held = {self._placeholders.get(piece) for piece in segment.ids}
        return frozenset(self._placeholders.values()).difference(held, prefix) | marks.difference(prefix)

    def restore(self, output: str, source: Source) -> Restored:
        """Replace the placeholders in the model's `output` by their text, and remove those without any.

        Without protection, placeholders that occur in `source` are text, and none counts as missing.
        """
        if self.protector:
            return self.protector.restore(output, source.kept)
        return put_back(output, {}, self._invented(source))

    def invented(self, pieces: Sequence[str], source: Source) -> set[int]:
        """Return the indices of those `pieces` that `restore` removes without protection."""
        placeholders = self._invented(source)
        indices = {index for index, piece in enumerate(pieces) if piece in placeholders}
        return indices | {index - 1 for index in indices if index and pieces[index - 1] == SPACE}

    def _invented(self, source: Source) -> set[str]:
        """Return the placeholders that do not occur in the unprotected `source`."""
        return set(symbols(self.tokenizer.placeholders)) - set(SPELLED.findall(source.spelled))
