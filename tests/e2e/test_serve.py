"""`nmt serve` as a process: it answers as `nmt translate` does, and ends when all is answered."""

import http.client
import json
import shutil
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Run
from servers import Serving, serving

from nmt.tasks.grammar import generate

LINES = [source for source, _ in generate("test", 60, 3)]


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[Serving]:
    with serving(tiny_model) as running:
        yield running


def translated(nmt_here: Run, model: Path, lines: list[str], *options: str) -> list[str]:
    return nmt_here("translate", model, *options, stdin="".join(f"{line}\n" for line in lines).encode()).lines


def test_requests_of_many_clients_get_the_text_of_the_command_line(
    server: Serving, tiny_model: Path, nmt_here: Run
) -> None:
    texts = [*LINES, *(" ".join(LINES[at : at + 1 + at % 9]) for at in range(40)), "", "  ", "x" * 500]
    expected = translated(nmt_here, tiny_model, texts)
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda text: server.post("/translate", q=text, source="en", target="de").body, texts)
    assert [one["translatedText"] for one in found] == expected


def test_lists_lines_and_line_breaks_are_kept(server: Serving, tiny_model: Path, nmt_here: Run) -> None:
    first, second, third = translated(nmt_here, tiny_model, LINES[:3])
    one = f"{LINES[0]}\n\n{LINES[1]}\r\n"
    answer = server.post("/translate", q=[one, LINES[2]], source="en", target="de", alternatives=2)
    assert answer.body["translatedText"] == [f"{first}\n\n{second}\r\n", third]
    assert [len(each) for each in answer.body["alternatives"]] == [2, 2]


def test_the_parts_of_a_line_join_to_it_on_both_sides(server: Serving) -> None:
    lines = [f"{LINES[0]}  {LINES[1]} {LINES[2]}", "", LINES[3]]
    asked = {"source": "en", "target": "de", "alignment": True, "lines": lines}
    wholes = server.post("/v1/translate", **asked).body
    in_parts = server.post("/v1/translate", **asked, parts=True).body
    assert [len(one["parts"]) for one in in_parts["translations"]] == [3, 1, 1]
    for line, whole, found in zip(lines, wholes["translations"], in_parts["translations"], strict=True):
        parts = found["parts"]
        assert "".join(part["source"] for part in parts) == found["source"] == line
        texts = [part["before"] + part["candidates"][0]["text"] for part in parts]
        assert "".join(texts) == whole["candidates"][0]["text"]
        counts = [0]
        for part in parts:
            counts.append(counts[-1] + len(part["source"].split()))
        aligned = [(part["candidates"][0]["alignment"], first) for part, first in zip(parts, counts, strict=False)]
        sources = [src + first for pairs, first in aligned for src, _ in pairs]
        assert sources == [src for src, _ in whole["candidates"][0]["alignment"]]
    assert "input lines blank, and so are their translations" in in_parts["translations"][1]["parts"][0]["warnings"]
    assert server.post("/v1/translate", **asked, parts=True, prefixes=lines).body == {
        "error": "parts of lines have no prefixes"
    }


def test_sigterm_ends_it_once_all_requests_are_answered(tiny_model: Path) -> None:
    with serving(tiny_model) as server:
        body = json.dumps({"q": "\n".join(LINES * 5), "source": "en", "target": "de"})
        clients = [http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60) for _ in range(4)]
        for client in clients:
            client.request("POST", "/translate", body)
        for _ in range(2):  # by then it has read the requests that came before
            assert server.request("/health").body == {"status": "ok"}
        server.process.send_signal(signal.SIGTERM)
        answers = [client.getresponse() for client in clients]
        assert [one.status for one in answers] == [200] * 4
        assert len({one.read() for one in answers}) == 1
        assert server.process.wait(60) == 0


def test_bad_input_is_one_line(tiny_model: Path, tmp_path: Path, nmt: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert nmt("serve", tiny_model, "--port", str(port)) == (
            2,
            "",
            f"nmt: cannot listen on 127.0.0.1 port {port}: Address already in use (take another --port or --host)\n",
        )
    assert nmt("serve", tmp_path / "none", "--port", "0").code == 4
    twin = shutil.copytree(tiny_model, tmp_path / "twin")
    assert nmt("serve", tiny_model, twin, "--port", "0") == (
        2,
        "",
        "nmt: two models are called tiny (name them: nmt serve ONE=PATH OTHER=PATH)\n",
    )
