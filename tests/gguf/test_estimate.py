"""What we say a model will take is what llama.cpp allocates.

llama.cpp is asked with `no_alloc`, so that models of real sizes are measured
without a byte of theirs in memory; see `tests.gguf.allocated`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from power.gguf import open_gguf
from power.gguf.memory import (
    Estimate,
    ModelShape,
    Serving,
    Settings,
    estimate,
    largest_context,
    projector_size,
    shape_of,
)
from power.gguf.memory.architectures import FULL_FIRST, HYBRID, RECURRENT, SLIDING, WITHOUT_CACHE
from power.worker.wire import Ready
from tests.gguf.projectors import ENCODERS, write_projector
from tests.gguf.shapes import SHAPES, write_shape
from tests.support import TINY, sdist
from tests.worker.harness import open_worker

GIB, MIB = 2**30, 2**20
GGML_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8, "bf16": 30}
PATIENCE = 300  # seconds

DECODING = [
    Settings(n_ctx=4096, n_seq_max=4, n_batch=512, n_outputs=4),
    Settings(n_ctx=16384, n_seq_max=16, n_batch=512, n_outputs=16, kv_type="q8_0"),
    Settings(
        n_ctx=16384, n_seq_max=16, n_batch=512, n_outputs=16, kv_type="f32", flash_attention=False, swa_full=False
    ),
    Settings(n_ctx=5000, n_seq_max=7, n_batch=512, n_ubatch=256, n_outputs=7, kv_type="q4_0"),
    Settings(n_ctx=32768, n_seq_max=4, kv_unified=False, swa_full=False),
    Settings(n_ctx=300, n_seq_max=1, n_ubatch=2048, n_outputs=1, kv_type="bf16"),
    Settings(n_ctx=131072, n_seq_max=16, n_batch=512, n_outputs=16),
]
ENCODING = [
    Settings(n_ctx=n_ctx, n_seq_max=n_seq_max, n_batch=n_ctx, n_ubatch=n_ctx, embeddings=True, flash_attention=flash)
    for n_ctx, n_seq_max, flash in ((512, 1, True), (2048, 4, True), (512, 4, False))
]
CASES = [
    (name, number)
    for name, shape in SHAPES.items()
    for number in range(len(ENCODING if shape.architecture == "bert" else DECODING))
]
Measured = dict[str, list[dict[str, int]]]


def settings_of(name: str) -> list[Settings]:
    return ENCODING if SHAPES[name].architecture == "bert" else DECODING


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("shapes")
    return {name: write_shape(folder / f"{number}.gguf", shape) for number, (name, shape) in enumerate(SHAPES.items())}


@pytest.fixture(scope="module")
def allocated(shapes: dict[str, Path]) -> Measured:
    """What llama.cpp allocates, by model and settings."""
    jobs: list[Any] = [
        [str(path), [_context_params(settings) for settings in settings_of(name)]] for name, path in shapes.items()
    ]
    answers = iter(ask(jobs))
    return {name: [next(answers) for _ in settings_of(name)] for name in shapes}


def ask(jobs: list[Any]) -> list[dict[str, int]]:
    """The answers of llama.cpp, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.gguf.allocated"],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {"OMP_WAIT_POLICY": "passive"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def _context_params(settings: Settings) -> dict[str, int | bool]:
    return {
        "n_ctx": settings.n_ctx,
        "n_seq_max": settings.n_seq_max,
        "n_batch": settings.n_batch,
        "n_ubatch": settings.n_ubatch,
        "n_outputs_max": settings.n_outputs,
        "type_k": GGML_TYPES[settings.kv_type],
        "type_v": GGML_TYPES[settings.kv_type],
        "flash_attn_type": int(settings.flash_attention),
        "kv_unified": settings.kv_unified,
        "swa_full": settings.swa_full,
        "embeddings": settings.embeddings,
    }


def shape_at(path: Path) -> ModelShape:
    return shape_of(open_gguf(path))


@pytest.mark.parametrize(("name", "number"), CASES)
def test_the_estimate_is_what_llama_cpp_allocates(
    name: str, number: int, shapes: dict[str, Path], allocated: Measured
) -> None:
    real = allocated[name][number]
    said = estimate(shape_at(shapes[name]), settings_of(name)[number])

    assert said.sum_of("weights") == pytest.approx(real["weights"], rel=1e-5)  # the tensors, but for their padding
    assert said.sum_of("kv") + said.sum_of("state") == real["cache"]
    assert said.sum_of("compute") == pytest.approx(real["compute"], rel=0.15)
    assert said.sum_of("output") == pytest.approx(real["output"], rel=0.05, abs=0.02 * MIB)


def test_a_projector_takes_what_llama_cpp_allocates(tmp_path: Path) -> None:
    paths = [write_projector(tmp_path / f"{n}.gguf", encoder) for n, encoder in enumerate(ENCODERS.values())]

    answers = iter(ask([[str(path), None] for path in paths]))

    for path in paths:
        for flash_attention in (True, False):
            said = projector_size(open_gguf(path), flash_attention=flash_attention)
            compute = next(answers)["together"] - said.weights
            assert said.compute == pytest.approx(compute, rel=0.15)
        assert projector_size(open_gguf(path)) == projector_size(open_gguf(path), flash_attention=True)


