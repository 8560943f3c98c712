# Invariant: a pattern is refused or compiled within seconds, and then finds what Python's `re` finds.
"""Composes pieces of patterns and short texts."""

import random
import re
import time
import warnings

import mutate

from power.errors import BadRequest
from power.grammar import check_gbnf, languages, regex_to_gbnf
from power.grammar.pattern import search_language

PIECES = [
    "a",
    "b",
    "0",
    ".",
    "^",
    "$",
    "|",
    "(",
    ")",
    "(?:",
    "(?=",
    "(?!",
    "[",
    "]",
    "[^a]",
    "[a-b]",
    "-",
    "*",
    "+",
    "?",
]
PIECES += ["{2}", "{1,3}", "{0,}", "\\d", "\\w", "\\D", "\\.", "\\", "\\u0041", "\\x", "{", "}", ","]


def check(rng: random.Random) -> None:
    source = "".join(rng.choice(PIECES) for _ in range(rng.randrange(12)))
    start = time.process_time()
    try:
        lang = search_language(source)
        check_gbnf(regex_to_gbnf(source))
    except BadRequest:
        lang = None
    assert time.process_time() - start < 5, source
    python = compiled(source)
    if lang is None or python is None:
        return
    for _ in range(5):
        text = "".join(rng.choice("ab0A") for _ in range(rng.randrange(6)))
        assert languages.matches(lang, text) == bool(python.search(text)), (source, text)


def compiled(source: str) -> "re.Pattern[str] | None":
    """Python's reading, where the dialects agree: ECMA knows `[^]`, `[]` and braces that stand for themselves."""
    bare = source.replace("[^a]", "").replace("[a-b]", "")
    if re.search(r"\\[^dwD.]|\[\^?\]|\{,|\]|[+*?}]\+|\\$", bare):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(source.replace("$", r"\Z"), re.ASCII)
    except (re.error, Warning, OverflowError):
        return None


if __name__ == "__main__":
    mutate.run(check)
