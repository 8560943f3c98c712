"""A conversation that is too long loses its oldest turns, and says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from power.messages import Message
from power.prompt.fit import Fitted, fit, is_system, split_turns

Count = Callable[[Sequence[Message]], int]


def say(role: str, content: str = "x") -> Message:
    return Message(role=role, content=content)


def count(messages: Sequence[Message]) -> int:
    return sum(len(message.content) for message in messages)


def run(messages: Sequence[Message], n_most: int, count: Count = count) -> tuple[Fitted, int]:
    """What comes of it, and how often tokens had to be counted."""
    fitting = fit(messages, count(messages), n_most)
    n_counted = 0
    try:
        candidate = next(fitting)
        while True:
            n_counted += 1
            candidate = fitting.send(count(candidate))
    except StopIteration as stop:
        return stop.value, n_counted


CONVERSATION = [
    say("system", "s" * 5),
    say("user", "1" * 10), say("assistant", "1" * 10), say("tool", "1" * 10), say("assistant", "1" * 10),
    say("user", "2" * 10), say("assistant", "2" * 10),
    say("system", "t" * 5),
    say("user", "3" * 10),
]  # fmt: skip


def test_what_fits_is_left_alone_and_nothing_is_counted() -> None:
    assert run(CONVERSATION, 80) == (Fitted(tuple(CONVERSATION), (), 80), 0)


def test_whole_turns_go_oldest_first() -> None:
    fitted, _ = run(CONVERSATION, 79)

    assert fitted.dropped == tuple(CONVERSATION[1:5])
    assert fitted.messages == (CONVERSATION[0], *CONVERSATION[5:])
    assert fitted.n_prompt == 40


def test_systems_and_the_last_turn_stay_even_if_they_do_not_fit() -> None:
    fitted, _ = run(CONVERSATION, 3)

    assert fitted.messages == (CONVERSATION[0], CONVERSATION[7], CONVERSATION[8])
    assert fitted.n_prompt == 20


def test_tokens_are_counted_a_few_times_only() -> None:
    even = [say("user" if n % 2 == 0 else "assistant", "word " * 50) for n in range(401)]
    uneven = [say("user" if n % 2 == 0 else "assistant", "x" * (2000 if n % 40 == 0 else 20)) for n in range(1001)]
    dense = [say("user" if n % 2 == 0 else "assistant", "x" * 50) for n in range(401)]

    def by_density(messages: Sequence[Message]) -> int:
        return sum(len(message.content) * (9 if n % 7 else 1) for n, message in enumerate(messages))

    assert run(even, 20_000)[1] <= 4
    assert run(uneven, 9_000)[1] <= 12
    assert run(dense, 9_000, by_density)[1] <= 12


def test_an_empty_conversation_fits() -> None:
    assert run([], 0)[0].messages == ()


messages = st.builds(
    say, st.sampled_from(["system", "user", "assistant", "tool", "developer"]), st.text("ab", max_size=9)
)


@given(st.lists(messages, max_size=40), st.integers(0, 200))
def test_as_much_as_fits_is_kept_and_nothing_is_lost_unsaid(conversation: list[Message], n_most: int) -> None:
    fitted, _ = run(conversation, n_most)

    turns = split_turns(conversation)
    assert sorted(map(repr, fitted.messages + fitted.dropped)) == sorted(map(repr, conversation))
    assert [m for m in conversation if is_system(m)] == [m for m in fitted.messages if is_system(m)]
    assert fitted.n_prompt == count(fitted.messages)
    assert fitted.n_prompt <= n_most or len(turns) <= 1 or fitted.dropped == tuple(m for t in turns[:-1] for m in t)
    if fitted.dropped:  # one turn more would have been too much
        n_dropped = next(n for n in range(len(turns) + 1) if sum(map(len, turns[:n])) >= len(fitted.dropped))
        assert fitted.n_prompt + count(turns[n_dropped - 1]) > n_most
