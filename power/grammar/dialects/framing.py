"""The marks of sections and of calls, told from each other.

What stands between two calls is the end of one and the beginning of the next; what
stands before the first and is not there again belongs to the section.
"""

from __future__ import annotations

from typing import Any

from power.grammar.dialects.marks import chunks, common_prefix, common_suffix, is_mark
from power.grammar.dialects.probe import Probe


def frame(probe: Probe, first: tuple[str, str], pair: tuple[str, str, str] | None, opening: str) -> dict[str, Any]:
    """The marks of section and call.

    `first` is what stands before and behind a lone call, `pair` the same of two with what is between them.
    """
    closing = probe.closing(first[1])
    if pair is None:
        return {"call_open": opening.lstrip(), "call_close": closing.rstrip(), "parallel": False}
    middle, last = pair[1], probe.closing(pair[2])
    call_open = common_suffix(opening, middle)
    call_close = common_prefix(middle[: len(middle) - len(call_open)], last)
    separator = middle[len(call_close) : len(middle) - len(call_open)]
    section_open = opening[: len(opening) - len(call_open)]
    if (
        section_open.rstrip().endswith("[")
        and last[len(call_close) :].lstrip().startswith("]")
        and not separator.strip()
    ):
        # Go templates loop without an index, and leave out the commas of what is JSON for their models.
        separator = "," if call_open[:1].isspace() else ", "
    if not section_open.strip():
        blank = call_open[: len(call_open) - len(call_open.lstrip())]
        separator, call_open, section_open = separator + blank, call_open.lstrip(), ""
    return {
        "section_open": section_open.lstrip(),
        "section_close": _as_many_marks(last[len(call_close) :].rstrip(), section_open),
        "call_open": call_open,
        "call_close": call_close,
        "separator": separator,
    }


def _as_many_marks(close: str, opening: str) -> str:
    """`close` without marks that close more than `opening` opens: some templates end the turn there."""
    wanted = sum(map(is_mark, chunks(opening)))
    kept = ""
    for chunk in chunks(close) if wanted else ():
        if is_mark(chunk):
            wanted -= 1
        if wanted < 0:
            return kept.rstrip()
        kept += chunk
    return kept or close
