"""`tool_choice` and `parallel_tool_calls`, as OpenAI's clients send them."""

from __future__ import annotations

from typing import Any

from power.errors import BadRequest
from power.messages import Tool, ToolChoice

MODES = ("auto", "none", "required")


def read_tool_choice(
    choice: Any, parallel: bool | None, tools: tuple[Tool, ...]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The tools to offer, and how free the model is to call them; raises BadRequest.

    With "none" no tool is offered, so that none is called.
    """
    mode, names = _mode(choice)
    declared = {tool["function"]["name"] for tool in tools}
    for name in names:
        if name not in declared:
            raise BadRequest(f"tool_choice names '{name}', which is not among the tools", field="tool_choice")
    if mode == "none":
        return (), ToolChoice()
    if mode == "required" and not tools:
        raise BadRequest("tool_choice demands a call, and there are no tools", field="tool_choice")
    return tools, ToolChoice(must=mode == "required", names=names, parallel=parallel is not False)


def _mode(choice: Any) -> tuple[str, tuple[str, ...]]:
    """How free the model is, and which tools it may call; none named: all."""
    if choice is None or choice == "":
        return "auto", ()
    if isinstance(choice, str) and choice in MODES:
        return choice, ()
    if choice == "any":  # Mistral's and Anthropic's word
        return "required", ()
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        return _allowed(allowed if isinstance(allowed, dict) else {})
    if isinstance(choice, dict) and (name := _name(choice)):
        return "required", (name,)
    raise BadRequest(
        'tool_choice must be "auto", "none", "required" or an object that names a function', field="tool_choice"
    )


def _allowed(allowed: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    tools = allowed.get("tools")
    names = tuple(name for tool in tools if (name := _name(tool))) if isinstance(tools, list) else ()
    if not names or allowed.get("mode", "auto") not in ("auto", "required"):
        raise BadRequest('allowed_tools needs "tools", and "auto" or "required" for its mode', field="tool_choice")
    return allowed.get("mode", "auto"), names


def _name(choice: Any) -> str:
    """The function that an object names, in OpenAI's older or newer shape."""
    if not isinstance(choice, dict) or choice.get("type", "function") != "function":
        return ""
    function = choice.get("function", choice)
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""
