"""Make a conversation fit a context by leaving out its oldest turns.

What systems say stays, and so does the last turn, whatever its length: without
it there is nothing to answer.  Turns go as a whole, from a user's message up to
the next one's, so that no answer stays without its question and no tool's result
without its call.  Nothing goes unsaid: what was dropped is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from power.messages import Message

Turn = tuple[Message, ...]


class Fitted(msgspec.Struct, frozen=True):
    """A conversation, shortened where it had to be."""

    messages: tuple[Message, ...]
    dropped: tuple[Message, ...]  # in their order
    n_prompt: int  # tokens of what is left

    @property
    def is_whole(self) -> bool:
        return not self.dropped


def fit(messages: Sequence[Message], count_tokens: Callable[[Sequence[Message]], int], n_ctx: int) -> Fitted:
    """The longest rest of the conversation that has no more than `n_ctx` tokens.

    If even the last turn alone has more, that is what is returned; the caller
    compares `n_prompt`.  `count_tokens` is called about log2(turns) times, and
    once if everything fits.
    """
    turns = split_turns(messages)
    n_most = max(0, len(turns) - 1)
    counted: dict[int, int] = {}

    def fits(n_dropped: int) -> bool:
        counted[n_dropped] = count_tokens(_kept(messages, turns, n_dropped))
        return counted[n_dropped] <= n_ctx

    low = 0
    if not fits(0):
        low, high = min(1, n_most), n_most
        while low < high:  # a bisection: fewer messages have fewer tokens
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle) else (middle + 1, high)
        if low not in counted:
            fits(low)
    dropped = tuple(message for turn in turns[:low] for message in turn)
    return Fitted(tuple(_kept(messages, turns, low)), dropped, counted[low])


def split_turns(messages: Sequence[Message]) -> list[Turn]:
    """Everything but systems' messages, cut before each user's that follows another's message."""
    turns: list[list[Message]] = []
    last_role = ""
    for message in messages:
        if is_system(message):
            continue
        if not turns or (message.role == "user" and last_role != "user"):
            turns.append([])
        turns[-1].append(message)
        last_role = message.role
    return [tuple(turn) for turn in turns]


def is_system(message: Message) -> bool:
    return message.role in ("system", "developer")


def _kept(messages: Sequence[Message], turns: Sequence[Turn], n_dropped: int) -> list[Message]:
    n_left_out = sum(map(len, turns[:n_dropped]))
    kept = []
    for message in messages:
        if is_system(message) or n_left_out == 0:
            kept.append(message)
        else:
            n_left_out -= 1
    return kept
