"""How much memory a model takes, and whether that much is there.

shape = shape_of(open_gguf("model.gguf"))
estimate(shape, Serving(n_ctx=8192, n_slots=4).settings(shape)).total
check_fits("model.gguf", Serving(n_ctx=8192), available_memory())      # raises LoadFailed
"""

from power.gguf.memory.available import available_memory, gpu_backends, has_gpu_backend
from power.gguf.memory.check import check_fits, human_size, refusal
from power.gguf.memory.estimate import DeviceMemory, Estimate, estimate, largest_context, with_draft
from power.gguf.memory.projector import ProjectorSize, projector_size
from power.gguf.memory.reading import shape_of
from power.gguf.memory.settings import CACHE_TYPES, Serving, Settings
from power.gguf.memory.shape import Layer, ModelShape

__all__ = [
    "CACHE_TYPES",
    "DeviceMemory",
    "Estimate",
    "Layer",
    "ModelShape",
    "ProjectorSize",
    "Serving",
    "Settings",
    "available_memory",
    "check_fits",
    "estimate",
    "gpu_backends",
    "has_gpu_backend",
    "human_size",
    "largest_context",
    "projector_size",
    "refusal",
    "shape_of",
    "with_draft",
]
