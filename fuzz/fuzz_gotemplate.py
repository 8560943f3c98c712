# Invariant: any Go template renders or is refused with BadRequest and a place, within a second of CPU and 64 MB.
"""Composes templates of actions, right and wrong, and mutates them."""

import random
import resource
import time

import mutate

from power.errors import BadRequest
from power.messages import Message, ToolCall
from power.prompt import gotemplate

MAX_SECONDS = 1.0  # of CPU time
MAX_BYTES = 64 * 2**20

PIECES = [
    *("{{ ", "{{- ", " }}", " -}}", "{{", "}}", " ", "\n", "text", "-", "/*", "*/", "(", ")", "|", ":=", "=", ",", "."),
    *(
        "if ",
        "else",
        "else if ",
        "end",
        "range ",
        "with ",
        "define ",
        "template ",
        "block ",
        "break",
        "continue",
        "nil",
    ),
    *("{{ end }}", "{{ else }}", "{{ if .System }}", "{{ range .Messages }}", "{{ range $i, $m := .Messages }}"),
    *("{{ range 999999999 }}", "{{ $x = print $x $x }}", "{{ $x = printf `%s%s` $x $x }}", "{{ $x }}", "{{ json . }}"),
    *('{{ define "t" }}', '{{ template "t" . }}', '{{ block "b" . }}', "{{ .Content }}", "{{ .Response }}", "{{ . }}"),
    *("$x", "$", ".Messages", ".Role", ".ToolCalls", ".Tools", '"a\\n"', "`raw`", "'c'", "1", "-2.5", "1e999", "0x1f"),
    *("and ", "or ", "not ", "eq ", "lt ", "len ", "index ", "slice ", "print ", 'printf "%999999d" ', "html ", "js "),
    *(
        "{{ slice $x 1 }}",
        "{{ index .Messages 0 }}",
        "{{ (index .Messages 0).Role }}",
        "currentDate",
        "toTypeScriptType ",
    ),
]
CALL = ToolCall(name="f", arguments={"a": [1, {"b": "<>"}]})
MESSAGES = [
    Message(role="system", content="s"),
    Message(role="user", content="hello"),
    Message(role="assistant", thinking="hm", tool_calls=(CALL,)),
    Message(role="tool", content="result", tool_name="f"),
]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "array"}}}}}]


def check(rng: random.Random) -> None:
    text = '{{ $x := "ab" }}' + mutate.compose(PIECES, rng)
    if rng.random() < 0.3:
        text += "{{ end }}" * rng.randrange(4)
    has_place, message = True, ""
    before, memory = time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        assert isinstance(gotemplate.render_messages(text, MESSAGES, TOOLS, True), str)
        gotemplate.capabilities(text)
    except BadRequest as error:
        has_place = not isinstance(error, gotemplate.GoTemplateError) or (error.line > 0 and error.column > 0)
        message = error.message
    assert has_place, (text, message)
    assert time.thread_time() - before < MAX_SECONDS, text
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024 < MAX_BYTES, text


if __name__ == "__main__":
    mutate.run(check)
