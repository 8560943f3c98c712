"""Read messages from a person at a terminal, with editing and history."""

from __future__ import annotations

import os
from pathlib import Path

import trio
from prompt_toolkit import PromptSession
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from power.cli.compose import Composer

PROMPT, CONTINUATION = ">>> ", "... "
PLACEHOLDER = "Send a message (/? for help)"
HOW_TO_LEAVE = "\nUse Ctrl + d or /bye to exit.\n"


class MessageReader:
    """The person's end of a chat; typed lines are kept in the file `history` while `keep` is set."""

    def __init__(self, history: Path, *, keep: bool) -> None:
        self._composer = Composer()
        self._history = _Lines(history, keep)
        self._session: PromptSession[str] = PromptSession(
            history=self._history,
            editing_mode=EditingMode.EMACS,
            key_bindings=_keys(),
            placeholder=self._placeholder,
        )

    async def read(self) -> str | None:
        """The next message; None when there will be no more (Ctrl-D)."""
        while True:
            try:
                line = await self._read_line()
            except KeyboardInterrupt:
                self._give_up_line()
            except EOFError:
                return None
            else:
                message = self._composer.feed(line)
                if message is not None and message.strip():
                    return message

    def keep_history(self, on: bool) -> None:
        """From now on, keep typed lines for the next session, or do not."""
        self._history.keep = on

    async def _read_line(self) -> str:
        prompt = CONTINUATION if self._composer.is_open else PROMPT
        # prompt_toolkit is asyncio's; in a thread of its own its event loop and ours do not meet.
        return await trio.to_thread.run_sync(self._session.prompt, prompt, abandon_on_cancel=True)

    def _give_up_line(self) -> None:
        """Ctrl-C: drop what was being typed; on an empty line, say how to leave."""
        if not self._composer.is_open and not self._session.default_buffer.text:
            print(HOW_TO_LEAVE)
        self._composer.clear()

    def _placeholder(self) -> FormattedText:
        return FormattedText([("fg:ansibrightblack", "" if self._composer.is_open else PLACEHOLDER)])


class _Lines(FileHistory):
    """A history that can stop writing; what it wrote before is there either way."""

    def __init__(self, path: Path, keep: bool) -> None:
        super().__init__(path)
        self.keep = keep

    def store_string(self, string: str) -> None:
        if self.keep:
            path = Path(os.fsdecode(self.filename))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # people tell models what they would not tell everyone on the machine
            super().store_string(string)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("c-g")
    def edit(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return keys
