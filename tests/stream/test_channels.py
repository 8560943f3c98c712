"""Messages in channels come apart into thinking, answer and calls, however the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.stream.channels import ChannelSplitter, speaks_in_channels

PIECES = [
    "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>", "assistant", "analysis", "final", "commentary",
    " to=functions.f ", "<|", "|>", " ", "\n", "a", "b c", "é🙂",
]  # fmt: skip
CALL = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'


def run(pieces: list[str], *, begun: bool = False) -> tuple[str, str]:
    splitter = ChannelSplitter(begun=begun)
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.flush()]
    return "".join(thinking for thinking, _ in parts), "".join(content for _, content in parts)


@pytest.mark.parametrize(
    ("text", "thinking", "content"),
    [
        ("", "", ""),
        ("<|channel|>final<|message|>Hello", "", "Hello"),
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi\n", "hm", "Hi\n"),
        ("<|channel|>analysis<|message|>never ends", "never ends", ""),
        ("<|channel|>commentary<|message|>I will look.<|end|>", "", "I will look."),
        (f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant{CALL}", "hm", f"<|start|>assistant{CALL}"),
        (" to=functions.f<|channel|>x<|message|>{}", "", " to=functions.f<|channel|>x<|message|>{}"),
        (" to=self<|message|>hm<|eom|><|start|>assistant to=user<|message|>Hi<|eot|>", "hm", "Hi"),
        ("no channels at all", "", "no channels at all"),
        ("<|channel|>final<|message|>a<|end|>b", "", "ab"),
        ("<|channel|>ana", "", ""),
        ("<|channel|>final<|message|>a <| b", "", "a <| b"),
    ],
)  # fmt: skip
def test_headers_say_what_bodies_are(text: str, thinking: str, content: str) -> None:
    assert run([text]) == (thinking, content)


def test_an_answer_may_begin_inside_a_thought() -> None:
    assert run(["hm<|end|><|start|>assistant<|channel|>final<|message|>Hi"], begun=True) == ("hm", "Hi")


@given(st.lists(st.sampled_from(PIECES)), st.data(), st.booleans())
def test_cutting_the_stream_up_changes_nothing(parts: list[str], data: st.DataObject, begun: bool) -> None:
    text = "".join(parts)
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]

    assert run(pieces, begun=begun) == run([text], begun=begun)
    assert run(list(text), begun=begun) == run([text], begun=begun)


def test_what_has_no_header_is_text_and_none_of_it_is_held_for_ever() -> None:
    assert run(["<|channel|>" + "x" * 1000]) == ("", "<|channel|>" + "x" * 1000)


def test_templates_with_channels_are_told_by_their_marks() -> None:
    assert speaks_in_channels("<|start|>assistant<|channel|>analysis<|message|>")
    assert speaks_in_channels("<|start|>assistant to=self<|message|>")
    assert not speaks_in_channels("<|channel>thought<channel|>")
