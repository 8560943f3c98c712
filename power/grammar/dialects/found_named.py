"""Find out the dialect of a template that writes a call's name before its arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from power.grammar.dialects.dialect import CDATA, ID, INDEX, NAME, Dialect, Syntax
from power.grammar.dialects.framing import frame
from power.grammar.dialects.marks import between, common_prefix, common_suffix
from power.grammar.dialects.probe import CONTENT, IDS, KEYS, NAMES, TYPED, VALUES, Probe, probe_call


class _Spans(NamedTuple):
    """What stands around a name and the arguments behind it."""

    before: str
    name_end: str
    after: str


def _named(probe: Probe, spans: Callable[[str, int], _Spans | None]) -> dict[str, Any] | None:
    """The marks, where `spans(text, number)` says where a call's name and arguments are."""
    alone = probe.calls(probe_call(0))
    first = spans(alone, 0)
    if first is None:
        return None
    with_content = probe.calls(probe_call(0), content=CONTENT)
    contented = spans(with_content, 0)
    opening = probe.opening(first.before, contented.before if contented else "")
    both = probe.calls(probe_call(0), probe_call(1))
    one, two = spans(both, 0), spans(both, 1)
    pair, name_end = None, first.name_end
    if one and two and len(two.before) > len(one.before):
        pair = one.before, two.before[len(_named_before(both)) - len(_named_before(one.after)) :], two.after
        name_end = between(one.name_end, two.name_end)
    marks = frame(probe, (first.before, first.after), pair, opening)
    counted = 1 if INDEX in name_end and first.name_end == name_end.replace(INDEX, "1") else 0
    shown = {key: _with_ids(value) if isinstance(value, str) else value for key, value in marks.items()}
    return {**shown, "name_end": _with_ids(name_end), "first_index": counted}


def _with_ids(text: str) -> str:
    for call_id in IDS:
        text = text.replace(call_id, ID)
    return text


def _without_ids(text: str) -> str:
    """With one id for every call, so that marks are the same in all."""
    return text.replace(IDS[1], IDS[0])


def find_json_arguments(probe: Probe) -> Dialect | None:
    """A name, then JSON."""
    marks = _named(probe, _around_json)
    return Dialect(syntax=Syntax.ARGUMENTS, **marks) if marks else None


def _around_json(text: str, number: int) -> _Spans | None:
    text = _without_ids(text)
    at = text.find(KEYS[0], text.find(NAMES[number]))
    start = text.rfind("{", 0, max(at, 0))
    name = text.rfind(NAMES[number], 0, max(start, 0))
    if name < 0:
        return None
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return None
    if value != probe_call(number).arguments:
        return None
    return _Spans(_named_before(text[:name]), text[name + len(NAMES[number]) : start], text[end:])


def _around_keys(text: str, number: int) -> _Spans | None:
    """By the first key and the last value; `name_end` goes up to the key, `after` begins behind the value."""
    text = _without_ids(text)
    last = text.find(VALUES[number][1])
    key = text.find(KEYS[0], text.find(NAMES[number]))
    name = text.rfind(NAMES[number], 0, max(key, 0))
    if name < 0 or last < key:
        return None
    after = text[last + len(VALUES[number][1]) :]
    return _Spans(_named_before(text[:name]), text[name + len(NAMES[number]) : key], after)


def _named_before(text: str) -> str:
    """With a hole for the name where a header says it before the call does."""
    for name in NAMES:
        text = text.replace(name, NAME)
    return text


class _Pair(NamedTuple):
    """What stands around two keys and their values."""

    before_key: str  # from the name
    key_end: str
    between: str  # from the first value to the second key
    after: str


def _pair(probe: Probe) -> _Pair | None:
    text = probe.calls(probe_call(0))
    pattern = rf"{NAMES[0]}((?:(?!{NAMES[0]}).)*?){KEYS[0]}(.*?){VALUES[0][0]}(.*?){KEYS[1]}(.*?){VALUES[0][1]}(.*)"
    match = re.search(pattern, text, re.DOTALL)
    return _Pair(match[1], match[2], match[3], match[5]) if match else None


def find_parameters(probe: Probe) -> Dialect | None:
    """A name, then each argument between tags of its own."""
    pair = _pair(probe)
    marks = _named(probe, _around_keys)
    if pair is None or marks is None:
        return None
    key_open = common_suffix(pair.before_key, pair.between)
    value_close = common_prefix(pair.between[: len(pair.between) - len(key_open)], pair.after)
    if not key_open.strip() or not value_close.strip() or not marks["call_close"].startswith(value_close):
        return None
    marks["name_end"] = marks["name_end"][: len(marks["name_end"]) - len(key_open)]
    marks["call_close"] = marks["call_close"][len(value_close) :]
    ends = {"string": pair.key_end}
    python_words = False
    for kind, value in TYPED.items():
        text = probe.calls(probe_call(0, **{KEYS[0]: value}))
        match = re.search(rf"{re.escape(key_open)}{KEYS[0]}(.*?){re.escape(value_close)}", text, re.DOTALL)
        for form in (json.dumps(value, ensure_ascii=False), str(value)):
            if match and match[1].endswith(form):
                ends[kind] = match[1].removesuffix(form)
                python_words = python_words or form == "True"
                break
    if len(set(ends.values())) == 1:
        ends = {"string": pair.key_end}
    return Dialect(
        syntax=Syntax.PARAMETERS,
        key_open=key_open,
        key_ends=tuple(ends.items()),
        value_close=value_close,
        python_words=python_words,
        cdata="x <b>".join(CDATA) in probe.calls(probe_call(0, **{KEYS[0]: "x <b>"})),
        **marks,
    )


def find_braces(probe: Probe) -> Dialect | None:
    """A name, then an object with bare keys and strings in marks."""
    pair = _pair(probe)
    if pair is None or not pair.before_key.endswith("{") or not pair.key_end.startswith(":"):
        return None
    quote = pair.key_end[1:].strip()
    marks = _named(probe, _around_keys)
    if marks is None or not pair.between.startswith(quote):
        return None
    close = f"{quote}}}"
    if not marks["call_close"].startswith(close):
        return None
    marks["call_close"] = marks["call_close"].removeprefix(close)
    return Dialect(syntax=Syntax.BRACES, quote=quote, **marks)


def find_elements(probe: Probe) -> Dialect | None:
    """A name, then each argument as an element that is named after it."""
    pair = _pair(probe)
    if pair is None or pair.key_end != ">":
        return None
    mark, found, _ = pair.between.partition(f"</{KEYS[0]}>")
    marks = _named(probe, _around_keys)
    if not found or marks is None or not pair.before_key.endswith(f"{mark}<"):
        return None
    close = f"{mark}</{KEYS[1]}>"
    marks["name_end"] = marks["name_end"].removesuffix(f"{mark}<")
    for key in ("call_close", "section_close"):
        marks[key] = marks[key].replace(close, "")
    return Dialect(syntax=Syntax.ELEMENTS, element=mark, **marks)
