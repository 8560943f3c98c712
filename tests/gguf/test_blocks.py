"""Unpacking and packing, held against the `gguf` package and against ggml itself, bit for bit."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from power.gguf import QUANTISABLE, TYPE_NAMED, GGUFError, dequantise, quantise
from power.gguf.blocks import swap_order
from power.gguf.constants import TENSOR_TYPES, TensorType
from tests.gguf.files import random_blocks

KINDS = list(TENSOR_TYPES.values())
NUMBERS = {"I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "F64": "<f8"}  # neither has code for these


@cache
def ggml() -> ctypes.CDLL:
    path = next(Path(llama_cpp.__file__).parent.glob("lib/libggml-base.*"))
    library = ctypes.CDLL(str(path))
    library.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    return library


TO_FLOAT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class Traits(ctypes.Structure):
    """struct ggml_type_traits, of ggml.h."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("block_interleaved", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", TO_FLOAT),
        ("from_float_ref", ctypes.c_void_p),
    )


def pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def of_ggml(data: npt.NDArray[np.uint8], kind: TensorType) -> npt.NDArray[np.float32] | None:
    """What ggml unpacks, or None where it has no code for it."""
    to_float = ggml().ggml_get_type_traits(kind.number).contents.to_float
    if kind.name == "Q8_K":
        to_float = ggml().dequantize_row_q8_K
    if not to_float:
        return None
    out = np.empty(data.size // kind.block_bytes * kind.block, np.float32)
    to_float(pointer(data), pointer(out), ctypes.c_int64(out.size))
    return out


def assert_same_bits(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(ours.reshape(-1).view(np.uint32), theirs.reshape(-1).view(np.uint32))


def test_blocks_are_of_the_size_that_ggml_says() -> None:
    n_types = 43  # GGML_TYPE_COUNT of the pinned llama.cpp

    traits = {number: ggml().ggml_get_type_traits(number).contents for number in range(n_types)}

    assert {kind.number: (kind.block, kind.block_bytes) for kind in KINDS} == {
        number: (trait.block, trait.block_bytes) for number, trait in traits.items() if trait.block_bytes
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_unpacking_is_that_of_ggml(kind: TensorType) -> None:
    data = random_blocks(kind, 70_000 // kind.block)  # more than what is unpacked in one go
    theirs = of_ggml(data, kind)

    ours = dequantise(data, kind)

    if theirs is not None:
        assert_same_bits(ours, theirs)
    elif kind.name in NUMBERS:
        np.testing.assert_array_equal(ours, data.view(NUMBERS[kind.name]).astype(np.float32))
    elif kind.name == "Q8_1":  # ggml multiplies by these and never unpacks them
        assert_same_bits(ours, dequantise(data.reshape(-1, 36)[:, [0, 1, *range(4, 36)]], TYPE_NAMED["Q8_0"]))
    else:
        assert kind.name == "F32"
        assert_same_bits(ours, data.view("<f4"))


# The other test holds these against ggml.
NOT_IN_THE_PACKAGE = (*NUMBERS, "Q8_1", "Q8_K", "Q1_0", "Q2_0")


@pytest.mark.parametrize("kind", [k for k in KINDS if k.name not in NOT_IN_THE_PACKAGE], ids=lambda kind: kind.name)
def test_unpacking_is_that_of_the_gguf_package(kind: TensorType) -> None:
    data = random_blocks(kind, 20_480 // kind.block, seed=1).reshape(10, -1)
    with np.errstate(all="ignore"):  # MXFP4's scales reach to infinity
        theirs = gguf.quants.dequantize(data, gguf.GGMLQuantizationType(kind.number))

    ours = dequantise(data, kind)

    assert ours.shape == theirs.shape
    assert_same_bits(ours, theirs)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_other_byte_order_unpacks_to_the_same(kind: TensorType) -> None:
    data = random_blocks(kind, 4)
    swapped = swap_order(data, kind, big_endian=False)

    assert_same_bits(dequantise(swapped, kind, big_endian=True), dequantise(data, kind))
    np.testing.assert_array_equal(swap_order(swapped, kind, big_endian=True), data)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_scales_that_are_no_numbers_are_no_failure(kind: TensorType) -> None:
    data = np.full(kind.block_bytes * 3, 255, np.uint8)

    assert dequantise(data, kind).shape == (3 * kind.block,)


@pytest.mark.parametrize("name", ["F16", "BF16"])
def test_every_number_of_two_bytes_unpacks_exactly(name: str) -> None:
    codes = np.arange(2**16, dtype=np.uint16)
    exact = codes.view(np.float16).astype(np.float32) if name == "F16" else (codes.astype(np.uint32) << 16).view("f4")

    ours = dequantise(codes, TYPE_NAMED[name])

    numbers = ~np.isnan(exact)
    assert_same_bits(ours[numbers], exact[numbers])
    assert np.isnan(ours[~numbers]).all()


def test_rows_that_are_no_whole_blocks_are_refused() -> None:
    with pytest.raises(GGUFError, match="rows of 33 bytes are not whole blocks of Q8_0"):
        dequantise(np.zeros((2, 33), np.uint8), TYPE_NAMED["Q8_0"])


ROWS = np.concatenate(
    [
        np.random.default_rng(0).normal(size=(300, 256)),
        np.random.default_rng(1).integers(-9, 9, (300, 256)),  # with many halves between two levels
        np.random.default_rng(2).normal(size=(300, 256)) * 10.0 ** np.random.default_rng(3).integers(-12, 4, (300, 1)),
        np.zeros((2, 256)),
    ]
).astype(np.float32)


@pytest.mark.parametrize("name", QUANTISABLE)
def test_packing_is_that_of_the_gguf_package(name: str) -> None:
    theirs = gguf.quants.quantize(ROWS, gguf.GGMLQuantizationType(TYPE_NAMED[name].number))

    np.testing.assert_array_equal(quantise(ROWS, TYPE_NAMED[name]), theirs.view(np.uint8))


@pytest.mark.parametrize("name", [name for name in QUANTISABLE if name.startswith("Q")])
def test_packing_is_that_of_ggml(name: str) -> None:
    ours = quantise(ROWS, TYPE_NAMED[name])
    theirs = np.empty_like(ours)
    getattr(ggml(), f"quantize_row_{name.lower()}_ref")(pointer(ROWS), pointer(theirs), ctypes.c_int64(ROWS.size))

    np.testing.assert_array_equal(ours, theirs)


@given(
    rows=arrays.arrays(np.float32, (2, 64), elements=st.floats(-1000, 1000, width=32)),
    name=st.sampled_from([name for name in QUANTISABLE if name.startswith("Q")]),
)
def test_unpacking_what_was_packed_comes_close(rows: npt.NDArray[np.float32], name: str) -> None:
    ours = dequantise(quantise(rows, TYPE_NAMED[name]), TYPE_NAMED[name])

    blocks = rows.reshape(-1, 32)
    n_levels = 255 if name == "Q8_0" else 2 ** int(name[1])
    # One level, and what the scale loses as a float16, which has no normal numbers below 6e-5.
    step = 2 * np.abs(blocks).max(axis=1, keepdims=True) / (n_levels - 1)
    assert (np.abs(ours.reshape(-1, 32) - blocks) <= step * 1.05 + n_levels * 6e-8 + np.abs(blocks).max() / 1000).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("name", [name for name in QUANTISABLE if name.startswith("Q")])
def test_values_that_cannot_be_packed_are_refused(name: str, bad: float) -> None:
    rows = ROWS[:4].copy()
    rows[2, 77] = bad

    with pytest.raises(GGUFError, match="infinite, not a number, or too large"):
        quantise(rows, TYPE_NAMED[name])


@pytest.mark.parametrize(("name", "complaint"), [("Q4_K", "to Q4_K is not done"), ("Q8_0", "packs by 32")])
def test_what_cannot_be_packed_here_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(GGUFError, match=complaint):
        quantise(np.zeros((2, 33)), TYPE_NAMED[name])


def test_bfloat16_keeps_what_is_no_number() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1.0, -0.0], np.float32)

    assert_same_bits(dequantise(quantise(values, TYPE_NAMED["BF16"]), TYPE_NAMED["BF16"])[1:], values[1:])
    assert np.isnan(dequantise(quantise(values, TYPE_NAMED["BF16"]), TYPE_NAMED["BF16"])[0])
