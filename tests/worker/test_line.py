from __future__ import annotations

import socket

import pytest

from power.worker.line import Line
from power.worker.wire import Cancel, Tokenized, WireError, encode, event_reader


def test_commands_that_are_there_are_read_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(encode(Cancel(1)) + encode(Cancel(2)) + encode(Cancel(3))[:3])
        line = Line(theirs)

        assert line.receive(wait=False) == [Cancel(1), Cancel(2)]
        assert line.receive(wait=False) == []


def test_the_rest_of_a_command_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line, frame = Line(theirs), encode(Cancel(3))
        ours.sendall(frame[:3])
        line.receive(wait=False)
        ours.sendall(frame[3:])

        assert line.receive(wait=True) == [Cancel(3)]


def test_events_go_out_together_and_in_order() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Line(theirs).send(Tokenized(1, ()), Tokenized(2, (5,)))

        assert list(event_reader().feed(ours.recv(4096))) == [Tokenized(1, ()), Tokenized(2, (5,))]


@pytest.mark.parametrize("wait", [True, False])
def test_the_end_of_the_server_is_the_end_of_file(wait: bool) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        line = Line(theirs)

        with pytest.raises(EOFError):
            line.receive(wait=wait)
        with pytest.raises(EOFError):
            line.send(Tokenized(1, ()))


def test_what_is_no_command_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(encode(Tokenized(1, ())))

        with pytest.raises(WireError):
            Line(theirs).receive(wait=True)
