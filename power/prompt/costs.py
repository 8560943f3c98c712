"""What the filters and methods of Jinja templates cost, before they run.

Only what is listed here may be called.  What is not (`int.to_bytes`, `lipsum`,
`urlize`, …) no chat template has been seen to use, and much of it makes a lot
of little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from sys import getsizeof
from typing import Any

from jinja2.exceptions import SecurityError

from power.prompt.fuel import STEP, Fuel

Arguments = Mapping[str, Any]
Cost = Callable[[Fuel, Any, Sequence[Any], Arguments], int]
"""Bytes that a call reads and makes, given the value it is called on and its arguments."""

PART = 64  # bytes of a short string and a place in a list
MAX_BITS = 4096  # of an integer to calculate with
SMALL = 2**64  # of which sums need no looking at
MAX_PLACES = 100  # digits to round to
# Widths beyond these are no layout, but an attempt: '%999999999d', '{:>{}}'.
_WIDE = re.compile(r"[0-9]{5}|[%].*?\*|\{[^{}]*\{", re.DOTALL)


def size(value: Any) -> int:
    """Bytes of a string; of a container without what it holds."""
    if isinstance(value, str):
        return getsizeof(value)
    return STEP + 8 * len(value) if isinstance(value, Sized) else STEP


# -- operators --


def of_operator(fuel: Fuel, operator: str, left: Any, right: Any) -> int:
    """What `left operator right` costs; SecurityError where no payment would do."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        _check_bits(operator, left, right)
        return STEP
    if operator == "+":
        return size(left) + size(right)
    if operator == "*":
        times = max((value for value in (left, right) if isinstance(value, int)), default=0)
        return STEP + max(times, 0) * max(_contents_size(left), _contents_size(right))
    if operator == "%" and isinstance(left, str):
        return of_formatting(fuel, left, (right,), {})
    return STEP + fuel.measure(left) + fuel.measure(right)


def _contents_size(value: Any) -> int:
    if isinstance(value, str):
        return 4 * len(value)
    return 8 * len(value) if isinstance(value, Sized) else 0


def _check_bits(operator: str, left: float, right: float) -> None:
    if operator in "+-" and -SMALL < left < SMALL and -SMALL < right < SMALL:
        return
    bits = [value.bit_length() for value in (left, right) if isinstance(value, int)]
    if operator == "**" and isinstance(left, int) and isinstance(right, int):
        bits.append(left.bit_length() * abs(right))
    if max(bits, default=0) > MAX_BITS:
        raise SecurityError(f"an integer has more than {MAX_BITS} bits")


