import hashlib

import pytest

from nmt.tasks.grammar_lexicon import PLURAL, RELATIVES, Verb, copula, held_out, lexicon


def noun(english: str) -> tuple[tuple[str, str], tuple[tuple[str, str, str], tuple[str, str, str]], int]:
    [found] = [n for n in lexicon().nouns if n.english[0] == english]
    return found.english, found.german, found.gender


def verb(base: str, frame: str) -> Verb:
    [found] = [v for v in lexicon().frames[frame] if v.base == base]
    return found


def test_all_forms_are_those_that_the_sentences_are_made_of() -> None:
    forms = {name: sorted(x.items()) if isinstance(x, dict) else x for name, x in lexicon()._asdict().items()}
    digest = hashlib.sha256(repr(forms).encode()).hexdigest()
    assert digest == "8c8ecc7e5263bd2974359a50097c516e4dba8d6b9b6c328b33dce7e078d84bc3"


def test_nouns_are_declined() -> None:
    assert noun("woman") == (("woman", "women"), (("Frau",) * 3, ("Frauen",) * 3), 1)
    assert noun("city") == (("city", "cities"), (("Stadt",) * 3, ("Städte", "Städte", "Städten")), 1)
    assert noun("lion") == (("lion", "lions"), (("Löwe", "Löwen", "Löwen"), ("Löwen",) * 3), 0)
    assert noun("tomato")[0] == ("tomato", "tomatoes")
    assert noun("church")[0] == ("church", "churches")
    assert RELATIVES[PLURAL] == ("die", "die", "denen")


@pytest.mark.parametrize(
    ("base", "frame", "tense", "he", "er"),
    [
        ("see", "acc", "present", "sees", ("sieht", "", "sieht")),
        ("see", "acc", "past", "saw", ("hat", " gesehen", "gesehen hat")),
        ("see", "acc", "perfect", "has seen", ("hat", " gesehen", "gesehen hat")),
        ("see", "acc", "pluperfect", "had seen", ("hatte", " gesehen", "gesehen hatte")),
        ("see", "acc", "future", "will see", ("wird", " sehen", "sehen wird")),
        ("see", "acc", "had to", "had to see", ("musste", " sehen", "sehen musste")),
        ("have", "acc", "past", "had", ("hatte", "", "hatte")),
        ("pick up", "acc", "present", "picks up", ("holt", " ab", "abholt")),
        ("go", "move", "present", "goes", ("geht", "", "geht")),
        ("go", "move", "perfect", "has gone", ("ist", " gegangen", "gegangen ist")),
        ("study", "act", "past", "studied", ("hat", " gelernt", "gelernt hat")),
        ("fall asleep", "act", "want to", "wants to fall asleep", ("will", " einschlafen", "einschlafen will")),
    ],
)
def test_verbs_are_conjugated(base: str, frame: str, tense: str, he: str, er: tuple[str, str, str]) -> None:
    found = verb(base, frame)
    assert (found.english[tense][2].affirmative, found.german[tense][2]) == (he, er)


def test_negation_and_questions_need_an_auxiliary() -> None:
    present = verb("see", "acc").english["present"]
    assert (present[2].negated, present[2].auxiliary, present[2].rest) == ("does not see", "does", "see")
    assert verb("see", "acc").english["can"][0].negated == "cannot see"
    assert verb("see", "acc").english["want to"][0].negated == "do not want to see"
    assert copula().english["past"][3] == ("were", "were not", "were", "")


def test_zu_stands_between_a_prefix_and_its_verb() -> None:
    assert verb("pick up", "acc").zu == "abzuholen"
    assert verb("see", "acc").zu == "zu sehen"
    assert (verb("rest", "act").zu, verb("rest", "act").reflexive) == ("auszuruhen", True)


def test_free_and_held_out_partners_are_apart_and_together_all() -> None:
    words = lexicon()
    for n in words.nouns:
        free, held = words.describing[n.key]
        assert not any(held_out(adjective.key, n.key) for adjective in free)
        assert all(held_out(adjective.key, n.key) for adjective in held)
    for found in words.frames["acc"]:
        free_nouns, held_nouns = words.objects[found.key]
        assert {n.key for n in free_nouns + held_nouns} == {n.key for n in words.nouns if n.kind in found.kinds}
        assert all(held_out(found.key, n.key) for n in held_nouns)
        assert all(found in words.governing[n.key][0] for n in free_nouns)
