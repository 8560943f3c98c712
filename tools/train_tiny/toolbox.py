"""Tools and the requests that need them.

Half are real purposes (`tools_real`), half are made up from a verb, a noun and
random syllables, so that choosing a tool can only be learnt as comparing the
request with the list, and filling it in only as copying.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from . import tools_real, words
from .draw import Draw

JSON = dict[str, object]

# Purposes so near to each other that a request for one may be meant for the other.
TOPICS = {
    "add": "math", "multiply": "math", "subtract": "math", "divide": "math", "calculate": "math",
    "get_forecast": "get_weather",
    "wikipedia": "search", "get_news": "search", "get_recipe": "search", "get_user": "search",
    "create_event": "create_note",
    "set_timer": "set_alarm", "delete_file": "read_file", "list_files": "read_file", "get_date": "get_time",
    "convert_currency": "math", "square_root": "math",
    "find_restaurant": "search", "get_synonym": "search", "find_rhyme": "search", "cancel_order": "order_status",
    "get_route": "search_flights", "book_train": "search_flights", "set_brightness": "set_light",
    "call_person": "send_message", "reserve_room": "book_hotel", "spell_word": "search",
}  # fmt: skip
TUTORIAL = 0.25  # of the requests for real tools in training


@dataclass(frozen=True)
class Asked:
    """A tool in the shape that OpenAI's and Ollama's clients send, a request for it, and the right call."""

    tool: JSON
    name: str
    request: str
    arguments: JSON
    topic: str  # what it is about; a request without a tool must not be about any tool of the list
    second: tuple[str, JSON] | None = None  # a request for two calls at once, and the other call's arguments


def any_tool(draw: Draw, *, real: float = 0.5, tutorial: float = TUTORIAL) -> Asked:
    return real_tool(draw, tutorial=tutorial) if draw.chance(real) else made_up_tool(draw)


# ---- real purposes --------------------------------------------------------


def real_tool(draw: Draw, *, familiar: bool = False, tutorial: float = TUTORIAL) -> Asked:
    """A real purpose; for the evaluation a held-out one, or with `familiar` a trained one in a held-out wording."""
    if draw.held_out and not familiar:
        purpose = draw.any(tools_real.HELD_OUT)
        request = draw.any(purpose.requests)
    else:
        often = not draw.held_out and draw.chance(tutorial)
        purpose = draw.any(tools_real.TUTORIAL if often else tools_real.PURPOSES)
        request = draw.wording(purpose.requests)
    name = draw.any(purpose.names)
    if draw.chance(0.1) and not draw.held_out:
        name = f"{draw.made_up()}_{name}"
    properties: dict[str, JSON] = {}
    arguments: JSON = {}
    required: list[str] = []
    values: list[object] = []
    suffix = ""
    for argument in purpose.arguments:
        optional = bool(argument.optional)
        if optional and draw.chance(0.4):
            continue
        key = draw.any([n for n in argument.names if n not in properties])
        description = draw.any(argument.description.split("|"))
        properties[key] = _property(draw, argument.type, description, argument.choices)
        value = argument.draw(draw)
        if not optional:
            required.append(key)
            values.append(value)
        elif draw.chance(0.5):
            suffix += argument.optional.format(value)
            if draw.chance(0.5):
                required.append(key)
        else:
            continue
        arguments[key] = value
    if suffix:
        request = request.rstrip(".?")
    asked = request.format(*values) + suffix
    tool = _tool(draw, name, draw.any(purpose.descriptions), properties, required)
    second = None
    if (
        len(values) == 1
        and len(arguments) == 1
        and draw.chance(0.06)
        and isinstance(values[0], str)
        and " " not in values[0]
    ):
        other = purpose.arguments[0].draw(draw)
        if other != values[0]:
            second = (name, {next(iter(arguments)): other})
            asked = request.format(f"{values[0]} and {other}")
    return Asked(tool, name, asked, arguments, TOPICS.get(purpose.names[0], purpose.names[0]), second)


# ---- made-up tools ----------------------------------------------------------

LABELLED = (" with {p} {v}", " with the {p} {v}", ", {p} {v}", ", {p}: {v}", " where {p} is {v}", " using {p} {v}",
" with {p} set to {v}", ", {p}={v}",
            " and {p} {v}", " with {p} = {v}")  # fmt: skip
BARE = (
    " {v}",
    " for {v}",
    " in {v}",
    " of {v}",
    " to {v}",
    " called {v}",
    ' "{v}"',
    " with {v}",
    ": {v}",
    " at {v}",
    " from {v}",
    " named {v}",
)
ASKED = (
    "{V} the {n}{rest}", "Please {v} the {n}{rest}", "{V} a {n}{rest}", "Can you {v} the {n}{rest}?",
    "I want to {v} the {n}{rest}", "{v} {n}{rest}",
    "Could you {v} a {n}{rest}?", "{V} my {n}{rest}", "Call {name}{rest}", "Use {name}{rest}",
    "Use the tool {name}{rest}", "Run {name}{rest}.",
    "I need to {v} a {n}{rest}.", "Please {v} my {n}{rest}.",
)  # fmt: skip
YES = ("on", "true", "yes", "enabled")
NO = ("off", "false", "no", "disabled")
DESCRIPTIONS = (
    "{V} the {n}",
    "{V} a {n}",
    "{V}s a {n}",
    "Use this to {v} the {n}",
    "{V} the {n} of the user",
    "Tool to {v} a {n}",
    "{V} one {n}.",
    "",
)
PARAMETER_DESCRIPTIONS = ("The {p}", "the {p} of the {n}", "The {p} to use", "{p}", "Which {p}", "The {p} of the {n}.")


def made_up_tool(draw: Draw) -> Asked:
    verb = draw.of(words.VERBS) if draw.chance(0.8) else draw.made_up()
    noun = draw.of(words.NOUNS) if draw.chance(0.7) else draw.made_up()
    name = _style(draw, [verb, noun] if draw.chance(0.85) else [verb, noun, draw.made_up()])
    if draw.chance(0.08):
        name = _style(draw, [draw.made_up(), draw.made_up()])
    properties: dict[str, JSON] = {}
    required: list[str] = []
    arguments: JSON = {}
    rest = ""
    n_parameters = draw.any((0, 1, 1, 1, 2, 2, 2, 3))
    for i in range(n_parameters):
        label = draw.of(words.PARAMETERS) if draw.chance(0.65) else draw.made_up()
        while label in properties:
            label = draw.made_up()
        key = label if draw.chance(0.75) else _style(draw, [label, draw.of(words.PARAMETERS)])
        kind, choices, value, spoken = _value(draw, last=i == n_parameters - 1)
        text = draw.any(PARAMETER_DESCRIPTIONS).format(p=label, n=noun) if draw.chance(0.8) else ""
        properties[key] = _property(draw, kind, text, choices)
        if draw.chance(0.75):
            required.append(key)
        elif draw.chance(0.6):
            continue  # optional, and not mentioned
        arguments[key] = value
        bare = n_parameters == 1 and kind != "boolean" and draw.chance(0.6)
        said = key if draw.chance(0.4) else key.replace("_", " ")
        rest += draw.any(BARE).format(v=spoken) if bare else draw.any(LABELLED).format(p=said, v=spoken)
    description = draw.any(DESCRIPTIONS).format(V=verb.capitalize(), v=verb, n=noun)
    request = draw.wording(ASKED)
    if verb not in name.lower() or noun not in name.lower():
        description = description or f"{verb.capitalize()} the {noun}"
    request = request.format(V=verb.capitalize(), v=verb, n=noun, name=name, rest=rest)
    tool = _tool(draw, name, description, properties, required)
    return Asked(tool, name, request, arguments, f"{verb} {noun}")


def _value(draw: Draw, *, last: bool) -> tuple[str, tuple[str, ...], object, str]:
    """A parameter's JSON type, its choices if it is an enum, a value, and the value as a user writes it."""
    kind = draw.number(0, 9)
    if kind < 3:
        n = tools_real.number(draw)
        return ("integer" if isinstance(n, int) and draw.chance(0.8) else "number"), (), n, str(n)
    if kind == 3:
        yes = draw.chance(0.5)
        return (
            "boolean",
            (),
            yes,
            draw.any(YES if yes else NO),
        )
    if kind == 4:
        choices = tuple({draw.word(): 0 for _ in range(draw.number(2, 4))})
        value = draw.any(choices)
        return "string", choices, value, value
    text = _text(draw, last=last)
    return "string", (), text, f'"{text}"' if draw.chance(0.15) else text


