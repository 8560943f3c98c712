"""Log probabilities stay in step with the text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from power.events import Logprob
from power.stream.align import InStep, OfContent
from power.stream.stop import StopMatcher
from power.stream.thinking import ThinkingSplitter
from power.stream.utf8 import Utf8Decoder

TEXTS = st.text(st.sampled_from("ab<think>/ \n🙂ü"), max_size=40)


def texts(logprobs: tuple[Logprob, ...]) -> str:
    return "".join(item.token for item in logprobs)


@st.composite
def token_bytes(draw: st.DrawFn) -> list[bytes]:
    """A text's bytes, cut anywhere, also within characters."""
    data = draw(TEXTS).encode()[: draw(st.integers(0, 60))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(token_bytes(), st.lists(st.sampled_from(["ab", "a<", "🙂", "b b"]), max_size=2))
def test_the_tokens_texts_are_the_text_whatever_was_held_back_and_cut_off(
    tokens: list[bytes], stops: list[str]
) -> None:
    utf8, stop, logprobs = Utf8Decoder(), StopMatcher(stops), InStep()
    told = text = ""
    for token in tokens:
        written = utf8.feed(token)
        logprobs.add(Logprob(written, -1.0, tuple(token)))
        new = stop.feed(written)
        text += new
        told += texts(logprobs.release(len(new), ended=stop.matched is not None))
        assert text.startswith(told)
        if stop.matched is not None:
            break
    else:
        rest = utf8.flush()
        logprobs.complete(rest)
        new = stop.feed(rest) + stop.flush()
        text += new
        told += texts(logprobs.release(len(new), ended=True))

    assert told == text


@given(TEXTS, st.data())
def test_of_an_answer_with_thinking_those_of_the_content_are_told_apart(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    splitter = ThinkingSplitter("<think>", "</think>")
    of_content = OfContent()
    content = told = ""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        piece = text[start:end]
        _, new = splitter.feed(piece)
        content += new
        told += texts(of_content.feed((Logprob(piece, -1.0, tuple(piece.encode())),), new))
    _, new = splitter.flush()
    content += new
    told += texts(of_content.feed((), new))

    assert told == content
