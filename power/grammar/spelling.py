"""How JSON writes things: characters within quotes, whitespace, and any value at all.

A text under a constraint is written in one way only, its characters directly
and escapes where JSON demands them; an escape for a letter could otherwise say
what a pattern forbids.  Free text may use every escape.
"""

from __future__ import annotations

from functools import lru_cache
from json.encoder import encode_basestring  # what `json.dumps` does with a text

from power.grammar import charset
from power.grammar.charset import Ranges
from power.grammar.expressions import Chars, Expr, Ref, Repeat, Seq, Text, alt, seq

# A model that has nothing to say must not be able to write spaces for ever.
MAX_INDENT = 40

QUOTE = Text('"')
SPACE = Ref("space")  # after `{`, `[`, `,` and before what closes
GAP = Ref("gap")  # after `:`
CHAR = Ref("char")
PLAIN = Ref("plain")  # a character in its one spelling
STRING = Ref("string")
ANY_NUMBER = Ref("number")
ANY_INTEGER = Ref("integer")

_HEX = Chars(charset.of("0123456789abcdefABCDEF"))
_ESCAPED = charset.normal([(0, 31), (34, 34), (92, 92)])
_SURROGATES: Ranges = ((0xD800, 0xDFFF),)
_DIRECT = charset.complement(charset.normal([*_ESCAPED, *_SURROGATES]))
_SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}

_UNPAIRED = alt(
    seq(Chars(charset.of("0123456789abcefABCEF")), Repeat(_HEX, 3, 3)),
    seq(Chars(charset.of("dD")), Chars(charset.of("01234567")), Repeat(_HEX, 2, 2)),
)
_HIGH = seq(Chars(charset.of("dD")), Chars(charset.of("89abAB")), Repeat(_HEX, 2, 2))
_LOW = seq(Text("\\u"), Chars(charset.of("dD")), Chars(charset.of("cdefCDEF")), Repeat(_HEX, 2, 2))

# What `numbers.language` says of all numbers and integers; written out, since that is a layer above.
_DIGIT, _SIGNS = Chars(charset.of("0123456789")), Repeat(Chars(charset.of("-")), 0, 1)
_POSITIVE = Chars(charset.of("123456789"))
_FRACTION = Repeat(seq(Text("."), Repeat(_DIGIT, 1, 20)), 0, 1)
_EXPONENT = alt(Repeat(_DIGIT, 1, 2), seq(Chars(charset.of("012")), _DIGIT, _DIGIT))
_SCIENTIFIC = seq(_DIGIT, _FRACTION, Chars(charset.of("eE")), Repeat(Chars(charset.of("+-")), 0, 1), _EXPONENT)
_DECIMAL = seq(alt(Text("0"), seq(_POSITIVE, Repeat(_DIGIT, 0, 19))), _FRACTION)
ANY_NUMBER_BODY = seq(_SIGNS, alt(_DECIMAL, _SCIENTIFIC))
ANY_INTEGER_BODY = seq(_SIGNS, alt(Text("0"), seq(_POSITIVE, Repeat(_DIGIT, 0, 19))))

SHARED: dict[str, Expr] = {
    "number": ANY_NUMBER_BODY,
    "integer": ANY_INTEGER_BODY,
    "space": alt(Repeat(Text(" "), 0, 1), seq(Text("\n"), Repeat(Chars(charset.of(" \t")), 0, MAX_INDENT))),
    "gap": Repeat(Text(" "), 0, 1),
    "char": alt(Chars(_DIRECT), seq(Text("\\"), Ref("escape"))),
    "escape": alt(Chars(charset.of('"\\/bfnrt')), seq(Text("u"), Ref("code"))),
    "plain": alt(Chars(_DIRECT), seq(Text("\\"), Ref("needed"))),
    "needed": alt(Chars(charset.of('"\\bfnrt')), seq(Text("u00"), Chars(charset.of("01")), _HEX)),
    "code": alt(_UNPAIRED, seq(_HIGH, _LOW)),
    "string": seq(QUOTE, Repeat(CHAR, 0, None), QUOTE),
    "value": alt(
        Ref("object"), Ref("array"), STRING, ANY_NUMBER, Text("true"), Text("false"), Text("null")
    ),
    "object": seq(Text("{"), SPACE, Repeat(Seq((Ref("members"), SPACE)), 0, 1), Text("}")),
    "members": seq(Ref("member"), Repeat(seq(Text(","), SPACE, Ref("member")), 0, None)),
    "member": seq(STRING, Text(":"), GAP, Ref("value")),
    "array": seq(Text("["), SPACE, Repeat(Seq((Ref("elements"), SPACE)), 0, 1), Text("]")),
    "elements": seq(Ref("value"), Repeat(seq(Text(","), SPACE, Ref("value")), 0, None)),
}  # fmt: skip


@lru_cache(maxsize=1000)
def spell_chars(ranges: Ranges) -> Expr:
    """One character of the set, as it stands within a JSON string."""
    if ranges == charset.ALL:
        return PLAIN
    direct = charset.intersection(ranges, _DIRECT)
    escaped = charset.intersection(ranges, _ESCAPED)
    if escaped == _ESCAPED:
        escapes: list[Expr] = [seq(Text("\\"), Ref("needed"))]
    else:
        points = (point for low, high in escaped for point in range(low, high + 1))
        escapes = [Text(_SHORT.get(point, f"\\u{point:04x}")) for point in points]
    return alt(*([Chars(direct)] if direct else []), *escapes)


def spell_text(text: str) -> str:
    """The text as it stands within a JSON string."""
    return encode_basestring(text)[1:-1]
