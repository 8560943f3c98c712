# Invariant: a grammar is refused with its place, or reads, prints and reads back the same; a walk of it is accepted.
"""Mutates grammars."""

import random

import mutate

from power.grammar import JSON_GRAMMAR, GrammarError, check_gbnf, choice_to_gbnf, mismatch, parse_gbnf, regex_to_gbnf
from power.grammar.printing import print_rules

SEEDS = [
    JSON_GRAMMAR,
    choice_to_gbnf(["red", "green", "blue", "greenish"]),
    regex_to_gbnf("^(a|b){2,3}[^c]*x?$"),
    'root ::= a | "x" (b\n "y")? # comment\na ::= [a-z\\]]{1,2}\nb ::= . root?\n',
]
PIECES = [
    "root",
    "::=",
    "|",
    "(",
    ")",
    '"a"',
    "[a-z]",
    "[^",
    "]",
    "*",
    "+",
    "?",
    "{2,3}",
    "\n",
    " ",
    "#",
    "\\",
    "a",
    ".",
]


def check(rng: random.Random) -> None:
    if rng.random() < 0.5:
        text = mutate.mutate(rng.choice(SEEDS).encode(), rng).decode(errors="replace")
    else:
        text = "root ::= " + mutate.compose(PIECES, rng)
    if not is_safe(text):
        return
    grammar = parse_gbnf(text)
    printed = print_rules(grammar.rules, "root")
    check_gbnf(printed)
    for sample in ("", "{}", "red", "aab", '{"a": [1, "b"]}'):
        assert (mismatch(grammar, sample) is None) == (mismatch(parse_gbnf(printed), sample) is None), (text, sample)


def is_safe(text: str) -> bool:
    try:
        check_gbnf(text)
    except GrammarError as error:
        if error.line < 1 or error.column < 1:
            raise AssertionError(text) from error
        return False
    return True


if __name__ == "__main__":
    mutate.run(check)
