"""`power run`: signature and help, like `power.cli.app`, which registers it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, Parameter

from power.cli.start import read_config, run_trio

EPILOGUE = """\
Examples:
  power run
  power run tiny "What is 2 + 3?"
  power run tiny --think --verbose "How many legs do two cats have?"
  power run tiny -o temperature=0 -o seed=1 Hello
  git diff | power run some-model "Write a commit message."
"""
OPTION = Parameter(
    name=["--option", "-o"],
    negative=(),
    consume_multiple=False,
    help="NAME=VALUE, such as temperature=0 or seed=1; may be repeated.",
)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What may be said beside model and prompt, in the order that help shows it in."""

    system: Annotated[str | None, Parameter(help="System message, in place of the model's own.")] = None
    option: Annotated[list[str] | None, OPTION] = None
    think: Annotated[
        str | None, Parameter(help="--think, or --think=VALUE: true, false, low, medium, high or max.")
    ] = None
    hidethinking: Annotated[bool, Parameter(help="Let it think, but do not show it.")] = False
    format: Annotated[
        str | None,
        Parameter(help='"json", or a JSON Schema for the answer to follow: written out, or the path of a .json file.'),
    ] = None
    keepalive: Annotated[
        str | None, Parameter(help="How long the model stays loaded: 5m, 0 (not at all), -1 (for ever).")
    ] = None
    insecure: Annotated[
        bool, Parameter(help="Pull a missing model over plain HTTP, or from a host nobody vouches for.")
    ] = False
    nowordwrap: Annotated[bool, Parameter(help="Do not wrap lines at word borders.")] = False
    verbose: Annotated[bool, Parameter(help="Show statistics after each answer.")] = False


NONE = Flags()


def register(app: App) -> None:
    usage = "Usage: power run [OPTIONS] [MODEL] [PROMPT...]"
    app.command(run, sort_key=0, help_epilogue=EPILOGUE, usage=usage)


def run(model: str = "tiny", /, *prompt: str, flags: Annotated[Flags, Parameter(name="*")] = NONE) -> int:
    """Chat with a model, or get one answer.

    Without a prompt, and on a terminal, this is a conversation. Otherwise the
    prompt is what comes in through a pipe, followed by the words given.

    A model that is not here is pulled first. A running server does the work;
    where there is none, this command does it itself.

    Parameters
    ----------
    model
        The model's name (tiny).
    prompt
        The words of the prompt.
    """
    from power.cli.parameters import read_format, read_parameters, read_think
    from power.cli.run import Request
    from power.cli.run import run as run_model
    from power.durations import parse_keep_alive

    if flags.keepalive is not None:
        parse_keep_alive(flags.keepalive)  # a slip is told here, before a model is loaded
    request = Request(
        model=model,
        options=read_parameters(flags.option or []),
        format=read_format(flags.format),
        think=read_think(flags.think),
        prompt=_prompt(prompt),  # last: it may take a person some time to end it
        system=flags.system,
        keep_alive=flags.keepalive,
        insecure=flags.insecure,
        hide_thinking=flags.hidethinking,
        wordwrap=not flags.nowordwrap,
        verbose=flags.verbose,
    )
    return int(run_trio(run_model, read_config(), request))


def _prompt(words: tuple[str, ...]) -> str | None:
    """What is piped in, then the words; None if a person is to be asked."""
    is_piped = sys.stdin is not None and not sys.stdin.isatty()
    # Whatever is piped in: bytes that are no text are told so, and not a reason to say nothing.
    parts = [sys.stdin.buffer.read().decode(errors="replace") if is_piped else "", *words]
    if not is_piped and not words and sys.stdout.isatty():
        return None
    return " ".join(part for part in parts if part)
