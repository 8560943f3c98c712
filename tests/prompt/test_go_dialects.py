"""Dialects are found in Go templates too, which loop over calls without a thought of what stands between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from power.grammar import AnswerReader
from power.grammar.dialects import Dialect
from power.grammar.dialects.constrain import calls_grammar
from power.grammar.dialects.free import lazy_grammar
from power.grammar.dialects.writing import write_calls
from power.messages import Message, ToolCall
from power.prompt import find_dialect, gotemplate
from power.prompt.choose import Choice
from tests.grammar.engine import Engine

HEAD = """{{ .System }}{{ range .Tools }}
{{ . }}{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}<|user|>
{{ .Content }}<|end|>
{{- else if eq .Role "tool" }}<|tool|>
{{ .Content }}<|end|>
{{- else if eq .Role "assistant" }}<|assistant|>
"""
TAIL = """{{ if not $last }}<|end|>{{ end }}
{{- end }}
{{- if and (ne .Role "assistant") $last }}<|assistant|>
{{ end }}
{{- end }}"""
CALL = """{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}"""
TEMPLATES = {
    # One pair of tags around all calls, though the model was taught one pair for each.
    "tags": "{{ if .Content }}{{ .Content }}{{ else if .ToolCalls }}<tool_call>\n{{ range .ToolCalls }}"
    + CALL
    + "\n{{ end }}</tool_call>{{ end }}",
    "tag for each": "{{ .Content }}{{ range .ToolCalls }}<tool_call>\n" + CALL + "\n</tool_call>\n{{ end }}",
    # No marks at all.
    "bare": "{{ if .ToolCalls }}{{ range .ToolCalls }}\n" + CALL.replace("arguments", "parameters") + "{{ end }}"
    "{{ else }}{{ .Content }}{{ end }}",
    # A list without commas, since its range has no index.
    "list": "{{ if .Content }} {{ .Content }}{{ else if .ToolCalls }}[TOOL_CALLS] [{{ range .ToolCalls }}"
    + CALL
    + "{{ end }}]{{ end }}",
    "list in lines": "{{ if .Content }}{{ .Content }}{{ else if .ToolCalls }}Action: ```json\n[{{ range .ToolCalls }}\n"
    '    {\n        "tool_name": "{{ .Function.Name }}",\n        "parameters": {{ .Function.Arguments }}\n    }'
    "{{ end }}\n]```{{ end }}",
    "list with commas": "{{ .Content }}{{ if .ToolCalls }} functools[{{ range $n, $call := .ToolCalls }}"
    "{{ if $n }}, {{ end }}" + CALL + "{{ end }}]{{ end }}",
    "name outside": "{{ .Content }}{{ range .ToolCalls }}<|call|>{{ .Function.Name }}<|sep|>{{ .Function.Arguments }}"
    "<|done|>{{ end }}",
    "channels": "{{ range .ToolCalls }}<|start|>assistant to=functions.{{ .Function.Name }}<|channel|>commentary json"
    "<|message|>{{ .Function.Arguments }}<|call|>{{ end }}{{ .Content }}",
}
NAMES = ("find_it", "sub.do-it")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "d",
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}},
        },
    }
    for name in NAMES
]
CALLS = (
    ToolCall(name="find_it", arguments={"text": 'a "b"'}, id="call_a1b2"),
    ToolCall(name="sub.do-it", arguments={"n": 3}, id="call_c3d4"),
)
EXPECTED = [(call.name, call.arguments) for call in CALLS]


def dialect_of(name: str) -> Dialect:
    found = find_dialect(Choice("go", HEAD + TEMPLATES[name] + TAIL))
    assert found is not None
    return found


def read(dialect: Dialect, text: str) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    reader = AnswerReader(dialect, TOOLS, prompt="<|start|>assistant")
    answers = [*map(reader.feed, text), reader.flush()]
    calls = [(call.name, call.arguments) for answer in answers for call in answer.tool_calls]
    return "".join(answer.content for answer in answers), calls


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.mark.parametrize("name", TEMPLATES)
def test_calls_that_a_go_template_writes_are_read_back(name: str) -> None:
    dialect = dialect_of(name)
    calls = CALLS if dialect.parallel else CALLS[:1]
    asked, answered = Message(role="user", content="Find it."), Message(role="assistant", tool_calls=calls)
    prompt = gotemplate.render_messages(HEAD + TEMPLATES[name] + TAIL, [asked], TOOLS)

    written = gotemplate.render_messages(HEAD + TEMPLATES[name] + TAIL, [asked, answered], TOOLS)

    assert written.startswith(prompt)
    assert read(dialect, written[len(prompt) :]) == ("", EXPECTED[: len(calls)])


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_found_writes_calls_that_it_reads_and_lets_through(name: str, engine: Engine) -> None:
    dialect = dialect_of(name)
    calls = CALLS if dialect.parallel else CALLS[:1]
    text = write_calls(dialect, calls)
    grammar = calls_grammar(dialect, TOOLS, parallel=True, must=True)

    assert read(dialect, text) == ("", EXPECTED[: len(calls)])
    assert engine.accepts(grammar, text)
    assert not engine.accepts(grammar, text.replace("find_it", "lose_it"))


@pytest.mark.parametrize("name", ["tags", "tag for each"])
def test_a_model_may_put_tags_around_each_call_where_its_template_has_one_pair(name: str, engine: Engine) -> None:
    dialect = dialect_of(name)
    one = '<tool_call>\n{"name": "find_it", "arguments": {"text": "a \\"b\\""}}\n</tool_call>'
    other = '<tool_call>\n{"name": "sub.do-it", "arguments": {"n": 3}}\n</tool_call>'

    assert read(dialect, f"{one}\n{other}") == ("", EXPECTED)
    assert engine.accepts(calls_grammar(dialect, TOOLS, parallel=True, must=True), f"{one}\n{other}")
    assert engine.accepts(lazy_grammar(dialect, TOOLS, parallel=True).grammar, f"Well: {one}\n{other}")
    assert not engine.accepts(calls_grammar(dialect, TOOLS, parallel=False, must=True), f"{one}\n{other}")


@pytest.mark.parametrize("name", ["list", "list in lines"])
def test_a_list_has_commas_even_if_its_template_has_none(name: str) -> None:
    text = write_calls(dialect_of(name), CALLS)

    assert "},{" in "".join(text.split())


def test_a_go_template_without_calls_has_no_dialect() -> None:
    assert find_dialect(Choice("go", HEAD + "{{ .Content }}" + TAIL)) is None
    assert find_dialect(Choice("go", "{{ .System }} {{ .Prompt }}")) is None
