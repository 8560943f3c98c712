# Invariant: however a text is cut, AnswerReader reads the same thinking, words and calls, tells the same of calls
# while they are written, raises nothing, and where it reads no call it loses no text.
"""Composes the marks of all known dialects, JSON, Python and what looks like them."""

import random

import mutate

from power.grammar import AnswerReader
from power.grammar.dialects import HERMES, Dialect, Syntax, written
from power.grammar.dialects.writing import write_calls
from power.messages import ToolCall
from power.stream.blocks import Thinking

PARSERS = (
    *("cohere", "deepseek3", "functiongemma", "gemma4", "glm-4.6", "harmony", "lfm2", "ministral", "olmo3"),
    *("nemotron-3-nano", "qwen3", "qwen3-coder", "cogito"),
)
KNOWN = [known for name in PARSERS if (known := written(name)) and known.dialect]
TOOLS = [
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": properties}}}
    for properties in ({"x": {"type": "array"}, "y": {"type": "string"}},)
]
CALL = ToolCall(name="f", arguments={"x": [1, "</tool_call>", None], "y": 'a "b"\n{'}, id="abcdefgh1")
PIECES = [
    *(
        '{"name": "f", "arguments": {}}',
        '{"name": "f"',
        '{"f": {',
        'f(x=[1, "',
        "f(",
        "f",
        "x",
        ")",
        "}",
        "]",
        "[",
        "{",
    ),
    *(
        '"',
        "'",
        "\\",
        ":",
        ",",
        "=",
        " ",
        "\n",
        "\t",
        "<",
        "</",
        "Hello",
        "é🙂",
        "null",
        "True",
        "1e999",
        "\\ud800",
        "7",
    ),
    *("functions.", "to=", " json", "analysis", "<|start|>assistant"),
]


def check(rng: random.Random) -> None:
    known = rng.choice(KNOWN)
    dialect, thinking = known.dialect or HERMES, known.thinking if rng.random() < 0.3 else None
    marks = [*dialect.marks, *dialect.opening.split(), dialect.name_end, dialect.key_open, dialect.value_close]
    tags = [thinking.open, thinking.close] if thinking else []
    text = mutate.compose([*PIECES, *filter(None, marks), *tags, write_calls(dialect, [CALL])], rng)
    tells = ("",) if rng.random() < 0.3 else ()
    whole, *others = (
        read(dialect, thinking, pieces, tells=tells) for pieces in ([text], mutate.cut(text, rng), list(text))
    )
    assert others == [whole, whole], text
    around = (*dialect.content_open, *dialect.content_close, *dialect.silent)
    if thinking is None and not whole[2] and not any(mark in text for mark in around):
        assert whole[1] == text or dialect.syntax is Syntax.CHANNEL, text


def read(
    dialect: Dialect, thinking: Thinking | None, pieces: list[str], *, tells: tuple[str, ...]
) -> tuple[str, str, list[ToolCall], str]:
    reader = AnswerReader(
        dialect, TOOLS, thinking=thinking, prompt="<|start|>assistant", tells=tells, new_id=lambda: "id"
    )
    answers = [*map(reader.feed, pieces), reader.flush()]
    calls = [call for answer in answers for call in answer.tool_calls]
    told = "".join(f"{part.name}{part.arguments}" for answer in answers for part in answer.parts)
    return "".join(each.thinking for each in answers), "".join(each.content for each in answers), calls, told


if __name__ == "__main__":
    mutate.run(check)
