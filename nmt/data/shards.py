"""Shards of a data set: Arrow files, and the work on them by several processes.

A shard is a file `NNNNN.arrow` with the name of its corpus in the schema, and a card `NNNNN.json` with its counts. The
card is written last, so a shard that has one is whole, and a run that resumes a killed one keeps it. The content of a
shard depends on its rows alone, not on the number of processes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar, cast

import pyarrow as pa

from nmt.errors import SPACE, DataError, StorageError, WorkersError
from nmt.files import JsonObject, entries, is_missing, read_record, replacing, write_json
from nmt.processes import Child, ChildDiedError, end_all

SHARD = 50_000  # raw pairs in a shard of a corpus
ROWS = 10_000  # rows of a record batch
AHEAD = 1  # tasks that wait for a busy worker
T = TypeVar("T")
Task = TypeVar("Task")
Context = TypeVar("Context")


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.arrow"


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of `folder` in order. Raises DataError where there is none."""
    paths = sorted(entries(folder, "*.arrow"), key=lambda path: int(path.stem))
    if not paths:
        raise DataError(f"{folder}: no such data", hint="prepare the data again")
    return paths


def card_of(path: Path) -> JsonObject | None:
    """Return the card of the shard at `path`; None where the shard is missing or not whole. Raises OSError."""
    return None if is_missing(path) else read_record(path.with_suffix(".json"))


def write_shard(
    path: Path, schema: pa.Schema, corpus: str, batches: Iterable[Sequence[object]], card: JsonObject | None = None
) -> None:
    """Write `batches` of columns, then the card, if there is one, each whole or not at all.

    The card may be filled while the batches are drawn. Raises StorageError where the disk is full or read-only.
    """
    schema = schema.with_metadata({"corpus": corpus})
    try:
        with replacing(path) as scratch, pa.ipc.new_stream(str(scratch), schema) as writer:
            for columns in batches:
                writer.write_batch(pa.record_batch(columns, schema=schema))
        if card is not None:
            write_json(path.with_suffix(".json"), card)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise StorageError(f"{path}: cannot be written: {reason}", hint=SPACE.get(error.errno)) from None


@contextmanager
def _open(path: Path) -> Iterator[pa.ipc.RecordBatchStreamReader]:
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
            yield reader
    except FileNotFoundError:
        raise DataError(f"{path}: missing", hint="prepare the data again") from None
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise StorageError(f"{path}: {os.strerror(error.errno)}") from None
        raise DataError(f"{path}: damaged: {error}", hint="prepare the data again") from None


def read_shard(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a shard, mapped to memory.

    Raises DataError where the shard is missing or damaged, StorageError where it cannot be read.
    """
    with _open(path) as reader:
        yield from reader


def corpus_of(path: Path) -> str:
    """Return the name of the corpus of a shard. Raises as `read_shard`."""
    with _open(path) as reader:
        return (reader.schema.metadata or {}).get(b"corpus", b"").decode()


def in_order(
    work: Callable[[Context, Task], T], tasks: Iterable[Task], context: Context, *, workers: int
) -> Iterator[T]:
    """Yield work(context, task) of each task, in their order, computed by at most `workers` processes.

    Tasks are drawn a few ahead of the results. With one worker, or a single task, this process does the work. The
    function must be importable; context, tasks and results are pickled. Raises what the function raises, and
    WorkersError where a process dies.
    """
    tasks = iter(tasks)
    first = deque(islice(tasks, 2))
    is_alone = workers == 1 or len(first) < 2
    tasks = chain((first.popleft() for _ in range(len(first))), tasks)  # which keeps no finished task
    if is_alone:
        yield from (work(context, task) for task in tasks)
        return
    children: list[Child[Context]] = []
    waiting: deque[Child[Context]] = deque()  # the child of each task in hand; each answers its own tasks in order
    try:
        for task in tasks:
            if len(children) < workers:
                children.append(child := Child(context))
            else:
                child = min(children, key=lambda child: child.pending - child.is_ready())
            child.call(work, task)
            waiting.append(child)
            if len(waiting) > workers + AHEAD:
                yield cast(T, _result(waiting.popleft()))
        while waiting:
            yield cast(T, _result(waiting.popleft()))
    finally:
        end_all(children)


def _result(child: Child[Context]) -> object:
    try:
        return child.receive().result()
    except ChildDiedError:
        hint = "run it again, it goes on where it stopped; fewer --workers need less memory"
        raise WorkersError("a process that prepares data was killed, perhaps for lack of memory", hint=hint) from None
