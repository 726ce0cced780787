"""The built-in corpus: correct German, honest splits, and too rich for word or phrase tables."""

import hashlib
import re
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest
import sacrebleu
from conftest import ROOT

from nmt.tasks.grammar import LONGEST, LONGEST_UNSEEN, VERSION, Split, generate
from nmt.tasks.grammar_lexicon import held_out, lexicon

Pair = tuple[str, str]


@cache
def sample(split: Split, pairs: int) -> list[Pair]:
    return list(generate(split, pairs))


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)


SENTENCES: dict[Split, tuple[int, str]] = {
    "train": (20_000, "4e1b09b859937132bea30cc68f90160c6cec210d424497f48835ca0871936379"),
    "dev": (1000, "6ef48e81173a0a380fd90424085c1e7e04db99e9703aafc1e17f925a42de9d2b"),
    "test": (1000, "d1627598c3f440c1b08a3efb26869412dbfe36f995eda52661302668cb2c14ae"),
    "unseen": (1000, "604cd316c1d912af2b840451509307560e9f97814a6b97eec26299de91986c3e"),
}
"""Numbers of pairs, and the digest of their lines."""


@pytest.mark.parametrize("split", SENTENCES)
def test_the_sentences_are_those_of_the_version(split: Split) -> None:
    """Every measured score depends on these sentences: to change them is a decision, and takes another VERSION."""
    pairs, digest = SENTENCES[split]
    lines = "".join(f"{source}\t{target}\n" for source, target in sample(split, pairs))
    assert hashlib.sha256(lines.encode()).hexdigest() == digest
    assert VERSION[0].startswith("61c210e3c05c")


def test_the_same_seed_gives_the_same_pairs_and_another_seed_others() -> None:
    assert list(generate("train", 500, seed=7)) == list(generate("train", 500, seed=7))
    assert not set(generate("train", 100, seed=7)) & set(generate("train", 100, seed=8))


@pytest.mark.parametrize("split", ["train", "dev", "test", "unseen"])
def test_fewer_pairs_are_the_first_of_more(split: Split) -> None:
    assert list(generate(split, 50)) == list(generate(split, 200))[:50]


def test_the_first_pair_never_changes() -> None:
    assert next(generate("test", 1)) == (
        "The truck leaves because Eva and Paul often return to London.",
        "Der Lastwagen fährt ab, weil Eva und Paul oft nach London zurückkehren.",
    )


def test_splits_share_no_source_whatever_the_seed() -> None:
    train = {source for source, _ in sample("train", 20_000)}
    held = [{s for s, _ in generate(split, 1000, seed=2)} for split in ("dev", "test", "unseen")]
    assert len(train) == 20_000
    assert all(len(sources) == 1000 and not sources & train for sources in held)
    assert not held[0] & held[1]
    assert not held[2] & (held[0] | held[1])


def adjective_noun_pairs(sources: list[str]) -> set[bool]:
    """Look at the text alone: which adjective stands before which noun."""
    adjectives = {a.english: a.key for a in lexicon().adjectives}
    nouns = {form: noun.key for noun in lexicon().nouns for form in noun.english}
    return {
        held_out(adjectives[first], nouns[second])
        for source in sources
        for first, second in zip(words(source), words(source)[1:], strict=False)
        if first in adjectives and second in nouns
    }


def test_training_lacks_the_combinations_that_the_unseen_set_has() -> None:
    assert adjective_noun_pairs([source for source, _ in sample("train", 20_000)]) == {False}
    assert adjective_noun_pairs([source for source, _ in sample("unseen", 1000)]) == {False, True}


def test_training_lacks_the_objects_that_the_unseen_set_has() -> None:
    verbs = {v.base: v for v in lexicon().frames["acc"]}
    nouns = {form: noun.key for noun in lexicon().nouns for form in noun.english}
    pattern = re.compile(rf"\b({'|'.join(verbs)}) (?:the|a|an|this|my|your) (?:\w+ )?({'|'.join(nouns)})\b")
    seen: dict[Split, set[bool]] = {}
    sizes: dict[Split, int] = {"train": 20_000, "unseen": 1000}
    for split, pairs in sizes.items():
        found = [match for source, _ in sample(split, pairs) for match in pattern.findall(source)]
        seen[split] = {held_out(verbs[verb].key, nouns[noun]) for verb, noun in found}
    assert seen == {"train": {False}, "unseen": {False, True}}


