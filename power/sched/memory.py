"""Whether a model fits into what memory is left, asked before its worker is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio

from power.errors import LoadFailed
from power.gguf import GGUFError, open_gguf
from power.gguf.memory import Serving, available_memory, check_fits, has_gpu_backend
from power.worker.wire import Load

if TYPE_CHECKING:
    from power.store import StoredModel


async def check_memory(stored: StoredModel, load: Load) -> None:
    """Let a model in that fits; where nobody says how much memory there is, any.

    Raises:
        LoadFailed: it takes more than there is, or its file is broken.
    """
    await trio.to_thread.run_sync(_check, stored, load)


def _check(stored: StoredModel, load: Load) -> None:
    try:
        # The model itself was read when it was found; nothing goes to llama.cpp unread.
        beside: list[str | Path] = [*(path for path, _scale in load.adapters), *stored.projectors]
        for path in beside:
            open_gguf(path)
        available = available_memory()
        if available is not None:
            projector = stored.projectors[0] if stored.projectors else None
            check_fits(load.path, Serving.of(load, has_gpu=has_gpu_backend()), available, projector=projector)
    except GGUFError as error:
        raise LoadFailed(f"unable to load model: {error.message}") from error
