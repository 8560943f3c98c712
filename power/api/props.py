"""`/props`, as llama-server has it: how a model is served, for clients that look before they ask.

Nothing is loaded for it.  `model` says of which; where it is left out and not
exactly one is in memory, the answer is a router's.
"""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from power import __version__
from power.api.encode import Response, json_response
from power.api.requests import Request
from power.config import Config
from power.errors import NotSupported
from power.generate import Power
from power.options import Options, Sampling, read_options
from power.prompt import served
from power.sched import RunningModel
from power.store import StoredModel

LEFT_OUT = ("logit_bias", "penalize_newline")  # as llama-server does


async def get(power: Power, request: Request) -> Response:
    name, running = request.args.get("model"), power.models.running()
    if not name and len(running) != 1:
        return json_response(_router(power.config))
    stored = await power.find(name) if name else running[0].model
    found = next((one for one in running if one.model.path == stored.path), None)
    return json_response(await trio.to_thread.run_sync(_props, stored, found, power.config))


async def post(power: Power, request: Request) -> Response:
    raise NotSupported("this server's properties are set in its configuration")


def described(sampling: Sampling, n_predict: int, n_keep: int, n_probs: int | None) -> dict[str, Any]:
    """How tokens are chosen, in llama-server's words."""
    fields = {name: value for name, value in msgspec.structs.asdict(sampling).items() if name not in LEFT_OUT}
    return fields | {"max_tokens": n_predict, "n_predict": n_predict, "n_keep": n_keep, "n_probs": n_probs or 0}


def _props(stored: StoredModel, running: RunningModel | None, config: Config) -> dict[str, Any]:
    options, _ = read_options(stored.params)
    templates = served(stored)
    n_ctx = running.context_length if running else options.load.num_ctx or config.context_length
    return _common(config) | {
        "default_generation_settings": {"params": _params(options), "n_ctx": n_ctx},
        "total_slots": running.n_slots if running else config.num_parallel,
        "model_alias": str(stored.name),
        "model_ftype": stored.quantization_level,
        "model_path": str(stored.path),
        "modalities": {"vision": "vision" in stored.capabilities, "video": False, "audio": False},
        "chat_template": templates[0].text if templates else "",
        "chat_template_caps": {name: name in stored.capabilities for name in ("tools", "thinking")},
        "bos_token": stored.facts.bos,
        "eos_token": stored.facts.eos,
        "is_sleeping": running is None,
    }


def _params(options: Options) -> dict[str, Any]:
    return described(options.sampling, options.num_predict, options.num_keep, None)


def _router(config: Config) -> dict[str, Any]:
    return _common(config) | {
        "role": "router",
        "max_instances": config.max_loaded_models,
        "models_autoload": True,
        "model_alias": "power",
        "model_path": "none",
        "default_generation_settings": {"params": {}, "n_ctx": 0},
    }


def _common(config: Config) -> dict[str, Any]:
    return {
        "endpoint_slots": config.show_slots,
        "endpoint_props": False,
        "endpoint_metrics": True,
        "build_info": f"power {__version__}",
    }
