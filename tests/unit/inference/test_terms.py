"""Terms of a line in pieces: which are wanted, what is missing, and what cannot be a term."""

from dataclasses import replace
from pathlib import Path

import pytest

from nmt.data.encoding.tokenizer import BOS_ID, UNK_ID, Tokenizer
from nmt.data.reading.terms import Avoided, Mode, Terms
from nmt.errors import DataError, UsageError
from nmt.inference.protocol import ANYWHERE, BEGINS, ENDS, JOINED, JOINS, NOWHERE, OPENS, SENTENCE_START, Row
from nmt.inference.terms import TermEncoder, Wanted, bits_of


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Tokenizer:
    return Tokenizer.load(tiny_model)


def texts(wanted: Wanted) -> list[tuple[str, int]]:
    return [(target.texts[0], count) for target, count in wanted.counts]


def test_the_terms_of_a_line_are_counted_by_their_targets(tokenizer: Tokenizer) -> None:
    encoder = TermEncoder(Terms.of({"dog": "Hund", "hound": "Hund", "old house": "Haus", "old": "alt"}), tokenizer)
    wanted = encoder.wanted("Dog, hound and dog in the old house")
    assert texts(wanted) == [("Hund", 3), ("Haus", 1)]
    assert texts(encoder.wanted("dogs")) == []
    assert wanted.missing("Ein Hund, der Hund, Haustür, das Haus") == ["Hund"]
    assert wanted.missing("") == ["Hund", "Hund", "Hund", "Haus"]
    assert wanted.missing("Hund Hund Hund Haus") == []


def test_a_term_within_another_one_is_wanted_besides(tokenizer: Tokenizer) -> None:
    encoder = TermEncoder(Terms.of({"house": "Haus", "old house": "das alte Haus"}), tokenizer)
    wanted = encoder.wanted("the old house and the house")
    assert texts(wanted) == [("das alte Haus", 1), ("Haus", 2)]
    assert wanted.missing("das alte Haus") == ["Haus"]


def test_a_target_may_begin_a_sentence_and_one_of_several_will_do(tokenizer: Tokenizer) -> None:
    wanted = TermEncoder(Terms.of({"dog": ["klein", "der Hund"]}), tokenizer).wanted("a dog")
    for text in ("Klein", "klein", "Der Hund"):
        assert wanted.missing(text) == []
    assert wanted.missing("DER Hund, kleiner") == ["klein"]


def test_each_spelling_has_its_place(tokenizer: Tokenizer) -> None:
    ((target, _),) = TermEncoder(Terms.of({"dog": "klein"}), tokenizer).wanted("dog").counts
    text = {place: "".join(tokenizer.target.pieces(pieces)) for pieces, place in target.spellings}
    assert text == {ANYWHERE: "▁klein", SENTENCE_START: "▁Klein", JOINED: "klein", NOWHERE: "Klein"}


def test_terms_are_read_in_the_normal_form_of_the_model(tokenizer: Tokenizer) -> None:
    encoder = TermEncoder(Terms.of({"cafe\u0301": "Ma\u0308nner"}), tokenizer)
    assert texts(encoder.wanted("a caf\u00e9")) == [("M\u00e4nner", 1)]


def test_soft_terms_are_for_models_for_terms(tokenizer: Tokenizer) -> None:
    glossary = Terms.of({"dog": "Hund"})
    with pytest.raises(UsageError) as error:
        TermEncoder(replace(glossary, mode="soft"), tokenizer)
    assert str(error.value) == (
        "the model was not trained for terms, and cannot take them from its source "
        "(take the mode hard, or train with augmentation.terms)"
    )
    modes: dict[Mode | None, bool] = {None: True, "soft": True, "hard": False}
    for mode, is_soft in modes.items():
        encoder = TermEncoder(replace(glossary, mode=mode), tokenizer, is_for_terms=True)
        assert (encoder.is_soft, encoder.binds) == (is_soft, not is_soft)
    assert not TermEncoder(glossary, tokenizer).is_soft
    assert TermEncoder(Terms.of({"dog": "Hund"}, ["Katze"]), tokenizer, is_for_terms=True).binds
    assert TermEncoder(Terms.of(avoid=["Katze"]), tokenizer, is_for_terms=True).binds


def test_soft_terms_stand_in_the_source_and_bind_no_search(tokenizer: Tokenizer) -> None:
    encoder = TermEncoder(Terms.of({"dog": ["Hund", "Köter"], "house": "Haus"}), tokenizer, is_for_terms=True)
    texts = ["A dog sees the house.", "A cat.", "A dog and ⟦=⟧."]
    rows = [Row([9, *ids]) for ids in tokenizer.source.encode(texts)]
    ids = encoder.annotate(rows, [[9]] * 3, texts, 99)[0].ids
    assert ids[0] == 9
    (spelled,) = tokenizer.source.decode([ids[1:]])
    assert spelled == "A⟦term⟧ dog⟦=⟧ Hund⟦/term⟧ sees the⟦term⟧ house⟦=⟧ Haus⟦/term⟧."
    longest = len(ids)
    assert encoder.annotate(rows, [[9]] * 3, texts, longest)[0].ids != rows[0].ids
    assert encoder.annotate(rows, [[9]] * 3, texts, longest - 1) == rows  # no room, no term, a mark of its own
    assert encoder.annotate(rows, [[9]] * 3, texts, 99)[1:] == rows[1:]
    assert encoder.wanted(texts[0]).added_to(rows[0], 99, is_soft=True) == rows[0]
    assert encoder.wanted(texts[0]).added_to(rows[0], 99).needs


