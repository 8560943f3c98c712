"""Languages as values: the algebra against Python's own, and automata against derivatives."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from power.grammar import automaton
from power.grammar import languages as la
from power.grammar.errors import TooLarge

TEXTS = st.text("ab0", max_size=6)


def _bounds(item: la.Lang, low: int, more: int | None) -> la.Lang:
    return la.repeat(item, low, None if more is None else low + more)


LANGUAGES = st.recursive(
    st.one_of(
        st.lists(TEXTS, max_size=3).map(la.words),
        st.sampled_from([la.ANY, la.ALL, la.NONE, la.chars(((97, 98),)), la.residue(3), la.length(1, 3)]),
    ),
    lambda inner: st.one_of(
        st.builds(la.cat, inner, inner),
        st.builds(la.either, inner, inner),
        st.builds(la.both, inner, inner),
        st.builds(la.negation, inner),
        st.builds(_bounds, inner, st.integers(0, 2), st.none() | st.integers(0, 2)),
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(LANGUAGES, LANGUAGES, TEXTS)
def test_union_intersection_and_complement_are_those_of_sets(one: la.Lang, other: la.Lang, text: str) -> None:
    in_one, in_other = la.matches(one, text), la.matches(other, text)

    assert la.matches(la.either(one, other), text) == (in_one or in_other)
    assert la.matches(la.both(one, other), text) == (in_one and in_other)
    assert la.matches(la.negation(one), text) != in_one


@settings(max_examples=40, deadline=None)
@given(LANGUAGES)
def test_the_languages_of_all_texts_and_of_none_are_one_value_each(lang: la.Lang) -> None:
    for one in (lang, la.either(lang, la.ALL), la.both(lang, la.NONE), la.cat(lang, la.NONE), la.repeat(la.ANY)):
        assert (one == la.ALL) == (one is la.ALL)
        assert (one == la.NONE) == (one is la.NONE)


@settings(max_examples=40, deadline=None)
@given(LANGUAGES, LANGUAGES, TEXTS)
def test_a_concatenation_holds_every_cut(one: la.Lang, other: la.Lang, text: str) -> None:
    cuts = (la.matches(one, text[:at]) and la.matches(other, text[at:]) for at in range(len(text) + 1))

    assert la.matches(la.cat(one, other), text) == any(cuts)


@settings(max_examples=40, deadline=None)
@given(LANGUAGES, TEXTS)
def test_an_automaton_says_what_its_language_says(lang: la.Lang, text: str) -> None:
    assert _runs(automaton.dfa_of(lang), text) == la.matches(lang, text)


@settings(max_examples=40, deadline=None)
@given(LANGUAGES, st.integers(0, 3), st.none() | st.integers(0, 3), TEXTS)
def test_an_automaton_counts(lang: la.Lang, low: int, more: int | None, text: str) -> None:
    high = None if more is None else low + more
    counted = automaton.with_length(automaton.dfa_of(lang), low, high)

    assert _runs(counted, text) == (la.matches(lang, text) and la.matches(la.length(low, high), text))


@settings(max_examples=40, deadline=None)
@given(LANGUAGES, TEXTS)
def test_without_the_empty_text_all_others_stay(lang: la.Lang, text: str) -> None:
    assert la.matches(la.nonempty(lang), text) == (text != "" and la.matches(lang, text))


@settings(max_examples=40, deadline=None)
@given(LANGUAGES, TEXTS)
def test_lengths_hold_for_every_text(lang: la.Lang, text: str) -> None:
    low, high = la.lengths(lang)

    if la.matches(lang, text):
        assert low <= len(text) <= (len(text) if high is None else high)


@settings(max_examples=40, deadline=None)
@given(LANGUAGES, TEXTS)
def test_what_is_proved_empty_has_no_texts(lang: la.Lang, text: str) -> None:
    if automaton.is_empty(lang):
        assert not la.matches(lang, text)


def test_automata_are_minimal() -> None:
    assert len(automaton.dfa_of(la.both(la.residue(4), la.repeat(la.chars(((48, 57),))))).edges) == 3


def test_too_large_an_automaton_is_refused_soon() -> None:
    tenth_from_the_end = la.cat(la.ALL, la.words(["a"]), la.length(20, 20))

    with pytest.raises(TooLarge, match="states"):
        automaton.dfa_of(la.negation(tenth_from_the_end))


def test_order_does_not_matter() -> None:
    one, other, third = la.words(["x"]), la.chars(((97, 98),)), la.length(2, 5)

    assert la.either(one, other, third) == la.either(third, one, other)
    assert la.both(la.negation(one), third) == la.both(third, la.negation(one))


def _runs(dfa: automaton.Dfa, text: str) -> bool:
    state: int | None = 0
    for char in text:
        following = dfa.edges[state or 0]
        state = next((t for t, ranges in following.items() if any(a <= ord(char) <= b for a, b in ranges)), None)
        if state is None:
            return False
    return state in dfa.accepting


@settings(max_examples=40, deadline=None)
@given(st.from_regex(r"\A[ab]{0,6}\Z"))
def test_python_agrees_about_a_pattern(text: str) -> None:
    lang = la.cat(
        la.repeat(la.words(["a"])), la.words(["b"]), la.repeat(la.either(la.words(["aa"]), la.words(["b"])), 1, 2)
    )

    assert la.matches(lang, text) == bool(re.fullmatch("a*b(aa|b){1,2}", text))
