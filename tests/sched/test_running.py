"""What /api/ps calls video memory."""

from __future__ import annotations

import pytest

from power.sched.running import is_host


# The names that ggml's backends give their buffers; AMX is a layout of weights for processors that have it.
@pytest.mark.parametrize("device", ["CPU", "CPU_Mapped", "CPU_REPACK", "CPU_HBM", "AMX", "BLAS", "CUDA_Host"])
def test_these_are_memory_of_the_host(device: str) -> None:
    assert is_host(device)


@pytest.mark.parametrize("device", ["CUDA0", "Vulkan1", "ROCm0", "Metal", "SYCL0"])
def test_these_are_not(device: str) -> None:
    assert not is_host(device)
