"""From a conversation to the prompt a model was trained on.

`render_chat` puts the model's own system text and messages first, and renders the
template that serves: the one that `choose` takes, unless the request brings one.
Nothing is decided by a model's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from power.errors import BadRequest
from power.messages import Message, Tool
from power.prompt.choose import Choice, Templated, choose
from power.prompt.fuel import OutOfFuel, seconds_for, sharing_time
from power.prompt.gotemplate import render_messages, thinking_apart
from power.prompt.render import render_jinja
from power.prompt.switches import Variables, more_clearly
from power.prompt.telling import told
from power.prompt.thinking import Marks, find_marks
from power.stream.thinking import prompt_opens_thinking


def render_chat(
    model: Templated,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    think: bool | str | None = None,
    *,
    add_generation_prompt: bool = True,
    template: Choice | None = None,
    extra: Mapping[str, Any] | None = None,
) -> str:
    """The prompt for a conversation, by `template` or, where that is None, by the one that `choose` takes.

    A last message of the assistant is continued: the prompt ends with its text.
    `extra` are variables for a Jinja template, of the request's own.

    Raises:
        BadRequest: the template refuses the conversation or fails on it; the message is the template's.
    """
    template = template or choose(model, tools=bool(tools))
    messages = told(messages, template)  # asked of the template once, in a time of its own
    with sharing_time(seconds_for(len(messages))):  # however many ways of saying it are tried
        return _render(
            model, messages, tools, think, template, extra=extra, add_generation_prompt=add_generation_prompt
        )


def _render(
    model: Templated,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    think: bool | str | None,
    template: Choice,
    *,
    extra: Mapping[str, Any] | None,
    add_generation_prompt: bool,
) -> str:
    if template.engine == "go":
        conversation = thinking_apart(template.text, collate_as_ollama(model, messages))
        return render_messages(template.text, conversation, tools, think)
    conversation = collate(model, messages)
    begun: Message | None = None
    if add_generation_prompt and len(conversation) > 1 and conversation[-1].role == "assistant":
        begun = None if conversation[-1].tool_calls else conversation[-1]
    if begun is not None:
        conversation = conversation[:-1]
    facts = model.facts

    def render(think: bool | str | Variables | None) -> str:
        return render_jinja(
            template.text,
            conversation,
            tools,
            think,
            add_generation_prompt=add_generation_prompt,
            extra=extra,
            bos=facts.bos,
            eos=facts.eos,
        )

    marks = find_marks(template) if add_generation_prompt else None
    prompt = render(think) if marks is None else _obeying(render, marks, think)
    return prompt if begun is None else prompt + _continue(begun, prompt, marks)


def _obeying(render: Callable[[bool | str | Variables | None], str], marks: Marks, think: bool | str | None) -> str:
    """The prompt in which the template does as it is told; one that opens thinking whatever it is told is closed."""
    prompt = render(think)
    if _obeys(prompt, marks, think):
        return prompt
    for switch in more_clearly(think):
        try:
            another = render(switch)
        except OutOfFuel:
            break
        except BadRequest:
            continue
        if _obeys(another, marks, think):
            return another
    return prompt + marks.ending if think is False else prompt


def _obeys(prompt: str, marks: Marks, think: bool | str | None) -> bool:
    if think is None:
        return True
    end = prompt.rstrip()
    return not end.endswith(marks.close if think else marks.open)


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


def _continue(begun: Message, prompt: str, marks: Marks | None) -> str:
    """What the assistant has said so far, behind the prompt for it; thinking without an answer is gone on with."""
    if marks is None:
        return begun.content
    is_open = prompt_opens_thinking(prompt, (marks.open, marks.close))
    if not begun.thinking and not is_open:
        return begun.content
    opening = "" if is_open else f"{marks.open}\n"
    return f"{opening}{begun.thinking}{marks.ending}{begun.content}" if begun.content else opening + begun.thinking


def continues_thinking(messages: Sequence[Message]) -> bool:
    """Whether the conversation ends with an assistant's unfinished thought."""
    last = messages[-1] if len(messages) > 1 else None
    if last is None or last.role != "assistant":
        return False
    return bool(last.thinking) and not (last.content or last.tool_calls)
