"""Read pairs from Hugging Face datasets: on the Hub, streamed or downloaded, or in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub

from nmt import console
from nmt.config.data import CorpusConfig
from nmt.data.pairs import Pair
from nmt.data.reading.archives import open_bytes, printable
from nmt.data.reading.columns import TRANSLATION, Wanted, choose_columns, pair_of
from nmt.data.reading.formats import format_of, read_file
from nmt.errors import MACHINE, DataError, NmtError, StorageError
from nmt.files import digest_file, digest_json, write_text

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder, IterableDataset

INDEX = "__index_level_0__"  # column that pandas makes of surplus fields
BATCH = 1000  # rows to read at once
TIMEOUT = 30.0  # seconds to wait for the Hub to name the commit of a branch
HINT = "check data.*.dataset, config and split"
LOCAL_TIP = "; without network, --data-dir FOLDER reads a copy of the dataset in a folder of its name there"
COMMIT = re.compile("[0-9a-f]{40}")


def read_dataset(config: CorpusConfig, root: Path, local: bool, split: str, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of a split of `config.dataset`; with `local`, of a folder under `root`. Raises DataError."""
    name = f"dataset {config.dataset}"
    data = _load(config, root, local, split)
    if isinstance(data, list):
        for path in data:
            yield from read_file(path, replace(wanted, columns=wanted.columns or [TRANSLATION], format=None))
        return
    try:
        # A streamed dataset knows its columns only where the files declare them.
        present = data.column_names or list(next(iter(data), {}))
        if not present:
            return
        columns = choose_columns(wanted.columns or [TRANSLATION], present, wanted.languages, name)
        _check_types(data, columns, present, name)
        for rows in data.select_columns(columns).iter(batch_size=BATCH):
            for values in zip(*(rows[column] for column in columns), strict=True):
                yield pair_of(values, columns, wanted, name)
    except DataError:
        raise
    except Exception as error:
        raise _failed(f"{name}, split {split}", error, local) from error


def _check_types(data: Dataset | IterableDataset, columns: Sequence[str], present: Sequence[str], name: str) -> None:
    """Raise DataError where the reader of `datasets` has shifted the columns of a table, or turned text into dates."""
    hint = "download its files, and name them in `files`: they are read as they are"
    if INDEX in present:
        problem = "its rows have more fields than its first line names, and `datasets` shifts its columns"
        raise DataError(f"{name}: {problem}", hint=hint)
    for column in columns:
        kind = str(getattr((data.features or {}).get(column), "dtype", ""))
        if kind.startswith(("timestamp", "date", "time", "duration")):
            raise DataError(f"{name}: `datasets` has turned the text of column {column!r} into {kind}", hint=hint)


def _plain_files(builder: DatasetBuilder, split: str) -> list[Path]:
    """Return the files of a split that are tables or lines of JSON; [] where the split has others, or settings.

    These are not left to `datasets`, whose readers shift columns (findings/datasets_shifts_columns.sh), turn text into
    dates (findings/datasets_rewrites_dates.sh), and take "NA" for nothing.
    """
    config, paths = builder.config, [Path(str(name)) for name in (builder.config.data_files or {}).get(split, [])]
    separators = {"csv": ",", "tsv": "\t"}
    for path in paths:
        form = format_of(path.name)
        separator = separators.get(form or "")
        if form not in ("csv", "tsv", "jsonl") or not path.is_file() or getattr(config, "field", None):
            return []
        if separator != getattr(config, "sep", None):
            return []
        with open_bytes(path) as stream:
            if form == "jsonl" and stream.peek().lstrip()[:1] == b"[":
                return []
    return paths


def dataset_digests(config: CorpusConfig, root: Path, local: bool) -> dict[str, str]:
    """Return the SHA-256 of each file of a dataset's folder, or else of its identification on the Hub."""
    if local:
        folder, _ = _find(config, root)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {printable(f"{config.dataset}/{path.relative_to(folder)}"): digest_file(path) for path in files}
    key = [config.dataset, config.config, config.revision, config.split]
    return {":".join(part for part in key if part): digest_json([*key, config.columns or TRANSLATION])}


def hub_commit(config: CorpusConfig) -> str | None:
    """Ask the Hub for the commit of a dataset's revision; if it does not answer, return that of `hub_revision`."""
    if config.dataset is None or _is_commit(config.revision):
        return config.revision
    try:
        commit = huggingface_hub.HfApi().dataset_info(config.dataset, revision=config.revision, timeout=TIMEOUT).sha
    except Exception as error:  # no network, no such dataset, no access: reading it without the Hub will show
        commit = hub_revision(config)
        fallback = f"commit {commit}, which it named last" if commit else "whatever commit there is"
        reason = _line(error).rstrip(".")
        console.log(f"dataset {config.dataset}: the Hub does not name its commit: {reason}; taking {fallback}")
        return commit
    if commit is not None:
        # Reading a dataset by its commit does not update the branch in the Hub's cache.
        with suppress(OSError):
            write_text(_head(config.dataset, config.revision), commit)
    return commit


