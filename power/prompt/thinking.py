"""How a model marks its thinking, found out by having its template write some.

A template that is given a past answer with thinking in it writes what the model
was trained to write: the markers stand around the thinking.  Where it leaves past
thinking out, as many do, the tags that it names itself have to tell.  Nothing
here knows a model by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from power.errors import BadRequest
from power.messages import Message, ToolCall
from power.prompt import gotemplate
from power.prompt.choose import Choice
from power.prompt.fuel import OutOfFuel, sharing_time
from power.prompt.render import render_jinja
from power.stream.channels import speaks_in_channels
from power.stream.thinking import Tags, thinking_tags

USER, THOUGHT, ANSWER = "Quid?", "Cogito.", "Sum."  # words that no template has
TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}
MAX_SECONDS = 0.15  # for all of it; the slowest of seventy real templates takes 0.05
# What marks are made of: <tag>, </tag>, <|token|>, [TAG], [/TAG].
MARK = re.compile(r"(?:<[^<>\s][^<>]*>|\[/?[A-Z][A-Z_ ]*\])")


class Marks(NamedTuple):
    """What a template writes around thinking."""

    open: str
    close: str
    ending: str  # all of it that stands between thinking and an answer: tag, whitespace, another opening tag


HARMONY = Marks(
    "<|channel|>analysis<|message|>", "<|end|>", "<|end|><|start|>assistant<|channel|>final<|message|>"
)  # OpenAI's format, which has a reader of its own


@lru_cache(maxsize=256)
def find_marks(template: Choice) -> Marks | None:
    """What the template puts around thinking, or None: its model does not think."""
    if speaks_in_channels(template.text) and "<|channel|>" in template.text:
        return HARMONY
    if template.engine == "go":
        try:
            tags = gotemplate.thinking_tags(template.text)
        except BadRequest:  # it will be told when it is to render
            tags = None
    elif (shown := _shown_in_time(template.text)) is not None:
        return shown
    else:
        tags = thinking_tags(template.text)
    return tags and Marks(*tags, f"\n{tags[1]}\n\n")


def find_tags(template: Choice) -> Tags | None:
    """The opening and closing one of `find_marks`."""
    marks = find_marks(template)
    return marks and (marks.open, marks.close)


def _shown_in_time(text: str) -> Marks | None:
    try:
        with sharing_time(MAX_SECONDS):
            return _shown(text)
    except OutOfFuel:
        return None


def _shown(text: str) -> Marks | None:
    """By the first of some conversations whose thinking appears."""
    if not re.search("reasoning|think", text):  # nowhere to take it from
        return None
    for prompt, calls in _with_thinking(text):
        before, found, after = prompt.rpartition(THOUGHT)
        if found and (tags := _around(text, before, after)):
            until_answer, until_close = after.partition(ANSWER)[0], after.partition(tags[1])[0] + tags[1]
            return Marks(*tags, until_close if calls else until_answer)
    return None


def _with_thinking(text: str) -> Iterator[tuple[str, bool]]:
    """Conversations as the template writes them, and whether the answer calls a tool."""
    call = ToolCall(name="f", arguments={}, id="call00000")
    result = Message(role="tool", content="1", tool_name="f", tool_call_id=call.id)
    for content, calls in ((ANSWER, False), (ANSWER, True), ("", True)):
        answer = Message(role="assistant", thinking=THOUGHT, content=content, tool_calls=(call,) if calls else ())
        yield _render(text, (_user(), answer, result) if calls else (_user(), answer), generate=False), calls


def _around(text: str, before: str, after: str) -> Tags | None:
    closing = MARK.match(after.lstrip())
    if closing is None:
        return None
    close = closing[0]
    paired = close.replace("/", "", 1)
    if paired != close and before.rstrip().endswith(paired):
        return paired, close
    opened = _opened(text, _turn(before))
    return (opened, _whole(close, opened, after.lstrip())) if opened else None


def _opened(text: str, before: str) -> str:
    """What of the turn so far the model wrote itself: that which is in no prompt that asks for it."""
    asked = [_turn(_render(text, (_user(),), generate=True, think=think)) for think in (True, None, False)]
    if asked[0].startswith(before) and asked[0] != before:
        return asked[0].removeprefix(before).strip()  # it is in every prompt, and in no past turn
    asked.append(_turn(_render(text, (_user(), Message(role="assistant", content=ANSWER)), generate=False)))
    n_common = min((_n_common(before, prompt) for prompt in asked if prompt), default=0)
    return before[_start_of_mark(before, n_common) :].strip()


def _start_of_mark(text: str, at: int) -> int:
    """Where the mark begins that `at` is inside of, or just behind: half of `<|open|>name<|sep|>` may open more."""
    for mark in MARK.finditer(text):
        if mark.start() < at < mark.end() or (at == mark.end() and text[at:][:1].isalnum()):
            return mark.start()
    return at


def _n_common(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _whole(close: str, opened: str, after: str) -> str:
    """Closing a `<|open|>name<|sep|>` takes as many parts."""
    parts = re.fullmatch(rf"{MARK.pattern}(\w+)({MARK.pattern})", opened)
    longer = f"{close}{parts[1]}{parts[2]}" if parts else ""
    return longer if longer and after.startswith(longer) else close


def _turn(prompt: str) -> str:
    """What follows the user's words."""
    return prompt.rpartition(USER)[2]


def _user() -> Message:
    return Message(role="user", content=USER)


def _render(text: str, conversation: tuple[Message, ...], *, generate: bool, think: bool | None = True) -> str:
    tools = (TOOL,) if any(message.tool_calls for message in conversation) else ()
    try:
        return render_jinja(text, conversation, tools, think, add_generation_prompt=generate)
    except OutOfFuel:
        raise
    except BadRequest:
        return ""
