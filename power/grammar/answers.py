"""An answer as it is written: what was thought, what is said, and which tools are called.

Thinking comes first and ends with its tag.  A model may forget the tag and go on
to a call; so a call inside of thinking is one, unless the tag comes after all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from power.events import Unfinished
from power.grammar.calls import ToolCallReader, new_call_id
from power.grammar.dialects.called import Call
from power.grammar.dialects.channels import ANSWERS, ChannelReader, Kind
from power.grammar.dialects.dialect import Dialect, Syntax
from power.grammar.dialects.source import Source
from power.grammar.dialects.telling import Telling
from power.messages import CallPart, Tool, ToolCall
from power.stream.blocks import Thinking
from power.stream.thinking import bare_mark, held_back


class Answer(msgspec.Struct, frozen=True):
    """Some more of an answer."""

    thinking: str = ""
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    parts: tuple[CallPart, ...] = ()  # of calls that come whole as well
    unfinished: Unfinished | None = None


class AnswerReader:
    """Reads one answer. Cutting its text differently changes nothing."""

    def __init__(
        self,
        dialect: Dialect | None = None,
        tools: Sequence[Tool] = (),
        *,
        thinking: Thinking | None = None,
        may_repeat: bool = False,
        prompt: str = "",
        only_text: bool = False,
        tells: Sequence[str] = (),
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        """What the reader has to know before a word has come.

        Args:
            thinking: how it is marked; None: nothing is thinking.
            may_repeat: the model may begin it, although the prompt has.
            prompt: what the answer continues.
            only_text: nothing is a call.
            tells: texts behind which a grammar holds the answer to its calls: these are told while they are written.
        """
        if thinking and thinking.channels:
            prompt = ANSWERS  # what is begun in the prompt is the first stage's to know
        self._stage = _stage(dialect, tools, prompt, new_id, only_text=only_text, tells=tells)
        self._thinking = _Thinking(thinking, may_repeat=may_repeat) if thinking else None
        in_thoughts = dialect and thinking and not (thinking.channels or only_text)
        self._thought = _Thought(dialect, tools, new_id) if dialect and in_thoughts else None

    def feed(self, text: str) -> Answer:
        steps = self._thinking.feed(text) if self._thinking else [_Step("", text, closed=True)]
        return _joined(*map(self._answer, steps))

    def flush(self, *, cut_off: bool = False) -> Answer:
        """The rest. `cut_off`: the model was stopped, so a call of which only the name is known counts, too."""
        answers = [self._answer(step) for step in self._thinking.flush()] if self._thinking else []
        inside = self._thought.flush() if self._thought else Answer()
        return _joined(*answers, inside, self._stage.flush(cut_off))

    def _answer(self, step: _Step) -> Answer:
        thinking = self._thought.feed(step.thinking, closed=step.closed) if self._thought else step.thinking
        said = self._stage.feed(step.content)
        return msgspec.structs.replace(said, thinking=thinking)


class _Step(NamedTuple):
    """Some thinking, and what is said behind it."""

    thinking: str
    content: str
    closed: bool  # no more of this thinking can come


def _stage(
    dialect: Dialect | None,
    tools: Sequence[Tool],
    prompt: str,
    new_id: Callable[[], str],
    *,
    only_text: bool,
    tells: Sequence[str],
) -> _Plain | _Calls | _Channels:
    if dialect is None:
        return _Plain()
    if dialect.syntax is Syntax.CHANNEL:
        return _Channels(prompt, new_id, tells=tells)
    return _Calls(ToolCallReader(dialect, tools, prompt=prompt, only_text=only_text, tells=tells, new_id=new_id))


def _joined(*answers: Answer) -> Answer:
    return Answer(
        "".join(answer.thinking for answer in answers),
        "".join(answer.content for answer in answers),
        tuple(call for answer in answers for call in answer.tool_calls),
        tuple(part for answer in answers for part in answer.parts),
        next((answer.unfinished for answer in answers if answer.unfinished), None),
    )


class _Plain:
    """All is said."""

    def feed(self, text: str) -> Answer:
        return Answer(content=text)

    def flush(self, cut_off: bool) -> Answer:
        return Answer()


class _Calls:
    """Words and calls."""

    def __init__(self, reader: ToolCallReader) -> None:
        self._reader = reader

    def feed(self, text: str) -> Answer:
        return self._with_parts(_said(self._reader.feed(text)))

    def flush(self, cut_off: bool) -> Answer:
        return self._with_parts(_said(self._reader.flush(cut_off=cut_off)))

    def _with_parts(self, said: Answer) -> Answer:
        parts, unfinished = self._reader.take_parts(), self._reader.unfinished
        return msgspec.structs.replace(said, parts=parts, unfinished=unfinished) if parts or unfinished else said


def _said(found: Sequence[str | ToolCall]) -> Answer:
    return Answer(
        content="".join(item for item in found if isinstance(item, str)),
        tool_calls=tuple(item for item in found if isinstance(item, ToolCall)),
    )


class _Channels:
    """Messages on channels; thinking has been told from them before, or is not to be."""

    def __init__(self, prompt: str, new_id: Callable[[], str], *, tells: Sequence[str]) -> None:
        self._source = Source()
        self._telling = Telling(lambda _: new_id(), tells) if tells else None
        self._reader = ChannelReader(prompt, self._telling)
        self._reading = self._reader.read(self._source, self._emit)
        self._new_id = new_id
        self._found = Answer()

    def feed(self, text: str) -> Answer:
        self._source.text += text
        return self._go_on()

    def flush(self, cut_off: bool) -> Answer:
        self._source.ended = True
        answer = self._go_on()
        if not self._telling:
            return answer
        cut = Unfinished(self._telling.cut_off(), answer.content)
        return msgspec.structs.replace(answer, unfinished=cut)

    def _go_on(self) -> Answer:
        next(self._reading, None)
        found, self._found = self._found, Answer()
        parts = self._telling.take() if self._telling is not None else ()
        return msgspec.structs.replace(found, parts=parts)

    def _emit(self, kind: Kind, said: str | Call) -> None:
        if isinstance(said, Call):
            told = self._telling.done() if self._telling is not None else None
            call_id, written = (told.id, told.arguments) if told else (self._new_id(), "")
            call = ToolCall(name=said.name, arguments=said.arguments, id=call_id, written=written)
            self._found = _joined(self._found, Answer(tool_calls=(call,)))
        elif kind is not Kind.NOBODY:
            self._found = _joined(self._found, Answer(content=said))


class _Thinking:
    """The blocks of thinking: the first, and where tags are tokens of their own any other."""

    def __init__(self, thinking: Thinking, *, may_repeat: bool) -> None:
        self._how = thinking
        self._splitter = thinking.splitter()
        self._repeat: str | None = "" if thinking.begun and may_repeat else None  # what may be the tag once more
        self._opening = bare_mark(thinking.open)
        self._tags = (self._opening, thinking.close)
        self._has_marks = "|" in thinking.open and not thinking.channels
        self._held = ""

    def feed(self, text: str) -> list[_Step]:
        thinking, content = self._splitter.feed(self._not_repeated(text))
        closed = not self._splitter.is_thinking
        if not self._has_marks:
            return [_Step(thinking, content, closed)]
        said, mark, rest = self._up_to_mark(self._held + content)
        if not mark:
            kept = max(held_back(said, tag) for tag in self._tags)
            self._held = said[len(said) - kept :]
            return [_Step(thinking, said[: len(said) - kept], closed)]
        self._held = ""
        # A mark that closes what is not open says nothing; one that opens does so again.
        self._splitter = msgspec.structs.replace(self._how, begun=False).splitter()
        again = mark + rest if mark == self._opening else rest
        return [_Step(thinking, said, closed), *self.feed(again)]

    def _up_to_mark(self, text: str) -> tuple[str, str, str]:
        at, mark = min(((at, tag) for tag in self._tags if (at := text.find(tag)) >= 0), default=(len(text), ""))
        return text[:at], mark, text[at + len(mark) :]

    def flush(self) -> list[_Step]:
        unsure, self._repeat = self._repeat or "", None
        steps = self.feed(unsure)
        closed = not self._splitter.is_thinking
        thinking, content = self._splitter.flush()
        # The beginning of a closing tag, cut off.
        held = thinking.lstrip()
        is_cut = len(held) > 1 and self._how.close.startswith(held)
        return [*steps, _Step("" if is_cut else thinking, self._held + content, closed)]

    def _not_repeated(self, text: str) -> str:
        """The text without the opening tag, where the prompt has that already."""
        if self._repeat is None:
            return text
        begun = self._repeat + text
        word = begun.lstrip()
        if self._how.open.startswith(word) and word != self._how.open:
            self._repeat = begun
            return ""
        self._repeat = None
        return word.removeprefix(self._how.open) if word.startswith(self._how.open) else begun


class _Thought:
    """Thinking in which calls are looked for: none is one if the thinking goes on behind it and is closed."""

    def __init__(self, dialect: Dialect, tools: Sequence[Tool], new_id: Callable[[], str]) -> None:
        unmarked = msgspec.structs.replace(dialect, content_open=(), content_close=())
        self._new: Callable[[], ToolCallReader] = partial(ToolCallReader, unmarked, tools, new_id=new_id)
        self._reader = self._new()
        self._is_marked = bool(self._reader.triggers)
        self._raw = ""  # what has come and is not given out
        self._found: list[str | ToolCall] = []  # from the first call on

    def feed(self, thinking: str, *, closed: bool) -> str:
        """The thinking that certainly is no call."""
        if not self._is_marked:
            return thinking
        self._raw += thinking
        given = self._before_calls(self._reader.feed(thinking))
        if closed and self._raw:
            given, self._raw, self._found = given + self._raw, "", []
            self._reader = self._new()
        return given

    def flush(self) -> Answer:
        """The rest, where thinking was never closed."""
        given = self._before_calls(self._reader.flush())
        if not self._found:
            return Answer(thinking=given + self._raw)
        said = _said(self._found)
        return Answer(given, said.content, said.tool_calls)

    def _before_calls(self, found: Sequence[str | ToolCall]) -> str:
        given = ""
        for item in found:
            if self._found or isinstance(item, ToolCall):
                self._found.append(item)
            else:
                given += item
                self._raw = self._raw[len(item) :]
        return given
