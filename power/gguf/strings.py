"""Step over a GGUF's packed strings without looking at each.

Every string has its length in front, eight bytes, so where one begins is known
only after the one before: 300,000 steps over a vocabulary and its merges. But
nearly all strings are shorter than 256 bytes and hold no zero byte, so seven
zeros in a row are the upper bytes of a length. numpy finds all such places at
once, and one comparison proves which of them follow one another as strings do;
only where that chain breaks a step is taken by hand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from power.gguf.layout import MAX_STRING, Cursor

SPAN = 2**18  # bytes looked at in one go; what numpy makes of them stays in the cache
BY_HAND = 16  # strings stepped over before a chain is tried again: as long as the trial takes
MOST_BY_HAND = 1024


def skip_strings(cursor: Cursor, n_strings: int, key: str) -> None:
    """Step over `n_strings` strings; GGUFError if one is longer than allowed or reaches past the file."""
    what = f"a string of {key!r}"
    chain, by_hand = None, BY_HAND
    while n_strings > by_hand:
        if chain is None or cursor.at >= chain.end:
            chain = _chain_at(cursor)
        n_hopped, cursor.at = chain.hop(cursor.at, n_strings)
        # Strings that are all empty, or all long, make no chains: then try less often.
        by_hand = BY_HAND if n_hopped else min(2 * by_hand, MOST_BY_HAND)
        n_steps = min(n_strings - n_hopped, by_hand)
        _step(cursor, n_steps, what)
        n_strings -= n_hopped + n_steps
    _step(cursor, n_strings, what)


def _step(cursor: Cursor, n_strings: int, what: str) -> None:
    at, data, read = cursor.at, cursor.data, cursor.uint64_at
    n_held = len(data)
    for _ in range(n_strings):
        end = at + 8
        if end <= n_held:
            end += read(data, at)[0]
            if end <= n_held and end - at <= MAX_STRING:
                at = end
                continue
        cursor.at = at
        cursor.skip(cursor.string_length(what), what)  # which fetches more, or says what is wrong
        at, data, n_held = cursor.at, cursor.data, len(cursor.data)
    cursor.at = at


def _chain_at(cursor: Cursor) -> _Chain:
    cursor.reach(min(cursor.size, cursor.at + SPAN))
    data = np.frombuffer(cursor.data, np.uint8)[cursor.at : cursor.at + SPAN]
    return _Chain(data, cursor.at, big_endian=cursor.order == ">")


class _Chain:
    """Where strings shorter than 256 bytes follow one another, within one span of the file."""

    def __init__(self, data: npt.NDArray[np.uint8], start: int, *, big_endian: bool) -> None:
        self.end = start + max(1, len(data) - 8)  # behind it, a length might not be whole
        heads = _runs_of_seven_zeros(data) if big_endian else _runs_of_seven_zeros(data[1:])
        follows = heads[:-1] + 8 + data[heads[:-1] + 7 * big_endian] == heads[1:]
        self._heads = heads + start
        self._last = np.append(np.flatnonzero(~follows), len(heads) - 1)  # of a chain each: its number in `_heads`

    def hop(self, at: int, n_strings: int) -> tuple[int, int]:
        """How many strings, `n_strings` at most, can be passed from `at` on, and where the next one begins."""
        first = int(self._heads.searchsorted(at))
        if first == len(self._heads) or self._heads[first] != at:
            return 0, at
        last = min(int(self._last[self._last.searchsorted(first)]), first + n_strings)
        return last - first, int(self._heads[last])


def _runs_of_seven_zeros(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Where seven zero bytes in a row begin."""
    zero = data == 0
    two = zero[:-1] & zero[1:]
    four = two[:-2] & two[2:]
    return np.flatnonzero(four[:-3] & four[3:])


def read_strings(cursor: Cursor, n_strings: int) -> list[str]:
    """The strings at the cursor, all known to lie inside what it holds; what is not UTF-8 becomes U+FFFD."""
    view, at, read = cursor.data, cursor.at, cursor.uint64_at
    strings = []
    for _ in range(n_strings):
        start = at + 8
        at = start + read(view, at)[0]
        strings.append(str(view[start:at], "utf-8", "replace"))
    cursor.at = at
    return strings
