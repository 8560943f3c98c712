r"""The characters of a Unicode property, for `\p{…}` in patterns."""

from __future__ import annotations

import sys
import unicodedata
from functools import lru_cache

from power.grammar import charset
from power.grammar.charset import Ranges

# General categories by their long names; scripts are not in Python's database.
_LONG = {
    "Letter": "L", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt",
    "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd",
    "Punctuation": "P", "punct": "P", "Symbol": "S", "Separator": "Z", "Space_Separator": "Zs", "Other": "C",
    "Control": "Cc", "cntrl": "Cc",
    "Alphabetic": "L", "Uppercase": "Lu", "Lowercase": "Ll",
}  # fmt: skip
_CATEGORIES = frozenset(
    "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Co".split()
)


def ranges(name: str) -> Ranges | None:
    """The characters of a property, by its short or long name; None if it is none we know."""
    name = name.removeprefix("General_Category=").removeprefix("gc=")
    if name == "Any":
        return charset.ALL
    if name == "ASCII":
        return ((0, 127),)
    short = _LONG.get(name, name)
    return _category(short) if short in _CATEGORIES else None


@lru_cache
def _category(prefix: str) -> Ranges:
    points = (p for p in range(sys.maxunicode + 1) if unicodedata.category(chr(p)).startswith(prefix))
    return charset.normal((point, point) for point in points)
