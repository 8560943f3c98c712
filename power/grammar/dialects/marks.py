"""Texts as sequences of marks, so that what two of them share ends where a mark ends."""

from __future__ import annotations

import re

from power.grammar.dialects.dialect import INDEX
from power.stream.thinking import KNOWN_TAGS

# <tag>, [TAG], a tag that is not whole, space, and whatever is between; and tags that are spelt in tokens.
_CHUNK = re.compile(r"<\|(?:open|close)\|>[^<]*(?:(?<=\w)<\|sep\|>)?|<[^<>]*>|\[/?[A-Z_]+\]|<[^<>\s]*|\s+|[^<\[\s]+|\[")


def chunks(text: str) -> list[str]:
    """`text` in marks, spaces and words; joined they are `text`."""
    return _CHUNK.findall(text)


def common_prefix(one: str, other: str) -> str:
    """The marks that both begin with."""
    shared = []
    for mine, theirs in zip(chunks(one), chunks(other), strict=False):
        if mine != theirs:
            break
        shared.append(mine)
    return "".join(shared)


def common_suffix(one: str, other: str) -> str:
    """The marks that both end with."""
    shared: list[str] = []
    for mine, theirs in zip(reversed(chunks(one)), reversed(chunks(other)), strict=False):
        if mine != theirs:
            break
        shared.insert(0, mine)
    return "".join(shared)


def overlap(one: str, other: str) -> str:
    """The longest end of `one` that `other` begins with."""
    longest = min(len(one), len(other))
    return next((other[:n] for n in range(longest, 0, -1) if one.endswith(other[:n])), "")


def is_mark(chunk: str) -> bool:
    """Whether a chunk is a whole <tag> or [TAG]."""
    return re.fullmatch(r"<[^<>]+>|\[/?[A-Z_]+\]|<\|(?:open|close)\|>.*<\|sep\|>", chunk) is not None


def aligned(text: str, prefix: str) -> str:
    """The beginning of `text` that is shorter than `prefix` by at most a mark, and ends with one."""
    kept = ""
    for chunk in chunks(text):
        if len(kept) + len(chunk) > len(prefix):
            break
        kept += chunk
    return kept


def without_thinking(text: str) -> str:
    """`text` behind the last mark of thinking in it."""

    ends = [text.rfind(tag) + len(tag) for pair in KNOWN_TAGS for tag in pair if tag in text]
    return text[max(ends, default=0) :]


def between(one: str, other: str) -> str:
    """A text that two calls have behind their names, with a hole for their numbers."""
    if one == other:
        return one
    digits = [match.span() for match in re.finditer(r"\d+", one)]
    holed = (one[:start] + INDEX + one[end:] for start, end in digits)
    others = {other[:start] + INDEX + other[end:] for start, end in (m.span() for m in re.finditer(r"\d+", other))}
    return next((text for text in holed if text in others), one)
