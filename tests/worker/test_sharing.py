"""What prompts have in common is computed once, and nobody fails for want of memory: real workers, exact counts."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from power.options import Sampling
from power.worker.wire import Accepted, Done, Ready, Step
from tests.worker.harness import Answer, Worker, open_worker
from tests.worker.models import BOS, FIRST_BYTE, write_model, write_recurrent_model

Tokens = tuple[int, ...]

SHARED = 120  # tokens


@pytest.fixture(scope="module")
def large_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("large") / "large.gguf", n_ctx=8192)


def text(n: int, seed: int) -> Tokens:
    """So many tokens at random."""
    rng = Random(seed)
    return tuple(FIRST_BYTE + rng.randrange(32, 127) for _ in range(n))


def prompts(n: int) -> list[Tokens]:
    """Prompts that begin alike, and differ in their ends."""
    return [(BOS, *text(SHARED - 1, seed=1), *text(5 + i, seed=10 + i)) for i in range(n)]


def reason(answer: Answer) -> str:
    assert answer.done is not None
    return answer.done.reason


def n_computed(*answers: Answer) -> int:
    """Tokens of prompts that nobody had computed before."""
    return sum(answer.done.n_prompt - answer.done.n_cached for answer in answers if answer.done)


TIE = 0.05  # nats; how far apart the two likeliest tokens may be for rounding to decide between them


def assert_as_alone(path: Path, prompts: list[Tokens], answers: list[Answer], n_predict: int) -> None:
    """Each answer is what a worker says that has nothing else to do, as far as the model is sure of it.

    What a step computes beside others is rounded differently, so where two tokens
    are equally likely the answers may part.
    """
    with open_worker() as worker:
        worker.load(path)
        for prompt, answer in zip(prompts, answers, strict=True):
            expected = worker.answer(prompt, n_predict=n_predict, n_probs=2)
            logprobs = [logprob for piece in expected.pieces for logprob in piece.logprobs]
            for ours, theirs, logprob in zip(answer.tokens, expected.tokens, logprobs, strict=True):
                if ours != theirs:
                    assert logprob.top[0].logprob - logprob.top[1].logprob < TIE
                    break


def test_prompts_that_come_together_compute_what_they_share_once(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path, n_slots=8)
    ids = [fresh_worker.start(prompt, n_predict=8) for prompt in prompts(8)]
    answers = fresh_worker.collect(*ids)

    assert n_computed(*answers.values()) == SHARED + sum(len(prompt) - SHARED for prompt in prompts(8))
    assert_as_alone(model_path, prompts(8), [answers[id] for id in ids], n_predict=8)


def test_the_same_prompt_at_once_is_computed_once_but_for_its_last_token(
    fresh_worker: Worker, model_path: Path
) -> None:
    (prompt,) = prompts(1)
    fresh_worker.load(model_path, n_slots=4)
    ids = [fresh_worker.start(prompt, n_predict=20) for _ in range(4)]
    answers = fresh_worker.collect(*ids)

    assert n_computed(*answers.values()) == len(prompt) + 3
    assert len({answers[id].tokens for id in ids}) == 1


def test_followers_of_a_state_that_cannot_be_cut_wait_for_where_prompts_part(
    fresh_worker: Worker, tmp_path: Path
) -> None:
    path = write_recurrent_model(tmp_path / "state.gguf")
    fresh_worker.load(path, n_slots=4)
    ids = [fresh_worker.start(prompt, n_predict=20) for prompt in prompts(4)]
    answers = fresh_worker.collect(*ids)

    # The first may have passed that place before the second came; then the second computes it as well.
    assert n_computed(*answers.values()) <= 2 * SHARED + sum(len(prompt) - SHARED for prompt in prompts(4))
    assert_as_alone(path, prompts(4), [answers[id] for id in ids], n_predict=20)


def test_when_the_one_ahead_is_cancelled_a_follower_goes_on(fresh_worker: Worker, large_model: Path) -> None:
    shared = (BOS, *text(4000, seed=5))
    fresh_worker.load(large_model, n_ctx=8192, n_slots=3)
    first = fresh_worker.start(shared + text(5, seed=6), n_predict=5)
    fresh_worker.wait_for(Accepted, first)
    others = [fresh_worker.start(shared + text(5, seed=seed), n_predict=5) for seed in (7, 8)]
    fresh_worker.cancel(first)
    answers = fresh_worker.collect(first, *others)

    assert reason(answers[first]) == "cancel"
    assert [len(answers[id].tokens) for id in others] == [5, 5]
    assert n_computed(*(answers[id] for id in others)) <= len(shared) + 2 * 5


def test_branching_conversations_compute_hardly_more_than_a_tree_of_them_has(
    fresh_worker: Worker, large_model: Path
) -> None:
    """Fifty conversations under one system prompt go on, and fork, in any order."""
    fresh_worker.load(large_model, n_ctx=4096, n_slots=4)
    rng = Random(4)
    system = (BOS, *text(150, seed=0))
    talks = [system]
    seen: set[Tokens] = set()
    n_ideal = n_prefilled = 0
    for turn in range(150):
        talk = talks.pop(rng.randrange(len(talks))) if len(talks) >= 50 else rng.choice(talks)
        prompt = talk + text(rng.randrange(8, 40), seed=1000 + turn)
        answer = fresh_worker.answer(prompt, n_predict=rng.randrange(4, 24))
        whole = prompt + answer.tokens
        n_ideal += sum(prompt[:n] not in seen for n in range(1, len(prompt) + 1))
        n_prefilled += n_computed(answer)
        seen |= {whole[:n] for n in range(1, len(whole))}  # the last token was never decoded
        talks.append(whole)

    print(f"{n_prefilled} tokens computed, {n_ideal} at best: {n_prefilled / n_ideal:.3f}")
    assert n_prefilled <= 1.05 * n_ideal


def test_twice_as_much_as_the_memory_holds_is_all_answered_as_alone(fresh_worker: Worker, model_path: Path) -> None:
    wanted = [(BOS, *text(40, seed=seed)) for seed in range(6)]
    fresh_worker.load(model_path, n_slots=6, n_pool=512)
    ids = [fresh_worker.start(prompt, n_predict=150) for prompt in wanted]
    answers = fresh_worker.collect(*ids)

    assert sum(len(prompt) + 150 for prompt in wanted) > 2 * 512
    assert [reason(answers[id]) for id in ids] == ["length"] * 6
    assert_as_alone(model_path, wanted, [answers[id] for id in ids], n_predict=150)


def test_a_seed_s_draws_go_on_after_a_pause(fresh_worker: Worker, model_path: Path) -> None:
    """A bias makes the model sure of itself, so that nothing is left to rounding."""
    wild = Sampling(seed=3, temperature=1, top_k=0, logit_bias=tuple((FIRST_BYTE + 97 + i, 60.0) for i in range(2)))
    wanted = [(BOS, *text(40, seed=seed)) for seed in range(4)]
    fresh_worker.load(model_path, n_slots=4, n_pool=256)
    ids = [fresh_worker.start(prompt, n_predict=80, sampling=wild) for prompt in wanted]
    answers = fresh_worker.collect(*ids)

    assert [reason(answers[id]) for id in ids] == ["length"] * 4
    assert all(len(answers[id].text) == 80 and set(answers[id].text) <= {"a", "b"} for id in ids)


def test_a_sequence_that_pauses_follows_its_grammar_and_its_stop_strings(
    fresh_worker: Worker, model_path: Path
) -> None:
    grammar = 'root ::= ("ab" | "cd"){60} "end"'
    fresh_worker.load(model_path, n_slots=4, n_pool=256)
    wanted = [(BOS, *text(20, seed=seed)) for seed in range(4)]
    ids = [fresh_worker.start(prompt, n_predict=200, grammar=grammar, stop=("en",)) for prompt in wanted]
    answers = fresh_worker.collect(*ids)

    for id in ids:
        assert len(answers[id].text) == 120
        assert set(answers[id].text) <= set("abcd")
        assert reason(answers[id]) == "stop"


def test_a_sequence_that_waits_for_room_can_be_cancelled(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path, n_slots=2, n_pool=256)
    first = fresh_worker.start((BOS, *text(150, seed=1)), n_predict=90)
    fresh_worker.wait_for(Step)
    second = fresh_worker.start((BOS, *text(150, seed=2)), n_predict=5)
    fresh_worker.cancel(second)
    done = fresh_worker.wait_for(Done, second)
    answers = fresh_worker.collect(first)

    assert done.reason == "cancel"
    assert answers[first].ended


def test_one_sequence_may_use_all_of_the_pool_if_it_says_so(fresh_worker: Worker, large_model: Path) -> None:
    ready = fresh_worker.load(large_model, n_slots=4, n_ctx=256)
    unsaid = fresh_worker.answer((BOS, *text(20, seed=1)), n_predict=-1)
    said = fresh_worker.answer((BOS, *text(20, seed=1)), n_predict=-1, n_ctx=700)

    assert isinstance(ready, Ready)
    assert (ready.n_ctx, ready.n_ctx_pool) == (256, 1024)
    assert [len(answer.tokens) + 21 for answer in (unsaid, said)] == [256, 700]


def test_more_than_the_pool_is_refused_with_the_numbers(fresh_worker: Worker, large_model: Path) -> None:
    fresh_worker.load(large_model, n_slots=4, n_ctx=256)
    refused = fresh_worker.answer((BOS, *text(2000, seed=1)), n_ctx=4096).refused

    assert refused is not None
    assert (refused.kind, refused.n_prompt, refused.n_ctx) == ("too-long", 2001, 1024)
