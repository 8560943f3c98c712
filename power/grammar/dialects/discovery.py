"""Find out how a model writes calls, by having its template write some that are known.

Two calls with names and arguments that no template has are rendered alone and
together, with text before them and without.  What stands between the known parts
are the marks; what differs between two renderings tells the marks of a section from
those of a call, and what belongs to a turn from what belongs to its calls.  What is
found is tried: a dialect that cannot read its own renderings is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from power.errors import BadRequest
from power.grammar.dialects.dialect import CDATA, ID, INDEX, NAME, Dialect, Syntax
from power.grammar.dialects.marks import (
    aligned,
    between,
    chunks,
    common_prefix,
    common_suffix,
    is_mark,
    overlap,
    without_thinking,
)
from power.grammar.dialects.taught import taught
from power.messages import Message, Tool, ToolCall
from power.stream.thinking import KNOWN_TAGS

USER, CONTENT = "Quaestio", "Responsum"
NAMES, KEYS = ("zebra_first", "zebra_second"), ("kiwi", "lemon")
VALUES = (("vale first", "vale second"), ("vale third", "vale fourth"))
IDS = ("abcdefgh1", "abcdefgh2")  # nine letters and digits: what Mistral's templates insist on
TYPED: dict[str, Any] = {
    "integer": 417,
    "number": 2.75,
    "boolean": True,
    "null": None,
    "object": {"melon": "x"},
    "array": ["melon", 3],
}


class Render(Protocol):
    """A template: the text of a conversation. Raises BadRequest where it refuses."""

    def __call__(self, messages: Sequence[Message], tools: Sequence[Tool], *, generate: bool) -> str: ...


def probe_tools() -> list[Tool]:
    """The tools that the known calls are calls of."""
    properties = {key: {"type": "string", "description": "d"} for key in KEYS}
    parameters = {"type": "object", "properties": properties, "required": list(KEYS)}
    functions = [{"name": name, "description": "d", "parameters": parameters} for name in NAMES]
    return [{"type": "function", "function": function} for function in functions]


def probe_call(number: int, **others: Any) -> ToolCall:
    """One of the known calls, with some arguments replaced."""
    arguments = {**dict(zip(KEYS, VALUES[number], strict=True)), **others}
    return ToolCall(name=NAMES[number], arguments=arguments, id=IDS[number])


def discover(render: Render, template: str = "") -> Dialect | None:
    """The dialect a template writes, or teaches; None if it knows no calls, or in no way of ours.

    `template` is its text, for templates that name marks they never write.
    """
    probe = _Probe(render)
    dialect = _written(probe) or taught(probe.whole_prompt, template)
    return dialect and msgspec.structs.replace(dialect, **probe.around_content())


def _written(probe: _Probe) -> Dialect | None:
    alone = probe.calls(probe_call(0))
    if NAMES[0] not in alone:
        return None
    if dialect := _channel(alone):
        return dialect
    ways = (_objects, _json_arguments, _elements, _python, _braces, _parameters)
    return next((dialect for way in ways if (dialect := way(probe)) is not None), None)


def _before_thinking(prompt: str) -> str:
    return prompt[: prompt.rindex(tag)] if (tag := next((t for t, _ in KNOWN_TAGS if t in prompt), "")) else prompt


class _Probe:
    """Renderings of known conversations."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._tools = probe_tools()
        self.whole_prompt = self._whole([], generate=True)
        self.prompt = self.whole_prompt.rpartition(USER)[2]
        plain = self._rendered([Message(role="assistant", content=CONTENT)])
        self._before_content, _, self.end = plain.rpartition(CONTENT)

    def calls(self, *calls: ToolCall, content: str = "") -> str:
        """What the template writes for a turn with these calls, behind the user's words; empty if it refuses."""
        return self._rendered([Message(role="assistant", content=content, tool_calls=calls)])

    def _rendered(self, messages: list[Message]) -> str:
        return self._whole(messages, generate=False).rpartition(USER)[2]

    def _whole(self, messages: list[Message], *, generate: bool) -> str:
        conversation = [Message(role="user", content=USER), *messages]
        try:
            return self._render(conversation, self._tools, generate=generate)
        except BadRequest:
            return ""

    def opening(self, before: str, with_content: str) -> str:
        """What opens the first call, of what stands before it without content and with some."""
        _, found, tail = with_content.rpartition(CONTENT)
        if found:
            opening = common_suffix(before, tail)
            closing = common_prefix(opening, self.end)  # of the content
            opening = opening if closing == self.end else opening[len(closing) :]
            # Where words and calls are two turns, the second one's header is none of the calls'.
            header = overlap(_before_thinking(self.prompt).rstrip(), opening.lstrip())
            return opening.lstrip().removeprefix(header) if re.search(r"\w{3}", header) else opening
        opened = aligned(before, common_prefix(before, self.prompt))
        return without_thinking(before[len(opened) :])

    def closing(self, tail: str) -> str:
        """What closes calls, of what stands behind the last one."""
        if not self.end.strip():
            return tail
        shared = common_suffix(tail, self.end)
        if not shared.strip():
            # The turn ends with a mark of its own where it has calls: <|eom_id|>, <|call|>.
            return "".join(chunks(tail.rstrip())[:-1])
        tail = tail[: -len(shared)]
        return tail.partition(self.end.strip())[0]

    def around_content(self) -> dict[str, tuple[str, ...]]:
        """The marks around an answer's words."""
        opened = aligned(self._before_content, common_prefix(self._before_content, self.prompt))
        # What closes something else before the words is not theirs.
        opening = re.sub(r"^(?:<\|close\|>[^<]*<\|sep\|>|</[^<>]*>|\s)+", "", self._before_content[len(opened) :])
        opening = without_thinking(opening).strip()
        ends = tuple(chunk for chunk in chunks(self.end) if is_mark(chunk))
        return {"content_open": (opening,) if opening else (), "content_close": ends[:2]}


