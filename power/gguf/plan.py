"""Lay a GGUF file out before it is written: its header, and where each tensor will lie.

What would make no valid file is found here, before a byte is written.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from power.gguf.constants import ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, TYPE_NAMED, VERSIONS, TensorType, ValueType
from power.gguf.encode import Encoded, Typed, Writable, encode_value
from power.gguf.layout import MAX_DIMS, MAX_KEY, MAX_NAME, GGUFError, is_alignment, is_shape, padded

Buffer = bytes | bytearray | memoryview | npt.NDArray[Any]


class TensorSource(NamedTuple):
    """A tensor to be written; `chunks` is called once, when its turn comes."""

    name: str
    shape: tuple[int, ...]  # elements, in numpy's order: the elements of a row come last
    type: TensorType  # TYPE_NAMED["Q8_0"]
    chunks: Callable[[], Iterable[Buffer]]  # its bytes, in pieces of any size

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) // self.type.block * self.type.block_bytes


class Plan(NamedTuple):
    """A file before it is written: its header, and where each tensor will lie."""

    header: bytes  # padded up to the first tensor, if there is one
    tensors: tuple[TensorSource, ...]
    alignment: int  # bytes
    n_bytes: int  # of the whole file


def array_source(name: str, array: npt.NDArray[Any]) -> TensorSource:
    """An array in memory as a tensor of its dtype: F64 F32 F16 or an integer of 8 to 64 bits, signed.

    Raises:
        GGUFError: ggml has no tensors of this dtype.
    """
    kind = _TYPE_OF_DTYPE.get(array.dtype.newbyteorder("="))
    if kind is None:
        raise GGUFError(f"tensor {name!r}: ggml has no tensors of numpy's {array.dtype}")
    return TensorSource(name, array.shape, TYPE_NAMED[kind], lambda: [_little(array)])


_TYPE_OF_DTYPE = {
    np.dtype(code): name
    for code, name in {"f8": "F64", "f4": "F32", "f2": "F16", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64"}.items()
}


def _little(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def plan_gguf(
    metadata: Mapping[str, Writable | Encoded],
    tensors: Iterable[TensorSource],
    *,
    alignment: int | None = None,
    version: int = 3,
    big_endian: bool = False,
    pad_end: bool = True,
) -> Plan:
    """Lay the file out without writing it; see `write_gguf`."""
    metadata, alignment = _settle_alignment(metadata, alignment)
    if version not in VERSIONS:
        raise GGUFError(f"a GGUF of version {version} cannot be written")
    tensors = tuple(tensors)
    order = ">" if big_endian else "<"
    header = [MAGIC, struct.pack(order + "IQQ", version, len(tensors), len(metadata))]
    for key, value in metadata.items():
        header += _encode_key(key, order), encode_value(value, key, big_endian=big_endian)
    offset = end = 0
    for source in _checked(tensors):
        header.append(_encode_info(source, offset, order))
        end = offset + source.n_bytes
        offset = padded(end, alignment)
    head = b"".join(header)
    if tensors:
        head = head.ljust(padded(len(head), alignment), b"\0")
    return Plan(head, tensors, alignment, len(head) + (offset if pad_end else end))


def _settle_alignment(
    metadata: Mapping[str, Writable | Encoded], alignment: int | None
) -> tuple[Mapping[str, Writable | Encoded], int]:
    """The metadata and the alignment, which say the same."""
    if alignment is None:
        alignment = _alignment_of(metadata.get(ALIGNMENT_KEY, DEFAULT_ALIGNMENT))
    elif ALIGNMENT_KEY in metadata or alignment != DEFAULT_ALIGNMENT:
        metadata = {**metadata, ALIGNMENT_KEY: Typed(alignment, ValueType.UINT32)}
    if not is_alignment(alignment):
        raise GGUFError(f"{ALIGNMENT_KEY} is {alignment}, not a power of two")
    return metadata, alignment


def _alignment_of(value: Writable | Encoded) -> int:
    if isinstance(value, Encoded) and value.type is ValueType.UINT32:
        return int.from_bytes(value.data, "big" if value.big_endian else "little")
    if isinstance(value, Typed) and value.type is ValueType.UINT32:
        value = value.value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**32:
        raise GGUFError(f"{ALIGNMENT_KEY} must be of type UINT32")
    return value


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise GGUFError(f"{what} {text!r} has no UTF-8") from error


def _encode_key(key: str, order: str) -> bytes:
    data = _utf8(key, "the key")
    if not data or len(data) > MAX_KEY:
        raise GGUFError(f"a metadata key has {len(data)} bytes, which must be 1 to 65535")
    return struct.pack(order + "Q", len(data)) + data


def _checked(tensors: tuple[TensorSource, ...]) -> Iterator[TensorSource]:
    """The tensors, each found to be one that llama.cpp accepts."""
    names: set[str] = set()
    for source in tensors:
        fail = partial(_bad_tensor, source.name)
        n_name = len(_utf8(source.name, "the name"))
        n_row = source.shape[-1] if source.shape else 1
        if n_name > MAX_NAME:
            raise fail(f"the name has {n_name} bytes, more than {MAX_NAME}")
        if source.name in names:
            raise fail("there are two of that name")
        if len(source.shape) > MAX_DIMS:
            raise fail(f"{len(source.shape)} dimensions are more than {MAX_DIMS}")
        if not is_shape(source.shape):
            raise fail(f"the shape {source.shape} is impossible")
        if n_row % source.type.block:
            raise fail(f"rows of {n_row} elements, which {source.type.name} packs by {source.type.block}")
        names.add(source.name)
        yield source


def _bad_tensor(name: str, what: str) -> GGUFError:
    return GGUFError(f"tensor {name!r}: {what}")


def _encode_info(source: TensorSource, offset: int, order: str) -> bytes:
    name = source.name.encode()
    # The file's order is the other way round: the elements of a row first.
    numbers = struct.pack(
        f"{order}I{len(source.shape)}QIQ", len(source.shape), *reversed(source.shape), source.type.number, offset
    )
    return struct.pack(order + "Q", len(name)) + name + numbers
