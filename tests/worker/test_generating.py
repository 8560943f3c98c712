"""A real worker process with a real model, over a real socket: what it answers."""

from __future__ import annotations

import codecs
import math
from typing import Any

import pytest

from power.grammar import parse_gbnf
from power.options import Sampling
from power.worker.wire import Tokenize, Tokenized
from tests.worker.harness import GREEDY, Answer, Worker
from tests.worker.models import BOS, EOS, FIRST_BYTE

PROMPT = "the other thing that he ate"


def token(byte: str) -> int:
    return FIRST_BYTE + ord(byte)


def test_an_answer_comes_in_order_and_ends(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=12)

    assert answer.accepted is not None
    assert answer.done is not None
    assert (answer.done.reason, answer.done.n_generated) == ("length", 12)
    assert len(answer.tokens) == 12
    assert answer.done.n_prompt == answer.accepted.n_prompt
    assert answer.done.prefill_ns > 0
    assert answer.done.decode_ns > 0


def test_the_prompt_s_tokens_are_told_when_wanted(worker: Worker) -> None:
    accepted = worker.answer("ab", n_predict=1, want_tokens=True).accepted

    assert accepted is not None
    assert accepted.tokens[0] == BOS
    assert len(accepted.tokens) == accepted.n_prompt


def test_the_same_seed_gives_the_same_text_and_another_one_another(worker: Worker) -> None:
    one, again, other = (
        worker.answer(PROMPT, sampling=Sampling(seed=seed, temperature=2, top_k=0, top_p=1), n_predict=24).tokens
        for seed in (7, 7, 8)
    )

    assert one == again
    assert one != other


def test_without_a_seed_every_answer_is_another(worker: Worker) -> None:
    wild = Sampling(temperature=2, top_k=0, top_p=1)

    assert worker.answer(PROMPT, sampling=wild).tokens != worker.answer(PROMPT, sampling=wild).tokens


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(seed=1),
        Sampling(seed=1, top_k=3, typical_p=0.9, min_p=0.01),
        Sampling(seed=1, repeat_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.5, repeat_last_n=-1),
        Sampling(seed=1, repeat_penalty=1.3, penalize_newline=False),
        Sampling(seed=1, mirostat=1),
        Sampling(seed=1, mirostat=2),
        Sampling(seed=2**63, temperature=0.01),
        Sampling(temperature=0, repeat_penalty=2.0, repeat_last_n=3),
    ],
)
def test_every_way_of_sampling_is_reproducible(worker: Worker, sampling: Sampling) -> None:
    one, again = (worker.answer(PROMPT, sampling=sampling, n_predict=20) for _ in range(2))

    assert len(one.tokens) == 20
    assert one.tokens == again.tokens


def test_temperature_zero_takes_the_likeliest_token(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=12, n_probs=2)
    logprobs = [logprob for piece in answer.pieces for logprob in piece.logprobs]

    assert len(logprobs) == 12
    assert all(one.bytes == one.top[0].bytes and one.logprob == one.top[0].logprob for one in logprobs)


def test_top_k_one_in_llama_cpp_is_our_argmax(worker: Worker) -> None:
    greedy = worker.answer(PROMPT, n_predict=30)
    drawn = worker.answer(PROMPT, n_predict=30, sampling=Sampling(seed=1, top_k=1))

    assert drawn.tokens == greedy.tokens


def test_penalties_keep_a_sequence_from_repeating_itself(worker: Worker) -> None:
    never_again = Sampling(temperature=0, presence_penalty=100, repeat_last_n=-1)
    tokens = worker.answer(PROMPT, n_predict=40, sampling=never_again).tokens

    assert len(set(tokens)) == 40


def test_penalties_see_the_prompt(worker: Worker) -> None:
    first = worker.answer(PROMPT, n_predict=1).tokens
    prompt = (BOS, *first, *first)
    free = worker.answer(prompt, n_predict=30, sampling=Sampling(temperature=0)).tokens
    avoided = Sampling(temperature=0, presence_penalty=100, repeat_last_n=-1)

    assert first[0] not in worker.answer(prompt, n_predict=30, sampling=avoided).tokens
    assert len(free) == 30


def test_a_bias_makes_a_token_certain_and_another_impossible(worker: Worker) -> None:
    certain = Sampling(seed=1, logit_bias=((token("A"), 100.0),))
    natural = worker.answer(PROMPT, n_predict=1).tokens[0]
    never = Sampling(temperature=0, logit_bias=((natural, -math.inf),))

    assert worker.answer(PROMPT, n_predict=5, sampling=certain).text == "AAAAA"
    assert worker.answer(PROMPT, n_predict=1, sampling=never).tokens[0] != natural


def test_a_bias_on_a_text_goes_to_its_tokens(worker: Worker) -> None:
    tokens = worker.answer(PROMPT, n_predict=8, sampling=Sampling(seed=1, logit_bias=(("\n", 100.0),))).text

    assert set(tokens) <= {"\n", " "}


def test_a_bias_outside_the_vocabulary_is_refused_by_name(worker: Worker) -> None:
    refused = worker.answer(PROMPT, sampling=Sampling(logit_bias=((100_000, 1.0),))).refused

    assert refused is not None
    assert (refused.kind, refused.field) == ("bad-request", "options.logit_bias")


