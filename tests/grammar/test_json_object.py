"""The grammar of `format: "json"`, judged by llama.cpp's own engine."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from power.grammar import JSON_GRAMMAR
from tests.grammar.engine import Engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a": 1}',
        '{\n  "a": [1, 2.5, -3e8, true, false, null],\n  "b": {"c": "d"}\n}',
        '{"a":[],"b":{},"c":[[]]}',
        '{"\\u00e9\\n\\"": "é🙂"}',
        '{"a": 9007199254740993}',
    ],
)
def test_objects_are_accepted(engine: Engine, text: str) -> None:
    assert engine.accepts(JSON_GRAMMAR, text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "1", '"a"', "null", " {}", "{", "{} ", "{}\n", "{a: 1}", "{'a': 1}", '{"a": 1,}', '{"a" 1}'),
        *('{"a": 01}', '{"a": .5}', '{"a": +1}', '{"a": NaN}', '{"a": "\n"}', '{"a": "\\x"}', '{"a": [1,]}', "{} {}"),
        *('{"a":   1}', '{"a": ' + "1" * 40 + "}", '{"a": 1' + "\n" * 3 + "}"),
    ],
)
def test_anything_else_is_not(engine: Engine, text: str) -> None:
    assert not engine.accepts(JSON_GRAMMAR, text)


def test_whitespace_cannot_run_on(engine: Engine) -> None:
    assert engine.n_accepted(JSON_GRAMMAR, "{\n" + " " * 1000) < 40


NUMBERS = st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15, allow_nan=False).map(lambda number: round(number, 6))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda children: st.lists(children) | st.dictionaries(TEXTS, children),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(value=st.dictionaries(TEXTS, VALUES), indent=st.sampled_from([-1, 0, 2]))
def test_what_a_json_writer_writes_is_accepted(engine: Engine, value: dict[str, Any], indent: int) -> None:
    text = msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()

    assert engine.accepts(JSON_GRAMMAR, text)