def test_the_worker_takes_what_serving_says() -> None:
    serving = Serving(n_ctx=512, n_slots=3, n_batch=256, kv_type="f16")
    shape = shape_at(TINY)
    with open_worker() as worker:
        ready = worker.load(TINY, n_ctx=512, n_slots=3, n_batch=256, kv_type="f16")

    said = estimate(shape, serving.settings(shape))
    assert isinstance(ready, Ready)
    assert ready.kv_bytes == pytest.approx(said.sum_of("kv"), rel=0.01)
    assert ready.model_bytes == pytest.approx(said.sum_of("weights"), rel=0.01)
    assert ready.n_ctx_pool == said.settings.n_ctx


def test_a_model_takes_no_more_context_than_it_was_trained_for(shapes: dict[str, Path]) -> None:
    shape = shape_at(shapes["phi 3 mini"])

    assert Serving(n_ctx=100_000, n_slots=2).settings(shape).n_ctx == 2 * 4096


def test_layers_go_to_the_gpu_from_the_output_backwards(shapes: dict[str, Path]) -> None:
    shape = shape_at(shapes["llama 2 7B"])

    def split(n_gpu_layers: int) -> Estimate:
        return estimate(shape, Settings(n_ctx=4096, n_gpu_layers=n_gpu_layers))

    assert [device.n_layers for device in split(0).devices] == [32]
    assert [device.n_layers for device in split(1).devices] == [32, 0]  # the output alone
    assert [device.n_layers for device in split(11).devices] == [22, 10]
    assert [device.n_layers for device in split(-1).devices] == [0, 32]
    assert {split(n).sum_of("weights") for n in (0, 1, 11, -1)} == {shape.weight_bytes}
    assert {split(n).sum_of("kv") for n in (0, 1, 11, -1)} == {2 * GIB}
    assert split(-1).cpu.weights == shape.input_bytes
    assert split(-1).cpu.kv == 0


def test_a_tied_output_is_copied_to_the_gpu(shapes: dict[str, Path]) -> None:
    shape = shape_at(shapes["llama 3.2 1B"])
    all_on_gpu = estimate(shape, Settings(n_ctx=4096, n_gpu_layers=-1))

    assert all_on_gpu.sum_of("weights") == shape.weight_bytes + shape.embedding_bytes


@pytest.mark.parametrize("name", ["llama 2 7B", "gemma 3 1B", "granite 4 1B", "mamba 370M"])
def test_the_largest_context_fits_and_a_larger_one_does_not(name: str, shapes: dict[str, Path]) -> None:
    shape = shape_at(shapes[name])
    serving = Serving(n_ctx=0, n_slots=2)

    def total(n_ctx: int) -> int:
        return estimate(shape, msgspec.structs.replace(serving, n_ctx=n_ctx).settings(shape)).total

    for available in (3 * GIB, 4 * GIB, 6 * GIB):
        largest = largest_context(shape, serving, available)
        if largest:
            assert total(largest) <= available
        if largest < shape.n_ctx_train:
            assert total(largest + 256) > available


def test_without_room_for_the_weights_no_context_fits(shapes: dict[str, Path]) -> None:
    assert largest_context(shape_at(shapes["llama 2 7B"]), Serving(n_ctx=0), GIB) == 0


# -- the tables of architectures are those of the pinned llama.cpp --


def architectures(source: str, function: str) -> set[str]:
    """The names of the architectures that a switch in `function` lists first."""
    folder = sdist() / "vendor/llama.cpp/src"
    names = dict(re.findall(r"\{ (LLM_ARCH_\w+), +\"([^\"]+)\"", (folder / "llama-arch.cpp").read_text()))
    body = (folder / source).read_text().split(function, 1)[1]
    cases = body.split("switch (arch) {", 1)[1]
    first = re.split(r"\{|return true", cases, maxsplit=1)[0]
    return {names[case] for case in re.findall(r"case (LLM_ARCH_\w+):", first)}


def test_the_recurrent_and_hybrid_architectures_are_llama_cpps() -> None:
    recurrent = architectures("llama-arch.cpp", "bool llm_arch_is_recurrent(")
    hybrid = architectures("llama-arch.cpp", "bool llm_arch_is_hybrid(")

    assert recurrent == RECURRENT
    assert hybrid - {"deepseek4"} == HYBRID  # whose states have caches of a kind of their own


def test_the_architectures_without_a_cache_are_llama_cpps() -> None:
    assert architectures("llama-model.cpp", "llama_memory_i * llama_model::create_memory(") == WITHOUT_CACHE


def test_the_architectures_that_slide_are_llama_cpps() -> None:
    models = sdist() / "vendor/llama.cpp/src/models"
    pattern = re.compile(r"load_swa_pattern\(ml, (\d+)(, [^)]*true)?\)")
    called = {"openai-moe": "gpt-oss"}
    found = {
        called.get(path.stem, path.stem): (int(match[1]), bool(match[2]))
        for path in models.glob("*.cpp")
        for match in pattern.finditer(path.read_text())
    }

    periodic = {name: (period, name in FULL_FIRST) for name, period in SLIDING.items() if period}
    assert periodic == {name: found[name] for name in found if name not in WITHOUT_CACHE}
