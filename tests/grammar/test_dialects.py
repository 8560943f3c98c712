"""Every dialect reads what is written in it, however it is cut, and its grammar lets that through."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.grammar import AnswerReader, parse_gbnf
from power.grammar.dialects import HERMES, Dialect, Syntax, constrain_calls, written
from power.grammar.dialects.constrain import calls_grammar
from power.grammar.dialects.free import lazy_grammar
from power.grammar.dialects.marks import overlap
from power.grammar.dialects.writing import write_calls
from power.messages import Message, ToolCall, ToolChoice
from power.prompt import find_dialect
from power.prompt.choose import Choice
from power.prompt.render import render_jinja
from tests.support import sdist
from tools.template_table import TEMPLATES, known_calls, tools

from .engine import Engine

PROPERTIES: dict[str, Any] = {
    "text": {"type": "string"},
    "count": {"type": "integer"},
    "ratio": {"type": "number"},
    "exact": {"type": "boolean"},
    "words": {"type": "array", "items": {"type": "string"}},
    "place": {"type": "object", "properties": {"city": {"type": "string"}, "size": {"type": "integer"}}},
}
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": PROPERTIES, "required": ["text"]}},
    }
    for name in ("find_it", "sub.do-it")
]


@cache
def dialects() -> tuple[Dialect, ...]:
    """Those of llama.cpp's test templates, each once."""
    files = sorted((sdist() / "vendor/llama.cpp/models/templates").glob("*.jinja"))
    found = (find_dialect(Choice("jinja", file.read_text(encoding="utf-8"))) for file in files)
    return tuple(dict.fromkeys(dialect for dialect in found if dialect is not None))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


# What no syntax can tell from its own marks is left out: marks between tags, line ends at their ends.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="<>[]|")).map(str.strip)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "count": st.integers(-(10**9), 10**9),
    "ratio": st.integers(-1000, 1000).map(lambda n: n / 8 + 1 / 16),
    "exact": st.booleans(),
    "words": st.lists(TEXTS, min_size=1, max_size=3),
    "place": st.fixed_dictionaries({"city": TEXTS, "size": st.integers(0, 99)}),
}
ARGUMENTS = st.fixed_dictionaries(
    {"text": VALUES["text"]}, optional={key: value for key, value in VALUES.items() if key != "text"}
)
CALLS = st.lists(
    st.builds(ToolCall, name=st.sampled_from(["find_it", "sub.do-it"]), arguments=ARGUMENTS, id=st.just("a1b2c3d4e")),
    min_size=1,
    max_size=2,
)


def read(dialect: Dialect, pieces: list[str]) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    reader = AnswerReader(dialect, TOOLS, prompt="<|start|>assistant" if dialect.syntax is Syntax.CHANNEL else "")
    answers = [*map(reader.feed, pieces), reader.flush()]
    calls = [(call.name, call.arguments) for answer in answers for call in answer.tool_calls]
    return "".join(answer.content for answer in answers), calls


@given(st.data())
def test_what_is_written_is_read_back_however_it_is_cut(data: st.DataObject) -> None:
    dialect = data.draw(st.sampled_from(dialects()))
    calls = data.draw(CALLS)[: None if dialect.parallel else 1]
    said = "" if dialect.syntax is Syntax.CHANNEL or not dialect.opening else data.draw(st.sampled_from(["", "Well."]))
    text = said + write_calls(dialect, calls)
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))

    expected = said, [(call.name, call.arguments) for call in calls]
    assert read(dialect, [text]) == expected, text
    assert read(dialect, [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]) == expected
    assert read(dialect, list(text)) == expected


@given(st.data())
def test_what_is_no_call_is_content_however_it_is_cut(data: st.DataObject) -> None:
    dialect = data.draw(st.sampled_from(dialects()))
    marks = [*dialect.marks, *dialect.opening.split(), dialect.name_end, dialect.key_open, dialect.value_close]
    pieces = st.sampled_from([*filter(None, marks), "{", "}", '"', "(", ")", ",", "find_it", "text", " ", "\n", "1"])
    text = "".join(data.draw(st.lists(pieces, max_size=12)))
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))

    whole = read(dialect, [text])

    assert whole == read(dialect, list(text))
    assert whole == read(dialect, [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)])
    marked = (*dialect.content_open, *dialect.content_close)
    if not whole[1] and dialect.syntax is not Syntax.CHANNEL and not any(mark in text for mark in marked):
        assert whole[0] == text


