"""A grammar of the calls that a model may write: of these tools, with arguments that their schemas allow.

`calls_grammar` holds an answer to calls from its first character on; answers that
may call, and need not, are in `power.grammar.dialects.free`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from power.grammar.compile import schema_to_gbnf
from power.grammar.compose import literal
from power.grammar.dialects.channels import CHANNEL, ENDS, MESSAGE
from power.grammar.dialects.dialect import ID, INDEX, NAME, Dialect, Syntax
from power.grammar.dialects.marks import overlap
from power.grammar.dialects.parts import Parts
from power.grammar.dialects.rawvalues import Nested, listed, of_types, raw_value, required_of, slug, with_words
from power.grammar.dialects.rulebook import LINES, Rulebook, marks
from power.grammar.dialects.typed import TYPES, Schema, types_of
from power.messages import Tool

HOLES = (ID, INDEX, NAME)
GAP = '" "?'  # after a colon or a comma
Piece = tuple[str, bool]
"""A text that is always the same (True), or the body of a rule."""
CALL_ID = "[a-zA-Z0-9]{9}"  # Mistral's form, which others take as well


def calls_grammar(dialect: Dialect, tools: Sequence[Tool], *, parallel: bool, must: bool, prompt: str = "") -> str:
    """GBNF of one call, or of several where they may be `parallel`; `prompt` may have begun the first.

    Raises:
        BadRequest: a tool's schema cannot be compiled, and the calls `must` keep to it;
            else such a tool's arguments are any object.
    """
    rules = Rulebook()
    begun = overlap(prompt.rstrip(), dialect.opening.lstrip())
    calls = Calls(dialect, tools, rules, must=must)
    return rules.print(calls.all(parallel=parallel, after=begun if len(begun) > 1 else ""))


class Calls:
    """The rules of one dialect's calls of some tools."""

    def __init__(self, dialect: Dialect, tools: Sequence[Tool], rules: Rulebook, *, must: bool) -> None:
        self._dialect = dialect
        self._rules = rules
        self._must = must
        self._functions: list[dict[str, Any]] = [tool.get("function", tool) for tool in tools]
        self._call_rule = ""

    def all(self, *, parallel: bool, after: str = "") -> str:
        """The section of calls; `after` is what of its opening is written already."""
        opened = self._marks(self._dialect.opening.removeprefix(after))
        return f"{opened} {self._any_call()} {self.after_call(parallel=parallel)}"

    def _any_call(self) -> str:
        if not self._call_rule:
            bodies = [self._call(function, f"tool{number}") for number, function in enumerate(self._functions)]
            self._call_rule = self._rules.add("call", " | ".join(bodies))
        return self._call_rule

    def after_call(self, *, parallel: bool) -> str:
        """What closes the first call, the others, and what closes their section."""
        dialect = self._dialect
        close, section_close = self._marks(dialect.call_close), self._marks(dialect.section_close)
        if not (parallel and dialect.parallel):
            return f"{close} {section_close}"
        call = self._any_call()
        separator, again = self._marks(dialect.separator), self._marks(dialect.call_open)
        self._rules.add("more-calls", f'{separator} {again} {call} {close} more-calls | ""')
        rest = f"{close} more-calls {section_close}"
        if dialect.repeats_section:
            whole = self._marks(dialect.opening)
            self._rules.add("more-sections", f'{LINES} {whole} {call} {rest} more-sections | ""')
            rest += " more-sections"
        return rest

    def heads(self) -> Iterator[tuple[list[str], str]]:
        """Of each call of an object: the texts that it may begin with, up to its name, and the rest; if there are."""
        dialect = self._dialect
        for number, function in enumerate(self._functions if dialect.syntax is Syntax.OBJECT else ()):
            pieces = self._pieces(function, f"tool{number}")
            name = next(n for n, piece in enumerate(pieces) if piece == (json.dumps(_name(function)), True))
            head, rest = pieces[: name + 1], pieces[name + 1 :]
            if all(fixed or text == GAP for text, fixed in head):
                texts = ["".join(text if fixed else gap for text, fixed in head) for gap in (" ", "")]
                yield [dialect.opening.lstrip() + text for text in texts], _joined(rest)

    def names(self) -> Iterator[tuple[str, str]]:
        """Of each call whose opening is written: its name with what ends it, and the rest; if the name comes first."""
        dialect, end = self._dialect, self._name_end
        if dialect.syntax in (Syntax.OBJECT, Syntax.CHANNEL) or not end or any(hole in end for hole in HOLES):
            return
        for number, function in enumerate(self._functions):
            yield f"{_name(function)}{end}", self._behind_name(function, f"tool{number}")

    def messages(self) -> Iterator[tuple[str, str]]:
        """Of each call on a channel: its name, and the rest of its header and what is said."""
        for number, function in enumerate(self._functions):
            schema = _closed(function.get("parameters"))
            arguments = self._parts(function).json(schema, f"tool{number}")
            channel = f"( {literal(CHANNEL)} [a-z]{{1,16}} )?"
            kind = '" "? ( "<|constrain|>" )? ( "json" )? " "?'
            yield _name(function), f"{channel} {kind} {literal(MESSAGE)} {arguments} ( {literal(ENDS[1])} )?"

    def _marks(self, text: str) -> str:
        """Marks, with what belongs into their holes."""
        return self._holed(text, "")

    def _holed(self, text: str, name: str) -> str:
        parts, rest = [], text
        while rest:
            holes = [(rest.find(hole), hole) for hole in HOLES if hole in rest]
            at, hole = min(holes, default=(len(rest), ""))
            parts.append(marks(rest[:at]))
            parts.append({ID: CALL_ID, INDEX: "[0-9]{1,3}", NAME: "[A-Za-z0-9_.-]{1,64}"}.get(hole, ""))
            rest = rest[at + len(hole) :] if hole else ""
        return " ".join(part for part in parts if part)

    # -- one tool --

    def _call(self, function: dict[str, Any], rule: str) -> str:
        """What is between the marks of a call of this tool."""
        name, schema = _name(function), _closed(function.get("parameters"))
        parts, dialect = self._parts(function), self._dialect
        match dialect.syntax:
            case Syntax.OBJECT:
                return _joined(self._pieces(function, rule))
            case Syntax.CHANNEL:
                arguments = parts.json(schema, rule)
                start = '( "<|start|>assistant" )?'
                to = literal(f" to=functions.{name}<|channel|>commentary")
                return f'{start} {to} ( " json" | " <|constrain|>json" )? "<|message|>" {arguments}'
        return f"{literal(name)} {self._holed(self._name_end, name)} {self._behind_name(function, rule)}"

    @property
    def _name_end(self) -> str:
        """What is written behind a name that no arguments have a part in."""
        return "(" if self._dialect.syntax is Syntax.PYTHON else self._dialect.name_end.removesuffix("{")

    def _behind_name(self, function: dict[str, Any], rule: str) -> str:
        """The arguments, where the name comes before them."""
        parts, schema, dialect = self._parts(function), _closed(function.get("parameters")), self._dialect
        match dialect.syntax:
            case Syntax.ARGUMENTS:
                return parts.json(schema, rule)
            case Syntax.PYTHON:
                return f'{self._keywords(schema, rule, parts)} ")"'
            case Syntax.BRACES:
                return Nested(self._rules, schema, parts, quote=dialect.quote).members(schema, rule)
            case Syntax.ELEMENTS:
                return Nested(self._rules, schema, parts, mark=dialect.element).elements(schema, rule)
        return self._parameters(schema, rule, parts)

    def _parts(self, function: dict[str, Any]) -> Parts:
        strict = self._must or function.get("strict") is True
        return Parts(self._rules, _closed(function.get("parameters")), _name(function), strict=strict)

    def _pieces(self, function: dict[str, Any], rule: str) -> list[Piece]:
        """A JSON object with the name and the arguments in it."""
        dialect, name = self._dialect, _name(function)
        arguments = self._parts(function).json(_closed(function.get("parameters")), rule)
        if dialect.keyed:
            return [("{", True), (json.dumps(name), True), (":", True), (GAP, False), (arguments, False), ("}", True)]
        if dialect.escaped:
            arguments = self._rules.include(schema_to_gbnf({"type": "string"}), "escaped")
        fields = {key: [self._field(value, name)] for key, value in dialect.fields}
        fields |= {dialect.name_key: [(json.dumps(name), True)], dialect.arguments_key: [(arguments, False)]}
        if dialect.id_key:
            fields[dialect.id_key] = [(f'"\\"" {CALL_ID} "\\""', False)]
        inner = _members([(key, fields[key]) for key in dialect.keys if key in fields])
        if not dialect.wrapper_key:
            return inner
        outer = [(key, value) for key, value in fields.items() if key not in dialect.keys]
        return _members([*outer, (dialect.wrapper_key, inner)])

    def _field(self, value: str, name: str) -> Piece:
        has_holes = any(hole in value for hole in HOLES)
        return (self._holed(value, name), False) if has_holes else (value, True)

    def _keywords(self, schema: Schema, rule: str, parts: Parts) -> str:
        pairs = []
        for number, (key, each) in enumerate(_properties(schema)):
            value = parts.json(each, f"{rule}-{number}")
            pairs.append((key, f"{literal(f'{key}=')} {with_words(value, each, types_of(each, schema))}"))
        return listed(self._rules, f"{rule}-keyword", pairs, required_of(schema), f'"," {GAP}')

    def _parameters(self, schema: Schema, rule: str, parts: Parts) -> str:
        pairs = [
            (key, self._parameter(key, each, schema, f"{rule}-{number}", parts))
            for number, (key, each) in enumerate(_properties(schema))
        ]
        return listed(self._rules, f"{rule}-parameter", pairs, required_of(schema), "")

    def _parameter(self, key: str, schema: Any, root: Schema, rule: str, parts: Parts) -> str:
        dialect = self._dialect
        opened, close = f"{marks(dialect.key_open)} {literal(key)}", dialect.value_close
        types = types_of(schema, root) & TYPES
        if not dialect.is_typed:
            value = raw_value(parts, schema, types, close, rule)
            return f"{opened} {literal(dialect.key_end('string'))} ( {value} )"
        ways = []
        for end in dict.fromkeys(dialect.key_end(kind) for kind in sorted(types)):
            kinds = {kind for kind in types if dialect.key_end(kind) == end}
            if "string" in kinds:
                ways.append(f"{literal(end)} {parts.text(schema, close, f'{rule}-text')}")
            if others := kinds - {"string"}:
                value = parts.json(of_types(schema, others), f"{rule}-{slug(min(others))}")
                ways.append(f"{literal(end)} {value} {literal(close)}")
        return f"{opened} ( {' | '.join(ways)} )"


def _members(members: list[tuple[str, list[Piece]]]) -> list[Piece]:
    pieces: list[Piece] = []
    for key, value in members:
        comma: list[Piece] = [(",", True), (GAP, False)] if pieces else []
        pieces += [*comma, (json.dumps(key), True), (":", True), (GAP, False), *value]
    return [("{", True), *pieces, ("}", True)]


def _joined(pieces: list[Piece]) -> str:
    return " ".join(literal(text) if fixed else text for text, fixed in pieces)


def _name(function: dict[str, Any]) -> str:
    return str(function.get("name", ""))


def _closed(parameters: Any) -> Schema:
    """A tool's schema as one of an object that has what it declares, and no more."""
    schema: Schema = {"type": "object", **parameters} if isinstance(parameters, dict) else {"type": "object"}
    if schema.get("type") in (None, ["object"]):
        schema["type"] = "object"
    if not schema.get("properties") and not any(key in schema for key in ("additionalProperties", "$ref", "anyOf")):
        schema["additionalProperties"] = False
    return schema


def _properties(schema: Schema) -> list[tuple[str, Any]]:
    properties = schema.get("properties")
    return list(properties.items()) if isinstance(properties, dict) else []
