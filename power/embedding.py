"""The path from texts to vectors, and from a query and documents to scores.

Like `power.generate`, for whichever API asked: find the model, take a place in
its bounded queue, collect what the worker makes of the inputs.
"""

from __future__ import annotations

import array
import sys
from typing import Any

import msgspec
import trio

from power.claim import ANYBODY, Claim
from power.errors import BadRequest, ModelNotFound
from power.generate import Power
from power.planning import read_request_options
from power.sched import Mailbox
from power.store import StoredModel
from power.worker import wire

Input = str | tuple[int, ...]
"""A text, or the ids of its tokens."""


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """A request for vectors, or with a query for scores."""

    model: str
    inputs: tuple[Input, ...]
    query: str | None = None
    truncate: bool = True  # what is too long is cut; otherwise it is an error
    n_dims: int = 0  # of each vector, the first so many; 0: all
    normalize: bool = True  # to length one
    options: dict[str, Any] = {}
    keep_alive: float | None = None  # seconds, infinity for ever; None: as the server likes
    claim: Claim = ANYBODY


class Vectors(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Times in nanoseconds."""

    rows: tuple[bytes, ...]  # one for each input, float32, little-endian
    n_tokens: int  # of all inputs, what was added around them included
    total_ns: int
    load_ns: int

    def floats(self, row: int) -> list[float]:
        return floats(self.rows[row])


def floats(row: bytes) -> list[float]:
    """The numbers of a row."""
    numbers = array.array("f", row)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


async def embed(power: Power, request: Embedding) -> Vectors:
    """All of the inputs' vectors, in their order.

    Raises:
        PowerError: whatever forbids or ends it. If one input cannot be embedded, none is.
    """
    started = trio.current_time()
    stored = await find_model(power, request.model)
    _check(stored, request)
    options = read_request_options(stored, request.options)
    command = wire.Embed(
        id=0,  # given with the place
        inputs=request.inputs,
        query=request.query,
        truncate=request.truncate,
        n_ctx=options.load.num_ctx or 0,
        n_dims=request.n_dims,
        normalize=request.normalize,
    )
    async with (
        power.models.acquire(stored, options.load, request.keep_alive, request.claim) as use,
        use.generate(command) as mailbox,
    ):
        accepted_at, rows, n_tokens = await _collect(mailbox)
        power.metrics.accepted(str(stored.name), accepted_at - started)
        ready_at = use.model.ready_at
    now = trio.current_time()
    loaded = min(max(started, ready_at), now)
    return Vectors(
        rows=tuple(rows), n_tokens=n_tokens, total_ns=int((now - started) * 1e9), load_ns=int((loaded - started) * 1e9)
    )


async def find_model(power: Power, name: str) -> StoredModel:
    """Like `Power.find`, with the words that embeddings have for a model that is not there."""
    try:
        return await power.find(name)
    except ModelNotFound:
        raise ModelNotFound(name, hint=bool(name)) from None


def _check(stored: StoredModel, request: Embedding) -> None:
    ranks = "rerank" in stored.capabilities
    if request.query is None and ranks:
        raise BadRequest(f'"{request.model}" does not support embeddings: it is a reranker', field="model")
    if request.query is not None and not ranks:
        raise BadRequest(f'"{request.model}" does not support reranking', field="model")


async def _collect(mailbox: Mailbox) -> tuple[float, list[bytes], int]:
    """When it got its slot (trio's clock), its rows, and how many tokens they are made of."""
    rows: list[bytes] = []
    accepted_at: float | None = None
    while True:
        match await mailbox.get():
            case wire.Accepted():
                rows.clear()  # again, from the worker that took over from one that died
                accepted_at = trio.current_time() if accepted_at is None else accepted_at
            case wire.Embedded(n_tokens=counts, n_dims=n_dims, vectors=vectors):
                size = 4 * n_dims
                rows += [vectors[start : start + size] for start in range(0, size * len(counts), size)]
            case wire.Done(n_prompt=n_prompt):
                assert accepted_at is not None
                return accepted_at, rows, n_prompt
            case event:
                raise AssertionError(f"an embedding brought {event}")
