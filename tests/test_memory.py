from __future__ import annotations

from pathlib import Path

from .conftest import Serve


async def test_a_context_that_cannot_fit_is_refused_with_the_numbers_before_anything_starts(
    serving: Serve, endless: Path
) -> None:
    async with serving({"m": endless}, num_parallel=64) as client:
        # 64 slots of 100,000 tokens, at 6 layers of 2 heads of 96 numbers: far beyond what tests run on.
        body = {"model": "m", "prompt": "x", "raw": True, "stream": False, "options": {"num_ctx": 100_000}}

        refused = await client.post("/api/generate", json=body)
        small = await client.post("/api/generate", json={**body, "options": {"num_ctx": 64, "num_predict": 2}})

        assert refused.status_code == 500
        assert "GiB" in refused.json()["error"]
        assert "num_ctx" in refused.json()["error"]
        assert small.json()["eval_count"] == 2
