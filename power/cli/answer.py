"""Print an answer as it comes, and keep what was printed.

Thinking stands between `Thinking...` and `...done thinking.`, grey on a
terminal; words wrap on a terminal only, so that what is piped on is the
model's own text.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import TextIO

from power.cli.human import ordinal
from power.cli.spinner import Spinner
from power.cli.wrap import WordWrap
from power.client import Chunk, Progress, Usage
from power.durations import go_duration

GREY, BOLD, PLAIN = "\x1b[90m", "\x1b[1m", "\x1b[0m"


class AnswerPrinter:
    """Chunks in, text on `out`; `content` and `thinking` are what has come so far."""

    def __init__(self, out: TextIO, *, wordwrap: bool = True, hide_thinking: bool = False) -> None:
        self.content = ""
        self.thinking = ""
        self.usage: Usage | None = None
        self._out = out
        self._colours = out.isatty()
        self._hide_thinking = hide_thinking
        self._wrap = WordWrap(shutil.get_terminal_size().columns) if wordwrap and out.isatty() else None
        self._is_thinking = False

    def show(self, chunk: Chunk) -> None:
        """Print what the chunk brings, at once."""
        if chunk.thinking:
            self._think(chunk.thinking)
        if chunk.content:
            self._done_thinking()
            self.content += chunk.content
            self._write_wrapped(chunk.content)
        self.usage = chunk.usage or self.usage
        self._out.flush()

    def end(self) -> None:
        """The answer is over, or was stopped: leave the cursor in a line of its own."""
        self._done_thinking()
        if self._colours or not self.content.endswith("\n"):
            self._write("\n")
        self._out.flush()

    def _think(self, text: str) -> None:
        if not self.thinking and not self._hide_thinking:
            self._write(self._coloured("Thinking...", BOLD + GREY) + "\n" + (GREY if self._colours else ""))
        self._is_thinking = True
        self.thinking += text
        if not self._hide_thinking:
            self._write_wrapped(text)

    def _done_thinking(self) -> None:
        if not self._is_thinking:
            return
        self._is_thinking = False
        if not self._hide_thinking:
            gap = "" if self.thinking.endswith("\n") else "\n"
            self._write(f"{gap}{self._coloured('...done thinking.', PLAIN + BOLD + GREY)}\n\n")
            if self._wrap:
                self._wrap.feed("\n")  # it has not seen our line breaks

    def _coloured(self, text: str, colour: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colours else text

    def _write_wrapped(self, text: str) -> None:
        self._write(self._wrap.feed(text) if self._wrap else text)

    def _write(self, text: str) -> None:
        self._out.write(text)


async def show_all(chunks: AsyncIterator[Chunk], spinner: Spinner, printer: AnswerPrinter) -> None:
    """Print an answer, once it comes; until then the spinner says what is waited for."""
    async for chunk in chunks:
        if chunk.progress:
            spinner.say(waited_for(chunk.progress))
            continue
        spinner.stop()
        printer.show(chunk)


def waited_for(progress: Progress) -> str:
    """What a person is told of it."""
    match progress.status:
        case "loading" if progress.position:
            return f"{ordinal(progress.position)} in line for memory"
        case "loading":
            return f"loading {progress.loaded:.0%}"
        case "queued":
            return f"{ordinal(progress.position)} in the queue"
        case "prefill" if progress.total:
            return f"reading {progress.processed / progress.total:.0%}"
    return ""


def statistics(usage: Usage) -> str:
    """What `--verbose` says after an answer; what is zero is not mentioned."""
    lines = [
        ("total duration:", _duration(usage.total_duration)),
        ("load duration:", _duration(usage.load_duration)),
        ("prompt eval count:", _count(usage.prompt_eval_count)),
        ("prompt eval duration:", _duration(usage.prompt_eval_duration)),
        ("prompt eval rate:", _rate(usage.prompt_eval_count, usage.prompt_eval_duration)),
        ("eval count:", _count(usage.eval_count)),
        ("eval duration:", _duration(usage.eval_duration)),
        ("eval rate:", _rate(usage.eval_count, usage.eval_duration)),
    ]
    return "".join(f"{label:<22}{value}\n" for label, value in lines if value)


def left_out(usage: Usage) -> str:
    """What is said where the model was not told everything; empty where it was."""
    cut = usage.truncated
    if cut is None:
        return ""
    counts = (cut.messages, "oldest messages"), (cut.tokens, "tokens")
    what = " and ".join(f"{count} {kind}" for count, kind in counts if count)
    return f"Warning: {cut.prompt_tokens} tokens do not fit a context of {cut.num_ctx}, so {what} were left out."


def _duration(nanoseconds: int) -> str:
    return go_duration(nanoseconds / 1e9) if nanoseconds else ""


def _count(tokens: int) -> str:
    return f"{tokens} token(s)" if tokens else ""


def _rate(tokens: int, nanoseconds: int) -> str:
    return f"{tokens / nanoseconds * 1e9:.2f} tokens/s" if tokens and nanoseconds else ""
