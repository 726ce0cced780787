"""The application: all failures are told in JSON; names, origins and proxies that are believed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import ask
from starlette.types import ASGIApp

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig
from nmt.config.serving import QuotaConfig, ServingConfig
from nmt.data.reading.terms import Terms
from nmt.server.app import create_app, guarded
from nmt.server.guard import Record
from nmt.server.keys import add_key
from nmt.server.models import Models, Served
from nmt.server.service import Service

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"q": "A small dog sleeps.", "source": "en", "target": "de"}).encode()
ORIGIN = {"Origin": "https://a.example"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def models(tiny_model: Path) -> Iterator[Models]:
    models = Models.of([Served.load(None, tiny_model, DecodingConfig(), InferenceConfig(device="cpu"), 0.0)])
    yield models
    models.close()


def app(models: Models, done: list[Record] | None = None, **config: object) -> ASGIApp:
    service = Service(models, ServingConfig.model_validate(config))
    return guarded(create_app(service), (done if done is not None else []).append)


async def test_failures_are_told_in_json(models: Models) -> None:
    of = app(models)
    assert (await ask(of, "/nowhere"))[:2] == (404, {"error": "Not Found"})
    assert (await ask(of, "/health/"))[:2] == (404, {"error": "Not Found"})
    wrong = await ask(of, "/translate")
    assert (*wrong[:2], wrong.headers["allow"]) == (405, {"error": "Method Not Allowed"}, "POST")
    assert (await ask(of, "/translate", b"{", JSON)).status == 400


async def test_a_bug_is_told_without_its_text(
    models: Models, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Service, "translate_between", fail)
    done: list[Record] = []
    answer = await ask(app(models, done, cors=["https://a.example"]), "/translate", BODY, {**JSON, **ORIGIN})
    assert answer[:2] == (500, {"error": "a bug of the server; its log has more"})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    error = capsys.readouterr().err
    assert re.match(r"nmt: warning: a bug, while request [0-9a-f]{16} was answered: ZeroDivisionError at \S+", error)
    assert "secret" not in error
    assert (done[0].status, done[0].route, done[0].chars) == (500, "/translate", 19)


async def test_other_pages_may_not_read_answers_unless_their_origin_is_named(models: Models) -> None:
    closed = await ask(app(models), "/languages", headers=ORIGIN)
    assert (closed.status, "access-control-allow-origin" in closed.headers) == (200, False)
    of = app(models, cors=["https://a.example"])
    assert (await ask(of, "/languages", headers=ORIGIN)).headers["access-control-allow-origin"] == "https://a.example"
    other = await ask(of, "/languages", headers={"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers
    wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    asked = await ask(of, "/translate", headers={**ORIGIN, **wish}, method="OPTIONS")
    assert (asked.status, asked.headers["access-control-allow-methods"]) == (200, "GET, POST")


async def test_a_proxy_is_believed_only_where_it_is_named(models: Models) -> None:
    async def statuses(of: ASGIApp) -> list[int]:
        clients = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in (1, 2)]
        return [(await ask(of, "/translate", BODY, {**JSON, **client}, client="10.0.0.1")).status for client in clients]

    assert await statuses(app(models, requests_per_minute=1)) == [200, 429]
    assert await statuses(app(models, requests_per_minute=1, proxy=["10.0.0.0/8"])) == [200, 200]
    assert await statuses(app(models, requests_per_minute=1, proxy=["10.1.0.0/16"])) == [200, 429]


async def test_where_keys_are_wanted_all_translations_need_one(models: Models, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.toml", "weblate", QuotaConfig())
    done: list[Record] = []
    of = app(models, done, api_keys=str(tmp_path / "keys.toml"))
    line = json.dumps({"lines": ["A small dog sleeps."], "source": "en", "target": "de"}).encode()
    for path, body in {"/translate": BODY, "/detect": b'{"q": "a"}', "/v1/translate": line}.items():
        assert (await ask(of, path, body, JSON)).status == 403
    for path, operations in (await ask(of, "/spec")).body["paths"].items():
        if "post" in operations:
            assert (await ask(of, path, b"", {"Authorization": "Bearer x"})).status == 403, path
    inside = {**json.loads(BODY), "api_key": key}
    assert (await ask(of, "/translate", json.dumps(inside).encode(), JSON)).status == 200
    assert (await ask(of, "/v1/translate", line, {**JSON, "Authorization": f"Bearer {key}"})).status == 200
    assert [record.client for record in done[-2:]] == ["weblate"] * 2
    settings = (await ask(of, "/frontend/settings")).body
    assert (settings["apiKeys"], settings["keyRequired"]) == (True, True)
    settings = (await ask(app(models), "/frontend/settings")).body
    assert (settings["apiKeys"], settings["keyRequired"]) == (False, False)
    assert (await ask(of, "/languages")).status == (await ask(of, "/health")).status == 200


async def test_a_request_brings_terms_of_its_own(models: Models) -> None:
    of = app(models, max_chars=1000)
    asked: dict[str, object] = {"lines": ["A small dog sleeps.", "The dogs sleep."], "source": "en", "target": "de"}

    async def answer(**more: object) -> Any:
        return await ask(of, "/v1/translate", json.dumps({**asked, **more}).encode(), JSON)

    plain = (await answer()).body["translations"]
    bound = (await answer(glossary={"dog": ["Gebäude", "Haus"]}, n_best=2)).body
    assert all(re.search(r"\b(Gebäude|Haus)\b", one["text"]) for one in bound["translations"][0]["candidates"])
    assert bound["translations"][1]["candidates"][0]["text"] == plain[1]["candidates"][0]["text"]
    first = plain[0]["candidates"][0]["text"].split()[0]
    avoiding = (await answer(avoid=[first])).body["translations"]
    assert first.lower() not in avoiding[0]["candidates"][0]["text"].lower().split()
    unused = "no line holds a term of the glossary: is its first column in the source language?"
    assert unused in (await answer(glossary={"Hund": "dog"})).body["warnings"]
    assert (await answer(glossary={"dog": " "})).body == {"error": "term 'dog': the target is blank"}
    assert (await answer(glossary={"dog": "Haus"}, glossary_mode="hard")).status == 200
    refused = "the model was not trained for terms, and cannot take them from its source"
    assert refused in (await answer(glossary={"dog": "Haus"}, glossary_mode="soft")).body["error"]
    for key, value in (("glossary_mode", "soft"), ("glossary_forms", "lemmas")):
        assert "glossary_mode and glossary_forms are for a glossary" in (await answer(**{key: value})).body["error"]
    assert "for soft terms" in (await answer(glossary={"dog": "Haus"}, glossary_forms="lemmas")).body["error"]
    assert (await answer(glossary={"dog": []})).status == (await answer(glossary={"dog": 7})).status == 400
    assert "is blank to the model" in (await answer(glossary={"\u200b": "Hund"})).body["error"]
    too_many = {f"term{number}": "Hund" for number in range(1001)}
    assert (await answer(glossary=too_many)).status == 400
    assert "characters in one request" in (await answer(glossary={"a" * 99: ["b" * 199] * 5})).body["error"]


async def test_a_server_keeps_to_a_glossary_of_its_own(tiny_model: Path) -> None:
    terms = Terms.of({"dog": "Gebäude"})
    model = Served.load(None, tiny_model, DecodingConfig(), InferenceConfig(device="cpu"), 0.0, terms)
    of = app(Models.of([model]))
    found = (await ask(of, "/translate", BODY, JSON)).body["translatedText"]
    assert re.search(r"\bGebäude\b", found)
    own = json.dumps({"lines": ["A small dog sleeps."], "source": "en", "target": "de", "glossary": {"dog": "Haus"}})
    (line,) = (await ask(of, "/v1/translate", own.encode(), JSON)).body["translations"]
    assert re.search(r"\bHaus\b", line["candidates"][0]["text"])
    model.batcher.close()