def test_half_of_the_unseen_set_is_longer_than_training_ever_is() -> None:
    lengths = [len(source.split()) for source, _ in sample("unseen", 1000)]
    assert max(lengths[0::2]) <= LONGEST < min(lengths[1::2]) <= max(lengths[1::2]) <= LONGEST_UNSEEN
    train = [len(source.split()) for source, _ in sample("train", 20_000)]
    assert max(train) == LONGEST
    assert 9 < np.mean(train) < 13


def test_each_side_has_hundreds_of_words_and_none_is_rare() -> None:
    for side in (0, 1):
        counts = Counter(word for pair in sample("train", 20_000) for word in words(pair[side]))
        assert len(counts) > 900
        assert sum(count >= 20 for count in counts.values()) > 600


def test_there_are_over_a_billion_sentences() -> None:
    """Count one shape alone: "The ADJ PERSON VERBed the ADJ OBJECT on MONTH DAY, YEAR."."""
    tables = lexicon()
    adjectives = [len(free) for free, _ in tables.describing]
    subjects = sum(adjectives[noun.key] for noun in tables.by_kind["p"])
    objects = sum(adjectives[noun.key] for verb in tables.frames["acc"] for noun in tables.objects[verb.key][0])
    assert subjects * objects * 12 * 28 * 30 > 10**9


def test_text_is_cased_and_punctuated() -> None:
    shape = re.compile(r"[A-ZÄÖÜ]\S*( \S+)*[.?]")
    for source, target in sample("train", 20_000):
        assert shape.fullmatch(source), source
        assert shape.fullmatch(target), target
        assert ".." not in source + target


# Two baselines that translate from left to right: tables of words, and of phrases of up to four.


def tokens(text: str) -> list[str]:
    first, *rest = re.findall(r"\w+(?:[.,:']\w+)*|[^\w\s]", text)
    return [first[0].lower() + first[1:], *rest]


def text_of(parts: list[str]) -> str:
    text = re.sub(r" ([.,?])", r"\1", " ".join(parts))
    return text[:1].upper() + text[1:]


Links = list[set[tuple[int, int]]]


def best_links(pairs: list[tuple[list[str], list[str]]]) -> Links:
    """Link each target position to its most probable source position, by IBM model 1."""
    ids: tuple[dict[str, int], dict[str, int]] = ({}, {})
    rows = [(n, i, j, ids[0].setdefault(a, len(ids[0])), ids[1].setdefault(b, len(ids[1])))
            for n, (source, target) in enumerate(pairs) for j, b in enumerate(target)
            for i, a in enumerate(source)]  # fmt: skip
    sentence, i, j, source, target = np.array(rows).T
    _, kind = np.unique(source * len(ids[1]) + target, return_inverse=True)
    word = np.cumsum(np.r_[True, (np.diff(j) != 0) | (np.diff(sentence) != 0)]) - 1
    given = np.zeros(kind.max() + 1, dtype=int)
    given[kind] = source
    table = np.ones(kind.max() + 1)
    for _ in range(8):
        share = table[kind] / np.bincount(word, table[kind])[word]
        counts = np.bincount(kind, share)
        table = counts / np.bincount(given, counts)[given]
    order = np.lexsort((-table[kind], word))
    best = order[np.r_[True, np.diff(word[order]) != 0]]
    links: Links = [set() for _ in pairs]
    for k in best:
        links[sentence[k]].add((int(i[k]), int(j[k])))
    return links


