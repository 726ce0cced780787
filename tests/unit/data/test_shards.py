"""Shards made by several processes: the same bytes, whatever happens on the way."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import GeneratorType
from typing import Any

import pyarrow as pa
import pytest
from processes import in_group, wait_until

from nmt import files
from nmt.config.data import CleaningConfig, DataConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.data import shards
from nmt.data.cleaning import corpus_text
from nmt.data.cleaning.corpus_text import TextPlan, write_text
from nmt.data.encoding import corpus_ids
from nmt.data.encoding.corpus_ids import IdsPlan, write_ids
from nmt.data.encoding.tokenizer_training import train
from nmt.data.shards import card_of, corpus_of, in_order, read_shard, shard_path, shard_paths, write_shard
from nmt.errors import DataError, StorageError, WorkersError
from nmt.files import digest_file

SCHEMA = pa.schema([("n", pa.int64())])
WORDS = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "yew"]
PATIENCE = 60.0


# One shard.


def test_a_shard_knows_its_corpus_and_its_rows(tmp_path: Path) -> None:
    path = shard_path(tmp_path / "a", 7)
    card: dict[str, Any] = {}

    def batches() -> Iterator[list[Any]]:
        for rows in ([1, 2], [], [3]):
            card["rows"] = card.get("rows", 0) + len(rows)
            yield [rows]

    assert card_of(path) is None
    write_shard(path, SCHEMA, "häuser", batches(), card)
    assert [batch.column("n").to_pylist() for batch in read_shard(path)] == [[1, 2], [], [3]]
    assert corpus_of(path) == "häuser"
    assert card_of(path) == {"rows": 3}
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["00007.arrow", "00007.json"]


def test_a_shard_without_its_card_or_a_card_without_its_shard_is_not_whole(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 0)
    write_shard(path, SCHEMA, "a", [[[1]]])
    assert card_of(path) is None
    write_shard(path, SCHEMA, "a", [[[1]]], {"rows": 1})
    for content in ("", "{", "[]"):
        path.with_suffix(".json").write_text(content)
        assert card_of(path) is None
    path.with_suffix(".json").write_text("{}")
    assert card_of(path) == {}
    path.unlink()
    assert card_of(path) is None


def test_what_fails_in_the_midst_leaves_no_shard_and_no_card(tmp_path: Path) -> None:
    def batches() -> Iterator[list[Any]]:
        yield [[1, 2]]
        raise DataError("no more")

    path = shard_path(tmp_path, 0)
    with pytest.raises(DataError, match="no more"):
        write_shard(path, SCHEMA, "a", batches(), {})
    assert list(tmp_path.iterdir()) == []


def test_a_shard_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shard_path(tmp_path, 3)

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(StorageError) as caught:
        write_shard(path, SCHEMA, "a", [[[1]]], {})
    assert str(caught.value) == f"{path}: cannot be written: No space left on device (free some space and run again)"
    assert list(tmp_path.iterdir()) == []


def test_shards_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (100_000, 2, 99_999):
        write_shard(shard_path(tmp_path, number), SCHEMA, "a", [], {})
    (tmp_path / ".00003.arrow.7.partial").touch()
    assert [path.stem for path in shard_paths(tmp_path)] == ["00002", "99999", "100000"]


def test_missing_or_damaged_shards_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("none", "empty"):
        with pytest.raises(DataError) as caught:
            shard_paths(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: no such data (prepare the data again)"
    path = shard_path(tmp_path, 0)
    for content in (b"", b"no Arrow at all" * 9):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"/00000\.arrow: damaged: .*\(prepare the data again\)"):
            list(read_shard(path))
        with pytest.raises(DataError, match=r"/00000\.arrow: damaged: .*\(prepare the data again\)"):
            corpus_of(path)


# Processes. What they do has to be found by its name in a process that is started anew.


def double(context: Path, task: int) -> tuple[int, int]:
    (context / str(task)).touch()
    return 2 * task, os.getpid()


def by_order(_: Path, task: str) -> str:
    match task:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(0.3)
        case "data":
            raise DataError("line 7: bad", hint="look at it")
        case "full":
            raise OSError(28, "No space left on device", "/some/file")
        case "bug":
            raise ZeroDivisionError("a bug")
    return task


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(tmp_path: Path, workers: int) -> None:
    found = list(in_order(double, range(9), tmp_path, workers=workers))
    assert [result for result, _ in found] == [2 * task for task in range(9)]
    assert (os.getpid() in {pid for _, pid in found}) == (workers == 1)
    assert len({pid for _, pid in found}) <= workers


def test_without_tasks_or_with_one_no_process_is_started(tmp_path: Path) -> None:
    assert list(in_order(double, [], tmp_path, workers=4)) == []
    assert list(in_order(double, [3], tmp_path, workers=4)) == [(6, os.getpid())]


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_are_drawn_only_some_ahead_of_the_results(tmp_path: Path, workers: int) -> None:
    drawn: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(50):
            drawn.append(task)
            yield task

    results = in_order(double, tasks(), tmp_path, workers=workers)
    for number in range(5):
        next(results)
        assert len(drawn) <= number + workers + shards.AHEAD + 2
    assert isinstance(results, GeneratorType)
    results.close()
    assert len(drawn) < 20
    assert len(list(tmp_path.iterdir())) < 20


def test_an_error_of_a_worker_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list(in_order(by_order, ["a", "data", "b", "c"], tmp_path, workers=2))
    assert str(caught.value) == "line 7: bad (look at it)"
    assert caught.value.hint == "look at it"
    with pytest.raises(OSError, match="No space left") as full:
        list(in_order(by_order, ["a", "full"], tmp_path, workers=2))
    assert (full.value.errno, full.value.filename) == (28, "/some/file")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(in_order(by_order, ["a", "bug"], tmp_path, workers=2))


def test_an_error_of_whoever_makes_the_tasks_comes_out_as_it_is(tmp_path: Path) -> None:
    def tasks() -> Iterator[str]:
        yield from ("a", "sleep", "b")
        raise DataError("unequal sides")

    with pytest.raises(DataError, match="unequal sides"):
        list(in_order(by_order, tasks(), tmp_path, workers=2))


def test_a_worker_that_is_killed_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(WorkersError) as caught:
        list(in_order(by_order, ["a", "kill", "sleep", "b", "c"], tmp_path, workers=2))
    assert str(caught.value) == (
        "a process that prepares data was killed, perhaps for lack of memory "
        "(run it again, it goes on where it stopped; fewer --workers need less memory)"
    )


def without_control_c(_: Path, task: int) -> bool:
    return task >= 0 and signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_worker_leaves_control_c_to_its_parent_from_its_first_moment_on(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.SIGINT not in before
    # They have it from the process that starts them: nothing of theirs has to run first.
    assert all(in_order(without_control_c, range(6), tmp_path, workers=2))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who is alive")


@needs_proc
def test_no_worker_is_left_when_the_work_ends_or_is_given_up(tmp_path: Path) -> None:
    before = in_group(os.getpgrp())
    given_up = in_order(double, range(50), tmp_path, workers=2)
    _, worker = next(given_up)
    assert worker in in_group(os.getpgrp())
    assert isinstance(given_up, GeneratorType)
    given_up.close()
    assert worker not in in_group(os.getpgrp())
    found = list(in_order(double, range(5), tmp_path, workers=2))
    assert in_group(os.getpgrp()).isdisjoint({pid for _, pid in found} - before)


PARENT = """
import os, sys
sys.path[:0] = {folders!r}
from pathlib import Path
from nmt.data.shards import in_order
from test_shards import double
if __name__ == "__main__":
    for _ in in_order(double, range(10**6), Path(sys.argv[1]), workers=2):
        pass
