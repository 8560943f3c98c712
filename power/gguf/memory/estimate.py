"""How much memory a model will take, before anything is loaded.

    shape = shape_of(open_gguf("model.gguf"))
    estimate(shape, Serving(n_ctx=8192, n_slots=4).settings(shape)).total
    largest_context(shape, Serving(n_ctx=0, n_slots=4), available_bytes)

Weights and caches are what llama.cpp allocates, to the byte of a page; the compute
buffers are within a few per cent on the architectures of the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from power.gguf.memory.cache import CacheSizes
from power.gguf.memory.compute import compute_bytes, input_bytes, output_bytes
from power.gguf.memory.settings import PAD, Serving, Settings
from power.gguf.memory.shape import ModelShape

if TYPE_CHECKING:
    from power.gguf.memory.projector import ProjectorSize

MAX_CONTEXT = 2**24  # tokens; where a model does not say what it was trained for


class DeviceMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on one device."""

    name: str  # "CPU" or "GPU"
    n_layers: int
    weights: int
    kv: int  # keys and values
    state: int  # of recurrent layers
    compute: int
    output: int  # logits as they are handed out
    projector: int
    draft: int = 0  # all of a draft model

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.state + self.compute + self.output + self.projector + self.draft


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes by device and by purpose."""

    settings: Settings
    devices: tuple[DeviceMemory, ...]  # the CPU first; the GPU only if it has layers

    @property
    def total(self) -> int:
        return sum(device.total for device in self.devices)

    def sum_of(self, purpose: str) -> int:
        """Of all devices: "weights", "kv", "state", "compute", "output", "projector" or "draft"."""
        return sum(int(getattr(device, purpose)) for device in self.devices)

    @property
    def cpu(self) -> DeviceMemory:
        return self.devices[0]


def with_draft(model: Estimate, draft: Estimate) -> Estimate:
    """What both models take, each on its devices."""
    beside = {device.name: device.total for device in draft.devices}
    devices = (msgspec.structs.replace(device, draft=beside.get(device.name, 0)) for device in model.devices)
    return msgspec.structs.replace(model, devices=tuple(devices))


def estimate(shape: ModelShape, settings: Settings, projector: ProjectorSize | None = None) -> Estimate:
    """What a context of these settings takes, with the model and a projector beside it."""
    n_gpu = _n_gpu_layers(shape, settings)
    first = shape.n_layers + 1 - n_gpu  # the output counts as one more layer, and goes first
    cpu = _device("CPU", shape, settings, range(min(first, shape.n_layers)), has_output=n_gpu == 0, projector=projector)
    if not n_gpu:
        return Estimate(settings=settings, devices=(cpu,))
    gpu = _device("GPU", shape, settings, range(first, shape.n_layers), has_output=True, projector=None)
    return Estimate(settings=settings, devices=(cpu, gpu))


def largest_context(shape: ModelShape, serving: Serving, available: int, projector: ProjectorSize | None = None) -> int:
    """The most tokens that each sequence can have with `available` bytes on the CPU; `serving.n_ctx` is not looked at.

    A multiple of 256, and no more than the model was trained for; 0 if not even that many fit.
    """

    def fits(n_ctx: int) -> bool:
        wanted = msgspec.structs.replace(serving, n_ctx=n_ctx)
        return estimate(shape, wanted.settings(shape), projector).cpu.total <= available

    low, high = 0, (shape.n_ctx_train or MAX_CONTEXT) // PAD
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * PAD) else (low, middle - 1)
    return low * PAD


def _n_gpu_layers(shape: ModelShape, settings: Settings) -> int:
    n_all = shape.n_layers + 1
    return n_all if settings.n_gpu_layers < 0 else min(settings.n_gpu_layers, n_all)


def _device(
    name: str,
    shape: ModelShape,
    settings: Settings,
    layers: range,
    *,
    has_output: bool,
    projector: ProjectorSize | None,
) -> DeviceMemory:
    cache = CacheSizes(shape, settings)
    own = [shape.layers[layer] for layer in layers]
    is_cpu = name == "CPU"
    computes = bool(own) or has_output
    weights = sum(layer.n_weight_bytes for layer in own) + (shape.input_bytes if is_cpu else 0)
    if has_output:
        # A tied output needs a copy of the embeddings where those are on another device.
        weights += shape.output_bytes + (shape.embedding_bytes if shape.is_tied and not is_cpu else 0)
    return DeviceMemory(
        name=name,
        n_layers=len(own),
        weights=weights,
        kv=sum(cache.kv_bytes(layer) for layer in own),
        state=sum(cache.state_bytes(layer) for layer in own),
        compute=compute_bytes(shape, settings) if computes else input_bytes(shape, settings),
        output=output_bytes(shape, settings) if is_cpu else 0,
        projector=projector.total if projector else 0,
    )
