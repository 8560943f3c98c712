"""`power grammar`: compile schemas, check grammars, and try texts against either.

Only signatures and help, like `power.cli.app`: each command brings in the rest itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts import App, Group

EPILOGUE = """\
A FILE that ends in .json is a JSON Schema, any other a grammar in GBNF;
- stands for the standard input, and is a schema if it begins with {.

Examples:
  power grammar compile person.json        What a model will be held to
  power grammar check answers.gbnf
  power grammar test person.json '{"name": "Ada"}'
  power grammar test answers.gbnf @answer.txt
  power run --format person.json tiny "Who is Ada?"
"""

app = App(
    name="grammar",
    sort_key=7,
    help="Compile JSON Schemas, check grammars, and try texts against them.",
    help_epilogue=EPILOGUE,
    group_commands=Group("Commands", sort_key=0),
)


@app.command(name="compile", sort_key=0)
def compile_(
    file: Path,
    /,
    *,
    objects: Literal["closed", "open"] = "closed",
    on_unsupported: Literal["refuse", "warn"] = "refuse",
) -> None:
    """Print the grammar of a JSON Schema.

    Parameters
    ----------
    file
        The schema; - reads the standard input.
    objects
        Whether objects that say nothing about other members may have some.
    on_unsupported
        What to do with a keyword that cannot be compiled; warn leaves it out.
    """
    from power.cli.grammar_files import print_compiled

    print_compiled(file, objects=objects, on_unsupported=on_unsupported)


@app.command(sort_key=1)
def check(file: Path, /) -> None:
    """Say whether a grammar or a schema may be used, and if not, what is wrong and where.

    Parameters
    ----------
    file
        A grammar or a schema; - reads the standard input.
    """
    from power.cli.grammar_files import check_file

    check_file(file)


@app.command(name="test", sort_key=2)
def try_(file: Path, text: str, /, *, objects: Literal["closed", "open"] = "closed") -> int:
    """Try a text against a grammar or a schema, and show where it fails.

    Parameters
    ----------
    file
        A grammar or a schema; - reads the standard input.
    text
        The text, or @PATH for what is in that file.
    objects
        Whether objects that say nothing about other members may have some.
    """
    from power.cli.grammar_files import try_text

    return try_text(file, text, objects=objects)