def aligned(pairs: list[tuple[list[str], list[str]]]) -> tuple[Links, Links]:
    """Intersect the links of both directions, and grow them by neighbors as Moses does."""
    forward, backward = best_links(pairs), best_links([(target, source) for source, target in pairs])
    both, grown = [], []
    for there, back in zip(forward, backward, strict=True):
        turned = {(i, j) for j, i in back}
        links, union = there & turned, there | turned
        both.append(links)
        links, size = set(links), -1
        while size != len(links):
            size = len(links)
            rows, columns = {i for i, _ in links}, {j for _, j in links}
            links |= {(i, j) for i, j in union if (i not in rows or j not in columns)
                      and any((i + x, j + y) in links for x in (-1, 0, 1) for y in (-1, 0, 1))}  # fmt: skip
        grown.append(links)
    return both, grown


@cache
def training() -> tuple[list[tuple[list[str], list[str]]], Links, Links]:
    pairs = [(tokens(source), tokens(target)) for source, target in sample("train", 10_000)]
    return pairs, *aligned(pairs)


def bleu(translate: dict[str, str]) -> float:
    pairs = sample("test", 500)
    return sacrebleu.corpus_bleu([translate[s] for s, _ in pairs], [[t for _, t in pairs]]).score


def test_a_dictionary_does_not_translate_this_corpus() -> None:
    pairs, links, _ = training()
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for (source, target), points in zip(pairs, links, strict=True):
        for i, word in enumerate(source):
            seen[word][" ".join(target[j] for k, j in points if k == i)] += 1
    dropping = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
    always = {w: max((c for c in counts if c), key=lambda c: counts[c], default=w) for w, counts in seen.items()}
    for table in (dropping, always):
        output = {s: text_of([x for x in (table.get(w, w) for w in tokens(s)) if x]) for s, _ in sample("test", 500)}
        assert 5 < bleu(output) < 40


def phrases_of(source: list[str], target: list[str], links: set[tuple[int, int]], longest: int) -> list[Pair]:
    """Extract the phrase pairs that no link leaves; unlinked target words at the edges come both ways."""
    found = []
    linked = {j for _, j in links}
    for i in range(len(source)):
        for end in range(i + 1, min(i + longest, len(source)) + 1):
            inside = [j for k, j in links if i <= k < end]
            if not inside or any(min(inside) <= j <= max(inside) and not i <= k < end for k, j in links):
                continue
            low, high = min(inside), max(inside) + 1
            lows = [low, low - 1] if low and low - 1 not in linked else [low]
            highs = [high, high + 1] if high < len(target) and high not in linked else [high]
            found += [(" ".join(source[i:end]), " ".join(target[a:b])) for a in lows for b in highs]
    return found


def test_phrases_without_reordering_do_not_translate_this_corpus() -> None:
    pairs, _, links = training()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for (source, target), points in zip(pairs, links, strict=True):
        for phrase, translation in phrases_of(source, target, points, 4):
            counts[phrase][translation] += 1
    table = {s: c.most_common(1)[0] + (sum(c.values()),) for s, c in counts.items()}

    def translate(source: list[str]) -> list[str]:
        """Cut into phrases, few and sure ones, by dynamic programming."""
        best: list[tuple[float, list[str]]] = [(0.0, [])]
        for end in range(1, len(source) + 1):
            options = []
            for start in range(max(0, end - 4), end):
                phrase = " ".join(source[start:end])
                if phrase in table:
                    text, count, total = table[phrase]
                    score = best[start][0] + np.log(count / (total + 0.5)) - 1.0
                    options.append((score, [*best[start][1], *text.split()]))
            score, before = best[end - 1]
            best.append(max(options, default=(score - 10, [*before, source[end - 1]]), key=lambda x: x[0]))
        return best[-1][1]

    assert 10 < bleu({source: text_of(translate(tokens(source))) for source, _ in sample("test", 500)}) < 60


@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/translating.md", "nmt/__init__.py"])
def test_the_examples_of_the_pages_are_pairs_that_the_demo_trains_on(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    pairs = dict(generate("train", 3000))
    quoted = set(re.findall(r'(?<!")"(?:<2de> )?([A-Z]\w+(?: \w+)+\.)"(?!")', text)) - {"A line of text."}
    assert quoted
    sources = quoted & pairs.keys()
    assert quoted - sources <= {pairs[source] for source in sources}
