import subprocess
import sys
from collections.abc import Set

from nmt.config import CleaningConfig
from nmt.data.clean import SAMPLE_CHARACTERS, Funnel, clean, pair_key

Pairs = list[tuple[str, str]]

OFF = CleaningConfig(
    drop_empty=False,
    max_characters=None,
    max_ratio=None,
    drop_copies=False,
    drop_duplicates=False,
    drop_leaked=False,
)


def run(pairs: Pairs, config: CleaningConfig, held_out: Set[int] = frozenset()) -> tuple[Pairs, Funnel]:
    funnel = Funnel()
    return list(clean(pairs, config, held_out=held_out, funnel=funnel)), funnel


def only(**options: object) -> CleaningConfig:
    return OFF.model_copy(update=options)


def test_without_filters_everything_passes_unchanged() -> None:
    pairs = [("", ""), ("a", "a"), ("a", "a"), (" b ", "c" * 5000)]
    kept, funnel = run(pairs, OFF)
    assert kept == pairs
    assert funnel == Funnel(read=4, kept=4)


def test_every_enabled_filter_is_counted_in_order_zeros_included() -> None:
    _, funnel = run([("a", "b")], CleaningConfig())
    assert list(funnel.dropped.items()) == [
        ("empty", 0),
        ("max_characters", 0),
        ("max_ratio", 0),
        ("copies", 0),
        ("duplicates", 0),
        ("leaked", 0),
    ]
    assert run([], CleaningConfig())[1].dropped == funnel.dropped


def test_each_pair_is_counted_by_the_first_filter_that_drops_it() -> None:
    pairs = [("a", "a"), ("", ""), ("a", "b"), ("a", "b"), ("x", "y"), ("x" * 1001, "x" * 1001), ("a", "b" * 99)]
    kept, funnel = run(pairs, CleaningConfig(), {pair_key("x", "y")})
    assert kept == [("a", "b")]
    assert funnel.dropped == {
        "empty": 1,
        "max_characters": 1,
        "max_ratio": 1,
        "copies": 1,
        "duplicates": 1,
        "leaked": 1,
    }
    assert (funnel.read, funnel.kept) == (7, 1)


def test_blank_sides_are_dropped() -> None:
    pairs = [("a", " \t\u3000"), ("", "b"), ("a", "b")]
    assert run(pairs, only(drop_empty=True))[0] == [("a", "b")]


def test_a_side_may_have_max_characters_but_not_one_more() -> None:
    pairs = [("a" * 10, "b"), ("a", "ä" * 10), ("a" * 11, "b"), ("a", "b" * 11)]
    assert run(pairs, only(max_characters=10))[0] == pairs[:2]


def test_lopsided_pairs_are_dropped_once_long_enough() -> None:
    config = only(max_ratio=4.0, ratio_from=20)
    kept = [("a" * 20, "b" * 5), ("a" * 5, "b" * 20), ("a", "b" * 19)]
    dropped = [("a" * 21, "b" * 5), ("a" * 4, "b" * 20), ("", "b" * 20)]
    assert run(kept + dropped, config)[0] == kept


def test_copies_are_dropped_whatever_space_surrounds_them() -> None:
    pairs = [("a", "a "), ("a", "A")]
    assert run(pairs, only(drop_copies=True))[0] == [("a", "A")]


def test_of_duplicates_the_first_stays() -> None:
    pairs = [("a", "b"), ("a", "c"), ("a", "b"), (" a", "b "), ("A", "b")]
    kept, funnel = run(pairs, only(drop_duplicates=True))
    assert kept == [("a", "b"), ("a", "c"), ("A", "b")]
    assert funnel.dropped == {"duplicates": 2}


def test_a_pair_of_dev_or_test_is_dropped_but_not_its_halves() -> None:
    held_out = {pair_key("a", "b")}
    pairs = [("a ", " b"), ("a", "c"), ("c", "b"), ("b", "a")]
    kept, funnel = run(pairs, only(drop_leaked=True), held_out)
    assert kept == pairs[1:]
    assert funnel.dropped == {"leaked": 1}
    assert run(pairs, OFF, held_out)[0] == pairs


def test_three_samples_of_each_filter_are_kept_and_long_ones_cut() -> None:
    pairs = [(str(i), "b" * 2000) for i in range(5)]
    _, funnel = run(pairs, only(max_characters=1000))
    assert funnel.samples == {"max_characters": [(str(i), "b" * SAMPLE_CHARACTERS) for i in range(3)]}


def test_a_pair_key_is_the_same_64_bits_in_every_process() -> None:
    assert pair_key("one", "eins") == 0x5DCC120DD59D4B72
    code = "from nmt.data.clean import pair_key; print(pair_key('one', 'eins'))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(said) == pair_key("one", "eins")


def test_a_pair_key_knows_where_the_source_ends() -> None:
    assert len({pair_key("a b", "c"), pair_key("a", "b c"), pair_key("c", "a b"), pair_key("a", "b\tc")}) == 4
