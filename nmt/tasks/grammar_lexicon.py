"""Inflect the words of the built-in corpus: English beside German, each form worked out once a process.

Each English word stands for one German word within its frame, so that a sentence has exactly one translation.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import NamedTuple, TypeVar

from nmt.tasks.grammar_words import entries, tables

Word = TypeVar("Word", "Noun", "Adjective", "Verb")
PERSONS = ("I", "you", "he", "we", "they")
PLURAL = 3  # row of the plural in a declension table, after masculine, feminine and neuter
# Endings of adjectives: masculine, feminine, neuter, plural; each nominative, accusative, dative.
_WEAK = (("e", "en", "en"), ("e", "e", "en"), ("e", "e", "en"), ("en", "en", "en"))
_MIXED = (("er", "en", "en"), ("e", "e", "en"), ("es", "es", "en"), ("en", "en", "en"))
_STRONG = (("er", "en", "em"), ("e", "e", "er"), ("es", "es", "em"), ("e", "e", "en"))
_ARTICLES = (("der", "den", "dem"), ("die", "die", "der"), ("das", "das", "dem"), ("die", "die", "den"))
_EIN = (("", "en", "em"), ("e", "e", "er"), ("", "", "em"), ("e", "e", "en"))
RELATIVES = (*_ARTICLES[:PLURAL], ("die", "die", "denen"))
Cases = tuple[str, str, str]


class Noun(NamedTuple):
    """A noun; `english` and `german` are indexed by number (0 singular, 1 plural), then by case."""

    key: int
    kind: str
    english: tuple[str, str]
    german: tuple[Cases, Cases]
    gender: int
    prepositions: tuple[str, str]  # English and German preposition of a location, or empty


class Adjective(NamedTuple):
    """An adjective: its English, its German predicate form, and the stem that endings join."""

    key: int
    english: str
    german: str
    stem: str


class Determiner(NamedTuple):
    """A determiner with a trailing space: its forms and the endings of adjectives, by gender row and case."""

    english: str
    german: tuple[Cases, ...]
    endings: tuple[Cases, ...]


class English(NamedTuple):
    """One finite English verb: affirmative, negated, and split for a question."""

    affirmative: str
    negated: str
    auxiliary: str
    rest: str


class German(NamedTuple):
    """One finite German verb: in second position, its right bracket (leading space or empty), clause-final."""

    finite: str
    bracket: str
    final: str


class Verb(NamedTuple):
    """A verb with all its finite forms by tense or modal, then by person."""

    key: int
    frame: str
    base: str
    zu: str
    kinds: str
    preposition: str
    case: int
    reflexive: bool
    english: dict[str, tuple[English, ...]]
    german: dict[str, tuple[German, ...]]


def held_out(first: int, second: int) -> bool:
    """Check whether an adjective or verb and a noun, by index, are combined in the unseen set only."""
    return (3 * first + 5 * second) % 11 == 0


def _decline(noun: str, plural: str, weak: bool) -> tuple[Cases, Cases]:
    oblique = plural if weak else noun
    dative = plural if plural[-1] in "ns" else plural + "n"
    return (noun, oblique, oblique), (plural, plural, dative)


def _pluralize(noun: str) -> str:
    if noun[-1] == "y" and noun[-2] not in "aeou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh", "to")) else "s")


def _nouns() -> Iterator[Noun]:
    for index, line in enumerate(tables()["nouns"]):
        head, _, entry = line.rpartition(": ")
        kind, _, places = head.partition(" ")
        word, article, german, plural = entry.split()
        singular, _, irregular = word.partition("|")
        english = (singular, irregular or _pluralize(singular))
        gender = ("der", "die", "das").index(article.rstrip("*"))
        there, _, dort = places.partition(":")
        declined = _decline(german, plural, article.endswith("*"))
        yield Noun(index, kind, english, declined, gender, (there, dort))


def _adjectives() -> Iterator[tuple[str, Adjective]]:
    """Yield the kinds of nouns that each adjective describes, and the adjective."""
    for index, line in enumerate(tables()["adjectives"]):
        kinds, english, german = line.replace(":", "").split()
        predicate, _, stem = german.partition("/")
        yield kinds, Adjective(index, english, predicate, stem or predicate)


def _third(base: str) -> str:
    return "has" if base == "have" else _pluralize(base) if base != "go" else "goes"


def _past(base: str) -> str:
    if base[-1] == "y" and base[-2] not in "aeou":
        return base[:-1] + "ied"
    return base + ("d" if base[-1] == "e" else "ed")


def _english_forms(spec: str) -> tuple[str, dict[str, tuple[English, ...]]]:
    """Conjugate the first word of `base particle/past/participle`."""
    words, *irregular = spec.split("/")
    head, _, particle = words.partition(" ")
    tail = f" {particle}" if particle else ""
    past = irregular[0] if irregular else _past(head)
    participle = irregular[1] if len(irregular) > 1 else past
    table: dict[str, list[English]] = {}

    def add(name: str, affirmative: str, auxiliary: str, rest: str) -> None:
        negated = "cannot" if auxiliary == "can" else f"{auxiliary} not"
        row = English(affirmative + tail, f"{negated} {rest}{tail}", auxiliary, rest + tail)
        table.setdefault(name, []).append(row)

    for person in PERSONS:
        he = person == "he"
        do, have = ("does", "has") if he else ("do", "have")
        add("present", _third(head) if he else head, do, head)
        add("past", past, "did", head)
        add("perfect", f"{have} {participle}", have, participle)
        add("pluperfect", f"had {participle}", "had", participle)
        add("future", f"will {head}", "will", head)
        for name, (english, _) in _modals().items():
            first, _, rest = english.partition(" ")
            if first in ("do", "did"):
                verb = rest.split()[0]
                finite = {"want": "wanted", "have": "had"}[verb] if first == "did" else _third(verb) if he else verb
                add(name, f"{finite} to {head}", do if first == "do" else "did", f"{rest} {head}")
            else:
                add(name, f"{english} {head}", first, f"{rest} {head}".strip())
    return words, {name: tuple(forms) for name, forms in table.items()}


def _persons(ich: str, du: str, er: str, plural: str) -> tuple[str, ...]:
    return ich, du, er, plural, plural


HABEN = _persons("habe", "hast", "hat", "haben")
SEIN = _persons("bin", "bist", "ist", "sind")
WERDEN = _persons("werde", "wirst", "wird", "werden")
HATTE = _persons("hatte", "hattest", "hatte", "hatten")
WAR = _persons("war", "warst", "war", "waren")


@cache
def _modals() -> dict[str, tuple[str, tuple[str, ...]]]:
    table = {}
    for line in tables()["modals"]:
        name, _, rest = line.partition(": ")
        english, _, german = rest.partition("; ")
        table[name] = (english, _persons(*german.split()))
    return table


def _bracketed(finites: tuple[str, ...], bracket: str) -> tuple[German, ...]:
    """Return forms with the right bracket `bracket`, which the finite verb follows in a subordinate clause."""
    return tuple(German(finite, f" {bracket}", f"{bracket} {finite}") for finite in finites)


def _german_forms(infinitive: str, er: str, participle: str, options: list[str]) -> dict[str, tuple[German, ...]]:
    prefix, _, bare = infinitive.rpartition("|")
    stem = er[:-1]
    ich = (bare[:-2] if bare.endswith("en") else bare[:-1]) + "e"
    du = er if stem[-1] in "sßzx" else stem + "st"
    preterite = ""
    for option in options:
        if option.startswith("="):
            preterite = option[1:]
        elif "," in option:
            ich, du = option.split(",")
    space = f" {prefix}" if prefix else ""
    table = {"present": tuple(German(x, space, prefix + x) for x in _persons(ich, du, er, bare))}
    sein, participle = participle.startswith("+"), participle.lstrip("+")
    table["perfect"] = _bracketed(SEIN if sein else HABEN, participle)
    table["pluperfect"] = _bracketed(WAR if sein else HATTE, participle)
    whole = prefix + bare
    table["future"] = _bracketed(WERDEN, whole)
    table |= {name: _bracketed(finites, whole) for name, (_, finites) in _modals().items()}
    table["past"] = _simple_past(preterite) if preterite else table["perfect"]
    return table


def _simple_past(form: str) -> tuple[German, ...]:
    plural = form + ("n" if form.endswith("e") else "en")
    return tuple(German(x, "", x) for x in _persons(form, form + "st", form, plural))


def _verbs() -> Iterator[Verb]:
    for index, line in enumerate(tables()["verbs"]):
        head, _, forms = line.partition(": ")
        frame, _, kinds = head.partition(" ")
        english, _, german = forms.partition(" = ")
        infinitive, er, participle, *options = german.split()
        reflexive = infinitive.startswith("sich_")
        infinitive = infinitive.removeprefix("sich_")
        governed = next((option for option in options if ":" in option), "")
        preposition, _, letter = governed.partition(":")
        prefix, _, bare = infinitive.rpartition("|")
        base, conjugated = _english_forms(english)
        case = 2 if letter == "d" or frame == "dat" else 1
        zu = f"{prefix}zu{bare}" if prefix else f"zu {bare}"
        deutsch = _german_forms(infinitive, er, participle, options)
        yield Verb(index, frame, base, zu, kinds, preposition, case, reflexive, conjugated, deutsch)


def copula() -> Verb:
    """Conjugate "be"/"sein", the one verb without do-support."""
    _, english = _english_forms("be/was/been")
    present, past = ("am", "are", "is", "are", "are"), ("was", "were", "was", "were", "were")
    english["present"] = tuple(English(x, f"{x} not", x, "") for x in present)
    english["past"] = tuple(English(x, f"{x} not", x, "") for x in past)
    german = _german_forms("sein", "ist", "+gewesen", ["=war"])
    german["present"] = tuple(German(x, "", x) for x in SEIN)
    return Verb(-1, "be", "be", "zu sein", "", "", 0, False, english, german)


def _rows(stem: str, endings: tuple[Cases, ...]) -> tuple[Cases, ...]:
    return tuple((f"{stem}{a} ", f"{stem}{b} ", f"{stem}{c} ") for a, b, c in endings)


def _fixed(word: str) -> tuple[Cases, ...]:
    return ((word, word, word),) * 4


class Determiners(NamedTuple):
    """Weighted lists to draw from, each for singular and plural."""

    any: tuple[list[Determiner], list[Determiner]]
    definite: tuple[list[Determiner], list[Determiner]]
    negative: tuple[list[Determiner], list[Determiner]]
    place: tuple[list[Determiner], list[Determiner]]
    existing: tuple[list[Determiner], list[Determiner]]
    indefinite: tuple[list[Determiner], list[Determiner]]
    none: tuple[list[Determiner], list[Determiner]]


def _determiners() -> Determiners:
    the = Determiner("the ", _rows("", _ARTICLES), _WEAK)
    a, bare = Determiner("a ", _rows("ein", _EIN), _MIXED), Determiner("", _fixed(""), _STRONG)
    this, these = (Determiner(x, _rows("dies", _STRONG), _WEAK) for x in ("this ", "these "))
    every = Determiner("every ", _rows("jed", _STRONG), _WEAK)
    no, none = (Determiner(x, _rows("kein", _EIN), _MIXED) for x in ("a ", "any "))
    own = [Determiner(f"{e} ", _rows(g, _EIN), _MIXED) for e, g in entries("possessives")]
    whose = [Determiner(f"{name}'s ", _fixed(f"{name}s "), _STRONG) for name in tables()["names"]]
    counted = [Determiner(f"{e} ", _fixed(f"{g} "), _STRONG) for e, g in entries("numbers")[1:]]
    amounts = [Determiner(f"{e} ", _rows(g, _STRONG), _STRONG) for e, g in entries("amounts")]
    definite = [the] * 40 + [this] * 8 + own * 4 + whose
    several = [the] * 30 + [these] * 8 + own * 3 + whose
    return Determiners(
        any=(definite + [a] * 35 + [every] * 4, several + counted * 2 + amounts * 6 + [bare] * 12),
        definite=(definite, several),
        negative=(definite + [no] * len(definite), several + [none] * len(several)),
        place=(definite + [a] * 15, several),
        existing=([a], [bare, *amounts]),
        indefinite=([a], [bare]),
        none=([no], [none._replace(english="")]),
    )


class Lexicon(NamedTuple):
    """All words, and the (free, held-out) partners of each noun and verb, by index."""

    nouns: tuple[Noun, ...]
    by_kind: dict[str, tuple[Noun, ...]]
    adjectives: tuple[Adjective, ...]
    determiners: Determiners
    frames: dict[str, tuple[Verb, ...]]
    copula: Verb
    human: list[Adjective]
    describing: list[tuple[list[Adjective], list[Adjective]]]  # adjectives of each noun
    objects: list[tuple[list[Noun], list[Noun]]]  # nouns that each verb governs
    governing: list[tuple[list[Verb], list[Verb]]]  # verbs that govern each noun


@cache
def lexicon() -> Lexicon:
    """Parse the tables, once a process."""
    nouns, adjectives, verbs = tuple(_nouns()), tuple(_adjectives()), tuple(_verbs())
    frames = {name: tuple(v for v in verbs if v.frame == name) for name in {v.frame for v in verbs}}
    governing = [v for v in verbs if v.frame in ("acc", "dat", "prep")]
    return Lexicon(
        nouns=nouns,
        by_kind={kind: tuple(n for n in nouns if n.kind == kind) for kind in {n.kind for n in nouns}},
        adjectives=tuple(adjective for _, adjective in adjectives),
        determiners=_determiners(),
        frames=frames,
        copula=copula(),
        human=[adjective for kinds, adjective in adjectives if "p" in kinds],
        describing=[
            _parted((a for kinds, a in adjectives if n.kind in kinds), partial(held_out, second=n.key)) for n in nouns
        ],
        objects=[_parted((n for n in nouns if n.kind in v.kinds), partial(held_out, v.key)) for v in verbs],
        governing=[
            _parted((v for v in governing if n.kind in v.kinds), partial(held_out, second=n.key)) for n in nouns
        ],
    )


def _parted(words: Iterable[Word], held: Callable[[int], bool]) -> tuple[list[Word], list[Word]]:
    """Split `words` into the free ones and those whose index is `held` out."""
    words = list(words)
    return [word for word in words if not held(word.key)], [word for word in words if held(word.key)]
