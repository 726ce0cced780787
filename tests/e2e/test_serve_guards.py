"""`nmt serve` against clients that mean no good, and its keys, its signals and its messages."""

import asyncio
import json
import signal
import threading
import time
import urllib.parse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree

import pytest
from conftest import Run
from hostile import HOSTILE, LIMITS, besiege
from servers import Serving, serving

from nmt.tasks.grammar import generate

LINES = [source for source, _ in generate("test", 60, 3)]


def ask(server: Serving, text: str) -> str:
    answer = server.post("/translate", q=text, source="en", target="de")
    assert answer.status == 200, answer
    found: str = answer.body["translatedText"]
    return found


def besieged(server: Serving, requests: int) -> list[int]:
    """Send hostile requests; return the memory of the server from time to time."""
    good = {line: ask(server, line) for line in LINES[:20]}
    port = urllib.parse.urlsplit(server.url).port
    assert port is not None
    found = asyncio.run(besiege(port, server.process.pid, requests, good))
    assert found.wrong == []
    assert found.asked.keys() == HOSTILE.keys()
    assert [ask(server, line) for line in good] == [*good.values()]
    return found.memory


def test_hostile_requests_are_refused_and_good_ones_between_them_are_answered(tiny_model: Path) -> None:
    with serving(tiny_model, *LIMITS, "--log-requests", "--metrics") as server:
        besieged(server, len(HOSTILE))
        metrics = server.request("/metrics").body
        assert 'status="500"' not in metrics
        assert "nmt_requests_in_progress 0.0\n" in metrics
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stderr is not None
        said = server.process.stderr.read().splitlines()
        assert server.process.wait(60) == 0
    records = [json.loads(line) for line in said]
    assert {record["status"] for record in records} >= {200, 400, 404, 405, 408, 413, 415, 421}
    assert not any(line in text for line in LINES for text in said)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_hostile_requests_leave_memory_flat(tiny_model: Path) -> None:
    with serving(tiny_model, *LIMITS) as server:
        memory = besieged(server, 10_000)
    assert memory[-1] < 1.1 * memory[2], memory


def wait_for(happens: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


class Load:
    """Clients that ask one request after the other while the block runs and the server is there."""

    def __init__(self, server: Serving, key: str | None = None, clients: int = 4) -> None:
        self.server, self.key = server, key
        self.statuses: list[int] = []
        self._pool, self._is_over = ThreadPoolExecutor(clients), threading.Event()
        self._count = clients

    def _ask(self, number: int) -> None:
        while not self._is_over.is_set():
            text = " ".join(LINES[number % 50 : number % 50 + 1 + number % 3])
            try:
                answer = self.server.post("/translate", q=text, source="en", target="de", api_key=self.key)
            except OSError:  # the server has ended
                return
            self.statuses.append(answer.status)
            number += 1

    def __enter__(self) -> "Load":
        self._clients = [self._pool.submit(self._ask, 10 * number) for number in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for client in self._clients:
            client.result(60)
        self._pool.shutdown()


def test_keys_and_models_are_loaded_again_under_load_without_a_lost_request(
    tiny_model: Path, tmp_path: Path, nmt_here: Run
) -> None:
    bundle, path = copytree(tiny_model, tmp_path / "model"), tmp_path / "keys.toml"
    made = nmt_here("key", "load", path)
    assert (made.code, made.err, len(made.lines)) == (0, "", 1)
    assert nmt_here("key", "load", path).code == 2
    with serving(bundle, "--api-keys", path, "--host", "0.0.0.0") as server:
        assert "serve: open to all who reach this machine, with an API key" in server.said
        assert server.process.stderr is not None
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        values = {"q": LINES[0], "source": "en", "target": "de"}
        assert server.post("/translate", **values).status == 403
        before = server.post("/translate", **values, api_key=made.lines[0]).body
        other = nmt_here("key", "other", path, "--requests-per-minute", "2").lines[0]
        with Load(server, made.lines[0]) as load:
            config = bundle / "config.json"
            good = config.read_text()
            config.write_text("{")
            server.process.send_signal(signal.SIGHUP)
            line = server.process.stderr.readline()
            assert line.startswith("nmt: warning: the models were not loaded again, those before go on: ")
            config.write_text(good)
            for _ in range(2):
                count = len(load.statuses)
                server.process.send_signal(signal.SIGHUP)
                assert server.process.stderr.readline() == "serve: en to de: tiny\n"
                wait_for(lambda count=count: len(load.statuses) > count + 8)  # type: ignore[misc]
        assert set(load.statuses) == {200}
        answers = [server.post("/translate", **values, api_key=other) for _ in range(3)]
        assert [one.status for one in answers] == [200, 200, 429]
        assert 0 < int(answers[2].headers["retry-after"]) <= 30
        assert answers[0].body == before


def test_by_sigterm_every_request_that_was_taken_is_answered(tiny_model: Path) -> None:
    with serving(tiny_model, "--log-requests") as server, ThreadPoolExecutor(1) as pool:
        stderr = server.process.stderr
        assert stderr is not None
        said = pool.submit(stderr.read)
        with Load(server, clients=16) as load:
            wait_for(lambda: len(load.statuses) > 50)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
        records = [json.loads(line) for line in said.result(60).splitlines()]
    assert {record["status"] for record in records} == {200}
    assert load.statuses == [200] * len(records)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sixteen_clients_get_the_text_of_the_command_line(tiny_model: Path, nmt_here: Run) -> None:
    sources = [source for source, _ in generate("test", 800, 3)]
    texts = [" ".join(sources[at : at + 1 + at % 7]) for at in range(800)] * 4
    expected = nmt_here("translate", tiny_model, stdin="".join(f"{text}\n" for text in texts).encode()).lines
    with serving(tiny_model) as server, ThreadPoolExecutor(16) as pool:
        assert [*pool.map(lambda text: ask(server, text), texts)] == expected


def test_bad_settings_are_one_line(tiny_model: Path, tmp_path: Path, nmt_here: Run) -> None:
    for options, message in {
        ("--api-keys", "none.toml"): "none.toml: No such file or directory (make a key: nmt key NAME none.toml)",
        ("--cors", "example.org"): "'--cors': an origin is like https://example.org, without a path, or *, not",
        ("--proxy", "me"): "'--proxy': a proxy is an address such as 10.0.0.1, or a network such as 10.0.0.0/8, not",
    }.items():
        done = nmt_here("serve", tiny_model, *options, "--port", "0", cwd=tmp_path)
        assert done.code == 2
        assert message in " ".join(done.err.replace("│", " ").split()), done.err
