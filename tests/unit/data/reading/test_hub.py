"""Datasets of the Hub, which is played here: nothing asks the network."""

import errno
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hubs import A, B, Hub, dataset, play_hub

from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.reading import hub as reading_hub
from nmt.data.reading.corpus import corpus_digests, read_corpus
from nmt.data.reading.hub import hub_commit, hub_revision, is_cached
from nmt.errors import DataError, StorageError

HINT = (
    "check data.*.dataset, config and split; without network, --data-dir FOLDER reads a copy of the dataset in a "
    "folder of its name there"
)
TRANSLATION = {"translation": [{"en": "one\ntwo\r\nthree", "de": "eins"}, {"en": "x", "de": None}]}


EN_DE = LanguagesConfig(source="en", target="de")


def read(config: CorpusConfig) -> list[Any]:
    return list(read_corpus(config, EN_DE, root=Path(), local=False, default_split="train"))


def error_of(config: CorpusConfig) -> str:
    with pytest.raises(DataError) as caught:
        read(config)
    return str(caught.value)


DE_EN = LanguagesConfig(source="de", target="en")


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read_in(root: Path, config: CorpusConfig, *, languages: LanguagesConfig = EN_DE) -> list[Any]:
    """Read a dataset below a folder, as with --data-dir."""
    return list(read_corpus(config, languages, root=root, local=True, default_split="train"))


