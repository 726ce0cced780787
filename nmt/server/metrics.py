"""Metrics for Prometheus: https://prometheus.io/docs/practices/naming."""

from collections import Counter
from collections.abc import Iterator

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from nmt.server.guard import Record
from nmt.server.service import Service

METHODS = {"GET", "POST", "HEAD", "OPTIONS"}  # others share a label
OTHER = "other"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Metrics(Collector):
    """Counts of all requests, and the state of `service` when it is looked at."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._chars = 0
        self._seconds = Histogram(
            "nmt_request_seconds",
            "Time from the head to the answer.",
            ["path"],
            buckets=SECONDS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def count(self, record: Record) -> None:
        """Count a request that is over."""
        method = record.method if record.method in METHODS else OTHER
        self._requests[record.route, method, str(record.status)] += 1
        self._seconds.labels(record.route).observe(record.seconds)
        self._chars += record.chars

    def count_refused(self, status: int) -> None:
        """Count a connection that was refused before there was a request."""
        self._requests["", "", str(status)] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics that are not kept in the registry."""
        requests = CounterMetricFamily("nmt_requests", "Requests answered.", labels=["path", "method", "status"])
        for labels, number in self._requests.copy().items():
            requests.add_metric(labels, number)
        yield requests
        yield CounterMetricFamily("nmt_characters", "Characters of requests taken.", self._chars)
        yield GaugeMetricFamily("nmt_requests_in_progress", "Requests in progress.", self.service.requests)
        yield GaugeMetricFamily("nmt_characters_in_progress", "Characters in progress.", self.service.chars)
        of_model = ["model"]
        waiting = GaugeMetricFamily("nmt_rows_waiting", "Rows that wait for a batch.", labels=of_model)
        batches = CounterMetricFamily("nmt_batches", "Batches computed since the model was loaded.", labels=of_model)
        rows = CounterMetricFamily("nmt_batch_rows", "Rows of these batches.", labels=of_model)
        info = GaugeMetricFamily("nmt_model_info", "1 for each model.", labels=["model", "source", "target", "engine"])
        batchers = {id(model.batcher): model for model in reversed(self.service.models.served)}
        for model in self.service.models.served:
            if batchers[id(model.batcher)] is model:  # the directions of one model share a batcher
                for family, value in (
                    (waiting, model.batcher.waiting),
                    (batches, model.batcher.batches),
                    (rows, model.batcher.rows),
                ):
                    family.add_metric([model.name.partition("/")[0]], value)
            info.add_metric([model.name, model.source, model.target, type(model.batcher.engine).__name__], 1)
        yield from (waiting, batches, rows, info)


def router_of(metrics: Metrics) -> APIRouter:
    """Return the route /metrics."""
    router = APIRouter()

    @router.get("/metrics", include_in_schema=False)
    async def show(request: Request) -> Response:
        metrics.service.gate.admit(request)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
