"""`python -m power.worker FD`: serve one model over an inherited Unix socket.

FD is one end of a connected Unix stream socket; `power.worker.wire` tells what
is said on it.  Standard output stays empty, llama.cpp's log goes to standard
error.  The process ends with status 0 when the other end is closed, and with 1
after a `LoadError`.
"""

from __future__ import annotations

import signal
import socket
import sys
from time import perf_counter_ns

from power.worker.line import Line, leave_with_server
from power.worker.wire import Load, LoadError


def main(fd: int) -> int:
    # Ctrl-C is for the server, which lets its requests end and then hangs up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=fd)
    leave_with_server(connection)
    line = Line(connection)
    try:
        return _serve(line)
    except EOFError:
        return 0


def _serve(line: Line) -> int:
    load, *rest = line.receive(wait=True)
    if not isinstance(load, Load) or rest:
        raise AssertionError("the first command is Load, and nothing comes before its answer")
    began = perf_counter_ns()
    # Only now, since importing llama.cpp is a part of loading, and can take as long.
    from power.worker.loading import LoadFailure, load_model
    from power.worker.loop import Loop

    try:
        llama, ready = load_model(load, line, began)
    except LoadFailure as error:
        line.send(LoadError(str(error)))
        return 1
    line.send(ready)
    Loop(llama, line, load.n_slots).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