def test_a_grammar_is_followed_to_its_end(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=50, sampling=Sampling(seed=5), grammar='root ::= ("yes" | "no") "!" [0-9]')

    assert answer.done is not None
    assert answer.done.reason == "stop"
    assert answer.text[:-1] in ("yes!", "no!")
    assert answer.text[-1].isdigit()


@pytest.mark.parametrize(
    "sampling", [GREEDY, Sampling(seed=3), Sampling(seed=3, top_k=0), Sampling(seed=3, mirostat=2)]
)
def test_a_grammar_holds_whatever_the_sampling(worker: Worker, sampling: Sampling) -> None:
    text = worker.answer(PROMPT, n_predict=30, sampling=sampling, grammar="root ::= [a-f]+").text

    assert len(text) == 30
    assert set(text) <= set("abcdef")


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0, repeat_penalty=1.5)])
def test_what_is_forced_is_taken_at_once_and_changes_nothing(worker: Worker, sampling: Sampling) -> None:
    """Digits are a token each, so that there is one spelling only."""
    grammar = 'root ::= "0123456789"{3} [p-s]{8} "9876" [0-9]{0,20}'
    settings: dict[str, Any] = {"sampling": sampling, "n_predict": 60, "grammar": grammar}
    slow = worker.answer(PROMPT, **settings)
    fast = worker.answer(PROMPT, **settings, rules=parse_gbnf(grammar).rules)

    assert len(fast.text) > 42
    assert (fast.text, fast.tokens) == (slow.text, slow.tokens)
    assert max(len(piece.tokens) for piece in fast.pieces) == 30
    assert max(len(piece.tokens) for piece in slow.pieces) == 1


def test_forced_tokens_count_and_stop_like_others(worker: Worker) -> None:
    grammar = 'root ::= "0123456789"{3}'
    rules = parse_gbnf(grammar).rules
    short = worker.answer(PROMPT, n_predict=7, grammar=grammar, rules=rules)
    stopped = worker.answer(PROMPT, n_predict=70, grammar=grammar, rules=rules, stop=("567",))

    assert short.done is not None
    assert (short.text, short.done.reason, short.done.n_generated) == ("0123456", "length", 7)
    assert stopped.done is not None
    assert (stopped.text, stopped.done.reason) == ("01234", "stop")


def test_where_every_token_is_to_be_described_nothing_is_taken_unseen(worker: Worker) -> None:
    grammar = 'root ::= "0123456789"'
    answer = worker.answer(PROMPT, n_predict=70, grammar=grammar, rules=parse_gbnf(grammar).rules, n_probs=2)

    assert answer.text == "0123456789"
    assert [len(piece.logprobs) for piece in answer.pieces] == [1] * 10


@pytest.mark.parametrize("grammar", ["root ::= (", "no root here", 'other ::= "x"', " "])
def test_a_broken_grammar_is_refused_by_name(worker: Worker, grammar: str) -> None:
    refused = worker.answer(PROMPT, grammar=grammar).refused

    assert refused is not None
    assert (refused.kind, refused.field) == ("bad-request", "format")


def test_logprobs_are_of_one_distribution_and_in_order(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=6, n_probs=269, sampling=Sampling(seed=1, temperature=1.5))
    logprobs = [logprob for piece in answer.pieces for logprob in piece.logprobs]

    assert len(logprobs) == 6
    for one in logprobs:
        values = [top.logprob for top in one.top]
        assert values == sorted(values, reverse=True)
        assert math.fsum(map(math.exp, values)) == pytest.approx(1, abs=1e-4)
        assert (one.bytes, one.logprob) in [(top.bytes, top.logprob) for top in one.top]


def test_logprobs_without_alternatives(worker: Worker) -> None:
    (piece,) = worker.answer(PROMPT, n_predict=1, n_probs=0).pieces

    assert [logprob.top for logprob in piece.logprobs] == [()]


def test_text_is_utf8_over_token_borders(worker: Worker) -> None:
    bias = tuple((FIRST_BYTE + byte, 30.0) for byte in "é日🐈".encode())
    answer = worker.answer(PROMPT, n_predict=60, sampling=Sampling(seed=11, temperature=5, top_k=0, logit_bias=bias))
    data = bytes(token - FIRST_BYTE for token in answer.tokens)

    assert answer.text == data.decode(errors="replace")
    assert len({piece.text for piece in answer.pieces}) > 2


def test_half_a_character_is_not_sent_before_its_other_half(worker: Worker) -> None:
    grammar = 'root ::= "日本🐈"'
    answer = worker.answer(PROMPT, n_predict=20, grammar=grammar)

    assert answer.text == "日本🐈"
    assert [piece.text for piece in answer.pieces if piece.text] == ["日", "本", "🐈"]


def test_an_answer_cut_in_a_character_ends_with_one_replacement(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=5, grammar='root ::= "日🐈"')

    assert answer.text == "日\ufffd"


