"""The text of datasets of the Hub, which is played here: of one commit, also after an end and from the cache."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hubs import A, B, Hub, play_hub

from nmt.config.toml import LoadedRecipe, check
from nmt.data.cleaning import corpus_text
from nmt.data.reading.corpus import read_corpus
from nmt.files import read_json
from nmt.pipeline import run as pipeline
from nmt.pipeline import text
from nmt.pipeline.manifest import MANIFEST
from nmt.pipeline.stage_cache import StageCache

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return play_hub(tmp_path, monkeypatch)


@pytest.fixture
def prepare(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: ARG001
    """Return what makes the text of a run, `killed` after so many pairs of train, and returns its manifest."""
    monkeypatch.setattr(corpus_text, "SHARD", 100)

    def run(killed: int | None = None, folder: str = "run") -> dict[str, Any]:
        def reading(*args: Any, **options: Any) -> Iterator[Any]:
            for number, pair in enumerate(read_corpus(*args, **options)):
                if number == killed and options["default_split"] == "train":
                    raise KeyboardInterrupt
                yield pair

        monkeypatch.setattr(corpus_text, "read_corpus", reading)
        parts = {
            "train": {"dataset": "org/name"},
            "dev": {"dataset": "org/name"},
            "test": {"t": {"dataset": "org/name"}},
        }
        recipe = {"name": "x", "languages": {"source": "en", "target": "de"}, "data": parts}
        loaded = LoadedRecipe(check(recipe, "x"), tmp_path / "x.toml", "")
        cache = None if folder == "run" else StageCache(tmp_path / "cache")
        made = pipeline.Run(loaded, run_dir=tmp_path / folder, workers=1, cache=cache)
        text.STAGE.run(made, text.STAGE.due(made))
        made.add_result("text", made.folder.text)
        written: dict[str, Any] = read_json(made.folder.text / MANIFEST)
        return written

    return run


def commits_of(folder: Path) -> dict[str, set[str]]:
    """Return the first letters of the commits that the text of a run is from, by split."""
    return {
        split: {source.split()[1] for source, _ in corpus_text.iterate_text(folder, split)}
        for split in ("train", "dev", "test.t")
    }


def test_a_run_that_goes_on_after_the_hub_moved_reads_one_commit_and_names_it(
    prepare: Run, hub: Hub, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(killed=250)
    assert len(list((tmp_path / "run" / "prepared").glob(".text.growing/**/*.arrow"))) >= 2
    assert hub.loaded == [("validation", A), ("test", A), ("train", A)]
    hub.head, hub.asked, hub.loaded = B, [], []
    assert prepare()["hub_commits"] == {"train": B, "dev": B, "test.t": B}
    assert commits_of(tmp_path / "run" / "prepared" / "text") == {"train": {"b"}, "dev": {"b"}, "test.t": {"b"}}
    assert hub.asked == [None]
    assert hub.loaded == [("validation", B), ("test", B), ("train", B)]
    assert json.loads((tmp_path / "run" / "lock.json").read_text())["hub_commits"]["train"] == B


def test_a_run_that_goes_on_at_the_same_commit_keeps_what_was_made(prepare: Run, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(killed=250)
    shards = sorted((tmp_path / "run" / "prepared").glob(".text.growing/**/cleaned/*.arrow"))
    before = [shard.stat().st_mtime_ns for shard in shards]
    with pytest.raises(KeyboardInterrupt):
        prepare(killed=299)
    assert [shard.stat().st_mtime_ns for shard in shards] == before
    hub.head, hub.ready = None, A
    assert prepare()["hub_commits"]["train"] == A


def test_a_run_without_a_commit_does_not_go_on_with_an_older_one(prepare: Run, hub: Hub, tmp_path: Path) -> None:
    hub.head, hub.ready = None, A
    with pytest.raises(KeyboardInterrupt):
        prepare(killed=250)
    hub.ready = B
    assert prepare()["hub_commits"] == {}
    assert commits_of(tmp_path / "run" / "prepared" / "text")["train"] == {"b"}


def test_text_of_a_dataset_is_taken_from_the_cache_at_the_same_commit_alone(
    prepare: Run, hub: Hub, tmp_path: Path
) -> None:
    first = prepare(folder="one")
    hub.loaded = []
    assert prepare(folder="two") == first
    assert json.loads((tmp_path / "two" / "lock.json").read_text())["hub_commits"]["train"] == A
    assert hub.loaded == []
    hub.head = B
    assert prepare(folder="three")["hub_commits"]["train"] == B
    assert commits_of(tmp_path / "three" / "prepared" / "text")["train"] == {"b"}
    hub.head, hub.loaded = None, []  # without network it is the commit that was named last
    assert prepare(folder="four")["hub_commits"]["train"] == B
    assert hub.loaded == []


def test_text_of_a_dataset_without_a_commit_is_not_cached(prepare: Run, hub: Hub, tmp_path: Path) -> None:
    hub.head, hub.ready = None, A
    for name in ("one", "two"):
        assert prepare(folder=name)["hub_commits"] == {}
    assert len(hub.loaded) == 6
    assert not (tmp_path / "cache").exists()
