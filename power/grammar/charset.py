"""Sets of characters as sorted, disjoint, inclusive ranges of code points."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

LAST = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]

ALL: Ranges = ((0, LAST),)


def normal(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same set with its ranges sorted, and joined where they touch."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            if high > out[-1][1]:
                out[-1] = (out[-1][0], high)
        else:
            out.append((low, high))
    return tuple(out)


def of(text: str) -> Ranges:
    """The characters of a text."""
    return normal((ord(char), ord(char)) for char in text)


def complement(ranges: Ranges) -> Ranges:
    out, start = [], 0
    for low, high in ranges:
        if start < low:
            out.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        out.append((start, LAST))
    return tuple(out)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    out, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low <= high:
            out.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)


def contains(ranges: Ranges, point: int) -> bool:
    index = bisect_right(ranges, (point, LAST)) - 1
    return index >= 0 and ranges[index][1] >= point
