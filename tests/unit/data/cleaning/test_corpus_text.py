"""From corpora to cleaned text: what is kept, what is dropped and why, what is split off, by corpus."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nmt.config.data import CleaningConfig, DataConfig, TrainingCorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning import corpus_text
from nmt.data.cleaning.corpus_text import TextPlan, iterate_text, read_text, write_text
from nmt.data.cleaning.funnel import TextCounts
from nmt.data.shards import corpus_of, shard_path
from nmt.errors import DataError

EN_DE = LanguagesConfig(source="en", target="de")
NONE: dict[str, Any] = {
    **dict.fromkeys(("max_characters", "max_ratio"), "none"),
    **{
        f"drop_{name}": False
        for name in ("empty", "copies", "urls", "leaked", "leaked_near", "duplicates", "near_duplicates")
    },
    **dict.fromkeys(("control_characters", "whitespace"), False),
}
"""Cleaning that does nothing."""

Pairs = list[tuple[str, str]]


def corpus(root: Path, name: str, pairs: Pairs, **values: Any) -> dict[str, Any]:
    (root / f"{name}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8", newline="\n")
    return {"files": f"{name}.tsv", **values}


def lettered(name: str, count: int) -> Pairs:
    """Return pairs that differ by more than digits."""
    words = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    return [
        (f"{name} {''.join(words[int(d)] for d in str(i))}", f"{name.upper()} {''.join(words[int(d)] for d in str(i))}")
        for i in range(count)
    ]


def plan_of(root: Path, data: dict[str, Any], placeholders: int = 0, **cleaning: Any) -> TextPlan:
    config = CleaningConfig.model_validate(cleaning)
    return TextPlan(DataConfig.model_validate(data), config, EN_DE, root, False, placeholders)


def write(root: Path, data: dict[str, Any], folder: str = "text", **values: Any) -> dict[str, Any]:
    counts = write_text(plan_of(root, data, **values), root / folder, workers=1)
    assert TextCounts.from_json(counts.to_json()).to_json() == counts.to_json()
    return counts.to_json()


def pairs_of(root: Path, split: str, folder: str = "text") -> Pairs:
    return list(iterate_text(root / folder, split))


def held_out(root: Path) -> dict[str, Any]:
    """Return dev and test that share nothing with any other corpus_text."""
    own = corpus(root, "held", [("dev or test", "Dev oder Test")])
    return {"dev": own, "test": {"t": own}}


def counted(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_text, "SHARD", 7)


def test_train_is_cleaned_while_dev_and_test_stay_whole(tmp_path: Path) -> None:
    odd = [("", "x"), ("x", "x"), ("a\u2028b\x85", "c\0"), ("x", "x"), (" d ", "e")]
    train = [("same", "same"), ("d", "e"), ("fine", "gut"), *lettered("a", 5)]
    data = {
        "train": corpus(tmp_path, "train", train),
        "dev": corpus(tmp_path, "dev", odd),
        "test": {"one": corpus(tmp_path, "one", odd[::-1]), "two": corpus(tmp_path, "two", lettered("a", 1))},
    }
    counts = write(tmp_path, data)
    assert pairs_of(tmp_path, "train") == [("fine", "gut"), *lettered("a", 5)[1:]]
    assert pairs_of(tmp_path, "dev") == odd
    assert read_text(tmp_path / "text", "test.one") == ([a for a, _ in odd[::-1]], [b for _, b in odd[::-1]])
    assert counts["pairs"] == {"train": 5, "dev": 5, "test": {"one": 5, "two": 1}}
    assert counts["split_off"] == 0
    assert (counts["funnel"]["read"], counts["funnel"]["kept"]) == (8, 5)
    assert counted(counts["funnel"]["dropped"]) == {"copies": 1, "leaked": 2}
    assert counts["samples"] == {"copies": [("same", "same")], "leaked": [("d", "e"), ("a a", "A a")]}


@pytest.mark.usefixtures("small_shards")
def test_the_text_of_a_guard_stays_whole_and_out_of_train_and_is_no_test_set(tmp_path: Path) -> None:
    general = [("it is general", "es ist allgemein"), (" as it  is ", "wie es ist")]
    guard = corpus(tmp_path, "guard", general, tags=["<2de>"])
    train = corpus(tmp_path, "train", [("a", "b"), *general])
    counts = write(tmp_path, {"train": train, "guard": guard} | held_out(tmp_path))
    assert counts["pairs"] == {"train": 1, "dev": 1, "test": {"t": 1}, "guard": 2}
    assert pairs_of(tmp_path, "guard") == [(f"<2de> {source}", target) for source, target in general]
    assert pairs_of(tmp_path, "train") == [("a", "b")]
    without = write(tmp_path, {"train": train} | held_out(tmp_path), "without")
    assert "guard" not in without["pairs"]


def test_what_is_missing_of_dev_and_test_is_split_off_the_cleaned_text(tmp_path: Path) -> None:
    pairs = lettered("a", 100)
    train = corpus(tmp_path, "train", pairs + pairs[:20] + [("same", "same")])
    counts = write(tmp_path, {"train": train, "dev_pairs": 10, "test_pairs": 15})
    splits = {name: pairs_of(tmp_path, name) for name in ("train", "dev", "test.held-out")}
    assert sorted(pair for split in splits.values() for pair in split) == sorted(pairs)
    assert counts["pairs"] == {"train": 75, "dev": 10, "test": {"held-out": 15}}
    assert counts["split_off"] == 25
    assert counts["funnel"]["kept"] == 100
    assert sorted(path.name for path in (tmp_path / "text").iterdir()) == sorted(splits)
    # Drawn from all of the corpus, and in its order.
    assert all(split == sorted(split, key=pairs.index) for split in splits.values())
    assert splits["dev"] != pairs[:10]


@pytest.mark.parametrize(("given", "split_off"), [("dev", "test.held-out"), ("test", "dev")])
def test_only_what_is_missing_is_split_off(tmp_path: Path, given: str, split_off: str) -> None:
    own = corpus(tmp_path, "own", [("own", "eigen")])
    data = {"train": corpus(tmp_path, "train", lettered("a", 30)), "dev_pairs": 4, "test_pairs": 4}
    counts = write(tmp_path, data | {given: own if given == "dev" else {"mine": own}})
    assert len(pairs_of(tmp_path, split_off)) == 4
    assert counts["pairs"]["train"] == 26
    assert pairs_of(tmp_path, "dev" if given == "dev" else "test.mine") == [("own", "eigen")]


def test_the_split_depends_on_its_seed_and_on_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"train": corpus(tmp_path, "train", lettered("a", 60)), "dev_pairs": 10, "test_pairs": 10}
    found = {}
    for name, seed, shard in (("one", 1, 50_000), ("again", 1, 7), ("other", 2, 50_000)):
        monkeypatch.setattr(corpus_text, "SHARD", shard)
        write(tmp_path, data | {"split_seed": seed}, name)
        found[name] = [pairs_of(tmp_path, split, name) for split in ("train", "dev", "test.held-out")]
    assert found["one"] == found["again"] != found["other"]


@pytest.mark.usefixtures("small_shards")
def test_kept_duplicates_never_stand_on_both_sides_of_the_split(tmp_path: Path) -> None:
    data = {"train": corpus(tmp_path, "train", lettered("a", 20) * 3), "dev_pairs": 4, "test_pairs": 4}
    counts = write(tmp_path, data, drop_duplicates=False)
    splits = [pairs_of(tmp_path, name) for name in ("train", "dev", "test.held-out")]
    assert [len(split) for split in splits] == [36, 4, 4]
    assert [len(set(split)) for split in splits] == [12, 4, 4]
    assert len(set().union(*splits)) == 20
    assert counts["funnel"]["kept"] == 44
    assert counts["funnel"]["dropped"]["leaked"] == 16
    off: dict[str, Any] = {"drop_duplicates": False, "drop_leaked": False}
    assert write(tmp_path, data, "near", **off)["funnel"]["dropped"]["leaked_near"] == 16
    assert write(tmp_path, data, "kept", **off, drop_leaked_near=False)["pairs"]["train"] == 52


def test_near_copies_and_sides_of_what_is_split_off_leave_train_too(tmp_path: Path) -> None:
    pairs = lettered("a", 20)
    near = [(f"{source.upper()}!", f"{target.lower()} 7") for source, target in pairs]
    sides = [(source, f"anders {target}") for source, target in pairs]
    data = {"train": corpus(tmp_path, "train", pairs + near + sides), "dev_pairs": 4, "test_pairs": 4}
    counts = write(tmp_path, data, drop_leaked_sides=True)
    held = {
        source.casefold().rstrip("!") for name in ("dev", "test.held-out") for source, _ in pairs_of(tmp_path, name)
    }
    assert not held & {source.casefold().rstrip("!") for source, _ in pairs_of(tmp_path, "train")}
    dropped = counts["funnel"]["dropped"]
    assert dropped["leaked_near"] > 0
    assert dropped["leaked_sides"] > 0
    assert counts["funnel"]["kept"] + sum(dropped.values()) == counts["funnel"]["read"] == 60
    assert counts["pairs"]["train"] == counts["funnel"]["kept"] - 8


def test_a_split_that_would_leave_less_than_half_is_refused(tmp_path: Path) -> None:
    data = {"train": corpus(tmp_path, "train", lettered("a", 20) * 2), "dev_pairs": 5, "test_pairs": 6}
    with pytest.raises(DataError) as caught:
        write(tmp_path, data)
    assert str(caught.value) == (
        "20 different training pairs are too few to split off dev 5, test.held-out 6: at most half may go "
        "(give dev and test corpora of their own, or lower data.dev_pairs and data.test_pairs)"
    )


def test_training_text_that_is_cleaned_away_is_an_error(tmp_path: Path) -> None:
    own = corpus(tmp_path, "own", [("own", "eigen")])
    train = corpus(tmp_path, "train", [("x", "x"), ("own", "eigen")])
    data = {"train": train, "dev": own, "test": {"own": own}}
    only = {**NONE, "drop_copies": True, "drop_leaked": True, "drop_duplicates": True, "max_characters": 9}
    for several in (train, {"one": train, "two": corpus(tmp_path, "more", [("y", "y")])}):
        is_one = several is train
        with pytest.raises(DataError) as caught:
            write(tmp_path, {**data, "train": several}, f"text-{is_one}", **only)
        assert str(caught.value) == (
            f"train.tsv{'' if is_one else '; more.tsv'}: no training pair is left of {2 if is_one else 3}; dropped: "
            f"max_characters 0, copies {1 if is_one else 2}, leaked 1, duplicates 0 (loosen the filters in [cleaning])"
        )


# Several corpora.


@pytest.mark.usefixtures("small_shards")
def test_corpora_come_in_the_order_of_the_recipe_each_in_shards_of_its_own(tmp_path: Path) -> None:
    parts = {"zebra": lettered("z", 10), "ant": lettered("a", 3), "cat": lettered("c", 7)}
    data = {"train": {name: corpus(tmp_path, name, pairs) for name, pairs in parts.items()}}
    counts = write(tmp_path, data | held_out(tmp_path))
    assert pairs_of(tmp_path, "train") == [pair for pairs in parts.values() for pair in pairs]
    folder = tmp_path / "text" / "train"
    assert [corpus_of(shard_path(folder, number)) for number in range(4)] == ["zebra", "zebra", "ant", "cat"]
    assert sorted(path.name for path in folder.glob("*.arrow")) == [f"{number:05}.arrow" for number in range(4)]
    assert {name: found["pairs"] for name, found in counts["corpora"].items()} == {"zebra": 10, "ant": 3, "cat": 7}


def test_each_corpus_has_its_own_cleaning(tmp_path: Path) -> None:
    pairs = [("long " * 3, "kurz"), ("same", "same"), ("a  b", "c")]
    own = {"strict": {}, "loose": {**NONE}, "short": {"max_characters": 9}}
    data = {
        "train": {
            name: corpus(tmp_path, name, [(f"{name} {a}", f"{name} {b}") for a, b in pairs], cleaning=cleaning)
            for name, cleaning in own.items()
        }
    }
    del data["train"]["strict"]["cleaning"]
    counts = write(tmp_path, data | held_out(tmp_path))
    assert pairs_of(tmp_path, "train") == [
        ("strict long long long", "strict kurz"),
        ("strict a b", "strict c"),
        ("loose long long long ", "loose kurz"),
        ("loose same", "loose same"),
        ("loose a  b", "loose c"),
        ("short a b", "short c"),
    ]
    funnels = {name: found["funnel"] for name, found in counts["corpora"].items()}
    assert {name: counted(funnel["dropped"]) for name, funnel in funnels.items()} == {
        "strict": {"copies": 1},
        "loose": {},
        "short": {"max_characters": 2},
    }
    assert {name: counted(funnel["mended"]) for name, funnel in funnels.items()} == {
        "strict": {"whitespace": 2},
        "loose": {},
        "short": {"whitespace": 2},
    }


def test_tags_stand_before_the_sources_of_their_corpus_also_of_what_is_split_off(tmp_path: Path) -> None:
    news, talks = lettered("n", 12), lettered("t", 12)
    data = {
        "train": {
            "news": corpus(tmp_path, "news", news, tags=["<news>", "<2de>"]),
            "talks": corpus(tmp_path, "talks", talks),
        },
        "dev_pairs": 8,
        "test": {"t": corpus(tmp_path, "own", [("own", "eigen")], tags=["<2de>"])},
    }
    write(tmp_path, data)
    assert pairs_of(tmp_path, "test.t") == [("<2de> own", "eigen")]
    tagged = [(f"<news> <2de> {a}", b) for a, b in news] + talks
    train, dev = pairs_of(tmp_path, "train"), pairs_of(tmp_path, "dev")
    assert sorted(train + dev) == sorted(tagged)
    assert {bool(source.startswith("<news> <2de> n")) for source, _ in dev} == {True, False}
    assert dev == sorted(dev, key=tagged.index)
    given = {"dev": corpus(tmp_path, "dev", [("own", "eigen")], tags=["<a>"]), "test": data["test"]}
    write(tmp_path, {**data, **given}, "given")
    assert pairs_of(tmp_path, "dev", "given") == [("<a> own", "eigen")]


def test_tags_do_not_hide_what_leaks(tmp_path: Path) -> None:
    own = corpus(tmp_path, "own", [("own", "eigen")], tags=["<dev>"])
    train = corpus(tmp_path, "train", [("own", "eigen"), ("other", "ander")], tags=["<train>"])
    counts = write(tmp_path, {"train": train, "dev": own, "test": {"t": own}})
    assert pairs_of(tmp_path, "train") == [("<train> other", "ander")]
    assert counted(counts["funnel"]["dropped"]) == {"leaked": 1}


EARLY: Pairs = [("One", "Eins"), ("Two", "Zwei"), ("Three", "Drei")]
LATE: dict[str, Pairs] = {
    "duplicates": [("One", "Eins"), ("one!", "eins"), ("One", "Ein"), ("A", "Zwei"), ("B", "C")],
    "near_duplicates": [("One", "Eins"), ("one!", "eins"), ("One", "Ein"), ("A", "Zwei"), ("B", "C")],
    "same_source": [("One", "Eins"), ("one!", "eins"), ("One", "Ein"), ("A", "Zwei"), ("B", "C")],
    "same_target": [("One", "Eins"), ("one!", "eins"), ("One", "Ein"), ("A", "Zwei"), ("B", "C")],
}
LEFT = {
    "duplicates": ["one!", "One", "A", "B"],
    "near_duplicates": ["One", "A", "B"],
    "same_source": ["one!", "A", "B"],
    "same_target": ["one!", "One", "B"],
}
"""The sources that are left of the later corpus, where it has one filter alone."""


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("name", LEFT)
@pytest.mark.parametrize("who", ["late", "early", "both", "neither"])
def test_duplicates_are_found_across_corpora_and_dropped_where_the_filter_is_on(
    tmp_path: Path, name: str, who: str
) -> None:
    on = {corpus: {**NONE, f"drop_{name}": who in (corpus, "both")} for corpus in ("early", "late")}
    early = EARLY + EARLY[:1]
    data = {
        "train": {
            "early": corpus(tmp_path, "early", early, cleaning=on["early"]),
            "late": corpus(tmp_path, "late", LATE[name], cleaning=on["late"]),
        }
    }
    counts = write(tmp_path, data | held_out(tmp_path))
    expected = EARLY if who in ("early", "both") else early
    left = LEFT[name] if who in ("late", "both") else [a for a, _ in LATE[name]]
    found = pairs_of(tmp_path, "train")
    assert found[: len(expected)] == expected
    assert [a for a, _ in found[len(expected) :]] == left
    dropped = {corpus: entry["funnel"]["dropped"] for corpus, entry in counts["corpora"].items()}
    assert dropped == {
        "early": {name: 1} if who in ("early", "both") else {},
        "late": {name: 5 - len(left)} if who in ("late", "both") else {},
    }


def test_what_one_filter_dropped_is_not_seen_by_the_next(tmp_path: Path) -> None:
    # Were the third still seen, the fourth would be one of the same target.
    train = corpus(tmp_path, "train", [("a", "x"), ("a", "x"), ("a", "y"), ("b", "y"), ("c", "z")])
    only = {**NONE, "drop_duplicates": True, "drop_same_source": True, "drop_same_target": True}
    counts = write(tmp_path, {"train": train} | held_out(tmp_path), **only)
    assert pairs_of(tmp_path, "train") == [("a", "x"), ("b", "y"), ("c", "z")]
    assert counts["funnel"]["dropped"] == {"duplicates": 1, "same_source": 1, "same_target": 0}


@pytest.mark.usefixtures("small_shards")
def test_counts_of_the_corpora_add_up_and_what_was_read_is_kept_or_dropped(tmp_path: Path) -> None:
    bad = [("same", "same"), ("", "x"), ("a  b", "x"), ("www.example.org", "x")]
    one, two = lettered("a", 30), lettered("b", 20)
    data = {
        "train": {
            "one": corpus(tmp_path, "one", one + bad + one[:9]),
            "two": corpus(tmp_path, "two", bad + two + one[:5] + [(f"{a}.", b) for a, b in two[:4]]),
            "loose": corpus(tmp_path, "loose", bad + two, cleaning={**NONE, "drop_leaked": False}),
        },
        "dev_pairs": 5,
        "test_pairs": 6,
    }
    counts = write(tmp_path, data, drop_near_duplicates=True)
    corpora, total = counts["corpora"], counts["funnel"]
    for funnel in [total, *(found["funnel"] for found in corpora.values())]:
        assert funnel["read"] == funnel["kept"] + sum(funnel["dropped"].values())
    for key in ("read", "kept"):
        assert total[key] == sum(found["funnel"][key] for found in corpora.values())
    for key in ("dropped", "mended"):
        for name, count in total[key].items():
            assert count == sum(found["funnel"][key].get(name, 0) for found in corpora.values()), name
    assert corpora["two"]["funnel"]["dropped"]["near_duplicates"] == 4
    assert sum(found["pairs"] for found in corpora.values()) == counts["pairs"]["train"] == total["kept"] - 11
    assert len(pairs_of(tmp_path, "train")) == counts["pairs"]["train"]
    assert "leaked" not in corpora["loose"]["funnel"]["dropped"]


@pytest.mark.usefixtures("small_shards")
def test_samples_of_each_filter_are_its_first_in_the_order_of_the_corpora(tmp_path: Path) -> None:
    one, two = lettered("a", 20), lettered("b", 20)
    copies = [(a, a) for a, _ in lettered("c", 3)]
    data = {
        "train": {
            "one": corpus(tmp_path, "one", [*one[:10], copies[0], *one[10:], one[3]]),
            "two": corpus(tmp_path, "two", [copies[1], *two, one[1], copies[2], two[0], two[1]]),
        }
    }
    counts = write(tmp_path, data | held_out(tmp_path))
    assert counts["samples"]["copies"] == copies
    assert counts["samples"]["duplicates"] == [one[3], one[1], two[0]]
    assert counts["corpora"]["two"]["funnel"]["dropped"]["duplicates"] == 3


def test_long_samples_of_duplicates_are_cut(tmp_path: Path) -> None:
    long = ("x" * 300, "y" * 300)
    counts = write(tmp_path, {"train": corpus(tmp_path, "train", [long, long])} | held_out(tmp_path))
    assert counts["samples"] == {"duplicates": [("x" * 200, "y" * 200)]}


def test_what_is_odd_in_the_files_is_counted_by_corpus(tmp_path: Path) -> None:
    (tmp_path / "odd.tsv").write_bytes("\ufeffone\teins\r\ntwo\tzwei\r\nth\0ree\tdrei\r\n".encode())
    data = {
        "train": {"odd": {"files": "odd.tsv"}, "plain": corpus(tmp_path, "plain", lettered("a", 4))},
        "dev": {"files": "odd.tsv"},
        "test": {"t": corpus(tmp_path, "t", [("own", "eigen")])},
    }
    counts = write(tmp_path, data, **NONE)
    assert counts["corpora"]["plain"]["odd"] == counts["odd"]["test.t"] == {}
    assert counts["corpora"]["odd"]["odd"] == counts["odd"]["dev"]
    assert sum(counts["odd"]["dev"].values()) >= 3


def test_protected_text_becomes_placeholders_where_both_sides_agree_and_is_counted(tmp_path: Path) -> None:
    train = [("see a@b.c", "siehe a@b.c"), ("mail a@b.c", "post d@e.f"), ("none", "keine")]
    data = {"train": corpus(tmp_path, "train", train, tags=["<t>"]), "protect": r"\S+@\S+"}
    dev = corpus(tmp_path, "dev", [("to x@y.z", "an x@y.z")])
    counts = write(tmp_path, data | {"dev": dev, "test": {"t": dev}}, placeholders=2)
    assert counts["protected"] == 1
    assert pairs_of(tmp_path, "train") == [
        ("<t> see \u27e60\u27e7", "siehe \u27e60\u27e7"),
        ("<t> mail a@b.c", "post d@e.f"),
        ("<t> none", "keine"),
    ]
    # What is translated and scored stays as it is; the translator protects it by itself.
    assert pairs_of(tmp_path, "dev") == pairs_of(tmp_path, "test.t") == [("to x@y.z", "an x@y.z")]
    assert "protected" not in write(tmp_path, {**data, "protect": None, "dev": dev, "test": {"t": dev}}, "plain")


def test_inline_codes_become_as_many_placeholders_as_the_tokenizer_has(tmp_path: Path) -> None:
    side = '<tuv xml:lang="{}"><seg>{}<ph>1</ph>-<ph>2</ph> a@b.c</seg></tuv>'
    unit = f"<tu>{side.format('en', 'see')}{side.format('de', 'siehe')}</tu>"
    (tmp_path / "a.tmx").write_text(f"<tmx><body>{unit}</body></tmx>")
    dev = corpus(tmp_path, "dev", [("to", "an")])
    data = {"train": {"files": "a.tmx", "codes": "placeholders"}, "dev": dev, "test": {"t": dev}}
    write(tmp_path, data, placeholders=1)
    assert pairs_of(tmp_path, "train") == [("see⟦0⟧- a@b.c", "siehe⟦0⟧- a@b.c")]
    write(tmp_path, data | {"protect": r"\S+@\S+"}, "protected", placeholders=3)
    assert pairs_of(tmp_path, "train", "protected") == [("see⟦0⟧-⟦1⟧ ⟦2⟧", "siehe⟦0⟧-⟦1⟧ ⟦2⟧")]


def test_what_leaks_is_found_before_it_is_protected(tmp_path: Path) -> None:
    pair = ("to x@y.z", "an x@y.z")
    dev = corpus(tmp_path, "dev", [pair])
    train = corpus(tmp_path, "train", [pair, ("to you", "an dich")])
    data = {"train": train, "dev": dev, "test": {"t": dev}, "protect": r"\S+@\S+"}
    assert counted(write(tmp_path, data, placeholders=2)["funnel"]["dropped"]) == {"leaked": 1}


def test_a_corpus_may_end_up_empty_where_another_does_not(tmp_path: Path) -> None:
    data = {
        "train": {
            "all": corpus(tmp_path, "all", lettered("a", 5)),
            "again": corpus(tmp_path, "again", lettered("a", 3)),
            "copies": corpus(tmp_path, "copies", [("x", "x")]),
        }
    }
    counts = write(tmp_path, data | held_out(tmp_path))
    assert {name: found["pairs"] for name, found in counts["corpora"].items()} == {"all": 5, "again": 0, "copies": 0}
    assert pairs_of(tmp_path, "train") == lettered("a", 5)


def test_a_text_shard_is_a_dataset_too(tmp_path: Path) -> None:
    import datasets

    write(tmp_path, {"train": corpus(tmp_path, "train", lettered("a", 30)), "dev_pairs": 4, "test_pairs": 4})
    table = datasets.Dataset.from_file(str(shard_path(tmp_path / "text" / "dev", 0)))
    assert list(zip(table["source"], table["target"], strict=True)) == pairs_of(tmp_path, "dev")


def test_of_two_copies_the_corpus_that_comes_first_keeps_its_own(tmp_path: Path) -> None:
    pair = lettered("a", 1)
    train = {name: corpus(tmp_path, name, pair, tags=[f"<{name}>"]) for name in ("one", "two")}
    for name, given in (("one", train), ("two", dict(reversed(train.items())))):
        write(tmp_path, {"train": given} | held_out(tmp_path), name)
        assert pairs_of(tmp_path, "train", name) == [(f"<{name}> {pair[0][0]}", pair[0][1])]


def test_a_plan_reads_what_its_data_name(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"train": corpus(tmp_path, "train", lettered("a", 5))} | held_out(tmp_path))
    train = {"train": TrainingCorpusConfig(files="train.tsv", pairs=2)}
    write_text(replace(plan, data=plan.data.model_copy(update={"train": train})), tmp_path / "text", workers=1)
    assert pairs_of(tmp_path, "train") == lettered("a", 2)


def test_what_is_odd_in_a_corpus_named_like_a_split_is_not_counted_for_the_split(tmp_path: Path) -> None:
    train = corpus(tmp_path, "odd", lettered("a", 5))
    (tmp_path / "odd.tsv").write_bytes((tmp_path / "odd.tsv").read_bytes().replace(b"\n", b"\r\n"))
    counts = write(tmp_path, {"train": {"dev": train}} | held_out(tmp_path))
    assert sum(counts["corpora"]["dev"]["odd"].values()) == 5
    assert not counts["odd"]["dev"]


def test_train_is_compared_with_dev_as_it_is_and_as_it_would_be_mended(tmp_path: Path) -> None:
    twice = ("1  +  2", "3  -  4")
    data = {"train": corpus(tmp_path, "train", [twice, *lettered("a", 3)])} | held_out(tmp_path)
    data["dev"] = corpus(tmp_path, "dev", [twice])
    assert write(tmp_path, data, drop_leaked_near=False)["funnel"]["dropped"]["leaked"] == 1
    assert pairs_of(tmp_path, "dev") == [twice]


MANY = LanguagesConfig.model_validate({"directions": ["en-de", "de-en", "en-ja"]})


def write_many(root: Path, data: dict[str, Any], **cleaning: Any) -> dict[str, Any]:
    plan = replace(plan_of(root, data, **cleaning), languages=MANY)
    return write_text(plan, root / "text", workers=1).to_json()


def test_scripts_are_those_of_the_languages_of_a_corpus(tmp_path: Path) -> None:
    japanese, latin = [("a cat", "ねこがいる")], [("a cat", "eine Katze")]
    data = {
        "train": {
            "de": corpus(tmp_path, "de", [*latin, *japanese], direction="en-de"),
            "ja": corpus(tmp_path, "ja", [*latin, *japanese], direction="en-ja"),
        },
        **{"dev": corpus(tmp_path, "dev", [("x y", "y z")], direction="en-de")},
        **{"test": {"t": corpus(tmp_path, "test", [("v w", "w v")], direction="en-de")}},
    }
    write_many(tmp_path, data, min_script=0.5)
    assert pairs_of(tmp_path, "train") == [*latin, *japanese]


def test_a_pair_of_dev_or_test_is_kept_out_of_the_opposite_direction(tmp_path: Path) -> None:
    rest = [("one", "eins"), ("two", "zwei")]
    backward = [("drei", "three"), ("vier.", "Four")]
    data = {
        "train": {
            "a": corpus(tmp_path, "a", rest, direction="en-de"),
            "b": corpus(tmp_path, "b", [*backward, ("fünf", "five")], direction="de-en"),
        },
        "dev": corpus(tmp_path, "dev", [("three", "drei")], direction="en-de"),
        "test": {"t": corpus(tmp_path, "test", [("four", "vier")], direction="en-de")},
    }
    counts = write_many(tmp_path, data)
    assert pairs_of(tmp_path, "train") == [*rest, ("fünf", "five")]
    assert counted(counts["corpora"]["b"]["funnel"]["dropped"]) == {"leaked": 1, "leaked_near": 1}


def test_a_side_is_a_duplicate_within_its_direction_alone(tmp_path: Path) -> None:
    data = {
        "train": {
            "a": corpus(tmp_path, "a", [("a cat", "eine Katze"), ("a cat", "ne Katze")], direction="en-de"),
            "b": corpus(tmp_path, "b", [("a cat", "ねこ"), ("a cat", "ねこ")], direction="en-ja"),
        },
        "dev": corpus(tmp_path, "dev", [("x y", "y z")], direction="en-de"),
        "test": {"t": corpus(tmp_path, "test", [("v w", "w v")], direction="en-de")},
    }
    write_many(tmp_path, data, drop_same_source=True)
    assert pairs_of(tmp_path, "train") == [("a cat", "eine Katze"), ("a cat", "ねこ")]


@pytest.mark.usefixtures("small_shards")
def test_a_dev_and_a_test_set_are_split_off_each_direction(tmp_path: Path) -> None:
    data = {
        "train": {
            "a": corpus(tmp_path, "a", lettered("a", 30), direction="en-de", tags=["<2de>"]),
            "b": corpus(tmp_path, "b", lettered("b", 20), direction="de-en", tags=["<2en>"]),
            "c": corpus(tmp_path, "c", lettered("c", 20), direction="en-ja", tags=["<2ja>"]),
        },
        "dev_pairs": 4,
        "test_pairs": 3,
    }
    counts = write_many(tmp_path, data)
    sets = corpus_text.read_dev_sets(tmp_path / "text")
    assert {name: len(pairs) for name, pairs in sets.items()} == {"devs.en-de": 4, "devs.de-en": 4, "devs.en-ja": 4}
    assert all(source.startswith("<2en> b ") for source, _ in sets["devs.de-en"])
    assert counts["pairs"]["dev"] == 12
    assert counts["pairs"]["test"] == {"en-de": 3, "de-en": 3, "en-ja": 3}
    assert all(source.startswith("<2ja> c ") for source, _ in pairs_of(tmp_path, "test.en-ja"))
    whole = [
        pair
        for split in ("train", "dev", "test.en-de", "test.de-en", "test.en-ja")
        for pair in pairs_of(tmp_path, split)
    ]
    assert len(whole) == len({*whole}) == 70


def test_each_direction_has_enough_pairs_to_split_off(tmp_path: Path) -> None:
    names = {"a": "en-de", "b": "de-en", "c": "en-ja"}
    train = {
        name: corpus(tmp_path, name, lettered(name, 5 if name == "b" else 20), direction=direction)
        for name, direction in names.items()
    }
    with pytest.raises(DataError) as caught:
        write_many(tmp_path, {"train": train, "dev_pairs": 2, "test_pairs": 1})
    assert str(caught.value) == (
        "5 different training pairs are too few to split off devs.de-en 2, test.de-en 1: at most half may go (give dev "
        "and test corpora of their own, or lower data.dev_pairs and data.test_pairs)"
    )
