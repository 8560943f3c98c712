"""A conversation through a Jinja template, in whichever shape the template takes.

The conversation is written in one shape after the other until the template
neither refuses it nor drops a system's words or a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from power.errors import BadRequest
from power.messages import Message, Tool
from power.prompt.fuel import OutOfFuel
from power.prompt.shapes import SHAPES, as_dicts, tool_variables
from power.prompt.switches import Variables, switches
from power.prompt.template import compile_template


def render_jinja(
    template: str,
    conversation: Sequence[Message],
    tools: Sequence[Tool] = (),
    think: bool | str | Variables | None = None,
    *,
    add_generation_prompt: bool = True,
    extra: Mapping[str, Any] | None = None,
    bos: str = "",
    eos: str = "",
) -> str:
    """The text. `think` may be one of the ways of `switches`.

    `extra` are variables of the request's own, above all others but the conversation.

    Raises:
        BadRequest: the template refuses the conversation or fails on it; the message is the template's.
    """
    compiled = compile_template(template)
    refusal: BadRequest | None = None
    lossy: str | None = None
    for switch in (think,) if isinstance(think, dict) else switches(think, template):
        variables = {
            **_constants(),
            **switch,
            "add_generation_prompt": add_generation_prompt,
            "bos_token": bos,
            "eos_token": eos,
            **(extra or {}),
        }
        for shape in SHAPES:
            messages = list(as_dicts(conversation, template, shape))
            try:
                prompt = compiled.render({**variables, **tool_variables(tools, shape), "messages": messages})
            except OutOfFuel:
                raise
            except BadRequest as error:
                refusal = refusal or error
                continue
            if not _loses(prompt, conversation):
                return prompt
            lossy = lossy or prompt
        if lossy is not None:
            return lossy
    assert refusal is not None
    raise refusal


def _loses(prompt: str, conversation: Sequence[Message]) -> bool:
    """Whether something is missing that another shape may show.

    Many templates look for a system message at the front, and skip others unseen; some
    write calls only where there are no words with them.
    """
    for message in conversation:
        if message.role in ("system", "developer") and message.content.strip() not in prompt:
            return True
        if any(call.name not in prompt for call in message.tool_calls):
            return True
    return False


def _constants() -> dict[str, Any]:
    return {"datetime": datetime.now().astimezone().strftime("%Y-%m-%d")}  # firefunction's
