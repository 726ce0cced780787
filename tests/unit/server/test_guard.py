"""The guard: by which names the server may be asked, and what is recorded of a request."""

import json
import re

import pytest
from servers import ask
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from nmt.config.serving import ServingConfig
from nmt.server.guard import Guard, Record

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer by the method and, at /bug, not at all."""
    scope["state"].update(chars=7, client="weblate")
    await JSONResponse(scope["method"], 200)(scope, receive, send)
    if scope["path"] == "/bug":
        raise ValueError("secret text")


def guard(done: list[Record] | None = None, **config: object) -> Guard:
    return Guard(app, ServingConfig.model_validate(config), (done if done is not None else []).append)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:5000",
        "a.localhost",
        "127.0.0.1:5000",
        "[::1]:5000",
        "[::1]",
        "192.0.2.1",
        "box",
        "BOX:80",
    ],
)
def test_it_goes_by_its_names_and_by_addresses(host: str) -> None:
    assert guard(host="box").knows(host)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[x]", "a:b"])
def test_another_name_is_a_strangers(host: str) -> None:
    assert not guard().knows(host)
    assert guard(allow_host=["*"]).knows(host)


@pytest.mark.parametrize("host", ["evil.example", "Evil.Example:80"])
def test_a_further_name_is_its_own(host: str) -> None:
    assert guard(allow_host=["other", "evil.example"]).knows(host)


async def test_a_request_by_another_name_does_not_reach_the_application() -> None:
    done: list[Record] = []
    answer = await ask(guard(done), "/health", headers={"Host": "evil.example:80"})
    message = "this server does not go by the name evil.example: start it with --allow-host evil.example"
    assert (answer.status, answer.body) == (421, {"error": message})
    assert (done[0].status, done[0].chars) == (421, 0)


async def test_a_request_is_recorded_without_its_text() -> None:
    done: list[Record] = []
    answer = await ask(guard(done), "/x", b"secret", {"X-Request-ID": "a-1.b_C"})
    record = done[0]
    assert answer.headers["x-request-id"] == record.id == "a-1.b_C"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (record.method, record.path, record.route) == ("POST", "/x", "other")
    assert (record.status, record.chars, record.client, 0 < record.seconds < 5) == (200, 7, "weblate", True)
    line = json.loads(record.logged())
    assert list(line) == ["time", "id", "method", "path", "status", "ms", "chars", "key"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert "secret" not in record.logged()


@pytest.mark.parametrize("identity", ["", "a b", "a\t", "x" * 65, "ä"])
async def test_an_identity_that_is_not_plain_is_replaced(identity: str) -> None:
    answer = await ask(guard(), "/x", headers={"X-Request-ID": identity})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_head_is_a_get() -> None:
    done: list[Record] = []
    assert (await ask(guard(done), "/x", method="HEAD")).body == "GET"
    assert done[0].method == "HEAD"


async def test_a_bug_is_one_warning_with_its_place_but_not_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[Record] = []
    await ask(guard(done), "/bug", headers={"X-Request-ID": "7"})
    error = capsys.readouterr().err
    assert re.fullmatch(r"nmt: warning: a bug, while request 7 was answered: ValueError at \S+:\d+.*\n", error)
    assert "secret" not in error
    assert len(done) == 1


async def test_an_answer_that_never_began_is_one_of_a_client_that_has_gone() -> None:
    async def silent(*_: object) -> None:
        raise ConnectionError

    done: list[Record] = []
    with pytest.raises(IndexError):
        await ask(Guard(silent, ServingConfig(), done.append), "/x")
    assert done[0].status == 499
