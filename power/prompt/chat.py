"""From a conversation to the prompt a model was trained on.

`render_chat` puts the model's own system text and messages first, and renders the
template that `choose` takes.  A Jinja template is given the conversation in one
shape after the other until it neither refuses it nor drops a system's words;
nothing is decided by a model's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from power.errors import BadRequest
from power.gguf.facts import Facts
from power.messages import Message, Tool
from power.prompt.choose import Templated, choose
from power.prompt.gotemplate import render_messages
from power.prompt.shapes import SHAPES, as_dicts, tool_variables
from power.prompt.template import compile_template
from power.stream.thinking import prompt_opens_thinking, thinking_tags


def render_chat(
    model: Templated,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    think: bool | str | None = None,
    *,
    add_generation_prompt: bool = True,
    go_template: bool | None = None,
) -> str:
    """The prompt for a conversation, by the template that `choose` takes.

    A last message of the assistant is continued: the prompt ends with its text.

    Raises:
        BadRequest: the template refuses the conversation or fails on it; the message is the template's.
    """
    choice = choose(model, tools=bool(tools), go_template=go_template)
    if choice.engine == "go":
        return render_messages(choice.text, collate_as_ollama(model, messages), tools, think)
    template = choice.text
    conversation = collate(model, messages)
    begun: Message | None = None
    if add_generation_prompt and len(conversation) > 1 and conversation[-1].role == "assistant":
        begun = None if conversation[-1].tool_calls else conversation[-1]
    if begun is not None:
        conversation = conversation[:-1]
    prompt = _render(template, model.facts, conversation, tools, _variables(think, add_generation_prompt))
    return prompt if begun is None else prompt + _continue(begun, prompt, template)


def prompt_messages(prompt: str, *, system: str | None = None, images: tuple[bytes, ...] = ()) -> tuple[Message, ...]:
    """The conversation that a bare prompt stands for."""
    user = Message(role="user", content=prompt, images=images)
    return (Message(role="system", content=system), user) if system else (user,)


def collate(model: Templated, messages: Sequence[Message]) -> list[Message]:
    """The request's messages behind the model's own, with one system message in front if there is any."""
    request = list(messages)
    if request and request[0].role in ("system", "developer"):
        return [request[0], *model.messages, *request[1:]]
    system = [Message(role="system", content=model.system)] if model.system else []
    return [*system, *model.messages, *request]


def collate_as_ollama(model: Templated, messages: Sequence[Message]) -> list[Message]:
    """The request's messages behind the model's own; the model's system in front unless the request begins with one.

    Go templates get all systems' words as `.System`, so it matters little where they stand.
    """
    begins_with_system = bool(messages) and messages[0].role == "system"
    system = [Message(role="system", content=model.system)] if model.system and not begins_with_system else []
    return [*system, *model.messages, *messages]


def _render(
    template: str, facts: Facts, conversation: Sequence[Message], tools: Sequence[Tool], variables: dict[str, Any]
) -> str:
    compiled = compile_template(template)
    refusal: BadRequest | None = None
    lossy: str | None = None
    for shape in SHAPES:
        try:
            prompt = compiled.render(
                {
                    **variables,
                    **tool_variables(tools, shape),
                    "messages": list(as_dicts(conversation, template, shape)),
                    "bos_token": facts.bos,
                    "eos_token": facts.eos,
                }
            )
        except BadRequest as error:
            refusal = refusal or error
            continue
        if not _loses_system(prompt, conversation):
            return prompt
        lossy = lossy or prompt
    if lossy is None:
        assert refusal is not None
        raise refusal
    return lossy


def _loses_system(prompt: str, conversation: Sequence[Message]) -> bool:
    """Whether a system message is missing: many templates look for one at the front, and skip others unseen."""
    return any(
        message.role in ("system", "developer") and message.content.strip() not in prompt for message in conversation
    )


def _variables(think: bool | str | None, add_generation_prompt: bool) -> dict[str, Any]:
    variables: dict[str, Any] = {"add_generation_prompt": add_generation_prompt}
    variables["datetime"] = datetime.now().astimezone().strftime("%Y-%m-%d")  # firefunction's
    if think is not None:
        # Qwen's name for it, and DeepSeek's.
        variables["enable_thinking"] = variables["thinking"] = bool(think)
    if isinstance(think, str):
        variables["reasoning_effort"] = think
    return variables


def _continue(begun: Message, prompt: str, template: str) -> str:
    tags = thinking_tags(template)
    if tags is None or not prompt_opens_thinking(prompt, tags) or not begun.content:
        return begun.content
    return f"{begun.thinking}\n{tags[1]}\n\n{begun.content}"
