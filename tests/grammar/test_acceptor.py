"""The acceptor in Python, held against llama.cpp's engine."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from power.grammar import JSON_GRAMMAR, Acceptor, GrammarError, check_gbnf, mismatch, parse_gbnf
from power.grammar.expressions import Chars, Expr, Ref, Repeat, Text, alt, seq
from power.grammar.printing import print_rules
from tests.grammar.engine import Engine
from tests.grammar.walk import Walk


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


ITEMS = st.recursive(
    st.sampled_from([Text("a"), Text("ab"), Text("b"), Chars(((97, 99),)), Ref("x"), Ref("y"), Ref("root")]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda items: seq(*items)),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: alt(*items)),
        st.builds(Repeat, inner, st.integers(0, 2), st.sampled_from([None, 2, 3])),
    ),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None)
@given(root=ITEMS, x=ITEMS, y=ITEMS, text=st.text("abc", max_size=6), seed=st.integers(0, 10**6))
def test_acceptor_and_engine_agree(engine: Engine, root: Expr, x: Expr, y: Expr, text: str, seed: int) -> None:
    grammar = print_rules({"root": root, "x": seq(Text("a"), alt(Text("c"), x)), "y": seq(Text("b"), y)}, "root")
    try:
        check_gbnf(grammar)
    except GrammarError:
        assume(False)
    parsed = parse_gbnf(grammar)
    walk = Walk(parsed, random.Random(seed), long=5)
    assume(walk.ends)

    for one in (text, walk.text()[:12]):
        found = mismatch(parsed, one)
        assert (found is None) == engine.accepts(grammar, one)
        if found is not None:
            assert engine.n_accepted(grammar, one) <= len(one[: found.at].encode())


def test_a_mismatch_says_where_and_what_was_expected() -> None:
    found = mismatch(parse_gbnf(JSON_GRAMMAR), '{"a": tru}')

    assert found is not None
    assert (found.at, found.expected, found.is_end_expected) == (9, ("[e]",), False)


def test_a_text_that_ends_too_early_is_told_at_its_end() -> None:
    found = mismatch(parse_gbnf('root ::= "a" "b"?'), "")

    assert found is not None
    assert (found.at, found.expected) == (0, ("[a]",))


def test_a_text_that_goes_on_too_long_is_told_where_it_should_have_ended() -> None:
    found = mismatch(parse_gbnf('root ::= "a"'), "ab")

    assert found is not None
    assert (found.at, found.expected, found.is_end_expected) == (1, (), True)


def test_a_refused_character_changes_nothing() -> None:
    acceptor = Acceptor(parse_gbnf('root ::= "ab"'))

    assert acceptor.feed("a")
    assert not acceptor.feed("x")
    assert acceptor.feed("b")
    assert acceptor.may_end


def test_deep_nesting_takes_no_recursion() -> None:
    nested = "[" * 5000 + "]" * 5000

    assert mismatch(parse_gbnf('root ::= "[" root? "]"'), nested) is None
