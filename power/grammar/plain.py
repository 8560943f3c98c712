"""Texts of a schema that are written as they are, up to a mark that closes them.

JSON has quotes and escapes; between tags, or between a mark and its like, a text can
hold anything but what closes it.  So its language is what the schema allows, without
the texts in which the mark is.
"""

from __future__ import annotations

from typing import Any

from power.grammar import automaton, charset
from power.grammar import languages as la
from power.grammar import terms as te
from power.grammar.errors import SchemaError, TooLarge
from power.grammar.expressions import NOTHING, Chars
from power.grammar.printing import print_rules
from power.grammar.reading import Reader
from power.grammar.rules import Rules
from power.grammar.schema import Document
from power.grammar.texts import TextWriter

# Characters. Longer bounds have to be counted along with the characters of the mark that have been seen, which makes
# as many states as there are of both; then what begins the mark is left out of the text altogether.
MAX_COUNTED = 40


def text_to_gbnf(schema: Any, close: str) -> str:
    """GBNF of the schema's texts in which `close` is not; empty if that is all that there is to say of them.

    Raises:
        SchemaError: something in it cannot be compiled, or no text is left.
    """
    document = Document(schema)
    texts = Reader(document, refuse=True).expand(te.at(document.number(document.top))).strings
    if texts is la.ALL:
        return ""
    high = la.lengths(texts)[1]
    try:
        if high is not None and high > MAX_COUNTED and _is_bound(texts):
            return _grammar(_without_first(texts, close))
        return _grammar(_without(texts, close))
    except TooLarge:
        pass
    try:
        return _grammar(_without_first(texts, close))
    except TooLarge as error:
        raise SchemaError(error.message) from error


def _is_bound(texts: la.Lang) -> bool:
    """Whether a length is all that is asked of them, or one thing of several."""
    parts = texts.parts if isinstance(texts, la.Both) else (texts,)
    return any(isinstance(part, la.Repeat) and part.item == la.ANY for part in parts)


def _without(texts: la.Lang, mark: str) -> la.Lang:
    marked = la.cat(la.ALL, la.words([mark]), la.ALL)
    return texts if automaton.is_empty(la.both(texts, marked)) else la.both(texts, la.negation(marked))


def _without_first(texts: la.Lang, mark: str) -> la.Lang:
    """Without the mark's first character, a simpler language."""
    return la.both(texts, la.repeat(la.chars(charset.complement(charset.of(mark[0])))))


def _grammar(texts: la.Lang) -> str:
    rules = Rules()
    body = TextWriter(rules, Chars, str).write(texts)
    if body is NOTHING:
        raise SchemaError("no text is valid against this schema")
    return print_rules({**rules.bodies, "root": body}, "root")
