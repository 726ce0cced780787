"""Sentences of every construction: correct German, and one translation each."""

import hashlib
import random
import re
from functools import cache

import pytest

from nmt.tasks.grammar import generate
from nmt.tasks.grammar_lexicon import lexicon
from nmt.tasks.grammar_sentences import Writer

Pair = tuple[str, str]


def test_all_constructions_are_those_of_the_version() -> None:
    writer = Writer(random.Random(6), novel=True)
    sentences = [writer.sentence() for _ in range(5000)] + [writer.sentence(writer.long) for _ in range(1000)]
    digest = hashlib.sha256(repr(sentences).encode()).hexdigest()
    assert digest == "77d4f6064b83e1755206168c7c375410ef62f71959330e702a95f42ec589ee8d"


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


def test_a_source_has_one_target_however_often_it_is_drawn() -> None:
    writer, repeated = Writer(random.Random(5), novel=True), 0
    targets: dict[str, str] = {}
    for source, target in (writer.sentence() for _ in range(150_000)):
        repeated += source in targets
        assert targets.setdefault(source, target) == target
    assert repeated > 300


def test_verbs_come_last_in_subordinate_clauses() -> None:
    finite = {form.split()[-1] for frame in lexicon().frames.values() for verb in frame
              for forms in verb.german.values() for form in (forms[2].final, forms[4].final)}  # fmt: skip
    finite |= {"ist", "sind", "war", "waren", "sein", "gibt", "gab", "bin", "bist", "warst", "geben"}
    clauses = [g.split()[-1] for _, t in drawn().items() for g in re.findall(r", (?:weil|dass|ob) sie ([^,.]+)\.$", t)]
    assert len(clauses) > 500
    assert set(clauses) <= finite
