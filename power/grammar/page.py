"""The page about structured output, made of the lists and limits in the code.

`python -m power.grammar.page > docs/structured-output.md` writes it anew; a test
holds the two together.
"""

from __future__ import annotations

from power.grammar import (
    arrays,
    automaton,
    checking,
    compile,
    formats,
    keywords,
    numbers,
    objects,
    pattern,
    rules,
    schema,
    shapes,
    spelling,
)

HEAD = """\
# Structured output

Power compiles a JSON Schema to a grammar, and a model that is held to the grammar can write nothing else. What the
grammar accepts is valid against the schema: every keyword is compiled exactly or *from below* (all that is accepted
is valid; not all that is valid is accepted), or the schema is refused with a 400 that names the keyword and its JSON
pointer.

```python
from power.grammar import SchemaError, schema_to_gbnf

grammar = schema_to_gbnf({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
try:
    schema_to_gbnf({"properties": {"a": {"type": "string", "pattern": "(?<=x)y"}}})
except SchemaError as error:
    print(error.keyword, error.pointer)  # pattern /properties/a/pattern
```

## How to ask

| field | what |
| --- | --- |
| `format` (`/api`) | `"json"` for any JSON object, or a schema |
| `response_format` (`/v1`) | `json_object`, or `json_schema`; with `strict`, nothing is ever left out |
| `json_schema`, `guided_json` | a schema |
| `regex`, `guided_regex` | a regular expression of ECMA-262, for the answer from end to end |
| `choice`, `guided_choice` | one of these texts |
| `grammar`, `guided_grammar` | a grammar in GBNF; it is checked before llama.cpp sees it |
| `structured_outputs` | an object with one of `json`, `json_object`, `regex`, `choice`, `grammar` |

The names are Ollama's, OpenAI's, llama-server's and vLLM's; all but the first two are taken on every route. Two of
them at once are a 400 that names both. A model that thinks does so first and freely, and is held to the form after
its closing tag. `power run --format schema.json` takes a schema or `json`; `power grammar compile`, `check` and
`test` show what a schema or grammar means, and where a text leaves it.

## The language

The dialect is JSON Schema 2020-12, with the spellings of draft-04 to 2019-09 (`definitions`, `dependencies`, `id`,
boolean `exclusiveMinimum`, lists in `items`). Up to draft-07, what stands beside `$ref` says nothing, as those drafts
have it. Nothing is ever fetched.

## Two settings

* **Objects.** An object whose schema declares properties and is silent about others is *closed*: the model writes
  what was asked for, and nothing else. With `objects="open"` it may have others. An object without any declared
  property may always have some.
* **What is not supported** is refused. With `on_unsupported="warn"` the keyword is left out instead, and its pointer
  reported: in the log, in `format_ignored` of the answer's last object on every route, and in
  `compile_schema(...).ignored`. Then the output may be invalid.

Both are keys of `[grammar]` in the [configuration](configuration.md).

## Texts

Whitespace is free where JSON has it, and bounded: at most one space, or one line end and {indent} characters of
indentation. A string under a constraint has one spelling: characters stand for themselves, and escapes are only where
JSON demands them. A string without constraint may have every escape. Numbers have at most {digits} digits before the
dot (more if a bound has more) and {fraction} after it; exponents are allowed where no bound can be broken by them,
and never overflow a double. Integers are written without a dot: `1.0` is one, too, but not to most readers. A declared
name never comes twice in an object; one that is not may, but neither counts twice nor can say what is invalid.
"""

FORMATS = """\
They are asserted, not annotated. Dates know leap years; seconds stop at 59. E-mail addresses have no quotes, and
names in other alphabets are not written for the `idn-` and `iri` formats. `regex` is a safe part of the language of
patterns.
"""


def page() -> str:
    """The whole page."""
    parts = [
        _head(),
        "## Keywords\n",
        _table(("keyword", "", "how"), _keyword_rows()),
        f"Annotations, without effect: {', '.join(f'`{name}`' for name in sorted(keywords.ANNOTATIONS))}.",
        "Names that no draft knows are annotations too. Refused: "
        + ", ".join(f"`{name}` ({why})" for name, why in sorted(keywords.REFUSED.items()))
        + ".\n",
        "## Formats\n",
        ", ".join(f"`{name}`" for name in formats.PATTERNS) + ".\n",
        FORMATS,
        "## Limits\n",
        _table(("what", "at most", "past it"), _limit_rows()),
    ]
    return "\n".join(parts) + "\n"


def _head() -> str:
    figures = {"indent": spelling.MAX_INDENT, "digits": numbers.MAX_DIGITS, "fraction": numbers.MAX_FRACTION}
    text = HEAD
    for name, figure in figures.items():
        text = text.replace(f"{{{name}}}", str(figure))
    return text


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _keyword_rows() -> list[tuple[str, ...]]:
    exact: list[tuple[str, ...]] = [
        (f"`{name}`", "exact", note.replace("|", "\\|")) for name, note in keywords.EXACT.items()
    ]
    return exact + [(f"`{name}`", "from below", note) for name, note in keywords.FROM_BELOW.items()]


def _limit_rows() -> list[tuple[str, ...]]:
    refused = "refused"
    return [
        ("values in a schema", f"{schema.MAX_NODES:,}", refused),
        ("nesting of a schema", f"{schema.MAX_DEPTH}", refused),
        ("alternatives of one type that combinators make", f"{shapes.MAX_ALTERNATIVES}", refused),
        ("ways in which patterns of property names overlap", f"{shapes.MAX_REGIONS}", refused),
        ("characters in a pattern", f"{pattern.MAX_PATTERN:,}", refused),
        ("states of an automaton", f"{automaton.MAX_STATES:,}", "refused; a too large `maxLength` is lowered"),
        ("properties in any order", f"{objects.MAX_ANY_ORDER}", "in the order of declaration"),
        ("values of unique items in any order", f"{arrays.MAX_IN_ANY_ORDER}", "in the order of the `enum`"),
        ("remainders of `multipleOf`", f"{numbers.MAX_MODULUS:,}", refused),
        ("characters of a grammar", f"{compile.MAX_GRAMMAR:,}", refused),
        ("rules of a grammar", f"{rules.MAX_RULES:,}", refused),
        ("elements of a grammar with repeats written out", f"{checking.MAX_ELEMENTS:,}", refused),
    ]


if __name__ == "__main__":
    print(page(), end="")
