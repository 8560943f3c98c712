"""Everything that can go wrong, as one tree.

::

    PowerError
    ├── BadRequest ............... 400  the client's doing; `field` says where
    │   ├── PromptTooLong ........ 400  the prompt does not fit the context
    │   ├── BodyTooSlow .......... 408
    │   └── BodyTooLarge ......... 413
    ├── ModelNotFound ............ 404
    ├── BlobNotFound ............. 404
    ├── NotSupported ............. 501  this server does not do that, or not as it is set up
    ├── Overloaded ............... 503  come back later; `retry_after` says when
    ├── LoadFailed ............... 500  the model did not come up
    ├── WorkerDied ............... 500  the model's process ended in mid-work
    ├── ReaderTooSlow ............ 500  the client stopped reading its own answer
    ├── StoreError ............... 500  the disk is full or read-only, or a lock is not to be had
    ├── RegistryError ............ 500  another machine does not have it, or does not do as it should
    ├── ConfigError .................... a setting of ours is wrong
    └── ServerUnreachable .............. the CLI found nobody to talk to

Each class says whose doing it was and which HTTP status tells a client so; each
message says what was wrong and where.  Only the API layer turns errors into
responses, each API into its own envelope.
"""

from __future__ import annotations


class PowerError(Exception):
    """The root: whatever Power raises on purpose."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(PowerError):
    """The request cannot be served as it is, now or later.

    `field` names the offending part of the request (`options.temperature`,
    `messages[0].role`), or is None where the whole of it is wrong.
    """

    status = 400

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class PromptTooLong(BadRequest):
    """The prompt has more tokens than the context has room for."""

    def __init__(self, n_prompt: int, n_ctx: int) -> None:
        super().__init__(
            f"the prompt is longer than the context length currently available to the model ({n_prompt} tokens, "
            f"room for {n_ctx}); shorten the prompt, raise num_ctx, or use a model with a longer context length",
            field="prompt",
        )
        self.n_prompt = n_prompt
        self.n_ctx = n_ctx


class BodyTooSlow(BadRequest):
    """The request's body trickles."""

    status = 408


class BodyTooLarge(BadRequest):
    """The request's body has more bytes than the route takes."""

    status = 413


class ModelNotFound(PowerError):
    """No such model in the store."""

    status = 404

    def __init__(self, name: str, *, hint: bool = False) -> None:
        # Both are Ollama's words; which routes say which is its habit.
        super().__init__(f'model "{name}" not found, try pulling it first' if hint else f"model '{name}' not found")
        self.name = name


class BlobNotFound(PowerError):
    """No such blob in the store."""

    status = 404

    def __init__(self, digest: str) -> None:
        super().__init__(f'blob "{digest}" not found')


class NotSupported(PowerError):
    """This server does not do that, or not as it is set up."""

    status = 501


class Overloaded(PowerError):
    """Not now: there is no place left to wait in, or the wait is over, or the server or model is on its way out.

    `retry_after` is the number of seconds after which trying again makes sense,
    `reason` one of REASONS, for the metric that counts them.
    """

    status = 503
    REASONS = ("full", "pushed-out", "deadline", "crashing", "stopping")

    def __init__(self, message: str, *, reason: str = "full", retry_after: int = 1) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class LoadFailed(PowerError):
    """The model did not come up: a broken file, no memory, or it took too long."""


class WorkerDied(PowerError):
    """The model's process ended while it had work; `exit_status` as `subprocess` reports it."""

    def __init__(self, message: str, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class ReaderTooSlow(PowerError):
    """The client left more of its answer unread than we are willing to hold."""


class StoreError(PowerError):
    """The store could not be written: a full or read-only disk, or somebody else holds a lock."""


class RegistryError(PowerError):
    """A registry does not have it, refuses it, cannot be reached, or does not do as it should."""


class ConfigError(PowerError):
    """A setting (file, environment or flag) is unknown or has a bad value."""


class ServerUnreachable(PowerError):
    """Nobody answered at the address the CLI was told to use."""
