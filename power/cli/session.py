"""An interactive session without its terminal: its state, and what a message means.

`Session.read` takes what was typed and returns what is to be done about it; the
settings it changes itself. Nothing here reads, prints or waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from power.cli.parameters import read_parameter
from power.cli.topics import LEVELS, SHOWABLE, TOPICS
from power.errors import BadRequest


class Send(msgspec.Struct, frozen=True):
    """A message for the model."""

    text: str


class Say(msgspec.Struct, frozen=True):
    """It is done; this is to be printed."""

    text: str


class Show(msgspec.Struct, frozen=True):
    """Something about the model is wanted."""

    what: str


class Load(msgspec.Struct, frozen=True):
    """Another model is wanted."""

    model: str


class Save(msgspec.Struct, frozen=True):
    """The session is to become a model."""

    model: str


class ListModels(msgspec.Struct, frozen=True):
    """The stored models are wanted."""


class KeepHistory(msgspec.Struct, frozen=True):
    """Typed lines are to be kept for next time, or no longer."""

    on: bool


class Bye(msgspec.Struct, frozen=True):
    """The session ends."""


Outcome = Send | Say | Show | Load | Save | ListModels | KeepHistory | Bye


class Session:
    """One conversation and its settings; None leaves a setting to the server."""

    def __init__(
        self,
        model: str,
        *,
        system: str = "",
        options: Mapping[str, Any] | None = None,
        think: bool | str | None = None,
        format: Any = None,
        wordwrap: bool = True,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.system = system
        self.messages: list[dict[str, Any]] = []
        self.options = dict(options or {})
        self.think = think
        self.format = format
        self.wordwrap = wordwrap
        self.verbose = verbose

    def conversation(self) -> list[dict[str, Any]]:
        """The messages of the next request."""
        return [{"role": "system", "content": self.system}] * bool(self.system) + self.messages

    def asked(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})

    def answered(self, content: str, thinking: str = "") -> None:
        """The answer, or as much of it as there was when it was stopped."""
        message = {"role": "assistant", "content": content}
        self.messages.append(message | ({"thinking": thinking} if thinking else {}))

    def unasked(self) -> None:
        """No answer came; let the question be forgotten, or the next would be the second in a row."""
        self.messages.pop()

    def read(self, text: str) -> Outcome:
        """What a message asks for."""
        name, *words = text.split() or [""]
        # A path, or a remark about one, is for the model.
        if not text.startswith("/") or "/" in name[1:]:
            return Send(text)
        match name, words:
            case (("/bye" | "/exit"), _):
                return Bye()
            case "/clear", _:
                self.messages.clear()
                return Say("Cleared session context")
            case (("/help" | "/?"), _):
                return Say(TOPICS.get(" ".join(words).lstrip("/"), TOPICS[""]))
            case "/list", _:
                return ListModels()
            case "/load", [model]:
                return Load(model)
            case "/load", _:
                return Say("Usage:\n  /load <model>")
            case "/save", [model]:
                return Save(model)
            case "/save", _:
                return Say("Usage:\n  /save <model>")
            case "/show", [what] if what in SHOWABLE:
                return Show(what)
            case "/show", _:
                return Say(TOPICS["show"])
            case "/set", _:
                return self._set(text.removeprefix("/set").strip())
        return Say(f"Unknown command '{name}'. Type /? for help")

    def _set(self, text: str) -> Outcome:
        name, *words = text.split() or [""]
        match name, words:
            case "parameter", [option, *values] if values:
                return self._set_parameter(option, values)
            case "parameter", _:
                return Say(TOPICS["set parameter"])
            case "system", [_, *_]:
                self.system = text.removeprefix("system").strip()
                return Say("Set system message.")
            case (("history" | "nohistory"), []):
                return KeepHistory(name == "history")
            case "think", [level] if level in LEVELS:
                self.think = level
                return Say(f"Set 'think' mode to '{level}'.")
            case (("think" | "nothink"), []):
                self.think = name == "think"
            case (("wordwrap" | "nowordwrap"), []):
                self.wordwrap = name == "wordwrap"
            case (("verbose" | "quiet"), []):
                self.verbose = name == "verbose"
            case "format", ["json"]:
                self.format = "json"
                return Say("Set format to 'json' mode.")
            case "noformat", []:
                self.format = None
                return Say("Disabled format.")
            case _:
                return Say(TOPICS["set"])
        return Say(f"Set '{name}' mode.")

    def _set_parameter(self, name: str, words: list[str]) -> Outcome:
        try:
            self.options[name] = read_parameter(name, words)
        except BadRequest as error:
            return Say(f"Couldn't set parameter: {error}")
        return Say(f"Set parameter '{name}' to '{(', ' if name == 'stop' else ' ').join(words)}'")
