"""What every command begins with: the settings, and a Trio run that ends in one error rather than a group."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any


def read_config() -> Any:
    """The settings, for commands that speak only of what they were asked, or of everything."""
    from power.config import load_config

    config = load_config()
    if config.debug:
        log_to_stderr("DEBUG")
    return config


def run_trio(function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
    import trio

    from power.cli.groups import unwrapped

    with unwrapped():
        return trio.run(function, *arguments)


def log_to_stderr(level: str) -> None:
    import logging

    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")
    for talkative in ("httpcore", "httpx"):
        logging.getLogger(talkative).setLevel("WARNING")
