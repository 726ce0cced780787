"""Models of the Hub: fetched at the commit that it names, and only the files that an import reads."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nmt.errors import ArtifactError
from nmt.importing import hub

FILES = ["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "rust_model.ot", "vocab.json"]


class Api:
    """What is asked of the Hub, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.files = FILES
        self.error: Exception | None = None

    def model_info(self, name: str, *, revision: str | None, timeout: float) -> Any:
        assert timeout > 0
        self.asked.append((name, revision))
        if self.error:
            raise self.error
        return SimpleNamespace(sha="a" * 40, siblings=[SimpleNamespace(rfilename=file) for file in self.files])

    def snapshot_download(self, name: str, *, revision: str, allow_patterns: list[str]) -> str:
        self.asked.append((name, revision, allow_patterns))
        return "folder"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    found = Api()
    monkeypatch.setattr(hub, "HfApi", lambda: found)
    monkeypatch.setattr(hub, "snapshot_download", found.snapshot_download)
    return found


@pytest.mark.parametrize(("revision", "files"), [(None, FILES), ("v1", FILES), (None, ["pytorch_model.bin"])])
def test_files_are_fetched_at_the_commit_of_a_branch(revision: str | None, files: list[str], api: Api) -> None:
    api.files = files
    assert hub.fetch("org/name", revision) == hub.Fetched(Path("folder"), "a" * 40)
    (_, asked), (_, commit, patterns) = api.asked
    assert (asked, commit) == (revision, "a" * 40)
    weights = "model.safetensors" if "model.safetensors" in files else "pytorch_model.bin"
    assert [name for name in patterns if name.endswith(("bin", "safetensors", "ot"))] == [weights]
    assert {"config.json", "vocab.json", "target_vocab.json", "source.spm", "README.md"} < set(patterns)


def test_what_the_hub_does_not_give_is_one_line(api: Api) -> None:
    api.error = ConnectionError("404 Client Error.\n\nNot found\n")
    with pytest.raises(ArtifactError) as caught:
        hub.fetch("org/name", None)
    assert str(caught.value) == (
        "org/name: not fetched from the Hub: 404 Client Error. Not found (check its name, --revision and the network, "
        "or fetch the files elsewhere and name their folder)"
    )


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("Org/opus-mt-en-de", True),
        ("name", False),
        ("a/b/c", False),
        ("/a/b", False),
        ("../b", False),
        ("here/is", False),
    ],
)
def test_a_name_is_of_the_hub_unless_something_is_there(
    origin: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "is").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub.is_name(origin) is expected
