from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.stream import StopMatcher

TEXTS = st.text("abc", max_size=24)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=4)


def run(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    """All the text that comes out, and what matched."""
    matcher = StopMatcher(stops)
    text = "".join(matcher.feed(piece) for piece in pieces) + matcher.flush()
    return text, matcher.matched


def expected(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The same by looking at the whole text: the earliest match, the longest of those at one place."""
    found = [(text.find(stop), -len(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, None
    at, _, stop = min(found)
    return text[:at], stop


@st.composite
def cut_text(draw: st.DrawFn) -> tuple[str, list[str]]:
    text = draw(TEXTS)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    bounds = [0, *places, len(text)]
    return text, [text[a:b] for a, b in pairwise(bounds)]


@given(cut_text(), STOPS)
def test_cutting_the_stream_up_changes_nothing(cut: tuple[str, list[str]], stops: list[str]) -> None:
    text, pieces = cut

    assert run(pieces, stops) == expected(text, stops)


@given(TEXTS, STOPS)
def test_no_more_is_held_back_than_could_still_be_a_stop_string(text: str, stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    out = "".join(map(matcher.feed, text))
    held = text[len(out) :]

    if matcher.matched is None and held:
        assert any(stop.startswith(held) and stop != held for stop in stops)


def test_a_stop_string_may_arrive_in_three_pieces() -> None:
    assert run(["say <|", "im_", "end|> no more"], ["<|im_end|>"]) == ("say ", "<|im_end|>")


def test_a_tail_that_was_no_stop_string_after_all_comes_out() -> None:
    matcher = StopMatcher(["\n\n"])
    pieces = [matcher.feed("one\n"), matcher.feed("two")]

    assert pieces == ["one", "\ntwo"]


def test_a_longer_stop_string_at_the_same_place_wins() -> None:
    assert run(["a", "b", "c"], ["ab", "abc"]) == ("", "abc")


def test_the_shorter_one_has_matched_when_the_stream_ends_there() -> None:
    assert run(["ab"], ["ab", "abc"]) == ("", "ab")


def test_after_a_match_nothing_comes_out() -> None:
    matcher = StopMatcher(["x"])
    matcher.feed("ax")

    assert matcher.feed("more") + matcher.flush() == ""


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError):
        StopMatcher([""])
