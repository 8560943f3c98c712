"""Writes docs/templates.md: what Power finds in each of the chat templates that llama.cpp tests with.

    python -m tools.template_table SDIST

SDIST is an unpacked source distribution of llama-cpp-python.  Each template is
rendered, asked for its marks of thinking and its dialect of tool calls, and has to
write two calls that are read back.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

from power.errors import BadRequest
from power.grammar import AnswerReader
from power.grammar.dialects.marks import aligned, common_prefix
from power.messages import Message, Tool, ToolCall
from power.prompt import abilities, find_dialect, find_marks
from power.prompt.choose import Choice
from power.prompt.render import render_jinja
from power.prompt.telling import shows, told
from power.stream.blocks import Thinking
from power.stream.channels import speaks_in_channels

PAGE = Path(__file__).parent.parent / "docs" / "templates.md"
TEMPLATES = "vendor/llama.cpp/models/templates"

INTRODUCTION = """\
# Chat templates

Power knows no model by its name. What a model's answer looks like is asked of its own template: it is rendered with a
conversation in which somebody thinks and calls tools, and what stands around the known words are the marks.

Go templates are asked in the same way. Where one loops over calls between a single pair of tags, a model may still put
tags around each of them, and a list that is written without commas has them.

This page says what is found in the templates that llama.cpp tests with. `python -m tools.template_table` writes it, and
a test keeps it current.

* **Renders**: a conversation with a system message, with tools where it takes them, and with an answer.
* **Thinking**: what surrounds it.
* **Calls**: the syntax of tool calls, and what opens the first one. *taught*: the template never writes a call, but its
  prompt tells the model how to, and Power writes past calls in that form.
* **Round trip**: two calls at once (one, where the template takes no more), with text, numbers, words, lists and
  objects in their arguments, are rendered by the template, and read back as they were, however they are cut.

"""

NAMES = ("get_weather", "set_alarm")
PROPERTIES: dict[str, Any] = {
    "city": {"type": "string", "description": "a text"},
    "days": {"type": "integer", "description": "a number"},
    "ratio": {"type": "number", "description": "a number"},
    "exact": {"type": "boolean", "description": "a word"},
    "units": {"type": "array", "items": {"type": "string"}, "description": "a list"},
    "place": {
        "type": "object",
        "description": "an object",
        "properties": {"country": {"type": "string"}, "size": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    },
}
ARGUMENTS: tuple[dict[str, Any], ...] = (
    {
        "city": 'São "Paulo"\n<b> & {x} \\ 42',
        "days": 3,
        "ratio": 0.5,
        "exact": True,
        "units": ["°C", "a, b"],
        "place": {"country": "Brazil", "size": 7},
    },
    {"city": "true", "days": -1, "exact": False},
)


class Row(NamedTuple):
    """What is known of one template."""

    name: str
    renders: str
    thinking: str
    calls: str
    round_trip: str


def rows(sdist: Path) -> list[Row]:
    """A row for each template, by name."""
    files = sorted((sdist / TEMPLATES).glob("*.jinja"), key=lambda file: file.name.lower())
    return [row(file.stem, file.read_text(encoding="utf-8")) for file in files]


def row(name: str, text: str) -> Row:
    template = Choice("jinja", text)
    marks, dialect = find_marks(template), find_dialect(template)
    thinking = f"`{marks.open}` … `{marks.close}`" if marks else ""
    calls = ""
    if dialect is not None:
        opening = " ".join(dialect.opening.replace("\0", "").split())
        calls = f"{dialect.syntax.name.lower()}" + (f" `{opening}`" if opening else "")
        calls += "" if shows(template, "calls") else ", taught"
    return Row(name, _renders(template), thinking, calls, _round_trip(template) if dialect else "")


def _renders(template: Choice) -> str:
    conversation = (
        Message(role="system", content="Sis brevis."),
        Message(role="user", content="Quid?"),
        Message(role="assistant", content="Sum."),
        Message(role="user", content="Cur?"),
    )
    with_tools = tools() if "tools" in abilities(template) else []
    try:
        prompt = render_jinja(template.text, conversation, with_tools)
    except BadRequest as error:
        return error.message
    return "yes" if "Cur?" in prompt else "without the question"


def tools() -> list[Tool]:
    parameters = {"type": "object", "properties": PROPERTIES, "required": ["city"]}
    functions = [{"name": name, "description": "d", "parameters": parameters} for name in NAMES]
    return [{"type": "function", "function": function} for function in functions]


def known_calls(n: int) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(name=name, arguments=arguments, id=f"abcdefgh{number}")
        for number, (name, arguments) in enumerate(zip(NAMES[:n], ARGUMENTS[:n], strict=True), 1)
    )


def _round_trip(template: Choice) -> str:
    dialect = find_dialect(template)
    assert dialect is not None
    calls = known_calls(2 if dialect.parallel else 1)
    written = answer(template, calls)
    for pieces in ([written], list(written)):
        found = read(template, pieces)
        if [(call.name, call.arguments) for call in found] != [(call.name, call.arguments) for call in calls]:
            return "no"
    return "exact"


def answer(template: Choice, calls: tuple[ToolCall, ...]) -> str:
    """What the template writes for an answer with these calls, behind its own prompt."""
    user = Message(role="user", content="Quid?")
    prompt = render_jinja(template.text, (user,), tools())
    said = Message(role="assistant", tool_calls=calls)
    whole = render_jinja(template.text, told((user, said), template), tools(), add_generation_prompt=False)
    whole, prompt = (text.rpartition("Quid?")[2] for text in (whole, prompt))
    # What both begin with is the prompt's, and the rest the model's.
    return whole[len(aligned(whole, common_prefix(whole, prompt))) :]


def read(template: Choice, pieces: list[str]) -> list[ToolCall]:
    """The calls in an answer that comes in these pieces."""
    marks = find_marks(template)
    thinking = marks and Thinking(
        open=marks.open, close=marks.close, ending=marks.ending, channels=speaks_in_channels(template.text)
    )
    prompt = render_jinja(template.text, (Message(role="user", content="Quid?"),), tools())
    reader = AnswerReader(find_dialect(template), tools(), thinking=thinking, prompt=prompt)
    answers = [*map(reader.feed, pieces), reader.flush()]
    return [call for each in answers for call in each.tool_calls]


def page(found: list[Row]) -> str:
    header = ("Template", "Renders", "Thinking", "Calls", "Round trip")
    lines = [header, ("---",) * len(header), *found]
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
    with_calls = [each for each in found if each.calls]
    exact = [each for each in with_calls if each.round_trip == "exact"]
    summary = f"{len(found)} templates; {len(with_calls)} call tools, and {len(exact)} make the round trip.\n"
    return f"{INTRODUCTION}{summary}\n{table}\n"


if __name__ == "__main__":
    PAGE.write_text(page(rows(Path(sys.argv[1]))), encoding="utf-8")
    print(PAGE)
