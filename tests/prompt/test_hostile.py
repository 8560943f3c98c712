"""No template gets out of its sandbox, takes a second, or makes more than some megabytes of its own."""

import time
import tracemalloc

import pytest

from power.errors import BadRequest
from power.messages import Message
from power.prompt import ChatTemplate, render_chat
from tests.prompt.models import model

MAX_SECONDS = 1.0  # of the thread's own time
MAX_BYTES = 64 * 2**20

N = "{% set n = namespace(s='x', l=[1], t=(1,)) %}"
LONG = N + "{% for a in range(19) %}{% set n.s = n.s + n.s %}{% endfor %}"  # half a million characters
NESTED = N + "{% for a in range(99) %}{% set n.l = [n.l, n.l] %}{% endfor %}"  # 2**99 items in a hundred lists
TUPLES = N + "{% for a in range(99) %}{% set n.t = (n.t, n.t) %}{% endfor %}"
TEXT = "x" * 60000

TOO_MUCH = [
    # loops
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(10**9) %}{% endfor %}",
    "{% for a in range(99999) if false %}{% endfor %}" * 1000,
    "{% for a in range(99999) recursive %}{{ loop(range(99999)) }}{% endfor %}",
    "{% for a in range(99999) %}" + "{% set x = 1 %}" * 1500 + "{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% block b %}{{ self.b() }}{% endblock %}",
    "{% set c = cycler(1, 2) %}{% for a in range(99999) %}"
    "{% for b in range(99999) %}{{ c.next() }}{% endfor %}{% endfor %}",
    "{{ range(10**5) | map('string') | list }}" * 500,
    "{{ range(10**5) | select('odd') | list | length }}" * 500,
    # growing texts
    N + "{% for a in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    N + "{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}",
    "{% for a in range(99999) %}" + TEXT + "{% endfor %}",
    "{% macro m() %}" + TEXT + "{% endmacro %}{% for a in range(99999) %}{% set b = m() %}{% endfor %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% for a in range(9999) %}{% call m() %}"
    + TEXT
    + "{% endcall %}{% endfor %}",
    "{{ 'x' * 10**9 }}",
    "{{ 10**9 * 'x' }}",
    "{{ [1] * 10**9 }}",
    "{{ 'x'.ljust(10**9) }}",
    "{{ 'x' | center(10**9) }}",
    "{{ 'x'.zfill(10**9) }}",
    "{{ '\t'.expandtabs(10**9) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%.999999999f' % 1 }}",
    "{{ '%999999999d' | format(1) }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ '{:>{}}'.format(1, 10**9) }}",
    "{{ ['{:9999999999}'] | map('format', 1) | list }}",
    LONG + "{{ n.s.replace('x', n.s) }}",
    LONG + "{{ n.s.replace('', n.s) }}",
    LONG + "{{ n.s | replace('x', n.s) }}",
    LONG + "{{ n.s.join(n.s) }}",
    LONG + "{{ n.s | join(n.s) }}",
    LONG + "{{ ('x\n' * 1000) | indent(n.s) }}",
    LONG + "{% for a in range(999) %}{% set b = n.l.append(n.s.upper()) %}{% endfor %}",
    LONG + "{% for a in range(999) %}{% set b = n.l.append(n.s.split('x')) %}{% endfor %}",
    "{{ ('<' * 10**6) | e | e | e | e | e | length }}",
    "{{ messages | tojson(indent=10**9) }}",
    "{{ range(9999) | list | tojson(separators=('x' * 10**6, 'y')) }}",
    "{{ range(5) | batch(10**9, 'x') | list }}",
    "{{ range(5) | slice(10**9) | list }}",
    "{{ strftime_now('%999999999d') }}",
    "{{ (5).to_bytes(10**9, 'big') }}",
    "{{ lipsum(n=10**6) }}",
    "{{ '{},' * 10**6 | from_json }}",
    # slow searches
    LONG + "{% for a in range(9999) %}{% if 'y' in n.s %}{% endif %}{% endfor %}",
    LONG + "{{ n.s.rfind('y' + n.s[:200000]) }}",
    LONG + "{{ n.s.strip('abcdefghijklmnopqrstuvwyz' * 9999) }}",
    "{{ range(10**5) | list | unique | list | length }}",
    "{{ dict(range(99999) | map('string') | list) }}",
    # numbers
    "{{ 9 ** 99999999 }}",
    "{% set n = namespace(i=9) %}{% for a in range(99) %}{% set n.i = n.i * n.i %}{% endfor %}",
    "{{ 3.3 | round(10**9, 'ceil') }}",
    "{{ ('f' * 10**6) | int(base=16) // 3 }}",
    # a little that is a lot
    NESTED + "{{ n.l }}",
    NESTED + "{{ n.l | tojson }}",
    NESTED + "{{ n.l ~ '' }}",
    NESTED + "{{ '%s' % n.l }}",
    NESTED + "{{ '{}'.format(n.l) }}",
    NESTED + "{{ n.l | string }}",
    NESTED + "{{ raise_exception(n.l) }}",
    NESTED + "{% set l = n.l %}" + NESTED + "{{ l == n.l }}",
    NESTED + "{{ [n.l, n.l] | sort }}",
    TUPLES + "{{ {n.t: 1} }}",
    TUPLES + "{{ {}.get(n.t) }}",
    TUPLES + "{{ n.t in {} }}",
    TUPLES + "{{ [n.t] | unique | list }}",
    N + "{% set _ = n.l.append(n.l) %}{{ n.l }}",
    N + "{% set n.x = n %}{{ n }}",
    # templates that are hard to compile
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "{{ a" + ".b" * 30000 + " }}",
    "{{ 1" + "+1" * 30000 + " }}",
    "{{ " + "not " * 9999 + "1 }}",
    "{{a}}" * 13000,
    "{% if a %}" * 6000,
    "{% break %}",
    "{% if a %}" * 3000 + "{% endif %}" * 3000,
    "{{ '" * 20000,
    "x" * (2**16 + 1),
    "{% autoescape true %}{% endautoescape %}",
]


