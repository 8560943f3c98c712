"""The command line: every command's signature, and what `--help` says of it.

Only what help needs is imported here; each command brings in the rest itself,
so that `power --help` comes at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Group, Parameter

from power import __version__
from power.cli.gguf import app as gguf_app
from power.cli.grammar import app as grammar_app
from power.cli.model_commands import register
from power.cli.start import log_to_stderr, read_config, run_trio
from power.errors import BadRequest

EPILOGUE = """\
Examples:
  power run                         Chat with tiny, which comes with Power
  power run tiny "What is 2 + 3?"   One answer
  power run tiny Sum up: < notes    The words, after what is piped in
  power serve --port 8080           Serve Ollama, OpenAI and other clients

Environment, as in Ollama:
  OLLAMA_HOST               The server's address (127.0.0.1:11434)
  OLLAMA_MODELS             Where models are; an Ollama store will do
  OLLAMA_KEEP_ALIVE         How long a model stays loaded (5m; -1: for ever)
  OLLAMA_LOAD_TIMEOUT       How long loading may stand still (5m)
  OLLAMA_NUM_PARALLEL       Requests a model answers at once (4)
  OLLAMA_MAX_QUEUE          Requests that may wait for a model (512)
  OLLAMA_MAX_LOADED_MODELS  Models loaded at once (3)
  OLLAMA_CONTEXT_LENGTH     Tokens, where a request does not say (4096)
  OLLAMA_NUM_GPU            Layers on the GPU (-1: as many as fit)
  OLLAMA_FLASH_ATTENTION, OLLAMA_KV_CACHE_TYPE, OLLAMA_ORIGINS, OLLAMA_DEBUG,
  OLLAMA_NOHISTORY

Files:
  ~/.power                  Models, history, config.toml (or in POWER_HOME)
"""
RUN_EPILOGUE = """\
Examples:
  power run
  power run tiny "What is 2 + 3?"
  power run tiny --think --verbose "How many legs do two cats have?"
  power run tiny -o temperature=0 -o seed=1 Hello
  git diff | power run some-model "Write a commit message."
"""
SERVE_EPILOGUE = """\
Examples:
  power serve
  power serve --host 0.0.0.0 --port 8080 --num-parallel 8
  OLLAMA_HOST=127.0.0.1:8080 power serve
