"""Draw the phrases of the built-in corpus: noun phrases, and adverbials of time, place and manner."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from nmt.tasks.grammar_lexicon import PLURAL, Determiner, Noun, Verb, lexicon
from nmt.tasks.grammar_words import entries, tables

EnDe = tuple[str, str]  # English words, and the German ones that translate them
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


def join(preposition: str, phrase: str) -> str:
    """Join a preposition and a phrase, contracted with its article: "in dem Haus" is "im Haus"."""
    article, _, rest = phrase.partition(" ")
    short = dict(entries("contractions")).get(f"{preposition} {article}")
    return f"{short} {rest}" if short and rest else f"{preposition} {phrase}"


def same(one: Phrase, other: Phrase) -> bool:
    """Check whether one phrase is, or as with "I" and "we" includes, the other."""
    return one.subject == other.subject or {one.person, other.person} == {0, 3}


def _article(word: str) -> str:
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
    """Draws phrases; with `novel`, also in combinations held out from training."""

    def __init__(self, rng: random.Random, *, novel: bool = False) -> None:
        self.random = rng.random
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

    # Noun phrases

    def phrase(self, noun: Noun, determiners: tuple[list[Determiner], ...], plural: bool | None = None) -> Phrase:
        """Decline `noun` with a determiner and perhaps an adjective, in agreement with it."""
        if plural is None:
            plural = self.random() < 0.3
        det = self.one(determiners[plural])
        row = PLURAL if plural else noun.gender
        word, (n, a, d) = noun.english[plural], noun.german[plural]
        dn, da, dd = det.german[row]
        if self.random() < 0.35:
            adjective = self.partner(self.words.describing[noun.key])
            stem, (en, ea, ed) = adjective.stem, det.endings[row]
            word = f"{adjective.english} {word}"
            n, a, d = f"{stem}{en} {n}", f"{stem}{ea} {a}", f"{stem}{ed} {d}"
        english = (_article(word.partition(" ")[0]) if det.english == "a " else det.english) + word
        return Phrase(english, english, (dn + n, da + a, dd + d), 4 if plural else 2, row, noun)

    def named(self) -> Phrase:
        """Draw one person or two, by name."""
        chance = self.random()
        names = tables()["names"]
        first = self.one(names)
        if chance < 0.65:
            return Phrase(first, first, (first, first, first), 2, 0, None)
        if chance < 0.8:
            second = self.one([name for name in names if name != first])
            english, german = f"{first} and {second}", f"{first} und {second}"
            return Phrase(english, english, (german, german, german), 4, PLURAL, None)
        name = self.one(tables()["surnames"])
        if chance < 0.9:
            english, german = f"Mr. {name}", f"Herrn {name}"
            return Phrase(english, english, (f"Herr {name}", german, german), 2, 0, None)
        english, german = f"Mrs. {name}", f"Frau {name}"
        return Phrase(english, english, (german, german, german), 2, 1, None)

    def person(self) -> Phrase:
        """Draw a person: a pronoun, a name or a noun."""
        chance = self.random()
        if chance < 0.35:
            return self.one(PRONOUNS)
        if chance < 0.58:
            return self.named()
        return self.phrase(self.one(self.words.by_kind["p"]), self.words.determiners.any)

    # Adverbials

    def clock(self) -> EnDe:
        """Draw a time of day: spoken, or in digits where German counts to 24."""
        hour, numbers = int(self.random() * 12), entries("numbers")
        english, german = numbers[hour]
        after = numbers[(hour + 1) % 12]
        chance = self.random()
        if chance < 0.2:
            return f"at {english} o'clock", f"um {german} Uhr"
        if chance < 0.35:
            return f"at half past {english}", f"um halb {'eins' if after[1] == 'ein' else after[1]}"
        if chance < 0.5:
            spoken = "eins" if german == "ein" else german
            to = self.random() < 0.5
            side, seite = ("to", "vor") if to else ("past", "nach")
            return f"at a quarter {side} {english}", f"um Viertel {seite} {spoken}"
        minute, half = int(self.random() * 12) * 5, int(self.random() * 2)
        german_hour = (hour + 1) % 12 + 12 * half
        return f"at {hour + 1}:{minute:02d} {('a.m.', 'p.m.')[half]}", f"um {german_hour}:{minute:02d} Uhr"

    def date(self) -> EnDe:
        """Draw a day of the week, a month or a date."""
        chance = self.random()
        if chance < 0.4:
            english, german = self.one(entries("days"))
            return f"on {english}", f"am {german}"
        english, german = self.one(entries("months"))
        if chance < 0.55:
            return f"in {english}", f"im {german}"
        day = 1 + int(self.random() * 28)
        if chance < 0.85:
            return f"on {english} {day}", f"am {day}. {german}"
        year = 1990 + int(self.random() * 30)
        return f"on {english} {day}, {year}", f"am {day}. {german} {year}"

    def when(self, time: int) -> EnDe:
        """Draw an adverbial of time for the past, the present or the future."""
        chance = self.random()
        if chance < 0.4 or (time == PRESENT and chance < 0.7):
            return self.one(entries(f"times_{TENSES[time]}"))
        if chance < 0.6:
            return self.date()
        if chance < 0.8:
            return self.clock()
        if chance < 0.88:
            (english, german), (hour, stunde) = self.one(entries("days")), self.clock()
            return f"on {english} {hour}", f"am {german} {stunde}"
        if time == PRESENT:
            return self.clock()
        (number, zahl), (span, spanne) = self.one(entries("numbers")[1:]), self.one(entries("spans"))
        if time == PAST:
            return f"{number} {span} ago", f"vor {zahl} {spanne}"
        return f"in {number} {span}", f"in {zahl} {spanne}"

    def where(self) -> EnDe:
        """Draw a location, in the dative."""
        if self.random() < 0.3:
            city, stadt = self.one(entries("cities"))
            return f"in {city}", f"in {stadt}"
        noun = self.one(self.words.by_kind["l"])
        place = self.phrase(noun, self.words.determiners.place, False)
        there, dort = noun.prepositions
        if self.random() < 0.25:
            there, dort = self.one(entries("locations"))
        return f"{there} {place.object}", join(dort, place.german[2])

    def whither(self) -> EnDe:
        """Draw a destination."""
        chance = self.random()
        if chance < 0.35:
            city, stadt = self.one(entries("cities"))
            return f"to {city}", f"nach {stadt}"
        noun = self.one(self.words.by_kind["l"])
        place = self.phrase(noun, self.words.determiners.place, False)
        if chance < 0.55 and noun.prepositions[0] == "in":
            return f"into {place.object}", join("in", place.german[1])
        return f"to {place.object}", join("zu", place.german[2])

    def how(self, verb: Verb) -> EnDe:
        """Draw manner, company or price."""
        if verb.base in ("buy", "sell") and self.random() < 0.6:
            english, german = self.price()
            return f"for {english}", f"für {german}"
        chance = self.random()
        if chance < 0.5:
            return self.one(entries("manners"))
        other = self.named()
        if chance < 0.75:
            other = self.phrase(self.one(self.words.by_kind["p"]), self.words.determiners.place)
        if chance > 0.92:
            return f"without {other.object}", f"ohne {other.german[1]}"
        return f"with {other.object}", f"mit {other.german[2]}"

    def price(self) -> EnDe:
        """Draw a price; German swaps comma and point, and puts the sign last."""
        sign = self.one("€$")
        whole = 1 + int(self.random() * 99)
        if self.random() < 0.3:
            return f"{sign}{whole % 9 + 1},{whole:02d}0", f"{whole % 9 + 1}.{whole:02d}0 {sign}"
        cents = self.one(("20", "50", "75", "95", "99"))
        return f"{sign}{whole}.{cents}", f"{whole},{cents} {sign}"
