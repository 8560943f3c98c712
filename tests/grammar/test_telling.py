"""Calls are told while they are written: the parts of each make up what it is in the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.grammar import Answer, AnswerReader
from power.grammar.dialects import HERMES, Dialect, Syntax, written
from power.grammar.dialects.literals import LONGEST_ESCAPE, Unescaping, literal
from power.grammar.dialects.writing import write_calls
from power.messages import CallPart, ToolCall

from .test_dialects import CALLS, TOOLS, dialects

CALL = ToolCall(name="find_it", arguments={"text": 'a "b" {', "words": ["x", "y"]}, id="a1b2c3d4e")


def read(dialect: Dialect, pieces: Sequence[str], *, tells: Sequence[str] = ("",)) -> Answer:
    """Everything that the pieces are read as."""
    ids = iter(f"call_{n}" for n in range(100))
    prompt = "<|start|>assistant" if dialect.syntax is Syntax.CHANNEL else ""
    reader = AnswerReader(dialect, TOOLS, prompt=prompt, tells=tells, new_id=lambda: next(ids))
    answers = [*map(reader.feed, pieces), reader.flush()]
    return Answer(
        content="".join(answer.content for answer in answers),
        tool_calls=tuple(call for answer in answers for call in answer.tool_calls),
        parts=tuple(part for answer in answers for part in answer.parts),
        unfinished=next((answer.unfinished for answer in answers if answer.unfinished), None),
    )


def joined(parts: Sequence[CallPart]) -> list[tuple[str, str, str]]:
    """The calls that parts make up: id, name and arguments."""
    calls: list[tuple[str, str, str]] = []
    for part in parts:
        if part.name:
            assert not part.arguments
            calls.append((part.id, part.name, ""))
        else:
            assert part.id == calls[-1][0]
            calls[-1] = (part.id, calls[-1][1], calls[-1][2] + part.arguments)
    return calls


@given(st.data())
def test_the_parts_of_calls_are_the_calls_however_the_text_is_cut(data: st.DataObject) -> None:
    dialect = data.draw(st.sampled_from(dialects()))
    text = write_calls(dialect, data.draw(CALLS)[: None if dialect.parallel else 1])
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))

    whole = read(dialect, [text])

    for pieces in ([text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)], list(text)):
        answer = read(dialect, pieces)
        assert (answer.content, answer.tool_calls) == (whole.content, whole.tool_calls)
        assert joined(answer.parts) == joined(whole.parts)
    told = joined(whole.parts)
    assert told in ([], [(call.id, call.name, call.written) for call in whole.tool_calls])
    assert all(json.loads(call.written) == call.arguments for call in whole.tool_calls if told)


@given(st.data())
def test_a_call_that_is_cut_off_is_told_as_far_as_it_came_and_is_text_besides(data: st.DataObject) -> None:
    dialect = data.draw(st.sampled_from(dialects()))
    text = write_calls(dialect, data.draw(CALLS)[: None if dialect.parallel else 1])
    text = text[: data.draw(st.integers(0, len(text)))]

    whole, by_letters, untold = read(dialect, [text]), read(dialect, text), read(dialect, text, tells=())

    assert (by_letters.content, by_letters.unfinished) == (whole.content, whole.unfinished)
    assert joined(by_letters.parts) == joined(whole.parts)
    ended = [(call.id, call.name, call.written) for call in whole.tool_calls if call.written]
    cut = [(part.id, part.name, part.arguments) for part in whole.unfinished.calls] if whole.unfinished else []
    assert ended + cut == joined(whole.parts)
    assert whole.content.endswith(whole.unfinished.text if whole.unfinished else "")
    assert [call.arguments for call in whole.tool_calls] == [call.arguments for call in untold.tool_calls]
    assert whole.content.split() == untold.content.split()


def test_arguments_come_while_they_are_written() -> None:
    reader = AnswerReader(HERMES, TOOLS, tells=("<tool_call>",))
    text = write_calls(HERMES, [CALL])
    at = text.index("b")

    parts = reader.feed(f"So: {text[:at]}").parts

    assert [part.name for part in parts if part.name] == ["find_it"]
    assert "".join(part.arguments for part in parts) == text[text.index('{"text') : at]
    assert "".join(part.arguments for part in reader.feed(text[at:]).parts).endswith('"words": ["x", "y"]}')


def test_what_no_grammar_holds_is_told_when_it_is_certain() -> None:
    reader = AnswerReader(HERMES, TOOLS)

    assert reader.feed(write_calls(HERMES, [CALL])[:-20]).parts == ()


def test_a_call_that_begins_where_nothing_is_held_is_told_when_it_is_whole() -> None:
    known = written("qwen3-coder")
    assert known is not None
    text = "<function=find_it>\n<parameter=text>\na\n</parameter>\n</function>\n</tool_call>"

    reader = AnswerReader(known.dialect, TOOLS, tells=("<tool_call>",))
    answers = [*map(reader.feed, text), reader.flush()]

    assert not any(answer.parts for answer in answers)
    assert [call.arguments for answer in answers for call in answer.tool_calls] == [{"text": "a"}]


@pytest.mark.parametrize("prompt", ["", "<tool_call>\n"])
def test_nothing_of_the_text_of_a_call_that_is_cut_off_is_lost(prompt: str) -> None:
    text = write_calls(HERMES, [CALL])[:-20].removeprefix(prompt)
    reader = AnswerReader(HERMES, TOOLS, tells=("",), prompt=prompt)

    answers = [reader.feed(f"{'' if prompt else 'So: '}\n {text}"), reader.flush()]

    assert answers[-1].unfinished
    assert "".join(answer.content for answer in answers) == f"{'' if prompt else 'So: '}\n {text}"


@pytest.mark.parametrize("syntax", list(Syntax))
def test_every_syntax_tells_who_is_called_before_all_is_written(syntax: Syntax) -> None:
    for dialect in dialects():
        if dialect.syntax is not syntax or dialect.escaped:
            continue
        text = write_calls(dialect, [CALL])
        parts = read(dialect, [text[: text.index('"b"' if '"b"' in text else '\\"b')]]).parts

        assert [part.name for part in parts if part.name] == ["find_it"], text


@pytest.mark.parametrize("syntax", list(Syntax))
def test_every_syntax_tells_an_argument_before_the_next_is_written(syntax: Syntax) -> None:
    call = ToolCall(name="find_it", arguments={"text": "a, b", "place": {"city": "x"}, "words": ["zz"]}, id="a1b2c3d4e")
    for dialect in dialects():
        if dialect.syntax is not syntax or dialect.escaped:
            continue
        text = write_calls(dialect, [call])
        told = "".join(part.arguments for part in read(dialect, [text[: text.index("zz")]]).parts)

        assert told.startswith('{"text": "a, b", "place": {"city": "x"}'), text


@pytest.mark.parametrize("syntax", list(Syntax))
def test_every_syntax_tells_a_text_while_it_is_written(syntax: Syntax) -> None:
    call = ToolCall(
        name="find_it", arguments={"words": ["x"], "text": '  a "b"\n\\n c, <d> {e} the rest'}, id="a1b2c3d4e"
    )
    for dialect in dialects():
        if dialect.syntax is not syntax or dialect.escaped or dialect.cdata:
            continue
        text = write_calls(dialect, [call])
        told = "".join(part.arguments for part in read(dialect, [text[: text.index("the rest")]]).parts)

        assert json.loads(f'{told.rstrip()}"}}') == {"words": ["x"], "text": '  a "b"\n\\n c, <d> {e}'}, text


@given(st.data())
def test_what_is_told_of_a_string_that_is_not_whole_is_how_it_begins(data: st.DataObject) -> None:
    parts = st.sampled_from(
        ["a", "é", "🙂", r"\n", r"\"", r"\\", r"\d", r"\x41", r"\u00e9", r"\ud83d\ude42", r"\U0001F642", r"\u12"]
    )
    body = "".join(data.draw(st.lists(parts, max_size=12)))
    ends = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=9)))
    whole = literal(f'"{body}"')

    told: list[str] = []
    unescaping = Unescaping(told.append)
    for a, b in zip([0, *ends], [*ends, len(body)], strict=True):
        unescaping.feed(body[a:b])
        assert whole.startswith("".join(told))
    unescaping.feed("." * LONGEST_ESCAPE)

    assert "".join(told).startswith(whole)


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude42"])
def test_of_a_string_with_half_a_character_nothing_more_is_told(half: str) -> None:
    told: list[str] = []

    Unescaping(told.append).feed(f"a{half}b" + "." * LONGEST_ESCAPE)

    assert not any(told)


@pytest.mark.parametrize("syntax", [*Syntax])
def test_long_arguments_are_read_in_a_time_that_grows_with_their_length(syntax: Syntax) -> None:
    dialect = next(each for each in dialects() if each.syntax is syntax and not each.escaped)

    def seconds(n: int) -> float:
        call = ToolCall(name="find_it", arguments={"text": "x, y" * n, "words": ["ab"] * n}, id="a1b2c3d4e")
        text = write_calls(dialect, [call])
        pieces = [text[at : at + 40] for at in range(0, len(text), 40)]
        began = process_time()
        assert len(read(dialect, pieces).tool_calls) == 1
        return process_time() - began

    def least(n: int) -> float:
        """Of three, since one may have to collect the garbage of all tests before it."""
        return min(seconds(n) for _ in range(3))

    assert least(8000) < 16 * max(least(2000), 0.02)
