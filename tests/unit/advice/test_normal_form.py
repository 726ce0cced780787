"""The text that a normal form changes, as `nmt init` and `nmt doctor` count it."""

from nmt.advice.normal_form import Changes, count_changes, shown
from nmt.data.encoding.normalization import NormalForm

RULE = NormalForm("nmt_nfkc", is_source=False).normalize
KEPT = NormalForm("nfc", is_source=False).normalize


def test_lines_with_replaced_characters_are_counted_with_the_commonest_of_them() -> None:
    lines = ["你好，世界，再见！", "好，", "1½", "plain", "schön"]
    found = count_changes(lines, RULE)
    assert found == Changes(lines=5, changed=3, numbers=1, examples=("'，' to ','", "'！' to '!'", "'½' to '1⁄2'"))
    assert found.of("target lines") == "3 of 5 target lines, for example '，' to ',', '！' to '!', '½' to '1⁄2'"
    assert count_changes(lines, KEPT) == Changes(lines=5)
    assert Changes(lines=5000).of("lines") == "0 of 5,000 lines"


def test_spaces_do_not_count_but_special_ones_do() -> None:
    assert count_changes([" a\tb  ü ", "a\u2028é"], RULE).changed == 0
    assert count_changes(["Quoi\u202f?", "ici\u00a0!"], RULE).examples == ("U+202F to a space", "U+00A0 to a space")


def test_text_that_only_nfc_composes_is_counted_by_itself() -> None:
    decomposed = ["Vie\u0302\u0323t", "e\u0323\u0302，", "ok"]
    assert count_changes(decomposed, KEPT) == Changes(lines=3, composed=2)
    found = count_changes(decomposed, RULE)
    assert (found.composed, found.changed, found.examples) == (1, 1, ("'，' to ','",))


def test_text_that_is_left_out_of_nfc_is_counted() -> None:
    found = count_changes(["e\u0301", "é", "ab"], NormalForm("identity", is_source=True).normalize)
    assert found == Changes(lines=3, not_nfc=1)


def test_what_cannot_be_seen_is_named() -> None:
    assert shown("½") == "'½'"
    assert shown("") == "nothing"
    assert shown("e\u0302") == "U+0065 U+0302"
    assert shown("\u00ad") == "U+00AD"
