"""The one path from a typed request to the events of its answer.

`/api/*` and `/v1/*` translate into `Generation` and out of `events`; everything
between is here, in the order it happens: find the model, plan (`power.planning`),
take a place, and turn pieces of text into thinking, content and tool calls.  What
can be refused is refused on entering the block, before a first byte is sent.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import msgspec
import trio

from power.config import Config
from power.errors import Overloaded
from power.events import Accepted, Finished, Text, Truncated
from power.fitting import begin, fitted
from power.grammar import Answer, AnswerReader
from power.metrics import Metrics
from power.planning import Generation, Plan, read_request_options
from power.planning import plan as make_plan
from power.sched import Mailbox, Models, Watch
from power.sched.model import Model
from power.store import Store, StoredModel
from power.stream.align import OfContent
from power.worker import wire

__all__ = ["Generation", "Power", "Reply", "Watch", "load_model", "open_generation", "render_only", "unload_model"]


FEW_TOKENS = 16  # that a vocabulary may put around a prompt
UNLOAD_SECONDS = 5.0  # that an answer waits for a process to end


class Power:
    """What a server has opened: the services every request is served with."""

    def __init__(self, config: Config, store: Store, models: Models, metrics: Metrics) -> None:
        self.config = config
        self.store = store
        self.models = models
        self.metrics = metrics
        self.started_at = time.time()  # seconds since the epoch
        self.is_stopping = False

    def stop(self) -> None:
        """Take no more work, and turn away what has not begun; what has goes on."""
        self.is_stopping = True
        self.models.stop(self.stopping())

    def stopping(self) -> Overloaded:
        """What whoever comes now is told. By then another server may be in this one's place."""
        seconds = max(1, math.ceil(self.config.drain_seconds))
        return Overloaded("the server is stopping", reason="stopping", retry_after=seconds)

    async def find(self, name: str) -> StoredModel:
        """The stored model of that name. See `Store.find` for what is raised."""
        if (remembered := self.store.remembered(name)) is not None:
            return remembered
        return await trio.to_thread.run_sync(self.store.find, name)


class Reply:
    """An answer that has begun: `accepted` is known, `events` are to come."""

    def __init__(
        self,
        model: StoredModel,
        accepted: Accepted,
        tokens: tuple[int, ...],
        events: AsyncGenerator[Text | Finished, None],
        truncated: Truncated | None = None,
    ):
        self.model = model
        self.accepted = accepted
        self.prompt_tokens = tokens  # empty unless `want_tokens`
        self.events = events
        self.truncated = truncated


@asynccontextmanager
async def open_generation(power: Power, request: Generation, watch: Watch | None = None) -> AsyncIterator[Reply]:
    """Generate; the reply's events come while the block is open, and leaving it cancels.

    While it is being entered, `watch` sees what is waited for.

    Raises:
        PowerError: on entering, whatever forbids the generation; from the
            iterator, whatever ended it half-way.
    """
    started = trio.current_time()
    plan = await make_plan(await power.find(request.model), request, power.config)
    async with (
        power.models.acquire(plan.stored, plan.options.load, request.keep_alive, request.claim, watch) as use,
        AsyncExitStack() as stack,
    ):
        plan, mailbox, accepted = await begin(stack, use, plan, request)
        clock = _Clock(started, use.model, trio.current_time(), plan.truncated)
        power.metrics.accepted(str(plan.stored.name), clock.waited, is_truncated=plan.truncated is not None)
        async with aclosing(_read(mailbox, Stages(plan, request), clock, plan)) as events:
            counts = Accepted(accepted.n_prompt, accepted.n_cached)
            yield Reply(plan.stored, counts, accepted.tokens, events, plan.truncated)


async def load_model(power: Power, name: str, *, options: dict[str, Any], keep_alive: float | None) -> StoredModel:
    """Have the model in memory; nothing is generated."""
    stored = await power.find(name)
    checked = read_request_options(stored, options)
    async with power.models.acquire(stored, checked.load, keep_alive) as use:
        await use.model.wait_ready()
    return stored


