"""A GGUF's metadata: scalars read at once, strings and arrays when asked for.

A vocabulary is an array of 150,000 strings, and the next key comes after the
last of them; so it has to be stepped over (`strings.py`), but not decoded.  The
header's bytes are held, a copy: what the file becomes later changes no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from power.gguf.constants import SCALAR_CODES, ValueType
from power.gguf.encode import Encoded
from power.gguf.layout import MAX_ARRAY, MAX_INNER, MAX_KEY, MAX_NESTING, MAX_VALUES, MAX_WALKED, Cursor
from power.gguf.strings import read_strings, skip_strings

Value = int | float | bool | str | npt.NDArray[Any] | list[Any]
"""A metadata value: numeric arrays are read-only views of the header, others are lists."""


class Field(NamedTuple):
    """Where a value lies and what it is, without decoding it."""

    type: ValueType
    item_type: ValueType | None  # of an array
    n_items: int  # 1 if it is no array
    start: int  # offset of the first byte: of a string its length, of an array its first item
    end: int  # offset of the byte after the last


class Metadata(Mapping[str, Value]):
    """Key to value, in the file's order; looking one up decodes that one and no other."""

    def __init__(self, header: memoryview, fields: dict[str, Field], *, big_endian: bool) -> None:
        self._header = header
        self._fields = fields
        self._big_endian = big_endian

    def __getitem__(self, key: str) -> Value:
        field = self._fields[key]
        cursor = self._cursor(field.start)
        if field.type is ValueType.ARRAY:
            assert field.item_type is not None
            return _read_items(cursor, field.item_type, field.n_items)
        if field.type is ValueType.STRING:
            return cursor.string(key)
        return cursor.scalar(field.type, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, key: object) -> bool:
        return key in self._fields

    def __repr__(self) -> str:
        return f"<{len(self)} metadata values>"

    def field(self, key: str) -> Field:
        """What is known of a value without decoding it; KeyError if there is none."""
        return self._fields[key]

    def string_at(self, key: str, index: int) -> str:
        """One string of an array of strings.

        Raises:
            KeyError: there is no such array.
            IndexError: it has no such entry.
        """
        field = self._fields[key]
        if field.item_type is not ValueType.STRING:
            raise KeyError(key)
        if not 0 <= index < field.n_items:
            raise IndexError(f"{key} has {field.n_items} entries, and no number {index}")
        cursor = self._cursor(field.start)
        skip_strings(cursor, index, key)
        return cursor.string(key)

    def encoded(self) -> dict[str, Encoded]:
        """Every value as the file has it, undecoded: what `write_gguf` writes back byte for byte.

        To change a file's metadata, change this dictionary: `{**metadata.encoded(), "general.name": "new"}`.
        """
        return {key: self._encoded(field) for key, field in self._fields.items()}

    def _encoded(self, field: Field) -> Encoded:
        data = self._header[field.start : field.end]
        return Encoded(field.type, field.item_type, field.n_items, data, self._big_endian)

    def _cursor(self, at: int) -> Cursor:
        cursor = Cursor(_fetch_no_more, len(self._header), big_endian=self._big_endian)
        cursor.data, cursor.at = self._header, at
        return cursor


def _fetch_no_more(held: memoryview, n_bytes: int) -> memoryview:
    raise AssertionError(f"{n_bytes} bytes of a header that has {len(held)}")


def read_metadata(cursor: Cursor, n_values: int) -> Metadata:
    """Find every value of the header; the cursor is left at the first tensor info.

    Raises:
        GGUFError: a key is empty or there twice, a type is unknown, or a value reaches past the file.
    """
    # A key of one byte and a value of one: what no entry can be smaller than.
    if n_values > MAX_VALUES or n_values * 14 > cursor.left:
        raise cursor.fail(f"{n_values} metadata values cannot fit into the {cursor.left} bytes left")
    fields: dict[str, Field] = {}
    walk = _Walk(cursor)
    for number in range(n_values):
        start = cursor.at
        key = cursor.name(f"metadata key {number}", MAX_KEY)
        if not key or key in fields:
            raise cursor.fail(f"metadata key {number} is {'there twice: ' + repr(key) if key else 'empty'}", start)
        fields[key] = walk.field(key)
    return Metadata(cursor.data, fields, big_endian=cursor.order == ">")


class _Walk:
    """Steps over values, and counts what had to be looked at one by one."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.n_walked = 0
        self.n_inner = 0

    def field(self, key: str) -> Field:
        kind = self.cursor.value_type(f"the value of {key!r}")
        if kind is ValueType.ARRAY:
            item_type, n_items = self.array_head(key)
            start = self.cursor.at
            self.skip_items(key, item_type, n_items, MAX_NESTING)
            return Field(kind, item_type, n_items, start, self.cursor.at)
        start = self.cursor.at
        self.skip_items(key, kind, 1, MAX_NESTING)
        return Field(kind, None, 1, start, self.cursor.at)

    def array_head(self, key: str) -> tuple[ValueType, int]:
        item_type = self.cursor.value_type(f"an item of {key!r}")
        n_items = self.cursor.uint64(f"the length of {key!r}")
        if n_items > MAX_ARRAY:
            raise self.cursor.fail(f"{key!r} has {n_items} items, more than {MAX_ARRAY}", self.cursor.at - 8)
        return item_type, n_items

    def skip_items(self, key: str, kind: ValueType, n_items: int, nesting: int) -> None:
        if kind in SCALAR_CODES:
            self.cursor.skip(n_items * np.dtype(SCALAR_CODES[kind]).itemsize, repr(key))
            return
        self.n_walked += n_items
        if self.n_walked > MAX_WALKED:
            raise self.cursor.fail(f"the metadata has more than {MAX_WALKED} strings, up to {key!r}")
        if kind is ValueType.STRING:
            skip_strings(self.cursor, n_items, key)
            return
        self.n_inner += n_items
        if nesting == 0 or self.n_inner > MAX_INNER:
            raise self.cursor.fail(f"{key!r} has arrays in arrays, more than {MAX_INNER} or {MAX_NESTING} deep")
        for _ in range(n_items):
            self.skip_items(key, *self.array_head(key), nesting - 1)


def _read_items(cursor: Cursor, kind: ValueType, n_items: int) -> Value:
    """The items at the cursor, which `read_metadata` has found to lie inside the header."""
    if kind is ValueType.STRING:
        return read_strings(cursor, n_items)
    if kind is ValueType.ARRAY:
        return [_read_inner(cursor) for _ in range(n_items)]
    dtype = np.dtype(cursor.order + SCALAR_CODES[kind])
    start = cursor.skip(n_items * dtype.itemsize, "an array")
    items: npt.NDArray[Any] = np.frombuffer(cursor.data[start : cursor.at], dtype)
    # A bool of the file may be any byte, which numpy's must not be.
    return items.view(np.uint8) != 0 if kind is ValueType.BOOL else items


def _read_inner(cursor: Cursor) -> Value:
    kind = cursor.value_type("an inner array")
    return _read_items(cursor, kind, cursor.uint64("an inner array"))
