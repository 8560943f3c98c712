"""Read, write and judge GGUF model files: lazily, exactly, and whatever is in them.

    gguf = open_gguf("model.gguf")        # raises GGUFError, and nothing else
    gguf.metadata["general.name"]         # decodes this value and no other
    gguf.tensors["output.weight"].shape
    read_facts("model.gguf").capabilities
    write_gguf("new.gguf", {**gguf.metadata.encoded(), "general.name": "new"}, map(gguf.source, gguf.tensors))

Names are looked up when they are asked for: only opening a file needs numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from power.gguf.blocks import QUANTISABLE, dequantise, quantise
    from power.gguf.constants import TYPE_NAMED, TensorType, ValueType
    from power.gguf.encode import Encoded, Typed, Writable
    from power.gguf.facts import Facts, facts_of, human_number, read_facts, template_capabilities
    from power.gguf.layout import GGUFError
    from power.gguf.metadata import Field, Metadata, Value
    from power.gguf.model import GGUF, TensorInfo
    from power.gguf.plan import Plan, TensorSource, array_source, plan_gguf
    from power.gguf.reader import open_gguf
    from power.gguf.rewrite import plan_rewrite, rewrite_gguf
    from power.gguf.split import Shard, plan_merge, plan_split, write_split
    from power.gguf.writer import write_gguf, write_plan

_HOMES = {
    "array_source": "plan",
    "dequantise": "blocks",
    "Encoded": "encode",
    "Facts": "facts",
    "facts_of": "facts",
    "Field": "metadata",
    "GGUF": "model",
    "GGUFError": "layout",
    "human_number": "facts",
    "Metadata": "metadata",
    "open_gguf": "reader",
    "Plan": "plan",
    "plan_gguf": "plan",
    "plan_merge": "split",
    "plan_rewrite": "rewrite",
    "plan_split": "split",
    "QUANTISABLE": "blocks",
    "quantise": "blocks",
    "read_facts": "facts",
    "rewrite_gguf": "rewrite",
    "Shard": "split",
    "template_capabilities": "facts",
    "TensorInfo": "model",
    "TensorSource": "plan",
    "TensorType": "constants",
    "TYPE_NAMED": "constants",
    "Typed": "encode",
    "Value": "metadata",
    "ValueType": "constants",
    "Writable": "encode",
    "write_gguf": "writer",
    "write_plan": "writer",
    "write_split": "split",
}

__all__ = [
    "GGUF",
    "QUANTISABLE",
    "TYPE_NAMED",
    "Encoded",
    "Facts",
    "Field",
    "GGUFError",
    "Metadata",
    "Plan",
    "Shard",
    "TensorInfo",
    "TensorSource",
    "TensorType",
    "Typed",
    "Value",
    "ValueType",
    "Writable",
    "array_source",
    "dequantise",
    "facts_of",
    "human_number",
    "open_gguf",
    "plan_gguf",
    "plan_merge",
    "plan_rewrite",
    "plan_split",
    "quantise",
    "read_facts",
    "rewrite_gguf",
    "template_capabilities",
    "write_gguf",
    "write_plan",
    "write_split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'power.gguf' has no attribute {name!r}")
    return getattr(import_module(f"power.gguf.{_HOMES[name]}"), name)
