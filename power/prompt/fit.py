"""Make a conversation fit a context by leaving out its oldest turns.

What systems say stays, and so does the last turn, whatever its length: without
it there is nothing to answer.  Turns go as a whole, from a user's message up to
the next one's, so that no answer stays without its question and no tool's result
without its call.  Nothing goes unsaid: what was dropped is returned.

To count tokens is somebody else's work, and takes a while; so `fit` is a
generator that asks for as few counts as it can: it guesses from the lengths of
the texts, and halves what is left where the guesses are bad.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import msgspec

from power.messages import Message

MESSAGE_CHARACTERS = 16  # what a template writes around a message, for guessing
N_GUESSES = 3  # before halving

Turn = tuple[Message, ...]
Fitting = Generator[tuple[Message, ...], int, "Fitted"]


class Fitted(msgspec.Struct, frozen=True):
    """A conversation, shortened where it had to be."""

    messages: tuple[Message, ...]
    dropped: tuple[Message, ...]  # in their order
    n_prompt: int  # tokens of what is left


def fit(messages: Sequence[Message], n_prompt: int, n_most: int) -> Fitting:
    """The longest rest of the conversation that has no more than `n_most` tokens; all of it has `n_prompt`.

    Yields shortened conversations, and is sent the tokens that each has.  If
    even the last turn alone has more than `n_most`, that is what is returned.
    """
    turns = split_turns(messages)
    sizes = [sum(map(_size, turn)) for turn in turns]
    fixed = sum(_size(message) for message in messages if is_system(message))
    counts = {0: n_prompt}  # by the number of turns dropped
    too_many, enough = 0, max(0, len(turns) - 1)  # dropped: with so few it does not fit, with so many it has to do
    if n_prompt <= n_most:
        enough = 0
    while enough - too_many > 1:
        guess = _guess(sizes, fixed, counts[too_many], too_many, n_most)
        middle = (too_many + enough) // 2
        n_dropped = min(max(guess, too_many + 1), enough - 1) if len(counts) <= N_GUESSES else middle
        counts[n_dropped] = yield tuple(_kept(messages, turns, n_dropped))
        if counts[n_dropped] > n_most:
            too_many = n_dropped
        else:
            enough = n_dropped
    kept = tuple(_kept(messages, turns, enough))
    if enough not in counts:
        counts[enough] = yield kept
    dropped = tuple(message for turn in turns[:enough] for message in turn)
    return Fitted(kept, dropped, counts[enough])


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


def _guess(sizes: Sequence[int], fixed: int, n_tokens: int, n_dropped: int, n_most: int) -> int:
    """How many turns to drop, if so many were dropped and left `n_tokens`, and tokens went by characters."""
    left = fixed + sum(sizes[n_dropped:])
    per_character = n_tokens / max(1, left)
    while n_dropped < len(sizes) - 1 and left * per_character > n_most:
        left -= sizes[n_dropped]
        n_dropped += 1
    return n_dropped


def _size(message: Message) -> int:
    calls = sum(len(call.name) + len(repr(call.arguments)) for call in message.tool_calls)
    return MESSAGE_CHARACTERS + len(message.content) + len(message.thinking) + calls


def _kept(messages: Sequence[Message], turns: Sequence[Turn], n_dropped: int) -> list[Message]:
    n_left_out = sum(map(len, turns[:n_dropped]))
    kept = []
    for message in messages:
        if is_system(message) or n_left_out == 0:
            kept.append(message)
        else:
            n_left_out -= 1
    return kept
