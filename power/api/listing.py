"""What models there are: `/api/tags`, `/api/ps`, `/v1/models`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import trio

from power.api.encode import Response, json_response, local_time
from power.api.requests import Request
from power.generate import Power
from power.sched import RunningModel
from power.store import StoredModel

# What Ollama says of a model that never leaves: as far off as a Go duration reaches.
FOREVER = timedelta(days=292 * 365)


async def tags(power: Power, request: Request) -> Response:
    models = await trio.to_thread.run_sync(power.store.list)
    return json_response({"models": [_tag(model) for model in models]})


async def ps(power: Power, request: Request) -> Response:
    return json_response({"models": [_running(running) for running in power.models.running()]})


async def list_models(power: Power, request: Request) -> Response:
    models = await trio.to_thread.run_sync(power.store.list)
    return json_response({"object": "list", "data": [_openai_model(model, str(model.name)) for model in models]})


async def retrieve_model(power: Power, request: Request, id: str) -> Response:
    return json_response(_openai_model(await power.find(id), id))


def details(model: StoredModel) -> dict[str, Any]:
    """A model's form, in a few words."""
    return {
        "parent_model": model.parent,
        "format": model.format,
        "family": model.family,
        "families": list(model.families),
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization_level,
    }


def _tag(model: StoredModel) -> dict[str, Any]:
    lengths = {"context_length": model.facts.n_ctx_train, "embedding_length": model.facts.embedding_length}
    return {
        "name": str(model.name),
        "model": str(model.name),
        "modified_at": local_time(model.modified_at),
        "size": model.size,
        "digest": model.digest,
        "details": details(model) | {key: length for key, length in lengths.items() if length},
        "capabilities": list(model.capabilities),
    }


def _running(running: RunningModel) -> dict[str, Any]:
    model = running.model
    return {
        "name": str(model.name),
        "model": str(model.name),
        "size": running.size,
        "digest": model.digest,
        "details": details(model) | {"parent_model": ""},
        "expires_at": local_time(running.expires_at or datetime.now(UTC) + FOREVER),
        "size_vram": running.size_vram,
        "context_length": running.context_length,
    }


def _openai_model(model: StoredModel, id: str) -> dict[str, Any]:
    return {
        "id": id,
        "object": "model",
        "created": int(model.modified_at.timestamp()),
        "owned_by": model.name.namespace,
    }
