"""A conversation that is too long loses its oldest turns, and says so."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from power.messages import Message
from power.prompt import fit
from power.prompt.fit import is_system, split_turns


def say(role: str, content: str = "x") -> Message:
    return Message(role=role, content=content)


def count(messages: Sequence[Message]) -> int:
    return sum(len(message.content) for message in messages)


CONVERSATION = [
    say("system", "s" * 5),
    say("user", "1" * 10), say("assistant", "1" * 10), say("tool", "1" * 10), say("assistant", "1" * 10),
    say("user", "2" * 10), say("assistant", "2" * 10),
    say("system", "t" * 5),
    say("user", "3" * 10),
]  # fmt: skip


def test_what_fits_is_left_alone() -> None:
    fitted = fit(CONVERSATION, count, 80)

    assert (fitted.messages, fitted.dropped, fitted.n_prompt) == (tuple(CONVERSATION), (), 80)
    assert fitted.is_whole


def test_whole_turns_go_oldest_first() -> None:
    fitted = fit(CONVERSATION, count, 79)

    assert fitted.dropped == tuple(CONVERSATION[1:5])
    assert fitted.messages == (CONVERSATION[0], *CONVERSATION[5:])
    assert fitted.n_prompt == 40


def test_systems_and_the_last_turn_stay_even_if_they_do_not_fit() -> None:
    fitted = fit(CONVERSATION, count, 3)

    assert fitted.messages == (CONVERSATION[0], CONVERSATION[7], CONVERSATION[8])
    assert fitted.n_prompt == 20


def test_tokens_are_counted_a_few_times_only() -> None:
    counted = 0
    conversation = [say("user") if n % 2 == 0 else say("assistant") for n in range(1001)]

    def counting(messages: Sequence[Message]) -> int:
        nonlocal counted
        counted += 1
        return count(messages)

    assert len(fit(conversation, counting, 100).messages) == 99
    assert counted < 12


def test_an_empty_conversation_fits() -> None:
    assert fit([], count, 0).messages == ()


messages = st.builds(
    say, st.sampled_from(["system", "user", "assistant", "tool", "developer"]), st.text("ab", max_size=9)
)


@given(st.lists(messages, max_size=12), st.integers(0, 60))
def test_as_much_as_fits_is_kept_and_nothing_is_lost_unsaid(conversation: list[Message], n_ctx: int) -> None:
    fitted = fit(conversation, count, n_ctx)

    turns = split_turns(conversation)
    assert sorted(map(repr, fitted.messages + fitted.dropped)) == sorted(map(repr, conversation))
    assert [m for m in conversation if is_system(m)] == [m for m in fitted.messages if is_system(m)]
    assert fitted.n_prompt == count(fitted.messages)
    assert fitted.n_prompt <= n_ctx or len(turns) <= 1 or fitted.dropped == tuple(m for t in turns[:-1] for m in t)
    if fitted.dropped:  # one turn more would have been too much
        n_dropped = next(n for n in range(len(turns) + 1) if sum(map(len, turns[:n])) >= len(fitted.dropped))
        assert fitted.n_prompt + count(turns[n_dropped - 1]) > n_ctx
