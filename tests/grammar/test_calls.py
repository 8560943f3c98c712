"""Tool calls are read out of text; what is none stays text."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.grammar import ToolCallReader, new_call_id
from power.grammar.dialects import HERMES, written
from power.messages import ToolCall

CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
F = ToolCall(name="f", arguments={"x": 1}, id="id")


def run(pieces: list[str]) -> list[str | ToolCall]:
    """What the pieces are read as, neighbouring texts joined."""
    reader = ToolCallReader(HERMES, new_id=lambda: "id")
    found = [item for piece in pieces for item in reader.feed(piece)] + reader.flush()
    joined: list[str | ToolCall] = []
    for item in found:
        assert item != ""
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        else:
            joined.append(item)
    return joined


def cut(text: str, ends: list[int]) -> list[str]:
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello ", ["Hello "]),
        (CALL, [F]),
        (f"\n{CALL}\n", [F]),
        (f"Let me see.\n\n{CALL}\n{CALL}\n\nDone. ", ["Let me see.", F, F, "Done. "]),
        (CALL[: -len("</tool_call>")], [F]),
        (CALL[:-3], [F]),
        ('<tool_call>{"name":"f","arguments":"{\\"x\\": 1}"}</tool_call>', [F]),
        ('<tool_call>{"name":"f","parameters":{"x":1}}</tool_call>', [F]),
        ('<tool_call>{"name":"f"}</tool_call>', [ToolCall(name="f", arguments={}, id="id")]),
        ('<tool_call>{"name":"f","arguments":null}</tool_call>', [ToolCall(name="f", arguments={}, id="id")]),
        (
            '<tool_call>{"name":"f","arguments":{"a":"</tool_call> \\" \\\\"}}</tool_call>',
            [ToolCall(name="f", arguments={"a": '</tool_call> " \\'}, id="id")],
        ),
        (
            '<tool_call>{"name":"f","arguments":{"a":"two\nlines"}}</tool_call>',
            [ToolCall(name="f", arguments={"a": "two\nlines"}, id="id")],
        ),
        (f"{CALL}</tool_call>\n</tool_call> Done.</tool_call>", [F, "Done.</tool_call>"]),
        (f"Use <tool_call> like this: {CALL}", ["Use <tool_call> like this:", F]),
        (f"<tool_call>{CALL}", ["<tool_call>", F]),
    ],
)
def test_calls_are_read_and_the_rest_is_text(text: str, expected: list[str | ToolCall]) -> None:
    assert run([text]) == expected


@pytest.mark.parametrize(
    "body",
    [
        "<arg_key>city</arg_key>\nNew York</arg_value>\n<arg_key>unit</arg_key>\n<arg_value>c</arg_value>",
        "<arg_key>city</arg_key><arg_value>New York<arg_key>unit</arg_key>\n<arg_value>c</arg_value>",
        "<arg_key>city</arg_key><arg_value>New York\n<arg_key>unit</arg_key><arg_value>c",
        "<arg_key>city</arg_key><arg_value>New York</arg_value><arg_key>unit</arg_key>\nc</arg_value>\n",
    ],
)
def test_tags_around_a_value_may_be_missing(body: str) -> None:
    assert glm(f"<tool_call>f\n{body}</tool_call>") == [
        ToolCall(name="f", arguments={"city": "New York", "unit": "c"}, id="id")
    ]


def test_a_value_may_hold_the_tags_of_a_value() -> None:
    value = "a <arg_key>unit</arg_key><arg_value>c</arg_value> b </tool_call>"
    call = f"<tool_call>f\n<arg_key>city</arg_key>\n<arg_value>{value}</arg_value></tool_call>"

    assert glm(call) == [ToolCall(name="f", arguments={"city": value}, id="id")]


def glm(text: str) -> list[str | ToolCall]:
    """What text is read as where arguments stand between tags, in one piece or many."""
    known = written("glm-4.6")
    assert known is not None
    assert known.dialect is not None
    ways = []
    for pieces in ([text], list(text)):
        reader = ToolCallReader(known.dialect, new_id=lambda: "id")
        ways.append([item for piece in pieces for item in reader.feed(piece)] + reader.flush())
    assert ways[0] == ways[1]
    return ways[0]


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ('{command:<|"|>ls}', {"command": "ls"}),
        ('{command:<|"|>ls', {"command": "ls"}),
        ('{command:<|"|>ls<|"|>', {"command": "ls"}),
        ("{command:ls -l {a,b}", {"command": "ls -l {a,b"}),
        ("{command:\n# It's so\n\nand so", {"command": "\n# It's so\n\nand so"}),
    ],
)
def test_marks_of_a_text_in_braces_may_be_missing(body: str, arguments: dict[str, Any]) -> None:
    known = written("gemma4")
    assert known is not None
    assert known.dialect is not None
    parameters = {"type": "object", "properties": {"command": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "bash", "parameters": parameters}}]
    for pieces in ([f"<|tool_call>call:bash{body}<tool_call|>"], f"<|tool_call>call:bash{body}<tool_call|>"):
        reader = ToolCallReader(known.dialect, tools, new_id=lambda: "id")
        found = [item for piece in pieces for item in reader.feed(piece)] + reader.flush()

        assert found == [ToolCall(name="bash", arguments=arguments, id="id")]


def test_what_stands_around_results_is_nobodys_words() -> None:
    known = written("deepseek3")
    assert known is not None
    assert known.dialect is not None
    text = "It says <｜tool▁output▁begin｜>25°C<｜tool▁output▁end｜>, so"
    reader = ToolCallReader(known.dialect)

    found = [item for char in text for item in reader.feed(char)] + reader.flush()

    assert "".join(map(str, found)) == "It says 25°C, so"


@pytest.mark.parametrize("n_cut", range(1, len("</tool_call>") + 1))
def test_a_call_between_tags_may_be_cut_off_in_what_closes_it(n_cut: int) -> None:
    glm = written("glm-4.6")
    assert glm is not None
    assert glm.dialect is not None
    call = "<tool_call>f\n<arg_key>x</arg_key>\n<arg_value>a</b></arg_value></tool_call>"
    reader = ToolCallReader(glm.dialect, new_id=lambda: "id")

    found = [item for char in call[:-n_cut] for item in reader.feed(char)] + reader.flush()

    assert found == [ToolCall(name="f", arguments={"x": "a</b>"}, id="id")]


@pytest.mark.parametrize(
    "body",
    [
        *(
            "",
            "{}",
            "[]",
            '{"name": 1}',
            '{"name": ""}',
            '{"name": "f", "arguments": [1]}',
            '{"name": "f", "arguments": 1}',
        ),
        *(
            '{"name": "f", "arguments": "not json"}',
            '{"name": "f", "arguments": {"x": NaN}}',
            '{"name": "f"',
            "null",
            "1",
        ),
        *('{"name": "f", "arguments": {"x": 1e999}}', '{"name": "\\ud800"}', '{"a":' * 5000, '{"name": "f"} and more'),
        *('{"name": "f", "arguments": {"x": ' + "9" * 5000 + "}}", '{"name": "f}', "f(x=1)", "<function=f></function>"),
    ],
)
def test_what_does_not_parse_stays_as_it_was_written(body: str) -> None:
    text = f"Well:\n <tool_call>\n{body}\n</tool_call>\n ok "

    assert run([text]) == [text]


def test_text_before_a_call_comes_at_once() -> None:
    reader = ToolCallReader()

    assert reader.feed("Hello wor") == ["Hello wor"]
    assert reader.feed("ld \n<tool") == ["ld"]
    assert reader.feed("box>") == [" \n<toolbox>"]


def test_a_call_comes_with_its_closing_tag() -> None:
    reader = ToolCallReader()

    assert reader.feed(CALL[:-1]) == []
    assert [type(item) for item in reader.feed(CALL[-1])] == [ToolCall]
    assert reader.flush() == []


PIECES = st.sampled_from(
    [
        *(
            CALL,
            "<tool_call>",
            "</tool_call>",
            "<tool",
            "<",
            "_call>",
            "</",
            '{"name": "f", "arguments": {}}',
            '{"name":',
        ),
        *(
            '"',
            "\\",
            "{",
            "}",
            " ",
            "\n",
            "a",
            "Hello",
            "é🙂",
            '"</tool_call>"',
            '{"name": "f", "arguments": {"x": 1}}',
        ),
    ]
)


@given(st.lists(PIECES), st.data())
def test_cutting_the_stream_up_changes_nothing(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)))))

    assert run(cut(text, ends)) == run(list(text)) == run([text])


@given(st.lists(PIECES.filter(lambda piece: piece != CALL)))
def test_nothing_is_lost_where_there_is_no_call(parts: list[str]) -> None:
    text = "".join(parts)

    found = run([text])

    if not any(isinstance(item, ToolCall) for item in found):
        assert "".join(item for item in found if isinstance(item, str)) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda children: st.lists(children) | st.dictionaries(st.text(st.characters(codec="utf-8")), children),
    max_leaves=6,
)  # fmt: skip
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: text.replace("<", "").strip())
SPACES = st.text(alphabet=" \n\t", max_size=3)
NAMES = st.text(alphabet="abc_", min_size=1)
ARGUMENTS = st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=3)


@given(st.lists(st.tuples(TEXTS, NAMES, ARGUMENTS, SPACES, st.booleans()), max_size=3), TEXTS, st.data())
def test_calls_between_texts_come_back(
    turns: list[tuple[str, str, dict[str, Any], str, bool]], last: str, data: st.DataObject
) -> None:
    text, expected = "", list[str | ToolCall]()
    for before, name, arguments, spaces, as_text in turns:
        written = json.dumps(arguments, ensure_ascii=False)
        value = json.dumps(written) if as_text else written
        text += (
            f'{before}{spaces}<tool_call>{spaces}{{"name": "{name}", "arguments": {value}}}{spaces}</tool_call>{spaces}'
        )
        expected += [*([before] if before else []), ToolCall(name=name, arguments=arguments, id="id")]
    text += last
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)))))

    assert run(cut(text, ends)) == [*expected, *([last] if last else [])]


def test_ids_are_in_the_form_clients_know() -> None:
    ids = {new_call_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch(r"call_[a-z0-9]{8}", each) for each in ids)
