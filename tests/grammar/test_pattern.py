"""ECMA-262 patterns, with Python's `re` as the oracle where the two agree."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from power.grammar import PatternError
from power.grammar import languages as la
from power.grammar.pattern import full_language, search_language

TEXTS = st.text("ab1_ -\n", max_size=6)
ATOMS = st.sampled_from(
    ["a", "b", "1", ".", r"\d", r"\w", "[ab]", "[^a]", "[a-b1]", r"\-", "(?:ab)", "(a|b)", "^", "$", ""]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("({}|{})".format, inner, inner),
        st.builds("(?:{}){}".format, inner, st.sampled_from(["?", "*", "+", "{2}", "{1,2}", "{0,}", "*?"])),
        st.builds("(?={}){}".format, inner, inner),
        st.builds("(?!{}){}".format, inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(PATTERNS, TEXTS)
def test_a_pattern_is_found_where_python_finds_it(pattern: str, text: str) -> None:
    try:
        lang = search_language(pattern)
    except PatternError:
        return

    # Python's `$` also matches before a last line end, ECMA's does not; Python's `.` excludes the line feed alone.
    assert la.matches(lang, text) == bool(re.search(pattern.replace("$", r"\Z"), text))


@pytest.mark.parametrize(
    ("pattern", "matched", "unmatched"),
    [
        (r"^\u0041\x42\t$", "AB\t", "AB"),
        (r"^\u{1F600}$", "😀", "😁"),
        (r"^\ud83d\ude00$", "😀", "\ud83d"),
        (r"^[\ud83d\ude00-\ud83d\ude02]$", "😁", "😃"),
        (r"^\cJ$", "\n", "J"),
        (r"^[\b]$", "\b", "b"),
        (r"^\p{Lu}\p{L}+$", "Ärger", "ärger"),
        (r"^\P{L}$", "1", "é"),
        (r"^\s$", "\ufeff", "\x1c"),
        (r"^[^]$", "\n", ""),
        (r"^a{,3}$", "a{,3}", "aa"),
        (r"^x{a}$", "x{a}", "x"),
        (r"^[\w-]+$", "a-b", "a b"),
        (r"^\/\.\-$", "/.-", "a"),
        (r"^(?<year>\d{4})$", "2024", "24"),
        (r"a|b$", "xb", "bx"),
        (r"(^|,)a(,|$)", "b,a", "ba"),
        (r"^(?!.*--)[a-z-]+$", "a-b", "a--b"),
        (r"^(?=.*\d)(?=.*[a-z])\w{4,}$", "abc1", "abcd"),
        (r"^$", "", "a"),
        (r"", "anything", None),
        (r"[\d-x]", "-", "a"),
    ],
)
def test_a_pattern_means_what_ecma_says(pattern: str, matched: str, unmatched: str | None) -> None:
    lang = search_language(pattern)

    assert la.matches(lang, matched)
    assert unmatched is None or not la.matches(lang, unmatched)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(?<=a)b", "look-behind is not supported"),
        (r"(a)\1", "a back-reference is not supported"),
        (r"\k<a>", "a back-reference is not supported"),
        (r"\bword\b", "a word boundary is not supported"),
        (r"(?i)a", "an inline flag"),
        (r"(^a)+", "an anchor or look-ahead inside a repeat"),
        (r"\p{Script=Greek}", "an unknown Unicode property"),
        (r"(a", "a group that is not closed"),
        (r"a)", "unmatched '\\)'"),
        (r"[a", "a character class that is not closed"),
        (r"[b-a]", "out of order"),
        (r"a{3,1}", "out of order"),
        (r"*a", "nothing to repeat"),
        (r"a**", "nothing to repeat"),
        ("a\\", "a backslash at the end"),
        (r"a{200000}", "a repeat of more than"),
        ("(" * 200 + ")" * 200, "nested deeper"),
        ("a" * 30_000, "longer than"),
        ("^" * 30, "anchors"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(pattern: str, why: str) -> None:
    with pytest.raises(PatternError, match=why):
        full_language(pattern)


@pytest.mark.parametrize(
    "pattern", [r"^(a+)+$", r"^(a|a)*$", r"^(a*)*$", r"((a?){30}){30}", "(x|y)" * 300, "^$|" * 8 + "a"]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    start = time.process_time()

    lang = search_language(pattern)

    assert la.matches(lang, "a" * 20 + "!") is not None
    assert time.process_time() - start < 2
