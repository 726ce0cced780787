"""Draw the phrases of the built-in corpus: noun phrases, and adverbials of time, place and manner."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from nmt.tasks.grammar_lexicon import PLURAL, Determiner, Noun, Verb, lexicon
from nmt.tasks.grammar_marks import EnDe, Marks, plain, with_mark
from nmt.tasks.grammar_words import entries, tables

T = TypeVar("T")
PAST, PRESENT, FUTURE = range(3)
TENSES = ("past", "present", "future")


class Phrase(NamedTuple):
    """A noun phrase: English as subject and object, German by case; person and gender for agreement."""

    subject: str
    object: str
    german: tuple[str, str, str]
    person: int
    gender: int
    noun: Noun | None


def _pronouns() -> list[Phrase]:
    rows = """I me ich mich mir 0 0; you you du dich dir 1 0; he him er ihn ihm 2 0; she her sie sie ihr 2 1
    we us wir uns uns 3 3; they them sie sie ihnen 4 3"""
    fields = [row.split() for row in rows.replace("\n", ";").split(";")]
    return [Phrase(f[0], f[1], (f[2], f[3], f[4]), int(f[5]), int(f[6]), None) for f in fields]


PRONOUNS = _pronouns()
_PERSONAL = {pronoun.subject for pronoun in PRONOUNS}


def join(preposition: str, phrase: str) -> str:
    """Join a preposition and a phrase, contracted with its article: "in dem Haus" is "im Haus"."""
    article, _, rest = phrase.partition(" ")
    first, second = plain(preposition), plain(article)
    short = dict(entries("contractions")).get(f"{first} {second}")
    if not short or not rest:
        return f"{preposition} {phrase}"
    return f"{short}{preposition[len(first) :]}{article[len(second) :]} {rest}"


def same(one: Phrase, other: Phrase) -> bool:
    """Check whether one phrase is, or as with "I" and "we" includes, the other."""
    return plain(one.subject) == plain(other.subject) or {one.person, other.person} == {0, 3}


def is_pronoun(phrase: Phrase) -> bool:
    """Check whether `phrase` is one of PRONOUNS, be it marked."""
    return phrase.noun is None and plain(phrase.subject) in _PERSONAL


def _article(word: str) -> str:
    word = plain(word)
    return "an " if word[0] in "aeio" or word in ("honest", "umbrella", "uncle") else "a "


@dataclass(slots=True)
class Parts:
    """The complement of a verb: in English, and in German its pronouns, objects and closing part."""

    tail: str = ""
    pronouns: str = ""
    objects: str = ""
    closing: str = ""
    kein: bool = False
    object: Phrase | None = None


class Phrases:
    """Draws phrases; with `novel`, also in combinations held out from training, with `marked`, with marks of links."""

    def __init__(self, rng: random.Random, *, novel: bool = False, marked: bool = False) -> None:
        self.random = rng.random
        self.marks = Marks(on=marked)
        self.words = lexicon()
        self.novel = novel
        self.fresh = False

    def one(self, options: Sequence[T]) -> T:
        """Draw one of `options`, each with the same probability."""
        return options[int(self.random() * len(options))]

    def partner(self, halves: tuple[list[T], list[T]]) -> T:
        """Draw a partner of a word, a held-out one only if `novel`."""
        free, held = halves
        if self.novel and held and self.random() < 0.4:
            self.fresh = True
            return self.one(held)
        return self.one(free)

    def entry(self, table: str) -> EnDe:
        """Draw an entry of a table."""
        return self.marks.pair(self.one(entries(table)))

    def marked(self, phrase: Phrase) -> Phrase:
        """Return a phrase with a mark that all of its words carry."""
        mark = self.marks.new()
        n, a, d = (with_mark(form, mark) for form in phrase.german)
        english = with_mark(phrase.subject, mark), with_mark(phrase.object, mark)
        return phrase._replace(subject=english[0], object=english[1], german=(n, a, d))

    # Noun phrases

    def phrase(self, noun: Noun, determiners: tuple[list[Determiner], ...], plural: bool | None = None) -> Phrase:
        """Decline `noun` with a determiner and perhaps an adjective, in agreement with it."""
        if plural is None:
            plural = self.random() < 0.3
        det = self.one(determiners[plural])
        row = PLURAL if plural else noun.gender
        mark = self.marks.new()
        word = with_mark(noun.english[plural], mark)
        n, a, d = (with_mark(form, mark) for form in noun.german[plural])
        mark = self.marks.new()
        dn, da, dd = (with_mark(form, mark) for form in det.german[row])
        if self.random() < 0.35:
            adjective = self.partner(self.words.describing[noun.key])
            stem, (en, ea, ed) = adjective.stem, det.endings[row]
            end = f"{self.marks.new()} "
            word = f"{adjective.english}{end}{word}"
            n, a, d = f"{stem}{en}{end}{n}", f"{stem}{ea}{end}{a}", f"{stem}{ed}{end}{d}"
        article = _article(word.partition(" ")[0]) if det.english == "a " else det.english
        english = with_mark(article, mark) + word
        return Phrase(english, english, (dn + n, da + a, dd + d), 4 if plural else 2, row, noun)

    def named(self) -> Phrase:
        """Draw one person or two, by name."""
        chance = self.random()
        names = tables()["names"]
        first = self.one(names)
        if chance < 0.65:
            return self.marked(Phrase(first, first, (first, first, first), 2, 0, None))
        if chance < 0.8:
            second = self.one([name for name in names if name != first])
            english, german = self.marks.pair((f"{first} and {second}", f"{first} und {second}"))
            return Phrase(english, english, (german, german, german), 4, PLURAL, None)
        name = self.one(tables()["surnames"])
        if chance < 0.9:
            english, german = self.marks.pair((f"Mr. {name}", f"Herrn {name}"))
            return Phrase(english, english, (german.replace("Herrn", "Herr", 1), german, german), 2, 0, None)
        english, german = self.marks.pair((f"Mrs. {name}", f"Frau {name}"))
        return Phrase(english, english, (german, german, german), 2, 1, None)

    def person(self) -> Phrase:
        """Draw a person: a pronoun, a name or a noun."""
        chance = self.random()
        if chance < 0.35:
            return self.marked(self.one(PRONOUNS))
        if chance < 0.58:
            return self.named()
        return self.phrase(self.one(self.words.by_kind["p"]), self.words.determiners.any)

    # Adverbials

    def clock(self) -> EnDe:
        """Draw a time of day: spoken, or in digits where German counts to 24."""
        hour, numbers = int(self.random() * 12), entries("numbers")
        english, german = numbers[hour]
        after = numbers[(hour + 1) % 12]
        chance, at = self.random(), ("at", "um")
        if chance < 0.2:
            return self.marks.join(at, (f"{english} o'clock", f"{german} Uhr"))
        if chance < 0.35:
            return self.marks.join(at, (f"half past {english}", f"halb {'eins' if after[1] == 'ein' else after[1]}"))
        if chance < 0.5:
            spoken = "eins" if german == "ein" else german
            to = self.random() < 0.5
            side, seite = ("to", "vor") if to else ("past", "nach")
            return self.marks.join(at, ("a quarter", "Viertel"), (side, seite), (english, spoken))
        minute, half = int(self.random() * 12) * 5, int(self.random() * 2)
        german_hour = (hour + 1) % 12 + 12 * half
        spoken = f"{hour + 1}:{minute:02d} {('a.m.', 'p.m.')[half]}"
        return self.marks.join(at, (spoken, f"{german_hour}:{minute:02d} Uhr"))

    def date(self) -> EnDe:
        """Draw a day of the week, a month or a date."""
        chance = self.random()
        if chance < 0.4:
            return self.marks.join(("on", "am"), self.one(entries("days")))
        month = self.one(entries("months"))
        if chance < 0.55:
            return self.marks.join(("in", "im"), month)
        number = 1 + int(self.random() * 28)
        (on, am), (english, german) = self.marks.pair(("on", "am")), self.marks.pair(month)
        day, tag = self.marks.pair((str(number), f"{number}."))
        if chance < 0.85:
            return f"{on} {english} {day}", f"{am} {tag} {german}"
        year, jahr = self.marks.pair((str(1990 + int(self.random() * 30)),) * 2)
        return f"{on} {english} {day}, {year}", f"{am} {tag} {german} {jahr}"

    def when(self, time: int) -> EnDe:
        """Draw an adverbial of time for the past, the present or the future."""
        chance = self.random()
        if chance < 0.4 or (time == PRESENT and chance < 0.7):
            return self.entry(f"times_{TENSES[time]}")
        if chance < 0.6:
            return self.date()
        if chance < 0.8:
            return self.clock()
        if chance < 0.88:
            (english, german), (hour, stunde) = self.marks.join(("on", "am"), self.one(entries("days"))), self.clock()
            return f"{english} {hour}", f"{german} {stunde}"
        if time == PRESENT:
            return self.clock()
        number, span = self.one(entries("numbers")[1:]), self.one(entries("spans"))
        if time == PAST:
            (english, german), (ago, vor) = self.marks.join(number, span), self.marks.pair(("ago", "vor"))
            return f"{english} {ago}", f"{vor} {german}"
        return self.marks.join(("in", "in"), number, span)

    def where(self) -> EnDe:
        """Draw a location, in the dative."""
        if self.random() < 0.3:
            return self.marks.join(("in", "in"), self.one(entries("cities")))
        noun = self.one(self.words.by_kind["l"])
        place = self.phrase(noun, self.words.determiners.place, False)
        there, dort = noun.prepositions
        if self.random() < 0.25:
            there, dort = self.one(entries("locations"))
        there, dort = self.marks.pair((there, dort))
        return f"{there} {place.object}", join(dort, place.german[2])

    def whither(self) -> EnDe:
        """Draw a destination."""
        chance = self.random()
        if chance < 0.35:
            return self.marks.join(("to", "nach"), self.one(entries("cities")))
        noun = self.one(self.words.by_kind["l"])
        place = self.phrase(noun, self.words.determiners.place, False)
        if chance < 0.55 and noun.prepositions[0] == "in":
            there, dort = self.marks.pair(("into", "in"))
            return f"{there} {place.object}", join(dort, place.german[1])
        there, dort = self.marks.pair(("to", "zu"))
        return f"{there} {place.object}", join(dort, place.german[2])

    def how(self, verb: Verb) -> EnDe:
        """Draw manner, company or price."""
        if verb.base in ("buy", "sell") and self.random() < 0.6:
            (english, german), (for_, fuer) = self.price(), self.marks.pair(("for", "für"))
            return f"{for_} {english}", f"{fuer} {german}"
        chance = self.random()
        if chance < 0.5:
            return self.entry("manners")
        other = self.named()
        if chance < 0.75:
            other = self.phrase(self.one(self.words.by_kind["p"]), self.words.determiners.place)
        if chance > 0.92:
            without, ohne = self.marks.pair(("without", "ohne"))
            return f"{without} {other.object}", f"{ohne} {other.german[1]}"
        with_, mit = self.marks.pair(("with", "mit"))
        return f"{with_} {other.object}", f"{mit} {other.german[2]}"

    def price(self) -> EnDe:
        """Draw a price; German swaps comma and point, and puts the sign last."""
        sign = self.one("€$")
        whole = 1 + int(self.random() * 99)
        if self.random() < 0.3:
            return self.marks.whole((f"{sign}{whole % 9 + 1},{whole:02d}0", f"{whole % 9 + 1}.{whole:02d}0 {sign}"))
        cents = self.one(("20", "50", "75", "95", "99"))
        return self.marks.whole((f"{sign}{whole}.{cents}", f"{whole},{cents} {sign}"))
