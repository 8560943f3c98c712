from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from power.stream import Utf8Decoder


def decode(pieces: list[bytes]) -> str:
    decoder = Utf8Decoder()
    return "".join(decoder.feed(piece) for piece in pieces) + decoder.flush()


@st.composite
def cut_bytes(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Bytes, often text, and the same in pieces."""
    data = draw(st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    bounds = [0, *places, len(data)]
    return data, [data[a:b] for a, b in pairwise(bounds)]


@given(cut_bytes())
def test_cutting_the_stream_up_changes_nothing(cut: tuple[bytes, list[bytes]]) -> None:
    data, pieces = cut

    assert decode(pieces) == data.decode(errors="replace")


def test_half_a_character_is_held_back_until_its_other_half() -> None:
    decoder = Utf8Decoder()
    first, second = decoder.feed("né".encode()[:2]), decoder.feed("é".encode()[1:])

    assert (first, second) == ("n", "é")


def test_an_unfinished_character_becomes_one_replacement_at_the_end() -> None:
    assert decode(["🐈".encode()[:3]]) == "\ufffd"


def test_the_end_of_complete_text_adds_nothing() -> None:
    decoder = Utf8Decoder()
    decoder.feed("日本".encode())

    assert decoder.flush() == ""
