"""What a request means for its model, decided before anything runs.

`Generation` is a request for text, whichever API it came by; `plan` checks it
against the model, renders the prompt and compiles the grammar.  Everything that
can be refused is refused here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from power.claim import ANYBODY, Claim
from power.config import Config
from power.errors import BadRequest
from power.events import Truncated
from power.grammar import Constraint
from power.grammar.dialects import Dialect
from power.holding import Hold, hold
from power.messages import Message, Tool, ToolChoice
from power.options import Options, read_options
from power.prompt import Choice, abilities, collate, prompt_messages, render_chat, render_insert
from power.speech import dialect_of, template_of, thinking_of
from power.store import StoredModel
from power.stream.blocks import Thinking
from power.worker import wire

log = logging.getLogger(__name__)

# Unknown options that are logged, and characters of each: a request may have a million of them.
MAX_NAMES = 20
MAX_NAME = 64

NO_SHIFT = ("deepseek2",)  # architectures that Ollama does not shift unless asked to


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
    tool_choice: ToolChoice = ToolChoice()
    think: bool | str | None = None  # None: as the model likes
    constraint: Constraint | None = None  # what the answer has to look like
    options: dict[str, Any] = {}
    claim: Claim = ANYBODY
    keep_alive: float | None = None  # seconds, infinity for ever; None: as the server likes
    template_variables: dict[str, Any] = {}  # for a Jinja template, of the request's own
    truncate: bool = False  # leave out the oldest of a prompt that does not fit; otherwise it is refused
    shift: bool | None = False  # go on when the context is full, without its oldest part; None: as the model can
    n_probs: int | None = None  # alternatives to report with each token; None: no logprobs
    want_tokens: bool = False  # the prompt's token ids are wanted
    want_progress: bool = False  # it is to be told where the request stands until there is text


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A request, made ready for its model."""

    stored: StoredModel
    options: Options
    think: bool | str | None  # as the model will be told
    template: Choice | None  # what made the prompt; None: it is the request's own
    prompt: str
    context: tuple[int, ...]  # token ids that go before it
    thinking: Thinking | None  # how the answer marks thinking that is to be told from the rest
    dialect: Dialect | None  # how it writes calls
    hold: Hold  # what the answer must keep to
    tokens: tuple[int, ...] = ()  # what there is room for of `context` and `prompt`, where that is not all of them
    truncated: Truncated | None = None  # what of the request the prompt is without


async def plan(stored: StoredModel, request: Generation, config: Config) -> Plan:
    """Raises BadRequest for whatever forbids the generation."""
    # Nobody else has to wait for a template or a schema that computes for long.
    return await trio.to_thread.run_sync(_plan, stored, request, config)


def _plan(stored: StoredModel, request: Generation, config: Config) -> Plan:
    options = with_context(read_request_options(stored, request.options), config)
    _check_capabilities(stored, request)
    think = _think(stored, request)
    template = template_of(stored, request)
    prompt = render(stored, request, template, think, options)
    thinking, dialect = thinking_of(stored, template, prompt, request), dialect_of(stored, template)
    return Plan(
        stored=stored,
        options=options,
        think=think,
        template=template,
        prompt=prompt,
        context=request.context,
        thinking=thinking,
        dialect=dialect,
        hold=hold(request, config, dialect, thinking, prompt=prompt, thinks=bool(think)),
    )


def _check_capabilities(stored: StoredModel, request: Generation) -> None:
    _require(stored, "completion", f'"{request.model}" does not support {"chat" if request.messages else "generate"}')
    if request.tools:
        _require(stored, "tools", f"{stored.name.full} does not support tools")
    if request.suffix and not (request.template and "insert" in abilities(Choice("go", request.template))):
        _require(stored, "insert", f"{stored.name.full} does not support insert")
    if request.images or any(message.images for message in request.messages or ()):
        _require(stored, "vision", f"{stored.name.full} does not support images")


def _require(stored: StoredModel, capability: str, otherwise: str) -> None:
    if capability not in stored.capabilities:
        raise BadRequest(otherwise, field="model")


