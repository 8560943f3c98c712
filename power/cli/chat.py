"""An interactive session: messages typed, answers printed, until the person leaves."""

from __future__ import annotations

import sys

from power.cli import session as outcomes
from power.cli.answer import AnswerPrinter, left_out, show_all, statistics
from power.cli.interrupt import stop_on_interrupt
from power.cli.lines import PROMPT, MessageReader
from power.cli.listing import models_table
from power.cli.session import Session
from power.cli.show import overview, part
from power.cli.spinner import spinner
from power.client import Client
from power.config import Config
from power.errors import PowerError


class Chat:
    """A session, its model and its terminal."""

    def __init__(
        self,
        client: Client,
        session: Session,
        config: Config,
        *,
        hide_thinking: bool = False,
        keep_alive: str | None = None,
    ) -> None:
        self._client = client
        self._session = session
        self._hide_thinking = hide_thinking
        self._keep_alive = keep_alive
        self._reader = MessageReader(config.data_dir / "history", keep=not config.nohistory)

    async def run(self) -> None:
        """Until /bye or Ctrl-D.

        Raises:
            PowerError: the model does not load.
        """
        await self._load(self._session.model)
        while (text := await self._reader.read()) is not None:
            outcome = self._session.read(text)
            if isinstance(outcome, outcomes.Bye):
                return
            try:
                await self._act(outcome)
            except PowerError as error:
                print(f"Error: {error}\n")

    async def _act(self, outcome: outcomes.Outcome) -> None:
        match outcome:
            case outcomes.Send(text):
                await self._ask(text)
            case outcomes.Say(text):
                print(text)
            case outcomes.Show(what):
                await self._show(what)
            case outcomes.ListModels():
                print(models_table(await self._client.tags()))
            case outcomes.Load(model):
                await self._load(model)
                self._session.model = model
            case outcomes.Save(model):
                await self._save(model)
            case outcomes.KeepHistory(on):
                self._reader.keep_history(on)

    async def _load(self, model: str) -> None:
        """Have the model ready before the first message, and show the conversation it comes with."""
        shown = await self._client.show(model)
        async with spinner():
            await self._client.load(model, options=self._session.options, keep_alive=self._keep_alive)
        for message in shown.messages:
            lead = PROMPT if message.get("role") == "user" else ""
            print(f"{lead}{message.get('content', '')}\n")

    async def _save(self, model: str) -> None:
        """Make a model of the one spoken with, and what was set and said."""
        session = self._session
        body = {
            "model": model,
            "from": session.model,
            "system": session.system or None,
            "parameters": session.options or None,
            "messages": session.messages or None,
        }
        async with spinner(), self._client.follow("/api/create", body) as steps:
            async for _ in steps:
                pass
        print(f"Created new model '{model}'")

    async def _ask(self, text: str) -> None:
        session = self._session
        session.asked(text)
        printer = AnswerPrinter(sys.stdout, wordwrap=session.wordwrap, hide_thinking=self._hide_thinking)
        try:
            with stop_on_interrupt():
                await self._answer(printer)
        finally:
            self._finish(printer)
        print()
        if printer.usage and (warning := left_out(printer.usage)):
            print(f"{warning}\n", file=sys.stderr)
        if printer.usage and session.verbose:
            print(statistics(printer.usage), file=sys.stderr)

    async def _answer(self, printer: AnswerPrinter) -> None:
        session = self._session
        async with (
            spinner() as spinning,
            self._client.chat(
                session.model,
                session.conversation(),
                options=session.options,
                format=session.format,
                think=session.think,
                keep_alive=self._keep_alive,
                return_progress=True,
            ) as chunks,
        ):
            await show_all(chunks, spinning, printer)

    def _finish(self, printer: AnswerPrinter) -> None:
        """Into the history with what there is of an answer; what was seen is what the model should know of."""
        if printer.content or printer.thinking:
            printer.end()
            self._session.answered(printer.content, printer.thinking)
        else:
            self._session.unasked()

    async def _show(self, what: str) -> None:
        shown = await self._client.show(self._session.model)
        if what == "info":
            print(overview(shown))
            return
        if what == "parameters":
            print("Model defined parameters:")
            print(part(shown, what) or "  No additional parameters were specified for this model.\n")
            if self._session.options:
                print("User defined parameters:")
                print("".join(f"  {name:<30} {value}\n" for name, value in self._session.options.items()))
            return
        text = self._session.system if what == "system" and self._session.system else part(shown, what)
        print(text or f"No {what} was specified for this model.\n")
