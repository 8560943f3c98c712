"""Thinking and answer come apart, however the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.stream.thinking import ThinkingSplitter, prompt_opens_thinking, thinking_tags

TAGS = ("<think>", "</think>")
PIECES = ["<think>", "</think>", "<", "<th", "</", "think>", " ", "\n", "a", "b c", "é🙂", "\u2003"]


def run(pieces: list[str], *, starts_inside: bool = False) -> tuple[str, str]:
    splitter = ThinkingSplitter(*TAGS, starts_inside=starts_inside)
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.flush()]
    return "".join(thinking for thinking, _ in parts), "".join(content for _, content in parts)


@pytest.mark.parametrize(
    ("text", "thinking", "content"),
    [
        ("", "", ""),
        ("Hello", "", "Hello"),
        ("<think>hm</think>Hello", "hm", "Hello"),
        ("\n <think>\n hm \n</think>\n\nHello \n", "hm", "Hello \n"),
        ("<think></think>Hello", "", "Hello"),
        ("  Hello <think>hm</think>", "", "  Hello <think>hm</think>"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("<think>never ends", "never ends", ""),
        ("<think>almost</thin", "almost</thin", ""),
        ("<thi", "", "<thi"),
        ("<thimble>", "", "<thimble>"),
        (" \n ", "", " \n "),
        ("<think>a <think> b</think>c", "a <think> b", "c"),
    ],
)
def test_the_first_block_is_thinking_and_the_rest_is_content(text: str, thinking: str, content: str) -> None:
    assert run([text]) == (thinking, content)


def test_an_answer_may_begin_inside_the_block() -> None:
    assert run(["\nhm</think>\nHello"], starts_inside=True) == ("hm", "Hello")
    assert run(["hm"], starts_inside=True) == ("hm", "")


@given(st.lists(st.sampled_from(PIECES)), st.data(), st.booleans())
def test_cutting_the_stream_up_changes_nothing(parts: list[str], data: st.DataObject, starts_inside: bool) -> None:
    text = "".join(parts)
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]

    assert run(pieces, starts_inside=starts_inside) == run([text], starts_inside=starts_inside)
    assert run(list(text), starts_inside=starts_inside) == run([text], starts_inside=starts_inside)


@given(st.lists(st.sampled_from(PIECES)), st.booleans())
def test_nothing_is_lost_but_tags_and_the_whitespace_around_them(parts: list[str], starts_inside: bool) -> None:
    text = "".join(parts)

    thinking, content = run([text], starts_inside=starts_inside)

    left = text
    if not starts_inside and left.lstrip().startswith(TAGS[0]):
        left = left.lstrip().removeprefix(TAGS[0])
    elif not starts_inside:
        assert (thinking, content) == ("", text)
        return
    thought, closed, answer = left.lstrip().partition(TAGS[1])
    assert (thinking, content) == (thought.rstrip() if closed else thought, answer.lstrip())


def test_no_more_is_held_back_than_could_be_a_tag() -> None:
    splitter = ThinkingSplitter(*TAGS)

    assert splitter.feed("<think>abc</thin") == ("abc", "")
    assert splitter.is_thinking
    assert splitter.feed("g") == ("</thing", "")
    assert splitter.feed("</think>x") == ("", "x")
    assert not splitter.is_thinking


@pytest.mark.parametrize("text", ["<|c>thought\nhm<c|>Hello", "<|c>hm<c|>Hello", "<|c> hm <c|>\nHello"])
def test_the_word_behind_a_token_that_opens_thinking_may_be_missing(text: str) -> None:
    for pieces in ([text], list(text)):
        splitter = ThinkingSplitter("<|c>thought", "<c|>")
        parts = [*map(splitter.feed, pieces), splitter.flush()]

        assert tuple(map("".join, zip(*parts, strict=True))) == ("hm", "Hello")


@pytest.mark.parametrize(
    ("template", "tags"),
    [
        ("{{ messages }}", None),
        ("<think>…</think>", TAGS),
        ("{{ content.split('</think>')[-1] }}", TAGS),
        ("[THINK][/THINK]", ("[THINK]", "[/THINK]")),
        ("<|START_THINKING|><|END_THINKING|>", ("<|START_THINKING|>", "<|END_THINKING|>")),
        ("<seed:think></seed:think>", ("<seed:think>", "</seed:think>")),
    ],
)
def test_tags_are_found_in_the_template(template: str, tags: tuple[str, str] | None) -> None:
    assert thinking_tags(template) == tags


def test_a_prompt_may_open_the_block() -> None:
    assert prompt_opens_thinking("<|im_start|>assistant\n<think>\n", TAGS)
    assert not prompt_opens_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n", TAGS)
