"""What llama.cpp really allocates, by its own log: a process of its own that loads models without reading them.

    python -m tests.gguf.allocated < jobs.json

A job is a path and a list of context parameters; the answer is one line of JSON for each of them.
The path of a projector has null instead, and an answer for each way of attention.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from typing import Any

import llama_cpp.llama_cpp as c
import llama_cpp.mtmd_cpp as m

# The breakdown leaves these out.
OUTPUT = re.compile(r"output buffer size = +([\d.]+) MiB")
KINDS = ("weights", "cache", "compute")
MIB = 2**20
log: list[str] = []


@c.llama_log_callback  # type: ignore[untyped-decorator]
def keep(_level: int, text: bytes, _user_data: int | None) -> None:
    log.append(text.decode(errors="replace"))


class Node(ctypes.Structure):
    """A node of a `std::map` as libstdc++ lays it out; its value is a buffer type and its three sums."""


Node._fields_ = [
    ("color", ctypes.c_size_t),
    ("parent", ctypes.POINTER(Node)),
    ("left", ctypes.POINTER(Node)),
    ("right", ctypes.POINTER(Node)),
    ("buffer_type", ctypes.c_void_p),
    ("weights", ctypes.c_size_t),
    ("cache", ctypes.c_size_t),
    ("compute", ctypes.c_size_t),
]


class Map(ctypes.Structure):
    _fields_ = (
        ("compare", ctypes.c_size_t),
        ("color", ctypes.c_size_t),
        ("root", ctypes.POINTER(Node)),
        ("first", ctypes.c_void_p),
        ("last", ctypes.c_void_p),
        ("n_nodes", ctypes.c_size_t),
    )


def sums(node: Any) -> dict[str, int]:
    """Bytes of the weights, the caches and the compute buffers below a node, over all buffer types."""
    if not node:
        return dict.fromkeys(KINDS, 0)
    below = [sums(node.contents.left), sums(node.contents.right)]
    return {kind: getattr(node.contents, kind) + sum(each[kind] for each in below) for kind in KINDS}


def measure(path: str, settings: list[dict[str, Any]]) -> list[dict[str, int]]:
    params = c.llama_model_default_params()
    params.no_alloc = True
    params.use_extra_bufts = False
    params.load_mode = c.LLAMA_LOAD_MODE_NONE
    model = c.llama_model_load_from_file(path.encode(), params)
    assert model, "".join(log)
    measured = [measure_context(model, wanted) for wanted in settings]
    c.llama_model_free(model)
    return measured


def measure_context(model: Any, wanted: dict[str, Any]) -> dict[str, int]:
    params = c.llama_context_default_params()
    params.n_threads = params.n_threads_batch = 1
    for name, value in wanted.items():
        setattr(params, name, value)
    log.clear()
    context = c.llama_init_from_model(model, params)
    assert context, "".join(log)
    output = OUTPUT.search("".join(log))
    assert output
    breakdown = c._lib._Z26llama_get_memory_breakdownPK13llama_context
    breakdown.restype = Map
    breakdown.argtypes = [c.llama_context_p_ctypes]
    found = sums(breakdown(context).root) | {"output": int(float(output[1]) * MIB)}
    c.llama_free(context)
    return found


class Device(ctypes.Structure):
    """A node of the map by devices that mtmd has."""


Device._fields_ = [
    ("color", ctypes.c_size_t),
    ("parent", ctypes.POINTER(Device)),
    ("left", ctypes.POINTER(Device)),
    ("right", ctypes.POINTER(Device)),
    ("device", ctypes.c_void_p),
    ("size", ctypes.c_size_t),
]


def measure_projector(path: str) -> list[dict[str, int]]:
    """Bytes of weights and compute buffer together, with flash attention and without."""
    ask = m._libmtmd._Z21mtmd_get_memory_usagePKc19mtmd_context_params
    ask.restype = Map
    ask.argtypes = [ctypes.c_char_p, m.mtmd_context_params]
    params = m.mtmd_context_params_default()
    params.use_gpu = False
    found = []
    for params.flash_attn_type in (c.LLAMA_FLASH_ATTN_TYPE_ENABLED, c.LLAMA_FLASH_ATTN_TYPE_DISABLED):
        root = ctypes.cast(ask(path.encode(), params).root, ctypes.POINTER(Device))
        found.append({"together": _size(root)})
    return found


def _size(node: Any) -> int:
    return node.contents.size + _size(node.contents.left) + _size(node.contents.right) if node else 0


if __name__ == "__main__":
    c.llama_log_set(keep, None)
    c.llama_backend_init()
    for path, settings in json.load(sys.stdin):
        for found in measure_projector(path) if settings is None else measure(path, settings):
            print(json.dumps(found), flush=True)
