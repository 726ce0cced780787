from nmt.tasks import grammar_words
from nmt.tasks.grammar_words import entries


def test_a_word_without_a_slash_is_the_same_in_both_languages() -> None:
    assert entries("Rome/Rom Berlin\n one/ein") == [("Rome", "Rom"), ("Berlin", "Berlin"), ("one", "ein")]


def test_no_english_word_of_a_table_has_two_translations() -> None:
    for name in ("CITIES", "NUMBERS", "DAYS", "MONTHS", "MANNERS"):
        pairs = getattr(grammar_words, name)
        assert len(dict(pairs)) == len(pairs)
        assert all(german and "/" not in german for _, german in pairs)
