"""The `power` command: errors are one line on stderr, and a status of 1."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

BROKEN_PIPE = 141  # what shells say of a command that SIGPIPE ended
INTERRUPTED = 130  # and of one that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    try:
        status = _main(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read our output has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = BROKEN_PIPE
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.exit(status)


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
