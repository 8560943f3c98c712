"""The GPUs of this machine, and what is free on them, without loading llama.cpp.

NVIDIA's are asked through NVML (`nvidia-ml-py`), as long as the installed
llama.cpp was built for CUDA; Apple's share the host's memory, of which Metal
lets a process have about three quarters.  Other backends tell nobody: then
llama.cpp decides by itself, and only the host's memory is watched.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from power.gguf.memory import gpu_backends

log = logging.getLogger(__name__)

# What Metal's recommendedMaxWorkingSetSize comes to on machines with 16 GB and more.
METAL_SHARE = 0.75


class Gpu(msgspec.Struct, frozen=True):
    """One GPU, at one moment."""

    name: str
    total_bytes: int
    free_bytes: int


class Nvml(Protocol):
    """As much of the module `pynvml` as is used."""

    def nvmlInit(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...
    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any: ...
    def nvmlDeviceGetName(self, handle: Any) -> str: ...
    def nvmlDeviceGetUUID(self, handle: Any) -> str: ...


def list_gpus() -> tuple[Gpu, ...]:
    """The GPUs that llama.cpp will see, in its order; none where none is known. Takes about a millisecond."""
    backends = gpu_backends()
    if "cuda" in backends and (nvml := _load_nvml()) is not None:
        return nvidia_gpus(nvml, os.environ)
    if "metal" in backends and sys.platform == "darwin":
        return metal_gpus()
    return ()


def nvidia_gpus(nvml: Nvml, environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """NVML's devices, of those that CUDA_VISIBLE_DEVICES leaves, in its order.

    NVML counts by PCI bus, and so does CUDA in our workers (`CUDA_DEVICE_ORDER`).
    """
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        names = [str(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
        visible = _visible(environ.get("CUDA_VISIBLE_DEVICES"), names)
        return tuple(_nvidia_gpu(nvml, handles[index]) for index in visible)
    except Exception as error:  # NVMLError is made at run time; a driver that fails is no reason not to serve
        log.warning("NVML does not say what GPUs there are: %s", error)
        return ()


def _nvidia_gpu(nvml: Nvml, handle: Any) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(str(nvml.nvmlDeviceGetName(handle)), int(memory.total), int(memory.free))


def _visible(setting: str | None, uuids: list[str]) -> list[int]:
    """CUDA's rule: indices or (the beginnings of) UUIDs; what follows the first that is neither does not count."""
    if setting is None:
        return list(range(len(uuids)))
    found: list[int] = []
    for entry in filter(None, map(str.strip, setting.split(","))):
        matches = [i for i, uuid in enumerate(uuids) if uuid.startswith(entry)]
        index = int(entry) if entry.isdecimal() else matches[0] if len(matches) == 1 else -1
        if not 0 <= index < len(uuids) or index in found:
            break
        found.append(index)
    return found


def metal_gpus() -> tuple[Gpu, ...]:
    """Apple's one GPU. What is free of it nobody says without Metal itself; the host's memory is watched anyway."""
    answer = subprocess.run(["sysctl", "-n", "hw.memsize"], capture_output=True, text=True, check=False)
    if not answer.stdout.strip().isdecimal():
        return ()
    size = int(int(answer.stdout) * METAL_SHARE)
    return (Gpu("Metal", size, size),)


@lru_cache(maxsize=1)
def _load_nvml() -> Nvml | None:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:  # no package, no driver, no permission: all the same to us
        log.warning("llama.cpp was built for CUDA, but NVML is not to be had: %s", error)
        return None
    nvml: Nvml = pynvml
    return nvml
