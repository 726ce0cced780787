"""The gate: keys, and quotas of keys and of addresses."""

from pathlib import Path

import pytest
from starlette.requests import Request

from nmt.config.serving import QuotaConfig, ServingConfig
from nmt.errors import UsageError
from nmt.server.errors import ApiError
from nmt.server.gate import Gate
from nmt.server.keys import add_key

KNOWN = "the API key is not one of this server's"


def request(authorization: str | None = None, client: str = "192.0.2.1") -> Request:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    return Request({"type": "http", "headers": headers, "client": (client, 1)})


def refusal(
    gate: Gate, asked: Request, key: str | None = None, chars: int | None = None
) -> tuple[int, str, str] | None:
    """Return the status, the message and Retry-After of a refused request; None where it is let in."""
    try:
        gate.admit(asked, key)
        if chars is not None:
            gate.charge(asked, chars)
    except ApiError as error:
        return error.status, error.message, error.headers.get("Retry-After", "")
    return None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_without_keys_all_are_let_in() -> None:
    asked = request()
    assert refusal(Gate(ServingConfig()), asked, "any", 10) is None
    assert asked.state.chars == 10


def test_a_key_comes_in_the_body_or_in_the_header(path: Path) -> None:
    key = add_key(path, "a", QuotaConfig())
    gate = Gate(ServingConfig(api_keys=str(path)))
    for asked, in_body in ((request(), key), (request(f"Bearer {key}"), None), (request(f"bearer  {key}"), "other")):
        assert refusal(gate, asked, in_body, 5) is None
        assert asked.state.client == "a"
    needed = (403, "an API key is needed: api_key in the body, or Authorization: Bearer KEY", "")
    assert [refusal(gate, request(), key) for key in (None, "")] == [needed] * 2
    wrong = (403, KNOWN, "")
    assert refusal(gate, request(), key + "x") == wrong
    assert refusal(gate, request("Bearer x"), key) == wrong


def test_a_request_that_was_not_let_in_has_no_characters(path: Path) -> None:
    add_key(path, "a", QuotaConfig())
    gate = Gate(ServingConfig(api_keys=str(path)))
    with pytest.raises(ApiError, match=KNOWN):
        gate.charge(request(), 1)


def test_beyond_its_quotas_a_key_is_told_when_to_come_again(path: Path) -> None:
    key = add_key(path, "a", QuotaConfig(requests_per_minute=3, chars_per_day=86_400))
    gate = Gate(ServingConfig(api_keys=str(path)))
    assert refusal(gate, request(), key, 86_400) is None
    assert refusal(gate, request(), key, 10) == (429, "more than 86,400 characters in a day: try again in 10 s", "10")
    assert refusal(gate, request(), key, 90_000) == (400, "90,000 characters: the key a has 86,400 a day", "")
    assert refusal(gate, request(), key) == (429, "more than 3 requests in a minute: try again in 20 s", "20")


def test_without_keys_an_address_has_a_quota() -> None:
    gate = Gate(ServingConfig(requests_per_minute=1))
    asked = [request(client=client) for client in ("192.0.2.1", "192.0.2.1", "192.0.2.2")]
    assert [one and one[0] for one in (refusal(gate, each) for each in asked)] == [None, 429, None]


def test_the_keys_are_read_again_and_a_bad_file_keeps_those_before(path: Path) -> None:
    first = add_key(path, "a", QuotaConfig(requests_per_minute=2))
    gate = Gate(ServingConfig(api_keys=str(path)))
    assert refusal(gate, request(), first) is None
    second = add_key(path, "b", QuotaConfig())
    assert refusal(gate, request(), second) is not None
    gate.reload()
    assert [refusal(gate, request(), key) for key in (first, second)] == [None, None]
    assert refusal(gate, request(), first) is not None, "the quota was not given anew"
    path.write_text("")
    with pytest.raises(UsageError, match="holds no key"):
        gate.reload()
    assert refusal(gate, request(), second) is None
