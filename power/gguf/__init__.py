"""Read GGUF model files: lazily, exactly, and whatever is in them.

    gguf = open_gguf("model.gguf")        # raises GGUFError, and nothing else
    gguf.metadata["general.name"]         # decodes this value and no other
    gguf.tensors["output.weight"].shape
    read_facts("model.gguf").capabilities

Names are looked up when they are asked for: only opening a file needs numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from power.gguf.facts import Facts, facts_of, human_number, read_facts, template_capabilities
    from power.gguf.layout import GGUFError
    from power.gguf.metadata import Field, Metadata, Value
    from power.gguf.reader import GGUF, TensorInfo, open_gguf

_HOMES = {
    "GGUF": "reader",
    "GGUFError": "layout",
    "Facts": "facts",
    "Field": "metadata",
    "Metadata": "metadata",
    "TensorInfo": "reader",
    "Value": "metadata",
    "facts_of": "facts",
    "human_number": "facts",
    "open_gguf": "reader",
    "read_facts": "facts",
    "template_capabilities": "facts",
}

__all__ = [
    "GGUF",
    "Facts",
    "Field",
    "GGUFError",
    "Metadata",
    "TensorInfo",
    "Value",
    "facts_of",
    "human_number",
    "open_gguf",
    "read_facts",
    "template_capabilities",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'power.gguf' has no attribute {name!r}")
    return getattr(import_module(f"power.gguf.{_HOMES[name]}"), name)
