"""From the keywords of a schema to the shape of the values they allow.

Each keyword, or group of keywords that only make sense together, is one function
that returns a shape or a part of one; a schema is the intersection of them.

    reader ─ applied ($ref, allOf, not, if …) ─ unevaluated
           └ scalars (type, enum, minimum, pattern …) ─ arrays ─ objects
             fields: keywords' values, of the right type or refused
"""

from power.grammar.reading.reader import Reader

__all__ = ["Reader"]
