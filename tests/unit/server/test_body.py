"""Bodies: JSON and forms, within limits, and refused in one sentence."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from nmt.config.serving import ServingConfig
from nmt.server.body import parse, read
from nmt.server.errors import ApiError
from nmt.server.gate import Gate
from nmt.server.libretranslate import TranslateBody

pytestmark = pytest.mark.anyio
JSON, FORM, PARTS = "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
CONFIG = ServingConfig(max_body_mb=0.1, receive_timeout=0.2)
VALUES = {"q": "ä", "source": "en", "target": "de"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request(*chunks: bytes, pause: float = 0.0, goes: bool = False, **headers: str | None) -> Request:
    """Return a request whose body comes in `chunks`, with a pause before each; or whose client goes after them."""

    async def coming() -> AsyncIterator[dict[str, Any]]:
        for chunk in chunks:
            await asyncio.sleep(pause)
            yield {"type": "http.request", "body": chunk, "more_body": True}
        yield {"type": "http.disconnect"} if goes else {"type": "http.request", "body": b"", "more_body": False}

    events = coming()
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items() if value is not None]
    app = SimpleNamespace(state=SimpleNamespace(service=SimpleNamespace(gate=Gate(CONFIG))))
    scope = {"type": "http", "headers": given, "app": app, "client": None}
    return Request(scope, lambda: anext(events))


async def refusal(asked: Request) -> tuple[int, str]:
    with pytest.raises(ApiError) as told:
        await parse(asked, TranslateBody, CONFIG)
    return told.value.status, told.value.message


def part(name: str, value: bytes) -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (json.dumps(VALUES).encode(), JSON),
        (json.dumps(VALUES).encode(), None),
        (json.dumps({**VALUES, "new": [1]}).encode(), "application/vnd.x+json; charset=utf-8"),
        (b"q=%C3%A4&source=en&target=de", FORM),
        ("q=ä&source=en&target=de".encode(), f"{FORM}; charset=utf-8"),
        (b"".join(part(key, value.encode()) for key, value in VALUES.items()) + b"--x--\r\n", PARTS),
    ],
)
async def test_json_and_forms_say_the_same(content: bytes, kind: str | None) -> None:
    body = await parse(request(content[:9], content[9:], content_type=kind), TranslateBody, CONFIG)
    assert body.model_dump(include=set(VALUES)) == VALUES


async def test_a_key_that_comes_several_times_in_a_form_is_a_list() -> None:
    body = await parse(request(b"q=a&q=b&source=en&target=de&alternatives=2", content_type=FORM), TranslateBody, CONFIG)
    assert (body.q, body.alternatives) == (["a", "b"], 2)


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"{", JSON, 400, "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        (b"[" * 9999, JSON, 400, "Invalid JSON: recursion limit exceeded at line 1 column "),
        (b'{"q": "\xff"}', JSON, 400, "Invalid JSON: invalid unicode code point at line 1 column "),
        (b'{"q": "\\ud800"}', JSON, 400, "Invalid JSON: unexpected end of hex escape at line 1 column "),
        (b"NaN", JSON, 400, "must be an object"),
        (b"{}", JSON, 400, "q: Field required"),
        (
            b'{"q": "", "source": "%s", "target": ""}' % (b"a" * 101),
            JSON,
            400,
            "source: String should have at most 100",
        ),
        (b"q=%ff", FORM, 400, "the form cannot be read: 'utf-8' codec can't decode byte 0xff in position 0"),
        (b"q=\xff", FORM, 400, "the form cannot be read: 'utf-8' codec can't decode byte 0xff in position 2"),
        (b"&q=" * 1001, FORM, 400, "the form cannot be read: Max number of fields exceeded"),
        (part("q", b"\xff") + b"--x--\r\n", PARTS, 400, "the form is not UTF-8"),
        (part("q", b"a") * 1001 + b"--x--\r\n", PARTS, 400, "the form cannot be read: Too many fields. Maximum number"),
        (b"--y", PARTS, 400, "the form cannot be read: "),
        (b"", "multipart/form-data", 400, "the form cannot be read: Missing boundary in multipart."),
        (b"--x--\r\n", f"{PARTS}; charset=punycode", 415, "send JSON, or a form in UTF-8"),
        (b"{}", "text/plain", 415, "send JSON, or a form in UTF-8"),
    ],
)
async def test_a_body_that_cannot_be_understood_is_one_sentence(
    content: bytes, kind: str, status: int, message: str
) -> None:
    found = await refusal(request(content, content_type=kind))
    assert found[0] == status
    assert found[1].startswith(message)
    assert "\n" not in found[1]


async def test_a_compressed_body_is_refused() -> None:
    asked = request(b"", content_encoding="gzip")
    assert await refusal(asked) == (415, "the body is compressed: send it as it is")


async def test_a_body_that_is_too_large_is_read_to_its_end_and_dropped() -> None:
    whole = bytes(100_000)
    assert await read(request(whole), CONFIG) == whole
    asked = request(whole, b"a", bytes(200_000))
    assert await refusal(asked) == (413, "the body is larger than 0.1 MB")
    assert await refusal(request(*[bytes(60_000)] * 9, pause=0.05)) == (413, "the body is larger than 0.1 MB")


async def test_a_body_of_text_is_as_large_as_its_characters_can_make_it() -> None:
    config = ServingConfig(max_chars=10)
    most = bytes(12 * 10 + 65_536)
    assert await read(request(most), config) == most
    with pytest.raises(ApiError, match=r"^the body is larger than 0.0657 MB$"):
        await read(request(most, b"a", content_type=JSON), config)
    assert len(await read(request(most, b"a", content_type=PARTS), config)) == len(most) + 1


async def test_a_body_that_is_slow_or_does_not_come_is_given_up() -> None:
    assert await refusal(request(b"{", pause=1)) == (408, "the body did not come within 0.2 s")
    assert (await refusal(request(b"{", goes=True)))[0] == 499


async def test_where_no_key_is_wanted_a_quota_counts_before_the_body_is_read() -> None:
    asked = request(b"{", content_type=JSON)
    asked.app.state.service.gate = Gate(ServingConfig(requests_per_minute=1))
    assert (await refusal(asked))[0] == 400
    again = request(b"{", content_type=JSON)
    again.app.state.service.gate = asked.app.state.service.gate
    assert await refusal(again) == (429, "more than 1 requests in a minute: try again in 60 s")