def test_a_grammar_of_calls_lets_through_what_is_written(engine: Engine) -> None:
    first = {"text": 'a "b"\n{é}', "count": -3, "ratio": 0.5, "exact": True, "words": ["x", "y z"]}
    pair = (
        ToolCall(name="find_it", arguments={**first, "place": {"city": "Rome", "size": 2}}, id="a1b2c3d4e"),
        ToolCall(name="sub.do-it", arguments={"text": "true", "exact": False}, id="a1b2c3d4f"),
    )
    for dialect in dialects():
        calls = pair if dialect.parallel else pair[:1]
        text = write_calls(dialect, calls)
        demanded = calls_grammar(dialect, TOOLS, parallel=True, must=True)
        lazy = lazy_grammar(dialect, TOOLS, parallel=True).grammar

        assert parse_gbnf(demanded)
        assert parse_gbnf(lazy)
        assert engine.accepts(demanded, text), text
        assert not engine.accepts(demanded, f"Well. {text}")
        assert not engine.accepts(demanded, text.replace("find_it", "lose_it"))
        assert engine.accepts(lazy, f"Well. {text}")
        assert engine.accepts(lazy, text)
        assert engine.accepts(lazy, "Nothing <to> [call] {here}")
        assert not engine.accepts(lazy, text.replace("exact", "exotic"))
        if marked(dialect):
            assert not engine.accepts(lazy, text.replace("find_it", "lose_it"))
        if len(calls) == 2:
            assert not engine.accepts(calls_grammar(dialect, TOOLS, parallel=False, must=True), text)


def test_calls_are_held_behind_the_prompts_that_templates_write(engine: Engine) -> None:
    for file in sorted((sdist() / TEMPLATES).glob("*.jinja")):
        text = file.read_text(encoding="utf-8")
        dialect = find_dialect(Choice("jinja", text))
        if dialect is None:
            continue
        prompt = render_jinja(text, (Message(role="user", content="Quid?"),), tools())
        held = constrain_calls(dialect, tools(), ToolChoice(), prompt=prompt).grammar
        answer = write_calls(dialect, known_calls(2 if dialect.parallel else 1))
        answer = answer.removeprefix(overlap(prompt, dialect.opening))

        assert engine.accepts(held, answer), file.stem
        assert not engine.accepts(held, answer.replace("exact", "exotic")), file.stem
        assert engine.accepts(held, "Nothing <to> [call] {here}"), file.stem


def marked(dialect: Dialect) -> bool:
    return bool(dialect.opening) or dialect.syntax is Syntax.CHANNEL


BARE = Dialect(syntax=Syntax.OBJECT, arguments_key="parameters", keys=("name", "parameters"), parallel=False)
WRAPPED = Dialect(syntax=Syntax.OBJECT, wrapper_key="function", fields=(("type", '"function"'),), section_open="[")


@pytest.mark.parametrize(
    ("dialect", "call"),
    [
        (BARE, '{"name": "get_a", "parameters": {"x": 1}}'),
        (BARE, '{"name":"get_ab","parameters":{}}'),
        (WRAPPED, '[{"type": "function", "function": {"name": "get_a", "arguments": {"x": 1}}}'),
    ],
)
def test_an_answer_without_a_mark_is_held_to_a_call_once_it_names_a_tool(
    engine: Engine, dialect: Dialect, call: str
) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    tools = [{"name": "get_a", "parameters": schema}, {"name": "get_ab", "parameters": {"type": "object"}}]
    lazy = lazy_grammar(dialect, tools, parallel=True).grammar

    assert engine.accepts(lazy, call)
    assert engine.accepts(lazy, f"\n{call}")
    assert not engine.accepts(lazy, call[:-1])
    assert not engine.accepts(lazy, f"{call} and more")
    assert not engine.accepts(lazy, call.replace("meters", "mitres").replace("ments", "mints"))
    for text in ("", "{", '{"name": "get_b"}', '{"name": "get_', '{"name": 1}', "[1, 2]", "Hello {}", f"So: {call}"):
        assert engine.accepts(lazy, text), text


@pytest.mark.parametrize(
    ("header", "begun"),
    [
        (" to=functions.get_a<|channel|>commentary json<|message|>", "<|start|>assistant"),
        ("<|channel|>commentary to=functions.get_a <|constrain|>json<|message|>", "<|start|>assistant"),
        ("<|channel|>commentary to=functions.get_a<|message|>", "<|start|>assistant"),
        (
            "<|channel|>analysis<|message|>I call.<|end|><|start|>assistant<|channel|>commentary"
            " to=functions.get_a <|constrain|>json<|message|>",
            "<|start|>assistant",
        ),
        (
            " so I call<|end|><|start|>assistant to=functions.get_a<|channel|>commentary<|message|>",
            "<|start|>assistant<|channel|>analysis<|message|>",
        ),
    ],
)
def test_a_message_is_held_to_the_tool_that_its_header_names(engine: Engine, header: str, begun: str) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    tools = [{"name": "get_a", "parameters": schema}]
    lazy = lazy_grammar(Dialect(syntax=Syntax.CHANNEL), tools, parallel=False, prompt=begun).grammar

    assert engine.accepts(lazy, f'{header}{{"x": 1}}')
    assert engine.accepts(lazy, f'{header}{{"x": 1}}<|call|>')
    assert not engine.accepts(lazy, f'{header}{{"x": "1"}}')
    assert not engine.accepts(lazy, f"{header.replace('get_a', 'get_b')}{{}}")
    said = "hm<|end|><|start|>assistant<|channel|>final<|message|>Write to=functions.get_b."
    assert engine.accepts(lazy, said if "analysis" in begun else f"<|channel|>analysis<|message|>{said}")