@pytest.mark.parametrize("text", TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_a_template_that_asks_for_too_much_is_stopped(text: str) -> None:
    started = time.thread_time()

    with pytest.raises(BadRequest):
        ChatTemplate(text).render({"messages": [{"role": "user", "content": "hi"}]})
    assert time.thread_time() - started < MAX_SECONDS


@pytest.mark.parametrize("text", TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_not_even_by_being_tried_with_something_else(text: str) -> None:
    """A request renders a template in several ways, and once more to see how its model thinks."""
    thinks = model("{# reasoning <think> </think> #}" + text)
    started = time.thread_time()

    with pytest.raises(BadRequest):
        render_chat(thinks, [Message(role="user", content="hi")], think="low")
    assert time.thread_time() - started < MAX_SECONDS


# Those that came nearest to the bound.
@pytest.mark.parametrize(
    "text",
    [
        LONG + "{% for a in range(999) %}{% set b = n.l.append(n.s.split('x')) %}{% endfor %}",
        LONG + "{% for a in range(999) %}{% set b = n.l.append(n.s.upper()) %}{% endfor %}",
        "{{a}}" * 2400,
    ],
    ids=range(3),
)
def test_memory_is_bounded_too(text: str) -> None:
    tracemalloc.start()
    try:
        ChatTemplate(text).render({})
    except BadRequest:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < MAX_BYTES


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append.__self__.__class__ }}",
        "{{ raise_exception.__globals__ }}",
        "{{ ''.format.__globals__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{a.__class__.__mro__}'.format_map({'a': 1}) }}",
        "{{ ['{0.__class__}'] | map('format', 1) | list | first | replace('{0.__class__}', '') }}",
        "{{ x.clear() }}",
        "{{ x.update({'a': 2}) }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ joiner.__init__.__globals__.os.system('id') }}",
        "{{ self.__init__ }}{{ self._TemplateReference__context }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ 'x' | attr('__class__') }}{{ ().__class__ }}",
        "{% for a in [1] %}{{ loop.__class__ }}{{ loop._recurse.__globals__ }}{{ loop._iterable }}{% endfor %}",
        "{{ dict.mro() }}",
        "{{ {}.fromkeys([1]) }}",
        "{% include 'x' %}",
    ],
)
def test_the_sandbox_has_no_way_out(text: str) -> None:
    x = {"a": 1}
    try:
        found = ChatTemplate(text).render({"x": x, "messages": []})
    except BadRequest:
        found = ""

    assert (found, x) == ("", {"a": 1})


def test_one_rendering_leaves_nothing_for_the_next() -> None:
    template = ChatTemplate("{% for i in range(90000) %}{% endfor %}ok")

    assert [template.render({}) for _ in range(4)] == ["ok"] * 4


@pytest.mark.parametrize(("n_messages", "n_words", "summed"), [(200, 2000, False), (60, 400, True)])
def test_a_long_conversation_is_no_attack(n_messages: int, n_words: int, summed: bool) -> None:
    messages = [{"role": "user", "content": "word " * n_words} for _ in range(n_messages)]
    template = ChatTemplate(
        "{% set n = namespace(s='') %}{% for m in messages %}{% set c = m.content.split('</think>')[-1].strip() %}"
        "{% if summed %}{% set n.s = n.s + c %}{% endif %}{{ '<|im_start|>' + m.role + '\n' + c }}{% endfor %}"
        "{{ n.s | length }}"
    )

    expected = n_messages * (5 * n_words - 1) if summed else 0
    assert template.render({"messages": messages, "summed": summed}).endswith(f"word{expected}")
