"""The built-in corpus: correct German, honest splits, and too rich for word or phrase tables."""

import hashlib
import random
import re
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest
import sacrebleu

from nmt.tasks.grammar import LONGEST, LONGEST_UNSEEN, VERSION, Split, _Writer, generate
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


# Drawn by the grammar, then read and judged as German, a few for each construction.
GOLDEN = """
At half past four, I fall in love with the uncle.
    Um halb fünf verliebe ich mich in den Onkel.
Paul's beautiful brothers buy rings at a quarter to eleven.
    Pauls schöne Brüder kaufen um Viertel vor elf Ringe.
At 2:10 p.m., he wanted to open every brown window.
    Um 14:10 Uhr wollte er jedes braune Fenster öffnen.
Fortunately, Anna and Emma invited the lawyer on March 4, 2005.
    Glücklicherweise haben Anna und Emma am 4. März 2005 den Anwalt eingeladen.
The sofas cost $46.20 on weekends.
    Die Sofas kosten am Wochenende 46,20 $.
The difficult report costs €6,050.
    Der schwierige Bericht kostet 6.050 €.
Your young painter must not cancel this boring party that she remembers every morning.
    Dein junger Maler darf diese langweilige Party nicht absagen, an die sie sich jeden Morgen erinnert.
You did not have to complain about her son because you had to work.
    Du musstest dich nicht über ihren Sohn beschweren, weil du arbeiten musstest.
A grandmother who will cook does not buy the green sausages.
    Eine Großmutter, die kochen wird, kauft die grünen Würste nicht.
Oliver and Lena did not buy any gifts with Martin on Sunday at a quarter past eleven.
    Oliver und Lena haben am Sonntag um Viertel nach elf keine Geschenke mit Martin gekauft.
Maria gets up in front of the small cinema every day when Daniel's child invites us.
    Maria steht jeden Tag vor dem kleinen Kino auf, wenn Daniels Kind uns einlädt.
A customer decides to fall asleep.
    Ein Kunde beschließt, einzuschlafen.
Although Sarah wanted to pay for the wine last month, the broken car arrived.
    Obwohl Sarah letzten Monat den Wein bezahlen wollte, ist das kaputte Auto angekommen.
Julia and Oliver may try on a hat because it is very gray.
    Julia und Oliver dürfen einen Hut anprobieren, weil er sehr grau ist.
She must try on the shoe because it is too short.
    Sie muss den Schuh anprobieren, weil er zu kurz ist.
Simon cannot organize a meeting because it is not really short.
    Simon kann keine Besprechung organisieren, weil sie nicht wirklich kurz ist.
The girl who traveled to the shop had to miss his lecture last month.
    Das Mädchen, das zum Laden gereist ist, musste letzten Monat seinen Vortrag verpassen.
She repaired your white truck that Julia waited for at ten o'clock.
    Sie hat deinen weißen Lastwagen repariert, auf den Julia um zehn Uhr gewartet hat.
There was a dangerous hotel in Munich.
    Es gab ein gefährliches Hotel in München.
They wore a coat in order to take part in an excursion.
    Sie haben einen Mantel getragen, um an einem Ausflug teilzunehmen.
After Robert had described a wonderful village, she met you.
    Nachdem Robert ein wunderbares Dorf beschrieben hatte, hat sie dich getroffen.
Martin's actress refused to bring Mr. Koch a wonderful pizza.
    Martins Schauspielerin hat sich geweigert, Herrn Koch eine wunderbare Pizza zu bringen.
Where does Julia invite the aunt?
    Wo lädt Julia die Tante ein?
Does he give some interesting actresses these bags?
    Gibt er einigen interessanten Schauspielerinnen diese Taschen?
Emma's expensive car arrives at 9:25 a.m., so we play in front of the old bridge.
    Emmas teures Auto kommt um 9:25 Uhr an, deshalb spielen wir vor der alten Brücke.
We cook with Emma's customer.
    Wir kochen mit Emmas Kunden.
The fathers never travel into the new office if Peter falls in love with Paul and Martin.
    Die Väter reisen nie ins neue Büro, wenn Peter sich in Paul und Martin verliebt.
Mrs. Wagner will not be as old as Mr. Wagner.
    Frau Wagner wird nicht so alt wie Herr Wagner sein.
They find out whether Oliver could call him in Rome.
    Sie finden heraus, ob Oliver ihn in Rom anrufen konnte.
Sarah knew that the customer always listened to us.
    Sarah wusste, dass der Kunde uns immer zugehört hat.
They have gone to your bridge.
    Sie sind zu deiner Brücke gegangen.
The clever waitresses remembered him eight days ago.
    Die klugen Kellnerinnen haben sich vor acht Tagen an ihn erinnert.
The tram left although they ran into the castle.
    Die Straßenbahn ist abgefahren, obwohl sie ins Schloss gelaufen sind.
Oliver pays for the sweet steak with Emma's thirsty girl.
    Oliver bezahlt das süße Steak mit Emmas durstigem Mädchen.
You did not buy a soup when the articles were not very interesting.
    Du hast keine Suppe gekauft, als die Artikel nicht sehr interessant waren.
"""


def golden() -> list[Pair]:
    lines = [line.strip() for line in GOLDEN.strip().splitlines()]
    return list(zip(lines[0::2], lines[1::2], strict=True))


@cache
def drawn() -> dict[str, str]:
    return dict(generate("train", 75_000, seed=3))


@pytest.mark.parametrize(("source", "target"), golden(), ids=lambda text: text[:40])
def test_each_construction_is_translated_as_a_reader_would(source: str, target: str) -> None:
    assert drawn()[source] == target


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


def test_a_source_has_one_target_however_often_it_is_drawn() -> None:
    writer, repeated = _Writer(random.Random(5), novel=True), 0
    targets: dict[str, str] = {}
    for source, target in (writer.sentence() for _ in range(150_000)):
        repeated += source in targets
        assert targets.setdefault(source, target) == target
    assert repeated > 300


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


def test_verbs_come_last_in_subordinate_clauses() -> None:
    finite = {form.split()[-1] for frame in lexicon().frames.values() for verb in frame
              for forms in verb.german.values() for form in (forms[2].final, forms[4].final)}  # fmt: skip
    finite |= {"ist", "sind", "war", "waren", "sein", "gibt", "gab", "bin", "bist", "warst", "geben"}
    clauses = [g.split()[-1] for _, t in drawn().items() for g in re.findall(r", (?:weil|dass|ob) sie ([^,.]+)\.$", t)]
    assert len(clauses) > 500
    assert set(clauses) <= finite


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