def test_what_the_vocabulary_cannot_spell_is_refused_with_its_place(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    TermEncoder(Terms.of({"dog": "猫"}), tokenizer)  # which single bytes spell
    with monkeypatch.context() as patch:
        patch.setattr(tokenizer.target, "encode", lambda lines: [[UNK_ID] if "猫" in line else [9] for line in lines])
        with pytest.raises(DataError) as error:
            TermEncoder(Terms.of({"dog": ["Hund", "猫"]}), tokenizer)
    assert str(error.value) == "term 'dog': the model has no pieces for '猫'"
    with pytest.raises(DataError) as error:
        TermEncoder(Terms.of({"\u200b": "Hund"}), tokenizer)
    assert str(error.value) == "term '\\u200b': '\\u200b' is blank to the model"


def test_trees_have_no_terms(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer.target, "trees", object())
    with pytest.raises(UsageError, match="trees have the words of their lines"):
        TermEncoder(Terms.of({"dog": "Hund"}), tokenizer)


def test_a_row_asks_for_the_terms_that_it_has_room_for(tokenizer: Tokenizer) -> None:
    wanted = TermEncoder(Terms.of({"dog": "Hund", "house": "Haus"}), tokenizer).wanted("dog dog house")
    sizes = [len(pieces) for target, _ in wanted.counts for pieces, place in target.spellings if place == ANYWHERE]
    room = 2 * sizes[0] + sizes[1] + 1
    assert [need.count for need in wanted.added_to(Row([4]), room).needs] == [2, 1]
    assert [need.count for need in wanted.added_to(Row([4]), room - 1).needs] == [2]
    assert [need.count for need in wanted.added_to(Row([4], [4]), room).needs] == [2]
    assert [need.count for need in wanted.added_to(Row([4]), sizes[0] + 1).needs] == [1]
    assert wanted.added_to(Row([4]), 1).needs == ()


def test_more_terms_than_the_search_takes_are_left_to_chance(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.inference.terms.MOST_SPELLINGS", 5)
    wanted = TermEncoder(Terms.of({"dog": "Hund", "house": "Haus", "cat": "Katze"}), tokenizer).wanted("dog house cat")
    assert len(wanted.added_to(Row([4]), 99).needs) == 2


def test_phrases_are_avoided_in_any_case_and_where_the_source_has_theirs(tokenizer: Tokenizer) -> None:
    encoder = TermEncoder(Terms(avoided=(Avoided("der Hund", "", "x"), Avoided("Haus", "house", "x"))), tokenizer)
    always, sometimes = encoder.wanted("a dog").avoids, encoder.wanted("a house, a house").avoids
    assert always is not None
    assert sometimes is not None
    assert encoder.wanted("another dog").avoids is always
    assert [always.is_in(text) for text in ("DER HUND", "Der Hund.", "der Hunde", "Haus")] == [True, True, False, False]
    assert sometimes.is_in("das Haus")
    spelled = {"".join(tokenizer.target.pieces(ids)) for ids in sometimes.phrases}
    assert {"▁der▁Hund", "▁Der▁Hund", "▁Haus", "▁HAUS", "Haus", "▁haus"} <= spelled


def test_the_pieces_of_a_phrase_are_found_however_it_is_split(tokenizer: Tokenizer) -> None:
    wanted = TermEncoder(Terms.of(avoid=["Hund"]), tokenizer).wanted("dog")
    letters = [tokenizer.target.processor.piece_to_id(letter) for letter in ("▁", "H", "u", "n", "d", "▁", "d")]
    assert wanted.phrases(letters, tokenizer.target.decode) == [tuple(letters[1:5])]
    assert wanted.phrases(letters[:4], tokenizer.target.decode) == []
    assert Wanted().phrases(letters, tokenizer.target.decode) == []


@pytest.mark.parametrize(
    ("piece", "bits"),
    [
        ("▁Haus", ENDS),
        ("tür", BEGINS | ENDS),
        ("▁", JOINS),
        (".", OPENS),
        ("-", JOINS | OPENS),
        ("▁„", JOINS | OPENS),
        (",", 0),
        ("<0xC3>", BEGINS | ENDS),
        ("猫", 0),
        ("s.", BEGINS | OPENS),
    ],
)
def test_a_piece_says_what_may_stand_beside_it(piece: str, bits: int) -> None:
    assert bits_of(piece) == bits


def test_a_term_may_begin_a_translation(tokenizer: Tokenizer) -> None:
    edges = TermEncoder(Terms.of({"dog": "Hund"}), tokenizer).edges
    assert len(edges) == tokenizer.target_size
    assert edges[BOS_ID] == OPENS | JOINS
