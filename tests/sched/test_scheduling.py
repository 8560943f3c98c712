"""The tree of models over workers that compute nothing; time is exact and free."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from power.claim import ANYBODY, Claim
from power.errors import BadRequest, LoadFailed, Overloaded, PowerError, ReaderTooSlow, WorkerDied
from power.events import Loading, Progress, Queued
from power.options import LoadOptions
from power.sched import Mailbox, Models, Watch
from power.sched import scheduler as scheduler_module
from power.worker.wire import Accepted, Done, Piece

from .conftest import start, stored
from .fake import Script

Open = Callable[..., AbstractAsyncContextManager[Models]]
ANY = LoadOptions()


async def read(mailbox: Mailbox) -> str:
    """All of a generation's text."""
    text = ""
    while True:
        match await mailbox.get():
            case Piece() as piece:
                text += piece.text
            case Done():
                return text
            case Accepted():
                pass


async def ask(models: Models, name: str = "m", n_predict: int = 3, claim: Claim = ANYBODY, **load: Any) -> str:
    async with (
        models.acquire(stored(name), LoadOptions(**load), claim=claim) as use,
        use.generate(start(n_predict)) as mailbox,
    ):
        return await read(mailbox)


async def test_a_request_loads_its_model_and_is_answered(autojump_clock: MockClock, models: Open) -> None:
    async with models() as m:
        assert await ask(m) == "1 2 3 "


async def test_requests_for_one_model_share_one_load(autojump_clock: MockClock, models: Open, script: Script) -> None:
    async with models() as m, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask, m)

    assert script.n_launched == 1
    assert script.max_running == 3


async def test_a_request_waits_for_a_slot_and_then_gets_it(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    async with models(num_parallel=2) as m, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask, m)

    assert script.max_running == 2
    assert len(script.started) == 5
    assert script.started == sorted(script.started)


async def test_a_watch_sees_the_model_load_and_the_queue_move(autojump_clock: MockClock, models: Open) -> None:
    watch = Watch()

    async def watched() -> None:
        async with models_.acquire(stored("m"), ANY, watch=watch) as use, use.generate(start(3)) as mailbox:
            await read(mailbox)

    async with models(num_parallel=1) as models_, trio.open_nursery() as nursery:
        assert watch.look() is None
        for _ in range(2):
            nursery.start_soon(ask, models_)
            await trio.sleep(0.05)
        nursery.start_soon(watched)
        await trio.sleep(0.3)
        early = watch.look()
        looks = []
        for _ in range(10):
            await trio.sleep(1)
            looks.append(watch.look())

    assert isinstance(early, Loading)
    assert looks[0] == Queued(2)
    assert [look for look in looks if isinstance(look, Queued)][-1] == Queued(1)
    assert looks[-1] is None


async def test_a_full_queue_refuses_and_says_when_to_come_back(autojump_clock: MockClock, models: Open) -> None:
    async with models(num_parallel=1, max_queue=2) as m, trio.open_nursery() as nursery:
        await ask(m)
        for _ in range(3):
            nursery.start_soon(ask, m)
        await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(Overloaded, match="server busy") as caught:
            await ask(m)

    assert caught.value.retry_after >= 1


async def test_one_client_with_many_requests_does_not_keep_another_waiting(
    autojump_clock: MockClock, models: Open
) -> None:
    async with models(num_parallel=1) as m, trio.open_nursery() as nursery:
        await ask(m)
        for _ in range(200):
            nursery.start_soon(ask, m, "m", 3, Claim(client="greedy"))
        await trio.sleep(10)
        begun = trio.current_time()

        await ask(m, claim=Claim(client="modest"))

        # At most what is being answered, and one more; 200 requests take 600 seconds.
        assert trio.current_time() - begun < 15
        nursery.cancel_scope.cancel()


