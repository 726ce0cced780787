"""The requests in progress: counted, refused where there are too many, ended where nobody waits."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig, Options
from nmt.config.serving import ServingConfig
from nmt.errors import DataError
from nmt.server.batching import GoneError, Ticket
from nmt.server.errors import ApiError
from nmt.server.models import Models, Served
from nmt.server.service import Service

pytestmark = pytest.mark.anyio
LINES = ["A small dog sleeps.", "The woman wants to see the old house."]


@pytest.fixture(scope="module")
def models(tiny_model: Path) -> Iterator[Models]:
    models = Models.of([Served.load(None, tiny_model, DecodingConfig(), InferenceConfig(device="cpu"), 0.0)])
    yield models
    models.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request(gone_after: float = 60.0) -> Request:
    """Return a request whose client leaves after some seconds."""

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(gone_after)
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def wait(ticket: Ticket) -> None:
    """Work until the ticket is over."""
    while not ticket.is_over:
        time.sleep(0.001)
    raise GoneError


def refusal(error: pytest.ExceptionInfo[ApiError]) -> tuple[int, str]:
    return error.value.status, error.value.message


async def test_the_result_of_the_work_comes_back(models: Models) -> None:
    service = Service(models, ServingConfig())
    assert await service.run(request(), 5, lambda _: "done") == "done"
    assert (service.requests, service.chars) == (0, 0)


async def test_an_expected_failure_is_told_and_a_bug_is_not_hidden(models: Models) -> None:
    def fail(error: Exception) -> Any:
        def work(_: Ticket) -> None:
            raise error

        return work

    service = Service(models, ServingConfig())
    with pytest.raises(ApiError) as told:
        await service.run(request(), 5, fail(DataError("the prefix is too long")))
    assert refusal(told) == (400, "the prefix is too long")
    with pytest.raises(ZeroDivisionError):
        await service.run(request(), 5, fail(ZeroDivisionError()))
    assert service.requests == 0


async def test_a_request_of_too_many_characters_is_refused(models: Models) -> None:
    service = Service(models, ServingConfig(max_chars=10))
    with pytest.raises(ApiError) as told:
        await service.run(request(), 11, lambda _: None)
    assert refusal(told) == (400, "11 characters in one request: the most are 10")


@pytest.mark.parametrize("limits", [{"max_requests": 1}, {"max_pending_chars": 100}])
async def test_where_too_much_is_in_progress_a_request_is_told_when_to_come_again(
    models: Models, limits: dict[str, int]
) -> None:
    service = Service(models, ServingConfig.model_validate(limits))
    first = asyncio.ensure_future(service.run(request(0.2), 2000, wait))  # alone a request may be of any length
    await asyncio.sleep(0.01)
    with pytest.raises(ApiError) as told:
        await service.run(request(), 1, lambda _: None)
    assert refusal(told) == (429, "too many requests are in progress: try again in 2 s")
    assert told.value.headers == {"Retry-After": "2"}
    with pytest.raises(ApiError):
        await first
    assert await service.run(request(), 1, lambda _: "done") == "done"


async def test_a_client_that_goes_ends_its_work(models: Models) -> None:
    service = Service(models, ServingConfig())
    began = time.monotonic()
    with pytest.raises(ApiError) as told:
        await service.run(request(0.01), 1, wait)
    assert (told.value.status, time.monotonic() - began < 5) == (499, True)


async def test_work_ends_when_its_time_is_over(models: Models) -> None:
    service = Service(models, ServingConfig(timeout=0.01))
    with pytest.raises(ApiError) as told:
        await service.run(request(), 1, wait)
    assert refusal(told) == (504, "not done within 0.01 s")


def test_line_breaks_are_kept_and_each_line_is_translated_by_itself(models: Models) -> None:
    service = Service(models, ServingConfig())
    route = service.route("en", "de")
    first, second = (one.text for one in route.translate(LINES, Options(), Ticket())[0])
    texts = [f"{LINES[0]}\r\n\r\n{LINES[1]}", "", f"\n{LINES[1]}\n"]
    found, warnings = service.translate(texts, route, Options(n_best=2), Ticket())
    assert [one.text for one in found] == [f"{first}\r\n\r\n{second}", "", f"\n{second}\n"]
    assert [len(one.alternatives) for one in found] == [1, 0, 1]
    assert found[0].alternatives[0].count("\r\n") == 2
    assert any("blank" in warning for warning in warnings)


def test_languages_without_a_route_are_named(models: Models) -> None:
    service = Service(models, ServingConfig())
    for pair, message in {
        ("fr", "de"): "fr cannot be translated: the source languages are en",
        ("en", "fr"): "en cannot be translated into fr: the target languages are de",
    }.items():
        with pytest.raises(ApiError) as told:
            service.route(*pair)
        assert refusal(told) == (400, message)


def test_models_are_replaced_for_new_requests(models: Models, tiny_model: Path) -> None:
    old = Models.of([Served.load("old", tiny_model, DecodingConfig(), InferenceConfig(device="cpu"), 0.0)])
    service = Service(old, ServingConfig())
    route = service.route("en", "de")
    service.reload(models)
    assert service.route("en", "de").models[0].name == "tiny"
    assert route.translate(LINES, Options(), Ticket())[0] == models.served[0].translator.translate(LINES)
