"""Messages from typed lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.cli.compose import Composer

TEXT = st.text(st.characters(exclude_characters='"\r', exclude_categories=["Cs"])).map(lambda text: text.strip())


def compose(*lines: str) -> list[str]:
    composer = Composer()
    messages = [composer.feed(line) for line in lines]
    assert not composer.is_open
    return [message for message in messages if message is not None]


@pytest.mark.parametrize(
    ("lines", "messages"),
    [
        (["hello"], ["hello"]),
        (['say """ twice'], ['say """ twice']),
        (['"""hello"""'], ["hello"]),
        (['"""', "hello", "", "there", '"""'], ["hello\n\nthere"]),
        (['"""hello', 'there"""'], ["hello\nthere"]),
        (['"""', '"""'], [""]),
        (['""""""'], [""]),
        (['  """a', 'b"""  '], ["  a\nb"]),
        (['/set system """You are', 'a pirate."""', "hi"], ["/set system You are\na pirate.", "hi"]),
        (['"""pasted\nin one\ngo"""'], ["pasted\nin one\ngo"]),
        (["pasted\nwithout quotes"], ["pasted\nwithout quotes"]),
    ],
)
def test_quotes_open_and_close_a_message_of_several_lines(lines: list[str], messages: list[str]) -> None:
    assert compose(*lines) == messages


@given(TEXT)
def test_any_text_between_quotes_is_the_message(text: str) -> None:
    assert compose('"""', *text.split("\n"), '"""') == [text]
    assert compose(*f'"""{text}"""'.split("\n")) == [text]


def test_an_open_message_can_be_given_up() -> None:
    composer = Composer()
    composer.feed('"""never')
    composer.clear()

    assert composer.feed("mind") == "mind"
