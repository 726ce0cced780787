"""From cleaned text to ids: what is encoded, what is dropped and cut, and what is counted, by corpus."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nmt.config.data import CleaningConfig, DataConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.augmenting.corpus_augmentation import SCHEMA
from nmt.data.cleaning.corpus_text import COLUMNS
from nmt.data.cleaning.funnel import IdsCounts
from nmt.data.encoding import corpus_ids
from nmt.data.encoding.corpus_ids import IdsPlan, write_ids
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.data.shards import corpus_of, read_shard, shard_path, shard_paths, write_shard
from nmt.errors import DataError

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]

Pairs = list[tuple[str, str]]


def make_tokenizer(folder: Path, target: str = " ".join(WORDS).upper(), **values: Any) -> Path:
    folder.mkdir(exist_ok=True)
    config = TokenizerConfig.model_validate({"vocab_size": 300, "normalization": "identity", **values})
    train([" ".join(WORDS)], [target], config, folder, seed=1)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tokenizer with two placeholders."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"), placeholders=2)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_ids, "ROWS", 7)


def write_pairs(folder: Path, *shards: tuple[str, Pairs]) -> None:
    """Write shards of a corpus each."""
    for number, (corpus, pairs) in enumerate(shards):
        columns = [[source for source, _ in pairs], [target for _, target in pairs]]
        write_shard(shard_path(folder, number), pa.schema(COLUMNS), corpus, [columns])


def test_pairs_that_were_added_follow_their_shard_and_are_counted_by_kind(tmp_path: Path, folder: Path) -> None:
    write_pairs(tmp_path / "text" / "train", ("a", [("one", "ONE")]), ("b", [("two", "TWO")]))
    write_pairs(tmp_path / "text" / "dev", ("dev", [("ten", "TEN")]))
    for number, rows in enumerate([[("three", "THREE", "upper"), ("four", "FOUR", "join")], []]):
        columns = [list(column) for column in zip(*rows, strict=True)]
        path = shard_path(tmp_path / "added", number)
        write_shard(path, SCHEMA, "ab"[number], [columns] if columns else [])
    data = DataConfig.model_validate({"train": {name: {"files": "a.tsv"} for name in "ab"}})
    plan = IdsPlan(tmp_path / "text", folder, data, CleaningConfig(), 100, augmentation=tmp_path / "added")
    counts = write_ids(plan, tmp_path / "ids", workers=1)
    assert counts.augmented == {"upper": {"a": 1}, "join": {"a": 1}}
    assert [counts.corpora[name].pairs for name in "ab"] == [3, 1]
    pairs = PreparedPairs(tmp_path / "ids" / "train")
    assert pairs.corpora == {"a": (0, 3), "b": (3, 4)}
    sources = Tokenizer.load(folder).source.decode([row.tolist() for row in pairs.sides(np.arange(4))[0]])
    assert sources == ["one", "three", "four", "two"]
    without = write_ids(replace(plan, augmentation=None), tmp_path / "alone", workers=1)
    assert (without.train.pairs, without.augmented) == (2, {})


def test_aligned_words_become_aligned_pieces_of_the_pairs_that_stay(tmp_path: Path, folder: Path) -> None:
    train_pairs = [("one two", "ONE TWO"), ("one " * 9, "TWO"), ("two one", "ONE TWO"), ("ten", "TEN")]
    write_pairs(tmp_path / "text" / "train", ("a", train_pairs))
    write_pairs(tmp_path / "text" / "dev", ("dev", [("ten", "TEN")]))
    write_shard(shard_path(tmp_path / "added", 0), SCHEMA, "a", [[["six"], ["SIX"], ["upper"]]])
    links = tmp_path / "alignment" / "train" / "00000.txt"
    links.parent.mkdir(parents=True)
    links.write_text("0-0 1-1\n0-0\n0-1 1-0\n\n")
    data = DataConfig.model_validate({"train": {"a": {"files": "a.tsv"}}})
    plan = IdsPlan(tmp_path / "text", folder, data, CleaningConfig(max_pieces=16), 100)
    plan = replace(plan, alignment=tmp_path / "alignment", augmentation=tmp_path / "added")
    write_ids(plan, tmp_path / "ids", workers=1)
    pairs, tokenizer = PreparedPairs(tmp_path / "ids" / "train"), Tokenizer.load(folder)
    assert len(pairs) == 4
    batch = pairs.collate([1, 3, 0])
    assert batch.links is not None
    assert batch.link_shares is not None
    source, target = tokenizer.source.pieces(batch.src[0].tolist()), tokenizer.target.pieces(batch.labels[0].tolist())
    words = [0, 0]
    for side, pieces in enumerate((source, target)):
        words[side] = next(i for i, piece in enumerate(pieces) if i and piece.startswith("\u2581"))
    found = [(int(s), int(t)) for row, t, s in batch.links.T if row == 0]
    ends = pairs.src_lengths[1] - 1, pairs.tgt_lengths[1] - 1
    expected = {(i, j) for i in range(words[0]) for j in range(words[1], ends[1])}
    expected |= {(i, j) for i in range(words[0], ends[0]) for j in range(words[1])}
    assert set(found) == expected
    assert set(batch.links[0].tolist()) == {0, 2}  # the added pair has no alignment
    assert float(batch.link_shares[batch.links[0] == 0].sum()) == pytest.approx(ends[1])
    assert PreparedPairs(tmp_path / "ids" / "dev").collate([0]).links is None


def text_of(root: Path, train_pairs: Pairs, dev: Pairs) -> Path:
    write_pairs(root / "text" / "train", ("train", train_pairs))
    write_pairs(root / "text" / "dev", ("dev", dev))
    return root / "text"


def write(
    text: Path,
    tokenizer: Path,
    out: Path,
    max_length: int = 256,
    own: dict[str, CleaningConfig] | None = None,
    protect: str | None = None,
    keep_text: bool = False,
    **cleaning: Any,
) -> dict[str, Any]:
    config = CleaningConfig.model_validate(cleaning)
    corpora = {name: {"files": "-", "cleaning": (own or {}).get(name)} for name in ("train", "strict", "loose", "none")}
    data = DataConfig.model_validate({"train": corpora, "protect": protect})
    plan = IdsPlan(text, tokenizer, data, config, max_length, keep_text)
    counts = write_ids(plan, out, workers=1)
    assert IdsCounts.from_json(counts.to_json()).to_json() == counts.to_json()
    return counts.to_json()


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for path in shard_paths(folder) for batch in read_shard(path) for row in batch.to_pylist()]


def ids_of(folder: Path) -> list[tuple[list[int], list[int], int, int]]:
    return [tuple(row.values()) for row in rows_of(folder)]


@pytest.mark.usefixtures("small_batches")
def test_ids_are_those_of_the_tokenizer_with_their_lengths(tmp_path: Path, folder: Path, tokenizer: Tokenizer) -> None:
    pairs = [(" ".join(WORDS[: i % 5 + 1]), " ".join(WORDS[i % 7 :]).upper()) for i in range(40)]
    counts = write(text_of(tmp_path, pairs, pairs[:3]), folder, tmp_path / "ids")
    expected = [
        (src, tgt, len(src), len(tgt))
        for src, tgt in zip(
            tokenizer.source.encode([a for a, _ in pairs]),
            tokenizer.target.encode([b for _, b in pairs]),
            strict=True,
        )
    ]
    assert ids_of(tmp_path / "ids" / "train") == expected
    assert ids_of(tmp_path / "ids" / "dev") == expected[:3]
    tokens = {
        split: {
            "source": sum(row[2] for row in rows),
            "target": sum(row[3] for row in rows),
            "source_unknown": 0,
            "target_unknown": 0,
        }
        for split, rows in (("train", expected), ("dev", expected[:3]))
    }
    funnel = {"read": 40, "kept": 40, "dropped": {"no_pieces": 0, "max_pieces": 0}, "mended": {}}
    assert counts == {
        "funnel": funnel,
        "pairs": {"train": 40, "dev": 3},
        "tokens": tokens,
        "corpora": {"train": {"pairs": 40, **tokens["train"], "funnel": funnel}},
        "dev_cut": 0,
        "training_lines": {
            "sentences": 1,
            "pieces": 19,
            "longest": 19,
            "ratio": round(tokens["train"]["target"] / tokens["train"]["source"], 3),
        },
        "samples": {},
    }


def test_the_usual_and_the_longest_source_lines_of_training_are_counted(tmp_path: Path, folder: Path) -> None:
    several = ["One. Two."] * 12 + ["One. Two. Two."] * 3 + ["One. Two. Two two two two."]
    lines = ["one two."] * 284 + several  # 95% have at most two sentences, and 99% three
    pairs = [*[(line, "ONE") for line in lines], *[("one " * 40 + f"{i}.", "ONE") for i in range(1)]]
    counts = [
        write(text_of(tmp_path / str(number), pairs, [("A. B. C. D.", "A")]), folder, tmp_path / f"ids-{number}", 30)
        for number in range(2)
    ]
    rows = rows_of(tmp_path / "ids-0" / "train")
    lengths = sorted(row["src_length"] for row in rows)
    assert len(lengths) == 300, "a pair that is dropped does not count"
    ratio = round(sum(row["tgt_length"] for row in rows) / sum(lengths), 3)
    usual = {"sentences": 2, "pieces": lengths[296], "longest": lengths[-1], "ratio": ratio}
    assert [each["training_lines"] for each in counts] == [usual, usual]
    assert lengths[296] < lengths[-1]


def test_ids_take_the_smallest_type_that_holds_the_vocabulary(tmp_path: Path, folder: Path) -> None:
    text = text_of(tmp_path, [("one", "ONE")], [("one", "ONE")])
    small = make_tokenizer(tmp_path / "small", "one", vocab_size=20, byte_fallback=False)
    for number, (of, kind) in enumerate([(folder, "uint16"), (small, "uint8")]):
        write(text, of, tmp_path / f"ids-{number}")
        [batch] = read_shard(shard_path(tmp_path / f"ids-{number}" / "train", 0))
        for side in ("src", "tgt"):
            assert str(batch.schema.field(side).type.value_type) == kind


@pytest.mark.parametrize(("max_length", "kind"), [(255, "uint8"), (256, "uint16"), (70_000, "uint32")])
def test_lengths_take_the_smallest_type_that_holds_max_length(
    tmp_path: Path, folder: Path, max_length: int, kind: str
) -> None:
    line = "\u8a9e" * (max_length // 3)
    text = text_of(tmp_path, [("one", "ONE")], [(line, line)])
    counts = write(text, folder, tmp_path / "ids", max_length)
    [batch] = read_shard(shard_path(tmp_path / "ids" / "dev", 0))
    assert {str(batch.schema.field(name).type) for name in ("src_length", "tgt_length")} == {kind}
    assert batch.column("src_length").to_pylist() == [max_length - 1]
    assert counts["dev_cut"] == 1


def test_training_pairs_too_long_or_without_pieces_are_dropped_and_counted(
    tmp_path: Path, folder: Path, tokenizer: Tokenizer
) -> None:
    pieces: Callable[[str], int] = lambda line: len(tokenizer.source.encode([line])[0])  # noqa: E731
    assert pieces("語語") == 7
    pairs = [("語語", "ok"), ("ok", "語語"), ("語", "ok"), ("\u2581", "ok"), ("ok", "\x85")]
    text = text_of(tmp_path, pairs, pairs)
    for max_pieces, max_length in ((6, 256), ("none", 7), (250, 7)):
        out = tmp_path / f"ids-{max_pieces}-{max_length}"
        counts = write(text, folder, out, max_length, max_pieces=max_pieces)
        funnel = {"read": 5, "kept": 1, "dropped": {"no_pieces": 2, "max_pieces": 2}, "mended": {}}
        assert counts["funnel"] == funnel
        assert counts["samples"] == {"max_pieces": pairs[:2], "no_pieces": pairs[3:]}
        assert [row[2] for row in ids_of(out / "train")] == [4]


def test_pairs_of_too_unequal_pieces_are_dropped_where_the_recipe_says_so(
    tmp_path: Path, folder: Path, tokenizer: Tokenizer
) -> None:
    sides = ["one", "one two", "one two three", "one two three four"]
    lengths = [len(ids) for ids in tokenizer.source.encode(sides)]
    text = text_of(tmp_path, [(sides[0], side) for side in sides] + [(sides[3], sides[0])], [("a", "b")])
    ratio = lengths[2] / lengths[0]  # which is allowed
    counts = write(text, folder, tmp_path / "ids", max_piece_ratio=ratio)
    assert counts["funnel"]["dropped"] == {"no_pieces": 0, "max_pieces": 0, "max_piece_ratio": 2}
    assert [row[3] for row in ids_of(tmp_path / "ids" / "train")] == lengths[:3]
    assert counts["samples"] == {"max_piece_ratio": [(sides[0], sides[3]), (sides[3], sides[0])]}


def test_each_corpus_has_its_own_limits_and_its_own_counts(tmp_path: Path, folder: Path) -> None:
    pairs = [("one", "ONE"), ("語語", "ONE")]
    shards = [(name, pairs) for name in ("strict", "strict", "loose")]
    write_pairs(tmp_path / "text" / "train", *shards, ("none", []))
    write_pairs(tmp_path / "text" / "dev", ("dev", pairs))
    own = {"loose": CleaningConfig(max_pieces=None)}
    counts = write(tmp_path / "text", folder, tmp_path / "ids", own=own, max_pieces=6)
    assert counts["funnel"]["dropped"] == {"no_pieces": 0, "max_pieces": 2}
    corpora = counts["corpora"]
    assert {name: found["pairs"] for name, found in corpora.items()} == {"strict": 2, "loose": 2, "none": 0}
    assert sum(found["pairs"] for found in corpora.values()) == counts["pairs"]["train"] == 4
    for key, count in counts["tokens"]["train"].items():
        assert count == sum(found[key] for found in corpora.values())
    assert [(found["funnel"]["read"], found["funnel"]["kept"]) for found in corpora.values()] == [
        (4, 2),
        (2, 2),
        (0, 0),
    ]
    assert [corpus_of(path) for path in shard_paths(tmp_path / "ids" / "train")] == [
        "strict",
        "strict",
        "loose",
        "none",
    ]


def test_long_sides_of_dev_are_cut_and_no_pair_of_it_is_dropped(
    tmp_path: Path, folder: Path, tokenizer: Tokenizer
) -> None:
    pairs = [("語語", "語"), ("語", "語語"), ("", "")]
    counts = write(text_of(tmp_path, [("one", "ONE")], pairs), folder, tmp_path / "ids", 7, max_pieces=5)
    assert counts["dev_cut"] == 2
    rows = ids_of(tmp_path / "ids" / "dev")
    assert [row[2:] for row in rows] == [(6, 4), (4, 6), (0, 0)]
    assert rows[0][0] == tokenizer.source.encode(["語語"])[0][:6]


def test_unknown_pieces_are_counted(tmp_path: Path) -> None:
    small = make_tokenizer(tmp_path / "tokenizer", "one", vocab_size=20, byte_fallback=False)
    counts = write(text_of(tmp_path, [("one 語", "one")], [("one", "one")]), small, tmp_path / "ids", 99)
    assert counts["tokens"]["train"]["source_unknown"] == 1
    assert counts["tokens"]["train"]["target_unknown"] == 0


def test_ids_that_are_all_dropped_are_an_error(tmp_path: Path, folder: Path) -> None:
    text = text_of(tmp_path, [("語語", "ok")], [("one", "ONE")])
    with pytest.raises(DataError) as caught:
        write(text, folder, tmp_path / "ids", 99, max_pieces=2)
    assert str(caught.value) == (
        "no training pair is left of 1; dropped: no_pieces 0, max_pieces 1 "
        "(raise cleaning.max_pieces, model.max_length or tokenizer.vocab_size)"
    )


def test_what_is_protected_in_train_is_protected_in_the_ids_of_dev_too(
    tmp_path: Path, folder: Path, tokenizer: Tokenizer
) -> None:
    dev = [("one @x", "ONE @x"), ("one @x", "ONE @y"), ("one", "ONE")]
    text = text_of(tmp_path, [("one \u27e60\u27e7", "ONE \u27e60\u27e7"), ("one @x", "ONE @y")], dev)
    write(text, folder, tmp_path / "ids", protect=r"@\w")
    first, second, third = ids_of(tmp_path / "ids" / "dev")
    train_first, train_second = ids_of(tmp_path / "ids" / "train")
    assert first == train_first
    assert first[0] == tokenizer.source.encode(["one \u27e60\u27e7"])[0]
    assert second == train_second
    assert third[0] == tokenizer.source.encode(["one"])[0]


@pytest.mark.usefixtures("small_batches")
def test_the_text_of_the_pairs_that_are_kept_goes_along_where_it_is_wanted(tmp_path: Path, folder: Path) -> None:
    pairs = [("語語" if i == 9 else WORDS[i % 10], WORDS[i % 7].upper()) for i in range(20)]
    text = text_of(tmp_path, pairs, pairs[:2])
    write(text, folder, tmp_path / "ids", keep_text=True, max_pieces=6)
    kept = [pair for pair in pairs if pair[0] != "語語"]
    for split, expected in (("train", kept), ("dev", pairs[:2])):
        assert [(row["source"], row["target"]) for row in rows_of(tmp_path / "ids" / split)] == expected
    write(text, folder, tmp_path / "without")
    assert list(rows_of(tmp_path / "without" / "train")[0]) == ["src", "tgt", "src_length", "tgt_length"]


def test_another_tokenizer_in_the_same_folder_is_not_mistaken_for_the_old(tmp_path: Path) -> None:
    text = text_of(tmp_path, [("one two", "ONE TWO")], [("one", "ONE")])
    ids = []
    for size in (35, 60):
        folder = make_tokenizer(tmp_path / "tokenizer", vocab_size=size, byte_fallback=False)
        write(text, folder, tmp_path / f"ids-{size}")
        ids.append(ids_of(tmp_path / f"ids-{size}" / "train"))
        expected = Tokenizer.load(folder).source.encode(["one two"])[0]
        assert ids[-1][0][0] == expected
    assert ids[0] != ids[1]


def test_missing_or_damaged_text_is_an_error(tmp_path: Path, folder: Path) -> None:
    text = text_of(tmp_path, [("one", "ONE")], [("one", "ONE")])
    path = shard_path(text / "train", 0)
    for content in (b"", b"no Arrow at all" * 9, path.read_bytes()[:300]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"text/train/00000\.arrow: damaged: .*\(prepare the data again\)"):
            write(text, folder, tmp_path / "ids")
    path.unlink()
    with pytest.raises(DataError) as caught:
        write(text, folder, tmp_path / "ids")
    assert str(caught.value) == f"{text / 'train'}: no such data (prepare the data again)"
    assert not list((tmp_path / "ids").rglob("*.partial"))


def test_a_monolingual_line_is_encoded_for_both_sides_and_has_its_own_limit(tmp_path: Path) -> None:
    wide, long = "\uff11 one", " ".join(WORDS)
    tokenizer = make_tokenizer(tmp_path / "tokenizer", normalization="nmt_nfkc")
    write_pairs(tmp_path / "text" / "train", ("lines", [(line, line) for line in (long, "one", wide)]))
    write_pairs(tmp_path / "text" / "dev", ("dev", [("one", "one")]))
    own = {"language": "en", "text": "-", "cleaning": {"max_pieces": 9}}
    data = DataConfig.model_validate({"monolingual": {"lines": own}})
    plan = IdsPlan(tmp_path / "text", tokenizer, data, CleaningConfig(), 256)
    counts = write_ids(plan, tmp_path / "ids", workers=1)
    sides, rows = Tokenizer.load(tokenizer), rows_of(tmp_path / "ids" / "train")
    assert [row["src"] for row in rows] == sides.source.encode(["one", wide])
    assert [row["tgt"] for row in rows] == sides.target.encode(["one", wide])
    assert rows[0]["src"] == rows[0]["tgt"]
    assert rows[1]["src"] != rows[1]["tgt"]
    assert (counts.funnels["lines"].read, counts.funnels["lines"].kept) == (3, 2)
