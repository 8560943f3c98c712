"""What of an answer is printed, on a terminal and into a pipe."""

from __future__ import annotations

import io

import pytest

from power.cli.answer import AnswerPrinter, statistics, waited_for
from power.client import Chunk, Progress, Usage

CHUNKS = [Chunk(thinking="Let me"), Chunk(thinking=" see."), Chunk(content="It is "), Chunk(content="five.")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(out: io.StringIO, chunks: list[Chunk], *, hide_thinking: bool = False) -> str:
    printer = AnswerPrinter(out, hide_thinking=hide_thinking)
    for chunk in chunks:
        printer.show(chunk)
    printer.end()
    return out.getvalue()


def test_thinking_is_set_apart() -> None:
    assert printed(io.StringIO(), CHUNKS) == "Thinking...\nLet me see.\n...done thinking.\n\nIt is five.\n"


def test_thinking_is_grey_on_a_terminal_and_the_answer_is_not() -> None:
    grey, answer = printed(Terminal(), CHUNKS).split("...done thinking.")

    assert grey.startswith("\x1b[1m\x1b[90mThinking...")
    assert answer == "\x1b[0m\n\nIt is five.\n"


def test_hidden_thinking_leaves_no_trace() -> None:
    assert printed(io.StringIO(), CHUNKS, hide_thinking=True) == "It is five.\n"


def test_thinking_that_was_stopped_is_closed() -> None:
    assert printed(io.StringIO(), CHUNKS[:1]).startswith("Thinking...\nLet me\n...done thinking.\n")


def test_what_is_piped_on_is_the_models_own_text() -> None:
    long = "word " * 100

    assert printed(io.StringIO(), [Chunk(content=long)]) == long + "\n"
    assert printed(io.StringIO(), [Chunk(content="a line\n")]) == "a line\n"


def test_words_wrap_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")

    assert printed(Terminal(), [Chunk(content="word " * 10)]).count("\n") > 1


def test_statistics_are_laid_out_like_ollamas() -> None:
    usage = Usage(
        total_duration=1_500_000_000,
        prompt_eval_count=10,
        prompt_eval_duration=100_000_000,
        eval_count=3,
        eval_duration=1_000_000_000,
    )

    assert statistics(usage) == (
        "total duration:       1.5s\n"
        "prompt eval count:    10 token(s)\n"
        "prompt eval duration: 100ms\n"
        "prompt eval rate:     100.00 tokens/s\n"
        "eval count:           3 token(s)\n"
        "eval duration:        1s\n"
        "eval rate:            3.00 tokens/s\n"
    )


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(status="loading", loaded=0.4), "loading 40%"),
        (Progress(status="loading", position=2), "2nd in line for memory"),
        (Progress(status="queued", position=3), "3rd in the queue"),
        (Progress(status="prefill", total=200, processed=50), "reading 25%"),
        (Progress(status="prefill"), ""),
        (Progress(status="of a server to come"), ""),
    ],
)
def test_what_is_waited_for_is_said_in_few_words(progress: Progress, text: str) -> None:
    assert waited_for(progress) == text