def test_a_stop_string_over_several_tokens_ends_the_answer_before_it(worker: Worker) -> None:
    answer = worker.answer(PROMPT, grammar='root ::= "one two three"', stop=("o th", "zzz"), n_predict=50)

    assert answer.text == "one tw"
    assert answer.done is not None
    assert answer.done.reason == "stop"


def test_what_only_looked_like_a_stop_string_is_sent(worker: Worker) -> None:
    answer = worker.answer(PROMPT, grammar='root ::= "one two"', stop=("two three",), n_predict=50)

    assert answer.text == "one two"


def test_a_stop_string_that_ends_with_the_answer_is_cut_off(worker: Worker) -> None:
    answer = worker.answer(PROMPT, grammar='root ::= "one two"', stop=("wo", "wo three"), n_predict=50)

    assert answer.text == "one t"


def test_the_end_token_ends_the_answer_and_is_not_counted(worker: Worker) -> None:
    answer = worker.answer(PROMPT, sampling=Sampling(temperature=0, logit_bias=((EOS, 100.0),)))

    assert answer.done is not None
    assert (answer.done.reason, answer.done.n_generated, answer.text, answer.tokens) == ("stop", 0, "", ())


def test_nothing_is_generated_when_nothing_is_wanted(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=0)

    assert answer.done is not None
    assert (answer.done.reason, answer.done.n_generated, answer.pieces) == ("length", 0, [])


def test_one_token(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=1)

    assert answer.done is not None
    assert (answer.done.reason, answer.done.n_generated, len(answer.tokens)) == ("length", 1, 1)


def test_an_answer_without_limit_ends_where_its_context_ends(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=-1, n_ctx=64)

    assert answer.done is not None
    assert answer.done.reason == "length"
    assert answer.done.n_prompt + answer.done.n_generated == 64


def test_a_prompt_too_long_is_refused_with_the_numbers(worker: Worker) -> None:
    refused = worker.answer("x" * 40, n_ctx=20).refused

    assert refused is not None
    assert (refused.kind, refused.n_prompt, refused.n_ctx) == ("too-long", 42, 20)


def test_a_prompt_that_leaves_room_for_one_token_is_not(worker: Worker) -> None:
    answer = worker.answer((BOS, *[token("x")] * 18), n_ctx=20, n_predict=-1)

    assert answer.done is not None
    assert answer.done.n_generated == 1


def test_no_sequence_gets_more_context_than_the_model_was_trained_for(worker: Worker) -> None:
    # 512 tokens, as `write_model` has it; 256 were loaded for each slot, but the pool of all four holds more.
    allowed, refused = worker.answer((BOS,) * 400, n_ctx=100_000), worker.answer((BOS,) * 600, n_ctx=100_000).refused

    assert allowed.refused is None
    assert refused is not None
    assert refused.n_ctx == 512


def test_tokens_outside_the_vocabulary_are_refused_by_name(worker: Worker) -> None:
    refused = worker.answer((1, 269)).refused

    assert refused is not None
    assert (refused.kind, refused.field) == ("bad-request", "context")


def test_an_empty_prompt_is_the_bos_token(worker: Worker) -> None:
    accepted = worker.answer("", n_predict=1, want_tokens=True).accepted

    assert accepted is not None
    assert accepted.tokens == (BOS,)


def test_a_prompt_may_mix_text_and_tokens_and_bos_is_never_doubled(worker: Worker) -> None:
    accepted = worker.answer((BOS, token("a")), "<s>", n_predict=1, want_tokens=True).accepted
    written = worker.answer("<s>", n_predict=1, want_tokens=True).accepted

    assert accepted is not None
    assert written is not None
    assert accepted.tokens == (BOS, token("a"), BOS)
    assert written.tokens == (BOS,)


def test_tokenizing_between_answers(worker: Worker) -> None:
    worker.send(Tokenize(900, "a\nb"), Tokenize(901, "a\nb", add_special=False))
    with_bos, without = worker.wait_for(Tokenized), worker.wait_for(Tokenized)

    assert (with_bos.id, with_bos.tokens) == (900, (BOS, *without.tokens))
    assert without.tokens


def test_streamed_pieces_are_the_text_of_their_tokens(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_predict=40, sampling=Sampling(seed=4, temperature=3, top_k=0))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    tokens = [token for piece in answer.pieces for token in piece.tokens]

    assert len(tokens) == 40
    if all(FIRST_BYTE <= token < FIRST_BYTE + 256 for token in tokens):
        assert answer.text == decoder.decode(bytes(token - FIRST_BYTE for token in tokens), final=True)


def answers_alone(worker: Worker, prompts: list[str]) -> list[tuple[int, ...]]:
    return [worker.answer(prompt, n_predict=24).tokens for prompt in prompts]


def test_sequences_together_answer_what_they_answer_alone(worker: Worker) -> None:
    prompts = [f"{PROMPT} number {i}" for i in range(8)]
    alone = answers_alone(worker, prompts)
    answers: list[Answer] = []
    for four in (prompts[:4], prompts[4:]):
        ids = [worker.start(prompt, n_predict=24) for prompt in four]
        answers += worker.collect(*ids).values()

    assert [answer.tokens for answer in answers] == alone
