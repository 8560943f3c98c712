"""The interpreter: a template and its data into text.

It pays for every node it visits and for every text it makes, as Jinja's sandbox
does (see `prompt.fuel`), so that no template takes long or makes much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from power.errors import BadRequest
from power.prompt.fuel import STEP, Fuel, OutOfFuel, TooExpensive
from power.prompt.gotemplate.errors import GoTemplateError, run_error
from power.prompt.gotemplate.functions import FUNCTIONS, typescript
from power.prompt.gotemplate.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Function,
    Jump,
    List,
    Nil,
    Node,
    Operand,
    Pipe,
    Text,
    Variable,
)
from power.prompt.gotemplate.parse import GoTemplate
from power.prompt.gotemplate.values import Struct, go_string, is_true, type_name

MAX_DEPTH = 100  # templates called by templates; Go's is 100,000, which nobody needs
NOTHING: Any = object()  # where nothing comes from the command before; `None` is a value


def execute(template: GoTemplate, data: Any, root: List | None = None) -> str:
    """The text for `data`, the root's dot; `root` stands in for the template's own tree.

    Raises:
        GoTemplateError: it fails on the data; Go's words, with line and column.
        BadRequest: it asks for too much.
    """
    run = _Run(template, Fuel(data))
    try:
        run.call(template.root if root is None else root, data)
    except TooExpensive as error:
        raise OutOfFuel(f"template: {error}", field="template") from error
    except RecursionError as error:
        raise BadRequest("template: it is nested too deeply", field="template") from error
    return "".join(run.out)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Run:
    """One execution: the output so far, and the variables in scope."""

    def __init__(self, template: GoTemplate, fuel: Fuel) -> None:
        self._template = template
        self._fuel = fuel
        self._variables: list[tuple[str, Any]] = []
        self._depth = 0
        self.out: list[str] = []

    def call(self, tree: List, dot: Any) -> None:
        """A whole template; its only variable is `$`."""
        if self._depth > MAX_DEPTH:
            raise TooExpensive(f"templates call each other more than {MAX_DEPTH} deep")
        outer, self._variables = self._variables, [("$", dot)]
        self._depth += 1
        self._list(tree, dot)
        self._depth -= 1
        self._variables = outer

    def _list(self, tree: List, dot: Any) -> None:
        for item in tree.items:
            match item:
                case Text(text=text):
                    self._write(text)
                case Action(pipe=pipe):
                    value = self._pipe(pipe, dot)
                    if not pipe.variables:
                        self._write(self._printed(value))
                case Branch(keyword="range"):
                    self._range(item, dot)
                case Branch():
                    self._branch(item, dot)
                case Call():
                    self._call_template(item, dot)
                case Jump(keyword=keyword):
                    raise _Break if keyword == "break" else _Continue

    def _write(self, text: str) -> None:
        self._fuel.pay(STEP + 4 * len(text))
        self.out.append(text)

    def _printed(self, value: Any) -> str:
        if value is None:
            return "<no value>"
        self._pay_to_read((value,), 6)
        return go_string(value)

    def _branch(self, item: Branch, dot: Any) -> None:
        mark = len(self._variables)
        value = self._pipe(item.pipe, dot)
        inner = value if item.keyword == "with" else dot
        if is_true(value):
            self._list(item.body, inner)
        elif item.orelse is not None:
            self._list(item.orelse, dot)
        del self._variables[mark:]

    def _range(self, item: Branch, dot: Any) -> None:
        mark = len(self._variables)
        value = self._pipe(item.pipe, dot)
        inner = len(self._variables)
        turns = 0
        for key, element in self._items(item, value):
            turns += 1
            self._fuel.pay(STEP)
            self._set_turn(item.pipe, mark, key, element)
            try:
                self._list(item.body, element)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                del self._variables[inner:]
        if not turns and item.orelse is not None:
            self._list(item.orelse, dot)
        del self._variables[mark:]

    def _set_turn(self, pipe: Pipe, mark: int, key: Any, element: Any) -> None:
        names = pipe.variables
        values = (element,) if len(names) == 1 else (key, element)
        for n, (name, value) in enumerate(zip(names, values, strict=False)):
            if pipe.declares:
                self._variables[mark + n] = (name, value)
            else:
                self._assign(name, value)

    def _items(self, item: Branch, value: Any) -> Iterator[tuple[Any, Any]]:
        match value:
            case None:
                return iter(())
            case dict():
                return iter(sorted(value.items()))
            case list() | tuple():
                return iter(list(enumerate(value)))
            case int() if not isinstance(value, bool):
                if len(item.pipe.variables) > 1:
                    raise self._error(item.pipe, f"can't use {value} to iterate over more than one variable")
                return ((n, n) for n in range(value))
        raise self._error(item.pipe, f"range can't iterate over {go_string(value)}")

    def _call_template(self, item: Call, dot: Any) -> None:
        tree = self._template.defined.get(item.name)
        if tree is None:
            raise self._error(item, f'template "{item.name}" not defined')
        self.call(tree, None if item.pipe is None else self._pipe(item.pipe, dot))

    # -- values --

    def _pipe(self, pipe: Pipe, dot: Any) -> Any:
        value = NOTHING
        for command in pipe.commands:
            value = self._command(command, dot, value)
        for name in pipe.variables:
            if pipe.declares:
                self._variables.append((name, value))
            else:
                self._assign(name, value)
        return value

    def _assign(self, name: str, value: Any) -> None:
        for n in range(len(self._variables) - 1, -1, -1):
            if self._variables[n][0] == name:
                self._variables[n] = (name, value)
                return
        raise AssertionError(name)

    def _command(self, command: Command, dot: Any, final: Any) -> Any:
        self._fuel.pay(STEP)
        first, *rest = command.operands
        if isinstance(first, Nil):
            raise self._error(first, "nil is not a command")
        if isinstance(first, Function):
            return self._function(command, first.name, rest, dot, final)
        if rest or final is not NOTHING:
            if isinstance(first, Field):
                raise self._error(first, f"{first.names[-1]} is not a method but has arguments")
            what = self._template.text[first.at[0] : first.at[1]]
            raise self._error(first, f"can't give argument to non-function {what}")
        return self._operand(first, dot)

    def _function(self, command: Command, name: str, operands: Sequence[Operand], dot: Any, final: Any) -> Any:
        function = FUNCTIONS[name]
        n_values = len(operands) + (final is not NOTHING)
        if n_values < function.at_least or (function.at_most is not None and n_values > function.at_most):
            exactly = function.at_least == function.at_most
            wanted = f"{'' if exactly else 'at least '}{function.at_least}"
            raise self._error(command.operands[0], f"wrong number of args for {name}: want {wanted} got {n_values}")
        if name in ("and", "or"):
            return self._short_circuit(name, operands, dot, final)
        values = [self._argument(operand, dot) for operand in operands] + ([final] if final is not NOTHING else [])
        self._pay_to_read(values, function.growth)
        try:
            result = function.call(*values)
        except ValueError as error:
            raise self._error(command, f"error calling {name}: {error}") from error
        self._fuel.pay(4 * len(result) if isinstance(result, str) else STEP)
        return result

    def _short_circuit(self, name: str, operands: Sequence[Operand], dot: Any, final: Any) -> Any:
        value = None
        for operand in operands:
            value = self._argument(operand, dot)
            if is_true(value) == (name == "or"):
                return value
        return value if final is NOTHING else final

    def _argument(self, operand: Operand, dot: Any) -> Any:
        if isinstance(operand, Function):
            return self._function(Command(operands=(operand,), at=operand.at), operand.name, (), dot, NOTHING)
        return self._operand(operand, dot)

    def _operand(self, operand: Operand, dot: Any) -> Any:
        match operand:
            case Dot():
                return dot
            case Constant(value=value):
                return value
            case Field(names=names):
                return self._fields(operand, dot, names)
            case Variable(name=name, names=names):
                return self._fields(operand, self._lookup(operand, name), names)
            case Chain(pipe=pipe, names=names):
                return self._fields(operand, self._pipe(pipe, dot), names)
        return None  # nil

    def _lookup(self, node: Node, name: str) -> Any:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise self._error(node, f"undefined variable: {name}")

    def _fields(self, node: Node, value: Any, names: Sequence[str]) -> Any:
        for name in names:
            value = self._field(node, value, name)
        return value

    def _field(self, node: Node, value: Any, name: str) -> Any:
        self._fuel.pay(STEP)
        if value is None:
            return None
        if isinstance(value, dict):
            return value.get(name)
        if isinstance(value, Struct):
            if name in value.fields:
                return value.fields[name]
            if name == "ToTypeScriptType":
                return typescript(value)
        if name == "String" and not isinstance(value, str | int | float):
            return go_string(value)
        raise self._error(node, f"can't evaluate field {name} in type {type_name(value)}")

    def _pay_to_read(self, values: Sequence[Any], times: int) -> None:
        self._fuel.pay(STEP)
        for value in values:
            self._fuel.pay(times * self._fuel.measure(value))

    def _error(self, node: Node, what: str) -> GoTemplateError:
        return run_error(self._template.text, node.at, what)
