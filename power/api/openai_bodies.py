"""What `/v1/chat/completions` and `/v1/completions` take, and the generations it asks for.

Ranges are OpenAI's and are checked on decoding, so that an error has the name the
client used. Beyond OpenAI's own fields there are `options`, `num_ctx` and
`keep_alive`, which mean what they mean in `/api/chat`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from power.api.constraints import ConstraintFields, ResponseFormat, read_constraint, read_response_format
from power.api.openai_messages import MessageBody, messages_of
from power.api.requests import body_decoder, read_probs, read_tools
from power.api.tool_choice import read_tool_choice
from power.durations import parse_keep_alive
from power.errors import BadRequest
from power.generate import Generation
from power.options import INT32

EFFORTS: dict[str, bool | str | None] = {
    "": None,
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "ultra": "max",
    "max": "max",
}

Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
MaxTokens = Annotated[int, Meta(ge=-1, le=INT32)]  # -1 is not OpenAI's: until the model stops
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Reasoning(msgspec.Struct):
    effort: str | None = None
    max_tokens: int | None = None  # OpenRouter's
    enabled: bool | None = None


class Body(ConstraintFields, kw_only=True):
    """What both routes take. A null says nothing."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[str, float] | list[Any] | None = None  # pairs of an id or a text and a bias are llama-server's
    n: int | None = None
    options: dict[str, Any] | None = None
    num_ctx: int | None = None
    keep_alive: Any = None
    response_format: ResponseFormat | None = None
    priority: int | None = None
    max_queue_seconds: float | None = None
    id_slot: Annotated[int, Meta(ge=-1, le=INT32)] | None = (
        None  # llama-server's: the slot it would like, if that is free
    )
    reasoning: Reasoning | None = None
    reasoning_effort: str | None = None
    think_budget: int | None = None  # these three are one: ours, llama-server's, and that of Anthropic's clients
    reasoning_budget: int | None = None
    thinking_budget_tokens: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None  # llama-server's and vLLM's
    return_progress: bool | None = None  # llama-server's, of streams
    debug_render_only: bool | None = msgspec.field(name="_debug_render_only", default=None)


class ChatBody(Body, kw_only=True):
    messages: list[MessageBody] | None = None
    max_completion_tokens: MaxTokens | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class CompletionBody(Body, kw_only=True):
    prompt: str | list[Any] | dict[str, Any] | None = None
    suffix: str | None = None
    logprobs: int | None = None
    echo: bool | None = None
    best_of: int | None = None


chat_body = body_decoder(ChatBody)
completion_body = body_decoder(CompletionBody)


def generation_of_chat(body: ChatBody) -> Generation:
    """The generation a chat completion body asks for; raises BadRequest."""
    if not body.messages:
        raise BadRequest("[] is too short - 'messages'", field="messages")
    tools, choice = read_tool_choice(body.tool_choice, body.parallel_tool_calls, read_tools(body.tools))
    limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    return Generation(
        **_common(body, limit),
        messages=messages_of(body.messages),
        tools=tools,
        tool_choice=choice,
        n_probs=read_probs(body.logprobs, body.top_logprobs),
    )


def generations_of_completion(body: CompletionBody) -> list[Generation]:
    """The generations a completion body asks for, one for each prompt; raises BadRequest."""
    if body.echo and body.logprobs is not None:
        raise BadRequest("echo has no logprobs: the likelihood of the prompt is not computed", field="echo")
    if body.logprobs is not None and not 0 <= body.logprobs <= 20:
        raise BadRequest("logprobs must be between 0 and 20", field="logprobs")
    common = _common(body, body.max_tokens) | {"suffix": body.suffix or "", "n_probs": body.logprobs}
    return [Generation(**common, **_prompt(prompt)) for prompt in _prompts(body.prompt)]


def wants_usage(body: Body) -> bool:
    return bool(body.stream_options and body.stream_options.include_usage)


def _common(body: Body, max_tokens: int | None) -> dict[str, Any]:
    if not body.model:
        raise BadRequest("model is required", field="model")
    return {
        "model": body.model,
        "options": _options(body, max_tokens) | _budget(body),
        "think": _think(body),
        "template_variables": body.chat_template_kwargs or {},
        "want_progress": body.return_progress is True and body.stream is True,
        "keep_alive": None if body.keep_alive is None else parse_keep_alive(body.keep_alive),
        "constraint": read_constraint(body, read_response_format(body.response_format)),
    }


def _options(body: Body, max_tokens: int | None) -> dict[str, Any]:
    """The body's options by their native names; OpenAI's own defaults stand above the model's, not above `options`."""
    named = {
        "num_predict": max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "frequency_penalty": body.frequency_penalty,
        "presence_penalty": body.presence_penalty,
        "seed": body.seed,
        "stop": body.stop,
        "logit_bias": body.logit_bias,
        "num_ctx": body.num_ctx,
    }
    given = {name: value for name, value in named.items() if value is not None}
    return {"temperature": 1.0, "top_p": 1.0} | (body.options or {}) | given


def _think(body: Body) -> bool | str | None:
    effort = (body.reasoning and body.reasoning.effort) or body.reasoning_effort or ""
    if not effort:
        return _switch(body)
    if effort not in EFFORTS:
        raise BadRequest(
            f'invalid reasoning value: "{effort}" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", '
            f'"max", or "none")',
            field="reasoning.effort" if body.reasoning and body.reasoning.effort else "reasoning_effort",
        )
    return EFFORTS[effort]


def _switch(body: Body) -> bool | None:
    """Thinking as it may be asked for without an effort."""
    if body.reasoning and body.reasoning.enabled is not None:
        return body.reasoning.enabled
    wanted = (body.chat_template_kwargs or {}).get("enable_thinking")
    return wanted if isinstance(wanted, bool) else None


def _budget(body: Body) -> dict[str, int]:
    ours, of_llama, of_clients = body.think_budget, body.reasoning_budget, body.thinking_budget_tokens
    of_reasoning = body.reasoning.max_tokens if body.reasoning else None
    given = [budget for budget in (ours, of_llama, of_clients, of_reasoning) if budget is not None]
    return {"think_budget": given[0]} if given else {}


def _prompts(given: str | list[Any] | dict[str, Any] | None) -> list[str | list[int]]:
    """Texts, and lists of token ids."""
    if given is None or isinstance(given, str):
        return [given or ""]
    prompts: list[Any] = given if isinstance(given, list) and not are_tokens(given) else [given]
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, str) and not are_tokens(prompt):
            raise BadRequest(
                f'invalid "prompt[{index}]": expected a string, token ids, or a list of either', field="prompt"
            )
        if len(prompts) > 1 and not prompt:
            raise BadRequest(f"prompt[{index}] is empty", field="prompt")
    if not prompts:
        raise BadRequest("prompt is an empty array", field="prompt")
    return prompts


def _prompt(prompt: str | list[int]) -> dict[str, Any]:
    """Token ids go in as they are; a text is put into the model's template."""
    return {"prompt": prompt} if isinstance(prompt, str) else {"context": tuple(prompt), "raw": True}


def are_tokens(item: Any) -> bool:
    """Whether it is token ids, as far as one can tell without the vocabulary."""
    return (
        isinstance(item, list)
        and bool(item)
        and all(isinstance(token, int) and not isinstance(token, bool) and 0 <= token < 2**31 for token in item)
    )
