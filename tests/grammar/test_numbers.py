"""Numbers as languages of decimal texts, held against arithmetic."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from power.grammar import automaton, mismatch, parse_gbnf, schema_to_gbnf
from power.grammar import languages as la
from power.grammar import numbers as nu
from power.grammar.errors import TooLarge
from power.grammar.expressions import Chars
from power.grammar.printing import print_rules
from power.grammar.rules import Rules
from power.grammar.texts import TextWriter

VALUES = st.decimals(-130, 130, places=2).map(Fraction) | st.integers(-130, 130).map(Fraction)
DIVISORS = st.sampled_from([Fraction(n) for n in ("1", "2", "3", "7", "0.5", "0.25", "1.5", "0.01", "60")])


@st.composite
def numbers(draw: st.DrawFn) -> nu.Numbers:
    maybe = st.none() | VALUES
    return nu.Numbers(
        whole=draw(st.sampled_from([None, None, True, False])),
        low=draw(maybe),
        low_open=draw(st.booleans()),
        high=draw(maybe),
        high_open=draw(st.booleans()),
        multiples=frozenset(draw(st.lists(DIVISORS, max_size=2))),
        not_multiples=frozenset(draw(st.lists(DIVISORS, max_size=1))),
        excluded=frozenset(draw(st.lists(VALUES, max_size=2))),
    )


@settings(max_examples=50, deadline=None)
@given(numbers(), st.lists(VALUES, min_size=20, max_size=20))
def test_a_language_has_the_decimals_that_the_conditions_hold_for(
    conditions: nu.Numbers, values: list[Fraction]
) -> None:
    lang = nu.language(conditions)

    for value in [*values, conditions.low or Fraction(0), conditions.high or Fraction(0)]:
        assert la.matches(lang, nu.canonical(value)) == nu.holds(conditions, value)


@settings(max_examples=40, deadline=None)
@given(numbers(), VALUES)
def test_a_complement_has_exactly_the_others(conditions: nu.Numbers, value: Fraction) -> None:
    assert nu.holds(conditions, value) != any(nu.holds(other, value) for other in nu.complement(conditions))


@settings(max_examples=40, deadline=None)
@given(numbers(), numbers(), VALUES)
def test_an_intersection_has_what_both_have(one: nu.Numbers, other: nu.Numbers, value: Fraction) -> None:
    joined = nu.intersection(one, other)

    assert (joined is not None and nu.holds(joined, value)) == (nu.holds(one, value) and nu.holds(other, value))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_ranges_of_integers_are_exact(first: int, last: int, value: int) -> None:
    assert la.matches(nu.naturals(first, last), str(value)) == (first <= value <= last)


@pytest.mark.parametrize("text", ["1e400", "1" * 40, "0." + "1" * 40, "01", "+1", ".5", "1.", "NaN"])
def test_numbers_do_not_run_on_nor_overflow(text: str) -> None:
    assert not la.matches(nu.language(nu.Numbers()), text)


@pytest.mark.parametrize(
    "text", ["1e-05", "1e+16", "1.5E10", "-0", "0.1", "9007199254740993", "1.7976931348623157e+299"]
)
def test_what_programs_write_is_a_number(text: str) -> None:
    assert la.matches(nu.language(nu.Numbers()), text)


@pytest.mark.parametrize(
    ("text", "fits"), [("1e-05", True), ("1e+16", False), ("1e0", False), ("0e0", True), ("-1e-5", False)]
)
def test_small_exponents_fit_between_zero_and_one(text: str, fits: bool) -> None:
    assert la.matches(nu.language(nu.Numbers(low=Fraction(0), high=Fraction(1))), text) == fits


def test_a_divisor_with_too_many_remainders_is_refused() -> None:
    with pytest.raises(TooLarge, match="remainders"):
        nu.language(nu.Numbers(whole=True, multiples=frozenset([Fraction(99_991)])))


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,22})(\.0{0,2})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_the_rules_of_free_numbers_say_what_their_languages_say(text: str) -> None:
    grammar = parse_gbnf(print_rules({}, "integer").replace("integer ::=", "root ::=", 1))
    numbers = parse_gbnf(print_rules({}, "number").replace("number ::=", "root ::=", 1))

    assert (mismatch(grammar, text) is None) == la.matches(nu.language(nu.INTEGERS), text)
    if "e" not in text.lower():  # the rule lets a few more exponents in, which no bound forbids
        assert (mismatch(numbers, text) is None) == la.matches(nu.language(nu.Numbers()), text)


def test_integers_without_bounds_take_one_place_at_a_time() -> None:
    """Alternatives by length would keep the engine in as many places as there are lengths."""
    for low in (None, Fraction(0), Fraction(7)):
        lang = nu.language(nu.Numbers(whole=True, low=low))
        assert len(automaton.dfa_of(lang).edges) < 60
        assert len(print_rules({"root": TextWriter(Rules(), Chars, str).write(lang)}, "root")) < 120


@pytest.mark.parametrize(
    "schema", [{"type": "integer"}, {"type": "integer", "maximum": 9}, {"enum": [1, 2, 7]}, {"const": 7}]
)
def test_integers_are_written_as_every_reader_of_integers_takes_them(schema: dict[str, Any]) -> None:
    grammar = parse_gbnf(schema_to_gbnf(schema))

    assert mismatch(grammar, "7") is None
    assert mismatch(grammar, "7.0") is not None
