"""An open GGUF file: its metadata, its tensors, and the ways to their contents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from power.gguf.blocks import dequantise, swap_order
from power.gguf.constants import TensorType
from power.gguf.file import PIECE_BYTES, File
from power.gguf.metadata import Metadata
from power.gguf.plan import TensorSource

# numpy's letters for the tensor types that are plain numbers; bfloat16, which numpy lacks, as its bits.
DTYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "u2", "I8": "i1", "I16": "i2", "I32": "i4", "I64": "i8"}


class TensorInfo(NamedTuple):
    """A tensor's name, form and place; `start + n_bytes` is inside the file."""

    name: str
    shape: tuple[int, ...]  # elements, the fastest-changing dimension first, as in the file
    type: TensorType
    start: int  # offset of its first byte in the file
    n_bytes: int
    part: int = 0  # which of the model's files it lies in, from 0 on

    @property
    def n_elements(self) -> int:
        return math.prod(self.shape)

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The shape in numpy's order: the fastest-changing dimension last."""
        return self.shape[::-1]


class GGUF(NamedTuple):
    """An open file, or several that make up one model; closed when nothing refers to it any more."""

    path: Path  # the file that was asked for
    version: int
    big_endian: bool
    metadata: Metadata  # of the first file
    tensors: Mapping[str, TensorInfo]  # by name, in the files' order
    alignment: int  # bytes
    files: tuple[File, ...]  # one, but for a split model

    @property
    def size(self) -> int:
        """Bytes, of all files together."""
        return sum(file.size for file in self.files)

    def tensor(self, name: str) -> npt.NDArray[Any]:
        """The tensor, mapped and not copied, read-only, in numpy's order of dimensions.

        Numbers have their own dtype and byte order, but bfloat16 is uint16. Packed types
        are uint8 of shape (*rows, bytes per row); `floats` unpacks them. What is mapped
        must not be cut short by others: see `File.view`.

        Raises:
            KeyError: there is no tensor of that name.
            GGUFError: the file has become shorter since it was opened.
        """
        info = self.tensors[name]
        data, shape = self.tensor_bytes(name), info.array_shape
        if info.type.name in DTYPES:
            return data.view((">" if self.big_endian else "<") + DTYPES[info.type.name]).reshape(shape)
        return data.reshape(*shape[:-1], shape[-1] // info.type.block * info.type.block_bytes)

    def tensor_bytes(self, name: str) -> npt.NDArray[np.uint8]:
        """The tensor's bytes, mapped and not copied; raises like `tensor`."""
        info = self.tensors[name]
        return self.files[info.part].view(info.start, info.n_bytes)

    def pieces(self, name: str, piece_bytes: int = PIECE_BYTES) -> Iterator[npt.NDArray[np.uint8]]:
        """The tensor's bytes, read in copies of `piece_bytes`; each is good until the next.

        Raises:
            KeyError: there is no tensor of that name.
            GGUFError: the file has become shorter, or the disk fails.
        """
        info = self.tensors[name]
        return self.files[info.part].pieces(info.start, info.n_bytes, piece_bytes)

    def floats(self, name: str) -> npt.NDArray[np.float32]:
        """The tensor unpacked, in numpy's order of dimensions; read by pieces, whatever happens to the file.

        Raises:
            KeyError, GGUFError: like `pieces`.
        """
        info = self.tensors[name]
        out = np.empty(info.array_shape, np.float32)
        if info.type.name == "F32" and not self.big_endian:
            self.files[info.part].read_into(out, info.start)
            return out
        flat, at = out.reshape(-1), 0
        for piece in self.float_pieces(name):
            flat[at : at + piece.size] = piece
            at += piece.size
        return out

    def float_pieces(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """The tensor's elements in order, a flat array at a time, each good until the next; raises like `pieces`."""
        kind = self.tensors[name].type
        for data in self.pieces(name, PIECE_BYTES // kind.block_bytes * kind.block_bytes):
            yield dequantise(data, kind, big_endian=self.big_endian)

    def source(self, name: str, *, big_endian: bool | None = None) -> TensorSource:
        """The tensor, to be written into another file: as it is, or in the byte order given; KeyError like `tensor`."""
        info = self.tensors[name]
        if big_endian in (None, self.big_endian):
            return TensorSource(name, info.array_shape, info.type, lambda: self.pieces(name))
        return TensorSource(name, info.array_shape, info.type, lambda: self._swapped(name))

    def _swapped(self, name: str) -> Iterator[npt.NDArray[np.uint8]]:
        kind = self.tensors[name].type
        for data in self.pieces(name, PIECE_BYTES // kind.block_bytes * kind.block_bytes):
            yield swap_order(data, kind, big_endian=self.big_endian)

    def __repr__(self) -> str:
        return f"<GGUF {self.path.name}: {len(self.metadata)} values, {len(self.tensors)} tensors>"
