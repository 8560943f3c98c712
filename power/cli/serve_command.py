"""`power serve`: signature and help, like `power.cli.app`, which registers it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import App, Parameter

from power.cli.start import log_to_stderr, run_trio

EPILOGUE = """\
Examples:
  power serve
  power serve --host 0.0.0.0 --port 8080 --num-parallel 8
  OLLAMA_HOST=127.0.0.1:8080 power serve
"""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The settings that have flags, by the names that `power.settings` has for them."""

    host: Annotated[str | None, Parameter(help="Address to listen on; 0.0.0.0 for all (127.0.0.1).")] = None
    port: Annotated[int | None, Parameter(help="Port to listen on (11434).")] = None
    data_dir: Annotated[str | None, Parameter(help="Where models and history are (~/.power).")] = None
    num_parallel: Annotated[int | None, Parameter(help="Requests a model answers at once (4).")] = None
    max_loaded_models: Annotated[
        int | None, Parameter(help="Models loaded at once (3 for each GPU, 3 without one).")
    ] = None
    max_queue: Annotated[int | None, Parameter(help="Requests that may wait for a model (512).")] = None
    keep_alive: Annotated[str | None, Parameter(help="How long a model stays loaded after its last request (5m).")] = (
        None
    )
    context_length: Annotated[
        int | None, Parameter(help="Context length where neither request nor model says (4096).")
    ] = None
    num_thread: Annotated[int | None, Parameter(help="Threads a model computes with (0: one per core).")] = None
    gpu_layers: Annotated[int | None, Parameter(help="Layers on the GPU (-1: as many as fit).")] = None
    debug: Annotated[bool | None, Parameter(help="Log more.")] = None


NONE = Flags()


def register(app: App) -> None:
    app.command(serve, alias="start", sort_key=1, help_epilogue=EPILOGUE)


def serve(*, flags: Annotated[Flags, Parameter(name="*")] = NONE) -> None:
    """Serve models over HTTP, until Ctrl-C.

    Flags outrank the environment, which outranks config.toml.
    """
    from power.config import load_config
    from power.serve import serve_until_signalled

    config = load_config(asdict(flags))
    log_to_stderr("DEBUG" if config.debug else "INFO")
    run_trio(serve_until_signalled, config)
