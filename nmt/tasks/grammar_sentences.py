"""Draw the clauses and sentences of the built-in corpus, with their words in the order of each language."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from nmt.tasks.grammar_lexicon import PLURAL, RELATIVES, English, German, Verb
from nmt.tasks.grammar_marks import EnDe, Marks, plain, with_mark
from nmt.tasks.grammar_phrases import (
    FUTURE,
    PAST,
    PRESENT,
    PRONOUNS,
    TENSES,
    Parts,
    Phrase,
    Phrases,
    is_pronoun,
    join,
    same,
)
from nmt.tasks.grammar_words import entries

_MODALS = (("could", "wanted to", "had to"), ("can", "must", "may", "should", "would like to", "want to", "have to"))
_THERE = Phrase("there", "", ("es", "", ""), 2, 2, None)
_ES_GIBT = (German("gab", "", "gab"), German("gibt", "", "gibt"), German("wird", " geben", "geben wird"))
_IT = ("er", "sie", "es", "sie")
_REFLEXIVE = (" mich", " dich", " sich", " uns", " sich")
_FRAMES = ((0.36, "acc"), (0.45, "dat"), (0.6, "prep"), (0.69, "give"), (0.79, "move"), (0.91, "act"), (1.0, "be"))
_ACTIONS = ("acc", "acc", "dat", "prep", "give", "move", "act")
_DESCRIPTIONS = ("be", "thing", "cost", "ride")
_STATES = ("have", "need", "know", "love", "understand")
_COORDINATIONS = (("and", "", "und"), ("but", ",", "aber"), ("so", ",", "deshalb"))


@dataclass(slots=True)
class _Clause:
    """The parts of a clause, in no order yet; the German parts begin with a space."""

    subject: Phrase
    english: English
    german: German
    negative: bool = False
    often: str = ""
    base: str = ""
    zu: str = ""
    of_verb: str = ""  # the mark of the verb
    tail: str = ""  # English after the verb
    middle: str = ""  # German between the two parts of the verb
    relative: EnDe = ("", "")  # clause of the object, after everything else
    front: EnDe = ("", "")
    object: Phrase | None = None

    def plain_english(self) -> str:
        """Return the English clause: subject, verb, the rest."""
        verb = self.english.negated if self.negative else self.often + self.english.affirmative
        return f"{self.subject.subject} {verb}{self.tail}{self.relative[0]}"

    def last(self) -> str:
        """Return the German clause with the finite verb last."""
        return f"{self.subject.german[0]}{self.middle} {self.german.final}{self.relative[1]}"

    def inverted(self) -> str:
        """Return the German clause with the finite verb first, as after a fronted part or in a question."""
        german = self.german
        return f"{german.finite} {self.subject.german[0]}{self.middle}{german.bracket}{self.relative[1]}"

    def main(self) -> EnDe:
        """Return the main clause, the finite German verb second."""
        if self.front[0]:
            return f"{self.front[0]}, {self.plain_english()}", f"{self.front[1]} {self.inverted()}"
        german = f"{self.subject.german[0]} {self.german.finite}{self.middle}{self.german.bracket}"
        return self.plain_english(), german + self.relative[1]

    def question(self) -> EnDe:
        """Return the question: the auxiliary first in English, the finite verb in German."""
        rest = f" {self.english.rest}" if self.english.rest else ""
        return f"{self.english.auxiliary} {self.subject.subject}{rest}{self.tail}?", f"{self.inverted()}?"

    def infinitive(self, marks: Marks) -> EnDe:
        """Return the infinitive clause: "to ..." and "... zu ..."."""
        mark = marks.new()
        verb = self.zu.replace("zu ", f"zu{mark} ") if " " in self.zu else f"{self.zu}{mark}"
        return f"to{mark} {self.base}{self.tail}", f"{self.middle} {verb}".lstrip()


class _Marked:
    """The forms of a verb with marks: of its head, of the verb as a whole, of its auxiliaries, and of the negation."""

    def __init__(self, marks: Marks, english: English, german: German, verb: Verb) -> None:
        self.base, self.english, self.german, self.zu = verb.base, english, german, verb.zu
        is_compound = german.final.endswith(f" {german.finite}")
        self.head, self.negation = marks.new(), marks.new()
        self.verb, self.auxiliary = marks.new(sure=False), marks.new(sure=is_compound)
        if not marks.on:
            return
        self.own = 1 + verb.base.count(" ")  # English words of the verb itself, the last ones
        self.base, self.zu = self.marked(verb.base), verb.zu + self.head + self.verb
        first, negated = english.auxiliary + self.auxiliary, self.marked(english.negated)
        if not english.rest:  # of the copula: "is not", "is he"
            first = self.marked(english.auxiliary)
            negated = f"{first} not{self.negation}"
        self.english = English(self.marked(english.affirmative), negated, first, self.marked(english.rest))
        finite = german.finite + self.auxiliary
        if not is_compound:
            finite += self.head
        if not is_compound or english.affirmative.count(" ") < self.own:
            finite += self.verb
        bracket = with_mark(german.bracket, self.head * is_compound + self.verb)
        final = f"{bracket.lstrip()} {finite}" if is_compound else german.final + finite[len(german.finite) :]
        self.german = German(finite, bracket, final)

    def marked(self, words: str) -> str:
        """Mark English words, the last ones as the verb's own, of which the first is its head."""
        split = words.split()
        marks = {"not": self.negation, "cannot": self.auxiliary + self.negation}
        before = [word + marks.get(word, self.auxiliary) for word in split[: -self.own]]
        own = [word + self.verb for word in split[-self.own :]]
        return " ".join([*before, *(f"{word}{self.head}" for word in own[:1]), *own[1:]])


