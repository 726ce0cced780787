"""Pairs out of Hugging Face datasets: from the Hub, as they come or kept on the disk, or from a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from nmt import console
from nmt.config.data import CorpusConfig
from nmt.data.reading.archives import spelled
from nmt.data.reading.formats import TRANSLATION, Pair, Wanted, choose_columns, pair_of
from nmt.errors import DataError
from nmt.files import digest_file, digest_json, write_text

BATCH = 1000
"""Rows that are taken at once."""
TIMEOUT = 30.0
"""Seconds that the Hub has to say which commit a branch is at."""
HINT = "check data.*.dataset, config and split"
LOCAL_TIP = "; without network, --data-dir FOLDER reads a copy of the dataset in a folder of its name there"
COMMIT = re.compile("[0-9a-f]{40}")


def read_dataset(config: CorpusConfig, root: Path, local: bool, split: str, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of a split of `config.dataset`; with `local`, of a folder under `root`. Raises DataError."""
    name = f"dataset {config.dataset}"
    data = _load(config, root, local, split)
    try:
        # What streams knows its columns only where the files declare them.
        there = data.column_names or list(next(iter(data), {}))
        if not there:
            return
        columns = choose_columns(wanted.columns or [TRANSLATION], there, wanted.languages, name)
        for rows in data.select_columns(columns).iter(batch_size=BATCH):
            for values in zip(*(rows[column] for column in columns), strict=True):
                yield pair_of(values, columns, wanted, name)
    except DataError:
        raise
    except Exception as error:
        raise _failed(f"{name}, split {split}", error, local) from error


def dataset_digests(config: CorpusConfig, root: Path, local: bool) -> dict[str, str]:
    """Name a dataset by the SHA-256 of the files of its folder, or else of what is asked of the Hub."""
    if local:
        folder, _ = _find(config, root)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {spelled(f"{config.dataset}/{path.relative_to(folder)}"): digest_file(path) for path in files}
    asked = [config.dataset, config.config, config.revision, config.split]
    return {":".join(part for part in asked if part): digest_json([*asked, config.columns or TRANSLATION])}


def hub_commit(config: CorpusConfig) -> str | None:
    """Ask the Hub for the commit of a dataset's revision; where it does not say, return that of `hub_revision`."""
    if config.dataset is None or _is_commit(config.revision):
        return config.revision
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(config.dataset, revision=config.revision, timeout=TIMEOUT).sha
    except Exception as error:  # no network, no such dataset, no access: reading it without the Hub will tell
        commit = hub_revision(config)
        taken = f"commit {commit}, which it named last" if commit else "whatever commit there is"
        console.log(
            f"dataset {config.dataset}: the Hub does not name its commit: {_line(error).rstrip('.')}; taking {taken}"
        )
        return commit
    if commit is not None:
        # Data that are asked for by their commit leave the branch in the Hub's cache where it was.
        with suppress(OSError):
            write_text(_head(config.dataset, config.revision), commit)
    return commit


def hub_revision(config: CorpusConfig) -> str | None:
    """Return the commit of a Hub dataset that was asked for last, without network; None where none was."""
    if config.dataset is None or _is_commit(config.revision):
        return config.revision
    head = _head(config.dataset, config.revision)
    return head.read_text(encoding="ascii").strip() if head.is_file() else None


def is_cached(config: CorpusConfig) -> bool:
    """Tell whether a Hub dataset was downloaded before; one that streams never is."""
    commit = hub_revision(config)
    if config.dataset is None or commit is None or config.streaming:
        return False
    return (_cached(config.dataset) / "snapshots" / commit).is_dir()


def _is_commit(revision: str | None) -> bool:
    return COMMIT.fullmatch(revision or "") is not None


def _head(dataset: str, revision: str | None) -> Path:
    """Return the file in the Hub's cache that holds the commit of a branch."""
    return _cached(dataset) / "refs" / (revision or "main")


def _cached(dataset: str) -> Path:
    """Return where what is fetched from the Hub is kept."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}"


def _find(config: CorpusConfig, root: Path) -> tuple[Path, str | None]:
    """Find the folder of a Hub dataset under `root`, and the configuration to ask of it."""
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
    raise DataError(
        f"dataset {config.dataset}: not found under --data-dir; looked at "
        + ", ".join(str(path) for path in dict.fromkeys(tried)),
        hint="save the dataset there, or leave out --data-dir to fetch it from the Hub",
    )


def _load(config: CorpusConfig, root: Path, local: bool, split: str) -> Any:
    import datasets
    from huggingface_hub.utils.logging import get_logger

    datasets.disable_progress_bars()
    # Without network it tells of each of its attempts.
    get_logger("huggingface_hub").setLevel("ERROR")
    name: str | None = config.config
    where: str = config.dataset or ""
    try:
        if not local:
            builder = datasets.load_dataset_builder(where, name=name, revision=config.revision)
            # Without network it takes what was made ready last, of whatever commit.
            if _is_commit(config.revision) and builder.hash != config.revision:
                raise DataError(
                    f"dataset {where}: no commit {config.revision} without the Hub; this machine has {builder.hash}",
                    hint="fetch it with a network, or set data.*.revision to that commit",
                )
            if config.streaming:
                return builder.as_streaming_dataset(split=split)
            builder.download_and_prepare()
            return builder.as_dataset(split=split)
        folder, name = _find(config, root)
        where = str(folder)
        # What `save_to_disk` wrote; such a folder cannot be read by `load_dataset`.
        if (folder / "dataset_dict.json").is_file():
            splits = datasets.load_from_disk(where)
            if split not in splits:
                raise DataError(f"dataset {where}: no split {split!r}; it has {', '.join(sorted(splits))}")
            return splits[split]
        if (folder / "state.json").is_file():
            data = datasets.load_from_disk(where)
            if data.split is not None and str(data.split) != split:
                raise DataError(f"dataset {where}: holds the split {str(data.split)!r}, not {split!r}")
            return data
        return datasets.load_dataset(where, name=name, split=split, streaming=config.streaming)
    except DataError:
        raise
    except Exception as error:
        raise _failed(f"dataset {where}, split {split}", error, local) from error


def _failed(what: str, error: Exception, local: bool) -> DataError:
    """Say why `datasets` failed; it documents no set of errors: network, format, name, split, ..."""
    return DataError(f"{what}: {_line(error)}", hint=HINT + ("" if local else LOCAL_TIP))


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