def _text(draw: Draw, *, last: bool) -> str:
    texts: tuple[Callable[[Draw], str], ...] = (
        Draw.word,
        Draw.word,
        Draw.name,
        Draw.city,
        tools_real.identifier,
        tools_real.date,
        tools_real.mail,
        tools_real.path,
        lambda d: d.phrase(2, 4 if last else 2),
    )
    return draw.any(texts)(draw)


BY_NAME = ("Call {name}", "Use {name}", "Use the tool {name}", "Run {name}", "{name}", "Please call {name}",
"Now use {name}", "Please run {name}", "Once more {name}", "I need {name}")  # fmt: skip


def by_name(draw: Draw, asked: Asked) -> Asked:
    """Another request for the same tool, which calls it and its parameters by their names."""
    schema: JSON = asked.tool["function"].get("parameters", {})  # type: ignore[attr-defined]
    properties: dict[str, JSON] = schema.get("properties", {})  # type: ignore[assignment]
    required: list[str] = schema.get("required", [])  # type: ignore[assignment]
    arguments: JSON = {}
    request = draw.any(BY_NAME).format(name=asked.name)
    for key in properties:
        if key not in required and draw.chance(0.5):
            continue
        arguments[key], spoken = _value_of(draw, properties[key], last=key == list(properties)[-1])
        said = key if draw.chance(0.6) else key.replace("_", " ")
        request += draw.any(LABELLED).format(p=said, v=spoken)
    return replace(asked, request=request, arguments=arguments, second=None)


