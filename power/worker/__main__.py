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
from typing import TYPE_CHECKING

from power.worker.bindings import import_bindings_alone
from power.worker.line import Line, leave_with_server
from power.worker.pulse import Pulse
from power.worker.wire import Load, LoadError

if TYPE_CHECKING:
    from power.worker.embedding_loop import EmbeddingLoop
    from power.worker.loop import Loop
    from power.worker.weights import Weights


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
    pulse = Pulse(line, load.alive_seconds)
    import_bindings_alone()
    # Only now, since importing llama.cpp is a part of loading, and can take as long.
    from power.worker.loading import load_weights, ready
    from power.worker.weights import LoadFailure

    try:
        weights = load_weights(load, line)
        loop = _open_loop(weights, line)
    except LoadFailure as error:
        line.send(LoadError(str(error)))
        return 1
    line.send(ready(weights, n_ctx=loop.n_ctx, n_cells=loop.n_cells, began_ns=began))
    pulse.is_loading = False
    loop.run()
    return 0


def _open_loop(weights: Weights, line: Line) -> Loop | EmbeddingLoop:
    if weights.load.embeds:
        from power.worker.embedding_loop import EmbeddingLoop

        return EmbeddingLoop(weights, line)
    from power.worker.llama import Llama
    from power.worker.loop import Loop

    return Loop(Llama(weights), line, weights.load.n_slots)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
