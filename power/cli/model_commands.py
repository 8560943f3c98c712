"""The commands that manage models: signatures and help, like `power.cli.app`, which registers them."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from power.cli.start import read_config, run_trio
from power.errors import BadRequest

PULL_EPILOGUE = """\
Examples:
  power pull llama3.2:3b                       From Ollama's registry
  power pull hf.co/bartowski/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M
  power pull https://example.org/model.gguf    A file
  power pull --insecure registry.lan:5000/team/model

A pull that was interrupted goes on where it was.
"""
PUSH_EPILOGUE = """\
Examples:
  power push registry.example/team/model:v1
  power push model --destination registry.lan:5000/team/model --insecure
"""
CREATE_EPILOGUE = """\
Without a Modelfile, the model is made from the weights in this folder.

Examples:
  power create pirate -f Modelfile
  echo "FROM ./Qwen3-0.6B" | power create qwen -f - --quantize q4_K_M
"""
RM_EPILOGUE = """\
Examples:
  power rm mymodel
  power rm mymodel:v1 mymodel:v2
"""
COMPLETION_EPILOGUE = """\
Examples:
  power completion bash > ~/.local/share/bash-completion/completions/power
  power completion zsh > ~/.zfunc/_power
  power completion fish > ~/.config/fish/completions/power.fish
"""

Insecure = Annotated[bool, Parameter(negative=())]


def register(app: App) -> None:
    """Add the commands, in the order that help shows them in."""
    app.command(pull, sort_key=1.5, help_epilogue=PULL_EPILOGUE)
    app.command(push, sort_key=1.6, help_epilogue=PUSH_EPILOGUE)
    app.command(create, sort_key=4.1, help_epilogue=CREATE_EPILOGUE)
    app.command(copy, name="cp", sort_key=4.2, help_epilogue="")
    app.command(remove, name="rm", alias="delete", sort_key=4.3, help_epilogue=RM_EPILOGUE)
    app.command(sign_in, name="signin", alias="login", sort_key=5.5, help_epilogue="")
    app.command(sign_out, name="signout", alias="logout", sort_key=5.6, help_epilogue="")

    @app.command(name="completion", sort_key=5.7, help_epilogue=COMPLETION_EPILOGUE)
    def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
        """Print a script that has a shell complete commands and options.

        Parameters
        ----------
        shell
            bash, zsh or fish.
        """
        print(app.generate_completion(shell=shell))


def pull(model: str, /, *, insecure: Insecure = False) -> None:
    """Get a model from a registry, or a GGUF file from a URL.

    Parameters
    ----------
    model
        The model's name, with its registry if that is not Ollama's; or a URL.
    insecure
        Allow plain HTTP, and hosts nobody vouches for.
    """
    from power.cli.manage import pull_model

    run_trio(pull_model, read_config(), model, insecure)


def push(model: str, /, *, insecure: Insecure = False, destination: str | None = None) -> None:
    """Bring a model to a registry.

    Parameters
    ----------
    model
        The model's name, with the registry to push it to.
    insecure
        Allow plain HTTP, and hosts nobody vouches for.
    destination
        Another name to push it under, or a registry's URL.
    """
    from power.cli.manage import push_model

    run_trio(push_model, read_config(), model, insecure, destination)


def create(
    model: str,
    /,
    *,
    file: Annotated[str | None, Parameter(name=["--file", "-f"], allow_leading_hyphen=True)] = None,
    quantize: Annotated[str | None, Parameter(name=["--quantize", "-q"])] = None,
    imatrix: str | None = None,
) -> None:
    """Make a model from a Modelfile.

    Parameters
    ----------
    model
        The new model's name.
    file
        The Modelfile (Modelfile); "-" for what is piped in.
    quantize
        Quantize to this type: q8_0, q4_K_M, ...
    imatrix
        A GGUF that says which weights matter most, for quantizing.
    """
    from power.cli.create import create_model

    run_trio(create_model, read_config(), model, file, quantize, imatrix)


def copy(source: str, destination: str, /) -> None:
    """Give a model a second name.

    Parameters
    ----------
    source
        The model's name.
    destination
        The new one.
    """
    from power.cli.manage import copy_model

    run_trio(copy_model, read_config(), source, destination)


def remove(*model: str) -> None:
    """Delete models.

    Parameters
    ----------
    model
        The models' names.
    """
    from power.cli.manage import remove_models

    if not model:
        raise BadRequest("requires at least 1 arg(s), only received 0")
    run_trio(remove_models, read_config(), model)


def sign_in() -> None:
    """Show where to tie this machine's key to an account at ollama.com."""
    from power.cli.manage import sign_in as sign_in_at

    run_trio(sign_in_at, read_config())


def sign_out() -> None:
    """Take this machine's key away from an account at ollama.com."""
    from power.cli.manage import sign_out as sign_out_of

    run_trio(sign_out_of, read_config())
