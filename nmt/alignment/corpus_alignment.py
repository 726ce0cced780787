"""The work of the stage that aligns the words of the training text, and the files that it writes.

`train/NNNNN.txt` has a line for each pair of the shard `train/NNNNN.arrow` of the text: its links in the Pharaoh
format, between the words that `split_words` finds in the two lines as they stand. `dictionary.tsv` has the most
frequent translation of each word.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nmt import console
from nmt.alignment.pharaoh import read_links, write_links
from nmt.alignment.statistical import LONGEST, Aligner
from nmt.alignment.symmetrization import symmetrize
from nmt.alignment.words import Link, split_words
from nmt.config.data import DataConfig
from nmt.data.cleaning.corpus_text import read_pairs
from nmt.data.shards import card_of, corpus_of, shard_paths
from nmt.errors import DataError
from nmt.files import JsonObject, write_text

DICTIONARY = "dictionary.tsv"
LEARNED = 500_000  # most pairs that the model learns from, evenly spaced; all are aligned
SEEN = 2  # least links of a translation in the dictionary


@dataclass(frozen=True)
class Translation:
    """An entry of the dictionary: a word and its most frequent translation, as they are written."""

    source: str
    target: str
    probability: float  # share of the occurrences of the source word that are linked to the target word alone
    count: int  # of the links


@dataclass
class AlignmentCounts:
    """The counts of the stage."""

    pairs: int = 0
    learned: int = 0  # pairs that the model learned from
    unaligned: int = 0  # pairs without a link
    too_long: int = 0  # pairs with a side of more than LONGEST words, which have no links
    source_words: int = 0
    target_words: int = 0
    links: int = 0
    translations: int = 0  # entries of the dictionary

    def to_json(self) -> JsonObject:
        return asdict(self)


@dataclass(frozen=True)
class _Line:
    """The words of a line, as they are written and as they are compared, behind the words of its tags."""

    words: list[str]
    tags: int = 0

    @classmethod
    def of(cls, line: str, tags: int = 0) -> "_Line":
        return cls([line[start:end] for start, end in split_words(line)[tags:]], tags)

    @property
    def folded(self) -> list[str]:
        return [word.casefold() for word in self.words]


def write_alignment(text: Path, data: DataConfig, folder: Path) -> AlignmentCounts:
    """Align the training pairs of the folder `text` that `corpus_text.write_text` filled; write the files to `folder`.

    Tags have no links, nor have monolingual lines. The files are the same for the same text.
    """
    paths, counts = shard_paths(text / "train"), AlignmentCounts()
    aligner = _learn(paths, data)
    counts.learned = aligner.pairs
    links: Counter[tuple[str, str]] = Counter()
    words: Counter[str] = Counter()
    with console.Progress("alignment", None, unit="pairs") as progress:
        for path in paths:
            lines = _align_shard(aligner, _pairs(path, data), counts, links, words)
            write_text(alignment_path(folder, int(path.stem)), "".join(f"{line}\n" for line in lines))
            progress.update(counts.pairs)
    entries = _translations(links, words)
    counts.translations = len(entries)
    rows = (f"{one.source}\t{one.target}\t{one.probability:.4f}\t{one.count}\n" for one in entries)
    write_text(folder / DICTIONARY, "".join(rows))
    return counts


def alignment_path(folder: Path, number: int) -> Path:
    """Return the file of links of a shard of the training text."""
    return folder / "train" / f"{number:05}.txt"


def read_alignment(folder: Path, number: int) -> Iterator[list[Link]]:
    """Yield the links of each pair of a shard of the training text, between words of `split_words`.

    Raises DataError where the file is missing or damaged.
    """
    path = alignment_path(folder, number)
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for index, line in enumerate(file, 1):
                yield read_links(line, f"{path}:{index}")
    except (FileNotFoundError, UnicodeDecodeError):
        raise DataError(f"{path}: missing or damaged", hint="prepare the data again") from None


def read_dictionary(folder: Path) -> list[Translation]:
    """Return the dictionary, the most frequent translations first. Raises DataError where it is missing or damaged."""
    path = folder / DICTIONARY
    try:
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        return [Translation(source, target, float(share), int(count)) for source, target, share, count in rows]
    except (FileNotFoundError, ValueError):
        raise DataError(f"{path}: missing or damaged", hint="prepare the data again") from None


def _pairs(path: Path, data: DataConfig) -> list[tuple[_Line, _Line]]:
    """Return the words of the pairs of a shard; those of monolingual lines are none."""
    corpus = corpus_of(path)
    if corpus in data.monolingual:
        return [(_Line([]), _Line([])) for _ in read_pairs(path)]
    tags = len(split_words("".join(f"{tag} " for tag in data.training_corpora[corpus].tags)))
    return [(_Line.of(source, tags), _Line.of(target)) for source, target in read_pairs(path)]


def _learn(paths: Sequence[Path], data: DataConfig) -> Aligner:
    """Return a model of at most LEARNED pairs, evenly spaced among all."""
    total = sum((card_of(path) or {}).get("rows", 0) for path in paths)
    sides: tuple[list[list[str]], list[list[str]]] = [], []
    number = 0
    for path in paths:
        for source, target in _pairs(path, data):
            if total <= LEARNED or number * LEARNED // total != (number + 1) * LEARNED // total:
                sides[0].append(source.folded)
                sides[1].append(target.folded)
            number += 1
    return Aligner(*sides)


def _align_shard(
    aligner: Aligner,
    pairs: list[tuple[_Line, _Line]],
    counts: AlignmentCounts,
    links: Counter[tuple[str, str]],
    words: Counter[str],
) -> Iterator[str]:
    """Yield the links of each pair as a line; add to the counts, and those that both directions have to `links`."""
    found = aligner.directions([source.folded for source, _ in pairs], [target.folded for _, target in pairs])
    for (source, target), directions in zip(pairs, found, strict=True):
        links.update((source.words[i], target.words[j]) for i, j in symmetrize(*directions, "intersection"))
        words.update(source.words)
        joined = symmetrize(*directions, "grow-diag-final-and")
        counts.pairs += 1
        counts.unaligned += not joined
        counts.too_long += max(len(source.words), len(target.words)) > LONGEST
        counts.source_words += len(source.words)
        counts.target_words += len(target.words)
        counts.links += len(joined)
        yield write_links((i + source.tags, j) for i, j in joined)


def _translations(links: Counter[tuple[str, str]], words: Counter[str]) -> list[Translation]:
    """Return the most frequent translation of each word with letters, where it was seen SEEN times."""
    best: dict[str, tuple[int, str]] = {}
    for (source, target), count in links.items():
        if count >= SEEN and _has_letters(source) and _has_letters(target):
            # Of equally frequent ones the first in the order of letters, whatever the order of the text.
            count_before, before = best.get(source, (0, ""))
            if count > count_before or (count == count_before and target < before):
                best[source] = count, target
    entries = [Translation(word, target, count / words[word], count) for word, (count, target) in best.items()]
    return sorted(entries, key=lambda entry: (-entry.count, entry.source))


def _has_letters(word: str) -> bool:
    return any(map(str.isalpha, word))
