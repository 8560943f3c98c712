"""GPUs, as NVML tells of them; a fake that speaks like the module `pynvml`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from power.sched.gpus import Gpu, nvidia_gpus

GIB = 2**30


class Nvml:
    def __init__(self, *free: int, fails: bool = False) -> None:
        self._free = free
        self._fails = fails

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        if self._fails:
            raise RuntimeError("Driver/library version mismatch")
        return len(self._free)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=24 * GIB, free=self._free[handle], used=24 * GIB - self._free[handle])

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"Card {handle}"

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{'abc'[handle]}0-1234"


@pytest.mark.parametrize(
    ("setting", "cards"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("2,0", [2, 0]),
        ("GPU-b0, GPU-a0-1234", [1, 0]),
        ("1,7,0", [1]),
        ("-1", []),
        ("1,1,0", [1]),
        ("GPU-", []),
    ],
)
def test_only_cards_that_cuda_shows_are_counted_and_in_its_order(setting: str | None, cards: list[int]) -> None:
    nvml = Nvml(1 * GIB, 2 * GIB, 3 * GIB)

    found = nvidia_gpus(nvml, {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting})

    assert found == tuple(Gpu(f"Card {i}", 24 * GIB, (i + 1) * GIB) for i in cards)


def test_a_driver_that_fails_is_no_reason_not_to_serve(caplog: pytest.LogCaptureFixture) -> None:
    assert nvidia_gpus(Nvml(GIB, fails=True), {}) == ()
    assert "version mismatch" in caplog.text


def test_the_fake_has_what_the_real_module_has() -> None:
    import pynvml

    for name in dir(Nvml):
        if name.startswith("nvml"):
            assert callable(getattr(pynvml, name))
