"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fiducial.results import Segmentation

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the histograms."""


class Metrics:
    """Counts of one server; several in one process do not meet."""

    def __init__(self) -> None:
        self.registry = of = CollectorRegistry()
        self._requests = Counter("fiducial_requests", "answered requests", ("path", "status"), registry=of)
        self._seconds = Histogram(
            "fiducial_request_seconds", "from header to answer", ("path",), buckets=SECONDS, registry=of
        )
        self._outcomes = Counter("fiducial_outcomes", "results by how asking ended", ("recipe", "outcome"), registry=of)
        self._stages = Counter("fiducial_stage_seconds", "time of the models", ("recipe", "stage"), registry=of)

    def gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """Tell a number whenever somebody asks."""
        Gauge(name, help, registry=self.registry).set_function(value)

    def count(self, recipe: str, result: Segmentation) -> None:
        """Count a result."""
        self._outcomes.labels(recipe, result.outcome.value).inc()
        for stage, seconds in result.seconds.items():
            if stage != "total":
                self._stages.labels(recipe, stage).inc(seconds)

    def text(self) -> bytes:
        """Write all numbers in the text format of Prometheus."""
        return generate_latest(self.registry)

    def watched(self, app: ASGIApp) -> ASGIApp:
        """Return an application that counts its requests by path and status."""

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = 500
            started = time.perf_counter()

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, noting)
            finally:
                route: Any = scope.get("route")
                # Not the path that was asked for: there may be any number of those.
                path = getattr(route, "path", "other")
                self._requests.labels(path, str(status)).inc()
                self._seconds.labels(path).observe(time.perf_counter() - started)

        return counting
