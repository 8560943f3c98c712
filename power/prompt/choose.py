"""Which template serves a model that may have several, and what each of them can do.

A model from a GGUF has a Jinja template, sometimes one more for tools; a model
from a Modelfile or from Ollama's library also has a Go template.  The rules are
Ollama's (server/prompt.go): the Go template, unless the Jinja one can do more.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Literal, Protocol

import msgspec

from power.errors import BadRequest
from power.gguf.capabilities import template_capabilities
from power.gguf.facts import Facts
from power.messages import Message
from power.prompt import gotemplate

log = logging.getLogger(__name__)

# What llama.cpp falls back to as well: OpenAI's ChatML.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TOOL_TEMPLATE = "tool_use"  # the name by which Hugging Face and llama.cpp take a template when there are tools


class Written(Protocol):
    """The part of a model's config that says who renders and reads for it in Ollama."""

    @property
    def renderer(self) -> str: ...
    @property
    def parser(self) -> str: ...


class Templated(Protocol):
    """What a prompt needs to know of a model; `store.StoredModel` is one."""

    @property
    def name(self) -> object: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def template(self) -> str | None: ...
    @property
    def config(self) -> Written: ...
    @property
    def family(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def go_template(self) -> bool | None: ...


class Choice(msgspec.Struct, frozen=True):
    """The template that serves."""

    engine: Literal["jinja", "go"]
    text: str


def choose(model: Templated, *, tools: bool = False) -> Choice:
    """The template for a conversation with or without tools.

    `model.go_template` is the operator's word (OLLAMA_GO_TEMPLATE) for models that have both; None leaves it to the
    rules.
    """
    jinja = jinja_template(model.facts, tools=tools)
    if not model.template:
        return Choice("jinja", jinja or _without_template(str(model.name)))
    if not jinja or _go_serves(model, jinja):
        return Choice("go", model.template)
    return Choice("jinja", jinja)


def jinja_template(facts: Facts, *, tools: bool = False) -> str | None:
    """The GGUF's template, or the one it has for tools."""
    named = facts.chat_templates.get(TOOL_TEMPLATE) if tools else None
    return named or facts.chat_template or facts.chat_templates.get("default")


def _go_serves(model: Templated, jinja: str) -> bool:
    go = model.template or ""
    if model.go_template is not None:
        return model.go_template
    if model.config.renderer:
        # Ollama's renderers are ports of the models' own Jinja templates, and the Go template a stand-in.
        return False
    if model.config.parser or is_harmony(model.family, go):
        return True
    return not prefers_jinja(go, jinja)


def is_harmony(family: str, go: str) -> bool:
    """Whether Ollama takes the model for one that speaks OpenAI's channels."""
    return family in ("gptoss", "gpt-oss") and "<|start|>" in go and "<|end|>" in go


@lru_cache(maxsize=64)
def prefers_jinja(go: str, jinja: str) -> bool:
    """Whether the Jinja template can do more than the Go one."""
    try:
        of_go = {"tools", "thinking"} & set(gotemplate.capabilities(go))
    except BadRequest as error:
        log.warning("the Go template cannot be used, the GGUF's own is: %s", error.message)
        return True
    of_jinja = {"tools", "thinking"} & set(template_capabilities(jinja))
    go_answers, jinja_answers = go_takes_results(go), jinja_takes_results(jinja)
    if len(of_jinja) > len(of_go):
        return not (go_answers and not jinja_answers)
    return of_jinja == of_go and "tools" in of_go and jinja_answers and not go_answers


def go_takes_results(text: str) -> bool:
    """Whether a Go template has the whole way of a tool: its offer, the call, the result."""
    used = {"tools", "toolcalls"} <= gotemplate.chat_template(text).variables
    return used and any(sign in text for sign in ('eq .Role "tool"', "tool_response", "TOOL_RESULTS"))


def jinja_takes_results(text: str) -> bool:
    """Whether a Jinja template has the whole way of a tool."""
    results = re.search(r"tool_response|tool_results|ipython|role['\"]?\]?\s*==\s*['\"]tool['\"]", text)
    return "tools" in text and ("tool_calls" in text or "assistant_tool_call" in text) and results is not None


def served(model: Templated) -> tuple[Choice, ...]:
    """The model's own templates that may serve: without tools and, if that is another, with them."""
    if not model.template and not jinja_template(model.facts, tools=True):
        return ()
    return tuple(dict.fromkeys(choose(model, tools=tools) for tools in (False, True)))


@lru_cache(maxsize=64)  # so that the warning comes once for a model, not for every request
def _without_template(name: str) -> str:
    log.warning("model '%s' has no chat template: ChatML is used, which it may not have been trained on", name)
    return CHATML
