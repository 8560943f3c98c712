"""A suffix: the model is asked to fill the gap, in the tokens it was taught that with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from power.config import load_config
from power.errors import BadRequest
from power.generate import Generation, render_only
from power.store import StoredModel, open_store
from tests.gguf.files import write_small
from tests.support import add_model

GAP = {"tokenizer.ggml.fim_pre_token_id": 3, "tokenizer.ggml.fim_suf_token_id": 4, "tokenizer.ggml.fim_mid_token_id": 5}


@asynccontextmanager
async def open_power(folder: Path, extra: dict[str, Any]) -> AsyncIterator[Any]:
    """As much of a `Power` as rendering needs, with a model `coder`."""
    config = load_config({}, {"POWER_HOME": str(folder / "home")})
    add_model(config.models_dir, "coder", write_small(folder / "coder.gguf", extra=extra))
    async with open_store(config) as store:

        async def find(name: str) -> StoredModel:
            return store.find(name)

        yield SimpleNamespace(find=find, config=config)


async def test_prefix_and_suffix_go_around_the_gap(tmp_path: Path) -> None:
    async with open_power(tmp_path, GAP) as power:
        prompt = await render_only(power, Generation(model="coder", prompt="def f():", suffix="return 1"))

    assert prompt == "hellodef f():wörldreturn 1▁"


async def test_a_model_without_those_tokens_does_not_insert(tmp_path: Path) -> None:
    async with open_power(tmp_path, {}) as power:
        with pytest.raises(BadRequest, match="does not support insert"):
            await render_only(power, Generation(model="coder", prompt="a", suffix="b"))
