"""The `power` command as a real process, with a home of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "power"]
PATIENCE = 60  # seconds, for a busy machine
ENDLESS = 'logit_bias=[["<|im_end|>", false]]'  # without its end token, tiny goes on until its context is full

Environment = dict[str, str]
Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(home: Path, address: str) -> Environment:
    """That of this process, but for what would change what Power does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "POWER_", "COLUMNS"))}
    return kept | {"POWER_HOME": str(home), "OLLAMA_HOST": address, "TERM": "xterm-256color"}


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address of this machine where nobody listens, nor can while the test runs: it is taken."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{silent.getsockname()[1]}"


@pytest.fixture
def environ(tmp_path: Path, nobody: str) -> Environment:
    """Without a server."""
    return environment(tmp_path, nobody)


@pytest.fixture
def power(environ: Environment) -> Run:
    """`power("run", "tiny", "hi")`: the command, run to its end without a server."""

    def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            env=environ | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running `power serve`."""
    environ = environment(tmp_path_factory.mktemp("home"), "127.0.0.1:0")
    with subprocess.Popen([*COMMAND, "serve"], env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            match = re.search(r"listening on http://(127\.0\.0\.1:\d+)", process.stderr.readline())
            assert match
            yield match[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
