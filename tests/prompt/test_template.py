"""Chat templates run as Hugging Face runs them."""

import subprocess
import sys
from typing import Any

import pytest

from power.errors import BadRequest
from power.prompt import ChatTemplate, compile_template


def render(text: str, **variables: Any) -> str:
    return ChatTemplate(text).render(variables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc"),
        ("{{ x | tojson }}", '{"z": "é<&>\'", "a": [1, null]}'),
        ("{{ x | tojson(indent=1) }}", '{\n "z": "é<&>\'",\n "a": [\n  1,\n  null\n ]\n}'),
        ("{{ x | tojson(sort_keys=true, separators=(',', ':')) }}", '{"a":[1,null],"z":"é<&>\'"}'),
        ("{{ x | tojson(ensure_ascii=true) }}", '{"z": "\\u00e9<&>\'", "a": [1, null]}'),
        ("{{ missing | tojson }}", "null"),
        ("{{ [1, 2] | map('string') | tojson }}", '["1", "2"]'),
        ("{{ ('[1]' | from_json)[0] }}", "1"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}x{{ 1 + 1 }}{% endgeneration %}", "x2"),
        ("{% set n = namespace(i=0) %}{% for a in 'ab' %}{% set n.i = n.i + 1 %}{% endfor %}{{ n.i }}", "2"),
        ("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(1) ~ m('b') }}", "<1><b>"),
        ("{% set l = [] %}{% set _ = l.append(1) %}{{ l | length }}", "1"),
        ("{{ 'a' ~ 1 ~ none ~ [2] }}", "a1None[2]"),
        ("{{ 2 ** 10 }}{{ 'ab' * 2 }}{{ [1] + [2] }}", "1024abab[1, 2]"),
        ("{{ missing }}{{ missing is defined }}", "False"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ message.content.split('</think>')[-1].lstrip('\\n') }}", "hi"),
    ],
)
def test_it_renders_like_hugging_face(text: str, expected: str) -> None:
    x = {"z": "é<&>'", "a": [1, None]}

    assert render(text, x=x, message={"content": "hm</think>\n\nhi"}) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a\n{% if %}", "chat template, line 2: "),
        ("a\n\n{{ raise_exception('No tools, please') }}", "chat template, line 3: No tools, please"),
        ("a\n{{ none.x.y }}", "line 2: "),
        ("{% for x in 5 %}{% endfor %}", "line 1: TypeError"),
        ("{{ 1 / 0 }}", "line 1: ZeroDivisionError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{% include 'x' %}", "line 1: "),
    ],
)
def test_a_failure_says_what_and_the_line(text: str, complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        render(text)

    assert complaint in caught.value.message


def test_a_text_is_compiled_once() -> None:
    assert compile_template("{{ a }}") is compile_template("{{ a }}")


def test_one_rendering_leaves_nothing_for_the_next() -> None:
    template = ChatTemplate("{% for i in range(90000) %}{% endfor %}ok")

    assert [template.render({}) for _ in range(12)] == ["ok"] * 12


def test_what_python_thinks_of_a_template_is_told_nobody() -> None:
    code = "from power.prompt import compile_template; compile_template('{{ 1[x:] }}')"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True)

    assert "SyntaxWarning" not in done.stderr