"""


def started(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Start a process with two workers, in a process group of its own; return it once they work."""
    script, done = tmp_path / "parent.py", tmp_path / "done"
    script.write_text(
        PARENT.format(folders=[str(folder) for folder in (Path(__file__).parent, Path(__file__).parents[2])]),
        encoding="utf-8",
    )
    done.mkdir()
    process = subprocess.Popen(
        [sys.executable, script, done], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    wait_until(lambda: len(list(done.iterdir())) > 20)
    return process


@needs_proc
def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    process = started(tmp_path)
    assert len(in_group(process.pid)) >= 3
    process.kill()
    process.communicate(timeout=PATIENCE)
    wait_until(lambda: not in_group(process.pid))


@needs_proc
def test_control_c_in_a_terminal_goes_to_all_and_only_the_parent_minds(tmp_path: Path) -> None:
    process = started(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert said.decode().count("Traceback") == 1, "of the parent alone, which has nobody to catch it here"
    wait_until(lambda: not in_group(process.pid))


# The two stages that work so.


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with two corpora and a tokenizer."""
    home = tmp_path_factory.mktemp("shards")
    rng = random.Random(1)
    for name, count in (("one", 130), ("two", 70)):
        pairs = [(" ".join(rng.choices(WORDS, k=3)), " ".join(rng.choices(WORDS, k=4)).upper()) for _ in range(count)]
        pairs += [("same", "same"), *pairs[:20]]
        (home / f"{name}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    (home / "tokenizer").mkdir()
    words = " ".join(WORDS)
    train([words], [words.upper()], TokenizerConfig(vocab_size=300), home / "tokenizer", seed=1)
    return home


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_text, "SHARD", 30)
    monkeypatch.setattr(corpus_text, "ROWS", 11)
    monkeypatch.setattr(corpus_ids, "ROWS", 11)


def make(home: Path, folder: Path, workers: int = 1) -> list[Any]:
    """Make text and ids; return what was counted."""
    corpora = {"one": {"files": "one.tsv"}, "two": {"files": "two.tsv", "tags": ["<t>"]}}
    data = DataConfig.model_validate({"train": corpora, "dev_pairs": 12, "test_pairs": 9})
    languages = LanguagesConfig(source="en", target="de")
    cleaning = CleaningConfig(drop_near_duplicates=True, max_pieces=18)
    plan = TextPlan(data, cleaning, languages, home, local=False)
    counts = write_text(plan, folder / "text", workers=workers)
    ids = IdsPlan(folder / "text", home / "tokenizer", data, cleaning, 64)
    return [counts.to_json(), write_ids(ids, folder / "ids", workers=workers).to_json()]


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): digest_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def as_read(counts: Any) -> Any:
    """Return counts as they stand in a manifest: JSON knows no tuples."""
    return json.loads(json.dumps(counts))


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.usefixtures("small")
def test_the_bytes_do_not_depend_on_the_number_of_processes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(corpus_text, "ROWS", shards.ROWS)  # which a process that is started anew does not see
    monkeypatch.setattr(corpus_ids, "ROWS", shards.ROWS)
    counts = make(home, tmp_path / "alone")
    assert make(home, tmp_path / "together", workers) == counts
    assert digests(tmp_path / "alone") == digests(tmp_path / "together")
    assert len(shard_paths(tmp_path / "alone" / "ids" / "train")) == 10
    dropped = counts[1]["funnel"]["dropped"]
    assert 0 < dropped["max_pieces"] < counts[0]["pairs"]["train"]


@pytest.mark.usefixtures("small")
def test_what_a_killed_call_has_left_is_gone_on_with_and_not_made_again(home: Path, tmp_path: Path) -> None:
    counts = as_read(make(home, tmp_path / "run"))
    whole = digests(tmp_path / "run")
    rng = random.Random(2)
    for _ in range(12):
        folders = [path for path in (tmp_path / "run").rglob("*") if path.is_dir()]
        found = [path for folder in folders for path in folder.glob("0*")]
        lost = set(rng.sample(found, rng.randrange(1, len(found))))
        for path in lost:
            path.unlink()
        # A shard is whole where it and its card are there; dev and test of the text have none, and are always written.
        kept = {
            path: path.stat().st_mtime_ns
            for path in found
            if {path.with_suffix(end) for end in (".arrow", ".json")}.isdisjoint(lost)
            and path.with_suffix(".json").exists()
        }
        assert as_read(make(home, tmp_path / "run")) == counts
        assert digests(tmp_path / "run") == whole
        assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.usefixtures("small")
def test_a_call_broken_off_at_any_shard_is_gone_on_with(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(home, tmp_path / "whole")
    written = 0

    def broken(self: Path, target: Path) -> Path:
        nonlocal written
        written += 1
        if written == stop:
            raise KeyboardInterrupt
        return replace(self, target)

    replace = Path.replace
    for stop in range(1, 60, 7):
        written = 0
        monkeypatch.setattr(Path, "replace", broken)
        with pytest.raises(KeyboardInterrupt):
            make(home, tmp_path / f"run-{stop}")
        monkeypatch.setattr(Path, "replace", replace)
        make(home, tmp_path / f"run-{stop}")
        assert digests(tmp_path / f"run-{stop}") == digests(tmp_path / "whole")


@pytest.mark.usefixtures("small")
def test_a_call_broken_off_while_it_cleared_up_is_gone_on_with(home: Path, tmp_path: Path) -> None:
    make(home, tmp_path / "run")
    whole = digests(tmp_path / "run")
    cleaned = tmp_path / "run" / "text" / corpus_text.CLEANED
    cleaned.mkdir()
    for number in (1, 3):  # half of what was being removed
        write_shard(shard_path(cleaned, number), SCHEMA, "one", [[[1]]])
    make(home, tmp_path / "run")
    assert digests(tmp_path / "run") == whole


def test_sides_that_turn_out_unequal_in_a_later_shard_end_the_parallel_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_text, "SHARD", 10)
    for name, lines in (("a.en", 45), ("a.de", 44)):
        (tmp_path / name).write_text("".join(f"{name} {WORDS[i % 12]} {i}\n" for i in range(lines)), encoding="utf-8")
    data = DataConfig.model_validate({"train": {"source": "a.en", "target": "a.de"}, "dev_pairs": 1, "test_pairs": 1})
    plan = TextPlan(data, CleaningConfig(), LanguagesConfig(source="en", target="de"), tmp_path, local=False)
    with pytest.raises(DataError) as caught:
        write_text(plan, tmp_path / "text", workers=2)
    assert str(caught.value) == (
        f"{tmp_path / 'a.en'} has 45 lines but {tmp_path / 'a.de'} has 44 "
        "(the two files of a corpus are translations line by line)"
    )
    assert not (tmp_path / "text" / "train").exists()
