"""Conversations through Go templates, as Ollama puts them."""

import pytest

from power.messages import Message, Tool, ToolCall
from power.prompt import render_chat
from power.prompt.gotemplate import GoTemplateError, capabilities, parse, render_insert, render_messages, thinking_tags
from tests.prompt.models import model
from tests.scoring import render_go

QWEN = """{{- if .Messages }}
{{- if or .System .Tools }}<|im_start|>system
{{ .System }}
{{- if .Tools }}

# Tools
{{- range .Tools }}
{"type": "function", "function": {{ .Function }}}
{{- end }}
{{- end }}<|im_end|>
{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
{{- if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
{{ if (and $.IsThinkSet (and .Thinking $last)) -}}
<think>{{ .Thinking }}</think>
{{ end -}}
{{ if .Content }}{{ .Content }}
{{- else if .ToolCalls }}<tool_call>
{{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
{{ end }}</tool_call>
{{- end }}{{ if not $last }}<|im_end|>
{{ end }}
{{- else if eq .Role "tool" }}<|im_start|>user
<tool_response>
{{ .Content }}
</tool_response><|im_end|>
{{ end }}
{{- if and (ne .Role "assistant") $last }}<|im_start|>assistant
{{ end }}
{{- end }}
{{- end }}"""
TOOL: Tool = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {
            "type": "object",
            "properties": {
                "b": {"type": ["string", "null"], "description": "<b>"},
                "a": {"type": "integer", "minimum": 1},
                "c": {"anyOf": [{"type": "boolean"}, {"type": "array"}]},
            },
            "required": ["a"],
        },
    },
}


def say(role: str, content: str) -> Message:
    return Message(role=role, content=content)


def test_a_whole_conversation_with_tools() -> None:
    call = ToolCall(name="f", arguments={"b": "<x>", "a": 1000000})
    conversation = [say("system", "Be brief."), say("user", "hi"), Message(role="assistant", tool_calls=(call,))]

    prompt = render_messages(QWEN, [*conversation, say("tool", "21")], [TOOL])

    assert prompt == (
        '<|im_start|>system\nBe brief.\n\n# Tools\n{"type": "function", "function": {"name":"f","description":"",'
        '"parameters":{"type":"object","required":["a"],"properties":{"a":{"type":"integer"},"b":{"type":["string",'
        '"null"],"description":"\\u003cb\\u003e"},"c":{"anyOf":[{"type":"boolean"},{"type":"array"}]}}}}}<|im_end|>\n'
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
        '{"name": "f", "arguments": {"a":1000000,"b":"\\u003cx\\u003e"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\n21\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_an_answer_that_was_begun_is_continued() -> None:
    begun = Message(role="assistant", content="Well, ", thinking="hm")

    prompt = render_messages(QWEN, [say("user", "hi"), begun], think=True)

    assert prompt.endswith("<|im_start|>assistant\n<think>hm</think>\nWell, ")
    assert "hm" not in render_messages(QWEN, [say("user", "hi"), begun])


def test_neighbours_of_one_role_are_one_message_but_for_tools() -> None:
    template = "{{ .System }}|{{ range .Messages }}[{{ .Role }} {{ .Content }}]{{ end }}"
    conversation = [say("user", "a"), say("user", "b"), say("tool", "1"), say("tool", "2"), say("system", "s")]

    prompt = render_messages(template, [say("system", "r"), *conversation])

    assert prompt == "r\n\ns|[system r][user a\n\nb][tool 1][tool 2][system s]"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ .System }} [{{ .Prompt }}] {{ .Response }}</s>", "s [a] b</s> [c] "),
        ("{{ .System }} [{{ .Prompt }}] ", "s [a] b [c] "),  # the response's place is added
        ("{{ .Prompt }}{{ if .Response }}<{{ .Response }}>{{ end }}!", "a<b>!c"),
        ("{{ .Prompt }}:{{ with .Response }}{{ . }}{{ end }}{{ $.Response }}{{ .Response }}x{{ else }}", None),
    ],
)
def test_an_old_template_writes_one_exchange_after_the_other(template: str, expected: str | None) -> None:
    conversation = [say("system", "s"), say("user", "a"), say("assistant", "b"), say("user", "c")]

    if expected is None:
        with pytest.raises(GoTemplateError):
            render_messages(template, conversation)
    else:
        assert render_messages(template, conversation) == expected