"""

app = App(
    name="power",
    help="Run language models on this machine.",
    help_epilogue=EPILOGUE,
    help_format="plaintext",
    version=f"power version is {__version__}",
    version_flags=["--version", "-v"],
    default_parameter=Parameter(negative=(), show_default=False),
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    group_commands=Group("Commands", sort_key=0),
)


@app.command(sort_key=0, help_epilogue=RUN_EPILOGUE, usage="Usage: power run [OPTIONS] [MODEL] [PROMPT...]")
def run(
    model: str = "tiny",
    /,
    *prompt: str,
    system: str | None = None,
    option: Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative=(), consume_multiple=False)] = None,
    think: str | None = None,
    hidethinking: bool = False,
    format: str | None = None,
    keepalive: str | None = None,
    insecure: bool = False,
    nowordwrap: bool = False,
    verbose: bool = False,
) -> int:
    """Chat with a model, or get one answer.

    Without a prompt, and on a terminal, this is a conversation. Otherwise the
    prompt is what comes in through a pipe, followed by the words given.

    A model that is not here is pulled first. A running server does the work;
    where there is none, this command does it itself.

    Parameters
    ----------
    model
        The model's name (tiny).
    prompt
        The words of the prompt.
    system
        System message, in place of the model's own.
    option
        NAME=VALUE, such as temperature=0 or seed=1; may be repeated.
    think
        --think, or --think=VALUE: true, false, low, medium, high or max.
    hidethinking
        Let it think, but do not show it.
    format
        "json", or a JSON schema for the answer to follow.
    keepalive
        How long the model stays loaded: 5m, 0 (not at all), -1 (for ever).
    insecure
        Pull a missing model over plain HTTP, or from a host nobody vouches for.
    nowordwrap
        Do not wrap lines at word borders.
    verbose
        Show statistics after each answer.
    """
    from power.cli.parameters import read_format, read_parameters, read_think
    from power.cli.run import Request
    from power.cli.run import run as run_model
    from power.durations import parse_keep_alive

    if keepalive is not None:
        parse_keep_alive(keepalive)  # a slip is told here, before a model is loaded
    request = Request(
        model=model,
        prompt=_prompt(prompt),
        system=system,
        options=read_parameters(option or []),
        format=read_format(format),
        think=read_think(think),
        keep_alive=keepalive,
        insecure=insecure,
        hide_thinking=hidethinking,
        wordwrap=not nowordwrap,
        verbose=verbose,
    )
    return int(run_trio(run_model, read_config(), request))


def _prompt(words: tuple[str, ...]) -> str | None:
    """What is piped in, then the words; None if a person is to be asked."""
    is_piped = sys.stdin is not None and not sys.stdin.isatty()
    parts = [sys.stdin.read() if is_piped else "", *words]
    if not is_piped and not words and sys.stdout.isatty():
        return None
    return " ".join(part for part in parts if part)


@app.command(alias="start", sort_key=1, help_epilogue=SERVE_EPILOGUE)
def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    data_dir: str | None = None,
    num_parallel: int | None = None,
    max_loaded_models: int | None = None,
    max_queue: int | None = None,
    keep_alive: str | None = None,
    context_length: int | None = None,
    num_thread: int | None = None,
    gpu_layers: int | None = None,
    debug: bool | None = None,
) -> None:
    """Serve models over HTTP, until Ctrl-C.

    Flags outrank the environment, which outranks config.toml.

    Parameters
    ----------
    host
        Address to listen on; 0.0.0.0 for all (127.0.0.1).
    port
        Port to listen on (11434).
    data_dir
        Where models and history are (~/.power).
    num_parallel
        Requests a model answers at once (4).
    max_loaded_models
        Models loaded at once (3).
    max_queue
        Requests that may wait for a model (512).
    keep_alive
        How long a model stays loaded after its last request (5m).
    context_length
        Context length where neither request nor model says (4096).
    num_thread
        Threads a model computes with (0: one per core).
    gpu_layers
        Layers on the GPU (-1: as many as fit).
    debug
        Log more.
    """
    flags = dict(locals())
    from power.config import load_config
    from power.serve import serve_until_signalled

    config = load_config(flags)
    log_to_stderr("DEBUG" if config.debug else "INFO")
    run_trio(serve_until_signalled, config)


@app.command(name="list", alias="ls", sort_key=2, help_epilogue="")
def list_(prefix: str = "", /) -> None:
    """List the models there are.

    Parameters
    ----------
    prefix
        Only those whose names begin so.
    """
    from power.cli.listing import list_models

    run_trio(list_models, read_config(), prefix)


@app.command(sort_key=3, help_epilogue="")
def ps(prefix: str = "", /) -> None:
    """List the models that are loaded.

    Parameters
    ----------
    prefix
        Only those whose names begin so.
    """
    from power.cli.listing import list_running

    run_trio(list_running, read_config(), prefix)


@app.command(sort_key=4, help_epilogue="")
def show(
    model: str,
    /,
    *,
    license: bool = False,
    modelfile: bool = False,
    parameters: bool = False,
    system: bool = False,
    template: bool = False,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative=())] = False,
) -> None:
    """Show what a model is and can do.

    Parameters
    ----------
    model
        The model's name.
    license
        Only its license.
    modelfile
        Only its Modelfile.
    parameters
        Only its parameters.
    system
        Only its system message.
    template
        Only its prompt template.
    verbose
        Also metadata and tensors.
    """
    from power.cli.listing import show_model

    parts = {
        "license": license,
        "modelfile": modelfile,
        "parameters": parameters,
        "system": system,
        "template": template,
    }
    wanted = [name for name, is_wanted in parts.items() if is_wanted]
    if len(wanted) > 1:
        raise BadRequest(
            "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified"
        )
    run_trio(show_model, read_config(), model, "".join(wanted), verbose)


@app.command(sort_key=5, help_epilogue="")
def stop(model: str, /) -> None:
    """Unload a model.

    Parameters
    ----------
    model
        The model's name.
    """
    from power.cli.listing import stop_model

    run_trio(stop_model, read_config(), model)


register(app)
app.command(gguf_app)
app.command(grammar_app)


@app.command(name="help", sort_key=6, help_epilogue="")
def help_(*command: str) -> None:
    """Show this page, or that of a command."""
    if command and command[0] not in app:
        raise BadRequest(f"unknown command '{command[0]}'")
    app.help_print([*command])
