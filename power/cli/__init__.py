"""The `power` command: errors are one line on stderr, and a status of 1."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

BROKEN_PIPE = 141  # what shells say of a command that SIGPIPE ended
INTERRUPTED = 130  # and of one that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    _open_streams()
    try:
        status = _main(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()  # who read it has had enough
        status = BROKEN_PIPE
    except OSError as error:  # a full disk, most of all
        _forget_output()
        print(f"Error: {error.strerror or error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.exit(status)


def _open_streams() -> None:
    """Streams that the shell has closed (`>&-`) are not there at all; what is said then goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # for as long as we live


def _forget_output() -> None:
    """What is still in the buffer, or Python would complain once more when it writes that at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _main(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from power.cli.app import app
    from power.errors import PowerError

    try:
        status = app(_with_values(arguments))
    except (PowerError, CycloptsError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0


def _with_values(arguments: list[str]) -> list[str]:
    """`--think` alone means `--think=true`; a word after it is the prompt's."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return ["--think=true" if word == "--think" else word for word in arguments[:end]] + arguments[end:]