async def test_a_client_that_fills_the_queue_does_not_shut_others_out(autojump_clock: MockClock, models: Open) -> None:
    outcomes: list[str] = []

    async def greedy() -> None:
        try:
            outcomes.append(await ask(m, claim=Claim(client="greedy")))
        except Overloaded as error:
            outcomes.append(error.reason)

    async with models(num_parallel=1, max_queue=5) as m, trio.open_nursery() as nursery:
        await ask(m)
        for _ in range(6):
            nursery.start_soon(greedy)
        await trio.testing.wait_all_tasks_blocked()

        assert await ask(m, claim=Claim(client="modest")) == "1 2 3 "

    assert outcomes.count("pushed-out") == 1
    assert outcomes.count("1 2 3 ") == 5


async def test_a_request_waits_no_longer_than_it_says(autojump_clock: MockClock, models: Open, script: Script) -> None:
    async with models(num_parallel=1) as m, trio.open_nursery() as nursery:
        await ask(m)
        nursery.start_soon(ask, m, "m", 50)
        await trio.testing.wait_all_tasks_blocked()
        begun = trio.current_time()

        with pytest.raises(Overloaded, match="in its queue, 0 before it") as caught:
            await ask(m, claim=Claim(max_queue_seconds=7))

        assert trio.current_time() - begun == 7
        assert caught.value.reason == "deadline"
        assert caught.value.retry_after >= 1
        # Whoever sits in time is not held to it.
        await ask(m, n_predict=20, claim=Claim(max_queue_seconds=60))
    assert len(script.started) == 3


async def test_waiting_for_a_model_to_come_in_counts_too(autojump_clock: MockClock, models: Open) -> None:
    async with models(max_loaded_models=1, max_queue_seconds=7) as m, trio.open_nursery() as nursery:
        nursery.start_soon(ask, m, "a", 50)
        await trio.sleep(5)

        with pytest.raises(Overloaded, match="no room for model 'b' in time") as caught:
            await ask(m, "b")

        assert caught.value.reason == "deadline"


async def test_hanging_up_while_queued_frees_the_place(autojump_clock: MockClock, models: Open, script: Script) -> None:
    async with models(num_parallel=1) as m, trio.open_nursery() as nursery:
        nursery.start_soon(ask, m, "m", 10)
        await trio.sleep(2)
        with trio.move_on_after(1):
            await ask(m)
        nursery.start_soon(ask, m)

    assert len(script.started) == 2


async def test_hanging_up_while_decoding_gives_the_slot_to_the_next_one(
    autojump_clock: MockClock, models: Open
) -> None:
    async with models(num_parallel=1) as m:
        await ask(m)
        with trio.move_on_after(5.5):
            await ask(m, n_predict=1000)
        begun = trio.current_time()

        await ask(m, n_predict=1)

        # One step to notice the cancellation, one to decode the token.
        assert trio.current_time() - begun <= 2.5


async def test_hanging_up_while_loading_leaves_no_user_behind(autojump_clock: MockClock, models: Open) -> None:
    async with models(keep_alive=10) as m:
        with trio.move_on_after(0.5):
            await ask(m)
        await trio.sleep(20)

        assert m.running() == []
        assert m.loading() == []


