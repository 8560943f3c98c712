"""A conversation as Ollama's Go templates see it: structs with Go's field names.

The fields, and which of them a struct's JSON has in what order, are those of
Ollama's api/types.go and template.go; schema keywords that its types do not have
are not shown to a template either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from power.messages import Message, Tool, ToolCall
from power.prompt.gotemplate.values import Printed, PrintedList, Struct, Words


def message_struct(message: Message) -> Struct:
    calls = [call_struct(call, n) for n, call in enumerate(message.tool_calls)]
    fields = {
        "Role": message.role,
        "Content": message.content,
        "Thinking": message.thinking,
        "Images": list(message.images),
        "ToolCalls": calls,
        "ToolName": message.tool_name,
        "ToolCallID": message.tool_call_id,
    }
    names = ("role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id")
    json = {name: value for name, value in zip(names, fields.values(), strict=True) if value or name in names[:2]}
    return Struct("api.Message", fields, json)


def call_struct(call: ToolCall, index: int) -> Struct:
    arguments = Printed(go_values(call.arguments))
    fields = {"Index": index, "Name": call.name, "Arguments": arguments}
    function = Struct("api.ToolCallFunction", fields, {"index": index, "name": call.name, "arguments": arguments})
    json = {"id": call.id, "function": function} if call.id else {"function": function}
    return Struct("api.ToolCall", {"ID": call.id, "Function": function}, json)


def tools_value(tools: Sequence[Tool]) -> PrintedList:
    return PrintedList(tool_struct(tool) for tool in tools)


def tool_struct(tool: Mapping[str, Any]) -> Struct:
    function = _function(_mapping(tool.get("function")))
    fields = {"Type": str(tool.get("type") or ""), "Items": go_values(tool.get("items")), "Function": function}
    json = {"type": fields["Type"], **_given(items=fields["Items"]), "function": function}
    return Struct("api.Tool", fields, json, prints_json=True)


def _function(function: Mapping[str, Any]) -> Struct:
    fields = {
        "Name": str(function.get("name") or ""),
        "Description": str(function.get("description") or ""),
        "Parameters": _parameters(_mapping(function.get("parameters"))),
    }
    # Ollama has no printer for this struct any more, and would write Go's syntax; the
    # templates of its library were written when it had, and so are the models trained.
    return Struct("api.ToolFunction", fields, {k.lower(): v for k, v in fields.items()}, prints_json=True)


def _parameters(schema: Mapping[str, Any]) -> Struct:
    fields = {
        "Type": str(schema.get("type") or "object"),
        "Defs": go_values(schema.get("$defs")),
        "Items": go_values(schema.get("items")),
        "Required": [str(name) for name in schema.get("required") or ()],
        "Properties": _properties(schema),
    }
    given = _given(**{"$defs": fields["Defs"], "items": fields["Items"], "required": fields["Required"]})
    json = {"type": fields["Type"], **given, "properties": fields["Properties"]}
    return Struct("api.ToolFunctionParameters", fields, json, prints_json=True)


def _properties(schema: Mapping[str, Any]) -> Printed:
    return Printed(
        (str(name), _property(_mapping(value))) for name, value in _mapping(schema.get("properties")).items()
    )


def _property(schema: Mapping[str, Any]) -> Struct:
    kind = schema.get("type")
    fields = {
        "AnyOf": [_property(_mapping(option)) for option in schema.get("anyOf") or ()],
        "Type": Words([kind] if isinstance(kind, str) else map(str, kind or ())),
        "Items": go_values(schema.get("items")),
        "Description": str(schema.get("description") or ""),
        "Enum": go_values(list(schema.get("enum") or ())),
        "Properties": _properties(schema),
        "Required": [str(name) for name in schema.get("required") or ()],
    }
    names = ("anyOf", "type", "items", "description", "enum", "properties", "required")
    json = _given(**dict(zip(names, fields.values(), strict=True)))
    return Struct("api.ToolProperty", fields, json, prints_json=True)


def go_values(value: Any) -> Any:
    """JSON as Go decodes it: every number is a float64, unless that would lose digits."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return float(value) if abs(value) <= 2**53 else value
    if isinstance(value, Mapping):
        return {str(key): go_values(item) for key, item in value.items()}
    return [go_values(item) for item in value] if isinstance(value, list | tuple) else value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
