"""What holds of cleaning for every text, however awkward."""

import re
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config.data import CleaningConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning.filters import clean, fixer
from nmt.data.cleaning.funnel import Funnel
from nmt.data.cleaning.keys import HeldOut, near_key, near_side_key, normalized
from nmt.data.pairs import Pair

AWKWARD = (
    " \t\n\r\x00\x0b\x0c\x1b\x1c\x7f\x85\x9f\u00a0\u00ad\u200b\u200d\u2028\u2029\u3000\ufeff\ufffe\uffff"
    "aAßİıŉſée\u0301u\u0308Å\u212bﬁ½²１Ａ٣३жЖαΣςאبकि중中々ｶﾞ\u0345\u0338=😀👩\U000e0100\U0001d400._-!?@:/。"
)
CHARACTERS = st.one_of(st.sampled_from(AWKWARD), st.characters(exclude_categories=["Cs"]))
TEXTS = st.text(CHARACTERS, max_size=12)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=8)
CONFIGS = st.builds(
    CleaningConfig,
    control_characters=st.booleans(),
    unicode=st.sampled_from([None, "nfc", "nfkc"]),
    keep_special_spaces=st.booleans(),
    whitespace=st.booleans(),
    drop_empty=st.booleans(),
    min_characters=st.integers(1, 3),
    max_characters=st.one_of(st.none(), st.integers(3, 10)),
    max_ratio=st.just(2.0),
    ratio_from=st.integers(1, 8),
    min_script=st.one_of(st.none(), st.floats(0.01, 1)),
    drop_digit_mismatch=st.booleans(),
    max_punctuation_difference=st.one_of(st.none(), st.integers(0, 2)),
    drop_leaked_sides=st.booleans(),
)
LANGUAGES = LanguagesConfig(source="en", target="ru")
quick = settings(deadline=None)


def run(pairs: list[Pair], config: CleaningConfig, held_out: HeldOut) -> tuple[list[Pair], Funnel]:
    funnel = Funnel()
    return list(clean(pairs, config, LANGUAGES, held_out=held_out, funnel=funnel)), funnel


@quick
@given(PAIRS, PAIRS, CONFIGS)
def test_what_was_cleaned_is_clean(pairs: list[Pair], held_out: list[Pair], config: CleaningConfig) -> None:
    keys = HeldOut.of(held_out)
    once, _ = run(pairs, config, keys)
    twice, funnel = run(once, config, keys)
    assert twice == once
    assert not any(funnel.mended.values())


@quick
@given(PAIRS, PAIRS, CONFIGS)
def test_every_pair_is_kept_or_dropped_by_one_filter(
    pairs: list[Pair], held_out: list[Pair], config: CleaningConfig
) -> None:
    kept, funnel = run(pairs, config, HeldOut.of(held_out))
    assert funnel.read == len(pairs) == funnel.kept + sum(funnel.dropped.values())
    assert funnel.kept == len(kept)


@quick
@given(PAIRS, PAIRS)
def test_with_every_leak_filter_nothing_of_dev_and_test_remains(pairs: list[Pair], held_out: list[Pair]) -> None:
    kept, _ = run(pairs + held_out, CleaningConfig(drop_leaked_sides=True), HeldOut.of(held_out))
    assert not {near_side_key(source) for source, _ in kept} & {near_side_key(source) for source, _ in held_out}
    assert not {near_side_key(target) for _, target in kept} & {near_side_key(target) for _, target in held_out}


@quick
@given(PAIRS, CONFIGS, st.integers(0, 8))
def test_a_part_is_cleaned_without_a_look_at_the_others(pairs: list[Pair], config: CleaningConfig, cut: int) -> None:
    kept, funnel = run(pairs, config, HeldOut())
    total = Funnel()
    parts: list[Pair] = []
    for part in (pairs[:cut], pairs[cut:]):
        cleaned, counts = run(part, config, HeldOut())
        parts += cleaned
        total.add(counts)
    assert (parts, total) == (kept, funnel)


@quick
@given(TEXTS, CONFIGS)
def test_mends_add_no_line_breaks_and_the_fast_way_is_the_long_way(text: str, config: CleaningConfig) -> None:
    result = fixer(config, {})(text)
    assert result.count("\n") <= text.count("\n")
    assert len(result.splitlines()) <= max(1, len(text.splitlines()))
    if config.whitespace and not config.keep_special_spaces:
        assert result == " ".join(result.split())
    if config.whitespace:
        assert result == result.strip()
        assert not re.search(r"\s\s|[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]", result)
    if config.control_characters:
        assert not any((unicodedata.category(c) == "Cc" and c != "\t") or c in "\ufeff\ufffe\uffff" for c in result)
    if config.unicode == "nfc":
        assert unicodedata.is_normalized("NFC", result)
    if config.unicode == "nfkc":
        assert unicodedata.is_normalized("NFKC", result)


WORDS = st.text(st.sampled_from("abcxyzäöüéñжшыαβωאבबकगमन中日本가나"), min_size=1, max_size=5)
BETWEEN = st.text(st.sampled_from(" \t\u00a0\u2028.,;!?¿…–-_()«»„“+=€%0123456789٣३½²😀\u00ad\x00"), max_size=3)


@quick
@given(st.lists(st.tuples(WORDS, BETWEEN, BETWEEN, st.booleans()), min_size=1, max_size=5))
def test_near_keys_do_not_see_case_digits_punctuation_and_space(words: list[tuple[str, str, str, bool]]) -> None:
    one = "".join(word + between for word, between, _, _ in words)
    other = "".join(between + (word.upper() if upper else word) for word, _, between, upper in words)
    assert near_side_key(one) == near_side_key(other)
    assert near_key(one, other) == near_key(other, one)


@quick
@given(st.text(st.characters(max_codepoint=127), max_size=20))
def test_the_short_way_for_ascii_leads_where_the_long_way_does(text: str) -> None:
    # A letter beyond ASCII sends the text the long way.
    assert normalized(text + "ж") == normalized(text + "x")[:-1] + "ж"
