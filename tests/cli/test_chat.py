"""An interactive session, at a terminal of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from .conftest import COMMAND, ENDLESS, PATIENCE, Environment

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
READY, MORE = ">>> ", "..."


@pytest.fixture
def environ(environ: Environment) -> Environment:
    # Nobody answers the line editor's question where its cursor is.
    return environ | {"PROMPT_TOOLKIT_NO_CPR": "1"}


@pytest.fixture
def chat(environ: Environment) -> Iterator[pexpect.spawn]:
    """`power run tiny`, at its first prompt."""
    with pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "run", "tiny", "--think=false", "-o", "temperature=0"],
        env=environ,
        encoding="utf-8",
        timeout=PATIENCE,
        dimensions=(40, 100),
    ) as child:
        child.expect_exact(READY)
        yield child


def say(chat: pexpect.spawn, text: str, prompt: str = READY) -> str:
    """Type a line; what is printed until the next prompt, as a person sees it."""
    chat.send(text + "\r")
    return wait_prompt(chat, prompt)


def wait_prompt(chat: pexpect.spawn, prompt: str = READY) -> str:
    # The editor turns bracketed paste on when it takes the terminal and off when it gives it back.
    # Between the two it draws its line as often as it likes; what is printed comes after.
    chat.expect_exact("\x1b[?2004l")
    chat.expect_exact("\x1b[?2004h")
    printed = chat.before or ""
    chat.expect_exact(prompt)
    return ESCAPES.sub("", printed)


def n_prompt(printed: str) -> int:
    match = re.search(r"prompt eval count: +(\d+) token", printed)
    assert match
    return int(match[1])


def test_every_turn_goes_with_the_next_question_until_cleared(chat: pexpect.spawn) -> None:
    say(chat, "/set verbose")
    first = n_prompt(say(chat, "My name is Ada."))
    second = n_prompt(say(chat, "My name is Ada."))
    say(chat, "/clear")

    assert second > 2 * first - 10
    assert n_prompt(say(chat, "My name is Ada.")) == first


def test_a_message_may_have_several_lines(chat: pexpect.spawn) -> None:
    say(chat, '"""', MORE)
    say(chat, "Hello,", MORE)
    say(chat, 'who are you?"""')
    say(chat, "/save lines")

    assert 'MESSAGE user "Hello,\r\nwho are you?"' in say(chat, "/load lines") + say(chat, "/show modelfile")


def test_commands_are_obeyed(chat: pexpect.spawn) -> None:
    assert "Available Commands:" in say(chat, "/?")
    assert "Set system message." in say(chat, "/set system You are a pirate.")
    assert "You are a pirate." in say(chat, "/show system")
    assert "Set parameter 'seed' to '7'" in say(chat, "/set parameter seed 7")
    assert re.search(r"seed +7", say(chat, "/show parameters"))
    assert "architecture" in say(chat, "/show info")
    assert "tiny:latest" in say(chat, "/list")
    assert "Unknown command '/nonsense'. Type /? for help" in say(chat, "/nonsense")
    assert "Error: model 'other:latest' not found" in say(chat, "/load other")
    assert "eval rate:" in say(chat, "/set verbose") + say(chat, "Hi")
    assert "Cleared session context" in say(chat, "/clear")


def test_ctrl_c_stops_the_answer_and_not_the_session(chat: pexpect.spawn) -> None:
    name, _, value = ENDLESS.partition("=")
    say(chat, f"/set parameter {name} {value}")
    chat.send("Hello, who are you?\r")
    chat.expect_exact("\x1b[?2004l")
    chat.expect(r"\w+ \w+")
    chat.sendintr()
    chat.expect_exact(READY)
    say(chat, f'/set parameter {name} {{"0": 0}}')

    assert say(chat, "Hello, who are you?").strip()


def test_ctrl_c_at_the_prompt_says_how_to_leave(chat: pexpect.spawn) -> None:
    chat.sendintr()

    assert "Use Ctrl + d or /bye to exit." in wait_prompt(chat)


@pytest.mark.parametrize("farewell", ["/bye\r", "/exit\r", "\x04"])
def test_leaving_is_a_success(chat: pexpect.spawn, farewell: str) -> None:
    chat.send(farewell)
    chat.expect(pexpect.EOF)
    chat.close()

    assert (chat.exitstatus, chat.signalstatus) == (0, None)


def test_typed_lines_are_kept_for_the_next_session_unless_told_otherwise(
    chat: pexpect.spawn, environ: Environment
) -> None:
    say(chat, "/set quiet")
    say(chat, "/set nohistory")
    say(chat, "/set verbose")
    history = Path(environ["POWER_HOME"], "history")

    assert "+/set quiet" in history.read_text()
    assert "+/set verbose" not in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_a_session_is_saved_as_a_model(chat: pexpect.spawn) -> None:
    say(chat, "/set system You are Ada.")
    say(chat, "Hello")

    assert "Created new model 'ada'" in say(chat, "/save ada")
    assert "You are Ada." in say(chat, "/load ada") + say(chat, "/show modelfile")
    assert "MESSAGE user Hello" in say(chat, "/show modelfile")
