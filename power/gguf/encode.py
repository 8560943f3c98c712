"""Metadata values as a GGUF's bytes.

A Python value seldom says which of the thirteen types it is to be written as.
What is read carries its type along (`Encoded`, see `Metadata.encoded`), what is
new may say it (`Typed`), and the rest is written as llama.cpp expects it:

    bool BOOL · str STRING · float FLOAT32 · int UINT32, below zero INT32,
    and the 64-bit types where those are too small;
    list of int INT32 (UINT32, INT64, UINT64 where it has to be), of float
    FLOAT32, of bool BOOL, of str STRING; a numpy array as its dtype says.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from power.gguf.constants import SCALAR_CODES, ValueType
from power.gguf.layout import MAX_ARRAY, MAX_NESTING, MAX_STRING, GGUFError


class Typed(NamedTuple):
    """A value and what it is to be written as; `item_type` is that of an array's items."""

    value: Any  # bytes may stand for a string that is not UTF-8; an item of ARRAY type is a Typed
    type: ValueType
    item_type: ValueType | None = None


class Encoded(NamedTuple):
    """A value as a file has it, to be written back byte for byte."""

    type: ValueType
    item_type: ValueType | None
    n_items: int
    data: bytes | memoryview  # what follows the type, and in an array the item type and count
    big_endian: bool


Writable = int | float | bool | str | bytes | np.generic | npt.NDArray[Any] | Sequence[Any] | Typed
"""What a metadata value may be given as, beside `Encoded`."""

_DTYPES = {np.dtype(code): kind for kind, code in SCALAR_CODES.items()}
_INT_RANGES = {
    ValueType.INT32: range(-(2**31), 2**31),
    ValueType.UINT32: range(2**32),
    ValueType.INT64: range(-(2**63), 2**63),
    ValueType.UINT64: range(2**64),
}


def encode_value(value: Writable | Encoded, what: str, *, big_endian: bool = False) -> bytes:
    """The value's type and bytes, as they follow its key in a file.

    Raises:
        GGUFError: the value cannot be written as its type; the message begins with `what`.
    """
    order = ">" if big_endian else "<"
    if isinstance(value, Encoded):
        return _encode_encoded(value, what, order)
    typed = value if isinstance(value, Typed) else infer(value, what)
    try:
        return struct.pack(order + "I", typed.type) + _encode_typed(typed, what, order, MAX_NESTING)
    except (struct.error, OverflowError, TypeError, ValueError) as error:
        raise GGUFError(f"{what}: {_short(typed.value)} cannot be written as {_name(typed)}: {error}") from error


def infer(value: Writable, what: str) -> Typed:
    """The value with the type it is written as when nobody says otherwise; GGUFError if there is none."""
    if isinstance(value, Typed):
        return value
    if isinstance(value, np.ndarray):
        return _infer_array(value, what)
    if isinstance(value, np.generic):
        return Typed(value.item(), _type_of_dtype(value.dtype, what))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _infer_list(value, what)
    return Typed(value, _scalar_type(value, what, (ValueType.UINT32, ValueType.INT32)))


def _scalar_type(value: Any, what: str, small: tuple[ValueType, ...]) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOL
        case int():
            return _smallest([value], (*small, ValueType.INT64, ValueType.UINT64), what)
        case float():
            return ValueType.FLOAT32
        case str() | bytes():
            return ValueType.STRING
    raise GGUFError(f"{what}: a {type(value).__name__} is no metadata value")


def _smallest(values: Sequence[int], kinds: Sequence[ValueType], what: str) -> ValueType:
    low, high = min(values), max(values)
    for kind in kinds:
        if low in _INT_RANGES[kind] and high in _INT_RANGES[kind]:
            return kind
    raise GGUFError(f"{what}: no integer type holds everything from {low} to {high}")


def _type_of_dtype(dtype: np.dtype[Any], what: str) -> ValueType:
    kind = _DTYPES.get(dtype.newbyteorder("="))
    if kind is None:
        raise GGUFError(f"{what}: numpy's {dtype} is no type of metadata")
    return kind


def _infer_array(value: npt.NDArray[Any], what: str) -> Typed:
    if value.ndim != 1:
        raise GGUFError(f"{what}: an array of {value.ndim} dimensions; metadata has those of one")
    return Typed(value, ValueType.ARRAY, _type_of_dtype(value.dtype, what))


def _infer_list(values: Sequence[Any], what: str) -> Typed:
    if len(values) == 0:
        raise GGUFError(f"{what}: an empty list does not say the type of its items; give a Typed")
    if isinstance(values[0], np.ndarray | Typed) or (
        isinstance(values[0], Sequence) and not isinstance(values[0], str | bytes)
    ):
        return Typed([infer(item, what) for item in values], ValueType.ARRAY, ValueType.ARRAY)
    if all(isinstance(item, int) and not isinstance(item, bool) for item in values):
        kinds = (ValueType.INT32, ValueType.UINT32, ValueType.INT64, ValueType.UINT64)
        return Typed(values, ValueType.ARRAY, _smallest(values, kinds, what))
    found = {_scalar_type(item, what, (ValueType.INT32,)) for item in values}
    if ValueType.FLOAT32 in found and ValueType.STRING not in found and ValueType.BOOL not in found:
        found = {ValueType.FLOAT32}  # 1 among 0.5 is a float
    if len(found) > 1:
        raise GGUFError(f"{what}: a list of {' and '.join(sorted(kind.name for kind in found))}")
    return Typed(values, ValueType.ARRAY, found.pop())


