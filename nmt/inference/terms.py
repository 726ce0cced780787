"""The terms of a line: which of a glossary are in it, their pieces, and whether a translation holds them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from nmt.data.encoding.tokenizer import BOS_ID, UNK_ID, Tokenizer
from nmt.data.lemmas import LemmaFinder, Lemmatizer, lemmatizer
from nmt.data.reading.terms import Entry, Terms
from nmt.data.term_marks import annotated, has_marks
from nmt.data.terms import Finder, SourceFinder, cased, in_word, is_unspaced
from nmt.errors import DataError, UsageError
from nmt.inference.alignment import SPACE
from nmt.inference.protocol import ANYWHERE, BEGINS, ENDS, JOINED, JOINS, NOWHERE, OPENS, SENTENCE_START, Need, Row

JOINING = f"{SPACE}-\u2010\u2011'\u2019\"\u00ab\u00bb\u2018\u201a\u201c\u201d\u201e([{{/\u00bf\u00a1"
"""Characters that a word follows without a space."""
OPENING = '.!?\u2026:;"\u00ab\u00bb\u2018\u201a\u201c\u201d\u201e\u00bf\u00a1-\u2013\u2014'
"""Characters after which a sentence may begin."""

MOST_SPELLINGS = 128
"""The most spellings of terms that the search asks for in a segment: some 30 terms."""
Decode = Callable[[Sequence[Sequence[int]]], list[str]]


@dataclass(frozen=True)
class Target:
    """The targets of a term, any of which will do."""

    texts: tuple[str, ...]  # in normal form, and as each begins a sentence
    spellings: tuple[tuple[tuple[int, ...], int], ...]  # as in `Need`
    lemma: Lemmatizer | None = None  # where any form of their words will do

    @cached_property
    def finder(self) -> Finder | LemmaFinder:
        return LemmaFinder(self.texts, self.lemma) if self.lemma else Finder(self.texts)


@dataclass(frozen=True)
class Avoiding:
    """Phrases that a translation is not to hold."""

    finder: Finder  # of the phrases in lower case
    phrases: tuple[tuple[int, ...], ...]  # their pieces, in several cases

    def is_in(self, text: str) -> bool:
        """Return whether a phrase stands in `text`."""
        return self.finder.count(text.lower()) > 0


@dataclass(frozen=True)
class Wanted:
    """The terms of a segment."""

    counts: tuple[tuple[Target, int], ...] = ()  # each target, and how often it is to stand in the translation
    avoids: Avoiding | None = None

    def missing(self, text: str) -> list[str]:
        """Return the targets that `text`, a translation, lacks: each as often as it is missing."""
        lacks = ((target, count - target.finder.count(text)) for target, count in self.counts)
        return [target.texts[0] for target, times in lacks for _ in range(times)]

    def phrases(self, ids: Sequence[int], decode: Decode) -> list[tuple[int, ...]]:
        """Return the shortest runs of the pieces `ids` whose text holds a phrase to avoid, if the text of all does."""
        if self.avoids is None or not self.avoids.is_in(decode([ids])[0]):
            return []
        found: list[tuple[int, ...]] = []
        last = -1
        for end in range(1, len(ids) + 1):
            texts = decode([ids[start:end] for start in range(end)])
            held = [start for start in range(last + 1, end) if self.avoids.is_in(texts[start])]
            if held:
                last = held[-1]
                found.append(tuple(ids[last:end]))
        return list(dict.fromkeys(found))

    def added_to(self, row: Row, limit: int, *, is_soft: bool = False) -> Row:
        """Return `row` with those of these terms that fit behind its prefix, in `limit` pieces with EOS.

        Where they are soft, the search is bound by none, and by the phrases to avoid alone.
        """
        room, needs, spellings = limit - 1 - len(row.prefix), [], 0
        for target, count in () if is_soft else self.counts:
            need = Need(count, target.spellings)
            spellings += len(need.spellings)
            if spellings <= MOST_SPELLINGS and (times := min(count, room // need.room)) > 0:
                room -= times * need.room
                needs.append(replace(need, count=times))
        return replace(row, needs=tuple(needs), avoided=self.avoids.phrases if self.avoids else ())


class TermEncoder:
    """Finds the terms of sources, in the pieces of a tokenizer.

    Raises DataError where a term is blank in the normal form or has no pieces, UsageError where targets are trees.
    """

    def __init__(
        self,
        terms: Terms,
        tokenizer: Tokenizer,
        *,
        is_for_terms: bool = False,
        languages: tuple[str | None, str | None] = (None, None),
    ) -> None:
        """Encode `terms` for a model of `languages`, which may be one for terms.

        Raises UsageError where it is not, and is to be, and where words of its languages have no base forms.
        """
        self.terms, self.tokenizer = terms, tokenizer
        if terms.mode == "soft" and not is_for_terms:
            hint = "take the mode hard, or train with augmentation.terms"
            raise UsageError("the model was not trained for terms, and cannot take them from its source", hint=hint)
        self.is_soft = is_for_terms and terms.mode != "hard" and bool(terms.entries)
        """Whether the terms are written into sources, and not constraints of the search."""
        by_lemmas = terms.forms == "lemmas"
        if by_lemmas and not self.is_soft:
            hint = "hard terms stand as they are written: list the forms, or take a model for terms"
            raise UsageError("other forms of words are found for soft terms", hint=hint)
        source_lemma, self._target_lemma = (
            lemmatizer(code, "finding terms in all their forms") if by_lemmas else None for code in languages
        )
        if tokenizer.target.trees is not None:
            raise UsageError("trees have the words of their lines: there are no terms to ask for or to avoid")
        targets = self._targets(terms.entries)
        sources = [tokenizer.source.normalize(entry.source).strip() for entry in terms.entries]
        for source, entry in zip(sources, terms.entries, strict=True):
            if not source:
                raise DataError(f"{entry.where}: {entry.source!r} is blank to the model")
        self._of_source = dict(zip(reversed(sources), reversed(targets), strict=True))
        self._sources = SourceFinder(sources)
        self._lemmas = LemmaFinder(sources, source_lemma) if source_lemma else None
        self._conditions = SourceFinder([one.source for one in terms.avoided if one.source])
        self._avoiding: dict[tuple[str, ...], Avoiding | None] = {}  # by the phrases of the source

    def _targets(self, entries: Sequence[Entry]) -> list[Target]:
        """Return the target of each of `entries`."""
        normal = self.tokenizer.target.normalize
        texts = [tuple(normal(target).strip() for target in entry.targets) for entry in entries]
        every = list(dict.fromkeys(form for several in texts for text in several for form in (text, cased(text))))
        spaced = dict(zip(every, self.tokenizer.target.encode(every), strict=True))
        inside = dict(zip(every, self.tokenizer.target.encode_inside(every), strict=True))
        found = []
        for entry, several in zip(entries, texts, strict=True):
            spellings: dict[tuple[int, ...], int] = {}
            for text, given in zip(several, entry.targets, strict=True):
                if not text or UNK_ID in spaced[text]:
                    raise DataError(f"{entry.where}: the model has no pieces for {given!r}")
                for ids, place in self._spelled(text, spaced, inside):
                    spellings.setdefault(tuple(ids), place)
            forms = tuple(dict.fromkeys([*several, *map(cased, several)]))
            found.append(Target(forms, tuple(spellings.items()), self._target_lemma))
        return found

    @staticmethod
    def _spelled(
        text: str, spaced: dict[str, list[int]], inside: dict[str, list[int]]
    ) -> Iterator[tuple[list[int], int]]:
        """Yield the pieces of `text`, alone, behind a mark and at the start of a sentence, with the place of each."""
        is_joined = is_unspaced(text[0]) and inside[text]
        yield (inside if is_joined else spaced)[text], ANYWHERE
        first = cased(text)
        others = [(spaced[first], SENTENCE_START), (inside[text], JOINED), (inside[first], NOWHERE)]
        yield from ((ids, place) for ids, place in others if ids and UNK_ID not in ids)

    def _phrases(self, phrases: Sequence[str]) -> Iterator[tuple[int, ...]]:
        """Yield the pieces of each of `phrases`, in the cases in which it may come."""
        target = self.tokenizer.target
        forms = dict.fromkeys(
            target.normalize(form).strip()
            for phrase in phrases
            for form in (phrase, phrase.lower(), cased(phrase), cased(phrase.lower()), phrase.title(), phrase.upper())
        )
        for ids in (*target.encode([*forms]), *target.encode_inside([*forms])):
            if ids and UNK_ID not in ids:
                yield tuple(ids)

    @cached_property
    def edges(self) -> bytes:
        """The bits of each piece of the target, see `nmt.inference.protocol`."""
        pieces = self.tokenizer.target.pieces(range(self.tokenizer.target_size))
        bits = bytearray(map(bits_of, pieces))
        bits[BOS_ID] = OPENS | JOINS
        return bytes(bits)

    @property
    def binds(self) -> bool:
        """Whether the search is bound by terms, or by phrases to avoid."""
        return bool(self.terms.avoided) or not self.is_soft

    def annotate(
        self, rows: Sequence[Row], heads: Sequence[Sequence[int]], texts: Sequence[str], most: int
    ) -> list[Row]:
        """Return `rows` with the terms of their `texts` in their sources, where these have at most `most` pieces then.

        Each row begins with the pieces of its tags, one of `heads`. Of several targets of a term the first is written.
        """
        found: dict[int, str] = {}
        for index, text in enumerate(texts):
            normal = self.tokenizer.source.normalize(text)
            if (places := self.places(normal)) and not has_marks(normal):
                found[index] = annotated(normal, places)
        result = [*rows]
        sources = self.tokenizer.source.encode([*found.values()], tagged=False)
        for index, ids in zip(found, sources, strict=True):
            if len(heads[index]) + len(ids) <= most:
                result[index] = replace(rows[index], ids=[*heads[index], *ids])
        return result

    def places(self, text: str) -> list[tuple[int, int, str]]:
        """Return the first and last characters of the terms in `text`, in the normal form, with their translations."""
        return [(start, end, self._of_source[source].texts[0]) for start, end, source in self._found(text)]

    def _found(self, text: str) -> list[tuple[int, int, str]]:
        """Return the places of the terms in `text`, in the normal form, with the terms."""
        if self._lemmas is not None and not text.isupper():
            return self._lemmas.find(text)
        return [(start, start + len(source), source) for start, source in self._sources.find(text)]

    @property
    def has_glossary(self) -> bool:
        """Whether there are terms, and not only phrases to avoid."""
        return bool(self.terms.entries)

    def unmet(self, texts: Sequence[str], wanted: Sequence[Wanted]) -> list[str] | None:
        """Return the targets that `texts`, the translations of segments, lack; None without a glossary."""
        missing = [target for text, one in zip(texts, wanted, strict=True) for target in one.missing(text)]
        return missing if self.has_glossary else None

    def wanted(self, text: str) -> Wanted:
        """Return the terms of `text`, a segment of a source."""
        text = self.tokenizer.source.normalize(text)
        counts = Counter(self._of_source[source] for _, _, source in self._found(text))
        held = {
            target: count
            # A term within another one, such as York in New York, stands there besides.
            + sum(
                times * min(target.finder.count(form) for form in other.texts)
                for other, times in counts.items()
                if other is not target
            )
            for target, count in counts.items()
        }
        conditions = tuple(sorted({source for _, source in self._conditions.find(text)}))
        if conditions not in self._avoiding:
            self._avoiding[conditions] = self._avoid({"", *conditions})
        return Wanted(tuple(held.items()), self._avoiding[conditions])

    def _avoid(self, conditions: Collection[str]) -> Avoiding | None:
        """Return what is to be avoided under `conditions`, phrases of the source."""
        normal = self.tokenizer.target.normalize
        phrases = [one.phrase for one in self.terms.avoided if one.source in conditions]
        if not phrases:
            return None
        finder = Finder(normal(phrase).strip().lower() for phrase in phrases)
        return Avoiding(finder, tuple(dict.fromkeys(self._phrases(phrases))))


def bits_of(piece: str) -> int:
    """Return the bits of `piece`."""
    if piece.startswith("<0x") or not piece:  # a byte of a letter, most likely
        return BEGINS | ENDS
    first, last = piece[0], piece[-1]
    return BEGINS * in_word(first) | ENDS * in_word(last) | JOINS * (last in JOINING) | OPENS * (last in OPENING)