async def unload_model(power: Power, name: str) -> StoredModel:
    """Let the model leave memory as soon as nobody uses it; if nobody does, it has left."""
    stored = await power.find(name)
    model = power.models.unload(stored)
    if model is not None and model.is_idle:
        with trio.move_on_after(UNLOAD_SECONDS):
            await model.gone.wait()
    return stored


async def render_only(power: Power, request: Generation) -> str:
    """The prompt that `request` would be answered to; raises what forbids the answer.

    Only a prompt that may not fit needs its model in memory: no token is shorter than a byte.
    """
    plan = await make_plan(await power.find(request.model), request, power.config)
    n_most = len(plan.prompt.encode(errors="replace")) + len(plan.context) + FEW_TOKENS
    if n_most < (plan.options.load.num_ctx or power.config.context_length):
        return plan.prompt
    async with power.models.acquire(plan.stored, plan.options.load, request.keep_alive, request.claim) as use:
        return (await fitted(use, plan, request)).prompt


# -- from pieces to events --


class Stages:
    """Text from the worker, divided into thinking, content and tool calls."""

    def __init__(self, plan: Plan, request: Generation) -> None:
        named = plan.stored.config.parser  # such a model is read by its parser whatever it is asked, as Ollama does
        only_text = not request.tools and not named
        self._hides_thinking = plan.think is False  # some models think whatever they are told
        self._reader = AnswerReader(
            plan.dialect,
            request.tools,
            thinking=plan.thinking,
            prompt=plan.prompt,
            only_text=only_text,
            tells=plan.hold.tells,
        )
        self._logprobs = OfContent()

    def feed(self, piece: wire.Piece) -> Text:
        return self._text(self._reader.feed(piece.text), piece)

    def flush(self) -> Text:
        """What the stages had held back."""
        return self._text(self._reader.flush(), wire.Piece(0, ""))

    def _text(self, answer: Answer, piece: wire.Piece) -> Text:
        return Text(
            content=answer.content,
            thinking="" if self._hides_thinking else answer.thinking,
            tool_calls=answer.tool_calls,
            parts=answer.parts,
            unfinished=answer.unfinished,
            tokens=piece.tokens,
            logprobs=piece.logprobs,
            content_logprobs=self._logprobs.feed(piece.logprobs, answer.content),
        )


class _Clock:
    """Where a request's time went. Trio's clock, seconds."""

    def __init__(self, started: float, model: Model, accepted: float, truncated: Truncated | None) -> None:
        self._started = started
        self._truncated = truncated
        loaded = min(max(started, model.ready_at), accepted)
        self.load_ns = _ns(loaded - started)
        self.queue_ns = _ns(accepted - loaded)
        self.waited = accepted - started

    def finished(self, done: wire.Done) -> Finished:
        assert done.reason != "cancel"
        return Finished(
            reason=done.reason,
            n_prompt=done.n_prompt,
            n_cached=done.n_cached,
            n_generated=done.n_generated,
            load_ns=self.load_ns,
            queue_ns=self.queue_ns,
            prefill_ns=done.prefill_ns,
            decode_ns=done.decode_ns,
            total_ns=_ns(trio.current_time() - self._started),
            truncated=self._truncated,
        )


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


async def _read(mailbox: Mailbox, stages: Stages, clock: _Clock, plan: Plan) -> AsyncGenerator[Text | Finished, None]:
    while True:
        match await mailbox.get():
            case wire.Piece() as piece:
                yield stages.feed(piece)
            case wire.Done() as done:
                rest = stages.flush()
                if rest.content or rest.thinking or rest.tool_calls or rest.parts:
                    yield rest
                yield msgspec.structs.replace(clock.finished(done), format_ignored=plan.hold.ignored)
                return
            case wire.Accepted():
                pass  # again, from the worker that took over from one that died
