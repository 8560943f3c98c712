"""`power run`: one answer, or a conversation."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from power.cli.answer import AnswerPrinter, left_out, show_all, statistics
from power.cli.connect import open_power
from power.cli.interrupt import stop_on_interrupt
from power.cli.listing import not_found
from power.cli.manage import pull
from power.cli.session import Session
from power.cli.spinner import spinner
from power.client import Client, ServerRefused
from power.config import Config

INTERRUPTED = 130  # the exit status shells give a command that Ctrl-C ended


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    model: str
    prompt: str | None  # None: a conversation is wanted
    system: str | None = None
    options: dict[str, Any] = {}
    format: Any = None  # "json" or a schema
    think: bool | str | None = None
    keep_alive: str | None = None
    insecure: bool = False  # of pulling it
    hide_thinking: bool = False
    wordwrap: bool = True
    verbose: bool = False


async def run(config: Config, request: Request) -> int:
    """Do it; the exit status."""
    async with open_power(config) as client:
        await _have(client, request)
        if request.prompt is None:
            await _converse(client, config, request)
            return 0
        return await _answer(client, request)


async def _have(client: Client, request: Request) -> None:
    """Pull the model if it is not there.

    Raises:
        PowerError: it is not to be had; the message names the models there are.
    """
    try:
        await client.show(request.model)
    except ServerRefused as error:
        if error.status != 404:
            raise
        try:
            await pull(client, request.model, insecure=request.insecure)
        except ServerRefused as refused:
            raise await not_found(client, f"{error}, and cannot be pulled ({refused})") from None


async def _converse(client: Client, config: Config, request: Request) -> None:
    from power.cli.chat import Chat  # it brings in the line editor

    session = Session(
        request.model,
        system=request.system or "",
        options=request.options,
        think=request.think,
        format=request.format,
        wordwrap=request.wordwrap,
        verbose=request.verbose,
    )
    await Chat(client, session, config, hide_thinking=request.hide_thinking, keep_alive=request.keep_alive).run()


async def _answer(client: Client, request: Request) -> int:
    printer = AnswerPrinter(sys.stdout, wordwrap=request.wordwrap, hide_thinking=request.hide_thinking)
    with stop_on_interrupt() as scope:
        await _stream(client, request, printer)
    # An empty prompt only loads the model; then there is nothing to end.
    if printer.content or printer.thinking:
        printer.end()
    if printer.usage and (warning := left_out(printer.usage)):
        print(warning, file=sys.stderr)
    if printer.usage and request.verbose:
        print(statistics(printer.usage), file=sys.stderr)
    return INTERRUPTED if scope.cancelled_caught else 0


async def _stream(client: Client, request: Request, printer: AnswerPrinter) -> None:
    async with (
        spinner() as spinning,
        client.generate(
            request.model,
            request.prompt or "",
            system=request.system,
            options=request.options,
            format=request.format,
            think=request.think,
            keep_alive=request.keep_alive,
            return_progress=True,
        ) as chunks,
    ):
        await show_all(chunks, spinning, printer)
