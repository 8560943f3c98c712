"""Read tensors out of a safetensors file, a piece at a time.

The format (huggingface/safetensors, README.md): the header's length as a
little-endian uint64, the header as JSON (`{"name": {"dtype": "F32", "shape": [2, 3],
"data_offsets": [0, 24]}}`), then the data, little-endian and row by row.  Nothing in a
header is believed: every range is found to lie inside the file, and to have the
size its shape says, before it is used.  Bytes are read and not mapped, so that a file
that shrinks meanwhile is an error and not a crash.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

from power.gguf.convert.documents import parse_json
from power.gguf.convert.errors import ConvertError

Floats = npt.NDArray[np.float32]

MAX_HEADER = 100_000_000  # bytes; the limit of the format's own reader
MAX_DIMS = 8  # ours; no checkpoint has more than five

# Bytes per element of every type of the format. BF16 has no type in numpy.
_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1} | {
    "U64": 8, "U32": 4, "U16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class StoredTensor(NamedTuple):
    """A tensor as a header declares it; its bytes are inside the file."""

    file: OpenFile
    name: str
    dtype: str  # the format's: "BF16"
    shape: tuple[int, ...]  # elements, those of a row last
    start: int  # offset of its first byte in the file

    @property
    def row_length(self) -> int:
        return self.shape[-1] if self.shape else 1

    def rows(self, start: int, stop: int) -> Floats:
        """Rows `start` to `stop` of the tensor seen as a matrix, as float32.

        Raises:
            ConvertError: it is not of a floating-point type, or the file has become shorter.
        """
        if self.dtype not in _FLOATS:
            raise ConvertError(
                f"{self.file.path.name}: tensor {self.name!r} is of type {self.dtype}; weights of type "
                f"{', '.join(_FLOATS)} can be converted, so take the checkpoint that is not quantised"
            )
        n_row = self.row_length * _SIZES[self.dtype]
        data = self.file.read(self.start + start * n_row, (stop - start) * n_row)
        return _to_float32(data, self.dtype).reshape(stop - start, self.row_length)


class OpenFile(NamedTuple):
    """A file to be read at any place; `close` when done."""

    path: Path
    descriptor: int
    size: int  # bytes, when it was opened

    def read(self, start: int, n_bytes: int) -> bytes:
        pieces = []
        while n_bytes:
            # One call reads at most 2 GiB.
            piece = os.pread(self.descriptor, min(n_bytes, 2**30), start)
            if not piece:
                raise ConvertError(f"{self.path.name} has become shorter while it was read")
            pieces.append(piece)
            start += len(piece)
            n_bytes -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        os.close(self.descriptor)


def open_file(path: Path) -> OpenFile:
    """Open a regular file; ConvertError if it is none or cannot be read."""
    try:
        # Without O_NONBLOCK, opening a FIFO waits for its writer, maybe for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConvertError(f"{path.name} cannot be opened: {error.strerror or error}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ConvertError(f"{path.name} is not a regular file")
    return OpenFile(path, descriptor, status.st_size)


def read_header(file: OpenFile) -> dict[str, StoredTensor]:
    """The file's tensors by name.

    Raises:
        ConvertError: the header is not one, or does not fit the file.
    """
    name = file.path.name
    if file.size < 8:
        raise ConvertError(f"{name} has only {file.size} bytes, too few for a safetensors file")
    n_header = int.from_bytes(file.read(0, 8), "little")
    if n_header > min(MAX_HEADER, file.size - 8):
        raise ConvertError(
            f"{name} says its header has {n_header} bytes; the file has {file.size}: truncated, or no safetensors file"
        )
    header = parse_json(file.read(8, n_header), name)
    if not isinstance(header, dict):
        raise ConvertError(f"{name}: the header is not a JSON object")
    tensors = {
        key: _read_entry(file, 8 + n_header, key, entry) for key, entry in header.items() if key != "__metadata__"
    }
    _check_overlap(name, tensors)
    return tensors


def _read_entry(file: OpenFile, data_start: int, name: str, entry: Any) -> StoredTensor:
    what = f"{file.path.name}: tensor {name!r}"
    if not isinstance(entry, Mapping):
        raise ConvertError(f"{what} is not described by a JSON object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise ConvertError(f"{what} is of the unknown type {dtype!r}")
    if not _are_counts(shape) or len(shape) > MAX_DIMS:
        raise ConvertError(f"{what} has the impossible shape {shape!r}")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ConvertError(f"{what} has the impossible data_offsets {offsets!r}")
    start, stop = offsets
    if data_start + stop > file.size:
        raise ConvertError(
            f"{what} reaches to byte {data_start + stop} of a file of {file.size} bytes: "
            "the file is truncated, fetch it again"
        )
    # Python integers, which cannot wrap.
    if stop - start != math.prod(shape) * _SIZES[dtype]:
        raise ConvertError(
            f"{what} has {stop - start} bytes; {dtype} of shape {shape} takes {math.prod(shape) * _SIZES[dtype]}"
        )
    return StoredTensor(file, name, dtype, tuple(shape), data_start + start)


def _are_counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_overlap(name: str, tensors: Mapping[str, StoredTensor]) -> None:
    # The format forbids it; a header of many tensors in one place is a bomb.
    end, before = 0, ""
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.start):
        n_bytes = math.prod(tensor.shape) * _SIZES[tensor.dtype]
        if n_bytes and tensor.start < end:
            raise ConvertError(f"{name}: tensors {before!r} and {tensor.name!r} overlap")
        end, before = max(end, tensor.start + n_bytes), tensor.name


def _to_float32(data: bytes, dtype: str) -> Floats:
    raw = np.frombuffer(data, _FLOATS[dtype])
    if dtype == "BF16":  # the upper half of a float32
        return (raw.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # what a float32 cannot hold is found as infinite by who writes it
        return raw.astype(np.float32)
