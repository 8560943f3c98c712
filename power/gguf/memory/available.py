"""How much memory a process may still take here: what the kernel says, and what its cgroups leave of it.

On Linux from the kernel's own files; elsewhere from psutil, which Power brings
along there.  Where neither says anything there is no answer, and so no check.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = Path("/")
KIB = 1024
# What a build of llama.cpp for a GPU brings along beside ggml-cpu.
GPU_LIBRARIES = ("cuda", "hip", "metal", "vulkan", "sycl", "musa", "cann", "opencl")


def available_memory(root: Path = ROOT) -> int | None:
    """Bytes that can be taken without anything else being pushed out but caches and what swap has room for.

    None where nobody says so. `root` is where /proc and /sys are.
    """
    of_machine = _machine(root)
    limits = [left for left in _cgroups(root) if left is not None]
    return None if of_machine is None else max(0, min([of_machine, *limits]))


def has_gpu_backend() -> bool:
    """Whether the installed llama.cpp was built for a GPU; whether there is one is another question."""
    return bool(gpu_backends())


@cache
def gpu_backends() -> frozenset[str]:
    """What the installed llama.cpp was built for beside the CPU: "cuda", "metal", …"""
    spec = find_spec("llama_cpp")  # finds, and does not import
    folders = [Path(folder) / "lib" for folder in (spec.submodule_search_locations or ())] if spec else []
    names = [path.name for folder in folders for path in folder.glob("*ggml-*")]
    return frozenset(kind for kind in GPU_LIBRARIES if any(f"ggml-{kind}" in name for name in names))


def _machine(root: Path) -> int | None:
    """MemAvailable counts caches that the kernel would give up; Ollama adds free swap, and so do we."""
    fields = dict(_fields(root / "proc/meminfo", ":"))
    if "MemAvailable" not in fields:
        return None if sys.platform == "linux" else _elsewhere()
    return (fields["MemAvailable"] + fields.get("SwapFree", 0)) * KIB


def _elsewhere() -> int | None:
    """What macOS or Windows would give: there the swap grows by itself, and is not counted."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _cgroups(root: Path) -> Iterator[int | None]:
    """What is left of each limit that this process is under."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from _v2(root / "sys/fs/cgroup", path)
        elif "memory" in controllers.split(","):
            yield from _v1(root / "sys/fs/cgroup/memory", path)


def _v2(mount: Path, path: str) -> Iterator[int | None]:
    for folder in _upwards(mount, path):
        yield _left(folder / "memory.max", folder / "memory.current", folder / "memory.stat", "inactive_file")


def _v1(mount: Path, path: str) -> Iterator[int | None]:
    for folder in _upwards(mount, path):
        limit, usage = folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes"
        yield _left(limit, usage, folder / "memory.stat", "total_inactive_file")


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """The group's folder and those above it. Inside a container the path is the host's, and only the mount exists."""
    folder = mount / path.strip().lstrip("/")
    while folder != mount and mount in folder.parents:
        yield folder
        folder = folder.parent
    yield mount


def _left(limit: Path, usage: Path, stat: Path, reclaimable: str) -> int | None:
    most, used = _number(limit), _number(usage)
    if most is None or used is None:  # "max", or no such file
        return None
    return most - used + dict(_fields(stat, " ")).get(reclaimable, 0)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _fields(path: Path, separator: str) -> Iterator[tuple[str, int]]:
    for line in _lines(path):
        name, _, rest = line.partition(separator)
        number = rest.split()[:1]
        if number and number[0].isdecimal():
            yield name, int(number[0])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