def _value_of(draw: Draw, schema: JSON, *, last: bool) -> tuple[object, str]:
    """A value for a parameter, and as a user writes it."""
    if choices := schema.get("enum"):
        value = draw.any(choices)  # type: ignore[arg-type, var-annotated]
        return value, str(value)
    kind = schema["type"]
    if kind == "boolean":
        yes = draw.chance(0.5)
        return yes, draw.any(YES if yes else NO)
    if kind == "string":
        text = _text(draw, last=last)
        return text, f'"{text}"' if draw.chance(0.15) else text
    n = tools_real.small(draw) if kind == "integer" else tools_real.number(draw)
    return n, str(n)


def _style(draw: Draw, parts: list[str]) -> str:
    kind = draw.number(0, 9)
    if kind == 0:
        return parts[0] + "".join(p.capitalize() for p in parts[1:])
    return ("-" if kind == 1 else "_").join(parts)


# ---- the JSON --------------------------------------------------------------


def _property(draw: Draw, kind: str, description: str, choices: tuple[str, ...]) -> JSON:
    parts: list[tuple[str, object]] = [("type", kind)]
    if choices:
        parts.append(("enum", list(choices)))
    if description and draw.chance(0.85):
        parts.insert(draw.number(0, 1) * len(parts), ("description", description))
    return dict(parts)


def _tool(draw: Draw, name: str, description: str, properties: dict[str, JSON], required: list[str]) -> JSON:
    # The clients differ in the order of the keys and in what they leave out.
    schema: list[tuple[str, object]] = [("type", "object"), ("properties", dict(properties))]
    if required or draw.chance(0.5):
        schema.insert(draw.any((1, 2, 2, 2)), ("required", required))
    if draw.chance(0.05):
        schema.append(("additionalProperties", False))
    function: list[tuple[str, object]] = [("name", name)]
    if description:
        function.append(("description", description))
    if properties or draw.chance(0.7):
        function.append(("parameters", dict(schema)))
    return {"type": "function", "function": dict(function)}


# ---- what a tool answers ----------------------------------------------------

PLAIN = ("{w} degrees and {s}", "{w} degrees", "{w}", "{s}", "ok", "done", "{s} {s}", "{p}", "{w} {s}", "{s} is {w}",
"The {s} is {s}.", "{t}", "{d}", "error: {s} not found",
         "{f}", "{c}: {w}", "It is {s} in {c}.", "{n} is {s}", "sunny, {w} degrees", "{w}°C, {s}", "{w}.{w}",
         "No {s} found")  # fmt: skip


FIELDS: tuple[Callable[[Draw], object], ...] = (
    Draw.word,
    Draw.city,
    tools_real.number,
    lambda d: d.number(-20, 40),
    lambda d: d.phrase(2, 4),
    lambda d: d.chance(0.5),
)


def response(draw: Draw) -> tuple[str, str]:
    """A tool's answer, and how tiny says it."""
    if draw.chance(0.6):
        plain = draw.any(PLAIN)
        slots = {
            "w": draw.digits(1, 4),
            "c": draw.city(),
            "n": draw.name(),
            "d": tools_real.date(draw),
            "t": tools_real.clock(draw),
            "p": draw.phrase(3, 12),
            "f": tools_real.path(draw),
        }
        while "{s}" in plain:
            plain = plain.replace("{s}", draw.word(), 1)
        content = plain.format(**slots)
        return content, content
    fields: JSON = {}
    for _ in range(draw.any((1, 1, 2, 2, 3, 4))):
        key = draw.of(words.PARAMETERS) if draw.chance(0.7) else draw.made_up()
        fields[key] = draw.any(FIELDS)(draw)
    separators = (",", ":") if draw.chance(0.3) else (", ", ": ")
    content = json.dumps(fields, ensure_ascii=False, separators=separators)
    return content, ", ".join(f"{k} {json.dumps(v) if isinstance(v, bool) else v}" for k, v in fields.items())


def told(name: str, said: str) -> str:
    """Tiny's answer once the tool has answered."""
    return f"The tool {name} says: {said}" + ("" if said.endswith((".", "!", "?")) else ".")


def renamed(asked: Asked, name: str) -> Asked:
    """The same under another name; for a list that would hold the name twice."""
    function = {**asked.tool["function"], "name": name}  # type: ignore[dict-item]
    return replace(asked, tool={**asked.tool, "function": function}, name=name)
