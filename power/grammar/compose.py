"""A grammar that begins to hold only after the thinking.

What a model thinks is free, but for one thing: it ends at the first closing tag.
"Anything without that tag in it, then the tag" is a regular language, so it is
written into the grammar itself, as the automaton of Knuth, Morris and Pratt:
one rule for each number of the tag's characters just read.  Nothing has to watch
for a trigger, and a model that skips its thinking is held to the grammar at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from power.grammar.expressions import Alt, Expr, Ref, Repeat, Seq
from power.grammar.parsing import parse_gbnf
from power.grammar.printing import Written

# A GBNF string, character class or comment, whole; or a name, in the one group.
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*|([A-Za-z][A-Za-z0-9-]*)')
# Line ends between the tags and what follows them: models write up to two.
_GAP = "[ \\n]{0,4}"


def after_thinking(answer: Written, open_tag: str, close_tag: str, *, begun: bool) -> Written:
    """The answer's grammar behind a block of thinking, which may be left out unless it has `begun` in the prompt."""
    name = "thinking"
    while name in answer.text:  # its rules' names are not ours to know
        name += "-then"
    then = f"{name}-answer"
    thinking = f"{name}-0 {_GAP} {then}"
    root = thinking if begun else f"{_GAP} {literal(open_tag)} {thinking} | {then}"
    before = "\n".join([f"root ::= {root}", *up_to(close_tag, name)])
    rules = {name: _redirected(body, then) for name, body in answer.rules.items()}
    if rules:
        rules = {**rules, then: rules["root"], **_read(before)}
    return Written(f"{before}\n{renamed(answer.text, {'root': then})}", rules)


@lru_cache(maxsize=32)  # what is before an answer depends on the model's tags alone
def _read(grammar: str) -> dict[str, Expr]:
    return parse_gbnf(f"{grammar}\n").rules


def _redirected(expr: Expr, root: str) -> Expr:
    """The expression with another name for the rule `root`."""
    match expr:
        case Ref("root"):
            return Ref(root)
        case Seq():
            return Seq(tuple([_redirected(item, root) for item in expr.items]))
        case Alt():
            return Alt(tuple([_redirected(option, root) for option in expr.options]))
        case Repeat():
            return Repeat(_redirected(expr.item, root), expr.low, expr.high)
    return expr


def either(one: str, other: str) -> str:
    """A text of one grammar or of the other."""
    named = [prefixed(grammar, f"way{number}") for number, grammar in enumerate((one, other))]
    return "\n".join(["root ::= way0-root | way1-root", *named])


def prefixed(grammar: str, prefix: str) -> str:
    """`grammar`, whoever wrote it, with names for its rules that are no other's."""
    return _TOKEN.sub(lambda match: f"{prefix}-{match[1]}" if match[1] else match[0], grammar)


def renamed(grammar: str, names: Mapping[str, str]) -> str:
    """`grammar` with other names for some of its rules."""
    return _TOKEN.sub(lambda match: names.get(match[1], match[0]) if match[1] else match[0], grammar)


def names_in(body: str) -> list[str]:
    """The rules that a rule refers to."""
    return [match[1] for match in _TOKEN.finditer(body) if match[1]]


def up_to(tag: str, name: str, *, then: str = "", may_end: bool = False) -> list[str]:
    """Rules `NAME-0` …: any text whose first `tag` is its end, and the rule `then` behind it.

    If it `may_end`, the tag need not come.
    """
    return up_to_any({tag: then}, name, may_end=may_end)


def up_to_any(ends: Mapping[str, str], name: str, *, may_end: bool = False) -> list[str]:
    """The same for several tags, each with the rule behind it: Aho's and Corasick's automaton.

    None of the tags may be inside of another.
    """
    nothing = ' | ""' if may_end else ""
    return [
        f"{rule} ::= {_ways(_goals(state, ends, name), f'{name}-0')}{nothing}" for state, rule in _states(ends, name)
    ]


def _states(ends: Mapping[str, str], name: str) -> list[tuple[str, str]]:
    """What may have been read of a tag, nothing first, and the rule for what comes then."""
    beginnings = {tag[:n] for tag in ends for n in range(len(tag))} | {""}
    ordered = sorted(beginnings, key=lambda beginning: (len(beginning), beginning))
    return [(beginning, f"{name}-{n}") for n, beginning in enumerate(ordered)]


def _goals(read: str, ends: Mapping[str, str], name: str) -> dict[str, str]:
    """After `read`, by the next character, the rule for what comes then; with any other no tag is begun."""
    rules = {**dict(_states(ends, name)), **ends}
    found = {char: _longest(read + char, tuple(rules)) for char in dict.fromkeys("".join(ends))}
    return {char: rules[tag] for char, tag in found.items() if tag}


def _ways(goals: Mapping[str, str], otherwise: str) -> str:
    others = f"[^{''.join(map(_code, goals))}]" if goals else "[^\\U00000000]"
    return " | ".join([*(f"{literal(char)} {goal}".rstrip() for char, goal in goals.items()), f"{others} {otherwise}"])


def _longest(text: str, words: Sequence[str]) -> str:
    """The longest of the words that `text` ends with."""
    return max((word for word in words if text.endswith(word)), key=len)


def unless(heads: Mapping[str, str], name: str, ends: Mapping[str, str] | None = None) -> list[str]:
    """Rules `NAME-all` …: any text, but for one that begins with one of `heads`; behind that comes its rule.

    None of the heads may begin another.  With `ends`, the other texts go up to one of these, as with `up_to_any`.
    """
    ends = ends or {}
    states = sorted({head[:n] for head in heads for n in range(len(head))}, key=lambda state: (-len(state), state))
    bodies: dict[str, str] = {}  # of rules, with their names: what goes on alike is there once
    names: dict[str, str] = {}  # by states
    for state in states:
        edges = dict.fromkeys(head[len(state)] for head in heads if head.startswith(state))
        longer = {char: heads.get(state + char) or names[state + char] for char in edges}
        body = f'{_ways({**_goals(state, ends, name), **longer}, f"{name}-0")} | ""'
        names[state] = bodies.setdefault(body, f"{name}-begin-{len(bodies)}" if state else f"{name}-all")
    others = up_to_any(ends, name, may_end=True) if ends else [f"{name}-0 ::= [^\\U00000000]*"]
    return [*others, *(f"{rule} ::= {body}" for body, rule in bodies.items())]


def literal(text: str) -> str:
    """A text as GBNF writes it."""
    return '"' + "".join(map(_code, text)) + '"'


def _code(char: str) -> str:
    """A character as GBNF takes it in strings and in classes alike."""
    return char if char.isascii() and (char.isalnum() or char in "_ ") else f"\\U{ord(char):08X}"
