"""Is a grammar safe to give to llama.cpp?

llama.cpp looks for undefined rules and for some left recursion; what it
overlooks -- recursion through rules that may be empty in a roundabout way --
makes it run for ever, and its search for recursion takes exponential time on
rules that begin with each other in many ways.  All of that is found here first.
"""

from __future__ import annotations

from power.grammar.errors import GrammarError
from power.grammar.expressions import Alt, Chars, Expr, Ref, Repeat, Seq, Text
from power.grammar.parsing import MAX_REPEAT, Grammar, Position, parse_gbnf

MAX_ELEMENTS = 2_000_000  # characters and references once repeats are written out; 8 bytes each
MAX_LEFT_PATHS = 200_000  # ways from rule to rule without reading a character: llama.cpp walks them all


def check_gbnf(text: str) -> None:
    """Nothing, if the grammar may be used.

    Raises:
        GrammarError: malformed, undefined rules, left recursion, loops over nothing, or too large; with the place.
    """
    check(parse_gbnf(text))


def check(grammar: Grammar) -> None:
    """Like `check_gbnf`, for a grammar that has been read."""
    if "root" not in grammar.rules:
        raise GrammarError("there is no rule 'root'", 1, 1)
    for name, where in grammar.used.items():
        if name not in grammar.rules:
            raise _error(f"the rule {name!r} is not defined", where)
    nullable = nullable_rules(grammar.rules)
    n_elements = 0
    for name, body in grammar.rules.items():
        where = grammar.defined[name]
        if _loops(body, nullable):
            raise _error(f"the rule {name!r} repeats without end something that may be empty", where)
        n_elements += _elements(body, where)[0]
        if n_elements > MAX_ELEMENTS:
            raise _error(f"with its repeats written out, the grammar has more than {MAX_ELEMENTS} elements", where)
    _check_left_recursion(grammar, nullable)


def _error(message: str, where: Position) -> GrammarError:
    return GrammarError(message, where.line, where.column)


def nullable_rules(rules: dict[str, Expr]) -> frozenset[str]:
    """The rules that match the empty text: the least fixed point."""
    found: set[str] = set()
    while True:
        more = {name for name, body in rules.items() if name not in found and _is_nullable(body, found)}
        if not more:
            return frozenset(found)
        found |= more


def _is_nullable(expr: Expr, nullable: set[str] | frozenset[str]) -> bool:
    match expr:
        case Ref():
            return expr.name in nullable
        case Seq():
            return all(_is_nullable(item, nullable) for item in expr.items)
        case Alt():
            return any(_is_nullable(option, nullable) for option in expr.options)
        case Repeat():
            return expr.low == 0 or _is_nullable(expr.item, nullable)
    return False


def _loops(expr: Expr, nullable: frozenset[str]) -> bool:
    match expr:
        case Seq():
            return any(_loops(item, nullable) for item in expr.items)
        case Alt():
            return any(_loops(option, nullable) for option in expr.options)
        case Repeat():
            return (expr.high is None and _is_nullable(expr.item, nullable)) or _loops(expr.item, nullable)
    return False


def _elements(expr: Expr, where: Position) -> tuple[int, int]:
    """How many elements and how many rules llama.cpp makes of an expression."""
    match expr:
        case Text():
            return len(expr.text), 0
        case Chars():
            return 2 * len(expr.ranges), 0
        case Ref():
            return 1, 1  # a name that is new becomes a symbol as well
        case Repeat():
            n_elements, n_rules = _elements(expr.item, where)
            times = expr.high or expr.low or 1
            if (n_rules + 1) * times > MAX_REPEAT and n_rules:
                raise _error(
                    f"a repeat that makes more than {MAX_REPEAT} rules of a group; give the group a name", where
                )
            return (n_elements + 2) * times, n_rules + times
    parts = [_elements(part, where) for part in (expr.items if isinstance(expr, Seq) else expr.options)]
    return 1 + sum(n for n, _ in parts), 1 + sum(n for _, n in parts)


def _check_left_recursion(grammar: Grammar, nullable: frozenset[str]) -> None:
    """Depth first over the rules that may come first in each other, counting ways as llama.cpp would walk them."""
    first = {name: _first(body, nullable) for name, body in grammar.rules.items()}
    n_ways: dict[str, int] = {}
    for start in grammar.rules:
        stack: list[tuple[str, list[str]]] = [(start, list(first[start]))] if start not in n_ways else []
        on_way = {start}
        while stack:
            name, left = stack[-1]
            if not left:
                n_ways[name] = 1 + sum(n_ways[one] for one in first[name])
                if n_ways[name] > MAX_LEFT_PATHS:
                    raise _error(
                        f"the rule {name!r} may begin in more than {MAX_LEFT_PATHS} ways", grammar.defined[name]
                    )
                on_way.discard(name)
                stack.pop()
                continue
            following = left.pop()
            if following in on_way:
                raise _error(f"the rule {following!r} is left recursive", grammar.defined[following])
            if following not in n_ways:
                on_way.add(following)
                stack.append((following, list(first[following])))


def _first(expr: Expr, nullable: frozenset[str]) -> list[str]:
    """The rules that may come first, as often as they are written."""
    match expr:
        case Ref():
            return [expr.name]
        case Alt():
            return [name for option in expr.options for name in _first(option, nullable)]
        case Repeat():
            return _first(expr.item, nullable) if expr.high != 0 else []
        case Seq():
            out: list[str] = []
            for item in expr.items:
                out += _first(item, nullable)
                if not _is_nullable(item, nullable):
                    break
            return out
    return []
