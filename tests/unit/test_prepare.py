from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config import CleaningConfig, DataConfig, LanguagesConfig, TokenizerConfig
from nmt.data import prepare
from nmt.data.prepare import TABLE, iterate_text, read_batches, read_text, write_ids, write_text
from nmt.data.tokenizer import Tokenizer, train
from nmt.errors import DataError

EN_DE = LanguagesConfig(source="en", target="de")
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]

Pairs = list[tuple[str, str]]


def corpus(root: Path, name: str, pairs: Pairs) -> dict[str, str]:
    (root / f"{name}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8", newline="\n")
    return {"tsv": f"{name}.tsv"}


def numbered(name: str, count: int) -> Pairs:
    return [(f"{name} {i}", f"{name.upper()} {i}") for i in range(count)]


def write(root: Path, data: dict[str, Any], folder: str = "text", **cleaning: Any) -> dict[str, Any]:
    return write_text(
        DataConfig.model_validate(data),
        CleaningConfig.model_validate(cleaning),
        EN_DE,
        root / folder,
        root=root,
        local=False,
    )


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    config = TokenizerConfig(vocab_size=300, normalization="identity")
    train([" ".join(WORDS)], [" ".join(WORDS).upper()], config, folder, seed=1)
    return Tokenizer.load(folder)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "CHUNK", 7)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_train_is_cleaned_while_dev_and_test_stay_whole(tmp_path: Path) -> None:
    odd = [("", "x"), ("x", "x"), ("a\u2028b\x85", "c\0"), ("x", "x"), (" d ", "e")]
    data = {
        "train": corpus(tmp_path, "train", [("same", "same"), ("d", "e"), ("fine", "gut"), *numbered("a", 5)]),
        "dev": corpus(tmp_path, "dev", odd),
        "test": {"one": corpus(tmp_path, "one", odd[::-1]), "two": corpus(tmp_path, "two", [("a 0", "A 0")])},
    }
    counts = write(tmp_path, data)
    text = tmp_path / "text"
    assert list(iterate_text(text, "train")) == [("fine", "gut"), *numbered("a", 5)[1:]]
    assert list(iterate_text(text, "dev")) == odd
    assert read_text(text, "test.one") == ([a for a, _ in odd[::-1]], [b for _, b in odd[::-1]])
    assert counts["pairs"] == {"train": 5, "dev": 5, "test": {"one": 5, "two": 1}}
    assert counts["split_off"] == 0
    assert counts["funnel"]["read"] == 8
    assert counts["funnel"]["kept"] == 5
    assert {name: count for name, count in counts["funnel"]["dropped"].items() if count} == {"copies": 1, "leaked": 2}
    assert counts["samples"] == {"copies": [("same", "same")], "leaked": [("d", "e"), ("a 0", "A 0")]}


@pytest.mark.usefixtures("small_chunks")
def test_what_is_missing_of_dev_and_test_is_split_off_the_cleaned_text(tmp_path: Path) -> None:
    pairs = numbered("a", 100)
    data = {
        "train": corpus(tmp_path, "train", pairs + pairs[:20] + [("same", "same")]),
        "dev_pairs": 10,
        "test_pairs": 15,
    }
    counts = write(tmp_path, data)
    splits = {name: list(iterate_text(tmp_path / "text", name)) for name in ("train", "dev", "test.held-out")}
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
    data = {"train": corpus(tmp_path, "train", numbered("a", 30)), "dev_pairs": 4, "test_pairs": 4}
    counts = write(tmp_path, data | {given: own if given == "dev" else {"mine": own}})
    assert len(list(iterate_text(tmp_path / "text", split_off))) == 4
    assert counts["pairs"]["train"] == 26
    assert list(iterate_text(tmp_path / "text", "dev" if given == "dev" else "test.mine")) == [("own", "eigen")]


