"""What happens to a prompt that is longer than its context.

Nearly all fit, so nothing is counted beforehand: the worker counts when it takes a
prompt in, and refuses one that is too long.  Only then a native request loses its
oldest turns (or a `context` its oldest tokens), which is told in the answer, in a
header, in the log and in a metric; any other is refused with both numbers.
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
from power.planning import Generation, Plan, conversation_of, replan, start_command
from power.prompt import Fitted, Fitting, fit
from power.sched import Mailbox, Use
from power.worker import wire

log = logging.getLogger(__name__)

# Of the context, left for the answer when turns are dropped anyway: it is not to end
# after a word, nor the very next turn to be too much again.
ROOM = 1 / 4


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
    n_ctx = min(plan.options.load.num_ctx or ready.n_ctx, ready.n_ctx)
    n_prompt = len(plan.context) + await _count(use, plan, n_ctx)
    if n_prompt < n_ctx:
        return plan
    error = PromptTooLong(n_prompt, n_ctx)
    if not request.truncate:
        raise error
    return await _shorten(use, plan, request, error)


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
    truncated = Truncated(n_prompt=error.n_prompt, n_ctx=error.n_ctx)
    if request.context:
        shorter = _without_old_tokens(plan, error.n_prompt - n_most, truncated)
    elif plan.template is None or request.suffix:
        raise error
    else:
        shorter = await _without_old_turns(use, plan, request, n_most, truncated)
    if shorter is None or shorter.truncated is None:
        raise error
    log.warning(
        "%s: a prompt of %d tokens does not fit a context of %d: %s left out",
        plan.stored.name, error.n_prompt, error.n_ctx, shorter.truncated,
    )  # fmt: skip
    return shorter


def _without_old_tokens(plan: Plan, n_over: int, truncated: Truncated) -> Plan | None:
    """The context's oldest tokens go, but for the `num_keep` first; the prompt itself stays."""
    n_keep = len(plan.context) if plan.options.num_keep < 0 else plan.options.num_keep
    kept, rest = plan.context[:n_keep], plan.context[n_keep:]
    if n_over > len(rest):
        return None
    truncated = msgspec.structs.replace(truncated, n_tokens=n_over)
    return msgspec.structs.replace(plan, context=kept + rest[n_over:], truncated=truncated)


async def _without_old_turns(
    use: Use, plan: Plan, request: Generation, n_most: int, truncated: Truncated
) -> Plan | None:
    plans: dict[int, Plan] = {}  # by the number of messages kept

    async def count(messages: tuple[Message, ...]) -> int:
        shorter = plans[len(messages)] = await trio.to_thread.run_sync(replan, plan, request, messages)
        return await _count(use, shorter, truncated.n_ctx)

    left = await _drive(fit(conversation_of(plan, request), truncated.n_prompt, n_most), count)
    if left.n_prompt >= truncated.n_ctx:
        raise PromptTooLong(left.n_prompt, truncated.n_ctx)
    if not left.dropped:
        return None
    truncated = msgspec.structs.replace(truncated, n_messages=len(left.dropped))
    return msgspec.structs.replace(plans[len(left.messages)], truncated=truncated)


async def _count(use: Use, plan: Plan, n_most: int) -> int:
    """Tokens of the plan's prompt; if there are many more than `n_most`, about how many."""
    answer = await use.model.ask(wire.Count(0, plan.prompt, n_most))
    assert isinstance(answer, wire.Counted)
    return answer.n_tokens


async def _drive(fitting: Fitting, count: Callable[[tuple[Message, ...]], Awaitable[int]]) -> Fitted:
    try:
        candidate = next(fitting)
        while True:
            candidate = fitting.send(await count(candidate))
    except StopIteration as end:
        left: Fitted = end.value
        return left
