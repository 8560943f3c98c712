"""Open a GGUF file: what it says of itself, and where its tensors lie.

The file is mapped, never read as a whole; opening costs what the header's
bytes demand.  Nothing in it is believed: the layout that is demanded is
llama.cpp's own (ggml/src/gguf.cpp), so that what opens here may be handed on.
"""

from __future__ import annotations

import math
import mmap
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from power.gguf.constants import TENSOR_TYPES, TensorType, ValueType
from power.gguf.layout import MAX_DIMS, MAX_ELEMENTS, MAX_NAME, Cursor, GGUFError
from power.gguf.metadata import Metadata, read_metadata

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # version 1 had 32-bit lengths; llama.cpp dropped it too
DEFAULT_ALIGNMENT = 32  # bytes; GGUF_DEFAULT_ALIGNMENT
ALIGNMENT_KEY = "general.alignment"


class TensorInfo(NamedTuple):
    """A tensor's name, form and place; `start + n_bytes` is inside the file."""

    name: str
    shape: tuple[int, ...]  # elements, the fastest-changing dimension first, as in the file
    type: TensorType
    start: int  # offset of its first byte in the file
    n_bytes: int

    @property
    def n_elements(self) -> int:
        return math.prod(self.shape)


class GGUF(NamedTuple):
    """An open file. The map behind `data` closes when nothing refers to it any more."""

    path: Path
    version: int
    big_endian: bool
    metadata: Metadata
    tensors: Mapping[str, TensorInfo]  # by name, in the file's order
    alignment: int  # bytes
    data: npt.NDArray[np.uint8]  # the whole file, read-only

    def tensor_bytes(self, name: str) -> npt.NDArray[np.uint8]:
        """The tensor's bytes, mapped and not copied; KeyError if there is none of that name."""
        info = self.tensors[name]
        return self.data[info.start : info.start + info.n_bytes]

    def __repr__(self) -> str:
        return f"<GGUF {self.path.name}: {len(self.metadata)} values, {len(self.tensors)} tensors>"


def open_gguf(path: str | os.PathLike[str]) -> GGUF:
    """Map the file and read its header.

    Raises:
        GGUFError: there is no such file, it is no regular file, or it is not a
            GGUF of version 2 or 3 whose every part lies inside it.
    """
    path = Path(path)
    try:
        data = _map(path)
        return _read(path, data)
    except OSError as error:
        raise GGUFError(f"{path.name} cannot be opened: {error.strerror or error}") from error
    except GGUFError as error:
        raise GGUFError(f"{path.name}: {error.message}") from None


def _map(path: Path) -> npt.NDArray[np.uint8]:
    # Without O_NONBLOCK, opening a FIFO waits for its writer, maybe for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise GGUFError("is not a regular file")
        if status.st_size < 24:
            raise GGUFError(f"has only {status.st_size} bytes, too few for a GGUF header")
        return np.frombuffer(mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ), np.uint8)
    finally:
        os.close(descriptor)


def _read(path: Path, data: npt.NDArray[np.uint8]) -> GGUF:
    version, big_endian = _read_version(data)
    cursor = Cursor(data.data, big_endian=big_endian)
    cursor.skip(8, "the header")
    n_tensors, n_values = cursor.uint64("the header"), cursor.uint64("the header")
    metadata = read_metadata(data, cursor, n_values)
    alignment = _alignment(metadata)
    tensors = _read_tensors(cursor, n_tensors, alignment)
    return GGUF(path, version, big_endian, metadata, tensors, alignment, data)


def _read_version(data: npt.NDArray[np.uint8]) -> tuple[int, bool]:
    if data[:4].tobytes() != MAGIC:
        raise GGUFError("is not a GGUF file: it does not begin with 'GGUF'")
    raw = data[4:8].tobytes()
    # The magic is the same in both orders; a version below 2**16 tells them apart.
    big_endian = raw[:2] == b"\0\0"
    version = int.from_bytes(raw, "big" if big_endian else "little")
    if version not in VERSIONS:
        raise GGUFError(f"is a GGUF of version {version}; versions 2 and 3 can be read")
    return version, big_endian


def _alignment(metadata: Metadata) -> int:
    if ALIGNMENT_KEY not in metadata:
        return DEFAULT_ALIGNMENT
    alignment = metadata[ALIGNMENT_KEY]
    if metadata.field(ALIGNMENT_KEY).type is not ValueType.UINT32 or not isinstance(alignment, int):
        raise GGUFError(f"{ALIGNMENT_KEY} must be of type UINT32")
    if alignment == 0 or alignment & (alignment - 1):
        raise GGUFError(f"{ALIGNMENT_KEY} is {alignment}, not a power of two")
    return alignment


def _read_tensors(cursor: Cursor, n_tensors: int, alignment: int) -> dict[str, TensorInfo]:
    # No tensor info is smaller than an empty name, no dimensions, type and offset.
    if n_tensors * 24 > cursor.left:
        raise cursor.fail(f"{n_tensors} tensors cannot fit into the {cursor.left} bytes left")
    raw = [_read_tensor(cursor, number) for number in range(n_tensors)]
    data_start = _pad(cursor.at, alignment)
    tensors: dict[str, TensorInfo] = {}
    expected = 0  # llama.cpp takes tensors without gap or overlap only
    for info in raw:
        if info.name in tensors:
            raise GGUFError(f"tensor {info.name!r} is there twice")
        if info.start != expected:
            raise GGUFError(f"tensor {info.name!r} is at offset {info.start} of the data, expected at {expected}")
        start = data_start + info.start
        if start + info.n_bytes > len(cursor.data):
            raise GGUFError(
                f"tensor {info.name!r} reaches to byte {start + info.n_bytes} of a file of {len(cursor.data)} bytes"
            )
        expected = _pad(expected + info.n_bytes, alignment)
        tensors[info.name] = info._replace(start=start)
    return tensors


def _read_tensor(cursor: Cursor, number: int) -> TensorInfo:
    """One tensor info; its `start` is still relative to the data."""
    name = cursor.string(f"the name of tensor {number}", MAX_NAME)
    what = f"tensor {name!r}"
    n_dims = cursor.uint32(what)
    if n_dims > MAX_DIMS:
        raise cursor.fail(f"{what} has {n_dims} dimensions, more than {MAX_DIMS}", cursor.at - 4)
    shape = tuple(cursor.uint64(what) for _ in range(n_dims))
    kind = _tensor_type(cursor, what)
    n_elements = math.prod(shape)
    if n_elements > MAX_ELEMENTS or max(shape, default=0) > MAX_ELEMENTS:
        raise cursor.fail(f"{what} of shape {shape} has too many elements")
    n_row = shape[0] if shape else 1
    if n_row % kind.block:
        raise cursor.fail(f"{what} has rows of {n_row} elements, which {kind.name} packs by {kind.block}")
    return TensorInfo(name, shape, kind, cursor.uint64(what), n_elements // kind.block * kind.block_bytes)


def _tensor_type(cursor: Cursor, what: str) -> TensorType:
    number = cursor.uint32(what)
    if number not in TENSOR_TYPES:
        raise cursor.fail(f"{what} has the unknown type {number}", cursor.at - 4)
    return TENSOR_TYPES[number]


def _pad(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment
