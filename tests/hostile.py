"""Requests that no client should send, each with the statuses it may get; and good ones between them."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

GONE = 0  # the status where the client leaves, or gets no answer
MOST_CHARS, MOST_BYTES = 2000, 1_000_000
LIMITS = ["--max-chars", str(MOST_CHARS), "--max-body-mb", "1", "--receive-timeout", "1"]
"""Options of the server that the requests are made for."""


@dataclass(frozen=True)
class Hostile:
    """What is sent: parts with pauses between them; and whether the client leaves before the answer."""

    parts: list[bytes]
    statuses: set[int]
    pause: float = 0.0
    leaves: bool = False


def post(body: bytes, *headers: str, path: str = "/translate", kind: str = "application/json") -> bytes:
    """Return a request with `body`."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, f"Content-Type: {kind}", "", ""]).encode() + body


def asked(q: object, **values: object) -> bytes:
    return json.dumps({"q": q, "source": "en", "target": "de", **values}).encode()


def get(path: str, *headers: str, method: str = "GET", host: str = "localhost") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]).encode()


def slow(request: bytes, statuses: set[int]) -> Hostile:
    """Send `request` bit by bit, and not its end."""
    return Hostile([request[:-9], request[-9:-8], request[-8:-7]], statuses, pause=0.3)


TEXT = asked("A small dog sleeps.")
MULTIPART = "multipart/form-data; boundary=x"
HOSTILE: dict[str, Callable[[random.Random], Hostile]] = {
    "too many characters": lambda _: Hostile([post(asked("a" * (MOST_CHARS + 1)))], {400}),
    "too large": lambda _: Hostile([post(asked("a" * (MOST_BYTES + 1)))], {413}),
    "said to be too large": lambda _: Hostile([post(b"", "Content-Length: 99999999999999999999")], {400}),
    "not UTF-8": lambda r: Hostile([post(TEXT.replace(b"small", r.randbytes(5).replace(b'"', b"") + b"\xff"))], {400}),
    "a lone surrogate": lambda _: Hostile([post(TEXT.replace(b"small", rb"\ud800"))], {400}),
    "NUL": lambda _: Hostile([post(TEXT.replace(b"small", rb"\u0000"))], {200}),
    "wrong types": lambda r: Hostile([post(asked(r.choice([None, 1, True, {}, [], [1], [[]], [None]])))], {400}),
    "no number": lambda r: Hostile(
        [post(TEXT[:-1] + b', "alternatives": %s}' % r.choice([b"NaN", b"1e999", b"9" * 5000, b"-1", b"0.5"]))], {400}
    ),
    "deep JSON": lambda r: Hostile(
        [post(r.choice([b"[", b'{"q":', b'{"q":[']) * r.randrange(100, 50_000))], {400, 413}
    ),
    "half of JSON": lambda r: Hostile([post(TEXT[: r.randrange(len(TEXT))])], {400}),
    "random bytes": lambda r: Hostile([post(r.randbytes(r.randrange(1, 5000)))], {400}),
    "another type": lambda _: Hostile([post(TEXT, kind="text/plain")], {415}),
    "compressed": lambda _: Hostile([post(b"\x1f\x8b" + bytes(100), "Content-Encoding: gzip")], {415}),
    "a form that is not UTF-8": lambda _: Hostile(
        [post(b"q=%ff&source=en&target=de", kind="application/x-www-form-urlencoded")], {400}
    ),
    "many fields": lambda _: Hostile([post(b"q=a&" * 5000, kind="application/x-www-form-urlencoded")], {400}),
    "many parts": lambda _: Hostile(
        [post(b'--x\r\nContent-Disposition: form-data; name="q"\r\n\r\na\r\n' * 3000 + b"--x--\r\n", kind=MULTIPART)],
        {400},
    ),
    "another charset": lambda _: Hostile([post(b"--x--\r\n", kind=f"{MULTIPART}; charset=punycode")], {415}),
    "no boundary": lambda _: Hostile([post(b"--x--\r\n", kind="multipart/form-data")], {400}),
    "many lines": lambda _: Hostile([post(asked("a\n" * 100))], {200, 429}),
    "an unknown language": lambda r: Hostile([post(asked("a", source=r.randbytes(40).hex()))], {400}),
    "another method": lambda r: Hostile([get("/translate", method=r.choice(["GET", "PUT", "DELETE", "PATCH"]))], {405}),
    "an unknown method": lambda _: Hostile([get("/health", method="BREW")], {400}),
    "nowhere": lambda r: Hostile([get("/" + r.choice(["..%2f" * 9, "%00", "%ff", "a" * 9000, "health/"]))], {404}),
    "another host": lambda _: Hostile([get("/health", host="evil.example")], {421}),
    "no HTTP": lambda r: Hostile([b"\x16\x03" + r.randbytes(200) + b"\r\n\r\n"], {400}),
    "a large head": lambda _: Hostile([get("/health", "X: " + "a" * 1_000_000)], {431, GONE}),
    "a large extension of a chunk": lambda _: Hostile(
        [post(b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"") + b"1;" + b"a" * 1_000_000],
        {431, GONE},
    ),
    "half a head": lambda _: Hostile([b"POST /translate HT"], {GONE}, leaves=True),
    "half a body": lambda _: Hostile([post(TEXT)[:-9]], {GONE}, leaves=True),
    "a client that leaves": lambda _: Hostile([post(asked("A small dog sleeps. " * 90))], {GONE}, leaves=True),
    "a slow head": lambda _: slow(get("/health"), {408, GONE}),
    "a slow body": lambda _: slow(post(TEXT), {408, GONE}),
}


@dataclass
class Siege:
    """What came of many hostile requests, and of good ones between them."""

    asked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # what was not as it is to be
    memory: list[int] = field(default_factory=list)  # bytes of the server, from time to time


async def send(port: int, one: Hostile) -> tuple[int, bytes]:
    """Send a request; return the status and the body of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number, part in enumerate(one.parts):
            if number:
                await asyncio.sleep(one.pause)
            writer.write(part)
        if one.leaves:
            return GONE, b""
        content = await asyncio.wait_for(reader.read(), 120)
        head, _, body = content.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body
    except ConnectionError:
        return GONE, b""
    finally:
        writer.close()


def memory_of(process: int) -> int:
    """Return the resident memory of a process, in bytes."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def besiege(port: int, process: int, requests: int, good: dict[str, str], clients: int = 32) -> Siege:
    """Send hostile `requests`, after each fourth a good one, whose right answers are known, by several clients."""
    found, drawn = Siege(), random.Random(1)
    kinds = iter([*HOSTILE] * (1 + requests // len(HOSTILE)))
    texts = [*good]

    async def client(numbers: Iterator[int]) -> None:
        for number in numbers:
            if number % max(requests // 10, 1) == 0:
                found.memory.append(memory_of(process))
            kind = next(kinds)
            one = HOSTILE[kind](drawn)
            status, body = await send(port, one)
            found.asked[kind] += 1
            found.statuses[status] += 1
            is_told = status in (GONE, 200) or body.startswith(b'{"error":')
            if status not in one.statuses or not is_told:
                found.wrong.append(f"{kind}: {status} {body[:200]!r}")
            if number % 4 == 0:
                text = texts[number // 4 % len(texts)]
                status, body = await send(port, Hostile([post(asked(text))], {200}))
                if status != 429 and (status, json.loads(body)) != (200, {"translatedText": good[text]}):
                    found.wrong.append(f"{text}: {status} {body!r}")

    numbers = iter(range(requests))
    await asyncio.gather(*(client(numbers) for _ in range(clients)))
    found.memory.append(memory_of(process))
    return found