@pytest.mark.parametrize("syntax", [Syntax.ARGUMENTS, Syntax.PYTHON])
def test_what_the_prompt_has_begun_is_a_call_if_it_names_a_tool(engine: Engine, syntax: Syntax) -> None:
    dialect = Dialect(syntax=syntax, call_open=">>>", name_end="\n")
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    tools = [{"name": "get", "parameters": schema}, {"name": "get_all", "parameters": {"type": "object"}}]
    lazy = lazy_grammar(dialect, tools, parallel=True, prompt="<user>Hi<assistant>>>>").grammar
    is_python = syntax is Syntax.PYTHON
    call, wrong, other = (
        ("get(x=1)", 'get(x="1")', "get_all()") if is_python else ('get\n{"x": 1}', "get\n[]", "get_all\n{}")
    )

    for text in (call, other, f"{call}>>>{other}", "", "all\nHello", "ge", "gets\n", "all\n>> >", f"all\nSo:>>>{call}"):
        assert engine.accepts(lazy, text), text
    for text in (
        wrong,
        f"{call}, well",
        call[:-1],
        f"all\nSo:>>>{wrong}",
        ">>>nobody",
        f"{call}>>>{wrong}",
        "ge>>>none",
    ):
        assert not engine.accepts(lazy, text), text


@pytest.mark.parametrize(
    ("begun", "before"),
    [
        ("<|start|>assistant", ""),
        ("<|start|>assistant", "<|channel|>analysis<|message|>Free {text}.<|end|><|start|>assistant"),
        ("<|start|>assistant<|channel|>analysis<|message|>", "Free.<|end|><|start|>assistant"),
        ("<|start|>assistant<|channel|>analysis", "<|message|>Free.<|end|><|start|>assistant"),
    ],
)
def test_on_channels_an_answer_keeps_to_its_format_and_a_call_to_its_tool(
    engine: Engine, begun: str, before: str
) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    answer = "root ::= item+ # of many\nitem ::= \n  [0-9]\n"
    lazy = lazy_grammar(
        Dialect(syntax=Syntax.CHANNEL),
        [{"name": "f", "parameters": schema}],
        parallel=False,
        prompt=begun,
        answer=answer,
    ).grammar
    final, to = "<|channel|>final<|message|>", "<|channel|>commentary to=functions.f<|message|>"

    assert engine.accepts(lazy, f"{before}{final}123")
    assert engine.accepts(lazy, f'{before}{to}{{"x": 1}}')
    for text in (f"{final}one", f"{final}1<|end|>", f"{to}1", "<|channel|>analysisx<|message|>one", "no header at all"):
        assert not engine.accepts(lazy, f"{before}{text}"), text


def test_a_call_whose_first_mark_is_forgotten_is_held_too(engine: Engine) -> None:
    known = written("qwen3-coder")
    assert known is not None
    assert known.dialect is not None
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    lazy = lazy_grammar(known.dialect, [{"name": "f", "parameters": schema}], parallel=True)
    call = "<function=f>\n<parameter=n>\n1\n</parameter>\n</function>\n</tool_call>"

    assert lazy.behind == ("<tool_call>", "<function=")
    for text in (call, f"<tool_call>\n{call}"):
        assert engine.accepts(lazy.grammar, f"So: {text}")
        assert not engine.accepts(lazy.grammar, f"So: {text.replace('1', 'one')}")


def test_an_answer_that_calls_nothing_is_free_with_all_that_templates_put_around_it(engine: Engine) -> None:
    for dialect in dialects():
        lazy = lazy_grammar(dialect, TOOLS, parallel=True).grammar
        # `>>>` opens everything, words and calls; the prompt ends with it.
        answer = (
            "".join(dialect.content_open).removeprefix(">>>")
            + 'Action: <b>all</b> {"is": [well]}.\n'
            + "".join(dialect.content_close)
        )

        assert engine.accepts(lazy, answer), answer


