"""The stage `text`: its inputs, and the commits of the Hub."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from runs import changes, corpus, make_run

from nmt.config.data import CorpusConfig
from nmt.pipeline import run as run_module
from nmt.pipeline import text
from nmt.pipeline.lock import Locked
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.run import Run
from nmt.pipeline.text import STAGE


def run_of(root: Path, **data: Any) -> Run:
    return make_run(root, data=data)


def test_half_made_text_that_was_read_in_another_way_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tmp_path, train=corpus(tmp_path, "a"))
    made: list[list[str]] = []

    def broken_off(_: object, folder: Path, **__: object) -> None:
        made.append(sorted(path.name for path in folder.iterdir()))
        (folder / f"part {len(made)}").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(text, "write_text", broken_off)
    for version in (1, 1, 2):
        monkeypatch.setattr(text, "READING", version)
        with pytest.raises(KeyboardInterrupt):
            text.make(run, Manifest("text", {}))
    assert made == [[], ["part 1"], []]


def test_weights_change_nothing_of_the_text_and_the_rest_of_a_corpus_does(tmp_path: Path) -> None:
    files = corpus(tmp_path, "a")
    plain = run_of(tmp_path)
    assert changes(STAGE, run_of(tmp_path, train={"a": {**files, "weight": 2.0}, "b": files}), plain) == []
    assert changes(STAGE, run_of(tmp_path, temperature=5.0), plain) == []
    for train, key in (
        ({"a": {**files, "tags": ["<a>"]}, "b": files}, "data.train.a.tags"),
        ({"a": files, "c": files}, "data.train.b.files"),
        ({"a": {**files, "cleaning": {"max_characters": 9}}, "b": files}, "data.train.a.cleaning.max_characters"),
        ({"a": {**files, "pairs": 2}, "b": files}, "data.train.a.pairs"),
    ):
        assert key in changes(STAGE, run_of(tmp_path, train=train), plain)


def test_the_order_of_the_corpora_is_an_input(tmp_path: Path) -> None:
    train = {name: corpus(tmp_path, name) for name in ("one", "two")}
    forth, back = (run_of(tmp_path, train=given) for given in (train, dict(reversed(train.items()))))
    assert changes(STAGE, forth, back) == ["order"]


def test_the_bytes_of_the_files_are_inputs(tmp_path: Path) -> None:
    train = {"one": corpus(tmp_path, "one")}
    before, after = (run_of(tmp_path, train=train) for _ in range(2))
    assert before.data_digests == after.data_digests
    (tmp_path / "one.tsv").write_text("other\tbytes\n")
    assert changes(STAGE, before, run_of(tmp_path, train=train)) == ["files.train.one.one.tsv"]


def test_filters_of_pieces_of_a_corpus_change_nothing_of_the_text(tmp_path: Path) -> None:
    files = corpus(tmp_path, "a")
    first, second = (
        run_of(tmp_path, train={"a": {**files, "cleaning": cleaning}, "b": files})
        for cleaning in ({"max_pieces": 9}, {"max_pieces": 8, "max_piece_ratio": 2.0})
    )
    assert changes(STAGE, first, second) == []


def test_the_number_of_placeholders_counts_where_some_are_used(tmp_path: Path) -> None:
    assert text.inputs(run_of(tmp_path))["placeholders"] is None
    assert text.inputs(run_of(tmp_path, protect="x"))["placeholders"] == 2


DATASET = {"dataset": "org/name", "revision": "main"}


def test_datasets_are_read_at_their_commits(tmp_path: Path) -> None:
    run = run_of(tmp_path, train=DATASET, dev={"dataset": "org/name"}, test={"t": DATASET})
    data = text.text_plan(run, {"train": "1", "dev": "2", "test.t": None}).data
    assert data.dev is not None
    assert [data.train["train"].revision, data.dev.revision, data.test["t"].revision] == ["1", "2", "main"]


def test_a_dataset_is_asked_for_its_commit_once_for_all_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[CorpusConfig] = []

    def commit_of(corpus: CorpusConfig) -> str:
        asked.append(corpus)
        return f"commit {len(asked)}"

    monkeypatch.setattr(run_module, "hub_commit", commit_of)

    def run_of_datasets() -> Run:
        return run_of(tmp_path, train=DATASET, dev={"dataset": "org/other"}, test={"t": DATASET})

    commits = {"train": "commit 1", "dev": "commit 2", "test.t": "commit 1"}
    run = run_of_datasets()
    assert (run.hub_commits, text.origin(run)) == (commits, commits)
    locked, local = run_of_datasets(), run_of_datasets()
    locked.locked = cast("Locked", SimpleNamespace(lock=SimpleNamespace(hub_commits={"train": "abc"})))
    assert locked.hub_commits["train"] == "abc"
    local.local = True
    assert local.hub_commits == {}
    assert run_of(tmp_path).hub_commits == {}


def test_text_of_a_dataset_without_a_commit_has_no_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "hub_commit", lambda corpus: None if corpus.dataset == "org/other" else "abc")
    assert text.origin(run_of(tmp_path, train=DATASET, dev={"dataset": "org/other"})) is None
    assert text.origin(run_of(tmp_path, train=DATASET)) == {"train": "abc"}
    assert text.origin(run_of(tmp_path)) == {}


def test_monolingual_text_is_an_input_with_its_language_and_its_commit(tmp_path: Path) -> None:
    corpus(tmp_path, "a")
    lines = {"language": "de", "text": "a.tsv"}
    plain = run_of(tmp_path, monolingual={"x": lines})
    assert text.inputs(plain)["order"] == ["a", "b", "x"]
    for changed, key in (
        ({"x": {**lines, "language": "en"}}, "data.monolingual.x.language"),
        ({"x": {**lines, "pairs": 2}}, "data.monolingual.x.pairs"),
    ):
        assert key in changes(STAGE, run_of(tmp_path, monolingual=changed), plain)
    assert changes(STAGE, run_of(tmp_path, monolingual={"x": {**lines, "weight": 2.0}}), plain) == []
    run = run_of(tmp_path, monolingual={"x": {"language": "de", **DATASET}})
    assert text.text_plan(run, {"monolingual.x": "1"}).data.monolingual["x"].revision == "1"
