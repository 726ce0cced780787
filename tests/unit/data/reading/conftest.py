"""Servers on this machine, and a cache of downloads in the temporary folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from http_server import Server, Start

from nmt.data.reading import downloads


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[Server] = []

    def started(files: dict[str, bytes]) -> Server:
        servers.append(Server(files))
        return servers[-1]

    yield started
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "PAUSES", (0.0, 0.0))
    return tmp_path / "cache"
