"""Arrow files of so many rows each, and processes that make one shard at a time.

A shard is a file `NNNNN.arrow`, its corpus named in the schema, and `NNNNN.json` beside it, with what was counted as it
was made. The card comes last, so a shard that has one is whole, and is not made again by a run that goes on after a
killed one. What a shard holds depends on the rows it is made from alone, never on how many processes there are.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, connection, get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from nmt.errors import DataError, StorageError, WorkersError
from nmt.files import read_json, replacing, write_json

SHARD = 50_000
"""Raw pairs that make one shard of a corpus."""
ROWS = 10_000
"""Rows of a record batch."""
AHEAD = 1
"""Shards that wait for a worker, to keep it busy."""

T = TypeVar("T")
Context = TypeVar("Context")


def shard_path(folder: Path, number: int) -> Path:
    """Return the file of shard `number`."""
    return folder / f"{number:05}.arrow"


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of `folder` in their order. Raises DataError where there is none."""
    paths = sorted(folder.glob("*.arrow"), key=lambda path: int(path.stem))
    if not paths:
        raise DataError(f"{folder}: no such data", hint="prepare the data again")
    return paths


def card_of(path: Path) -> dict[str, Any] | None:
    """Return what was counted as the shard at `path` was made; None where it is not there, or not whole."""
    card = read_json(path.with_suffix(".json"))
    return card if isinstance(card, dict) and path.is_file() else None


def write_shard(
    path: Path, schema: pa.Schema, corpus: str, batches: Iterable[list[Any]], card: dict[str, Any] | None = None
) -> None:
    """Write `batches` of columns, and then, if there is a `card`, the card, each whole or not at all.

    The card may still be filled while the batches are drawn. Raises StorageError where the disk is full or forbids it.
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
        raise StorageError(f"{path}: cannot be written: {reason}", hint="free some space and run again") from None


@contextmanager
def _open(path: Path) -> Iterator[pa.ipc.RecordBatchStreamReader]:
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
            yield reader
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: damaged: {error}", hint="prepare the data again") from None


def read_shard(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a shard, mapped to memory rather than read. Raises DataError where it is damaged."""
    with _open(path) as reader:
        yield from reader


def corpus_of(path: Path) -> str:
    """Return the name of the corpus that a shard is of. Raises DataError where the shard is damaged."""
    with _open(path) as reader:
        return (reader.schema.metadata or {}).get(b"corpus", b"").decode()


def in_order(work: Callable[[Context, Any], T], tasks: Iterable[Any], context: Context, *, workers: int) -> Iterator[T]:
    """Yield work(context, task) of each task, in their order, from as many processes as `workers`.

    `tasks` are drawn as they are needed, some ahead of the results. One worker, or a single task, is done here. The
    function must be importable, and what it takes and gives picklable. Raises what it raises, and WorkersError
    where a process dies.
    """
    tasks = iter(tasks)
    first = [task for _, task in zip(range(2), tasks, strict=False)]
    if workers == 1 or len(first) < 2:
        for task in first:
            yield work(context, task)
        for task in tasks:
            yield work(context, task)
        return
    with _pool(workers, context) as pool:
        waiting: deque[Future[T]] = deque()
        for task in _chain(first, tasks):
            with _without_control_c():  # of which the process that this may start inherits the mask
                waiting.append(pool.submit(_run, work, task))
            if len(waiting) > workers + AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _chain(first: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    while first:
        yield first.pop(0)  # so that what is done is not kept
    yield from rest


@contextmanager
def _pool(workers: int, context: Any) -> Iterator[ProcessPoolExecutor]:
    others = set(active_children())
    # Spawned, not forked: the threads of libraries that are loaded here would not survive a fork.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(context,))
    try:
        yield pool
        pool.shutdown()
    except BaseException as error:
        # What they are at is made again: nobody waits for it, nor has to press Ctrl-C twice.
        with _ignoring_control_c():
            for child in set(active_children()) - others:
                child.kill()
            pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise WorkersError(
                "a process that prepares data was killed, perhaps for lack of memory",
                hint="run it again, it goes on where it stopped; fewer --workers need less memory",
            ) from None
        raise


@contextmanager
def _ignoring_control_c() -> Iterator[None]:
    """Let Ctrl-C go unheard in the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _without_control_c() -> Iterator[None]:
    """Let Ctrl-C wait until the block has ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_CONTEXT: Any = None


def _begin(context: Any) -> None:
    """Set up a worker, which ends with its parent."""
    global _CONTEXT
    _CONTEXT = context
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _run(work: Callable[[Any, Any], T], task: Any) -> T:
    return work(_CONTEXT, task)
