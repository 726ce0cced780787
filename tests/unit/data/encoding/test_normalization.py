"""The normal form in front of SentencePiece."""

import unicodedata

import pytest

from nmt.data.encoding.normalization import NormalForm, nfc, plain

SOURCE = NormalForm("nmt_nfkc", is_source=True)
TARGET = NormalForm("nfc", is_source=False)


@pytest.mark.parametrize(
    "typed",
    [
        *("Vie\u0302\u0323t Nam", "e\u0323\u0302", "\xea\u0323"),  # Vietnamese: as typed, and as decomposed
        *("\u05e9\u05b8\u05c1\u05dc", "\u05e9\u05c1\u05b8", "\ufb2a\u05b8"),  # Hebrew points in both orders
        *("\u0628\u0651\u064e", "\u0628\u064e\u0651"),  # Arabic shadda and vowel
        *("\uac00\u11a8", "\u1100\u1161\u11a8"),  # Korean: a syllable and its final consonant
        *("\u0915\u093c", "\u0e19\u0e4d\u0e32", "\u0104\u0301", "q\u0307\u0323"),
    ],
)
def test_canonically_equivalent_text_is_the_same(typed: str) -> None:
    forms = {unicodedata.normalize(form, typed) for form in ("NFC", "NFD")} | {typed}
    for side in (SOURCE, TARGET, *(NormalForm(rule, is_source=True) for rule in ("nfkc", "nfkc_cf", "nfc"))):
        assert len({side.normalize(form) for form in forms}) == 1
        assert unicodedata.is_normalized("NFC", side.normalize(typed))


def test_the_rules_alone_do_not_compose_all() -> None:
    rule = SOURCE._rule
    assert rule is not None
    assert (rule.normalize("e\u0302\u0323"), nfc("e\u0302\u0323")) == ("\xea\u0323", "\u1ec7")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("你好，世界！（真的？）", "你好,世界!(真的?)"),
        ("می\u200cخواهم", "می خواهم"),
        ("« Quoi\u202f? »\u00a0: 1½ m²", "« Quoi ? » : 11\u20442 m2"),
        ("\u0e19\u0e33", "\u0e19\u0e4d\u0e32"),  # Thai sara am
        ("ﬁne ™ Ａ１", "fine TM A1"),
    ],
)
def test_the_target_stays_where_the_rule_of_the_source_replaces_it(text: str, source: str) -> None:
    assert TARGET.normalize(text) == text
    assert SOURCE.normalize(text) == source
    assert NormalForm("identity", is_source=True).normalize(text) == text


def test_soft_hyphens_and_word_joiners_are_taken_out_of_the_source() -> None:
    assert SOURCE.normalize("gar\u00adden\u2060ia") == "gardenia"
    assert NormalForm("nfc", is_source=True).normalize("gar\u00adden") == "garden"
    assert NormalForm("identity", is_source=True).normalize("gar\u00adden") == "gar\u00adden"
    assert TARGET.normalize("gar\u00adden") == "gar\u00adden"


def test_a_tab_is_a_space_but_under_identity() -> None:
    assert (SOURCE.normalize("a\tb"), TARGET.normalize("a\tü")) == ("a b", "a ü")
    assert NormalForm("identity", is_source=False).normalize("a\tb") == "a\tb"


def test_case_is_folded_in_plain_text_too() -> None:
    assert NormalForm("nmt_nfkc_cf", is_source=True).normalize("The Cat") == "the cat"
    assert NormalForm("nfkc_cf", is_source=True).normalize("The Übung") == "the übung"


def test_tags_are_symbols_before_the_source_and_other_symbols_everywhere() -> None:
    form = NormalForm("nmt_nfkc", is_source=True, symbols=["<b>", "⟦0⟧"], tags=["<2de>", "@x"])
    assert form.parts("<2de> @x  Ａ <b>c⟦0⟧") == [" ", "<2de>", " ", "@x", " A ", "<b>", "c", "⟦0⟧", ""]
    assert form.parts("a <2de> b") == ["a <", "", "2de> b"]
    assert form.parts("<2de> b", tagged=False) == ["<", "", "2de> b"]
    assert form.parts("＜ｂ＞⟦０⟧＜2de＞") == ["<", "", "b>⟦", "", "0⟧<", "", "2de>"]
    assert form.parts("<2\u00adde> b") == ["<", "", "2de> b"]
    target = NormalForm("nfc", is_source=False, symbols=["<b>"], tags=["<2de>"])
    assert target.parts("<2de> <b> ＜ｂ＞") == ["<", "", "2de> ", "<b>", " ＜ｂ＞"]


def test_symbols_that_overlap_are_all_hidden() -> None:
    form = NormalForm("nmt_nfkc", is_source=True, symbols=["<a>b", "a>", "a"])
    assert form.parts("＜ａ＞b") == ["<", "", "a", "", ">b"]
    assert form.parts("x<a>b") == ["x", "<a>b", ""]


def test_a_symbol_that_the_rule_would_replace_is_kept() -> None:
    form = NormalForm("nmt_nfkc", is_source=True, symbols=["½", "＜"])
    assert form.parts("1½＜Ａ") == ["1", "½", "", "＜", "A"]
    assert NormalForm("identity", is_source=True, symbols=["½"]).parts("½e\u0301") == ["", "½", "e\u0301"]


@pytest.mark.parametrize("character", [*"\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\0\u2581"])
def test_line_breaks_nul_and_the_space_symbol_are_spaces(character: str) -> None:
    assert plain(f"a{character}b") == "a b"
    assert NormalForm("identity", is_source=True).parts(f"a{character}b") == ["a b"]