async def test_who_hangs_up_while_it_loads_leaves_the_model_to_the_others(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    async with models() as m, trio.open_nursery() as nursery:
        nursery.start_soon(ask, m)
        await trio.sleep(0.1)
        with trio.move_on_after(0.5):
            await ask(m)
        await trio.sleep(10)

        assert script.n_launched == 1
        assert len(m.running()) == 1


async def test_models_come_in_in_the_order_they_were_asked_for(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    served: list[str] = []

    async def client(name: str) -> None:
        await ask(m, name)
        served.append(name)

    async with models(max_loaded_models=1) as m, trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(client, name)
            await trio.sleep(0.01)

    assert served == ["a", "b", "c", "d"]
    assert script.n_launched == 4


async def test_an_idle_model_leaves_after_keep_alive(autojump_clock: MockClock, models: Open) -> None:
    async with models(keep_alive=300) as m:
        await ask(m)
        await trio.sleep(299)
        assert len(m.running()) == 1

        await trio.sleep(2)

        assert m.running() == []


async def test_a_request_s_own_keep_alive_replaces_the_server_s(autojump_clock: MockClock, models: Open) -> None:
    async with models(keep_alive=10) as m:
        async with m.acquire(stored("m"), ANY, math.inf) as use, use.generate(start()) as mailbox:
            await read(mailbox)
        await trio.sleep(10**6)

        assert [model.expires_at for model in m.running()] == [None]


async def test_what_runs_is_told_with_its_size_and_what_of_it_is_on_gpus(
    autojump_clock: MockClock, models: Open
) -> None:
    async with models(context_length=512) as m:
        await ask(m)

        [running] = m.running()
        assert (running.size, running.size_vram) == (3_100_000, 2_000_000)
        assert running.context_length == 512
        assert running.n_users == 0


async def test_looking_at_what_runs_keeps_nothing_in_memory(autojump_clock: MockClock, models: Open) -> None:
    async with models(keep_alive=100) as m:
        await ask(m)
        for _ in range(9):
            await trio.sleep(10)
            expires = m.running()[0].expires_at
            assert expires is not None
        await trio.sleep(11)

        assert m.running() == []


async def test_a_model_in_use_outlives_its_keep_alive(autojump_clock: MockClock, models: Open) -> None:
    async with models(keep_alive=10) as m:
        assert len((await ask(m, n_predict=100)).split()) == 100


async def test_keep_alive_zero_unloads_at_the_end_of_the_request(autojump_clock: MockClock, models: Open) -> None:
    async with models() as m:
        async with m.acquire(stored("m"), ANY, 0.0) as use, use.generate(start()) as mailbox:
            await read(mailbox)
        await trio.testing.wait_all_tasks_blocked()

        assert m.running() == []


async def test_unloading_lets_a_running_answer_finish(autojump_clock: MockClock, models: Open) -> None:
    async with models() as m:
        async with m.acquire(stored("m"), ANY) as use, use.generate(start(20)) as mailbox:
            assert isinstance(await mailbox.get(), Accepted)
            assert m.unload(stored("m"))
            assert len((await read(mailbox)).split()) == 20
        await trio.testing.wait_all_tasks_blocked()

        assert m.running() == []
        assert not m.unload(stored("m"))


async def test_the_least_recently_used_idle_model_makes_room(autojump_clock: MockClock, models: Open) -> None:
    async with models(max_loaded_models=2) as m:
        for name in ("a", "b", "a", "c"):
            await ask(m, name)

        assert {str(model.model.name) for model in m.running()} == {"a", "c"}


async def test_a_busy_model_is_never_evicted(autojump_clock: MockClock, models: Open) -> None:
    async with models(max_loaded_models=1) as m, trio.open_nursery() as nursery:
        answers: list[str] = []

        async def long() -> None:
            answers.append(await ask(m, "a", n_predict=50))

        nursery.start_soon(long)
        await trio.sleep(5)
        await ask(m, "b")

        assert len(answers[0].split()) == 50


async def test_idle_models_make_room_in_memory_and_only_as_many_as_it_takes(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.host_bytes, script.takes = 10, {"a": 4, "b": 4, "c": 4, "d": 2}
    async with models() as m:
        for name in ("a", "b", "c", "d"):
            await ask(m, name)

        assert {str(model.model.name) for model in m.running()} == {"b", "c", "d"}


async def test_a_budget_counts_where_there_is_more_memory(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.takes = {"a": 4, "b": 4, "c": 4, "large": 9}
    async with models(memory_budget=8) as m:
        for name in ("a", "b", "c"):
            await ask(m, name)
        with pytest.raises(LoadFailed, match="9 bytes do not fit into 8"):
            await ask(m, "large")

        # Nobody had to go for what would not fit anyway.
        assert {str(model.model.name) for model in m.running()} == {"b", "c"}


async def test_memory_of_a_busy_model_is_waited_for(autojump_clock: MockClock, models: Open, script: Script) -> None:
    script.host_bytes, script.takes = 10, {"a": 6, "b": 6}
    async with models() as m, trio.open_nursery() as nursery:
        answers: list[str] = []

        async def long() -> None:
            answers.append(await ask(m, "a", n_predict=50))

        nursery.start_soon(long)
        await trio.sleep(5)
        await ask(m, "b")

        assert len(answers[0].split()) == 50


async def test_a_watch_sees_the_place_in_the_line_for_memory(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.host_bytes, script.takes = 10, {"a": 6, "b": 6, "c": 6}
    watches = {"b": Watch(), "c": Watch()}
    looks: dict[str, list[Progress | None]] = {"b": [], "c": []}

    async def wait(name: str) -> None:
        async with m.acquire(stored(name), ANY, watch=watches[name]) as use, use.generate(start()) as mailbox:
            await read(mailbox)

    async with models() as m, trio.open_nursery() as nursery:
        nursery.start_soon(ask, m, "a", 5)
        await trio.sleep(0.5)
        for name in watches:
            nursery.start_soon(wait, name)
            await trio.sleep(0.1)
        for _ in range(20):
            await trio.sleep(0.5)
            for name, watch in watches.items():
                looks[name].append(watch.look())

    assert looks["b"][0] == Loading(0.0, position=1)
    assert looks["c"][0] == Loading(0.0, position=2)
    assert Loading(0.0, position=1) in looks["c"]
    assert any(isinstance(look, Loading) and look.loaded and not look.position for look in looks["c"])


async def test_a_model_that_is_always_busy_does_not_shut_others_out(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    async with models(max_loaded_models=1) as m, trio.open_nursery() as nursery:

        async def again_and_again() -> None:
            while True:
                await ask(m, "a", n_predict=5)

        for _ in range(3):
            nursery.start_soon(again_and_again)
            await trio.sleep(2)
        begun = trio.current_time()

        await ask(m, "b")

        # It is patient for 10 seconds; then those who are at it have 5 tokens each to go.
        assert trio.current_time() - begun < 30
        nursery.cancel_scope.cancel()


async def test_two_models_wanted_in_turns_do_not_drive_each_other_out_for_every_request(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.load_seconds, script.token_seconds = 10, 0.1
    n_answers = 0

    async def again_and_again(name: str) -> None:
        nonlocal n_answers
        while True:
            await ask(m, name)
            n_answers += 1

    async with models(max_loaded_models=1, num_parallel=1) as m, trio.open_nursery() as nursery:
        for name in ("a", "b", "a", "b"):
            nursery.start_soon(again_and_again, name)
        await trio.sleep(1000)
        nursery.cancel_scope.cancel()

    # A load takes 10 seconds, a request 0.3.
    assert script.n_launched <= 55
    assert n_answers > 1000


async def test_everybody_in_line_for_what_is_being_loaded_gets_it_whoever_is_first(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    async with models(max_loaded_models=1) as m, trio.open_nursery() as nursery:
        nursery.start_soon(ask, m, "a", 20)
        await trio.sleep(2)
        for name in ("b", "c", "b", "c", "b"):
            nursery.start_soon(ask, m, name)
            await trio.testing.wait_all_tasks_blocked()

    assert script.n_launched == 3


async def test_a_stop_turns_away_who_waits_and_lets_the_others_finish(autojump_clock: MockClock, models: Open) -> None:
    outcomes: dict[str, str] = {}

    async def client(name: str, model: str = "a") -> None:
        try:
            outcomes[name] = await ask(m, model)
        except Overloaded as error:
            outcomes[name] = error.reason

    async with models(max_loaded_models=1, num_parallel=1) as m, trio.open_nursery() as nursery:
        nursery.start_soon(client, "running")
        await trio.sleep(2)
        nursery.start_soon(client, "waits for a slot")
        nursery.start_soon(client, "waits for a load", "b")
        await trio.testing.wait_all_tasks_blocked()

        m.stop(Overloaded("the server is stopping", reason="stopping"))
        nursery.start_soon(client, "comes too late")

    assert outcomes == {
        "running": "1 2 3 ",
        "waits for a slot": "stopping",
        "waits for a load": "stopping",
        "comes too late": "stopping",
    }


async def test_waiters_for_another_model_share_one_eviction(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    async with models(max_loaded_models=1) as m:
        await ask(m, "a")
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask, m, "b")

    assert script.n_launched == 2


async def test_too_many_waiters_for_a_load_are_refused(autojump_clock: MockClock, models: Open) -> None:
    async with models(max_loaded_models=1, max_queue=2) as m, trio.open_nursery() as nursery:
        nursery.start_soon(ask, m, "a", 100)
        await trio.sleep(5)
        nursery.start_soon(ask, m, "b")
        nursery.start_soon(ask, m, "b")
        await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(Overloaded):
            await ask(m, "b")


async def test_a_context_beyond_the_pool_loads_again_and_one_within_it_does_not(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    async with models() as m:
        await ask(m, num_ctx=512)
        await ask(m, num_ctx=256)
        await ask(m, num_ctx=2048)  # all four slots' worth
        assert script.n_launched == 1

        await ask(m, num_ctx=2049)

        assert script.n_launched == 2
        assert [model.context_length for model in m.running()] == [2049]


async def test_flash_attention_cannot_be_switched_off_under_a_cache_that_needs_it(
    autojump_clock: MockClock, models: Open
) -> None:
    async with models(kv_cache_type="q8_0") as m:
        with pytest.raises(BadRequest, match="with a KV cache of q8_0"):
            await ask(m, flash_attention=False)


async def test_loading_that_makes_no_progress_fails_in_time(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.load_seconds, script.stall_after = 400, 0.5
    async with models(load_timeout=150) as m:
        with pytest.raises(LoadFailed, match="no progress for 150 seconds"):
            await ask(m)

        # Progress at 100 and 200 seconds counted; then patience ran out.
        assert trio.current_time() == pytest.approx(350, abs=1)


async def test_a_model_that_cannot_be_loaded_fails_everybody_who_waits_for_it(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.load_error = "not a GGUF file"
    async with models() as m:
        for _ in range(2):
            with pytest.raises(LoadFailed, match="not a GGUF file"):
                await ask(m)
        async with m.acquire(stored("m"), ANY) as use:
            with pytest.raises(LoadFailed, match="not a GGUF file"):
                await use.model.wait_ready()


async def test_a_dead_worker_fails_what_was_streaming_and_runs_the_rest_again(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_at = [5.5]
    outcomes: dict[int, str] = {}

    async def client(number: int) -> None:
        try:
            outcomes[number] = await ask(m, n_predict=8)
        except WorkerDied as error:
            outcomes[number] = f"died: {error}"

    async with models(num_parallel=2) as m, trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(client, number)

    died = [text for text in outcomes.values() if text.startswith("died")]
    assert len(died) == 2
    assert [text for text in outcomes.values() if text not in died] == ["1 2 3 4 5 6 7 8 "] * 2


async def test_who_only_wants_a_model_loaded_waits_for_the_next_worker_after_a_death(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_at = [1.5]
    async with models() as m:
        with pytest.raises(WorkerDied):
            await ask(m, n_predict=8)

        async with m.acquire(stored("m"), ANY) as use:
            assert use.model.ready is None
            assert (await use.model.wait_ready()).n_ctx > 0
        assert script.n_launched == 2


async def test_a_worker_that_keeps_dying_is_given_up_and_says_why(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_at = [0.5] * 10
    async with models() as m:
        with pytest.raises(WorkerDied):
            await ask(m)
        await trio.sleep(60)

        assert script.n_launched == 4
        assert m.running() == []


async def test_a_model_that_was_given_up_is_left_alone_for_a_while(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_at = [0.5] * 4
    async with models() as m:
        with pytest.raises(WorkerDied):
            await ask(m)
        await trio.sleep(8)
        assert script.n_launched == 4

        with pytest.raises(
            Overloaded, match=r"keeps crashing \(4 times in a row, last: the fake was told to die"
        ) as caught:
            await ask(m)

        assert script.n_launched == 4
        await trio.sleep(caught.value.retry_after)
        assert await ask(m) == "1 2 3 "


async def test_a_model_that_dies_once_while_it_loads_is_loaded_again_for_those_who_wait(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_loading = 1
    async with models() as m:
        assert await ask(m) == "1 2 3 "
        assert script.n_launched == 2


async def test_a_model_that_dies_while_it_loads_is_left_alone_after_the_second_time(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_loading = 2
    async with models() as m:
        for _ in range(2):  # who waited for it, and who comes then
            with pytest.raises(Overloaded, match=r"2 times in a row, last: .*told to die while loading") as caught:
                await ask(m)
            await trio.testing.wait_all_tasks_blocked()
        assert script.n_launched == 2

        await trio.sleep(caught.value.retry_after)

        assert await ask(m) == "1 2 3 "


async def test_a_question_waits_while_a_dead_worker_is_replaced(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_at = [0.5]
    async with models() as m, m.acquire(stored("m"), ANY) as use, trio.open_nursery() as nursery:
        nursery.start_soon(ask, m)
        await trio.sleep(1.6)  # loaded in one second, dead after half of another

        assert use.model.ready is None
        assert (await use.model.wait_ready()).n_ctx > 0


async def test_a_context_that_is_made_on_demand_has_to_fit_and_counts_from_then_on(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.host_bytes, script.takes, script.takes_beside = 100, {"a": 60, "b": 40}, 30
    async with models(keep_alive=100) as m:
        assert await ask(m, "a") == "1 2 3 "
        async with m.acquire(stored("a"), ANY) as use:
            for _ in range(2):  # it has one the second time
                async with use.another().generate(start(deterministic=True)):
                    assert use.model.placement.host == 90
        assert await ask(m, "b") == "1 2 3 "
        assert [str(running.model.name) for running in m.running()] == ["b"]

        script.takes["c"] = 50
        assert await ask(m, "c") == "1 2 3 "
        async with m.acquire(stored("c"), ANY) as use:
            with pytest.raises(Overloaded, match="for a context of its own for deterministic requests") as caught:
                async with use.generate(start(deterministic=True)):
                    pass
        assert caught.value.reason == "memory"


async def test_a_context_that_does_not_fit_beside_its_model_alone_is_refused(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.host_bytes, script.takes, script.takes_beside = 100, {"a": 60}, 50
    async with models() as m, m.acquire(stored("a"), ANY) as use:
        with pytest.raises(LoadFailed, match="deterministic"):
            async with use.another().generate(start(deterministic=True)):
                pass

        async with use.generate(start()) as mailbox:
            assert await read(mailbox) == "1 2 3 "


async def test_a_model_that_dies_of_how_it_is_loaded_is_not_kept_from_those_who_load_it_otherwise(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_loading = 2
    async with models() as m:
        for _ in range(2):
            with pytest.raises(Overloaded, match="2 times in a row"):
                await ask(m, num_batch=1)
            await trio.testing.wait_all_tasks_blocked()

        assert await ask(m) == "1 2 3 "


async def test_a_worker_that_hangs_is_killed_and_its_work_treated_as_after_a_crash(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.hang_at = [3]
    outcomes: list[str] = []

    async def client(n_predict: int) -> None:
        try:
            outcomes.append(await ask(m, n_predict=n_predict))
        except WorkerDied as error:
            outcomes.append(str(error))

    async with models(num_parallel=1, hang_seconds=30) as m, trio.open_nursery() as nursery:
        nursery.start_soon(client, 100)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(client, 2)

    assert script.n_killed == 1
    assert "hung: no sign of life for 30 seconds" in outcomes[0]
    assert outcomes[1] == "1 2 "


async def test_a_worker_that_hangs_while_it_loads_is_not_waited_for_as_long_as_one_that_is_slow(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.hang_loading = True
    async with models(hang_seconds=30, load_timeout=300) as m:
        assert await ask(m) == "1 2 3 "

        assert 90 < trio.current_time() < 100  # and then another one loaded it
        assert script.n_killed == 1


async def test_a_long_step_is_no_hang_as_long_as_there_are_signs_of_life(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.token_seconds, script.alive_seconds = 500, 5
    async with models(hang_seconds=30) as m:
        assert await ask(m) == "1 2 3 "

    assert script.n_killed == 0


async def test_a_worker_with_nothing_to_do_may_be_silent(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    async with models(hang_seconds=30, keep_alive=math.inf) as m:
        await ask(m)
        await trio.sleep(10_000)

        assert await ask(m) == "1 2 3 "
    assert script.n_launched == 1


async def test_the_next_request_after_a_death_works(autojump_clock: MockClock, models: Open, script: Script) -> None:
    script.die_at = [2.5]
    async with models() as m:
        with pytest.raises(WorkerDied):
            await ask(m, n_predict=100)

        assert await ask(m) == "1 2 3 "


async def test_a_death_of_one_model_does_not_touch_another(
    autojump_clock: MockClock, models: Open, script: Script
) -> None:
    script.die_at = [3.5]
    async with models() as m, trio.open_nursery() as nursery:

        async def doomed() -> None:
            with pytest.raises(WorkerDied):
                await ask(m, "a", n_predict=100)

        nursery.start_soon(doomed)
        await trio.sleep(0.1)

        assert len((await ask(m, "b", n_predict=30)).split()) == 30


async def test_what_a_slow_reader_left_is_merged_and_nothing_is_lost(autojump_clock: MockClock, models: Open) -> None:
    async with models() as m, m.acquire(stored("m"), ANY) as use, use.generate(start(50)) as mailbox:
        assert isinstance(await mailbox.get(), Accepted)
        await trio.sleep(100)

        piece = await mailbox.get()

        assert isinstance(piece, Piece)
        assert piece.text.split() == [str(n) for n in range(1, 51)]
        assert len(piece.tokens) == 50


async def test_a_slow_reader_holds_neither_slot_nor_model_once_its_answer_is_complete(
    autojump_clock: MockClock, models: Open
) -> None:
    async with models(num_parallel=1, keep_alive=10) as m:
        async with m.acquire(stored("m"), ANY) as use, use.generate(start(5)) as mailbox:
            await trio.sleep(100)

            assert m.running() == []
            assert len((await read(mailbox)).split()) == 5


async def test_a_reader_that_stops_reading_loses_its_slot_to_the_next(
    autojump_clock: MockClock, models: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "MAX_UNREAD", 100)
    async with models(num_parallel=1) as m:
        async with m.acquire(stored("m"), ANY) as use, use.generate(start(10**6)) as mailbox:
            await trio.sleep(10)

            assert await ask(m) == "1 2 3 "
            with pytest.raises(ReaderTooSlow):
                await read(mailbox)


async def test_the_server_s_end_fails_nobody_silently(autojump_clock: MockClock, models: Open) -> None:
    async with models() as m, m.acquire(stored("m"), ANY) as use:
        model = use.model
    assert model.gone.is_set()
    with pytest.raises(PowerError):
        await model.wait_ready()
