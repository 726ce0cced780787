"""Keys of sides and pairs: equal for equal text, the same in every process."""

import pickle
import subprocess
import sys

import pytest

from nmt.data.cleaning.filters import DUPLICATES
from nmt.data.cleaning.keys import HeldOut, near_key, near_side_key, normalized, pair_key, side_key
from nmt.data.pairs import Pair


def test_what_is_held_out_can_be_sent_to_another_process() -> None:
    held_out = HeldOut.of(iter([("a", "b"), ("a", "c")]))
    assert [len(keys) for keys in (held_out.pairs, held_out.near_sources, held_out.near_targets)] == [2, 1, 2]
    assert pickle.loads(pickle.dumps(held_out)) == held_out
    assert HeldOut.of([]) == HeldOut()


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("duplicates", (" One.", "Eins. "), ("one.", "Eins.")),
        ("near_duplicates", ("one", "EINS 1"), ("ones", "Eins.")),
        ("same_source", ("One.", "Zwei."), ("one.", "Eins.")),
        ("same_target", ("Two.", "Eins."), ("One.", "eins.")),
    ],
)
def test_duplicates_have_the_same_key_and_others_do_not(name: str, same: Pair, other: Pair) -> None:
    key = DUPLICATES[name]
    assert key("One.", "Eins.") == key(*same)
    assert key("One.", "Eins.") != key(*other)


def test_keys_are_the_same_64_bits_in_every_process() -> None:
    assert pair_key("one", "eins") == near_key("One 1", "eins!") == 0x5DCC120DD59D4B72
    code = "from nmt.data.cleaning.keys import pair_key, side_key; print(pair_key('one', 'eins'), side_key('ä'))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(pair_key("one", "eins")), str(side_key(" ä "))]


def test_a_pair_key_knows_where_the_source_ends() -> None:
    assert len({pair_key("a b", "c"), pair_key("a", "b c"), pair_key("c", "a b"), pair_key("a", "b\tc")}) == 4


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("The 2nd_Try, isn't it?", "thendtryisntit"),
        ("Straße № 5 – ÄRGER…", "strassenoärger"),
        ("हिन्दी १२।", "हिन्दी"),
        ("ｶﾞ １", "ガ"),
        ("co\u00adop\u200b\ufefferation", "cooperation"),
    ],
)
def test_near_texts_are_compared_by_their_letters_and_the_marks_on_them(text: str, letters: str) -> None:
    assert normalized(text) == letters


def test_texts_without_letters_are_near_themselves_alone() -> None:
    texts = ["", "1", "①", "1.", "2", "+", "–", "😀", "😃"]
    assert [normalized(f" {text} ") for text in texts] == texts
    assert len({near_side_key(text) for text in texts}) == len(texts)
