"""The command line: every command's signature, and what `--help` says of it.

Only what help needs is imported here; each command brings in the rest itself,
so that `power --help` comes at once.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Group, Parameter

from power import __version__
from power.cli import model_commands, run_command, serve_command
from power.cli.gguf import app as gguf_app
from power.cli.grammar import app as grammar_app
from power.cli.start import read_config, run_trio
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
  OLLAMA_NOHISTORY, OLLAMA_NOPRUNE

Files:
  ~/.power                  Models, history, config.toml (or in POWER_HOME)
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

run_command.register(app)
serve_command.register(app)


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


model_commands.register(app)
app.command(gguf_app)
app.command(grammar_app)


@app.command(name="help", sort_key=9, help_epilogue="")
def help_(*command: str) -> None:
    """Show this page, or that of a command."""
    if command and command[0] not in app:
        raise BadRequest(f"unknown command '{command[0]}'")
    app.help_print([*command])
