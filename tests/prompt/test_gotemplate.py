"""Go templates run as Go runs them."""

from datetime import datetime
from typing import Any

import pytest

from power.errors import BadRequest
from power.prompt.gotemplate import GoTemplateError, execute, parse
from power.prompt.gotemplate.data import go_values
from power.prompt.gotemplate.values import go_float, go_json
from tests.prompt.go_cases import DATA, ERRORS, OUTPUTS


def run(text: str, data: Any = None) -> str:
    return execute(parse(text), go_values(DATA if data is None else data))


@pytest.mark.parametrize(("text", "expected"), OUTPUTS)
def test_it_writes_what_go_writes(text: str, expected: str) -> None:
    assert run(text) == expected


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_it_fails_in_gos_words(text: str, message: str) -> None:
    with pytest.raises(GoTemplateError) as caught:
        run(text)

    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a\nb {{ foo }}", 2, 6), ("{{ if .s }}\n\n{{ .s", 3, 1), ("\n{{ end }}", 2, 4), ("a\n {{ .m.c.d.e }}", 2, 5)],
)
def test_a_failure_names_line_and_column(text: str, line: int, column: int) -> None:
    with pytest.raises(GoTemplateError) as caught:
        run(text)

    assert (caught.value.line, caught.value.column) == (line, column)
    assert f":{line}:" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "{{ if .s }}", "{{ range .l }}{{ else }}", "{{ with .s }}{{ end }}{{ end }}", "{{ else }}", "{{ template . }}",
        '{{ block "b" }}{{ end }}', "{{ .s | 1 }}", "{{ $x.y }}", "{{ if true }}{{ define `x` }}{{ end }}{{ end }}",
        '{{ "\\z" }}', "{{ 1_000_000_000_000_000_000_000 }}", "{{ '' }}", "{{ 'ab' }}", "{{ @ }}", "{{ $a, $b := .l }}",
    ],
)  # fmt: skip
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(GoTemplateError):
        parse(text)


def test_a_template_called_without_a_pipeline_is_refused_as_ollama_does() -> None:
    with pytest.raises(GoTemplateError, match="undefined template specified"):
        parse('{{ template "x" }}{{ define "x" }}y{{ end }}')


def test_dates() -> None:
    today = datetime.now().astimezone().strftime("%Y-%m-%d")

    assert run("{{ currentDate }}{{ currentDate 1 2 }}") == today * 2
    assert run("{{ yesterdayDate }}") < today


@pytest.mark.parametrize(
    ("number", "plain", "json"),
    [
        (0.0, "0", "0"), (-0.5, "-0.5", "-0.5"), (100000.0, "100000", "100000"), (1e6, "1e+06", "1000000"),
        (1.5e300, "1.5e+300", "1.5e+300"), (1e-7, "1e-07", "1e-7"), (1e20, "1e+20", "100000000000000000000"),
        (1e21, "1e+21", "1e+21"), (0.000001, "1e-06", "0.000001"), (123456.75, "123456.75", "123456.75"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_go_does(number: float, plain: str, json: str) -> None:
    assert (go_float(number), go_json(number)) == (plain, json)


@pytest.mark.parametrize(
    "text",
    [
        "{{ range 1000000000 }}{{ end }}",
        '{{ $x := "x" }}{{ range 99 }}{{ $x = print $x $x }}{{ end }}',
        '{{ printf "%999999d" 1 }}' * 2000,
        '{{ define "x" }}{{ template "x" . }}{{ template "x" . }}{{ end }}{{ template "x" . }}',
        "{{ range 1000 }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ if 1 }}" * 3000 + "{{ end }}" * 3000,
        '{{ $x := "<" }}{{ range 22 }}{{ $x = print $x $x }}{{ end }}{{ html $x | html | html }}',
        "{{ print " + "$ " * 20000 + "}}",
        "x" * 70000,
    ],
)
def test_a_template_that_asks_for_too_much_is_stopped(text: str) -> None:
    with pytest.raises(BadRequest):
        run(text, {"Messages": ["hello" * 100] * 100})
