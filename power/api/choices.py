"""Several answers to one request on `/v1`: how many are generated, and which are given.

`n` is how many are given to each prompt; `best_of`, if it is more, how many are
generated, of which those are given that the model itself found likeliest, token
by token, as OpenAI has it.  No two of a prompt's draw the same.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from power.api.answer import Answer
from power.api.openai_bodies import Body, CompletionBody
from power.errors import BadRequest
from power.generate import Generation

MAX_ANSWERS = 64  # of one request


def answers_to(prompts: list[Generation], body: Body) -> list[Generation]:
    """All that is to be generated, one prompt after the other; raises BadRequest."""
    n = n_given(body)
    wanted = body.best_of if isinstance(body, CompletionBody) else None
    n_tried = n if wanted is None else wanted
    if n < 1:
        raise BadRequest("n must be at least 1", field="n")
    if n_tried < n:
        raise BadRequest("best_of must not be less than n", field="best_of")
    if n_tried * len(prompts) > MAX_ANSWERS:
        raise BadRequest(f"at most {MAX_ANSWERS} answers are given at a time", field="best_of" if n_tried > n else "n")
    if n_tried > n and body.stream:
        raise BadRequest("best_of must be n in a stream: which are best is known at the end", field="best_of")
    return [_another(prompt, index, is_ranked=n_tried > n) for prompt in prompts for index in range(n_tried)]


def n_given(body: Body) -> int:
    """Answers that each prompt is given."""
    return 1 if body.n is None else body.n


def best(answers: list[Answer], n_prompts: int, body: Body) -> list[Answer]:
    """Those that are given of all that were generated, the best of each prompt first."""
    n, n_tried = n_given(body), len(answers) // n_prompts
    if n_tried == n:
        return answers
    of_prompts = (answers[at : at + n_tried] for at in range(0, len(answers), n_tried))
    found = [answer for tried in of_prompts for answer in sorted(tried, key=_likelihood, reverse=True)[:n]]
    wants_probs = isinstance(body, CompletionBody) and body.logprobs is not None
    return found if wants_probs else [replace(answer, logprobs=(), content_logprobs=()) for answer in found]


def _likelihood(answer: Answer) -> float:
    """The mean log probability of its tokens."""
    if not answer.logprobs:
        return -math.inf
    return sum(item.logprob for item in answer.logprobs) / len(answer.logprobs)


def _another(prompt: Generation, index: int, *, is_ranked: bool) -> Generation:
    if is_ranked and prompt.n_probs is None:
        prompt = replace(prompt, n_probs=0)
    seed = prompt.options.get("seed")
    if not index or not isinstance(seed, int) or seed == -1:  # -1: a fresh one each time
        return prompt
    return replace(prompt, options=prompt.options | {"seed": seed + index})
