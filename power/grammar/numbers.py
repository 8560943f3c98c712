"""Decimal numbers as texts: ranges, multiples and exclusions of numbers as regular languages.

Digits are bounded, since a model that may write digits for ever sometimes does.
Only numbers without an exponent are constrained exactly; forms with one are
let in where no constraint can be broken by them.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, gcd, lcm

import msgspec

from power.grammar import charset
from power.grammar import languages as la
from power.grammar.errors import TooLarge

MAX_DIGITS = 20  # of an integer whose bounds do not ask for more: 2**64 has 20
MAX_FRACTION = 20  # digits; a double's shortest form has at most 17
MAX_MODULUS = 2000  # an automaton that divides has as many states

DIGIT = la.chars(charset.of("0123456789"))
POSITIVE = la.chars(charset.of("123456789"))
DOT = la.words(["."])
MINUS = la.words(["-"])
ZERO = la.words(["0"])
_SIGN = la.either(MINUS, la.EPSILON)
_NATURAL = la.either(ZERO, la.cat(POSITIVE, la.repeat(DIGIT, 0, MAX_DIGITS - 1)))
_FRACTION = la.either(la.EPSILON, la.cat(DOT, la.repeat(DIGIT, 1, MAX_FRACTION)))
# With a dot, a number is a double for most readers: this many digits are never rounded.
EXACT_DIGITS = 15
_E = la.chars(charset.of("eE"))
_MANTISSA = la.cat(DOT, la.repeat(DIGIT, 1, MAX_FRACTION))
# At most 299, so that nobody's double overflows: mantissas have one digit before the dot.
_EXPONENT = la.either(la.repeat(DIGIT, 1, 2), la.cat(la.chars(charset.of("012")), DIGIT, DIGIT))
_LARGE = la.cat(POSITIVE, la.either(la.EPSILON, _MANTISSA), _E, la.either(la.words(["+"]), la.EPSILON), _EXPONENT)
_SMALL = la.cat(
    POSITIVE, la.either(la.EPSILON, _MANTISSA), _E, MINUS, la.either(ZERO, la.EPSILON), POSITIVE, la.repeat(DIGIT, 0, 1)
)


class Numbers(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """A set of numbers: all conditions hold at once.

    `whole` True means integers, False means numbers that are none.  `among`,
    where given, holds the only candidates.
    """

    whole: bool | None = None
    low: Fraction | None = None
    low_open: bool = False
    high: Fraction | None = None
    high_open: bool = False
    multiples: frozenset[Fraction] = frozenset()
    not_multiples: frozenset[Fraction] = frozenset()
    excluded: frozenset[Fraction] = frozenset()
    among: frozenset[Fraction] | None = None
    # Integers never with a fraction. `1.0` is one, too, but not for what most languages read it with.
    plain: bool = False


INTEGERS = Numbers(whole=True, plain=True)


def of_types(names: frozenset[str]) -> Numbers:
    """The numbers of the type names, of which one is `integer` or `number`."""
    return Numbers() if "number" in names else INTEGERS


def holds(numbers: Numbers, value: Fraction) -> bool:
    if numbers.among is not None and value not in numbers.among:
        return False
    if numbers.whole is not None and (value.denominator == 1) != numbers.whole:
        return False
    if numbers.low is not None and (value < numbers.low or (numbers.low_open and value == numbers.low)):
        return False
    if numbers.high is not None and (value > numbers.high or (numbers.high_open and value == numbers.high)):
        return False
    return (
        all((value / divisor).denominator == 1 for divisor in numbers.multiples)
        and not any((value / divisor).denominator == 1 for divisor in numbers.not_multiples)
        and value not in numbers.excluded
    )


def intersection(left: Numbers, right: Numbers) -> Numbers | None:
    """What is in both; None if that is surely nothing."""
    if left.whole is not None and right.whole is not None and left.whole != right.whole:
        return None
    low, low_open = max(_lower(left), _lower(right), key=lambda bound: (bound[0] is not None, bound[0] or 0, bound[1]))
    high, high_open = min(
        _upper(left), _upper(right), key=lambda bound: (bound[0] is None, bound[0] or 0, not bound[1])
    )
    among = left.among if right.among is None else right.among if left.among is None else left.among & right.among
    joined = Numbers(
        left.whole if right.whole is None else right.whole, low, low_open, high, high_open,
        left.multiples | right.multiples, left.not_multiples | right.not_multiples, left.excluded | right.excluded,
        among, left.plain or right.plain,
    )  # fmt: skip
    if low is not None and high is not None and (low > high or (low == high and (low_open or high_open))):
        return None
    if joined.multiples & joined.not_multiples:
        return None
    if among is not None:
        values = frozenset(value for value in among if holds(joined, value))
        return Numbers(among=values, plain=joined.plain) if values else None
    return joined


def _lower(numbers: Numbers) -> tuple[Fraction | None, bool]:
    return numbers.low, numbers.low_open


def _upper(numbers: Numbers) -> tuple[Fraction | None, bool]:
    return numbers.high, numbers.high_open


def complement(numbers: Numbers) -> list[Numbers]:
    """Numbers that break at least one condition, one entry per condition."""
    out = []
    if numbers.whole is not None:
        out.append(Numbers(whole=not numbers.whole))
    if numbers.low is not None:
        out.append(Numbers(high=numbers.low, high_open=not numbers.low_open))
    if numbers.high is not None:
        out.append(Numbers(low=numbers.high, low_open=not numbers.high_open))
    out += [Numbers(not_multiples=frozenset([divisor])) for divisor in numbers.multiples]
    out += [Numbers(multiples=frozenset([divisor])) for divisor in numbers.not_multiples]
    if numbers.excluded:
        out.append(Numbers(among=numbers.excluded))
    if numbers.among is not None:
        out.append(Numbers(excluded=numbers.among))
    return out


@lru_cache(maxsize=1000)
def language(numbers: Numbers) -> la.Lang:
    """The texts of the numbers.

    Raises:
        TooLarge: a multiple that no small automaton can check.
    """
    if numbers.among is not None:
        values = [canonical(value) for value in sorted(numbers.among) if holds(numbers, value)]
        whole = [] if numbers.plain else [f"{text}.0" for text in values if "." not in text]
        return la.words(values + whole)
    low, high = numbers.low, numbers.high
    if low is not None and high is not None and (low, numbers.low_open or numbers.high_open) > (high, False):
        return la.NONE
    if numbers.whole is None and any(divisor.denominator == 1 for divisor in numbers.multiples):
        numbers = msgspec.structs.replace(numbers, whole=True)
    divided = numbers.plain or bool(
        numbers.multiples or numbers.not_multiples or numbers.excluded or numbers.whole is False
    )
    negative = _magnitudes(*_flipped(numbers), numbers, divided)
    positive = _magnitudes(numbers.low, numbers.low_open, numbers.high, numbers.high_open, numbers, divided)
    both = negative == positive
    base = la.cat(_SIGN, positive) if both else la.either(la.cat(MINUS, negative), positive)
    checks = [_multiple(_common_multiple(numbers.multiples))] if numbers.multiples else []
    checks += [la.negation(_multiple(divisor)) for divisor in sorted(numbers.not_multiples)]
    checks += [la.negation(_spellings(value, False)) for value in sorted(numbers.excluded)]
    if numbers.multiples and not numbers.whole:
        checks.append(la.length(1, EXACT_DIGITS))
    if numbers.whole is False:
        checks.append(
            la.negation(la.cat(_SIGN, la.repeat(DIGIT, 1), la.either(la.EPSILON, la.cat(DOT, la.repeat(ZERO, 1)))))
        )
    return la.both(base, *checks)


def _flipped(numbers: Numbers) -> tuple[Fraction | None, bool, Fraction | None, bool]:
    low = None if numbers.high is None else -numbers.high
    high = None if numbers.low is None else -numbers.low
    return low, numbers.high_open, high, numbers.low_open


def _spellings(value: Fraction, plain: bool) -> la.Lang:
    sign, magnitude = "-" if value < 0 else "", abs(value)
    signs = la.words([sign, "-"] if value == 0 else [sign])
    if magnitude.denominator == 1:
        zeros = la.EPSILON if plain else la.either(la.EPSILON, la.cat(DOT, la.repeat(ZERO, 1, MAX_FRACTION)))
        return la.cat(signs, la.words([str(magnitude.numerator)]), zeros)
    return la.cat(
        signs, la.words([f"{_whole_digits(magnitude)}.{_fraction_digits(magnitude)}"]), la.repeat(ZERO, 0, MAX_FRACTION)
    )


def _whole_digits(value: Fraction) -> str:
    return str(floor(value))


def _fraction_digits(value: Fraction) -> str:
    """The digits after the dot; decimal numbers come from JSON texts, so they end."""
    digits, rest = [], value - floor(value)
    while rest:
        rest *= 10
        digits.append(str(floor(rest)))
        rest -= floor(rest)
        if len(digits) > 400:
            raise TooLarge("a number with more than 400 digits after the dot")
    return "".join(digits)


def _magnitudes(
    low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool, numbers: Numbers, divided: bool
) -> la.Lang:
    """The texts without sign of what is not negative in the range."""
    if high is not None and (high < 0 or (high == 0 and high_open)):
        return la.NONE
    if low is None or low < 0:
        low, low_open = Fraction(0), False
    if numbers.whole:
        first = floor(low) + 1 if low_open else ceil(low)
        last = None if high is None else ceil(high) - 1 if high_open else floor(high)
        return naturals(first, last) if numbers.plain else _whole(first, last)
    options = [_decimals(low, low_open, high, high_open)]
    if not divided and high is None and low <= 1 and not (low == 1 and low_open):
        options.append(_LARGE)
    if not divided and low == 0 and (high is None or high >= 1):
        options.append(_SMALL)
        options.append(_zero_with_exponent(low_open))
    return la.either(*options)


def _whole(first: int, last: int | None) -> la.Lang:
    """Integers, also written as `1.0`, which JSON Schema calls an integer as well."""
    exact = 10**EXACT_DIGITS - 1
    either = la.cat(naturals(first, exact if last is None else min(last, exact)), la.words(["", ".0"]))
    if last is not None and last <= exact:
        return either
    return la.either(either, naturals(max(first, exact + 1), last))


def _zero_with_exponent(low_open: bool) -> la.Lang:
    return (
        la.NONE
        if low_open
        else la.cat(
            ZERO, la.either(la.EPSILON, la.cat(DOT, ZERO)), _E, la.either(MINUS, la.words(["+"]), la.EPSILON), DIGIT
        )
    )


def _decimals(low: Fraction, low_open: bool, high: Fraction | None, high_open: bool) -> la.Lang:
    first = floor(low)
    above = la.cat(la.words([str(first)]), _fractions_from(_fraction_digits(low), low_open, _room(first)))
    if high is None:
        return la.either(above, la.cat(naturals(first + 1, None), _FRACTION))
    last = ceil(high) - 1 if high_open else floor(high)
    # Below a bound that is whole and excluded there is all of the last unit, as far as it is not rounded up.
    digits = _fraction_digits(high) or ("" if last == high else "9" * _room(last))
    below = la.cat(la.words([str(last)]), _fractions_to(digits, high_open and last < high != last + 1, _room(last)))
    if first == last:
        return la.both(above, below)
    return la.either(above, la.cat(naturals(first + 1, last - 1), _FRACTION), below)


def _room(whole: int) -> int:
    """How many digits may follow after the dot before a double is rounded."""
    return max(1, EXACT_DIGITS - len(str(whole)))


def _fractions_from(digits: str, is_open: bool, room: int) -> la.Lang:
    """`.` and digits that make at least `0.digits`; or nothing, where that is zero."""
    rest = la.repeat(DIGIT, 0, MAX_FRACTION)
    options = [la.cat(la.words([digits[:at]]), _digits(int(digits[at]) + 1, 9), rest) for at in range(len(digits))]
    if not is_open:
        options.append(la.cat(la.words([digits]), rest if digits else la.repeat(DIGIT, 1, MAX_FRACTION)))
    else:
        near = la.cat(la.repeat(ZERO, 0, max(0, room - len(digits) - 1)), POSITIVE, rest)
        options.append(la.cat(la.words([digits]), near))
    fractions = la.cat(DOT, la.either(*options))
    return la.either(la.EPSILON, fractions) if not digits and not is_open else fractions


def _fractions_to(digits: str, is_open: bool, room: int) -> la.Lang:
    """Nothing, or `.` and digits that make at most `0.digits`."""
    rest = la.repeat(DIGIT, 0, room if is_open else MAX_FRACTION)
    options = [la.cat(la.words([digits[:at]]), _digits(0, int(digits[at]) - 1), rest) for at in range(len(digits))]
    options += [la.words([digits[:at]]) for at in range(1, len(digits))]
    if not is_open:
        options.append(la.cat(la.words([digits]), la.repeat(ZERO, 0 if digits else 1, MAX_FRACTION)))
    fractions = la.cat(DOT, la.either(*options))
    return fractions if not digits and is_open else la.either(la.EPSILON, fractions)


def _digits(first: int, last: int) -> la.Lang:
    return la.chars(((48 + first, 48 + last),)) if first <= last else la.NONE


@lru_cache(maxsize=1000)
def naturals(first: int, last: int | None) -> la.Lang:
    """The digits of the integers `first` (not negative) to `last`; without a last, up to some length."""
    if last is None:
        longest = max(MAX_DIGITS, len(str(first)) + 1)
        return naturals(first, 10**longest - 1)
    if first > last:
        return la.NONE
    if first == 0:
        return la.either(ZERO, naturals(1, last))
    low, high = str(first), str(last)
    if len(low) == len(high):
        return _between(low, high)
    # Of the lengths from the first's to the last's, all but those two may have any digits, and these two sometimes.
    shortest, longest, options = len(low), len(high), []
    if first > 10 ** (shortest - 1):
        options.append(_between(low, "9" * shortest))
        shortest += 1
    if last < 10**longest - 1:
        options.append(_between("1" + "0" * (longest - 1), high))
        longest -= 1
    if shortest <= longest:
        options.append(la.cat(POSITIVE, la.repeat(DIGIT, shortest - 1, longest - 1)))
    return la.either(*options)


def _between(low: str, high: str) -> la.Lang:
    """Digit strings of one length, from `low` to `high`."""
    if not low:
        return la.EPSILON
    if set(low[1:]) <= {"0"} and set(high[1:]) <= {"9"}:
        return la.cat(_digits(int(low[0]), int(high[0])), la.repeat(DIGIT, len(low) - 1, len(low) - 1))
    if low[0] == high[0]:
        return la.cat(la.words([low[0]]), _between(low[1:], high[1:]))
    n_rest = len(low) - 1
    return la.either(
        la.cat(la.words([low[0]]), _between(low[1:], "9" * n_rest)),
        la.cat(_digits(int(low[0]) + 1, int(high[0]) - 1), la.repeat(DIGIT, n_rest, n_rest)),
        la.cat(la.words([high[0]]), _between("0" * n_rest, high[1:])),
    )


def _common_multiple(divisors: frozenset[Fraction]) -> Fraction:
    """What is a multiple of this is one of every divisor, and the other way round."""
    shared = lcm(*(divisor.denominator for divisor in divisors))
    return Fraction(lcm(*(int(divisor * shared) for divisor in divisors)), shared)


def _multiple(divisor: Fraction) -> la.Lang:
    """The decimal texts, of any sign, whose value is a multiple of `divisor`."""
    n_places = len(_fraction_digits(divisor))
    scaled = int(divisor * 10**n_places)
    options = []
    for places in range(n_places + 1):
        modulus = scaled // gcd(scaled, 10 ** (n_places - places))
        if modulus > MAX_MODULUS:
            raise TooLarge(f"a multiple of {divisor} has more than {MAX_MODULUS} remainders to keep apart")
        last = places == n_places
        zeros = la.repeat(ZERO, 0, MAX_FRACTION) if last else la.EPSILON
        fraction = la.cat(DOT, la.repeat(DIGIT, places, places)) if places else la.EPSILON
        if last and not places:
            fraction, zeros = la.EPSILON, la.either(la.EPSILON, la.cat(DOT, la.repeat(ZERO, 1, MAX_FRACTION)))
        options.append(la.cat(la.both(la.cat(_SIGN, la.repeat(DIGIT, 1), fraction), la.residue(modulus)), zeros))
    return la.either(*options)


def canonical(value: Fraction) -> str:
    """The number as JSON text, without an exponent."""
    sign, magnitude = "-" if value < 0 else "", abs(value)
    if magnitude.denominator == 1:
        return f"{sign}{magnitude.numerator}"
    return f"{sign}{_whole_digits(magnitude)}.{_fraction_digits(magnitude)}"