def test_an_old_template_starts_anew_at_a_system_message_and_continues_a_response() -> None:
    template = "<{{ .System }}|{{ .Prompt }}|{{ .Response }}>{{ if .Prompt }}.{{ end }}"
    conversation = [say("user", "a"), say("system", "s"), say("user", "b"), say("assistant", "c")]

    assert render_messages(template, conversation) == "<|a|>.<s|b|c"


def test_a_prompt_and_a_suffix_are_written_once() -> None:
    template = "{{ if .Suffix }}<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>{{ else }}{{ .Prompt }}{{ end }}"

    assert render_insert(template, "a", "b") == "<PRE>a<SUF>b<MID>"
    assert capabilities(template) == ("insert",)


def test_thinking_is_told_to_the_template() -> None:
    template = "{{ range .Messages }}{{ end }}{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }}"

    rendered = [render_messages(template, [say("user", "a")], think=think) for think in (None, False, True, "high")]

    assert rendered == ["false  false", "false  true", "true medium true", "true high true"]


@pytest.mark.parametrize(
    ("template", "tags"),
    [
        (QWEN, ("<think>", "</think>")),
        ("{{ range .Messages }}{{ if .Thinking }}[T] {{ .Thinking }} [/T]{{ end }}{{ end }}", ("[T]", "[/T]")),
        ("{{ range .Messages }}{{ .Thinking }}{{ end }}", None),
        ("{{ range $.Messages }}{{ if 1 }}[T]{{ .Thinking }}[/T]{{ end }}{{ end }}", None),
        ("{{ range .Messages }}{{ range .ToolCalls }}a{{ .Thinking }}b{{ end }}{{ end }}", None),
        ("a{{ .Thinking }}b{{ .Messages }}", None),
        ("{{ .Prompt }}", None),
    ],
)
def test_the_tags_of_thinking_are_what_stands_around_it(template: str, tags: tuple[str, str] | None) -> None:
    assert thinking_tags(template) == tags


def test_capabilities_follow_from_what_is_used() -> None:
    assert capabilities(QWEN) == ("tools", "thinking")
    assert capabilities("{{ .Prompt }}") == ()


def test_variables_are_found_everywhere() -> None:
    text = '{{ define "t" }}{{ $.Deep.Inner }}{{ end }}{{ if and .A (eq $x.B 1) }}{{ range .C }}{{ end }}{{ end }}'

    assert parse("{{ $x := 1 }}" + text).variables == {"$x", "$", "deep", "inner", "a", "b", "c"}


def test_what_ollama_adds_for_tools() -> None:
    template = (
        "{{ .Messages }}{{ range .Tools }}{{ .Type }} {{ range $name, $p := .Function.Parameters.Properties }}"
        "{{ $name }}: {{ $p | toTypeScriptType }} {{ $p.ToTypeScriptType }} {{ $p.Type }};{{ end }}{{ . }}{{ end }}"
    )

    prompt = render_messages(template, [], [TOOL])

    assert prompt.startswith("[]function a: number number integer;b: string | null string | null [string null];c: boo")
    assert prompt.endswith('"c":{"anyOf":[{"type":"boolean"},{"type":"array"}]}}}}}')
    assert render_messages("{{ .Messages }}{{ .Tools }}{{ json .Tools }}", []) == "[][][]"


def test_cases_can_be_put_from_outside() -> None:
    message = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1.5, None]}}}]}
    template = "{{ range .Messages }}{{ range .ToolCalls }}{{ json .Function }}{{ end }}{{ end }}"

    assert render_go(template, [message]) == '{"index":0,"name":"f","arguments":{"a":[1.5,null]}}'


def test_thinking_left_in_a_past_answer_s_text_is_put_where_it_belongs() -> None:
    template = (
        '{{ $last := -1 }}{{ range $i, $m := .Messages }}{{ if eq .Role "user" }}{{ $last = $i }}{{ end }}{{ end }}'
        "{{ range $i, $m := .Messages }}[{{ .Role }}]"
        "{{ if and .Thinking (gt $i $last) }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ end }}"
    )
    past = Message(role="assistant", content="<think>\nhm\n</think>\n\nHi")

    thinks = model(None, go=template)
    assert render_chat(thinks, [say("user", "a"), past, say("user", "b")]) == "[user]a[assistant]Hi[user]b"
    assert render_chat(thinks, [say("user", "a"), past]) == "[user]a[assistant]<think>hm</think>Hi"
