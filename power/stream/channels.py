"""Tell thinking from answer where a model writes in channels, as OpenAI's gpt-oss does.

An answer is a row of messages, `<|start|>HEADER<|message|>BODY<|end|>`; the prompt
has written the first `<|start|>assistant`.  The header says what the body is: the
channel "analysis" is thinking, "final" is the answer, and whatever is addressed to
anybody but the user is a call, which is passed on as it was written, header and
all, for whoever reads calls.  What has no such form is content.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from power.stream.thinking import held_back

START, MESSAGE = "<|start|>", "<|message|>"
ENDS = ("<|end|>", "<|eom|>", "<|eot|>", "<|return|>", "<|call|>")
MARKS = (START, "<|channel|>", MESSAGE, "<|constrain|>", *ENDS)
"""Texts of the tokens that a reader of channels has to see."""

MAX_HEADER = 256  # characters; without `<|message|>` so far it is no header
_BEGINNINGS = (START, "<|channel|>", MESSAGE, "assistant", "to=")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")


def speaks_in_channels(template: str) -> bool:
    """Whether a chat template, by its text, writes messages in channels."""
    channels = "<|channel|>" in template and "analysis" in template
    return START in template and MESSAGE in template and (channels or "to=self" in template)


class _Kind(Enum):
    HEADER = auto()
    THINKING = auto()
    CONTENT = auto()
    CALL = auto()
    LOOSE = auto()  # text where a header should have been


class ChannelSplitter:
    """Splits one answer. `feed` and `flush` return (thinking, content), either of which may be empty."""

    def __init__(self, *, begun: bool = False) -> None:
        """`begun`: the prompt ends inside a body of thinking."""
        self._kind = _Kind.THINKING if begun else _Kind.HEADER
        self._held = ""

    def __repr__(self) -> str:
        return f"<ChannelSplitter {self._kind.name.lower()}, {len(self._held)} held>"

    @property
    def is_thinking(self) -> bool:
        return self._kind is _Kind.THINKING

    def feed(self, text: str) -> tuple[str, str]:
        self._held += text
        out: dict[bool, str] = {True: "", False: ""}
        while self._step(out):
            pass
        return out[True], out[False]

    def flush(self) -> tuple[str, str]:
        """What was held back, now that nothing follows; half a header says nothing."""
        held, self._held = self._held, ""
        if self._kind is _Kind.HEADER:
            return "", "" if any(held.lstrip().startswith(mark) for mark in _BEGINNINGS) else held
        return (held, "") if self.is_thinking else ("", held)

    def _step(self, out: dict[bool, str]) -> bool:
        """Decide on some more of what is held; False when that takes more text."""
        return self._read_header(out) if self._kind is _Kind.HEADER else self._read_body(out)

    def _read_header(self, out: dict[bool, str]) -> bool:
        begun = self._held.lstrip()
        possible = any(begun.startswith(mark) or mark.startswith(begun) for mark in _BEGINNINGS)
        header, found, body = self._held.partition(MESSAGE)
        if not possible or (len(header) > MAX_HEADER and not found):
            self._kind = _Kind.LOOSE
            return True
        if not found:
            return False
        self._kind, self._held = _kind_of(header), body
        if self._kind is _Kind.CALL:
            out[False] += header + found
        return True

    def _read_body(self, out: dict[bool, str]) -> bool:
        marks = [(at, mark) for mark in (*ENDS, START) if (at := self._held.find(mark)) >= 0]
        if not marks:
            kept = max(held_back(self._held, mark) for mark in (*ENDS, START))
            out[self.is_thinking] += self._held[: len(self._held) - kept]
            self._held = self._held[len(self._held) - kept :]
            return False
        at, mark = min(marks)
        out[self.is_thinking] += self._held[:at]
        if self._kind is _Kind.CALL and mark != START:
            out[False] += mark
        self._held = self._held[at if mark == START else at + len(mark) :]
        self._kind = _Kind.HEADER
        return True


def _kind_of(header: str) -> _Kind:
    recipient = _RECIPIENT.search(header)
    to = recipient[1] if recipient else "user"
    if to not in ("user", "self", "assistant"):
        return _Kind.CALL
    return _Kind.THINKING if to == "self" or "analysis" in header else _Kind.CONTENT
