"""The description of the interfaces is true: whatever it allows is answered as it says, and nothing is a bug."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig
from nmt.config.serving import ServingConfig
from nmt.server.app import create_app, guarded
from nmt.server.models import Models, Served
from nmt.server.openapi import STATUSES
from nmt.server.service import Service

UNKNOWN = [positive_data_acceptance]  # the description does not say which languages there are
CAREFREE = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def document(tiny_model: Path) -> Iterator[Any]:
    models = Models.of([Served.load("m", tiny_model, DecodingConfig(), InferenceConfig(device="cpu"), 0.0)])
    service = Service(models, ServingConfig(allow_host=["*"], max_chars=20_000))
    yield schemathesis.openapi.from_asgi("/spec", guarded(create_app(service), lambda _: None))
    models.close()


def fuzz(document: Any, examples: int) -> None:
    """Send requests to each operation, such as its description allows and others, and check the answers by it."""
    sent: Counter[str] = Counter()
    for found in document.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:

            @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=CAREFREE)
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                case.call_and_validate(excluded_checks=UNKNOWN)
                sent[case.operation.label] += 1

            with suppress(Unsatisfiable):  # nothing can be wrong with a request that says nothing
                check()
    assert len(sent) == 9
    assert min(sent.values()) >= 1


def test_whatever_is_sent_is_answered_as_described(document: Any) -> None:
    fuzz(document, 5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_whatever_is_sent_often_is_answered_as_described(document: Any) -> None:
    fuzz(document, 500)


def test_all_is_described(document: Any) -> None:
    spec = document.raw_schema
    described = {"/translate", "/detect", "/languages", "/health", "/frontend/settings", "/translate_file"}
    assert spec["paths"].keys() == described | {"/download_file/{name}", "/v1/translate", "/v1/models"}
    for path, operations in spec["paths"].items():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["responses"].keys() >= {"200", *map(str, STATUSES)}, path
    texts = spec["paths"]["/translate"]["post"]["requestBody"]["content"]
    assert texts.keys() == {"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}
    assert texts["application/json"]["schema"]["properties"]["q"]["examples"] == ["A small dog sleeps."]
