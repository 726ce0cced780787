"""The additional pairs of a training text: how many, of which kind, and always the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nmt.alignment.corpus_alignment import DICTIONARY, alignment_path
from nmt.alignment.pharaoh import write_links
from nmt.alignment.words import split_words
from nmt.config.augmentation import AugmentationConfig
from nmt.config.data import CleaningConfig, DataConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.augmenting import corpus_augmentation
from nmt.data.augmenting.corpus_augmentation import (
    AugmentationCounts,
    AugmentationPlan,
    Made,
    draw,
    read_added,
    write_augmentation,
)
from nmt.data.cleaning.corpus_text import COLUMNS
from nmt.data.pairs import Pair
from nmt.data.shards import corpus_of, shard_path, shard_paths, write_shard

ALL = {"upper": 0.2, "title": 0.1, "lower": 0.1, "no_final_mark": 0.3, "typos": 0.2, "join": 0.1}


def pairs(count: int, first: int = 0) -> list[Pair]:
    return [(f"Number {number} is good.", f"Zahl {number} ist gut.") for number in range(first, first + count)]


def plan_of(root: Path, config: dict[str, Any], *shards: tuple[str, list[Pair]], **values: Any) -> AugmentationPlan:
    """Return the plan for shards of the corpora `a`, `b` and `tagged`, which are written to `root`."""
    for number, (corpus, rows) in enumerate(shards):
        columns = [[source for source, _ in rows], [target for _, target in rows]]
        write_shard(shard_path(root / "text" / "train", number), pa.schema(COLUMNS), corpus, [columns])
    files = {"files": "a.tsv"}
    corpora = {"a": files, "b": {**files, "cleaning": {"max_characters": 30}}, "tagged": {**files, "tags": ["<2de>"]}}
    return AugmentationPlan(
        root / "text",
        AugmentationConfig.model_validate(config),
        DataConfig.model_validate({"train": corpora}),
        CleaningConfig(),
        LanguagesConfig(source="en", target="de"),
        max_length=100,
        **values,
    )


def made(folder: Path, kind: str | None = None) -> list[Pair]:
    """Return the pairs of all shards in `folder`, or those of a kind."""
    return [pair for of, pair in read_added(folder) if kind in (None, of)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_rate_is_the_share_of_pairs_and_each_kind_is_counted(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ALL, ("a", pairs(1500)), ("b", pairs(500, 1500)))
    counts = write_augmentation(plan, tmp_path / "out", workers=1)
    for kind, rate in ALL.items():
        assert abs(counts.kinds[kind].chosen - 2000 * rate) < 80
        assert len(made(tmp_path / "out", kind)) == counts.kinds[kind].made
    assert counts.kinds["upper"].made == counts.kinds["upper"].chosen
    assert counts.corpora["b"]["join"].made == 0, "whose lines may have 30 characters"
    assert counts.corpora["a"]["join"].made > 100
    assert sum(counts.corpora[corpus]["upper"].made for corpus in "ab") == counts.kinds["upper"].made
    assert [corpus_of(path) for path in shard_paths(tmp_path / "out")] == ["a", "b"]
    assert AugmentationCounts.from_json(counts.to_json()).corpora == counts.corpora


def test_a_rate_of_one_takes_every_pair_in_order(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"lower": 1.0}, ("a", pairs(20)))
    counts = write_augmentation(plan, tmp_path / "out", workers=1)
    assert made(tmp_path / "out") == [(source.lower(), target.lower()) for source, target in pairs(20)]
    before, after = counts.samples["lower"][0]
    assert [*before] == [*pairs(1)[0]]
    assert [*after] == [side.lower() for side in before]
    assert len(counts.samples["lower"]) == 3


def test_pairs_that_cannot_be_changed_are_counted_and_make_none(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"no_final_mark": 1.0}, ("a", [("Yes", "Ja"), ("No.", "Nein."), ("So", "So")]))
    counts = write_augmentation(plan, tmp_path / "out", workers=1)
    assert counts.kinds == {"no_final_mark": Made(chosen=3, made=1)}
    assert made(tmp_path / "out") == [("No", "Nein")]


def test_joined_pairs_are_neighbours_and_two_to_as_many_as_allowed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"join": 1.0, "join_most": 4}, ("a", pairs(300)))
    write_augmentation(plan, tmp_path / "out", workers=1)
    lengths = set()
    for source, target in made(tmp_path / "out"):
        numbers = [int(word) for word in source.split() if word.isdigit()]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert target == " ".join(f"Zahl {number} ist gut." for number in numbers)
        lengths.add(len(numbers))
    assert lengths == {2, 3, 4}


def test_joined_pairs_fit_into_the_model(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"join": 1.0, "join_most": 32}, ("a", pairs(300)))
    write_augmentation(replace(plan, max_length=21), tmp_path / "out", workers=1)
    assert {len(source) <= 60 and len(target) <= 60 for source, target in made(tmp_path / "out")} == {True}


def test_tags_stay_in_front_once_and_symbols_keep_their_letters(tmp_path: Path) -> None:
    rows = [("<2de> A <sep> b.", "C <sep> d."), ("<2de> Two.", "Zwei.")]
    plan = plan_of(tmp_path, {"upper": 1.0, "join": 1.0}, ("tagged", rows), symbols=("<s", "<sep>"))
    write_augmentation(plan, tmp_path / "out", workers=1)
    assert made(tmp_path / "out", "upper") == [("<2de> A <sep> B.", "C <sep> D."), ("<2de> TWO.", "ZWEI.")]
    assert made(tmp_path / "out", "join") == [("<2de> A <sep> b. Two.", "C <sep> d. Zwei.")]


def test_kinds_of_aligned_words_have_the_links_of_their_pair_behind_the_tags(tmp_path: Path) -> None:
    rows = [("<2de> Tom sleeps.", "Schläft Tom."), ("<2de> dogs 77", "77 Hunde")]
    config = {"single_words": 1.0, "copied_tokens": 1.0, "inline_tags": 1.0, "terms": 1.0, "terms_most": 1}
    plan = plan_of(tmp_path, config, ("tagged", rows), placeholders=2, alignment=tmp_path / "alignment")
    path = alignment_path(tmp_path / "alignment", 0)
    path.parent.mkdir(parents=True)
    first = len(split_words("<2de> "))
    links = [[(0, 1), (1, 0), (2, 2)], [(0, 1), (1, 0)]]
    path.write_text("".join(f"{write_links((first + i, j) for i, j in each)}\n" for each in links), encoding="utf-8")
    (tmp_path / "alignment" / DICTIONARY).write_text("dogs\tHunde\t0.9\t4\n", encoding="utf-8")
    counts = write_augmentation(plan, tmp_path / "out", workers=1)
    assert made(tmp_path / "out", "single_words") == [("<2de> dogs", "Hunde")]
    assert counts.kinds["single_words"] == Made(chosen=2, made=1)
    tagged = made(tmp_path / "out", "inline_tags")
    assert [source.split()[0].startswith("<2de>") for source, _ in tagged] == [True, True]
    assert {("⟦" in source) and ("⟦" in target) for source, target in tagged} == {True}
    annotated = made(tmp_path / "out", "terms")
    assert annotated[0][0] in ("<2de> ⟦term⟧ Tom⟦=⟧ Tom⟦/term⟧ sleeps.", "<2de> Tom⟦term⟧ sleeps⟦=⟧ Schläft⟦/term⟧.")
    assert annotated[1] == ("<2de> ⟦term⟧ dogs⟦=⟧ Hunde⟦/term⟧ 77", "77 Hunde")
    copied = made(tmp_path / "out", "copied_tokens")
    assert len(copied) == 2
    assert all(set(source.split()) & set(target.rstrip(".").split()) for source, target in copied)


def test_pairs_with_symbols_of_the_user_keep_them_whole_or_have_no_words_taken(tmp_path: Path) -> None:
    rows = [("a <Separator> tree", "ein <Separator> Baum")] * 2
    config = {"typos": 1.0, "single_words": 1.0, "copied_tokens": 1.0, "inline_tags": 1.0, "terms": 1.0}
    plan = plan_of(tmp_path, config, ("a", rows), symbols=("<Separator>",), placeholders=2)
    path = alignment_path(tmp_path / "alignment", 0)
    path.parent.mkdir(parents=True)
    path.write_text(f"{write_links((i, i) for i in range(5))}\n" * 2, encoding="utf-8")
    (tmp_path / "alignment" / DICTIONARY).write_text("tree\tBaum\t0.9\t4\n", encoding="utf-8")
    counts = write_augmentation(replace(plan, alignment=tmp_path / "alignment"), tmp_path / "out", workers=1)
    assert {kind: made.made for kind, made in counts.kinds.items() if made.made} == {"typos": 2}
    assert all("<Separator>" in source and "tree" not in source for source, _ in made(tmp_path / "out"))


def test_of_several_directions_words_are_exchanged_for_those_of_their_target_alone(tmp_path: Path) -> None:
    letters = "abcdefghijkl"
    more = [(f"{a}k{b}tion", f"{a.upper()}k{b}ung") for a in letters for b in letters]
    plan = plan_of(tmp_path, {"terms": 1.0, "terms_exchanged": 1.0, "terms_most": 1}, ("a", more), ("b", more))
    data = {
        "train": {
            "a": {"files": "a.tsv", "direction": "en-de", "tags": ["<2de>"]},
            "b": {"files": "a.tsv", "direction": "de-en", "tags": ["<2en>"]},
        }
    }
    languages = LanguagesConfig.model_validate({"directions": ["en-de", "de-en"]})
    shards = {0: [(f"<2de> {en}", de) for en, de in more], 1: [(f"<2en> {de}", en) for en, de in more]}
    first = len(split_words("<2de> "))
    for number, rows in shards.items():
        columns = [[source for source, _ in rows], [target for _, target in rows]]
        write_shard(shard_path(tmp_path / "text" / "train", number), pa.schema(COLUMNS), "ab"[number], [columns])
        path = alignment_path(tmp_path / "alignment", number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{first}-0\n" * len(rows), encoding="utf-8")
    entries = [f"{one}\t{other}\t0.9\t4\n" for pair in more for one, other in (pair, pair[::-1])]
    (tmp_path / "alignment" / DICTIONARY).write_text("".join(entries), encoding="utf-8")
    plan = replace(plan, data=DataConfig.model_validate(data), languages=languages, alignment=tmp_path / "alignment")
    write_augmentation(plan, tmp_path / "out", workers=1)
    found = made(tmp_path / "out", "terms")
    assert len(found) == 2 * len(letters) ** 2
    assert all(target.endswith("tion") == source.startswith("<2en>") for source, target in found)
    own = [target for rows in shards.values() for _, target in rows]
    assert (
        sum(pair[1] != target for pair, target in zip(found, own, strict=True)) > 40
    )  # 44 of each are not too frequent


def test_processes_and_other_kinds_change_nothing(tmp_path: Path) -> None:
    shards = [("a", pairs(400)), ("a", pairs(400, 400)), ("b", pairs(400, 800))]
    plan = plan_of(tmp_path, ALL, *shards)
    one, three = (
        write_augmentation(plan, tmp_path / name, workers=count) for name, count in (("one", 1), ("three", 3))
    )
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    assert one.to_json() == three.to_json()
    write_augmentation(plan_of(tmp_path, {"typos": ALL["typos"]}, *shards), tmp_path / "alone", workers=1)
    assert made(tmp_path / "alone") == made(tmp_path / "one", "typos")
    write_augmentation(plan_of(tmp_path, {**ALL, "seed": 2}, *shards), tmp_path / "other", workers=1)
    assert made(tmp_path / "other", "upper") != made(tmp_path / "one", "upper")


def test_a_killed_call_goes_on_with_the_shards_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(tmp_path, ALL, ("a", pairs(400)), ("a", pairs(400, 400)))
    whole = write_augmentation(plan, tmp_path / "whole", workers=1)
    work = corpus_augmentation._augment_shard

    def killed(context: Any, number: int) -> Any:
        if number:
            raise KeyboardInterrupt
        return work(context, number)

    monkeypatch.setattr(corpus_augmentation, "_augment_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        write_augmentation(plan, tmp_path / "out", workers=1)
    assert [path.name for path in shard_paths(tmp_path / "out")] == ["00000.arrow"]
    monkeypatch.setattr(corpus_augmentation, "_augment_shard", work)
    first = shard_path(tmp_path / "out", 0).stat().st_mtime_ns
    again = write_augmentation(plan, tmp_path / "out", workers=1)
    assert shard_path(tmp_path / "out", 0).stat().st_mtime_ns == first
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert again.kinds == whole.kinds


def test_draws_are_even_and_depend_on_seed_kind_and_both_sides() -> None:
    drawn = {
        draw(*key)
        for key in [
            (1, "a", ("x", "y")),
            (2, "a", ("x", "y")),
            (1, "b", ("x", "y")),
            (1, "a", ("xy", "")),
            (1, "a", ("x", "z")),
        ]
    }
    assert len(drawn) == 5
    assert max(drawn) < 2**64
    share = sum(draw(1, "a", pair) < 2**62 for pair in pairs(2000)) / 2000
    assert abs(share - 0.25) < 0.03
