# Invariant: however a text is cut, ToolCallReader reads the same texts and calls, raises nothing, and loses no text.
"""Composes tags, JSON and what looks like them."""

import random

import mutate

from power.grammar import ToolCallReader
from power.messages import ToolCall

CALL = '<tool_call>\n{"name": "f", "arguments": {"x": [1, "</tool_call>"]}}\n</tool_call>'
PIECES = [
    *("<tool_call>", "</tool_call>", "<tool", "</", "<", ">", '{"name": "f", "arguments": {}}', '{"name": "f"', "}"),
    *('"', "\\", "{", "[", ":", ",", " ", "\n", "\t", "Hello", "é🙂", '"arguments": "{}"', "null", "1e999", "\\ud800"),
    CALL,
]


def check(rng: random.Random) -> None:
    text = mutate.compose(PIECES, rng)
    whole = read([text])
    assert whole == read(mutate.cut(text, rng)) == read(list(text)), text
    if not any(isinstance(item, ToolCall) for item in whole):
        assert whole == ([text] if text else []), text


def read(pieces: list[str]) -> list[str | ToolCall]:
    reader = ToolCallReader(new_id=lambda: "id")
    found = [item for piece in pieces for item in reader.feed(piece)] + reader.flush()
    joined: list[str | ToolCall] = []
    for item in found:
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        else:
            joined.append(item)
    return joined


if __name__ == "__main__":
    mutate.run(check)
