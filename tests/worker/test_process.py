"""The worker as a process: loading, ending, cancelling, taking turns."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from time import perf_counter, sleep

import pytest

from power.worker.wire import Accepted, Done, LoadError, Ready, Refused, Step
from tests.worker.harness import Worker
from tests.worker.models import write_model

PROMPT = "the other thing that he ate"
GIB = 2**30
PROMPT_TIME = 60.0  # seconds in which a process that has nothing to wait for ends, on a busy machine


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough that a long prompt takes seconds."""
    return write_model(tmp_path_factory.mktemp("slow") / "slow.gguf", n_embd=512, n_layer=8, n_ctx=8192)


def test_ready_tells_what_was_loaded(fresh_worker: Worker, model_path: Path) -> None:
    ready = fresh_worker.load(model_path, n_ctx=100_000, n_slots=2)

    assert isinstance(ready, Ready)
    assert (ready.n_ctx, ready.n_ctx_train, ready.n_vocab) == (512, 512, 269)  # cut to the trained context
    assert ready.n_ctx_pool >= 2 * 512
    assert (ready.bos, ready.eos) == ("<s>", "</s>")
    assert ready.n_params > 100_000
    assert ready.model_bytes > 100_000
    assert ready.kv_bytes > 100_000


def test_a_worker_that_is_long_busy_with_a_prompt_says_that_it_is_alive(fresh_worker: Worker, slow_model: Path) -> None:
    fresh_worker.load(slow_model, n_ctx=8192, n_slots=1, alive_seconds=0.05)

    assert fresh_worker.answer("x" * 4000, n_predict=1).done

    assert fresh_worker.n_signs_of_life > 0


def test_a_missing_file_is_a_load_error_that_names_it(fresh_worker: Worker, tmp_path: Path) -> None:
    error = fresh_worker.load(tmp_path / "nowhere.gguf")

    assert isinstance(error, LoadError)
    assert "nowhere.gguf" in error.message
    assert fresh_worker.process.wait(PROMPT_TIME) == 1


