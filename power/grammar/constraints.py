"""Constraints that are no schemas: a regular expression, or a choice of texts."""

from __future__ import annotations

from collections.abc import Sequence

from power.errors import BadRequest
from power.grammar import languages as la
from power.grammar.errors import PatternError, TooLarge
from power.grammar.expressions import NOTHING, Chars
from power.grammar.pattern import full_language
from power.grammar.printing import print_rules
from power.grammar.rules import Rules
from power.grammar.texts import TextWriter

MAX_CHOICES = 10_000
MAX_CHOICE_LENGTH = 100_000  # characters of all choices together


def regex_to_gbnf(pattern: str) -> str:
    """The grammar of the texts that the ECMA-262 pattern matches from end to end.

    Raises:
        BadRequest: malformed, not supported, too large, or without any match; `field` is `regex`.
    """
    try:
        return _grammar(full_language(pattern))
    except TooLarge as error:
        raise BadRequest(error.message, field="regex") from error
    except RecursionError:
        raise PatternError("the pattern is nested too deeply", 0) from None


def choice_to_gbnf(choices: Sequence[str]) -> str:
    """The grammar of exactly these texts.

    Raises:
        BadRequest: there are none, too many, or they are no texts; `field` is `choice`.
    """
    if not choices or not all(isinstance(choice, str) for choice in choices):
        raise BadRequest("a choice needs at least one text", field="choice")
    if len(choices) > MAX_CHOICES or sum(map(len, choices)) > MAX_CHOICE_LENGTH:
        raise BadRequest(
            f"a choice is of at most {MAX_CHOICES} texts and {MAX_CHOICE_LENGTH} characters", field="choice"
        )
    return _grammar(la.words(choices))


def _grammar(lang: la.Lang) -> str:
    rules = Rules()
    body = TextWriter(rules, Chars, str).write(lang)
    if body == NOTHING:
        raise BadRequest("no text matches the pattern", field="regex")
    return print_rules({**rules.bodies, "root": body}, "root")
