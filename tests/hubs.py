"""A Hub of datasets that is played here: nothing asks the network."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

A, B = "a" * 40, "b" * 40


def dataset(rows: dict[str, Any]) -> Any:
    import datasets

    return datasets.Dataset.from_dict(rows)


class Hub:
    """A Hub with one dataset, that of 300 pairs which name their commit and split."""

    def __init__(self) -> None:
        self.head: str | None = A
        """The commit of each branch; None where there is no network."""
        self.ready: str | None = None
        """The commit that `datasets` takes without network."""
        self.asked: list[str | None] = []
        """The revisions that were asked of the Hub."""
        self.loaded: list[tuple[str, str | None]] = []
        """The splits that were read, with the revision asked for."""

    def dataset_info(self, name: str, *, revision: str | None, timeout: float) -> Any:
        assert (name, timeout > 0) == ("org/name", True)
        self.asked.append(revision)
        if self.head is None:
            raise ConnectionError("no way\nto the Hub")
        return SimpleNamespace(sha=self.head)

    def load_dataset_builder(self, path: str, *, revision: str | None, **_: Any) -> Any:
        assert path == "org/name"
        commit = self.ready if self.head is None else revision if revision in (A, B) else self.head
        assert commit is not None

        def rows(split: str) -> Any:
            self.loaded.append((split, revision))
            numbers = [f"{commit[0]} {split} {number}" for number in range(300)]
            return dataset({"translation": [{"en": f"en {number}", "de": f"de {number}"} for number in numbers]})

        return SimpleNamespace(hash=commit, download_and_prepare=lambda: None, as_dataset=rows)


def play_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Put a `Hub` in the place of the real one."""
    import datasets
    import huggingface_hub

    hub = Hub()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", hub.dataset_info)
    monkeypatch.setattr(datasets, "load_dataset_builder", hub.load_dataset_builder)
    return hub
