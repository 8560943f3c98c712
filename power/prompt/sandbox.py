"""Jinja's immutable sandbox, in which every operation pays before it is done.

Filters, tests and calls are wrapped where they are looked up; operators that
Jinja does not hand to the sandbox (`~`, comparisons, a loop's turn) are put
through filters of ours, whose names no template can spell.  `{{ … }}` pays on
its way out.  What is left — names, attributes, `if`, `set` — costs a constant,
and is bounded by the template's own length between two payments.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import BuiltinMethodType, MethodType
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from power.prompt import costs
from power.prompt.fuel import STEP, Fuel, attributes_of

# Where the fuel lies among a rendering's variables: no template can spell this name.
FUEL = "fuel left"

# A stranger's `1[0]` is no warning of ours; and a filter set around each compiling would be that of all threads.
warnings.filterwarnings("ignore", category=SyntaxWarning, module="<template>")

# Parts of a template: names, operators, pieces of text, … The largest of the 70 that
# llama.cpp tests with has 1,400. To compile so many takes 0.25 s and 25 MB.
MAX_NODES = 4000

_TICK, _COMPARED, _SEARCHED, _JOINED = " tick", " compared", " searched", " joined"  # filters of ours
_OURS = (Cycler, Joiner, LoopContext)  # Jinja's objects with methods of their own
_OF_DICTS = frozenset(dir(dict))
_OF_LOOPS = frozenset(("index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"))


class Sandbox(ImmutableSandboxedEnvironment):
    """As Hugging Face sets it up; `functions` are the globals it may call."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, filters: Mapping[str, Callable[..., Any]], functions: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.finalize = _pay_for_output
        self.filters = {
            **{name: _paid_filter(name, self.filters[name], cost) for name, cost in costs.FILTERS.items()},
            **filters,
            "safe": _paid_filter("string", str, costs.FILTERS["safe"]),
            _TICK: _tick, _COMPARED: _pay_to_compare, _SEARCHED: _pay_to_search, _JOINED: _join,
        }  # fmt: skip
        self.tests |= {
            name: _paid_filter(name, test, costs.TESTS[name])
            for name, test in dict[str, Any](self.tests).items()
            if name in costs.TESTS
        }
        self.globals = {name: self.globals[name] for name in ("range", "dict", "cycler", "joiner", "namespace")}
        self._functions = tuple(functions.values())
        self.globals |= functions

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        if sum(1 for _ in tree.find_all(nodes.Node)) > MAX_NODES:
            raise TemplateSyntaxError(f"it has more than {MAX_NODES} parts", 1)
        leashed: nodes.Template = _Leash().visit(tree)
        return leashed

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        fuel = fuel_of(context)
        fuel.pay(costs.of_operator(fuel, operator, left, right))
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        # What most loops ask for, as it would come out in the end: Jinja's own way there is ten times as long.
        if type(obj) is dict and attribute not in _OF_DICTS:
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if type(obj) is Namespace:
            held = attributes_of(obj)
            return held[attribute] if attribute in held else self.undefined(obj=obj, name=attribute)
        if type(obj) is LoopContext and attribute in _OF_LOOPS:
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        methods = costs.methods_of(obj)
        # Kimi-K2's templates append to lists and pop from them. It changes lists made
        # for this rendering alone: `render_chat` hands in copies.
        if methods is not None:
            return attr in methods
        return isinstance(obj, (*_OURS, Macro, BlockReference, Namespace)) and super().is_safe_attribute(
            obj, attr, value
        )

    def wrap_str_format(self, value: Any) -> Any:
        wrapped = super().wrap_str_format(value)
        return None if wrapped is None else _Format(value.__self__, wrapped, value.__name__ == "format_map")

    def getitem(self, obj: Any, argument: Any) -> Any:
        # A tuple as a key would be hashed, however deep it is.
        found = self.undefined(obj=obj, name=str(type(argument))) if isinstance(argument, tuple) else None
        return super().getitem(obj, argument) if found is None else found

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        fuel = fuel_of(__context)
        if isinstance(__obj, BuiltinMethodType) and __obj.__name__ == "join":
            args = tuple(list(fuel.charged(arg)) for arg in args)
        fuel.pay(__self._cost_of_call(fuel, __obj, args, kwargs))
        return super().call(__context, __obj, *args, **kwargs)

    def _cost_of_call(self, fuel: Fuel, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
        if isinstance(function, (Macro, BlockReference, LoopContext)) or function is Namespace:
            return STEP
        if isinstance(function, BuiltinMethodType):
            methods = costs.methods_of(function.__self__) or {}
            if cost := methods.get(function.__name__):
                return cost(fuel, function.__self__, args, kwargs)
        if isinstance(function, _Format):
            return costs.of_formatting(fuel, function.form, args, kwargs)
        if function is dict:
            return costs.of_dict(fuel, args, kwargs)
        if isinstance(function, MethodType) and isinstance(function.__self__, _OURS):
            return STEP + fuel.measure(args)
        if function in (*self._functions, self.globals["range"], Cycler, Joiner):
            return STEP + 4 * fuel.measure(args)
        raise SecurityError(f"{getattr(function, '__name__', type(function).__name__)!r} may not be called")


def fuel_of(context: Context) -> Fuel:
    """What is left for the rendering that `context` belongs to."""
    fuel: Fuel = context.parent[FUEL]
    return fuel


class _Format:
    """A string's `format`, in the sandbox; remembers which string's, so that its cost can be told."""

    def __init__(self, form: str, function: Callable[..., str], takes_mapping: bool) -> None:
        self.form = form
        self._function = function
        self.takes_mapping = takes_mapping

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        return self._function(*args, **kwargs)


class _Leash(NodeTransformer):
    """Puts a payment into every loop's turn and macro's body, and around what Jinja does by itself."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.test is not None:
            node.test = nodes.And(_through(_TICK, nodes.Const(STEP), node.lineno), node.test, lineno=node.lineno)
        return self._paying(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._paying(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._paying(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _through(_JOINED, nodes.List(node.nodes, lineno=node.lineno), node.lineno)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        left: nodes.Expr = node.expr
        for operand in node.ops:
            right = operand.expr
            if operand.op in ("in", "notin"):
                operand.expr = _through(_SEARCHED, right, node.lineno)
                left = left if isinstance(left, nodes.Const) else _through(_COMPARED, left, node.lineno)
                if operand is node.ops[0]:
                    node.expr = left
            # To compare costs no more than the smaller of the two, and what stands in the template is small.
            elif not isinstance(left, nodes.Const) and not isinstance(right, nodes.Const):
                operand.expr = _through(_COMPARED, right, node.lineno)
            left = right
        return self.generic_visit(node)

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        if not isinstance(node.key, nodes.Const):
            node.key = _through(_COMPARED, node.key, node.lineno)  # it is hashed, however deep it is
        return self.generic_visit(node)

    def visit_ScopedEvalContextModifier(self, node: nodes.ScopedEvalContextModifier) -> nodes.Node:
        raise TemplateSyntaxError("autoescape is not supported", node.lineno)

    def _paying(self, node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
        # The text in it may be written each time; what is in an inner loop pays again there.
        n_static = sum(len(text.data) for part in node.body for text in _texts(part))
        tick = _through(_TICK, nodes.Const(STEP + 4 * n_static), node.lineno)
        node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        return self.generic_visit(node)


def _texts(node: nodes.Node) -> list[nodes.TemplateData]:
    if isinstance(node, nodes.TemplateData):
        return [node]
    return list(node.find_all(nodes.TemplateData))


def _through(name: str, value: nodes.Expr, line: int) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=line)


@pass_context
def _tick(context: Context, n_bytes: int) -> bool:
    fuel_of(context).pay(n_bytes)
    return True


@pass_context
def _pay_to_compare(context: Context, value: Any) -> Any:
    fuel = fuel_of(context)
    fuel.pay(fuel.measure(value))
    return value


@pass_context
def _pay_to_search(context: Context, value: Any) -> Any:
    fuel = fuel_of(context)
    fuel.pay(STEP if isinstance(value, dict) else fuel.measure(value))
    return value


@pass_context
def _pay_for_output(context: Context, value: Any) -> Any:
    fuel = fuel_of(context)
    fuel.pay(STEP + fuel.measure(value) * (1 if isinstance(value, str) else 4))
    return value


@pass_context
def _join(context: Context, parts: list[Any]) -> str:
    fuel = fuel_of(context)
    fuel.pay(STEP + 4 * fuel.measure(parts))
    return "".join([str(part) for part in parts])


def _paid_filter(name: str, function: Callable[..., Any], cost: costs.Cost) -> Callable[..., Any]:
    """The filter or test, which pays before it runs."""
    wanted = getattr(function, "jinja_pass_arg", None)  # the first argument it takes from Jinja

    @pass_context
    def paid(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        fuel = fuel_of(context)
        value = costs.prepared(fuel, name, value)
        fuel.pay(cost(fuel, value, args, kwargs))
        if wanted is None:
            return function(value, *args, **kwargs)
        from_jinja = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        return function(from_jinja[wanted.name], value, *args, **kwargs)

    return paid


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}`: marks what a trainer learns; here just its body."""

    tags = {"generation"}  # noqa: RUF012, as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)
