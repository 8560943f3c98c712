"""Open a GGUF file: what it says of itself, and where its tensors lie.

Only the header is read, and it costs what its bytes demand.  Nothing in it is
believed: the layout that is demanded is llama.cpp's own (ggml/src/gguf.cpp), so
that what opens here may be handed on.  A model split over several files opens
as one, from any of them.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from power.gguf.constants import (
    ALIGNMENT_KEY,
    DEFAULT_ALIGNMENT,
    MAGIC,
    TENSOR_TYPES,
    VERSIONS,
    TensorType,
    ValueType,
)
from power.gguf.file import File
from power.gguf.layout import (
    MAX_DIMS,
    MAX_NAME,
    MAX_TENSORS,
    Cursor,
    Fetch,
    GGUFError,
    is_alignment,
    is_shape,
    padded,
)
from power.gguf.metadata import Metadata, read_metadata
from power.gguf.model import GGUF, TensorInfo

__all__ = ["GGUF", "TensorInfo", "open_gguf"]

MIN_BYTES = 24  # of a file: magic, version and two counts


def open_gguf(path: str | os.PathLike[str], *, whole: bool = True) -> GGUF:
    """Open the file and read its header; of a split model, all its files.

    Args:
        whole: whether a file that is one of several stands for all of them, or only for itself.

    Raises:
        GGUFError: there is no such file, it is no regular file, it is not a GGUF of
            version 2 or 3 whose every part lies inside it, or other files of its model
            are missing or do not fit.
    """
    path = Path(path)
    gguf = _open_one(path)
    if not whole:
        return gguf
    from power.gguf.split import join, sibling_paths  # which opens files, and so needs this module

    siblings = sibling_paths(gguf)
    return join(gguf, [gguf if sibling == path else _open_one(sibling) for sibling in siblings]) if siblings else gguf


def _open_one(path: Path) -> GGUF:
    try:
        return _read(path, File(path))
    except GGUFError as error:
        raise GGUFError(f"{path.name}: {error.message}") from error.__cause__


def _read(path: Path, file: File) -> GGUF:
    if file.size < MIN_BYTES:
        raise GGUFError(f"has only {file.size} bytes, too few for a GGUF header")
    version, big_endian = _read_version(file)
    cursor = Cursor(_fetcher(file), file.size, big_endian=big_endian)
    cursor.skip(8, "the header")
    n_tensors, n_values = cursor.uint64("the header"), cursor.uint64("the header")
    metadata = read_metadata(cursor, n_values)
    alignment = _alignment(metadata)
    tensors = _read_tensors(cursor, n_tensors, alignment)
    return GGUF(path, version, big_endian, metadata, tensors, alignment, (file,))


def _fetcher(file: File) -> Fetch:
    def fetch(held: memoryview, n_bytes: int) -> memoryview:
        data = np.empty(n_bytes, np.uint8)
        data[: len(held)] = held
        file.read_into(data[len(held) :], len(held))
        return memoryview(data.data).toreadonly()

    return fetch


def _read_version(file: File) -> tuple[int, bool]:
    data = file.read(0, 8).tobytes()
    if data[:4] != MAGIC:
        raise GGUFError("is not a GGUF file: it does not begin with 'GGUF'")
    # The magic is the same in both orders; a version below 2**16 tells them apart.
    big_endian = data[4:6] == b"\0\0"
    version = int.from_bytes(data[4:], "big" if big_endian else "little")
    if version not in VERSIONS:
        raise GGUFError(f"is a GGUF of version {version}; versions 2 and 3 can be read")
    return version, big_endian


def _alignment(metadata: Metadata) -> int:
    if ALIGNMENT_KEY not in metadata:
        return DEFAULT_ALIGNMENT
    alignment = metadata[ALIGNMENT_KEY]
    if metadata.field(ALIGNMENT_KEY).type is not ValueType.UINT32 or not isinstance(alignment, int):
        raise GGUFError(f"{ALIGNMENT_KEY} must be of type UINT32")
    if not is_alignment(alignment):
        raise GGUFError(f"{ALIGNMENT_KEY} is {alignment}, not a power of two")
    return alignment


def _read_tensors(cursor: Cursor, n_tensors: int, alignment: int) -> dict[str, TensorInfo]:
    # No tensor info is smaller than an empty name, no dimensions, type and offset.
    if n_tensors > MAX_TENSORS or n_tensors * 24 > cursor.left:
        raise cursor.fail(f"{n_tensors} tensors cannot fit into the {cursor.left} bytes left")
    raw = [_read_tensor(cursor, number) for number in range(n_tensors)]
    data_start = padded(cursor.at, alignment)
    tensors: dict[str, TensorInfo] = {}
    expected = 0  # llama.cpp takes tensors without gap or overlap only
    for info in raw:
        if info.name in tensors:
            raise GGUFError(f"tensor {info.name!r} is there twice")
        if info.start != expected:
            raise GGUFError(f"tensor {info.name!r} is at offset {info.start} of the data, expected at {expected}")
        start = data_start + info.start
        if start + info.n_bytes > cursor.size:
            raise GGUFError(
                f"tensor {info.name!r} reaches to byte {start + info.n_bytes} of a file of {cursor.size} bytes"
            )
        expected = padded(expected + info.n_bytes, alignment)
        tensors[info.name] = info._replace(start=start)
    return tensors


def _read_tensor(cursor: Cursor, number: int) -> TensorInfo:
    """One tensor info; its `start` is still relative to the data."""
    name = cursor.name(f"the name of tensor {number}", MAX_NAME)
    what = f"tensor {name!r}"
    n_dims = cursor.uint32(what)
    if n_dims > MAX_DIMS:
        raise cursor.fail(f"{what} has {n_dims} dimensions, more than {MAX_DIMS}", cursor.at - 4)
    shape = tuple(cursor.uint64(what) for _ in range(n_dims))
    kind = _tensor_type(cursor, what)
    if not is_shape(shape):
        raise cursor.fail(f"{what} of shape {shape} has too many elements")
    n_row = shape[0] if shape else 1
    if n_row % kind.block:
        raise cursor.fail(f"{what} has rows of {n_row} elements, which {kind.name} packs by {kind.block}")
    return TensorInfo(name, shape, kind, cursor.uint64(what), math.prod(shape) // kind.block * kind.block_bytes)


def _tensor_type(cursor: Cursor, what: str) -> TensorType:
    number = cursor.uint32(what)
    if number not in TENSOR_TYPES:
        raise cursor.fail(f"{what} has the unknown type {number}", cursor.at - 4)
    return TENSOR_TYPES[number]
