"""Bodies: what is read from them, and what is said of those that are wrong."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.api import native_bodies, openai_bodies
from power.api.requests import decode, read_probs, read_think, read_tools
from power.errors import BadRequest

DECODERS: list[msgspec.json.Decoder[Any]] = [
    native_bodies.generate_body,
    native_bodies.chat_body,
    openai_bodies.chat_body,
    openai_bodies.completion_body,
]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "missing request body"),
        (b" \n", "missing request body"),
        (b"{", "invalid JSON: it ends too early"),
        (b'{"model":"m', "invalid JSON: it ends too early"),
        (b"{} x", "invalid JSON at byte 4: trailing characters"),
        (
            b'{"model":"m","options":{"temperature":NaN}}',
            'invalid JSON at byte 38, in "temperature": invalid character',
        ),
        (b'{"options":{"top_p": -Infinity}}', 'invalid JSON at byte 22, in "top_p": invalid character'),
        (b'{"model": "\xff"}', "invalid JSON at byte 11: not UTF-8"),
        (b"[]", "invalid request body: expected object, got array"),
        (b'"text"', "invalid request body: expected object, got str"),
        (b'{"model":5}', 'invalid "model": expected str, got int'),
        (b'{"messages":[{"role":5}]}', 'invalid "messages[0].role": expected str, got int'),
        (b'{"messages":[{}]}', 'invalid "messages[0]": object missing required field role'),
        (
            b'{"messages":[{"role":"user","images":["!"]}]}',
            'invalid "messages[0].images[0]": invalid base64 encoded string',
        ),
        (b'{"options":[]}', 'invalid "options": expected object, got array'),
        (b'{"stream":"yes"}', 'invalid "stream": expected bool, got str'),
        (b'{"options":{"num_ctx":%s}}' % (b"9" * 5000), 'invalid "options[...]": integer value out of range'),
    ],
)
def test_a_body_that_is_wrong_is_told_so_with_the_place(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(native_bodies.chat_body, body)

    assert caught.value.message == message
    assert caught.value.status == 400


@pytest.mark.parametrize("depth", [1_000, 100_000])
@pytest.mark.parametrize("place", [b'{"options":{"x":%s}}', b'{"nobody_knows":%s}', b"%s", b'{"format":%s}'])
def test_json_nested_too_deeply_is_a_bad_request(place: bytes, depth: int) -> None:
    with pytest.raises(BadRequest):
        decode(native_bodies.chat_body, place % (b"[" * depth + b"]" * depth))


def test_a_number_too_large_for_a_float_is_left_to_the_option_it_is_for() -> None:
    body = decode(native_bodies.chat_body, b'{"options":{"temperature":1e999}}')

    assert body.options == {"temperature": math.inf}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"a\ud83d", "a\ufffd"),
        (rb"\ud83d\ude00\ud83d", "\N{GRINNING FACE}\ufffd"),
        (rb"\udE00\uD83d", "\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\N{GRINNING FACE}"),
        (rb"\\ud83d \ud83dx", "\\ud83d \ufffdx"),
        (rb"\\\ud83d", "\\\ufffd"),
    ],
)
def test_half_a_character_is_read_as_the_replacement_character(written: bytes, read: str) -> None:
    assert decode(native_bodies.generate_body, b'{"prompt":"%s"}' % written).prompt == read


@given(st.lists(st.sampled_from([rb"\ud83d", rb"\ude00", rb"\\", b"u", b"d83d", b"x"]), max_size=8).map(b"".join))
def test_halves_of_characters_are_read_as_go_reads_them(written: bytes) -> None:
    # Python keeps halves; a text with a whole pair in it is one of neither.
    text = json.loads(b'"%s"' % written)
    expected = "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)

    assert decode(native_bodies.generate_body, b'{"prompt":"%s"}' % written).prompt == expected


def test_null_says_nothing() -> None:
    assert decode(native_bodies.chat_body, b"null") == native_bodies.ChatBody()
    assert decode(native_bodies.chat_body, b'{"model":null,"stream":null}') == native_bodies.ChatBody()


def test_fields_nobody_knows_are_passed_over() -> None:
    assert decode(native_bodies.chat_body, b'{"model":"m","user":"me"}').model == "m"


@given(body=st.binary() | st.text().map(str.encode), decoder=st.sampled_from(DECODERS))
def test_any_bytes_are_a_body_or_a_bad_request(body: bytes, decoder: msgspec.json.Decoder[Any]) -> None:
    try:
        decode(decoder, body)
    except BadRequest as error:
        assert error.message  # noqa: PT017  # either outcome is right; this is what the one must have


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.data())
def test_fields_of_any_type_are_taken_or_named(data: st.DataObject) -> None:
    decoder = data.draw(st.sampled_from(DECODERS))
    names = [field.encode_name for field in msgspec.structs.fields(decoder.type)]
    body = {name: data.draw(JSON) for name in data.draw(st.lists(st.sampled_from(names), max_size=4))}
    encoded = msgspec.json.encode(body)

    try:
        decode(decoder, encoded)
    except BadRequest as error:
        assert error.field is not None  # noqa: PT017
        assert error.field.split(".")[0].split("[")[0] in body  # noqa: PT017


@pytest.mark.parametrize("value", [None, True, False, "low", "medium", "high", "max"])
def test_think_is_a_switch_or_a_level(value: bool | str | None) -> None:
    assert read_think(value) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("deep", 'invalid think value: "deep" (must be "high", "medium", "low", "max", true, or false)'),
        (1, 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'),
        ([], 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'),
    ],
)
def test_think_of_another_kind_is_refused(value: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_think(value)

    assert caught.value.message == message
    assert caught.value.field == "think"


@pytest.mark.parametrize(
    ("wanted", "top", "read"), [(None, None, None), (None, 5, None), (True, None, 0), (True, 20, 20), (False, 3, None)]
)
def test_alternatives_are_reported_only_if_logprobs_are_wanted(
    wanted: bool | None, top: int | None, read: int | None
) -> None:
    assert read_probs(wanted, top) == read


@pytest.mark.parametrize("top", [-1, 21, 10**30])
def test_there_are_at_most_twenty_alternatives(top: int) -> None:
    with pytest.raises(BadRequest, match="top_logprobs must be between 0 and 20"):
        read_probs(None, top)


def test_tools_stay_as_they_came() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"x-order": [2, 1]}, "strict": True}}

    assert read_tools([tool]) == (tool,)


@pytest.mark.parametrize(
    ("tools", "field"),
    [
        ([{}], "tools[0]"),
        ([{"function": {}}], "tools[0].function"),
        ([{"function": {"name": 1}}], "tools[0].function.name"),
    ],
)
def test_a_tool_without_a_name_is_named(tools: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_tools(tools)

    assert caught.value.field == field
