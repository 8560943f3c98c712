"""How the server is: `/`, `/api/version`, `/health`, `/health/live`, `/health/ready`, `/metrics`.

None of these touches a model: asking keeps none in memory, and brings none in.
"""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST

from power import __version__
from power.api.encode import Response, json_response, text_response
from power.api.requests import Request
from power.generate import Power


async def root(power: Power, request: Request) -> Response:
    return text_response("Ollama is running")  # the very words clients look for


async def version(power: Power, request: Request) -> Response:
    return json_response({"version": __version__})


async def health(power: Power, request: Request) -> Response:
    return json_response(
        {
            "status": "stopping" if power.is_stopping else "ok",
            "version": __version__,
            "uptime_seconds": round(time.time() - power.started_at, 3),
            "models": [str(running.model.name) for running in power.models.running()],
            "loading": [{"model": name, "progress": progress} for name, progress in power.models.loading()],
        }
    )


async def live(power: Power, request: Request) -> Response:
    """For whoever restarts servers that hang: this one does not."""
    return json_response({"status": "ok"})


async def ready(power: Power, request: Request) -> Response:
    """For whoever sends requests: 503 as soon as the server was asked to stop."""
    if power.is_stopping:
        return json_response({"status": "stopping"}, 503)
    return json_response({"status": "ok"})


async def metrics(power: Power, request: Request) -> Response:
    power.models.observe()
    return Response(power.metrics.render(), 200, content_type=CONTENT_TYPE_LATEST)