@pytest.mark.parametrize("damage", ["garbage", "cut off", "empty"])
def test_a_broken_file_is_a_load_error(fresh_worker: Worker, model_path: Path, tmp_path: Path, damage: str) -> None:
    path, whole = tmp_path / "broken.gguf", model_path.read_bytes()
    path.write_bytes({"garbage": b"x" * 1000, "cut off": whole[: len(whole) // 2], "empty": b""}[damage])

    error = fresh_worker.load(path)

    assert isinstance(error, LoadError)
    assert len(error.message) > len("unable to load model: ")


def test_a_context_beyond_memory_is_a_load_error(fresh_worker: Worker, tmp_path: Path) -> None:
    path = write_model(tmp_path / "wide.gguf", n_embd=256, n_layer=8, n_ctx=2**20)  # 4 KiB for each token
    resource.prlimit(fresh_worker.process.pid, resource.RLIMIT_AS, (2 * GIB, 2 * GIB))
    error = fresh_worker.load(path, n_ctx=2**20, n_slots=1)

    assert isinstance(error, LoadError)
    assert f"{2**20} tokens" in error.message


def test_an_unknown_kv_type_is_a_load_error(fresh_worker: Worker, model_path: Path) -> None:
    error = fresh_worker.load(model_path, kv_type="q3_x")

    assert isinstance(error, LoadError)
    assert "q3_x" in error.message


@pytest.mark.parametrize(
    "changes",
    [
        {"use_mmap": False},
        {"flash_attention": True},
        {"flash_attention": False},
        {"kv_type": "f32"},
        {"n_threads": 0},
        {"n_threads": 100_000},
        {"n_batch": 1},
        {"n_batch": 2, "n_slots": 1},
    ],
)
def test_every_way_of_loading_answers(fresh_worker: Worker, model_path: Path, changes: dict[str, object]) -> None:
    assert isinstance(fresh_worker.load(model_path, **changes), Ready)
    assert len(fresh_worker.answer(PROMPT, n_predict=3).tokens) == 3


def test_the_end_of_the_socket_ends_an_idle_worker(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path)
    fresh_worker.connection.close()

    assert fresh_worker.process.wait(PROMPT_TIME) == 0


def test_the_end_of_the_socket_ends_a_worker_before_it_loads(fresh_worker: Worker) -> None:
    fresh_worker.connection.close()

    assert fresh_worker.process.wait(PROMPT_TIME) == 0


def test_the_end_of_the_socket_ends_a_worker_in_mid_decode(fresh_worker: Worker, slow_model: Path) -> None:
    fresh_worker.load(slow_model, n_ctx=8192, n_batch=4096, n_slots=1)
    fresh_worker.answer("x" * 200, n_predict=1)  # it knows its speed now, and takes long steps
    fresh_worker.start("the " * 1500, n_predict=50)
    fresh_worker.wait_for(Accepted)
    began = perf_counter()
    fresh_worker.connection.close()
    status = fresh_worker.process.wait(PROMPT_TIME)

    print(f"the worker was gone after {perf_counter() - began:.3f} s")
    assert status == 0


def test_ctrl_c_is_not_for_the_worker(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path)
    os.kill(fresh_worker.process.pid, signal.SIGINT)

    assert len(fresh_worker.answer(PROMPT, n_predict=3).tokens) == 3


def test_nothing_is_ever_written_to_standard_output(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path)
    fresh_worker.answer(PROMPT)
    fresh_worker.connection.close()
    fresh_worker.process.wait(PROMPT_TIME)

    assert fresh_worker.process.stdout is not None
    assert fresh_worker.process.stdout.read() == b""


def test_a_second_answer_to_the_same_prompt_uses_the_first_one_s_cache(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path)
    first, second = (fresh_worker.answer(PROMPT, n_predict=20) for _ in range(2))

    assert first.done is not None
    assert second.done is not None
    assert (first.done.n_cached, second.done.n_cached) == (0, first.done.n_prompt - 1)
    assert second.tokens == first.tokens


def test_a_prefix_is_shared_with_a_sequence_that_runs(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path)
    alone = fresh_worker.answer(PROMPT + " and more", n_predict=20).tokens
    first = fresh_worker.start(PROMPT, n_predict=200)
    fresh_worker.wait_for(Step)
    second = fresh_worker.start(PROMPT + " and more", n_predict=20)
    answers = fresh_worker.collect(first, second)

    assert answers[second].tokens == alone
    done = answers[second].done
    assert done is not None
    assert done.n_cached > 0


def test_a_conversation_is_computed_once(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path)
    first = fresh_worker.answer(PROMPT, n_predict=20, want_tokens=True)
    assert first.accepted is not None
    so_far = (*first.accepted.tokens, *first.tokens)
    second = fresh_worker.answer(so_far, "and then?", n_predict=5)

    assert second.accepted is not None
    assert second.accepted.n_cached == len(so_far) - 1  # the last token was never decoded


def test_the_cache_gives_way_to_running_sequences(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path, n_ctx=64, n_slots=2)  # a pool of 256 cells at least
    alone = {}
    for i in range(24):
        alone[i] = fresh_worker.answer(f"{i} is the number", n_predict=40).tokens
    again = {i: fresh_worker.answer(f"{i} is the number", n_predict=40).tokens for i in range(24)}

    assert again == alone


def test_cancelling_frees_the_slot_within_a_step(fresh_worker: Worker, slow_model: Path) -> None:
    fresh_worker.load(slow_model, n_ctx=2048, n_slots=1)
    id = fresh_worker.start(PROMPT, n_predict=2000)
    for _ in range(3):
        fresh_worker.wait_for(Step)
    began = perf_counter()
    fresh_worker.cancel(id)
    done = fresh_worker.wait_for(Done, id)
    elapsed = perf_counter() - began

    print(f"the slot was free after {elapsed * 1000:.1f} ms")
    assert done.reason == "cancel"
    assert done.n_generated < 2000
    assert len(fresh_worker.answer(PROMPT, n_predict=2).tokens) == 2


def test_cancelling_in_a_long_prompt_frees_the_slot_within_a_step(fresh_worker: Worker, slow_model: Path) -> None:
    fresh_worker.load(slow_model, n_ctx=8192, n_batch=512, n_slots=1)
    id = fresh_worker.start("the other thing " * 500, n_predict=5)
    fresh_worker.wait_for(Accepted)
    sleep(0.1)
    began = perf_counter()
    fresh_worker.cancel(id)
    done = fresh_worker.wait_for(Done, id)
    elapsed = perf_counter() - began

    print(f"the slot was free after {elapsed * 1000:.1f} ms")
    assert (done.reason, done.n_generated) == ("cancel", 0)


def test_cancelling_what_is_not_there_does_nothing(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path)
    fresh_worker.cancel(12345)

    assert len(fresh_worker.answer(PROMPT, n_predict=2).tokens) == 2


def test_a_long_prompt_does_not_silence_others(fresh_worker: Worker, slow_model: Path) -> None:
    fresh_worker.load(slow_model, n_ctx=8192, n_batch=512, n_slots=2)
    talker = fresh_worker.start(PROMPT, n_predict=1000)
    fresh_worker.wait_for(Step)
    reader = fresh_worker.start("the other thing " * 80, n_predict=1)
    fresh_worker.wait_for(Accepted, reader)
    n_steps = 0
    while not isinstance(event := fresh_worker.receive(), Done):
        n_steps += isinstance(event, Step)
    fresh_worker.cancel(talker)
    fresh_worker.wait_for(Done, talker)

    assert event.id == reader
    assert n_steps > 3


def test_one_sequence_more_than_slots_is_refused(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path, n_slots=2)
    ids = [fresh_worker.start(PROMPT, n_predict=200) for _ in range(3)]
    refused = fresh_worker.wait_for(Refused)
    for id in ids[:2]:
        fresh_worker.wait_for(Done, id)

    assert (refused.id, refused.kind) == (ids[2], "failed")


def test_a_step_reports_all_sequences_at_once(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path)
    ids = [fresh_worker.start(f"{i} {PROMPT}", n_predict=200) for i in range(4)]
    most = 0
    n_done = 0
    while n_done < 4:
        event = fresh_worker.receive()
        n_done += isinstance(event, Done)
        if isinstance(event, Step):
            most = max(most, len(event.pieces))

    assert most == len(ids)
