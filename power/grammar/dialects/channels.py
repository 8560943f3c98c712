"""Messages on channels, as OpenAI's harmony writes them.

    <|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>{…}<|call|>

A header says who speaks, on which channel and to whom; what is said goes up to the
next mark.  `analysis` is thinking, a message to `functions.NAME` is a call, and
everything else is said to the user.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from functools import partial

from power.grammar.dialects.called import Call, dictionary
from power.grammar.dialects.source import Reading, Source, find, flow, peek_any, skip_space
from power.grammar.dialects.telling import Telling

MESSAGE, CHANNEL, START = "<|message|>", "<|channel|>", "<|start|>"
ENDS = ("<|end|>", "<|call|>", "<|return|>")
ANSWERS = f"{START}assistant"  # what a prompt ends with
MAX_HEADER = 400  # characters
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_FUNCTIONS = "functions."


class Kind(Enum):
    """Whom a message is for."""

    THINKING = auto()
    CONTENT = auto()
    CALL = auto()
    NOBODY = auto()  # a tool that the model knows of and nobody has offered


Emit = Callable[[Kind, str | Call], None]


class ChannelReader:
    """Reads messages; the first one's header, or more, may stand at the end of `prompt`."""

    def __init__(self, prompt: str = "", telling: Telling | None = None) -> None:
        self._begun = prompt[prompt.rfind(START) :] if START in prompt else ""
        self._telling = telling
        self.unfinished = ""

    def read(self, source: Source, emit: Emit) -> Reading[None]:
        """Everything there is."""
        header, inside, said = self._begun.rpartition(MESSAGE)
        begun = self._begun
        if inside and not any(end in said for end in ENDS):
            yield from self._message(source, header, emit)
            begun = ""
        while not (source.ended and source.at == len(source.text)):
            begun = yield from self._one(source, begun, emit)

    def _one(self, source: Source, begun: str, emit: Emit) -> Reading[str]:
        """A message, or words that stand outside of any. What is begun then: nothing."""
        start = source.at
        yield from skip_space(source)
        signs = (START, CHANNEL, MESSAGE, "<|constrain|>", "to=") if begun else (START, CHANNEL)
        sign = yield from peek_any(source, signs)
        header = (yield from self._header(source)) if sign else None
        if header is not None:
            yield from self._message(source, f"{begun} {header}", emit)
            return ""
        source.at = start
        if sign:  # no header after all: the sign is somebody's words
            yield from skip_space(source)
            source.at += len(sign)
            emit(Kind.CONTENT, source.text[start : source.at])
        yield from self._said(source, Kind.CONTENT, emit)
        return ""

    def _header(self, source: Source) -> Reading[str | None]:
        found = yield from find(source, (MESSAGE, *ENDS), limit=MAX_HEADER)
        return found[0] if found is not None and found[1] == MESSAGE else None

    def _message(self, source: Source, header: str, emit: Emit) -> Reading[None]:
        recipient = _RECIPIENT.search(header)
        name = recipient[1] if recipient else ""
        channel = re.findall(rf"{re.escape(CHANNEL)}\s*(\w+)", header)
        if name.startswith(_FUNCTIONS):
            yield from self._call(source, name.removeprefix(_FUNCTIONS), emit)
        elif name not in ("", "assistant", "user", "all"):
            yield from self._said(source, Kind.NOBODY, emit)
        else:
            is_thinking = channel and channel[-1] == "analysis"
            yield from self._said(source, Kind.THINKING if is_thinking else Kind.CONTENT, emit)

    def _call(self, source: Source, name: str, emit: Emit) -> Reading[None]:
        said: list[str] = []
        self.unfinished = name

        def say(text: str) -> None:
            said.append(text)
            if self._telling is not None:
                self._telling.more(text)

        if self._telling is not None:
            self._telling.begin(name, "", source.text[: source.at])
        yield from self._flow(source, say)
        text = "".join(said)
        arguments = dictionary(text) if text.strip() else {}
        if arguments is None:
            emit(Kind.CONTENT, text)
            return
        self.unfinished = ""
        emit(Kind.CALL, Call(name, arguments))

    def _said(self, source: Source, kind: Kind, emit: Emit) -> Reading[None]:
        yield from self._flow(source, partial(emit, kind))

    def _flow(self, source: Source, emit: Callable[[str], None]) -> Reading[None]:
        """What is said up to the next mark; a mark that opens something is left."""
        end = yield from flow(source, (*ENDS, START, CHANNEL), emit)
        if end in (START, CHANNEL):
            source.at -= len(end)