def hub_revision(config: CorpusConfig) -> str | None:
    """Return the commit of a Hub dataset that was last read, without network; None if none was."""
    if config.dataset is None or _is_commit(config.revision):
        return config.revision
    head = _head(config.dataset, config.revision)
    commit = head.read_text(encoding="ascii", errors="replace").strip() if head.is_file() else None
    return commit if _is_commit(commit) else None


def is_cached(config: CorpusConfig) -> bool:
    """Check whether a Hub dataset is on this machine; a streamed one never is."""
    commit = hub_revision(config)
    if config.dataset is None or commit is None or config.streaming:
        return False
    return (_cache_folder(config.dataset) / "snapshots" / commit).is_dir()


def _is_commit(revision: str | None) -> bool:
    return COMMIT.fullmatch(revision or "") is not None


def _head(dataset: str, revision: str | None) -> Path:
    """Return the file in the Hub's cache that holds the commit of a branch."""
    return _cache_folder(dataset) / "refs" / (revision or "main")


def _cache_folder(dataset: str) -> Path:
    return Path(huggingface_hub.constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}"


def _find(config: CorpusConfig, root: Path) -> tuple[Path, str | None]:
    """Return the folder of a Hub dataset under `root`, and the configuration to load from it. Raises DataError."""
    assert config.dataset is not None
    tried = [root / config.dataset, root / config.dataset.rpartition("/")[2], root]
    for folder in tried:
        if not folder.is_dir() or not any(folder.iterdir()):
            continue
        part = folder / config.config if config.config else folder
        # Without its README, which declares the configurations, a copy of a dataset has them as folders only.
        if part != folder and part.is_dir() and not (folder / "README.md").is_file():
            return part, None
        return folder, config.config
    looked_at = ", ".join(map(str, dict.fromkeys(tried)))
    hint = "save the dataset there, or leave out --data-dir to fetch it from the Hub"
    raise DataError(f"dataset {config.dataset}: not found under --data-dir; looked at {looked_at}", hint=hint)


def _load(config: CorpusConfig, root: Path, local: bool, split: str) -> Dataset | IterableDataset | list[Path]:
    import datasets  # 0.8 s that other corpora need not wait for

    datasets.disable_progress_bars()
    # Without network it logs each attempt.
    huggingface_hub.utils.logging.get_logger("huggingface_hub").setLevel("ERROR")
    name, part = config.dataset or "", config.config
    try:
        if not local:
            builder = datasets.load_dataset_builder(name, name=part, revision=config.revision)
            # Without network it takes the dataset that was prepared last, of any commit.
            if _is_commit(config.revision) and builder.hash != config.revision:
                raise DataError(
                    f"dataset {name}: no commit {config.revision} without the Hub; this machine has {builder.hash}",
                    hint="fetch it with a network, or set data.*.revision to that commit",
                )
            if config.streaming:
                return builder.as_streaming_dataset(split=split)
            builder.download_and_prepare()
            return builder.as_dataset(split=split)
        folder, part = _find(config, root)
        name = str(folder)
        # `load_dataset` cannot read what `save_to_disk` wrote.
        if (folder / "dataset_dict.json").is_file():
            splits = datasets.load_from_disk(name)
            if split not in splits:
                raise DataError(f"dataset {name}: no split {split!r}; it has {', '.join(sorted(splits))}")
            return splits[split]
        if (folder / "state.json").is_file():
            data = datasets.load_from_disk(name)
            if data.split is not None and str(data.split) != split:
                raise DataError(f"dataset {name}: holds the split {str(data.split)!r}, not {split!r}")
            return data
        if files := _plain_files(datasets.load_dataset_builder(name, name=part), split):
            return files
        return datasets.load_dataset(name, name=part, split=split, streaming=config.streaming)
    except DataError:
        raise
    except Exception as error:
        raise _failed(f"dataset {name}, split {split}", error, local) from error


def _failed(what: str, error: Exception, local: bool) -> NmtError:
    """Return the error for a failure of `datasets`, which documents no set of exceptions, or of the disk under it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in MACHINE:
            return StorageError(f"{cause.filename or what}: {cause.strerror}")
        cause = cause.__cause__ or cause.__context__
    return DataError(f"{what}: {_line(error)}", hint=HINT + ("" if local else LOCAL_TIP))


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
