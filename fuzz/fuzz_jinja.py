# Invariant: any template renders or is refused with BadRequest, within a second of CPU and 64 MB of memory.
"""Composes templates of what makes much out of little, and of what real templates are made of."""

import random
import resource
import time

import mutate

from power.errors import BadRequest
from power.prompt import ChatTemplate

MAX_SECONDS = 1.0  # of CPU time, for compiling and rendering each
MAX_BYTES = 64 * 2**20

VALUES = [
    "n.s", "n.l", "n.t", "messages", "x", "'x'", "'%s%s'", "'{}{}'", "10**9", "9", "(-1)", "none", "range(10**5)",
    "[n.l, n.l]", "(n.t, n.t)", "{'a': n.l}", "missing", "n", "''", "1.5", "loop", "m", "true",
]  # fmt: skip
FILTERS = (
    "abs attr('x') batch(10**9) capitalize center(10**9) count default('') dictsort first float format(n.s) "
    "groupby('real') indent(10**9) int items join(n.s) last length list lower map('string') map('join',n.s) max min "
    "random reject('none') replace('x',n.s) reverse round(10**9) safe select slice(10**9) sort string sum title tojson "
    "tojson(indent=9) trim truncate unique upper urlencode wordcount e from_json selectattr('x') map(attribute='x')"
).split()
METHODS = (
    "upper() split('x') split() splitlines() replace('x',n.s) replace('',n.s) join(n.l) strip(n.s) find(n.s) "
    "rfind(n.s) ljust(10**9) zfill(10**9) expandtabs(10**9) format(n.s,n.l) count('x') append(n.l) pop() items() "
    "keys() get(n.t) copy() index(n.s) __class__ __init__ format_map(n) encode() title() center(10**6) isdigit()"
).split()
OPERATORS = "+ - * / // % ** ~ == != < in and or".split()
SINGLE = [
    "{% set n.s = EXPR %}", "{% set n.l = EXPR %}", "{% set n.t = (n.t, n.t) %}", "{% set n.l = [n.l, n.l] %}",
    "{% set n.s = n.s ~ n.s %}", "{% set n.s = n.s * 2 %}", "{{ EXPR }}", "{{ EXPR }}", "text " * 20, "{% break %}",
    "{% for x in messages recursive %}{{ loop(messages) }}{% endfor %}", "{% set n.l = n.l + [EXPR] %}", "{% if x %}",
]  # fmt: skip
AROUND = [
    ("{% if EXPR %}", "{% endif %}"), ("{% for x in EXPR %}", "{% endfor %}"), ("{% set x %}", "{% endset %}"),
    ("{% for x in range(10**5) %}", "{% endfor %}"), ("{% for x in EXPR if EXPR %}", "{% else %}{% endfor %}"),
    ("{% macro m(x) %}", "{% endmacro %}{{ m(EXPR) }}"), ("{% filter upper %}", "{% endfilter %}"),
    ("{% generation %}", "{% endgeneration %}"), ("{% macro m() %}{{ caller() }}", "{% endmacro %}"),
    ("{% call m() %}", "{% endcall %}"),
]  # fmt: skip
START = "{% set n = namespace(s='xy\\n', l=['a', 'b'], t=(1,)) %}"


def check(rng: random.Random) -> None:
    text = START + fill(body(rng, 3), rng)
    if rng.random() < 0.2:
        text = mutate.mutate(text.encode(), rng).decode(errors="replace")
    before, memory = time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        rendered = ChatTemplate(text).render({"messages": [{"role": "user", "content": "hi"}], "x": 5})
        assert isinstance(rendered, str)
    except BadRequest:
        pass
    assert time.thread_time() - before < MAX_SECONDS, text
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024 < MAX_BYTES, text


def body(rng: random.Random, depth: int) -> str:
    parts = []
    for _ in range(rng.randrange(1, 6)):
        if depth and rng.random() < 0.4:
            opening, closing = rng.choice(AROUND)
            parts.append(opening + body(rng, depth - 1) + closing)
        else:
            parts.append(rng.choice(SINGLE))
    return "".join(parts)


def fill(statement: str, rng: random.Random) -> str:
    while "EXPR" in statement:
        statement = statement.replace("EXPR", expression(rng), 1)
    return statement


def expression(rng: random.Random) -> str:
    text = rng.choice(VALUES)
    for _ in range(rng.randrange(4)):
        match rng.randrange(4):
            case 0:
                text = f"({text})|{rng.choice(FILTERS)}"
            case 1:
                text = f"({text}).{rng.choice(METHODS)}"
            case 2:
                text = f"({text} {rng.choice(OPERATORS)} {rng.choice(VALUES)})"
            case _:
                text = f"({text})[{rng.choice(('0', '1:', '::-1', 'n.t', chr(39) + 'a' + chr(39)))}]"
    return text


if __name__ == "__main__":
    mutate.run(check)