class Writer:
    """Draws clauses and sentences of every kind."""

    def __init__(self, rng: random.Random, *, novel: bool = False, marked: bool = False) -> None:
        self.draw = Phrases(rng, novel=novel, marked=marked)
        self.marks = self.draw.marks
        self.one, self.random, self.person = self.draw.one, self.draw.random, self.draw.person
        self.words, self.determiners = self.draw.words, self.draw.words.determiners
        self.kinds: tuple[tuple[float, Callable[[], EnDe]], ...] = (
            (0.26, self.simple), (0.38, self.fronted), (0.47, self.question), (0.59, self.subordinate),
            (0.65, self.subordinate_first), (0.72, self.reported), (0.78, self.subject_relative),
            (0.84, self.object_relative), (0.91, self.purpose), (0.94, self.anaphor), (1.0, self.coordinated),
        )  # fmt: skip

    # Clauses

    def clause(
        self,
        time: int,
        subject: Phrase | None = None,
        frame: str = "",
        *,
        tense: str = "",
        front: bool = False,
        bare: bool = False,
        asked: bool = False,
        gap: Verb | None = None,
    ) -> _Clause:
        """Draw a clause: with an adverbial in `front`, without adverbials if `bare`, without the object of `gap`.

        An `asked` clause, for a question, has no negation and no adverb before the verb.
        """
        frame = gap.frame if gap else frame or self.frame(time, subject)
        if frame == "there":
            return self.existence(time)
        subject = subject or self.subject(frame)
        verb = gap or (self.words.copula if frame in ("be", "thing") else self.one(self.words.frames[frame]))
        tense, given = tense or self.tense(time, frame), bool(tense)
        negative = not given and not gap and not asked and frame != "cost" and self.random() < 0.15
        modal = "may" if negative and tense == "must" else tense
        person = subject.person
        marked = _Marked(self.marks, verb.english[tense][person], verb.german[modal][person], verb)
        clause = _Clause(subject, marked.english, marked.german, negative)
        clause.base, clause.zu, clause.of_verb = marked.base, marked.zu, marked.verb
        parts = Parts() if gap else self.complement(verb, subject, negative, marked.verb)
        clause.object = parts.object
        manner = place = moment = ("", "")
        if not bare and tense != "perfect":
            if frame in ("acc", "act", "prep") and not gap:
                manner = self.draw.how(verb) if self.random() < 0.2 and verb.base not in _STATES else manner
                place = self.draw.where() if self.random() < 0.25 else place
            if self.random() < 0.4 or front:
                moment = self.draw.when(time)
            elif tense in ("present", "past") and frame not in _DESCRIPTIONS and not negative and not asked:
                often = self.draw.entry("frequencies") if self.random() < 0.15 else ("", "")
                clause.often, moment = often[0] and f"{often[0]} ", ("", often[1])
        if front:
            clause.front, moment, place = self.fronting(moment, place)
        clause.tail = "".join([parts.tail, *(f" {x}" for x in (manner[0], place[0], moment[0]) if x)])
        sich = with_mark(_REFLEXIVE[person], marked.verb) if verb.reflexive else ""
        nicht = f"nicht{marked.negation}" if negative and not parts.kein else ""
        if negative and parts.kein and marked.negation:
            parts.objects, parts.closing = (
                re.sub(r" kein\S*", rf"\g<0>{marked.negation}", each) for each in (parts.objects, parts.closing)
            )
        spaced = [f" {x}" if x else "" for x in (moment[1], nicht, manner[1], place[1])]
        clause.middle = "".join([sich, parts.pronouns, spaced[0], parts.objects, *spaced[1:], parts.closing])
        return clause

    def fronting(self, moment: EnDe, place: EnDe) -> tuple[EnDe, EnDe, EnDe]:
        """Choose the fronted part; return it, and the time and place that are left."""
        chance = self.random()
        if place[0] and chance < 0.5:
            return place, moment, ("", "")
        return (moment, ("", ""), place) if chance < 0.75 else (self.draw.entry("adverbs"), moment, place)

    def frame(self, time: int, subject: Phrase | None) -> str:
        if subject is None and self.random() < 0.12:
            return self.one(("thing", "ride", "there", "cost")[: 3 if time == PAST else 4])
        chance = self.random()
        return next(name for bound, name in _FRAMES if chance < bound)

    def subject(self, frame: str) -> Phrase:
        if frame not in ("thing", "ride", "cost"):
            return self.person()
        kinds = {"thing": "tucvofxle", "ride": "v", "cost": "tucvfdx"}[frame]
        return self.draw.phrase(self.one(self.words.by_kind[self.one(kinds)]), self.determiners.definite)

    def tense(self, time: int, frame: str) -> str:
        chance = self.random()
        if time == FUTURE or frame in (*_DESCRIPTIONS, "that", "whether", "to") or chance < 0.65:
            return TENSES[time]
        return "perfect" if time == PRESENT and chance < 0.75 else self.one(_MODALS[time])

    def complement(self, verb: Verb, subject: Phrase, negative: bool, mark: str) -> Parts:
        """Draw the complement of the verb, whose words carry `mark`."""
        frame = verb.frame
        if frame in ("acc", "dat", "prep"):
            return self.governed(verb, subject, negative, mark)
        if frame == "give":
            return self.giving(verb, subject, negative)
        if frame == "be":
            return self.predicate(subject, negative)
        english, german = self.draw.whither() if frame == "move" else self.draw.price() if frame == "cost" else ("", "")
        return Parts(f" {english}", closing=f" {german}") if english else Parts()

    def governed(self, verb: Verb, subject: Phrase, negative: bool, mark: str) -> Parts:
        """Draw the one object of `verb`, whose words carry `mark`."""
        chance = self.random()
        if "p" in verb.kinds and chance < 0.25:
            taken = self.draw.marked(self.one([p for p in PRONOUNS if not same(p, subject)]))
        elif "p" in verb.kinds and chance < 0.4:
            taken = self.draw.named()
        else:
            free = self.determiners.negative if verb.frame == "acc" else self.determiners.definite
            noun = self.draw.partner(self.words.objects[verb.key])
            taken = self.draw.phrase(noun, free if negative else self.determiners.any)
        tail, german = f" {taken.object}", taken.german[verb.case]
        if verb.frame == "prep":
            preposition = f"{verb.preposition}{mark}"
            joined = join(preposition, german) if verb.case == 2 else f"{preposition} {german}"
            return Parts(tail, closing=f" {joined}", object=taken)
        if is_pronoun(taken):
            return Parts(tail, pronouns=f" {german}", object=taken)
        return Parts(tail, objects=f" {german}", kein=german.startswith("kein"), object=taken)

    def giving(self, verb: Verb, subject: Phrase, negative: bool) -> Parts:
        """Draw a recipient and a gift, in either order in English, the dative first in German."""
        person = self.person()
        while same(person, subject):
            person = self.person()
        noun = self.draw.partner(self.words.objects[verb.key])
        gift = self.draw.phrase(noun, self.determiners.negative if negative else self.determiners.any)
        tail = f" {gift.object} to {person.object}" if self.random() < 0.4 else f" {person.object} {gift.object}"
        pronoun = is_pronoun(person)
        dative, accusative = f" {person.german[2]}", f" {gift.german[1]}"
        kein = gift.german[1].startswith("kein")
        return Parts(tail, dative if pronoun else "", ("" if pronoun else dative) + accusative, kein=kein)

    def predicate(self, subject: Phrase, negative: bool) -> Parts:
        """Draw the predicate of "be"."""
        chance, noun = self.random(), subject.noun
        human = noun is None or noun.kind == "p"
        if human and chance < 0.15:
            age = 18 + int(self.random() * 70)
            english, german = self.marks.pair((f"{age} years old", f"{age} Jahre alt"))
            return Parts(f" {english}", closing=f" {german}")
        if subject.gender != 2 and (is_pronoun(subject) or (noun and human)) and chance < 0.4:
            kinds = self.determiners.none if negative else self.determiners.indefinite
            gender = subject.gender % PLURAL  # masculine for a group
            people = [person for person in self.words.by_kind["p"] if person.gender == gender]
            role = self.draw.phrase(self.one(people), kinds, subject.person > 2)
            return Parts(f" {role.object}", closing=f" {role.german[0]}", kein=negative)
        adjective = self.draw.partner(self.words.describing[noun.key]) if noun else self.one(self.words.human)
        english, german = self.marks.pair((adjective.english, adjective.german))
        if human and chance < 0.5:
            other = self.draw.named()
            (as_, so), (than, wie) = self.marks.pair(("as", "so")), self.marks.pair(("as", "wie"))
            return Parts(f" {as_} {english} {than} {other.object}", closing=f" {so} {german} {wie} {other.german[0]}")
        if chance < 0.8:
            degree, grad = self.draw.entry("degrees")
            english, german = f"{degree} {english}", f"{grad} {german}"
        return Parts(f" {english}", closing=f" {german}")

    def existence(self, time: int) -> _Clause:
        """Draw "there is", in German "es gibt" with the accusative."""
        kind = self.one(self.words.by_kind[self.one("lltup")])
        what = self.draw.phrase(kind, self.determiners.existing)
        english = self.words.copula.english[TENSES[time]][what.person]
        where, wo = self.draw.where()
        marked = _Marked(self.marks, english, _ES_GIBT[time], self.words.copula)
        clause = _Clause(self.draw.marked(_THERE), marked.english, marked.german)
        clause.tail, clause.middle = f" {what.object} {where}", f" {what.german[1]} {wo}"
        return clause

    # Sentences

    def time(self) -> int:
        chance = self.random()
        return PAST if chance < 0.45 else PRESENT if chance < 0.85 else FUTURE

    def simple(self) -> EnDe:
        return self.clause(self.time()).main()

    def fronted(self) -> EnDe:
        return self.clause(self.time(), self.person(), front=True).main()

    def question(self) -> EnDe:
        chance, time = self.random(), self.time()
        if chance < 0.5:
            return self.clause(time, asked=True).question()
        word, wort = self.draw.entry("questions")
        subject = self.person()
        if plain(word) == "why":
            clause = self.clause(time, subject, asked=True)
        else:
            clause = self.clause(time, subject, self.one(("acc", "act")), tense=TENSES[time], bare=True, asked=True)
        english, german = clause.question()
        return f"{word} {english}", f"{wort} {german}"

    def dependent(self, time: int) -> EnDe:
        """Draw a conjunction and its clause, the German verb last."""
        conjunction, konjunktion = self.draw.entry(f"conjunctions_{TENSES[time]}")
        tense, frame = ("pluperfect", "acc") if plain(conjunction) == "after" else ("", "")
        clause = self.clause(min(time, PRESENT), None, frame, tense=tense, bare=self.random() < 0.5)
        return f"{conjunction} {clause.plain_english()}", f"{konjunktion} {clause.last()}"

    def subordinate(self) -> EnDe:
        time = self.time()
        (english, german), (why, warum) = self.clause(time).main(), self.dependent(time)
        return f"{english} {why}", f"{german}, {warum}"

    def subordinate_first(self) -> EnDe:
        time = self.time()
        (why, warum), clause = self.dependent(time), self.clause(time)
        return f"{why}, {clause.plain_english()}", f"{warum}, {clause.inverted()}"

    def reported(self) -> EnDe:
        frame, time = self.one(("that", "that", "whether")), min(self.time(), PRESENT)
        english, german = self.clause(time, self.person(), frame, bare=True).main()
        what = self.clause(PAST if time == PAST else self.time())
        that, dass = self.marks.pair((frame, "dass" if frame == "that" else "ob"))
        return f"{english} {that} {what.plain_english()}", f"{german}, {dass} {what.last()}"

    def purpose(self) -> EnDe:
        """Draw an infinitive with "zu", the complement of a verb or after "um"."""
        free = self.random() < 0.4
        frame = self.one(("move", "acc")) if free else "to"
        first = self.clause(min(self.time(), PRESENT), self.person(), frame, bare=True)
        action = self.clause(PRESENT, first.subject, self.one(_ACTIONS), tense="present", bare=True)
        to, zu = action.infinitive(self.marks)
        english, german = first.main()
        if free:
            order, um = self.marks.pair(("in order", "um"))
            to, zu = f"{order} {to}", f"{um} {zu}"
        return f"{english} {to}", f"{german}, {zu}"

    def subject_relative(self) -> EnDe:
        noun = self.one(self.words.by_kind["p"])
        who = self.draw.phrase(noun, self.determiners.any)
        der, den, dem = RELATIVES[who.gender]
        pronoun = self.draw.marked(who._replace(subject="who", german=(der, den, dem)))
        clause = self.clause(self.time(), pronoun, bare=self.random() < 0.6)
        english = f"{who.subject} {clause.plain_english()}"
        subject = who._replace(subject=english, german=(f"{who.german[0]}, {clause.last()},", "", ""))
        return self.clause(self.time(), subject).main()

    def object_relative(self) -> EnDe:
        first = self.clause(self.time(), self.person(), self.one(("acc", "acc", "prep")), bare=True)
        if first.object and (noun := first.object.noun):
            verb = self.draw.partner(self.words.governing[noun.key])
            clause = self.clause(self.one((PAST, PRESENT)), self.person(), gap=verb)
            that, pronoun = self.marks.pair(("that", RELATIVES[first.object.gender][verb.case]))
            preposition = f"{verb.preposition}{clause.of_verb} " if verb.preposition else ""
            first.relative = f" {that} {clause.plain_english()}", f", {preposition}{pronoun} {clause.last()}"
        return first.main()

    def anaphor(self) -> EnDe:
        """Draw a clause whose object the next one calls "it", in German by the noun's gender."""
        time = self.one((PAST, PRESENT))
        first = self.clause(time, self.person(), "acc", bare=True)
        if first.object is None or first.object.noun is None or first.object.noun.kind in "pa":
            return first.main()
        thing, why = first.object, self.marks.pair(self.one(entries(f"conjunctions_{TENSES[time]}")[:2]))
        english = "they" if thing.person == 4 else "it"
        it = self.draw.marked(thing._replace(subject=english, german=(_IT[thing.gender], "", "")))
        second = self.clause(time, it, "be", bare=True)
        main = first.main()
        return f"{main[0]} {why[0]} {second.plain_english()}", f"{main[1]}, {why[1]} {second.last()}"

    def coordinated(self) -> EnDe:
        complex_ = self.random() < 0.4
        return self.join(self.subordinate() if complex_ else self.simple(), self.clause(self.time()), complex_)

    def join(self, first: EnDe, second: _Clause, complex_: bool, end: EnDe = ("", "")) -> EnDe:
        """Coordinate two clauses; a comma closes a subordinate clause before "und"."""
        conjunction, punctuation, konjunktion = self.one(_COORDINATIONS)
        order = second.inverted() if conjunction == "so" else second.main()[1]
        comma = "," if complex_ and conjunction == "and" else punctuation
        english, german = self.marks.pair((conjunction, konjunktion))
        german = f"{first[1]}{comma} {german} {order}{end[1]}"
        return f"{first[0]}{punctuation} {english} {second.plain_english()}{end[0]}", german

    def long(self) -> EnDe:
        """Draw two coordinated sentences, each with a subordinate clause."""
        time = self.time()
        why, warum = self.dependent(time)
        first = self.one((self.subordinate, self.reported, self.purpose))()
        return self.join(first, self.clause(time), True, (f" {why}", f", {warum}"))

    def sentence(self, kind: Callable[[], EnDe] | None = None) -> EnDe:
        """Draw a sentence of any kind, capitalized and punctuated."""
        if kind is None:
            chance = self.random()
            kind = next(draw for bound, draw in self.kinds if chance < bound)
        self.marks.start()
        english, german = kind()
        last = plain(english)[-1]
        point = "" if last in ".?" else "."  # "a.m." has its own
        stop = "" if last == "?" else "."
        return english[0].upper() + english[1:] + point, german[0].upper() + german[1:] + stop