def test_the_split_depends_on_its_seed_and_on_nothing_else(tmp_path: Path) -> None:
    data = {"train": corpus(tmp_path, "train", numbered("a", 60)), "dev_pairs": 10, "test_pairs": 10}
    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        write(tmp_path, data | {"split_seed": seed}, folder)
    one, again, other = (contents(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert one["dev/pairs.arrow"] != other["dev/pairs.arrow"]


def test_kept_duplicates_never_stand_on_both_sides_of_the_split(tmp_path: Path) -> None:
    pairs = numbered("a", 20) * 3
    data = {"train": corpus(tmp_path, "train", pairs), "dev_pairs": 4, "test_pairs": 4}
    counts = write(tmp_path, data, drop_duplicates=False)
    splits = [list(iterate_text(tmp_path / "text", name)) for name in ("train", "dev", "test.held-out")]
    assert [len(split) for split in splits] == [36, 4, 4]
    assert [len(set(split)) for split in splits] == [12, 4, 4]
    assert len(set().union(*splits)) == 20
    assert counts["funnel"]["kept"] == 44
    assert counts["funnel"]["dropped"]["leaked"] == 16
    kept = write(tmp_path, data, "kept", drop_duplicates=False, drop_leaked=False)
    assert kept["pairs"]["train"] == 52


def test_a_split_that_would_leave_less_than_half_is_refused(tmp_path: Path) -> None:
    data = {"train": corpus(tmp_path, "train", numbered("a", 20) * 2), "dev_pairs": 5, "test_pairs": 6}
    with pytest.raises(DataError) as caught:
        write(tmp_path, data)
    assert str(caught.value) == (
        "20 different training pairs are too few to split off dev 5, test.held-out 6: at most half may go "
        "(give dev and test corpora of their own, or lower data.dev_pairs and data.test_pairs)"
    )


def test_training_text_that_is_cleaned_away_is_an_error(tmp_path: Path) -> None:
    own = corpus(tmp_path, "own", [("own", "eigen")])
    data = {"train": corpus(tmp_path, "train", [("x", "x"), ("own", "eigen")]), "dev": own, "test": {"own": own}}
    with pytest.raises(DataError) as caught:
        write(tmp_path, data, max_characters=9)
    assert str(caught.value) == (
        "train.tsv: no training pair is left of 2; dropped: empty 0, max_characters 0, max_ratio 0, copies 1, "
        "duplicates 0, leaked 1 (loosen the filters in [cleaning])"
    )


def test_a_table_is_a_dataset_too(tmp_path: Path) -> None:
    import datasets

    data = {"train": corpus(tmp_path, "train", numbered("a", 30)), "dev_pairs": 4, "test_pairs": 4}
    write(tmp_path, data)
    table = datasets.Dataset.from_file(str(tmp_path / "text" / "dev" / TABLE))
    assert list(zip(table["source"], table["target"], strict=True)) == list(iterate_text(tmp_path / "text", "dev"))


def test_a_missing_or_damaged_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train/pairs\.arrow: no such file \(prepare the data again\)"):
        next(iterate_text(tmp_path, "train"))
    (tmp_path / "train").mkdir()
    for content in (b"", b"no Arrow at all" * 9):
        (tmp_path / "train" / TABLE).write_bytes(content)
        with pytest.raises(DataError, match=r"train/pairs\.arrow: damaged: .*\(prepare the data again\)"):
            next(iterate_text(tmp_path, "train"))


def text_of(root: Path, train_pairs: Pairs, dev: Pairs) -> Path:
    data = {
        "train": corpus(root, "train", train_pairs),
        "dev": corpus(root, "dev", dev),
        "test": {"t": corpus(root, "t", dev)},
    }
    off: dict[str, Any] = {f"drop_{name}": False for name in ("empty", "copies", "duplicates", "leaked")}
    write(root, data, max_ratio="none", max_characters="none", **off)
    return root / "text"


def ids_of(folder: Path) -> list[tuple[list[int], list[int], int, int]]:
    return [tuple(row.values()) for batch in read_batches(folder) for row in batch.to_pylist()]


@pytest.mark.usefixtures("small_chunks")
def test_ids_are_those_of_the_tokenizer_with_their_lengths(tmp_path: Path, tokenizer: Tokenizer) -> None:
    pairs = [(" ".join(WORDS[: i % 5 + 1]), " ".join(WORDS[i % 7 :]).upper()) for i in range(40)]
    text = text_of(tmp_path, pairs, pairs[:3])
    counts = write_ids(text, tokenizer, CleaningConfig(), 256, tmp_path / "ids")
    expected = [
        (src, tgt, len(src), len(tgt))
        for src, tgt in zip(
            tokenizer.encode_source([a for a, _ in pairs]),
            tokenizer.encode_target([b for _, b in pairs]),
            strict=True,
        )
    ]
    assert ids_of(tmp_path / "ids" / "train") == expected
    assert ids_of(tmp_path / "ids" / "dev") == expected[:3]
    assert counts == {
        "funnel": {"read": 40, "kept": 40, "dropped": {"no_pieces": 0, "max_pieces": 0}},
        "pairs": {"train": 40, "dev": 3},
        "tokens": {
            split: {
                "source": sum(row[2] for row in rows),
                "target": sum(row[3] for row in rows),
                "source_unknown": 0,
                "target_unknown": 0,
            }
            for split, rows in (("train", expected), ("dev", expected[:3]))
        },
        "dev_cut": 0,
        "samples": {},
    }


def test_ids_take_the_smallest_type_that_holds_the_vocabulary(tmp_path: Path, tokenizer: Tokenizer) -> None:
    text = text_of(tmp_path, [("one", "ONE")], [("one", "ONE")])
    write_ids(text, tokenizer, CleaningConfig(), 256, tmp_path / "ids")
    [batch] = read_batches(tmp_path / "ids" / "train")
    assert str(batch.schema.field("src").type.value_type) == "uint16"
    config = TokenizerConfig(vocab_size=20, byte_fallback=False)
    (tmp_path / "small").mkdir()
    train([" ".join(WORDS)], ["one"], config, tmp_path / "small", seed=1)
    write_ids(text, Tokenizer.load(tmp_path / "small"), CleaningConfig(), 256, tmp_path / "small-ids")
    [batch] = read_batches(tmp_path / "small-ids" / "train")
    assert str(batch.schema.field("tgt").type.value_type) == "uint8"


def test_training_pairs_too_long_or_without_pieces_are_dropped_and_counted(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    pieces: Callable[[str], int] = lambda line: len(tokenizer.encode_source([line])[0])  # noqa: E731
    assert pieces("語語") == 7
    pairs = [("語語", "ok"), ("ok", "語語"), ("語", "ok"), ("\u2581", "ok"), ("ok", "\x85")]
    text = text_of(tmp_path, pairs, pairs)
    for max_pieces, max_length in ((6, 256), ("none", 7), (250, 7)):
        cleaning = CleaningConfig.model_validate({"max_pieces": max_pieces})
        folder = tmp_path / f"ids-{max_pieces}-{max_length}"
        counts = write_ids(text, tokenizer, cleaning, max_length, folder)
        assert counts["funnel"] == {"read": 5, "kept": 1, "dropped": {"no_pieces": 2, "max_pieces": 2}}
        assert counts["samples"] == {"max_pieces": pairs[:2], "no_pieces": pairs[3:]}
        assert [row[2] for row in ids_of(folder / "train")] == [4]


def test_long_sides_of_dev_are_cut_and_no_pair_of_it_is_dropped(tmp_path: Path, tokenizer: Tokenizer) -> None:
    pairs = [("語語", "語"), ("語", "語語"), ("", "")]
    text = text_of(tmp_path, [("one", "ONE")], pairs)
    counts = write_ids(text, tokenizer, CleaningConfig(max_pieces=5), 7, tmp_path / "ids")
    assert counts["dev_cut"] == 2
    rows = ids_of(tmp_path / "ids" / "dev")
    assert [row[2:] for row in rows] == [(6, 4), (4, 6), (0, 0)]
    assert rows[0][0] == tokenizer.encode_source(["語語"])[0][:6]


def test_unknown_pieces_are_counted(tmp_path: Path) -> None:
    config = TokenizerConfig(vocab_size=20, byte_fallback=False)
    (tmp_path / "tokenizer").mkdir()
    train([" ".join(WORDS)], ["one"], config, tmp_path / "tokenizer", seed=1)
    text = text_of(tmp_path, [("one 語", "one")], [("one", "one")])
    counts = write_ids(text, Tokenizer.load(tmp_path / "tokenizer"), CleaningConfig(), 99, tmp_path / "ids")
    assert counts["tokens"]["train"]["source_unknown"] == 1
    assert counts["tokens"]["train"]["target_unknown"] == 0


def test_ids_that_are_all_dropped_are_an_error(tmp_path: Path, tokenizer: Tokenizer) -> None:
    text = text_of(tmp_path, [("語語", "ok")], [("one", "ONE")])
    with pytest.raises(DataError) as caught:
        write_ids(text, tokenizer, CleaningConfig(max_pieces=2), 99, tmp_path / "ids")
    assert str(caught.value) == (
        "no training pair is left of 1; dropped: no_pieces 0, max_pieces 1 "
        "(raise cleaning.max_pieces, model.max_length or tokenizer.vocab_size)"
    )


@pytest.mark.usefixtures("small_chunks")
def test_the_same_text_gives_the_same_bytes(tmp_path: Path, tokenizer: Tokenizer) -> None:
    rng = np.random.default_rng(1)
    pairs = [(" ".join(rng.choice(WORDS, 5)), " ".join(rng.choice(WORDS, 6)).upper()) for _ in range(50)]
    text = text_of(tmp_path, pairs, pairs[:9])
    for name in ("one", "again"):
        write_ids(text, tokenizer, CleaningConfig(), 256, tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "again")
