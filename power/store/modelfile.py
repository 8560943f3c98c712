"""Modelfiles: the commands a model is made by, read and written.

The language is Ollama's (parser/parser.go), spelled out in `modelfile.lark`:
commands in any case, values to the end of the line or between quotes that
close at the end of a line, no escapes.  Where Ollama's reader has slips that
nobody can want (two spaces after PARAMETER give it an empty name, a CRLF counts
as two lines), this one reads what was meant.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from functools import cache
from pathlib import Path

import msgspec
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput

from power.errors import BadRequest

ROLES = ("system", "user", "assistant")
KEYWORDS = (
    *("from", "license", "template", "system", "adapter", "draft"),
    *("renderer", "parser", "parameter", "message", "requires"),
)
MAY_BE_EMPTY = ("license", "template", "system", "message", "parameter")
MAX_LENGTH = 2**20  # bytes or characters; ours, the longest known, with licenses, have some ten thousand

_LINE_END = re.compile(r"\r\n|\r|\n")
# Dropped from values, as in Ollama; unlike there, joiners and other invisible parts of real text are kept.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# No value can hold this: whichever quotes are around it end here.
_UNWRITABLE = re.compile(r'"""[ \t]*[\r\n]')
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class ModelfileError(BadRequest):
    """A Modelfile cannot be read; `line` and `column` (from 1) say where, the message too."""

    def __init__(self, what: str, line: int, column: int) -> None:
        super().__init__(f"(line {line}, column {column}): {what}", field="modelfile")
        self.line = line
        self.column = column


class Command(msgspec.Struct, frozen=True):
    """One command. `name` is the parameter's own, or the message's role, and empty for all others."""

    keyword: str  # one of KEYWORDS
    value: str
    name: str = ""
    line: int = msgspec.field(default=0)  # where it stands, from 1; 0 if it was not read from a text

    def __str__(self) -> str:
        return " ".join([self.keyword.upper(), *([self.name] if self.name else []), quote(self.value)])


class Modelfile(msgspec.Struct, frozen=True):
    """The commands in their order."""

    commands: tuple[Command, ...]

    def __str__(self) -> str:
        """A text that reads back as these commands; ValueError if there is none (see `quote`)."""
        return "".join(f"{command}\n" for command in self.commands)

    def values(self, keyword: str) -> list[str]:
        return [command.value for command in self.commands if command.keyword == keyword]


def read_modelfile(data: bytes | str) -> Modelfile:
    """The commands of a text, UTF-8 or (with a byte order mark) UTF-16.

    Raises:
        ModelfileError: it is no Modelfile, or has no FROM.
    """
    if len(data) > MAX_LENGTH:
        raise BadRequest(f"the Modelfile is longer than {MAX_LENGTH} characters", field="modelfile")
    text = _decoded(data) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    places = _Places(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _explain(text, error, places) from None
    commands = tuple(_command(node, places) for node in tree.children if isinstance(node, Tree))
    if not any(command.keyword == "from" for command in commands):
        raise ModelfileError("no FROM line", *places.of(len(text)))
    return Modelfile(commands)


def quote(value: str) -> str:
    """`value` as a command takes it: bare where that will do.

    Raises:
        ValueError: it has triple quotes at the end of a line that is not its last.
    """
    if value and value == value.strip(" \t") and not value.startswith('"') and not re.search(r"[\r\n]", value):
        return value
    if '"' not in value:
        return f'"{value}"'
    if _UNWRITABLE.search(value):
        raise ValueError('a Modelfile cannot hold a text with """ at the end of a line')
    return f'"""{value}"""'


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("modelfile.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual")


def _decoded(data: bytes) -> str:
    bom, encoding = next(((bom, name) for bom, name in _BOMS if data.startswith(bom)), (b"", "utf-8"))
    try:
        return data[len(bom) :].decode(encoding)
    except UnicodeDecodeError as error:
        before = data[len(bom) : len(bom) + error.start].decode(encoding, "replace")
        raise ModelfileError(f"not {encoding.upper()} text", *_Places(before).of(len(before))) from None


def _command(node: Tree[Token], places: _Places) -> Command:
    *names, value = node.children
    assert isinstance(value, Tree)
    token = value.children[0]
    assert isinstance(token, Token)
    name = "" if node.data == "command" else str(names[0])
    keyword = str(names[0]).lower() if node.data == "command" else str(node.data)
    line, column = places.of(token.start_pos or 0)
    content = _unquoted(token)
    if not content and keyword not in MAY_BE_EMPTY:
        raise ModelfileError(f"{keyword.upper()} needs a value", line, column)
    return Command(keyword, content, name, line)


def _unquoted(token: Token) -> str:
    width = {"HEREDOC": 3, "QUOTED": 1}.get(token.type, 0)
    text = token.strip(" \t")
    return _CONTROL.sub("", text[width : len(text) - width])


class _Places:
    """Where the characters of a text stand."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def of(self, position: int) -> tuple[int, int]:
        """The line and column, from 1."""
        line = bisect_right(self._starts, position)
        return line, position - self._starts[line - 1] + 1


def _explain(text: str, error: UnexpectedInput, places: _Places) -> ModelfileError:
    position = getattr(error, "pos_in_stream", None)
    if position is None or position < 0:  # the end
        position = len(text)
    # The lexer knows what may stand here; where another context could read it, it is a token, out of place.
    allowed = error.allowed if isinstance(error, UnexpectedCharacters) else getattr(error, "expected", None)
    return ModelfileError(_reason(text, position, allowed or set()), *places.of(position))


def _reason(text: str, position: int, allowed: set[str]) -> str:
    if "ROLE" in allowed:
        return 'message role must be one of "system", "user", or "assistant"'
    if "NAME" in allowed:
        return "unexpected EOF: a parameter is written PARAMETER name value"
    if "BARE" in allowed and text[position:].strip(" \t")[:1] == '"':
        return "unexpected EOF: the quote that opens here is not closed at the end of a line"
    if "BARE" in allowed or position >= len(text):
        return "unexpected EOF: a command needs a value"
    word = re.match(r"[A-Za-z]+(?=[\r\n]|\Z)", text[position:])
    if word and word[0].lower() in KEYWORDS:
        return f"unexpected EOF: {word[0].upper()} needs a value"
    *most, last = (f'"{keyword}"' for keyword in KEYWORDS)
    return f"command must be one of {', '.join(most)}, or {last}"
