"""Read tool calls out of what a model writes, piece by piece and without loss.

What is not a call, or almost one, stays text exactly as it was written.  A
call's end is held back until it is certain; nothing depends on how the stream
was cut.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Sequence

from power.events import Unfinished
from power.grammar.dialects.called import Call
from power.grammar.dialects.dialect import HERMES, ID, Dialect
from power.grammar.dialects.header import words
from power.grammar.dialects.marks import is_mark, overlap
from power.grammar.dialects.reading import CallReader
from power.grammar.dialects.source import Reading, Source, flow, skip_space, take_loosely
from power.grammar.dialects.telling import Telling
from power.grammar.dialects.typed import Tools
from power.messages import CallPart, Tool, ToolCall

_ID_LETTERS = string.ascii_lowercase + string.digits
# Marks of a call that turn out to open none, in one answer; beyond that, text is just text.
MAX_FAILURES = 200


def new_call_id() -> str:
    """An id in the form that Ollama's clients know."""
    return "call_" + "".join(secrets.choice(_ID_LETTERS) for _ in range(8))


class ToolCallReader:
    """Splits one answer into text and calls; whitespace between and around calls is dropped.

    `feed` and `flush` return texts and calls in order, no text empty.
    """

    def __init__(
        self,
        dialect: Dialect = HERMES,
        tools: Sequence[Tool] = (),
        *,
        prompt: str = "",
        only_text: bool = False,
        tells: Sequence[str] = (),
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        """`prompt` is what the answer continues: it may have opened a call already.

        With `only_text` nothing is a call, and what the dialect has around words is still left out.
        Behind one of the texts of `tells` a grammar holds the answer to its calls, and they are told while they
        come: see `take_parts`.
        """
        self._dialect = dialect
        self._telling = Telling(self._id, tells, self._begin_call) if tells else None
        self._calls = CallReader(dialect, Tools(tools), self._telling)
        self._only_text = only_text
        self._new_id = new_id
        self._found: list[str | ToolCall] = []
        self._pending = ""  # spaces and closing marks, which are dropped if a call or the end is next
        self._after_call = False  # whitespace that comes now is dropped
        # Where a call has begun: what was pending then, whether a call was before it, and how much is the prompt's.
        self._before: tuple[str, bool, int] | None = None
        self._cut_off = False
        self.unfinished: Unfinished | None = None  # after `flush`
        self._source = Source()
        self._source.text = _opened(prompt, dialect)
        self._unsaid = len(self._source.text)  # characters that are the prompt's
        self._reading = self._read()
        self._go_on()

    def __repr__(self) -> str:
        return f"<ToolCallReader, {len(self._source.rest)} held>"

    @property
    def triggers(self) -> tuple[str, ...]:
        """What a call may begin with."""
        return self._calls.triggers

    def take_parts(self) -> tuple[CallPart, ...]:
        """What has come of calls since this was asked last; each is given out whole as well, if it ever is."""
        return self._telling.take() if self._telling is not None else ()

    def feed(self, text: str) -> list[str | ToolCall]:
        self._source.text += text
        self._go_on()
        return self._taken()

    def flush(self, *, cut_off: bool = False) -> list[str | ToolCall]:
        """What was held back, now that nothing follows.

        A call that only lacks what closes it counts.  With `cut_off`, so does one of
        which no more than the name is known; it has no arguments then.
        """
        self._cut_off = cut_off
        self._source.ended = True
        self._go_on()
        for mark in self._dialect.content_close:
            self._pending = self._pending.replace(mark, "")
        self._put(self._pending)
        self._pending = ""
        return self._taken()

    def _go_on(self) -> None:
        next(self._reading, None)

    def _taken(self) -> list[str | ToolCall]:
        found, self._found = self._found, []
        return found

    # -- reading --

    def _read(self) -> Reading[None]:
        source, dialect = self._source, self._dialect
        yield from self._skip_opening()
        if not self._calls.triggers and not self._only_text:
            yield from self._section("")
        noise = (*(mark for mark in dialect.content_open if is_mark(mark)), *dialect.silent)
        failures = 0
        while True:
            triggers = () if self._only_text or failures >= MAX_FAILURES else self._calls.triggers
            stop = yield from flow(source, (*triggers, *noise, *dialect.content_close), self._text)
            if stop in triggers:
                failures += not (yield from self._section(stop))
            elif stop in dialect.content_close:
                self._close(stop)
            elif not stop:
                return

    def _skip_opening(self) -> Reading[None]:
        """Leave out what opens an answer's words."""
        source = self._source
        for opening in self._dialect.content_open:
            if (yield from take_loosely(source, words(opening))):
                yield from skip_space(source)
                self._unsaid = 0

    def _section(self, trigger: str) -> Reading[bool]:
        """Whether there are calls where `trigger` has just been read; if not, it is text."""
        source = self._source
        source.at -= len(trigger)
        start = source.at
        found = yield from self._calls.section(source, self._call)
        if self._telling and self._calls.cut:
            # Nothing of it is lost, nor told that was the prompt's.
            before, _, silent = self._before or ("", False, 0)
            cut = before + self._calls.cut[silent:]
            self.unfinished = Unfinished(self._telling.cut_off(), cut)
            self._put(cut)
            return True
        if found:
            return True
        self._take_back()
        if source.ended and self._cut_off and self._calls.unfinished:
            self._call(Call(self._calls.unfinished, {}))
            source.at = len(source.text)
            return True
        source.at = start + len(trigger)
        self._text(trigger)
        return False

    # -- giving out --

    def _begin_call(self) -> None:
        self._before = self._before or (self._pending, self._after_call, self._unsaid)
        self._pending, self._after_call, self._unsaid = "", True, 0

    def _take_back(self) -> None:
        """What began was no call."""
        if self._before is not None:
            self._pending, self._after_call, self._unsaid = self._before
            self._before = None

    def _call(self, call: Call) -> None:
        self._begin_call()
        self._before = None
        told = self._telling.done() if self._telling is not None else None
        call_id, written = (told.id, told.arguments) if told else (self._id(call.id), "")
        self._found.append(ToolCall(name=call.name, arguments=call.arguments, id=call_id, written=written))

    def _id(self, given: str) -> str:
        return given if self._keeps_ids and given else self._new_id()

    @property
    def _keeps_ids(self) -> bool:
        """Whether the model's own ids have to come back in its prompts."""
        return bool(self._dialect.id_key) or ID in self._dialect.opening + self._dialect.name_end

    def _close(self, mark: str) -> None:
        if not self._after_call:
            self._pending += mark

    def _text(self, text: str) -> None:
        silent = min(self._unsaid, len(text))
        self._unsaid -= silent
        text = text[silent:]
        if self._after_call:
            text = text.lstrip()
        if text:
            self._after_call = False
            whole = self._pending + text
            kept = whole.rstrip()
            self._put(kept)
            self._pending = whole[len(kept) :]

    def _put(self, text: str) -> None:
        if self._found and isinstance(self._found[-1], str):
            self._found[-1] += text
        elif text:
            self._found.append(text)


def _opened(prompt: str, dialect: Dialect) -> str:
    """The beginning of a call, or of an answer's words, that a prompt ends with: `>>>`."""
    shared = [overlap(prompt.rstrip(), opening) for opening in (dialect.opening.lstrip(), *dialect.content_open)]
    longest = max(shared, key=len)
    return longest if len(longest) > 1 else ""
