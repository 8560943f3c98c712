"""Tensors made of other tensors, read a few rows at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.gguf.convert.sources import (
    Affine,
    Part,
    Reordered,
    Rows,
    Stacked,
    Transposed,
    Values,
    interleaved,
    n_rows,
)

A = Values(np.arange(48, dtype=np.float32).reshape(12, 4))
B = Values(-np.arange(48, dtype=np.float32).reshape(12, 4))
SOURCES: dict[str, tuple[Rows, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]] = {
    "values": (A, A.array),
    "affine": (Affine(A, 2.0, 1.0), A.array * 2 + 1),
    "part": (Part(A, 4, (6, 4)), A.array[4:10]),
    "stacked": (Stacked((A, B)), np.concatenate([A.array, B.array])),
    "stacked parts": (Stacked((Part(A, 0, (3, 4)), Part(A, 6, (3, 4)))), A.array[[0, 1, 2, 6, 7, 8]]),
    "transposed": (Transposed(A), np.ascontiguousarray(A.array.T)),
    "reordered": (Reordered(A, interleaved(3, 12)), A.array[[0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11]]),
}


@pytest.mark.parametrize("name", SOURCES)
@given(data=st.data())
def test_cutting_a_tensor_into_pieces_changes_nothing(name: str, data: st.DataObject) -> None:
    source, expected = SOURCES[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, n_rows(source) - 1))))

    pieces = [source.rows(start, stop) for start, stop in zip([0, *cuts], [*cuts, n_rows(source)], strict=True)]

    assert np.array_equal(np.concatenate(pieces), expected)
