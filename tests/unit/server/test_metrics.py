"""Metrics: counted by labels of which there are few."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import ask

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig, Options
from nmt.config.serving import QuotaConfig, ServingConfig
from nmt.server.app import create_app, guarded
from nmt.server.batching import Ticket
from nmt.server.guard import Record
from nmt.server.keys import add_key
from nmt.server.metrics import Metrics, router_of
from nmt.server.models import Models, Served
from nmt.server.service import Service

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def models(tiny_model: Path) -> Iterator[Models]:
    models = Models.of([Served.load("m", tiny_model, DecodingConfig(), InferenceConfig(device="cpu"), 0.0)])
    yield models
    models.close()


async def shown(metrics: Metrics, **headers: str) -> tuple[int, str]:
    app = create_app(metrics.service)
    app.include_router(router_of(metrics))
    answer = await ask(guarded(app, metrics.count), "/metrics", headers=headers)
    return answer.status, answer.body


def record(route: str, method: str = "POST", status: int = 200, chars: int = 5) -> Record:
    return Record("1", method, "/secret", route, status, 0.02, chars, "weblate")


async def test_requests_rows_and_models_are_counted(models: Models) -> None:
    metrics = Metrics(Service(models, ServingConfig()))
    for each in (record("/translate"), record("/translate"), record("other", "BREW", 404, 0)):
        metrics.count(each)
    metrics.count_refused(400)
    before = models.served[0].batcher.rows
    models.served[0].translate(["A small dog sleeps."], Options(), Ticket())
    status, text = await shown(metrics)
    lines = text.splitlines()
    assert status == 200
    assert {
        'nmt_requests_total{method="POST",path="/translate",status="200"} 2.0',
        'nmt_requests_total{method="other",path="other",status="404"} 1.0',
        'nmt_requests_total{method="",path="",status="400"} 1.0',
        'nmt_request_seconds_bucket{le="0.01",path="/translate"} 0.0',
        'nmt_request_seconds_bucket{le="0.025",path="/translate"} 2.0',
        "nmt_characters_total 10.0",
        "nmt_requests_in_progress 0.0",
        "nmt_characters_in_progress 0.0",
        'nmt_rows_waiting{model="m"} 0.0',
        f'nmt_batch_rows_total{{model="m"}} {before + 1:.1f}',
        'nmt_model_info{engine="NativeEngine",model="m",source="en",target="de"} 1.0',
    } <= set(lines)
    assert re.search(r'^nmt_batches_total\{model="m"\} [1-9]', text, re.MULTILINE)
    assert re.search(r"^process_resident_memory_bytes [1-9]", text, re.MULTILINE)
    assert "secret" not in text
    assert "weblate" not in text
    assert 'path="/metrics",status="200"} 1.0' in (await shown(metrics))[1]


async def test_where_keys_are_wanted_metrics_need_one(models: Models, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.toml", "prometheus", QuotaConfig())
    metrics = Metrics(Service(models, ServingConfig(api_keys=str(tmp_path / "keys.toml"))))
    assert (await shown(metrics))[0] == 403
    assert (await shown(metrics, Authorization=f"Bearer {key}"))[0] == 200
