"""A cursor over a GGUF file's bytes that never believes what it reads.

Every length is checked against what is left of the file before it is used, in
Python integers: a crafted length may multiply past 2**64, where a machine
integer would wrap to something small and plausible.
"""

from __future__ import annotations

import struct
from typing import Any

from power.errors import PowerError
from power.gguf.constants import SCALAR_CODES, ValueType

MAX_STRING = 2**24  # bytes; Ollama's reader, fs/gguf (llama.cpp itself takes 2**30)
MAX_ARRAY = 2**26  # entries; Ollama's reader, fs/gguf
MAX_NAME = 63  # bytes of a tensor's name; GGML_MAX_NAME counts the closing zero
MAX_DIMS = 4  # GGML_MAX_DIMS
MAX_ELEMENTS = 2**63 - 1  # of a tensor; ggml counts them in an int64
# Strings and inner arrays have to be walked one by one to find what follows
# them. Ours: ten times the largest vocabulary with its merges, and a second's work.
MAX_WALKED = 2**24
MAX_NESTING = 4  # arrays in arrays; ours, none are known in the wild


class GGUFError(PowerError):
    """The file is not a GGUF that can be used; the message says what is wrong and at which byte."""


class Cursor:
    """Reads a GGUF header front to back; `at` is the offset of the next byte.

    Every read raises GGUFError where the file ends too early.
    """

    def __init__(self, data: memoryview, *, big_endian: bool = False) -> None:
        self.data = data
        self.at = 0
        self.order = ">" if big_endian else "<"
        self._uint32 = struct.Struct(self.order + "I")
        self.uint64_at = struct.Struct(self.order + "Q").unpack_from

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def fail(self, what: str, at: int | None = None) -> GGUFError:
        return GGUFError(f"{what} (at byte {self.at if at is None else at})")

    def skip(self, n_bytes: int, what: str) -> int:
        """Step over `n_bytes` and return the offset they begin at."""
        if n_bytes > self.left:
            raise self.fail(f"the file ends in the middle of {what}: {n_bytes} bytes wanted, {self.left} left")
        start = self.at
        self.at += n_bytes
        return start

    def uint32(self, what: str) -> int:
        value: int = self._uint32.unpack_from(self.data, self.skip(4, what))[0]
        return value

    def uint64(self, what: str) -> int:
        value: int = self.uint64_at(self.data, self.skip(8, what))[0]
        return value

    def scalar(self, kind: ValueType, what: str) -> int | float | bool:
        code = struct.Struct(self.order + SCALAR_CODES[kind])
        value: Any = code.unpack_from(self.data, self.skip(code.size, what))[0]
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
        length = self.string_length(what, limit)
        start = self.skip(length, what)
        return str(self.data[start : start + length], "utf-8", "replace")