def _encode_typed(typed: Typed, what: str, order: str, nesting: int) -> bytes:
    """The value without the type in front."""
    if typed.type is ValueType.STRING:
        return _encode_string(typed.value, what, order)
    if typed.type is ValueType.ARRAY:
        return _encode_array(typed, what, order, nesting)
    if typed.type is ValueType.BOOL:
        return b"\1" if typed.value else b"\0"
    if typed.type is ValueType.FLOAT32:
        # struct refuses what a float32 cannot hold, where numpy makes it infinite.
        return struct.pack(order + "f", typed.value)
    return struct.pack(order + SCALAR_CODES[typed.type], typed.value)


def _encode_string(value: Any, what: str, order: str) -> bytes:
    if not isinstance(value, str | bytes):
        raise GGUFError(f"{what}: {_short(value)} is no string")
    data = value.encode() if isinstance(value, str) else value
    if len(data) > MAX_STRING:
        raise GGUFError(f"{what}: a string of {len(data)} bytes is longer than {MAX_STRING}")
    return struct.pack(order + "Q", len(data)) + data


def _encode_array(typed: Typed, what: str, order: str, nesting: int) -> bytes:
    items, kind = typed.value, typed.item_type
    if kind is None:
        raise GGUFError(f"{what}: an array needs the type of its items")
    if len(items) > MAX_ARRAY:
        raise GGUFError(f"{what}: {len(items)} items are more than {MAX_ARRAY}")
    head = struct.pack(order + "IQ", kind, len(items))
    if kind is ValueType.STRING:
        return head + b"".join(_encode_string(item, what, order) for item in items)
    if kind is ValueType.ARRAY:
        if nesting == 0:
            raise GGUFError(f"{what}: arrays in arrays, more than {MAX_NESTING} deep")
        inner = [infer(item, what) for item in items]
        if any(item.type is not ValueType.ARRAY for item in inner):
            raise GGUFError(f"{what}: an array of arrays has an item that is none")
        return head + b"".join(_encode_array(item, what, order, nesting - 1) for item in inner)
    return head + _encode_numbers(items, kind, order)


def _encode_numbers(items: Any, kind: ValueType, order: str) -> bytes:
    code = SCALAR_CODES[kind]
    if not isinstance(items, np.ndarray):
        return struct.pack(f"{order}{len(items)}{code}", *items)
    if not np.can_cast(items.dtype, np.dtype(code), "equiv"):
        return _encode_numbers(items.tolist(), kind, order)
    return items.astype(np.dtype(order + code)).tobytes()


def _encode_encoded(value: Encoded, what: str, order: str) -> bytes:
    if value.big_endian != (order == ">"):
        return encode_value(decode_exactly(value, what), what, big_endian=order == ">")
    head = struct.pack(order + "I", value.type)
    if value.item_type is not None:
        head += struct.pack(order + "IQ", value.item_type, value.n_items)
    return head + value.data


def decode_exactly(value: Encoded, what: str = "a value") -> Typed:
    """The value with all its types; strings as bytes, for they need not be UTF-8."""
    data, order = memoryview(value.data), ">" if value.big_endian else "<"
    if value.item_type is None:
        return Typed(_decode_items(data, value.type, 1, order, what)[0][0], value.type)
    items, _ = _decode_items(data, value.item_type, value.n_items, order, what)
    return Typed(items, ValueType.ARRAY, value.item_type)


def _decode_items(data: memoryview, kind: ValueType, n_items: int, order: str, what: str) -> tuple[Any, memoryview]:
    """The items at the beginning of the data, and what follows them."""
    if kind in SCALAR_CODES:
        # A bool of any byte stays that byte only in its own byte order; here it becomes 0 or 1.
        dtype = np.dtype(order + SCALAR_CODES[kind])
        items = np.frombuffer(data[: n_items * dtype.itemsize], dtype)
        return (items.view(np.uint8) != 0 if kind is ValueType.BOOL else items), data[items.nbytes :]
    found: list[Any] = []
    for _ in range(n_items):
        if kind is ValueType.STRING:
            (length,) = struct.unpack_from(order + "Q", data)
            found.append(bytes(data[8 : 8 + length]))
            data = data[8 + length :]
        else:
            inner, n_inner = struct.unpack_from(order + "IQ", data)
            values, data = _decode_items(data[12:], ValueType(inner), n_inner, order, what)
            found.append(Typed(values, ValueType.ARRAY, ValueType(inner)))
    return found, data


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _name(typed: Typed) -> str:
    return typed.type.name if typed.item_type is None else f"an array of {typed.item_type.name}"
