"""Words are wrapped while they arrive; a small terminal shows what a person would see."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from power.cli.wrap import MARGIN, WordWrap

WIDTH = 30
ROOM = WIDTH - MARGIN
TEXT = st.text(st.sampled_from("abc de  \n日本é"), max_size=200)


def screen(output: str) -> list[str]:
    """The lines a terminal shows: text, line breaks, cursor left by n columns, erase to the end of the line."""
    lines = [""]
    for back, char in re.findall(r"\x1b\[(\d+)D\x1b\[K|(\n|.)", output):
        if back:
            while back and int(back) > 0:
                back = str(int(back) - cell_len(lines[-1][-1]))
                lines[-1] = lines[-1][:-1]
        elif char == "\n":
            lines.append("")
        else:
            lines[-1] += char
    return lines


def wrapped(*pieces: str) -> list[str]:
    wrap = WordWrap(WIDTH)
    return screen("".join(map(wrap.feed, pieces)))


def test_a_word_that_crosses_the_margin_moves_to_the_next_line() -> None:
    assert wrapped("the quick brown fox jumps over") == ["the quick brown fox jumps", "over"]
    assert wrapped("the quick brown fox jumped over") == ["the quick brown fox ", "jumped over"]


def test_a_word_longer_than_a_line_is_cut() -> None:
    assert wrapped("a " + "x" * 60) == ["a ", "x" * 25, "x" * 25, "x" * 10]


def test_line_breaks_of_the_text_are_kept() -> None:
    assert wrapped("one\n\ntwo three\n") == ["one", "", "two three", ""]


@given(TEXT)
def test_no_line_is_wider_than_the_room(text: str) -> None:
    assert max(map(cell_len, wrapped(text))) <= ROOM


@given(TEXT)
def test_nothing_but_blanks_is_lost(text: str) -> None:
    assert re.sub(r"\s", "", "".join(wrapped(text))) == re.sub(r"\s", "", text)


@given(TEXT)
def test_words_that_fit_into_a_line_stay_whole(text: str) -> None:
    words = {word for word in text.split() if cell_len(word) <= ROOM}

    assert words <= {word for line in wrapped(text) for word in line.split()}


@given(TEXT, st.integers(0, 200))
def test_cutting_the_text_up_changes_nothing(text: str, cut: int) -> None:
    assert wrapped(text[:cut], text[cut:]) == wrapped(text)
