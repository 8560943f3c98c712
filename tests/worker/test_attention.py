"""The kind of attention that the worker chooses is the one whose memory was estimated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from power.gguf import open_gguf
from power.gguf.memory.reading import shape_of
from power.gguf.memory.settings import Serving

from . import models

# In a process of its own: llama.cpp's log is taken over for as long as the process lives.
ASK = """
import json, sys
import msgspec
from power.worker.llama import Llama
from power.worker.weights import Weights
from power.worker.wire import Load
import llama_cpp.llama_cpp as c
weights = Weights(msgspec.json.decode(sys.argv[1], type=Load), lambda fraction: None)
llama = Llama(weights)
print(json.dumps([*weights.heads, llama.is_flash, c.llama_n_ubatch(llama.context)]))
"""


OTHERS = {"n_threads": 1, "n_threads_batch": 1, "main_gpu": None, "use_mmap": True, "use_mlock": False}


@pytest.mark.parametrize(("n_slots", "n_pool"), [(2, 512), (2, 1 << 18), (8, 512)])
@pytest.mark.parametrize(
    "write",
    [models.write_model, models.write_sliding_model, models.write_hybrid_model, models.write_convolving_model],
)
def test_the_worker_and_the_estimate_agree(
    write: Callable[[Path], Path], n_slots: int, n_pool: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "model.gguf")
    serving = Serving(n_ctx=256, n_slots=n_slots, n_pool=n_pool)
    load = {"type": "load", "path": str(path), **msgspec.structs.asdict(serving), **OTHERS}
    command = [sys.executable, "-c", ASK, json.dumps(load)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    shape = shape_of(open_gguf(path))
    settings = serving.settings(shape)

    assert json.loads(answer.stdout) == [
        shape.n_heads,
        shape.n_q // shape.n_heads,
        settings.flash_attention,
        settings.n_ubatch,
    ]