def error_in(root: Path, config: CorpusConfig, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_in(root, config, **options)
    return str(caught.value)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return play_hub(tmp_path, monkeypatch)


def head(tmp_path: Path, revision: str = "main") -> Path:
    return tmp_path / "hub" / "datasets--org--name" / "refs" / revision


@pytest.mark.parametrize("streaming", [False, True])
def test_without_a_data_folder_the_hub_is_asked(monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    import datasets

    asked: list[Any] = []

    def load_dataset_builder(*args: Any, **options: Any) -> Any:
        asked.append((args, options))
        return SimpleNamespace(
            hash=A, download_and_prepare=lambda: asked.append("prepare"), as_dataset=kept, as_streaming_dataset=streamed
        )

    def kept(split: str) -> Any:
        asked.append(split)
        return dataset(TRANSLATION)

    def streamed(split: str) -> Any:
        return kept(f"streaming {split}").to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset_builder", load_dataset_builder)
    config = CorpusConfig(dataset="org/name", config="de-en", pairs=1, streaming=streaming)
    assert read(config) == [("one two three", "eins")]
    begun = (("org/name",), {"name": "de-en", "revision": None})
    assert asked == [begun, *(["streaming train"] if streaming else ["prepare", "train"])]


def test_a_failure_of_the_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load_dataset_builder(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no way\nto the Hub")

    monkeypatch.setattr(datasets, "load_dataset_builder", load_dataset_builder)
    said = error_of(CorpusConfig(dataset="org/name"))
    assert said == f"dataset org/name, split train: no way ({HINT})"


def test_the_attempts_to_reach_the_hub_are_not_told_of_one_by_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub  # noqa: F401 - it sets its logger up

    library = logging.getLogger("huggingface_hub")
    before, told = library.level, []

    def load_dataset_builder(*arguments: Any, **options: Any) -> Any:
        told.append(logging.getLogger("huggingface_hub.utils._http").isEnabledFor(logging.WARNING))
        return hub.load_dataset_builder(*arguments, **options)

    monkeypatch.setattr(datasets, "load_dataset_builder", load_dataset_builder)
    library.setLevel(logging.WARNING)
    try:
        read(CorpusConfig(dataset="org/name"))
    finally:
        library.setLevel(before)
    assert told == [False]


def test_a_dataset_that_streams_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def rows() -> Iterator[dict[str, Any]]:
        yield {"translation": {"en": "one", "de": "eins"}, "id": 1}
        yield {"translation": {"en": "two", "de": "zwei"}, "id": 2}
        raise ConnectionError("the line is dead\nat row 3")

    streamed = datasets.IterableDataset.from_generator(rows)
    assert streamed.column_names is None
    builder = SimpleNamespace(hash=A, as_streaming_dataset=lambda split: streamed)  # noqa: ARG005
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: builder)
    said = error_of(CorpusConfig(dataset="org/name", streaming=True))
    assert said == f"dataset org/name, split train: the line is dead ({HINT})"


def test_another_commit_than_asked_for_is_refused(hub: Hub) -> None:
    hub.head, hub.ready = None, B
    assert len(read(CorpusConfig(dataset="org/name", revision=B))) == 300
    said = error_of(CorpusConfig(dataset="org/name", revision=A))
    hint = "fetch it with a network, or set data.*.revision to that commit"
    assert said == f"dataset org/name: no commit {A} without the Hub; this machine has {B} ({hint})"


def test_the_commit_of_a_branch_is_asked_of_the_hub_and_kept_for_times_without_network(
    hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for revision, name in ((None, "main"), ("refs/convert/parquet", "refs/convert/parquet")):
        config = CorpusConfig(dataset="org/name", revision=revision)
        hub.head = None
        assert hub_commit(config) is None
        said = "dataset org/name: the Hub does not name its commit: no way; taking"
        assert capfd.readouterr().err == f"{said} whatever commit there is\n"
        hub.head = B
        assert hub_commit(config) == B
        assert head(tmp_path, name).read_text() == B
        hub.head = None
        assert hub_commit(config) == B
        assert capfd.readouterr().err == f"{said} commit {B}, which it named last\n"
    assert hub.asked == [None] * 3 + ["refs/convert/parquet"] * 3


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("content", [b"", b"../../elsewhere", b"\xff\xfe", b"main", b"0" * 39])
def test_what_is_no_commit_in_the_cache_is_not_one(tmp_path: Path, content: bytes) -> None:
    head(tmp_path).parent.mkdir(parents=True)
    head(tmp_path).write_bytes(content)
    assert hub_revision(CorpusConfig(dataset="org/name")) is None


def test_a_revision_that_is_a_commit_is_itself(hub: Hub) -> None:
    assert hub_commit(CorpusConfig(dataset="org/name", revision=A)) == A
    assert hub_commit(CorpusConfig(builtin="train", pairs=1)) is None
    assert hub.asked == []


def test_a_cache_that_cannot_be_written_keeps_no_commit(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("no folder")
    assert hub_commit(CorpusConfig(dataset="org/name")) == hub.head


def test_the_revision_of_a_downloaded_dataset_is_known_offline(hub: Hub, tmp_path: Path) -> None:
    head(tmp_path).parent.mkdir(parents=True)
    head(tmp_path).write_text(A)
    config = CorpusConfig(dataset="org/name")
    assert hub_revision(config) == A
    assert hub_revision(CorpusConfig(dataset="org/other")) is None
    assert hub_revision(CorpusConfig(dataset="org/other", revision=B)) == B
    assert hub_revision(CorpusConfig(dataset="org/other", revision="refs/convert/parquet")) is None
    assert hub_revision(CorpusConfig(builtin="train", pairs=1)) is None
    assert not is_cached(config)
    (head(tmp_path).parent.parent / "snapshots" / A).mkdir(parents=True)
    assert is_cached(config)
    assert not is_cached(config.model_copy(update={"streaming": True}))
    assert hub.asked == []


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("folder", ["org/name", "name", "."])
def test_a_saved_dataset_is_found_under_the_data_folder(tmp_path: Path, folder: str) -> None:
    dataset(TRANSLATION).save_to_disk(tmp_path / folder)
    pairs = [("one two three", "eins"), ("x", "")]
    assert read_in(tmp_path, CorpusConfig(dataset="org/name")) == pairs
    swapped = [(target, source) for source, target in pairs]
    assert read_in(tmp_path, CorpusConfig(dataset="org/name"), languages=DE_EN) == swapped


def test_a_saved_dataset_of_splits_gives_the_split_asked_for(tmp_path: Path) -> None:
    import datasets

    rows = {"a": ["x"], "b": ["y"]}
    datasets.DatasetDict({"test": dataset(rows)}).save_to_disk(tmp_path / "name")
    config: dict[str, Any] = {"dataset": "org/name", "columns": ["b", "a"]}
    assert read_in(tmp_path, CorpusConfig(**config, split="test")) == [("y", "x")]
    said = error_in(tmp_path, CorpusConfig(**config))
    assert said == f"dataset {tmp_path}/name: no split 'train'; it has test"


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_of_json_lines_is_read_as_a_dataset(tmp_path: Path) -> None:
    lines = [{"translation": {"en": "one", "de": "eins"}}, {"translation": {"en": "two", "de": "zwei"}}]
    write(tmp_path / "data/org/name/de-en/train.jsonl", "\n".join(map(json.dumps, lines)).encode())
    config = CorpusConfig(dataset="org/name", config="de-en")
    assert read_in(tmp_path / "data", config) == [("one", "eins"), ("two", "zwei")]
    said = error_in(tmp_path / "data", CorpusConfig(dataset="org/name", config="de-en", split="dev"))
    assert said.startswith(f"dataset {tmp_path}/data/org/name/de-en, split dev: ")
    assert said.endswith("(check data.*.dataset, config and split)")


def test_a_dataset_that_is_nowhere_lists_where_it_was_looked_for(tmp_path: Path) -> None:
    said = error_in(tmp_path, CorpusConfig(dataset="org/name"))
    assert f"looked at {tmp_path}/org/name, {tmp_path}/name, {tmp_path} (" in said


def test_a_missing_column_lists_those_there_are(tmp_path: Path) -> None:
    dataset({"en": ["x"], "de": ["y"]}).save_to_disk(tmp_path / "name")
    said = error_in(tmp_path, CorpusConfig(dataset="name"))
    assert said.startswith("dataset name: no column 'translation'; it has en, de (name them: columns = [")


def test_a_missing_language_lists_those_there_are(tmp_path: Path) -> None:
    dataset(TRANSLATION).save_to_disk(tmp_path / "name")
    said = error_in(tmp_path, CorpusConfig(dataset="name"), languages=LanguagesConfig(source="en", target="fr"))
    assert "no language 'fr' in column 'translation'; it has" in said


def test_one_column_of_plain_text_is_an_error(tmp_path: Path) -> None:
    dataset({"translation": ["x"]}).save_to_disk(tmp_path / "name")
    said = error_in(tmp_path, CorpusConfig(dataset="name"))
    assert said.startswith("dataset name: column 'translation' holds no {language: text} but str (")


def test_numbers_in_place_of_text_are_an_error(tmp_path: Path) -> None:
    dataset({"a": [1], "b": ["x"]}).save_to_disk(tmp_path / "name")
    said = error_in(tmp_path, CorpusConfig(dataset="name", columns=["a", "b"]))
    assert said == "dataset name: int where text should be: 1"


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_can_stream_and_gives_the_same(tmp_path: Path) -> None:
    lines = [{"a": f"{i}", "b": None if i == 7 else f"b\n{i}"} for i in range(1500)]
    write(tmp_path / "data/org/name/train.jsonl", "\n".join(map(json.dumps, lines)).encode())
    options: dict[str, Any] = {"dataset": "org/name", "columns": ["a", "b"]}
    streamed = read_in(tmp_path / "data", CorpusConfig(**options, streaming=True))
    assert streamed == read_in(tmp_path / "data", CorpusConfig(**options))
    assert len(streamed) == 1500
    assert streamed[7:9] == [("7", ""), ("8", "b 8")]


@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", "en,de\nNA,null\n2020-01-01,2020-01-02\n"),
        ("train.tsv", "en\tde\nNA\tnull\n2020-01-01\t2020-01-02\n"),
        ("train.jsonl", '{"en": "NA", "de": "null"}\n{"en": "2020-01-01", "de": "2020-01-02"}\n'),
        ("train.json", '[{"en": "NA", "de": "null"}, {"en": "2020-01-01", "de": "2020-01-02"}]'),
    ],
)
def test_text_in_a_folder_stays_text(tmp_path: Path, name: str, content: str, streaming: bool) -> None:
    write(tmp_path / "name" / name, content.encode())
    config = CorpusConfig(dataset="org/name", columns=["en", "de"], streaming=streaming)
    if name == "train.json":  # an array, which is left to `datasets`
        write(tmp_path / "name" / name, content.replace("2020-01-02", "two").encode())
        assert read_in(tmp_path, config)[0] == ("NA", "null")
    else:
        assert read_in(tmp_path, config) == [("NA", "null"), ("2020-01-01", "2020-01-02")]


@pytest.mark.usefixtures("hub_cache")
def test_surplus_fields_in_a_folder_are_an_error_and_shift_no_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "name/train.csv", b"en,de\none dog,ein Hund,x\ntwo dogs,zwei Hunde,y\n")
    said = error_in(tmp_path, CorpusConfig(dataset="org/name", columns=["en", "de"]))
    assert said == f"{path}:2: 3 fields, and the first line names 2"


def test_what_the_readers_of_datasets_changed_is_refused(tmp_path: Path) -> None:
    import datetime

    dataset({"en": [datetime.date(2020, 1, 1)], "de": ["x"]}).save_to_disk(tmp_path / "name")
    said = error_in(tmp_path, CorpusConfig(dataset="name", columns=["en", "de"]))
    assert said.startswith(
        "dataset name: `datasets` has turned the text of column 'en' into date32 (download its files"
    )
    dataset({"en": ["x"], "de": ["y"], "__index_level_0__": ["z"]}).save_to_disk(tmp_path / "other")
    said = error_in(tmp_path, CorpusConfig(dataset="other", columns=["en", "de"]))
    assert said.startswith("dataset other: its rows have more fields than its first line names, and `datasets` shifts ")


def test_digests_of_a_dataset_are_those_of_its_files_or_of_its_name(tmp_path: Path) -> None:
    write(tmp_path / "name/x/train.jsonl", b"{}")
    config = CorpusConfig(dataset="org/name", split="train")
    assert list(corpus_digests(config, root=tmp_path, local=True)) == ["org/name/x/train.jsonl"]
    remote = corpus_digests(config, root=tmp_path, local=False)
    assert list(remote) == ["org/name:train"]
    assert remote != corpus_digests(config.model_copy(update={"columns": ["a", "b"]}), root=tmp_path, local=False)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageError), (errno.EIO, StorageError), (None, DataError)]
)
def test_a_disk_that_fails_under_a_dataset_is_told_from_a_dataset_that_does(
    number: int | None, kind: type[Exception]
) -> None:
    error = RuntimeError("An error occurred while generating the dataset")
    error.__cause__ = OSError(number, "of the disk", "/cache/x") if number else OSError("no such dataset")
    found = reading_hub._failed("dataset x", error, local=False)
    assert type(found) is kind
    assert str(found).startswith("/cache/x: of the disk" if number else "dataset x: An error occurred")
