"""The one path from a typed request to the events of its answer.

`/api/*` and `/v1/*` translate into `Generation` and out of `events`; everything
between is here, in the order it happens: find the model, read the options,
render the prompt, compile the grammar, take a place, and turn pieces of text
into thinking, content and tool calls.  What can be refused is refused on
entering the block, before a first byte is sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
import trio

from power.config import Config
from power.errors import BadRequest
from power.events import Accepted, Finished, Text
from power.grammar import JSON_GRAMMAR, ToolCallReader, dialect_of
from power.messages import Message, Tool
from power.metrics import Metrics
from power.options import Options, read_options
from power.prompt import prompt_messages, render_chat
from power.sched import Mailbox, Models
from power.sched.model import Model
from power.store import Store, StoredModel
from power.stream.thinking import ThinkingSplitter, prompt_opens_thinking, thinking_tags
from power.worker import wire

log = logging.getLogger(__name__)


class Power:
    """What a server has opened: the services every request is served with."""

    def __init__(self, config: Config, store: Store, models: Models, metrics: Metrics) -> None:
        self.config = config
        self.store = store
        self.models = models
        self.metrics = metrics
        self.started_at = time.time()  # seconds since the epoch

    async def find(self, name: str) -> StoredModel:
        """The stored model of that name. See `Store.find` for what is raised."""
        if (remembered := self.store.remembered(name)) is not None:
            return remembered
        return await trio.to_thread.run_sync(self.store.find, name)


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """A request for text, whichever API it came by."""

    model: str
    messages: tuple[Message, ...] | None = None  # None: `prompt` is meant
    prompt: str = ""
    raw: bool = False  # the prompt goes in as it is
    system: str | None = None
    template: str | None = None
    context: tuple[int, ...] = ()  # token ids to go before the prompt
    suffix: str = ""
    images: tuple[bytes, ...] = ()
    tools: tuple[Tool, ...] = ()
    think: bool | str | None = None  # None: as the model likes
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] = {}
    keep_alive: float | None = None  # seconds, infinity for ever; None: as the server likes
    n_probs: int | None = None  # alternatives to report with each token; None: no logprobs
    want_tokens: bool = False  # the prompt's token ids are wanted


class Reply:
    """An answer that has begun: `accepted` is known, `events` are to come."""

    def __init__(
        self,
        model: StoredModel,
        accepted: Accepted,
        tokens: tuple[int, ...],
        events: AsyncGenerator[Text | Finished, None],
    ):
        self.model = model
        self.accepted = accepted
        self.prompt_tokens = tokens  # empty unless `want_tokens`
        self.events = events


class _Plan(msgspec.Struct, frozen=True):
    """A request, made ready for its model."""

    stored: StoredModel
    options: Options
    prompt: str
    think: bool | str | None
    grammar: str


@asynccontextmanager
async def open_generation(power: Power, request: Generation) -> AsyncIterator[Reply]:
    """Generate; the reply's events come while the block is open, and leaving it cancels.

    Raises:
        PowerError: on entering, whatever forbids the generation; from the
            iterator, whatever ended it half-way.
    """
    started = trio.current_time()
    plan = _plan(await power.find(request.model), request)
    async with (
        power.models.acquire(plan.stored, plan.options.load, request.keep_alive) as use,
        use.generate(_start(plan, request)) as mailbox,
    ):
        accepted = await mailbox.get()
        assert isinstance(accepted, wire.Accepted)
        clock = _Clock(started, use.model, trio.current_time())
        power.metrics.accepted(str(plan.stored.name), clock.waited)
        async with aclosing(_read(mailbox, _Stages(plan, request), clock)) as events:
            yield Reply(plan.stored, Accepted(accepted.n_prompt, accepted.n_cached), accepted.tokens, events)


async def load_model(power: Power, name: str, *, options: dict[str, Any], keep_alive: float | None) -> StoredModel:
    """Have the model in memory; nothing is generated."""
    stored = await power.find(name)
    checked = _options(stored, options)
    async with power.models.acquire(stored, checked.load, keep_alive) as use:
        await use.model.wait_ready()
    return stored


async def unload_model(power: Power, name: str) -> StoredModel:
    """Let the model leave memory as soon as nobody uses it."""
    stored = await power.find(name)
    power.models.unload(stored)
    return stored


async def render_only(power: Power, request: Generation) -> str:
    """The prompt that `request` would be answered to."""
    return _plan(await power.find(request.model), request).prompt


# -- before the first token --


def _plan(stored: StoredModel, request: Generation) -> _Plan:
    _require(stored, "completion", f'"{request.model}" does not support {"chat" if request.messages else "generate"}')
    if request.tools:
        _require(stored, "tools", f"{stored.name.full} does not support tools")
    if request.suffix:
        _require(stored, "insert", f"{stored.name.full} does not support insert")
    if request.images or any(message.images for message in request.messages or ()):
        _require(stored, "vision", f"{stored.name.full} does not support images")
    if request.template:
        raise BadRequest("a template in the request is not supported", field="template")
    if stored.adapters:
        raise BadRequest(f"{stored.name.full} has LoRA adapters, which cannot be applied yet", field="model")
    think = _think(stored, request)
    grammar = _grammar(request)
    return _Plan(stored, _options(stored, request.options), _render(stored, request, think), think, grammar)


def _require(stored: StoredModel, capability: str, otherwise: str) -> None:
    if capability not in stored.capabilities:
        raise BadRequest(otherwise, field="model")


def _options(stored: StoredModel, options: dict[str, Any]) -> Options:
    checked, unknown = read_options(stored.params, options)
    for name in unknown:
        log.warning('invalid option provided: "%s"', name)
    return checked


def _think(stored: StoredModel, request: Generation) -> bool | str | None:
    if "thinking" not in stored.capabilities:
        if request.think:
            raise BadRequest(f'"{request.model}" does not support thinking', field="think")
        return None
    if request.format:
        # The grammar holds from the first token on, so there is no room to think first.
        if request.think:
            raise BadRequest("think and format cannot be combined", field="think")
        return False
    return True if request.think is None else request.think


def _grammar(request: Generation) -> str:
    if not request.format:
        return ""
    if request.format == "json":
        return JSON_GRAMMAR
    if isinstance(request.format, dict):
        raise BadRequest('a JSON schema is not supported as a format; use "json"', field="format")
    raise BadRequest(
        f'invalid format: "{request.format}"; expected "json" or a valid JSON Schema object', field="format"
    )


def _render(stored: StoredModel, request: Generation, think: bool | str | None) -> str:
    if request.raw:
        return request.prompt
    messages = request.messages
    if messages is None:
        messages = prompt_messages(request.prompt, system=request.system, images=request.images)
    # A context already holds the model's own messages; they are not said twice.
    model = msgspec.structs.replace(stored, messages=()) if request.context else stored
    return render_chat(model, messages, request.tools, think)


def _start(plan: _Plan, request: Generation) -> wire.Start:
    options = plan.options
    return wire.Start(
        id=0,  # given with the place
        prompt=(request.context, plan.prompt) if request.context else (plan.prompt,),
        sampling=options.sampling,
        n_predict=options.num_predict,
        n_ctx=options.load.num_ctx or 0,
        stop=options.stop,
        grammar=plan.grammar,
        n_probs=request.n_probs,
        want_tokens=request.want_tokens,
    )


# -- from pieces to events --


class _Stages:
    """Text from the worker, divided into thinking, content and tool calls."""

    def __init__(self, plan: _Plan, request: Generation) -> None:
        template = plan.stored.facts.chat_template or ""
        tags = None if request.raw or not plan.think else thinking_tags(template)
        dialect = dialect_of(template) if request.tools else None
        self._thinking = (
            ThinkingSplitter(*tags, starts_inside=prompt_opens_thinking(plan.prompt, tags)) if tags else None
        )
        self._calls = ToolCallReader(dialect) if dialect else None

    def feed(self, piece: wire.Piece) -> Text:
        thinking, content = self._thinking.feed(piece.text) if self._thinking else ("", piece.text)
        return self._text(thinking, self._calls.feed(content) if self._calls else [content], piece)

    def flush(self) -> Text:
        """What the stages had held back."""
        thinking, content = self._thinking.flush() if self._thinking else ("", "")
        rest = [*self._calls.feed(content), *self._calls.flush()] if self._calls else [content]
        return self._text(thinking, rest, wire.Piece(0, ""))

    def _text(self, thinking: str, content: list[Any], piece: wire.Piece) -> Text:
        return Text(
            content="".join(part for part in content if isinstance(part, str)),
            thinking=thinking,
            tool_calls=tuple(part for part in content if not isinstance(part, str)),
            tokens=piece.tokens,
            logprobs=piece.logprobs,
        )


class _Clock:
    """Where a request's time went. Trio's clock, seconds."""

    def __init__(self, started: float, model: Model, accepted: float) -> None:
        self._started = started
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
        )


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


async def _read(mailbox: Mailbox, stages: _Stages, clock: _Clock) -> AsyncGenerator[Text | Finished, None]:
    while True:
        match await mailbox.get():
            case wire.Piece() as piece:
                yield stages.feed(piece)
            case wire.Done() as done:
                rest = stages.flush()
                if rest.content or rest.thinking or rest.tool_calls:
                    yield rest
                yield clock.finished(done)
                return
            case wire.Accepted():
                pass  # again, from the worker that took over from one that died
