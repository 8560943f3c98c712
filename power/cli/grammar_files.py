"""What `power grammar` does with files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

from power.errors import BadRequest
from power.grammar import check_gbnf, compile_schema, mismatch, parse_gbnf

SHOWN_BEFORE = 60  # characters of the text before the place where it fails
MAX_EXPECTED = 8  # character classes that are named

Objects = Literal["closed", "open"]


def print_compiled(file: Path, *, objects: Objects, on_unsupported: Literal["refuse", "warn"]) -> None:
    """Print the schema's grammar; keywords that were left out go to stderr."""
    compiled = compile_schema(_schema(_read(file)), objects=objects, on_unsupported=on_unsupported)
    for pointer in compiled.ignored:
        print(f"Warning: left out {pointer}", file=sys.stderr)
    print(compiled.grammar, end="")


def check_file(file: Path) -> None:
    """Print what the grammar is made of. Raises BadRequest if it may not be used."""
    grammar = _grammar(file, "closed")
    check_gbnf(grammar)
    print(f"{len(parse_gbnf(grammar).rules)} rules, {len(grammar)} characters: fine")


def try_text(file: Path, text: str, *, objects: Objects) -> int:
    """Print whether the text follows the grammar, or where it stops; the status is 1 if it does not."""
    if text.startswith("@"):
        text = _read(Path(text[1:]))
    grammar = _grammar(file, objects)
    check_gbnf(grammar)
    found = mismatch(parse_gbnf(grammar), text)
    if found is None:
        print("The text follows the grammar.")
        return 0
    line, column = text.count("\n", 0, found.at) + 1, found.at - text.rfind("\n", 0, found.at)
    before = text[max(0, found.at - SHOWN_BEFORE) : found.at].rpartition("\n")[2]
    after = text[found.at : found.at + 20].partition("\n")[0]
    what = "ends too early" if found.at == len(text) else "stops following the grammar"
    print(f"The text {what} at line {line}, column {column}:\n  {before}{after}\n  {' ' * len(before)}^")
    options = [*found.expected[:MAX_EXPECTED], *(["…"] if len(found.expected) > MAX_EXPECTED else [])]
    options += ["the end"] if found.is_end_expected else []
    print(f"  expected {' or '.join(options)}")
    return 1


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadRequest(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"{file} is no text in UTF-8") from error


def _grammar(file: Path, objects: Objects) -> str:
    """The grammar in the file, or of the schema in it."""
    text = _read(file)
    is_schema = file.suffix == ".json" or (str(file) == "-" and text.lstrip().startswith("{"))
    return compile_schema(_schema(text), objects=objects).grammar if is_schema else text


def _schema(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the schema is no JSON: {error}") from error
