"""Read tool calls out of what a model writes, piece by piece and without loss.

What is not a call, or almost one, stays text exactly as it was written.  A
call's end is held back until it is certain; nothing depends on how the stream
was cut.
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable
from enum import Enum
from typing import Any

from power.messages import ToolCall
from power.stream.thinking import held_back

_ID_LETTERS = string.ascii_lowercase + string.digits


class Dialect(Enum):
    """How a family of models writes calls; the value is what opens and closes one."""

    HERMES = ("<tool_call>", "</tool_call>")  # {"name": …, "arguments": {…}} between them

    @property
    def open(self) -> str:
        return self.value[0]

    @property
    def close(self) -> str:
        return self.value[1]


# Within the same tags, other families write other things.
_NOT_HERMES = ("<function=", "<arg_key>", "<parameter=", "<invoke")


def dialect_of(template: str) -> Dialect | None:
    """The dialect that a chat template teaches, by its text; None if it is none we read."""
    tags = Dialect.HERMES.open in template and Dialect.HERMES.close in template
    return Dialect.HERMES if tags and not any(mark in template for mark in _NOT_HERMES) else None


def new_call_id() -> str:
    """An id in the form that Ollama's clients know."""
    return "call_" + "".join(secrets.choice(_ID_LETTERS) for _ in range(8))


class ToolCallReader:
    """Splits one answer into text and calls; whitespace between and around calls is dropped.

    `feed` and `flush` return texts and calls in order, no text empty.
    """

    def __init__(self, dialect: Dialect = Dialect.HERMES, *, new_id: Callable[[], str] = new_call_id) -> None:
        self._dialect = dialect
        self._new_id = new_id
        self._held = ""  # not yet decided on: spaces, and perhaps a call or its beginning
        self._body: int | None = None  # where in it the inside of a call begins
        self._scanner = _StringScanner()
        self._after_call = False  # whitespace that comes now is dropped

    def __repr__(self) -> str:
        return f"<ToolCallReader, {len(self._held)} held{' in a call' if self._body is not None else ''}>"

    def feed(self, text: str) -> list[str | ToolCall]:
        self._held += text
        found: list[str | ToolCall] = []
        while self._step(found):
            pass
        return _joined(found)

    def flush(self) -> list[str | ToolCall]:
        """What was held back, now that nothing follows; a call that only lacks its closing tag counts."""
        found: list[str | ToolCall] = []
        while self._body is not None:
            inside = self._held[self._body :]
            call = self._parse(inside[: len(inside) - held_back(inside, self._dialect.close)])
            if call is None:
                self._give_up(found)
                while self._step(found):
                    pass
            else:
                found.append(call)
                self._held, self._body = "", None
                self._after_call = True
        self._emit_text(found, self._held)
        self._held = ""
        return _joined(found)

    def _step(self, found: list[str | ToolCall]) -> bool:
        """Decide on some more of what is held; False when that takes more text."""
        return self._read_text(found) if self._body is None else self._read_call(found, self._body)

    def _read_text(self, found: list[str | ToolCall]) -> bool:
        start = self._held.find(self._dialect.open)
        if start >= 0:
            # The spaces before a call go with it, or come back if it turns out to be none.
            text = self._held[:start].rstrip()
            self._emit_text(found, text)
            self._held = self._held[len(text) :]
            self._body = start - len(text) + len(self._dialect.open)
            self._scanner = _StringScanner()
            return True
        certain = self._held[: len(self._held) - held_back(self._held, self._dialect.open)].rstrip()
        self._emit_text(found, certain)
        self._held = self._held[len(certain) :]
        return False

    def _read_call(self, found: list[str | ToolCall], body: int) -> bool:
        inside = self._held[body:]
        if inside.lstrip()[:1] not in ("{", ""):
            self._give_up(found)
            return True
        end = self._scanner.find_outside(inside, self._dialect.close)
        if end < 0:
            return False
        call = self._parse(inside[:end])
        if call is None:
            self._give_up(found)
            return True
        found.append(call)
        self._held = inside[end + len(self._dialect.close) :]
        self._body = None
        self._after_call = True
        return True

    def _give_up(self, found: list[str | ToolCall]) -> None:
        """It was no call: the opening tag is text, and what follows is looked at anew."""
        assert self._body is not None
        self._emit_text(found, self._held[: self._body])
        self._held = self._held[self._body :]
        self._body = None

    def _emit_text(self, found: list[str | ToolCall], text: str) -> None:
        if self._after_call:
            text = text.lstrip()
        if text:
            found.append(text)
            self._after_call = False

    def _parse(self, body: str) -> ToolCall | None:
        try:
            return _call(_loads(body), self._new_id)
        except (ValueError, RecursionError):
            return None


class _StringScanner:
    """Finds a tag that is not inside a JSON string, going over growing text once."""

    def __init__(self) -> None:
        self._at = 0
        self._in_string = False

    def find_outside(self, text: str, tag: str) -> int:
        """Where the tag begins, or -1: not yet. `text` is what it was before, and more."""
        marks = re.compile(rf'["\\]|{re.escape(tag)}')
        while (mark := marks.search(text, self._at)) is not None:
            if mark[0] == '"':
                self._in_string = not self._in_string
            elif mark[0] != "\\" and not self._in_string:
                return mark.start()
            # What a backslash in a string escapes is stepped over, also when it is yet to come.
            self._at = mark.end() if mark[0] != "\\" or not self._in_string else mark.end() + 1
        self._at = max(self._at, len(text) - len(tag) + 1)
        return -1


def _loads(text: str) -> Any:
    """JSON that can be written out again as it is: no NaN, no infinity, no half a surrogate pair."""
    value = json.loads(text, strict=False)  # models write real line ends into strings
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    return value


def _call(value: Any, new_id: Callable[[], str]) -> ToolCall | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        return None
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        arguments = _loads(arguments)
    if arguments is None:  # a tool without parameters
        arguments = {}
    if not isinstance(arguments, dict):
        return None
    return ToolCall(name=value["name"], arguments=arguments, id=new_id())


def _joined(found: list[str | ToolCall]) -> list[str | ToolCall]:
    """The same with neighbouring texts made one."""
    joined: list[str | ToolCall] = []
    for item in found:
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        elif item:
            joined.append(item)
    return joined
