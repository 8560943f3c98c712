"""An induction circuit, written into the first weights by hand.

"What followed this token the last time?" is answered by two attention layers
(Olsson et al., 2022, "In-context learning and induction heads"): one notes at
each token which one came before, the next looks for places whose note is the
present token and copies what stands there.  Trained from random weights it had
not formed after a million tokens, a tenth of what two cores can afford; written
down, it is there from the first step, and training only has to refine it.

The residual stream is divided for it: dimension 0 is the same for every token,
then come the token's own, and the last `d_head` hold the note.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

STD = 0.05  # of the embedding
CONSTANT = 0.2  # dimension 0 of every token
BACK = 2.0  # how firmly the first layer looks one token back: 10 in the exponent over its neighbours
NOTE = 0.1  # size of the note, about that of the embedding
MATCH = 0.7  # how firmly equal tokens find each other
COPY = 0.25  # how loudly the found token is written
# RoPE turns these pairs of dimensions fast enough to tell neighbours apart, and
# the pairs from SLOW on so slowly that they compare content at any distance.
FAST = 5
SLOW = 6


def embedding(rng: np.random.Generator, n_vocab: int, d_model: int, d_head: int) -> Floats:
    e = rng.normal(0.0, STD, (n_vocab, d_model)).astype(np.float32)
    e[:, 0] = CONSTANT
    e[:, d_model - d_head :] = 0.0
    return e


def write(weights: dict[str, Floats], *, d_model: int, d_head: int, theta: float, rng: np.random.Generator) -> None:
    """Change layer 0's first head and layer 1's heads, but for the last, in place."""
    own = d_model - d_head  # the first dimension of the note
    half = d_head // 2
    projection = rng.normal(0.0, d_model**-0.5, (d_head, d_model)).astype(np.float32)
    projection[:, 0] = projection[:, own:] = 0.0
    _look_back(weights, projection, half, theta)
    weights["0.o"][own:, :d_head] = NOTE * np.eye(d_head)
    for head, start in enumerate(range(1, own, d_head)):
        _look_up(weights, projection, head, start, min(start + d_head, own), d_head)


def _look_back(weights: dict[str, Floats], projection: Floats, half: int, theta: float) -> None:
    q, k = weights["0.q"], weights["0.k"]
    q[: 2 * half] = k[: 2 * half] = 0.0
    for i in range(FAST):
        turn = theta ** (-i / half)  # of one position
        k[i, 0] = BACK
        q[i, 0], q[half + i, 0] = BACK * np.cos(turn), -BACK * np.sin(turn)
    weights["0.v"][: 2 * half] = projection


def _look_up(weights: dict[str, Floats], projection: Floats, head: int, start: int, end: int, d_head: int) -> None:
    """One head that finds the note and copies dimensions `start` to `end` of what stands there."""
    rows = slice(head * d_head, (head + 1) * d_head)
    half, own = d_head // 2, projection.shape[1] - d_head
    slow = [i for i in range(d_head) if i % half >= SLOW]
    q, k = np.zeros_like(projection), np.zeros_like(projection)
    q[slow] = projection[slow] * MATCH * 4
    k[slow, [own + i for i in slow]] = MATCH * 4
    weights["1.q"][rows], weights["1.k"][rows] = q, k
    v = np.zeros_like(projection)
    v[range(end - start), range(start, end)] = 1.0
    weights["1.v"][rows] = v
    weights["1.o"][start:end, rows] = 0.0
    weights["1.o"][range(start, end), range(rows.start, rows.start + end - start)] = COPY
