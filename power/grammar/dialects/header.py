"""What stands around a call's name: marks, and perhaps an id or the call's number."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from power.grammar.dialects.dialect import ID, INDEX, NAME

_HOLE = re.compile(f"({ID}|{INDEX}|{NAME})")
MAX_NAME = 200  # characters
_NO_NAME = re.compile(r"[\n<>{}]")


class Named(NamedTuple):
    """What a header says."""

    name: str
    id: str


def filled(text: str, *, id: str, index: int, name: str) -> str:
    """A text around a name, with what belongs into its holes."""
    return text.replace(ID, id).replace(INDEX, str(index)).replace(NAME, name)


def words(text: str) -> tuple[str, ...]:
    """What a reader looks for of `text`: its parts between spaces."""
    return tuple(text.split())


def before_hole(text: str) -> str:
    """`text` up to what differs from call to call."""
    return _HOLE.split(text)[0]


def after_holes(text: str) -> str:
    """`text` from the last of what differs from call to call."""
    return _HOLE.split(text)[-1]


def read_header(text: str, *, opened: str, name_end: str) -> Named | None:
    """The name in what stands between a call's opening and its arguments; `opened` is its text before the name."""
    marks = opened[len(before_hole(opened)) :], name_end
    match = _pattern(*marks, loose=False).fullmatch(text) or _pattern(*marks, loose=True).fullmatch(text)
    if match is None:
        return None
    name = match["name"].strip()
    if not name or len(name) > MAX_NAME or _NO_NAME.search(name):
        return None
    return Named(name, (match.groupdict().get("id") or "").strip())


@lru_cache(maxsize=256)
def _pattern(before: str, after: str, *, loose: bool) -> re.Pattern[str]:
    """What a header is; if it is `loose`, a model may have left any of the marks out."""
    seen: list[str] = []
    optional = "?" if loose else ""
    parts = _as_pattern(before, seen, optional), _as_pattern(after, seen, optional)
    return re.compile(rf"\s*{parts[0]}(?P<name>.+?)\s*{parts[1]}\s*", re.DOTALL)


def _as_pattern(text: str, seen: list[str], optional: str) -> str:
    """Marks with any space around, each with the hole behind it."""
    parts = _HOLE.split(text)
    pattern = ""
    for mark, hole in zip(parts[::2], [*parts[1::2], ""], strict=True):
        spaced = r"\s*".join(map(re.escape, mark.split()))
        if hole == ID and ID not in seen:
            seen.append(ID)
            pattern += rf"(?:{spaced}\s*(?P<id>\S*?)){optional}\s*"
        elif hole:
            pattern += rf"(?:{spaced}\s*\S*?){optional}\s*"
        elif spaced:
            pattern += rf"(?:{spaced}){optional}\s*"
    return pattern