def of_formatting(fuel: Fuel, form: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    """`%` and `format`: each place may take all that there is to put in, at its widest."""
    text = str(form) if isinstance(form, str) else ""
    if _WIDE.search(text):
        raise SecurityError("a width in a format is too large or not a plain number")
    n_places = text.count("%") + text.count("{")
    widths = sum(map(int, re.findall(r"[0-9]+", text)))
    return size(form) + 4 * (widths + n_places * (fuel.measure(args) + fuel.measure(kwargs)))


# -- methods, by the type they belong to --


def _linear(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    return 4 * (size(value) + fuel.measure(args))


def _arguments(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    return STEP + fuel.measure(args) + fuel.measure(kwargs)


def _constant(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    return STEP


def _key(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    """A look-up hashes its key, which is deep if it is a tuple."""
    return STEP + (fuel.measure(args[0]) if args and isinstance(args[0], tuple) else 0)


def _product(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    """Searching from the right, and stripping, may compare every character with every one of the argument."""
    wanted = sum(len(arg) for arg in args if isinstance(arg, str))
    return 2 * size(value) + PART + len(value) * wanted // 16


def _split(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    separator = args[0] if args else kwargs.get("sep")
    n_parts = 1 + (value.count(separator) if isinstance(separator, str) and separator else len(value) // 2)
    return size(value) + PART * n_parts + _product(fuel, value, (separator,), {})


def _lines(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    return (PART + 1) * (len(value) + 1)  # any of a dozen characters ends one


def _replace(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    text = str(value)
    old, new = (str(part) for part in (*args, *kwargs.values(), "", "")[:2])
    n_times = text.count(old) if old else len(text) + 1
    return size(text) + 4 * (len(text) + n_times * len(new))


def _joined(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    """`separator.join(items)`; the items have been made a list."""
    return fuel.measure(args) * 2 + 4 * len(value) * sum(len(arg) for arg in args if isinstance(arg, Sized))


def _padded(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    numbers = [number for number in (*args, *kwargs.values()) if isinstance(number, int)]
    return 4 * (size(value) + max([0, *numbers]))


def _tabs(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    n_tabs: int = value.count("\t")
    return 4 * size(value) + n_tabs * _padded(fuel, "", (8, *args), kwargs)


STRING_METHODS: dict[str, Cost] = {
    **dict.fromkeys("startswith endswith".split(), _arguments),
    **dict.fromkeys("removeprefix removesuffix".split(), _linear),
    **dict.fromkeys("capitalize casefold lower upper swapcase title count find index partition".split(), _linear),
    **dict.fromkeys("isalnum isalpha isascii isdecimal isdigit isidentifier islower".split(), _linear),
    **dict.fromkeys("isnumeric isprintable isspace istitle isupper".split(), _linear),
    **dict.fromkeys("strip lstrip rstrip rfind rindex rpartition".split(), _product),
    **dict.fromkeys("center ljust rjust zfill".split(), _padded),
    "split": _split,
    "rsplit": _split,
    "splitlines": _lines,
    "join": _joined,
    "replace": _replace,
    "expandtabs": _tabs,
    "format": of_formatting,
    "format_map": of_formatting,
}
LIST_METHODS: dict[str, Cost] = {
    "append": _constant,
    "pop": _linear,
    "copy": _linear,
    "index": lambda fuel, value, args, kwargs: fuel.measure(value) + fuel.measure(args),
    "count": lambda fuel, value, args, kwargs: fuel.measure(value) + fuel.measure(args),
}
DICT_METHODS: dict[str, Cost] = {
    "get": _key,
    "items": _constant,
    "keys": _constant,
    "values": _constant,
    "copy": lambda fuel, value, args, kwargs: STEP + 64 * len(value),
}
METHODS: tuple[tuple[type, dict[str, Cost]], ...] = (
    (str, STRING_METHODS),
    (dict, DICT_METHODS),
    (list, LIST_METHODS),
    (tuple, {name: LIST_METHODS[name] for name in ("index", "count")}),
)
_METHODS = dict(METHODS)


def methods_of(value: Any) -> Mapping[str, Cost] | None:
    """The methods that may be called on a plain value; None if it is none."""
    known = _METHODS.get(type(value))
    return known or next((table for kind, table in METHODS if isinstance(value, kind)), None)


def of_dict(fuel: Fuel, args: Sequence[Any], kwargs: Arguments) -> int:
    """Making a dictionary. Keys can be chosen so that each is compared with all before it."""
    n_items = len(kwargs) + sum(len(arg) for arg in args if isinstance(arg, Sized))
    return STEP + 128 * n_items + n_items * n_items // 8 + sum(map(fuel.measure, args))


# -- filters --


def _items(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    """Looks at every item, and not into it."""
    return STEP + (16 * len(value) if isinstance(value, Sized) else 0)


def _deep(times: int) -> Cost:
    """Reads all that there is in the value, and makes up to so many times as much of it."""

    def cost(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
        return STEP + times * (fuel.measure(value) + fuel.measure(args) + fuel.measure(kwargs))

    return cost


def _distinct(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    return _deep(4)(fuel, value, args, kwargs) + of_dict(fuel, (value,), {})


def _sliced(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    return _items(fuel, value, args, kwargs) + 16 * _padded(fuel, "", args, kwargs)


def _indented(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    widths = [width if isinstance(width, int) else len(width) for width in (*args, *kwargs.values(), 4)
              if isinstance(width, int | str)]  # fmt: skip
    return 4 * (2 * size(value) + max(widths) * (1 + len(str(value).splitlines())))


def _join_filter(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    separator = str(args[0] if args else kwargs.get("d", ""))
    return 4 * fuel.measure(value) + 4 * len(separator) * (len(value) if isinstance(value, Sized) else 0)


def _rounded(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    if any(isinstance(arg, int) and abs(arg) > MAX_PLACES for arg in (*args, *kwargs.values())):
        raise SecurityError(f"nothing is rounded to more than {MAX_PLACES} places")
    return STEP


def _summed(fuel: Fuel, value: Any, args: Sequence[Any], kwargs: Arguments) -> int:
    if any(isinstance(arg, Sized) and not isinstance(arg, str) for arg in (*args, *kwargs.values())):
        raise SecurityError("only numbers are summed")
    return _items(fuel, value, args, kwargs)


FILTERS: dict[str, Cost] = {
    **dict.fromkeys("default d first last length count items attr random".split(), _constant),
    **dict.fromkeys("list map select selectattr reject rejectattr reverse".split(), _items),
    **dict.fromkeys("abs int float filesizeformat wordcount".split(), _deep(1)),
    **dict.fromkeys("string lower upper capitalize title truncate min max sort dictsort".split(), _deep(4)),
    **dict.fromkeys("safe escape e".split(), _deep(6)),
    "urlencode": _deep(12),
    "trim": _product,
    "unique": _distinct,
    "groupby": _distinct,
    "batch": _sliced,
    "slice": _sliced,
    "center": _padded,
    "indent": _indented,
    "join": _join_filter,
    "replace": _replace,
    "format": of_formatting,
    "round": _rounded,
    "sum": _summed,
}

# These make text of whatever they get, before they do anything else.
TEXT_FILTERS = frozenset("trim center replace indent lower upper capitalize title urlencode format".split())
# These take what comes as it comes, and need no list of it.
LAZY_FILTERS = frozenset("map select selectattr reject rejectattr first".split())
UNTOUCHED = frozenset("default d length count attr items".split())

TESTS: dict[str, Cost] = {
    **dict.fromkeys("eq equalto ne lt lessthan le gt greaterthan ge in == != < <= > >=".split(), _deep(1)),
    **dict.fromkeys("lower upper".split(), _deep(1)),
}


def prepared(fuel: Fuel, name: str, value: Any) -> Any:
    """A filter's value in a shape that its cost can be told of; iterators will have paid for each item."""
    if name in TEXT_FILTERS and not isinstance(value, str):
        fuel.pay(4 * fuel.measure(value))
        return str(value)
    if not isinstance(value, Iterator) or name in UNTOUCHED:
        return value
    return fuel.charged(value) if name in LAZY_FILTERS else list(fuel.charged(value))