def read_request_options(stored: StoredModel, options: dict[str, Any]) -> Options:
    """The model's own options under the request's; a name that means nothing is a warning."""
    checked, unknown = read_options(stored.params, options)
    if unknown:
        names = ", ".join(json.dumps(name[:MAX_NAME]) for name in unknown[:MAX_NAMES])
        more = f" and {len(unknown) - MAX_NAMES} more" if len(unknown) > MAX_NAMES else ""
        log.warning("invalid option provided: %s%s", names, more)
    return checked


def with_context(options: Options, config: Config) -> Options:
    """With the configured context where nothing else says one.

    Else whoever comes first, with a small `num_ctx`, would decide for everybody after.
    """
    if options.load.num_ctx is not None or not config.context_length:
        return options
    load = msgspec.structs.replace(options.load, num_ctx=config.context_length)
    return msgspec.structs.replace(options, load=load)


def _think(stored: StoredModel, request: Generation) -> bool | str | None:
    if "thinking" not in stored.capabilities:
        if request.think:
            raise BadRequest(f'"{request.model}" does not support thinking', field="think")
        return None
    return True if request.think is None else request.think


def render(
    stored: StoredModel, request: Generation, template: Choice | None, think: bool | str | None, options: Options
) -> str:
    """The prompt; raises BadRequest."""
    if template is None:
        return request.prompt
    if request.suffix:
        return render_insert(stored, request.prompt, request.suffix, template if request.template else None)
    # A context already holds the model's own messages; they are not said twice.
    model = msgspec.structs.replace(stored, messages=()) if request.context else stored
    return _render_messages(model, _messages(request), request, template, think, options)


def _messages(request: Generation) -> tuple[Message, ...]:
    if request.messages is not None:
        return request.messages
    return prompt_messages(request.prompt, system=request.system, images=request.images)


def conversation_of(plan: Plan, request: Generation) -> list[Message]:
    """All that the prompt is made of: the request's messages behind the model's own."""
    return collate(plan.stored, _messages(request))


def replan(plan: Plan, request: Generation, conversation: Sequence[Message]) -> Plan:
    """The plan with the prompt for another conversation, in which the model's own messages are already."""
    bare = msgspec.structs.replace(plan.stored, messages=(), system="")
    assert plan.template is not None
    prompt = _render_messages(bare, conversation, request, plan.template, plan.think, plan.options)
    return msgspec.structs.replace(plan, prompt=prompt)


def _render_messages(
    model: StoredModel,
    messages: Sequence[Message],
    request: Generation,
    template: Choice,
    think: bool | str | None,
    options: Options,
) -> str:
    extra = dict(request.template_variables)
    if options.think_budget >= 0:
        extra = {"thinking_budget": options.think_budget} | extra  # Seed-OSS tells its model
    return render_chat(model, messages, request.tools, think, template=template, extra=extra)


def shifts(plan: Plan, request: Generation) -> bool:
    """Whether a full context may lose some of its middle."""
    return plan.stored.facts.architecture not in NO_SHIFT if request.shift is None else request.shift


def _parts(plan: Plan) -> tuple[str | tuple[int, ...], ...]:
    if plan.tokens:
        return (plan.tokens,)
    return (plan.context, plan.prompt) if plan.context else (plan.prompt,)


def start_command(plan: Plan, request: Generation) -> wire.Start:
    """What the worker is told."""
    options = plan.options
    return wire.Start(
        id=0,  # given with the place
        prompt=_parts(plan),
        sampling=options.sampling,
        n_predict=options.num_predict,
        n_ctx=options.load.num_ctx or 0,
        stop=options.stop,
        grammar=plan.hold.grammar,
        rules=plan.hold.rules,
        shift=shifts(plan, request),
        n_keep=options.num_keep,
        n_draft=options.draft_num_predict,
        deterministic=options.deterministic,
        n_probs=request.n_probs,
        want_tokens=request.want_tokens,
        want_progress=request.want_progress,
        visible=(*(plan.thinking.marks if plan.thinking else ()), *(plan.dialect.marks if plan.dialect else ())),
        thinking=plan.thinking,
        think_budget=options.think_budget,
    )
