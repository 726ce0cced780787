from nmt.tasks.grammar_words import entries, tables


def test_a_word_without_a_slash_is_the_same_in_both_languages() -> None:
    assert entries("cities")[:3] == [("Berlin", "Berlin"), ("Hamburg", "Hamburg"), ("Munich", "München")]


def test_an_entry_may_have_several_words() -> None:
    assert entries("contractions")[0] == ("in dem", "im")


def test_no_english_word_of_a_table_has_two_translations() -> None:
    inflected = ("nouns", "adjectives", "verbs", "modals")
    for name in tables().keys() - set(inflected):
        pairs = entries(name)
        assert len(dict(pairs)) == len(pairs)
        assert all(german and "/" not in german for _, german in pairs)
