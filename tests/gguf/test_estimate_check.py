"""A model that cannot fit is refused with the numbers; how much there is comes from the kernel's own files."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.errors import LoadFailed
from power.gguf import TYPE_NAMED, GGUFError, TensorInfo, open_gguf
from power.gguf.memory import (
    Serving,
    available_memory,
    check_fits,
    estimate,
    has_gpu_backend,
    human_size,
    largest_context,
    projector_size,
    shape_of,
)
from tests.gguf.files import write_small
from tests.gguf.shapes import SHAPES, write_shape

GIB, MIB, KIB = 2**30, 2**20, 2**10
SERVING = Serving(n_ctx=4096, n_slots=4)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shape(tmp_path_factory.mktemp("check") / "llama.gguf", SHAPES["llama 2 7B"])


def refusal(path: Path, serving: Serving, available: int) -> str:
    with pytest.raises(LoadFailed) as caught:
        check_fits(path, serving, available)
    return caught.value.message


def test_what_fits_is_let_in_with_its_estimate(llama: Path) -> None:
    assert check_fits(llama, SERVING, 12 * GIB).total < 12 * GIB


def test_a_refusal_has_the_numbers_and_the_ways_out(llama: Path) -> None:
    message = refusal(llama, SERVING, 8 * GIB)

    assert "requires more system memory (11.6 GiB) than is available (8.0 GiB)" in message
    assert "3.5 GiB weights, 8.0 GiB KV cache of 4 × 4096 tokens (f16)" in message
    assert message.endswith("it would fit with num_ctx 2048, or OLLAMA_KV_CACHE_TYPE=q8_0")


def test_the_ways_out_lead_out(llama: Path) -> None:
    message = refusal(llama, SERVING, 5 * GIB)
    found = re.search(r"num_ctx (\d+) and OLLAMA_NUM_PARALLEL=1", message)

    assert found
    check_fits(llama, Serving(n_ctx=int(found[1]), n_slots=1), 5 * GIB)


def test_where_no_setting_helps_only_another_model_does(llama: Path) -> None:
    assert "a smaller or more quantised model" in refusal(llama, SERVING, 3 * GIB)


def test_what_is_on_the_gpu_does_not_count(llama: Path) -> None:
    assert check_fits(llama, Serving(n_ctx=4096, n_slots=4, n_gpu_layers=-1), GIB).cpu.total < GIB


def test_a_projector_counts(llama: Path, tmp_path: Path) -> None:
    path = tmp_path / "mmproj.gguf"
    writer = gguf.GGUFWriter(path, "clip")
    sizes = {"embedding_length": 1024, "feed_forward_length": 4096, "image_size": 336, "patch_size": 14}
    for key, value in sizes.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_tensor("v.patch_embd.weight", np.zeros((1024, 588), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    size = projector_size(open_gguf(path))

    assert size.weights == 1024 * 588 * 4
    assert size.compute == 4 * (24 * 24 * (4096 + 3 * 1024) + 3 * 336 * 336)
    with_it, without = (check_fits(llama, SERVING, 12 * GIB, projector=p).total for p in (path, None))
    assert with_it == without + size.total


def test_a_file_of_nonsense_has_an_estimate_or_an_error(tmp_path: Path) -> None:
    nonsense = {"llama.head_count": "many", "llama.attention.key_length": -5, "llama.expert_used_count": [True, False]}
    shape = shape_of(open_gguf(write_small(tmp_path / "odd.gguf", extra=nonsense)))

    assert largest_context(shape, Serving(n_ctx=0), GIB) == 2048
    with pytest.raises(GGUFError, match="layers are more than 512"):
        shape_of(open_gguf(write_small(tmp_path / "tall.gguf", extra={"llama.block_count": 2**31 - 1})))


# -- what there is --


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 16000 kB\nMemFree: 100 kB\nMemAvailable:    8000 kB\nSwapFree:  500 kB\n"}
V2 = {
    "proc/self/cgroup": "0::/user/power\n",
    "sys/fs/cgroup/user/memory.max": f"{5000 * KIB}\n",
    "sys/fs/cgroup/user/memory.current": f"{3000 * KIB}\n",
    "sys/fs/cgroup/user/memory.stat": f"anon 7\ninactive_file {1000 * KIB}\n",
    "sys/fs/cgroup/user/power/memory.max": "max\n",
    "sys/fs/cgroup/user/power/memory.current": "1\n",
}
V1 = {
    "proc/self/cgroup": "4:cpu,cpuacct:/x\n9:memory:/docker/0123\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{6000 * KIB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{2500 * KIB}\n",
    "sys/fs/cgroup/memory/memory.stat": f"cache 1\ntotal_inactive_file {500 * KIB}\n",
}


def test_available_is_what_the_kernel_says_and_free_swap(tmp_path: Path) -> None:
    assert available_memory(write(tmp_path, MEMINFO)) == 8500 * KIB


@pytest.mark.parametrize(("group", "left"), [(V2, 3000), (V1, 4000)], ids=["v2", "v1"])
def test_a_group_may_leave_less(tmp_path: Path, group: dict[str, str], left: int) -> None:
    assert available_memory(write(tmp_path, MEMINFO | group)) == left * KIB


def test_a_group_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    full = V2 | {"sys/fs/cgroup/user/memory.current": f"{9000 * KIB}\n"}

    assert available_memory(write(tmp_path, MEMINFO | full)) == 0


def test_without_those_files_nobody_knows(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None


def test_elsewhere_than_on_linux_psutil_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setitem(
        sys.modules, "psutil", SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=3 * GIB))
    )
    assert available_memory(tmp_path) == 3 * GIB

    monkeypatch.setitem(sys.modules, "psutil", None)
    assert available_memory(tmp_path) is None


def test_a_kernel_that_says_something_else_says_nothing(tmp_path: Path) -> None:
    assert available_memory(write(tmp_path, {"proc/meminfo": "MemAvailable: lots\n"})) is None


def test_this_machine_has_some() -> None:
    available = available_memory()

    assert available is None or available > 0
    assert isinstance(has_gpu_backend(), bool)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0.0 KiB"),
        (20 * KIB, "20 KiB"),
        (1.26 * MIB, "1.3 MiB"),
        (114.4 * MIB, "114 MiB"),
        (11.56 * GIB, "11.6 GiB"),
    ],
)
def test_sizes_are_counted_by_1024(n_bytes: float, text: str) -> None:
    assert human_size(int(n_bytes)) == text


# -- whatever a file says --

VALUES = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(0, 300),
    st.booleans(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(0, 2**40), max_size=8),
    st.lists(st.booleans(), max_size=8),
    st.just(np.arange(5, dtype=np.uint32)),
)
KEYS = st.sampled_from(
    """block_count embedding_length context_length vocab_size attention.head_count attention.head_count_kv
    attention.key_length attention.value_length attention.key_length_mla attention.value_length_mla feed_forward_length
    attention.sliding_window attention.sliding_window_pattern attention.shared_kv_layers nextn_predict_layers
    attention.recurrent_layers full_attention_interval expert_used_count ssm.conv_kernel ssm.inner_size ssm.state_size
    ssm.group_count shortconv.l_cache wkv.head_size token_shift_count kda.head_dim pooling_type""".split()
)
ARCHITECTURES = st.sampled_from(
    "llama gemma3 laguna lfm2 mamba jamba qwen3next nemotron_h minimax-01 rwkv7 bert x".split()
)
NAMES = "token_embd.weight output.weight blk.0.ffn_up.weight blk.0.ssm_in.weight blk.7.ffn_down.weight".split()
TENSORS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.integers(0, 2**33), max_size=4))


@given(ARCHITECTURES, st.dictionaries(KEYS, VALUES, max_size=12), TENSORS)
def test_no_metadata_however_odd_breaks_the_estimate(
    architecture: str, keys: dict[str, object], tensors: dict[str, list[int]]
) -> None:
    metadata = {"general.architecture": architecture} | {f"{architecture}.{key}": value for key, value in keys.items()}
    infos = {name: TensorInfo(name, tuple(dims), TYPE_NAMED["F16"], 0, 64) for name, dims in tensors.items()}
    file: Any = SimpleNamespace(path=Path("odd.gguf"), metadata=metadata, tensors=infos)
    serving = Serving(n_ctx=1024, n_slots=3, flash_attention=False)
    try:
        shape = shape_of(file)
    except GGUFError:
        return

    assert estimate(shape, serving.settings(shape)).total >= 64 * len(infos) * ("nextn_predict_layers" not in keys)
    assert largest_context(shape, serving, GIB) % 256 == 0
