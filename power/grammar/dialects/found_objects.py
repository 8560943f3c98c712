"""Find out the dialect of a template whose calls hold their names: JSON objects and Python calls."""

from __future__ import annotations

import json
import re
from typing import Any

from power.grammar.dialects.dialect import INDEX, Dialect, Syntax
from power.grammar.dialects.framing import frame
from power.grammar.dialects.probe import CONTENT, IDS, KEYS, NAMES, Probe, probe_call


def find_objects(probe: Probe) -> Dialect | None:
    """Calls that are JSON objects."""
    alone = probe.calls(probe_call(0))
    span = _object_around(alone, NAMES[0], KEYS[0])
    if span is None:
        return None
    start, end, value = span
    with_content = _until_object(probe.calls(probe_call(0), content=CONTENT), 0)
    opening = probe.opening(alone[:start], with_content)
    both = probe.calls(probe_call(0), probe_call(1))
    spans = [_object_around(both, name, KEYS[0]) for name in NAMES]
    pair = None
    if spans[0] and spans[1] and spans[0][1] <= spans[1][0]:
        pair = both[: spans[0][0]], both[spans[0][1] : spans[1][0]], both[spans[1][1] :]
    shape = _shape(value, spans[1][2] if spans[1] else value)
    if shape is None:
        return None
    return Dialect(syntax=Syntax.OBJECT, **shape, **frame(probe, (alone[:start], alone[end:]), pair, opening))


def _object_around(text: str, name: str, key: str) -> tuple[int, int, Any] | None:
    """The JSON object that a name and a key of the arguments are in: where it is, and what."""
    decoder = json.JSONDecoder()
    at = text.find(name)
    for match in re.finditer(r"\{", text[: max(at, 0)]):
        try:
            value, end = decoder.raw_decode(text, match.start())
        except ValueError:
            continue
        if match.start() < at < end and key in text[match.start() : end]:
            return match.start(), end, value
    return None


def _until_object(text: str, number: int) -> str:
    span = _object_around(text, NAMES[number], KEYS[0])
    return text[: span[0]] if span else ""


def _shape(value: dict[str, Any], second: dict[str, Any]) -> dict[str, Any] | None:
    """The keys by which a call's object holds what it holds."""
    arguments = probe_call(0).arguments
    if value == {NAMES[0]: arguments}:
        return {"keyed": True}
    shape: dict[str, Any] = {"id_key": next((key for key, each in value.items() if each == IDS[0]), "")}
    wrapped = next((key for key, each in value.items() if isinstance(each, dict) and NAMES[0] in each.values()), "")
    inner = value[wrapped] if wrapped else value
    shape |= {"wrapper_key": wrapped, "keys": tuple(inner)}
    names = [key for key, each in inner.items() if each == NAMES[0]]
    held = [key for key, each in inner.items() if each == arguments or _decoded(each) == arguments]
    if not names or not held:
        return None
    known = {names[0], held[0], shape["id_key"], wrapped}
    others = {**value, **inner}.items()
    # Where two calls differ in more than they say, the template counts them.
    counted = {key for key in value if key not in known and value[key] != second.get(key)}
    shape["fields"] = tuple(
        (key, f'"{INDEX}"' if key in counted else json.dumps(each)) for key, each in others if key not in known
    )
    return {**shape, "name_key": names[0], "arguments_key": held[0], "escaped": isinstance(inner[held[0]], str)}


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None


def find_python_calls(probe: Probe) -> Dialect | None:
    """Calls as Python writes them, with keyword arguments."""
    alone = probe.calls(probe_call(0))
    call = re.compile(rf"({'|'.join(NAMES)})\({KEYS[0]}\s*=\s*(['\"]).*?\2.*?\)", re.DOTALL)
    match = call.search(alone)
    if match is None:
        return None
    content = call.search(with_content := probe.calls(probe_call(0), content=CONTENT))
    opening = probe.opening(alone[: match.start()], with_content[: content.start()] if content else "")
    found = list(call.finditer(both := probe.calls(probe_call(0), probe_call(1))))
    pair = None
    if len(found) == 2:
        pair = both[: found[0].start()], both[found[0].end() : found[1].start()], both[found[1].end() :]
    first = alone[: match.start()], alone[match.end() :]
    return Dialect(syntax=Syntax.PYTHON, python_words=True, **frame(probe, first, pair, opening))