BOUND: dict[str, Any] = {
    "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
    "day": {"type": "string", "format": "date"},
    "name": {"type": "string", "minLength": 2, "maxLength": 6},
    "note": {"type": "string", "maxLength": 200},
    "has": {"type": "string", "pattern": "b<"},
    "unit": {"enum": ["c", "f"]},
    "level": {"type": "integer", "minimum": 3, "maximum": 12},
    "ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1, "maxItems": 2},
}
GOOD: dict[str, list[Any]] = {
    "code": ["AB-1", "ZZ-123"],
    "day": ["2024-02-29"],
    "name": ["ab", "abcdef", "a b é"],
    "note": ["", "so " * 60],
    "has": ["ab< c", "b<", "b<b<"],
    "unit": ["c", "f"],
    "level": [3, 10, 12],
    "ratio": [0.5, 1],
    "tags": [["ab"], ["ab", "abc"]],
}
BAD: dict[str, list[Any]] = {
    "code": ["", "AB-", "ab-1", "AB-1 "],
    "day": ["2023-02-29", "today"],
    "name": ["a", "abcdefg"],
    "note": ["so " * 67],
    "has": ["", "b", "<b"],
    "unit": ["k", ""],
    "level": [2, 13, 100],
    "ratio": [0, 1.5, -1],
    "tags": [[], ["ab", "ab", "ab"], ["a"]],
}


@pytest.mark.parametrize("key", BOUND)
def test_what_a_schema_says_of_texts_and_numbers_holds_in_every_syntax(engine: Engine, key: str) -> None:
    tags = {"tag": {"type": "string", "minLength": 2}}
    schema = {"type": "object", "properties": {key: BOUND[key]}, "required": [key], "$defs": tags}
    for dialect in dialects():
        if dialect.escaped:  # the arguments are any string then
            continue
        grammar = calls_grammar(dialect, [{"name": "find_it", "parameters": schema}], parallel=False, must=True)

        def call(value: Any, dialect: Dialect = dialect) -> str:
            return write_calls(dialect, [ToolCall(name="find_it", arguments={key: value}, id="a1b2c3d4e")])

        for value in GOOD[key]:
            assert engine.accepts(grammar, call(value)), call(value)
        for value in BAD[key]:
            assert not engine.accepts(grammar, call(value)), call(value)


def test_a_text_that_may_be_null_is_the_one_or_the_other_between_tags(engine: Engine) -> None:
    known = written("glm-4.6")
    assert known is not None
    assert known.dialect is not None
    schema = {"type": "object", "properties": {"code": {"type": ["string", "null"], "pattern": "^[A-Z]+$"}}}
    grammar = calls_grammar(known.dialect, [{"name": "f", "parameters": schema}], parallel=False, must=True)

    accepted = {
        value: engine.accepts(grammar, write_calls(known.dialect, [ToolCall(name="f", arguments={"code": value})]))
        for value in ("AB", None, "ab", "")
    }

    assert accepted == {"AB": True, None: True, "ab": False, "": False}


def test_what_tools_have_in_common_is_in_their_grammar_once(engine: Engine) -> None:
    properties: dict[str, Any] = {"text": {"type": "string"}, "next": {"$ref": "#/$defs/node"}}
    defined = {"node": {"type": "object", "properties": properties}}
    day = {"type": "string", "format": "date"}

    def tool(i: int) -> dict[str, Any]:
        fields = {f"p{i}": {"$ref": "#/$defs/node"}, "day": day}
        return {"name": f"tool_{i}", "parameters": {"type": "object", "properties": fields, "$defs": defined}}

    def call(i: int, key: int, end: str = "29") -> str:
        arguments = {f"p{key}": {"text": "a", "next": {"text": "b"}}, "day": f"2024-02-{end}"}
        return write_calls(HERMES, [ToolCall(name=f"tool_{i}", arguments=arguments, id="a1b2c3d4e")])

    few, many = (calls_grammar(HERMES, [*map(tool, range(n))], parallel=False, must=True) for n in (1, 20))

    assert many.count("-02-29") == few.count("-02-29") > 0
    for i in (0, 19):
        assert engine.accepts(many, call(i, i))
    assert not engine.accepts(many, call(1, 2))
    assert not engine.accepts(many, call(1, 1, end="30"))


def test_every_dialect_reads_two_calls_as_it_writes_them() -> None:
    calls = [ToolCall(name="find_it", arguments={"text": text}, id="a1b2c3d4e") for text in ("ab", "")]
    for dialect in dialects():
        if dialect.parallel:
            assert read(dialect, list(write_calls(dialect, calls))) == ("", [(c.name, c.arguments) for c in calls])
