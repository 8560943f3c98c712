"""Find out how a model writes calls, by having its template write some that are known.

Two calls with names and arguments that no template has are rendered alone and
together, with text before them and without.  What stands between the known parts
are the marks; what differs between two renderings tells the marks of a section from
those of a call, and what belongs to a turn from what belongs to its calls.  What is
found is tried: a dialect that cannot read its own renderings is none.
"""

from __future__ import annotations

import re

import msgspec

from power.grammar.dialects.dialect import Dialect, Syntax
from power.grammar.dialects.found_named import find_braces, find_elements, find_json_arguments, find_parameters
from power.grammar.dialects.found_objects import find_objects, find_python_calls
from power.grammar.dialects.probe import NAMES, Probe, Render, probe_call
from power.grammar.dialects.taught import taught


def discover(render: Render, template: str = "") -> Dialect | None:
    """The dialect a template writes, or teaches; None if it knows no calls, or in no way of ours.

    `template` is its text, for templates that name marks they never write.
    """
    probe = Probe(render)
    dialect = _written(probe) or taught(probe.whole_prompt, template)
    if dialect is None:
        return None
    dialect = msgspec.structs.replace(dialect, **probe.around_content())
    known = (*dialect.marks, *dialect.content_open, *dialect.content_close)
    silent = (mark for mark in probe.around_results() if not any(mark in each for each in known))
    return msgspec.structs.replace(dialect, silent=tuple(silent))


def _written(probe: Probe) -> Dialect | None:
    alone = probe.calls(probe_call(0))
    if NAMES[0] not in alone:
        return None
    if dialect := _channel(alone):
        return dialect
    ways = (find_objects, find_json_arguments, find_elements, find_python_calls, find_braces, find_parameters)
    return next((dialect for way in ways if (dialect := way(probe)) is not None), None)


def _channel(text: str) -> Dialect | None:
    """Harmony is known by its messages: a channel, a recipient, and what is said."""
    if re.search(rf"to=functions\.{NAMES[0]}<\|channel\|>\w+.*?<\|message\|>\{{", text):
        return Dialect(syntax=Syntax.CHANNEL, parallel=False)
    return None
