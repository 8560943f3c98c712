"""Tell a model's thinking from its answer, piece by piece.

The rules are Ollama's (thinking/parser.go): a block counts only at the very
start, leading whitespace aside, and only the first; whitespace around its text is
skipped, and so is that before the answer.  A tag may arrive split over any number
of pieces, so `feed` holds back what could still become one with the whitespace
before it, and never more than that.
"""

from __future__ import annotations

import re
from enum import Enum, auto

Tags = tuple[str, str]
"""How a block of thinking opens and closes."""

# By what the templates of the known families write. The first whose both tags
# are in a template is taken; a template that only ever splits on the closing one counts, too.
KNOWN_TAGS: tuple[Tags, ...] = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
)


def thinking_tags(template: str) -> Tags | None:
    """The tags that a chat template surrounds thinking with, or None if it knows none."""
    for tags in KNOWN_TAGS:
        if all(tag in template for tag in tags):
            return tags
    return next((tags for tags in KNOWN_TAGS if tags[1] in template), None)


def prompt_opens_thinking(prompt: str, tags: Tags) -> bool:
    """Whether the prompt ends inside a block, so that the answer begins with thinking."""
    return prompt.rstrip().endswith(tags[0])


class _State(Enum):
    LOOKING = auto()  # nothing but whitespace so far
    OPENED = auto()  # after the opening tag, skipping whitespace
    THINKING = auto()
    CLOSED = auto()  # after the closing tag, skipping whitespace
    CONTENT = auto()  # everything is passed on as it is


class ThinkingSplitter:
    """Splits one answer. `feed` and `flush` return (thinking, content), either of which may be empty."""

    def __init__(self, open_tag: str, close_tag: str, *, starts_inside: bool = False) -> None:
        self._open = open_tag
        self._mark = bare_mark(open_tag)
        self._close = close_tag
        self._state = _State.OPENED if starts_inside else _State.LOOKING
        self._held = ""

    def __repr__(self) -> str:
        return f"<ThinkingSplitter {self._state.name.lower()}, {len(self._held)} held>"

    @property
    def is_thinking(self) -> bool:
        """Whether what comes next is, as far as is known, thinking."""
        return self._state in (_State.OPENED, _State.THINKING)

    def feed(self, text: str) -> tuple[str, str]:
        self._held += text
        thinking = content = ""
        if self._state is _State.LOOKING:
            self._look()
        if self._state is _State.OPENED:
            self._skip_whitespace(_State.THINKING)
        if self._state is _State.THINKING:
            thinking = self._take_thinking()
        if self._state is _State.CLOSED:
            self._skip_whitespace(_State.CONTENT)
        if self._state is _State.CONTENT:
            content, self._held = self._held, ""
        return thinking, content

    def flush(self) -> tuple[str, str]:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        return (held, "") if self._state is _State.THINKING else ("", held)

    def _look(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(self._open):
            self._held = begun[len(self._open) :]
            self._state = _State.OPENED
        elif self._open.startswith(begun):
            return
        elif begun.startswith(self._mark):
            self._held = begun[len(self._mark) :]
            self._state = _State.OPENED
        else:
            self._state = _State.CONTENT

    def _skip_whitespace(self, then: _State) -> None:
        self._held = self._held.lstrip()
        if self._held:
            self._state = then

    def _take_thinking(self) -> str:
        thinking, found, rest = self._held.partition(self._close)
        if found:
            self._state, self._held = _State.CLOSED, rest
            return thinking.rstrip()
        certain = len(self._held) - held_back(self._held, self._close)
        kept = len(self._held) - len(self._held[:certain].rstrip())
        thinking, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return thinking


def bare_mark(tag: str) -> str:
    """`<|channel>` of `<|channel>thought`: a model may forget the word behind a token that means nothing else."""
    match = re.fullmatch(r"(<\|[^<>]*>)\w+", tag)
    return match[1] if match else tag


def held_back(text: str, tag: str) -> int:
    """How many characters at the end of `text` could be the beginning of `tag`."""
    longest = min(len(text), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(tag[:n])), 0)