def _marks(probe: _Probe, first: tuple[str, str], pair: tuple[str, str, str] | None, opening: str) -> dict[str, Any]:
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


# -- calls that hold their names --


def _objects(probe: _Probe) -> Dialect | None:
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
    return Dialect(syntax=Syntax.OBJECT, **shape, **_marks(probe, (alone[:start], alone[end:]), pair, opening))


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


def _python(probe: _Probe) -> Dialect | None:
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
    return Dialect(syntax=Syntax.PYTHON, python_words=True, **_marks(probe, first, pair, opening))


# -- calls with the name before the arguments --


class _Spans(NamedTuple):
    """What stands around a name and the arguments behind it."""

    before: str
    name_end: str
    after: str


def _named(probe: _Probe, spans: Any) -> dict[str, Any] | None:
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
    marks = _marks(probe, (first.before, first.after), pair, opening)
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


def _json_arguments(probe: _Probe) -> Dialect | None:
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


def _pair(probe: _Probe) -> _Pair | None:
    text = probe.calls(probe_call(0))
    pattern = rf"{NAMES[0]}((?:(?!{NAMES[0]}).)*?){KEYS[0]}(.*?){VALUES[0][0]}(.*?){KEYS[1]}(.*?){VALUES[0][1]}(.*)"
    match = re.search(pattern, text, re.DOTALL)
    return _Pair(match[1], match[2], match[3], match[5]) if match else None


def _parameters(probe: _Probe) -> Dialect | None:
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


def _braces(probe: _Probe) -> Dialect | None:
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


def _elements(probe: _Probe) -> Dialect | None:
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


def _channel(text: str) -> Dialect | None:
    """Harmony is known by its messages: a channel, a recipient, and what is said."""
    if re.search(rf"to=functions\.{NAMES[0]}<\|channel\|>\w+.*?<\|message\|>\{{", text):
        return Dialect(syntax=Syntax.CHANNEL, parallel=False)
    return None
