"""What `/api/show` says of memory."""

from __future__ import annotations

import httpx

from power.api.memory import serving_of
from power.config import Config, load_config
from power.gguf.memory import Serving
from power.options import LoadOptions


def config(**changes: str) -> Config:
    return load_config({}, changes)


def test_show_says_what_loading_would_take(http: httpx.Client) -> None:
    memory = http.post("/api/show", json={"model": "tiny"}).json()["memory"]
    purposes = ("weights", "kv", "state", "compute", "output", "projector", "draft")

    n_cells = memory["num_parallel"] * memory["context_length"]
    assert memory["kv"] == n_cells * 5 * 2 * 128 * 2  # layers, keys and values, their width, F16
    assert memory["total"] == sum(memory[purpose] for purpose in purposes)


def test_what_a_request_or_model_says_goes_before_the_configuration() -> None:
    said = LoadOptions(num_ctx=512, num_batch=64, flash_attention=False)

    assert serving_of(LoadOptions(), config(OLLAMA_CONTEXT_LENGTH="1024")).n_ctx == 1024
    assert serving_of(said, config(OLLAMA_KV_CACHE_TYPE="q8_0", OLLAMA_NUM_PARALLEL="2")) == Serving(
        n_ctx=512, n_slots=2, n_batch=64, kv_type="q8_0", flash_attention=False
    )
