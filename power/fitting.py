"""What happens to a prompt that is longer than its context.

Nearly all fit, so nothing is counted beforehand: the worker counts when it takes a
prompt in, and refuses one that is too long.  Only then a native request loses its
oldest turns (or a `context` its oldest tokens), and what is still too long then a piece
of its middle, as in Ollama: which is told in the answer, in a header, in the log and in
a metric.  Any other is refused with both numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import msgspec
import trio

from power.errors import PromptTooLong
from power.events import Truncated
from power.messages import Message
from power.planning import Generation, Plan, conversation_of, replan, shifts, start_command
from power.prompt import Fitted, Fitting, fit
from power.sched import Mailbox, Use
from power.worker import wire

log = logging.getLogger(__name__)

# Of the context, left for the answer when turns are dropped anyway: it is not to end
# after a word, nor the very next turn to be too much again.
ROOM = 1 / 4
# Characters, for each token that there is room for, that are read of the beginning and of the end of a text that
# loses its middle; ordinary tokens are shorter. Less than MIN_READ is read whole.
LONG_TOKEN = 8
MIN_READ = 64 * 1024


async def begin(
    stack: AsyncExitStack, use: Use, plan: Plan, request: Generation
) -> tuple[Plan, Mailbox, wire.Accepted]:
    """A slot, on `stack`, for the plan's prompt, or for as much of it as fits. Returns the plan that was begun.

    Raises:
        PromptTooLong: it does not fit, and must not or cannot be made to.
        PowerError: whatever else forbids the generation.
    """
    again = use.another()
    stack.callback(again.release)
    try:
        begun = await _enter(stack, use, plan, request)
    except PromptTooLong as error:
        if not request.truncate:
            raise
        plan = await _shorten(again, plan, request, error)
        begun = await _enter(stack, again, plan, request)
    else:
        again.release()
    return plan, *begun


async def fitted(use: Use, plan: Plan, request: Generation) -> Plan:
    """The plan that `begin` would come to, though nothing is generated.

    Raises:
        PromptTooLong: it does not fit, and must not or cannot be made to.
    """
    ready = await use.model.wait_ready()
    n_ctx = min(plan.options.load.num_ctx or ready.n_ctx, ready.n_ctx_max)
    n_prompt = len(plan.context) + await _count(use, plan, n_ctx)
    if n_prompt < n_ctx:
        return plan
    error = PromptTooLong(n_prompt, n_ctx)
    if not request.truncate:
        raise error
    shorter = await _shorten(use, plan, request, error)
    if not shorter.tokens:
        return shorter
    answer = await use.model.ask(wire.Detokenize(0, shorter.tokens, special=True))
    assert isinstance(answer, wire.Detokenized)
    return msgspec.structs.replace(shorter, prompt=answer.text)


async def _enter(stack: AsyncExitStack, use: Use, plan: Plan, request: Generation) -> tuple[Mailbox, wire.Accepted]:
    mailbox = await stack.enter_async_context(use.generate(start_command(plan, request)))
    accepted = await mailbox.get()
    assert isinstance(accepted, wire.Accepted)
    return mailbox, accepted


async def _shorten(use: Use, plan: Plan, request: Generation, error: PromptTooLong) -> Plan:
    """A plan that fits; raises PromptTooLong if there is none."""
    n_predict = plan.options.num_predict
    room = int(error.n_ctx * ROOM)
    n_most = error.n_ctx - max(1, min(room, n_predict) if n_predict > 0 else room)
    plan = msgspec.structs.replace(plan, truncated=Truncated(n_prompt=error.n_prompt, n_ctx=error.n_ctx))
    if request.context:
        shorter, n_prompt = _without_old_tokens(plan, error.n_prompt, n_most)
    elif plan.template is None or request.suffix:
        shorter, n_prompt = plan, error.n_prompt
    else:
        shorter, n_prompt = await _without_old_turns(use, plan, request, n_most)
    if n_prompt >= error.n_ctx:
        if not _may_be_cut(plan, request):
            raise PromptTooLong(n_prompt, error.n_ctx)
        shorter = await _without_middle(use, shorter)
    log.warning(
        "%s: a prompt of %d tokens does not fit a context of %d: %s left out",
        plan.stored.name, error.n_prompt, error.n_ctx, shorter.truncated,
    )  # fmt: skip
    return shorter


def _without_old_tokens(plan: Plan, n_prompt: int, n_most: int) -> tuple[Plan, int]:
    """The context's oldest tokens go, but for the `num_keep` first; the prompt itself stays. How many are left."""
    n_keep = len(plan.context) if plan.options.num_keep < 0 else plan.options.num_keep
    kept, rest = plan.context[:n_keep], plan.context[n_keep:]
    n_over = n_prompt - n_most
    if n_over > len(rest):
        return plan, n_prompt
    shorter = msgspec.structs.replace(plan, context=kept + rest[n_over:])
    return _leaving_out(shorter, n_tokens=n_over), n_most


