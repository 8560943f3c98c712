"""A cursor over a GGUF file's bytes that never believes what it reads.

Every length is checked against what is left of the file before it is used, in
Python integers: a crafted length may multiply past 2**64, where a machine
integer would wrap to something small and plausible.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

from power.errors import PowerError
from power.gguf.constants import SCALAR_CODES, ValueType

MAX_HEADER = 2**28  # bytes; ours, ten times the largest known. It bounds what opening a file may allocate.
MAX_STRING = 2**24  # bytes; Ollama's reader, fs/gguf (llama.cpp itself takes 2**30)
MAX_ARRAY = 2**26  # entries; Ollama's reader, fs/gguf
MAX_VALUES = 2**16  # metadata keys; ours, files have some dozens
MAX_TENSORS = 2**17  # ours; unmerged experts make tens of thousands
MAX_NAME = 63  # bytes of a tensor's name; GGML_MAX_NAME counts the closing zero
MAX_KEY = 2**16 - 1  # bytes; the specification's limit
MAX_DIMS = 4  # GGML_MAX_DIMS
MAX_ELEMENTS = 2**60 - 1  # of a tensor; ggml counts them in an int64, numpy their bytes
# Strings and inner arrays have to be walked one by one to find what follows
# them. Ours: five times the largest vocabulary with its merges, and a second's work.
MAX_WALKED = 2**22
MAX_INNER = 2**16  # arrays in arrays; ours, none are known in the wild
MAX_NESTING = 4  # of them; ours


def padded(offset: int, alignment: int) -> int:
    """The first multiple of `alignment` that is not below `offset`."""
    return -(-offset // alignment) * alignment


def is_alignment(value: int) -> bool:
    """Whether the value is a power of two, as llama.cpp demands."""
    return value > 0 and value & (value - 1) == 0


def is_shape(shape: Sequence[int]) -> bool:
    """Whether elements of this shape can be counted, the zeros in it left out as numpy does."""
    return min(shape, default=0) >= 0 and math.prod(n for n in shape if n) <= MAX_ELEMENTS


class GGUFError(PowerError):
    """The file is not a GGUF that can be used; the message says what is wrong and at which byte."""


Fetch = Callable[[memoryview, int], memoryview]
"""Given the file's beginning, and how many bytes of it are wanted: a longer beginning."""

FIRST_BYTES = 2**16  # fetched at first: the header of a file without a vocabulary


class Cursor:
    """Reads a GGUF header front to back; `at` is the offset of the next byte.

    Only the beginning of the file is held, and more of it is fetched as it is
    needed. Every read raises GGUFError where the file ends too early.
    """

    def __init__(self, fetch: Fetch, size: int, *, big_endian: bool = False) -> None:
        self.data = memoryview(b"")  # the file's beginning
        self.size = size  # bytes of the whole file
        self.at = 0
        self.order = ">" if big_endian else "<"
        self._fetch = fetch
        self._uint32 = struct.Struct(self.order + "I")
        self.uint64_at = struct.Struct(self.order + "Q").unpack_from

    @property
    def left(self) -> int:
        return self.size - self.at

    def fail(self, what: str, at: int | None = None) -> GGUFError:
        return GGUFError(f"{what} (at byte {self.at if at is None else at})")

    def reach(self, end: int) -> bool:
        """Have all bytes up to `end` in `data`; False if the file or the longest header ends before."""
        if end <= len(self.data):
            return True
        if end > min(self.size, MAX_HEADER):
            return False
        self.data = self._fetch(self.data, min(self.size, MAX_HEADER, max(end, 2 * len(self.data), FIRST_BYTES)))
        return True

    def skip(self, n_bytes: int, what: str) -> int:
        """Step over `n_bytes` and return the offset they begin at."""
        if not self.reach(self.at + n_bytes):
            if n_bytes <= self.left:
                raise self.fail(f"the header is longer than {MAX_HEADER} bytes, up to {what}")
            raise self.fail(f"the file ends in the middle of {what}: {n_bytes} bytes wanted, {self.left} left")
        start = self.at
        self.at += n_bytes
        return start

    def uint32(self, what: str) -> int:
        start = self.skip(4, what)  # which may fetch, and so comes before a look at `data`
        value: int = self._uint32.unpack_from(self.data, start)[0]
        return value

    def uint64(self, what: str) -> int:
        start = self.skip(8, what)
        value: int = self.uint64_at(self.data, start)[0]
        return value

    def scalar(self, kind: ValueType, what: str) -> int | float | bool:
        code = struct.Struct(self.order + SCALAR_CODES[kind])
        start = self.skip(code.size, what)
        value: Any = code.unpack_from(self.data, start)[0]
        return value  # type: ignore[no-any-return]

    def value_type(self, what: str) -> ValueType:
        number = self.uint32(what)
        if number not in ValueType._value2member_map_:
            raise self.fail(f"{what} has the unknown type {number}", self.at - 4)
        return ValueType(number)

    def string_length(self, what: str, limit: int = MAX_STRING) -> int:
        length = self.uint64(what)
        if length > limit:
            raise self.fail(f"{what} is {length} bytes long, more than {limit}", self.at - 8)
        return length

    def string(self, what: str, limit: int = MAX_STRING) -> str:
        """A string; bytes that are not UTF-8 become U+FFFD, so that it can be shown and sent anywhere."""
        return str(self._string_bytes(what, limit), "utf-8", "replace")

    def name(self, what: str, limit: int) -> str:
        """A string by which things are told apart; GGUFError if it is not UTF-8."""
        start = self.at
        try:
            return str(self._string_bytes(what, limit), "utf-8")
        except UnicodeDecodeError as error:
            raise self.fail(f"{what} is not UTF-8", start) from error

    def _string_bytes(self, what: str, limit: int) -> memoryview:
        length = self.string_length(what, limit)
        start = self.skip(length, what)
        return self.data[start : start + length]
