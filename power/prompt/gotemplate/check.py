"""What Go refuses while it parses, although the grammar allows it."""

from __future__ import annotations

from power.prompt.gotemplate.errors import parse_error
from power.prompt.gotemplate.functions import FUNCTIONS
from power.prompt.gotemplate.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Command,
    Constant,
    Dot,
    Function,
    Jump,
    List,
    Nil,
    Operand,
    Pipe,
    Text,
    Variable,
)


def check(text: str, tree: List) -> None:
    """Raises GoTemplateError for unknown functions and variables, and for what stands where it may not."""
    _Check(text).items(tree, ["$"], in_range=False, at_top=True)


class _Check:
    def __init__(self, text: str) -> None:
        self._text = text

    def items(self, tree: List, variables: list[str], *, in_range: bool, at_top: bool = False) -> None:
        for item in tree.items:
            match item:
                case Action(pipe=pipe):
                    self._pipe(pipe, variables, "command")
                case Branch():
                    self._branch(item, variables, in_range)
                case Call(pipe=None):
                    # Ollama's; Go would run it with nothing as its dot.
                    raise parse_error(self._text, item.at[0], "undefined template specified")
                case Call(pipe=Pipe() as pipe):
                    self._pipe(pipe, variables, "template clause")
                case Jump(keyword=keyword) if not in_range:
                    raise parse_error(self._text, item.at[0], f"{{{{{keyword}}}}} outside {{{{range}}}}")
                case Text(at=(start, -1)) if not at_top:
                    raise parse_error(self._text, start, "unexpected {{define}}")

    def _branch(self, item: Branch, variables: list[str], in_range: bool) -> None:
        mark = len(variables)
        self._pipe(item.pipe, variables, item.keyword)
        inner = len(variables)
        self.items(item.body, variables, in_range=in_range or item.keyword == "range")
        del variables[inner:]
        if item.orelse is not None:
            self.items(item.orelse, variables, in_range=in_range)
        del variables[mark:]

    def _pipe(self, pipe: Pipe, variables: list[str], context: str) -> None:
        if len(pipe.variables) > 1 and context != "range":
            raise parse_error(self._text, pipe.at[0], f"too many declarations in {context}")
        if not pipe.declares:
            for name in pipe.variables:
                self._known(name, variables, pipe.at[0])
        if pipe.declares:
            variables += pipe.variables  # known from here on, though without a value yet
        for number, command in enumerate(pipe.commands):
            self._command(command, variables, number)

    def _command(self, command: Command, variables: list[str], stage: int) -> None:
        first = command.operands[0]
        if stage and isinstance(first, Constant | Dot | Nil):
            raise parse_error(self._text, command.at[0], f"non executable command in pipeline stage {stage + 1}")
        for operand in command.operands:
            self._operand(operand, variables)

    def _operand(self, operand: Operand, variables: list[str]) -> None:
        match operand:
            case Function(name="end" | "else" | "define" as name):
                raise parse_error(self._text, operand.at[0], f"unexpected {{{{{name}}}}}")
            case Function(name=name) if name not in FUNCTIONS:
                raise parse_error(self._text, operand.at[0], f'function "{name}" not defined')
            case Variable(name=name):
                self._known(name, variables, operand.at[0])
            case Chain(pipe=pipe):
                self._pipe(pipe, variables, "parenthesized pipeline")

    def _known(self, name: str, variables: list[str], at: int) -> None:
        if name not in variables:
            raise parse_error(self._text, at, f'undefined variable "{name}"')
