"""A sign of life, and one reason instead of a group."""

from __future__ import annotations

import io
import sys

import pytest
import trio
from trio.testing import MockClock

from power.cli.groups import unwrapped
from power.cli.spinner import DELAY, ERASE, spinner
from power.errors import PowerError, ServerUnreachable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """From now on stderr is a terminal. (A fixture would be too early: pytest sets stderr anew for the test.)"""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


async def test_it_spins_until_stopped_and_leaves_an_empty_line(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = on_terminal(monkeypatch)
    async with spinner() as spinning:
        await trio.sleep(0.5)
        spinning.say("2nd in the queue")
        await trio.sleep(0.5)
        spinning.stop()
        shown = stderr.getvalue()
        await trio.sleep(1)

    assert "⠋" in shown
    assert "⠹" in shown
    assert "2nd in the queue" in shown
    assert shown.endswith(ERASE)
    assert stderr.getvalue() == shown


async def test_what_is_fast_shows_no_spinner(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = on_terminal(monkeypatch)
    async with spinner():
        await trio.sleep(DELAY / 2)

    assert stderr.getvalue() == ""


async def test_into_a_pipe_nothing_spins(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    async with spinner():
        await trio.sleep(1)

    assert pipe.getvalue() == ""


async def test_an_error_while_it_spins_comes_out_as_it_is(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = on_terminal(monkeypatch)

    async def fail() -> None:
        async with spinner():
            await trio.sleep(1)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()

    assert stderr.getvalue().endswith(ERASE)


def test_of_a_group_of_one_the_one_is_raised() -> None:
    with pytest.raises(LookupError, match="mine"), unwrapped():
        raise ExceptionGroup("a nursery's", [ExceptionGroup("another's", [LookupError("mine")])])


def test_of_several_powers_own_is_raised() -> None:
    with pytest.raises(ServerUnreachable), unwrapped():
        raise ExceptionGroup("", [RuntimeError("a consequence"), ServerUnreachable("the reason")])


def test_of_several_strangers_all_are_raised() -> None:
    with pytest.RaisesGroup(LookupError, RuntimeError), unwrapped():
        raise ExceptionGroup("", [LookupError("one"), RuntimeError("other")])


def test_without_a_group_nothing_changes() -> None:
    with pytest.raises(PowerError, match="plain"), unwrapped():
        raise PowerError("plain")