async def _without_old_turns(use: Use, plan: Plan, request: Generation, n_most: int) -> tuple[Plan, int]:
    """The oldest turns go, up to the last. How many tokens are left."""
    assert plan.truncated is not None
    n_prompt, n_ctx = plan.truncated.n_prompt, plan.truncated.n_ctx
    plans: dict[int, Plan] = {}  # by the number of messages kept

    async def count(messages: tuple[Message, ...]) -> int:
        shorter = plans[len(messages)] = await trio.to_thread.run_sync(replan, plan, request, messages)
        return await _count(use, shorter, n_ctx)

    left = await _drive(fit(conversation_of(plan, request), n_prompt, n_most), count)
    if not left.dropped:
        return plan, left.n_prompt
    return _leaving_out(plans[len(left.messages)], n_messages=len(left.dropped)), left.n_prompt


def _may_be_cut(plan: Plan, request: Generation) -> bool:
    """Whether the prompt may lose some of its middle: a text to fill into says nothing then, and nor does an image."""
    images = request.images or any(message.images for message in request.messages or ())
    return shifts(plan, request) and not (request.suffix or images)


async def _without_middle(use: Use, plan: Plan) -> Plan:
    """The first tokens of the prompt, `num_keep` behind the vocabulary's own, and its last: Ollama's rule.

    Half of what is not kept is left free for the answer.
    """
    assert plan.truncated is not None
    n_ctx, n_keep = plan.truncated.n_ctx, plan.options.num_keep
    n_read = max(MIN_READ, LONG_TOKEN * n_ctx)
    halves = [plan.prompt] if len(plan.prompt) <= 2 * n_read else [plan.prompt[:n_read], plan.prompt[-n_read:]]
    bare = [await _tokens(use, half, special=False) for half in halves]
    bos = _before(await _tokens(use, "a", special=True), await _tokens(use, "a", special=False))
    if plan.context or bare[0][: len(bos)] == bos:  # some templates write it themselves
        bos = ()
    first, last = (*bos, *plan.context, *bare[0]), (*bos, *plan.context, *bare[-1])
    n_first = n_ctx - 1 if n_keep < 0 else min(len(bos) + n_keep, n_ctx - 1)
    n_last = n_ctx - max((n_ctx - n_first) // 2, 1) - n_first
    cut = first[:n_first] + last[len(last) - n_last :]
    # Of a text that is not read whole it is known about how many tokens it has.
    n_whole = len(first) if len(halves) == 1 else plan.truncated.n_prompt
    return _leaving_out(
        msgspec.structs.replace(plan, tokens=cut), n_tokens=plan.truncated.n_tokens + n_whole - len(cut)
    )


def _before(around: tuple[int, ...], bare: tuple[int, ...]) -> tuple[int, ...]:
    """What the vocabulary puts in front of a text."""
    return around[: around.index(bare[0])] if bare and bare[0] in around else ()


def _leaving_out(plan: Plan, **counts: int) -> Plan:
    assert plan.truncated is not None
    return msgspec.structs.replace(plan, truncated=msgspec.structs.replace(plan.truncated, **counts))


async def _count(use: Use, plan: Plan, n_most: int) -> int:
    """Tokens of the plan's prompt; if there are many more than `n_most`, about how many."""
    answer = await use.model.ask(wire.Count(0, plan.prompt, n_most))
    assert isinstance(answer, wire.Counted)
    return answer.n_tokens


async def _tokens(use: Use, text: str, *, special: bool) -> tuple[int, ...]:
    answer = await use.model.ask(wire.Tokenize(0, text, add_special=special))
    assert isinstance(answer, wire.Tokenized)
    return answer.tokens


async def _drive(fitting: Fitting, count: Callable[[tuple[Message, ...]], Awaitable[int]]) -> Fitted:
    try:
        candidate = next(fitting)
        while True:
            candidate = fitting.send(await count(candidate))
    except StopIteration as end:
        left: Fitted = end.value
        return left
