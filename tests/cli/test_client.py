"""The client: against a tree in this process, and against servers that misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from power.cli.connect import open_own, open_power, open_running
from power.client import Chunk, Client, ServerRefused, open_client
from power.config import Config
from power.errors import PowerError, ServerUnreachable
from tests.support import PATIENCE

OPTIONS = {"temperature": 0}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with open_own(Config(data_dir=tmp_path, num_thread=1)) as client:
        yield client


@asynccontextmanager
async def canned(*replies: bytes) -> AsyncIterator[Client]:
    """A client of a server that says the same to whatever it is asked, and hangs up."""

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            for reply in replies:
                await stream.send_all(reply)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with open_client(f"http://127.0.0.1:{port}") as client:
            yield client
        nursery.cancel_scope.cancel()


def ok(body: bytes, length: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body) if length is None else length, body)


async def collect(client: Client, prompt: str = "Hi", **fields: object) -> list[Chunk]:
    async with client.generate("tiny", prompt, **fields) as chunks:
        return [chunk async for chunk in chunks]


async def test_an_answer_comes_in_chunks_and_the_last_tells_what_it_took(client: Client) -> None:
    chunks = await collect(client, options=OPTIONS, think=False)

    # How many there are is the clock's affair: pieces that wait for a reader are joined.
    assert len(chunks) >= 2
    assert "".join(chunk.content for chunk in chunks)
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].done_reason == "stop"
    assert chunks[-1].usage
    assert chunks[-1].usage.eval_count > 0


async def test_a_chat_of_one_message_is_answered_like_a_prompt(client: Client) -> None:
    async with client.chat("tiny", [{"role": "user", "content": "Hi"}], options=OPTIONS, think=False) as chunks:
        answer = "".join([chunk.content async for chunk in chunks])

    assert answer == "".join(chunk.content for chunk in await collect(client, options=OPTIONS, think=False))


async def test_models_can_be_listed_loaded_seen_and_unloaded(client: Client) -> None:
    await client.load("tiny", keep_alive="1h")
    (listed,), (running,), shown = await client.tags(), await client.ps(), await client.show("tiny")
    await client.unload("tiny")

    assert await client.is_running()
    assert await client.version()
    assert (listed.name, running.name, shown.details.family) == ("tiny:latest", "tiny:latest", "llama")
    assert running.expires_at
    with trio.fail_after(PATIENCE):
        while await client.ps():  # its process has to end first
            await trio.sleep(0.01)


async def test_a_refusal_has_the_servers_own_text_and_status(client: Client) -> None:
    with pytest.raises(ServerRefused, match=r"^model 'nosuch' not found$") as caught:
        async with client.generate("nosuch", "Hi"):
            raise AssertionError("it was accepted")
    with pytest.raises(ServerRefused, match="temperature"):
        await collect(client, options={"temperature": "warm"})

    assert caught.value.status == 404


async def test_where_nobody_listens_it_is_known_at_once(nobody: str) -> None:
    host, _, port = nobody.partition(":")
    config = Config(host=host, port=int(port))

    async with open_client(config) as client:
        assert not await client.is_running()
        with pytest.raises(ServerUnreachable, match=f"could not connect to a server at http://{nobody}"):
            await client.tags()
    with pytest.raises(ServerUnreachable, match="run 'power serve' to start it"):
        async with open_running(config):
            raise AssertionError("there is no server")


async def test_a_running_server_is_used_and_a_tree_of_our_own_opened_otherwise(tmp_path: Path, nobody: str) -> None:
    host, _, port = nobody.partition(":")
    async with open_power(Config(host=host, port=int(port), data_dir=tmp_path)) as client:
        assert client.address.startswith("unix:")
    async with canned(ok(b"")) as other:
        port = other.address.rpartition(":")[2]
        async with open_power(Config(port=int(port))) as client:
            assert client.address == other.address


async def test_leaving_an_answer_hangs_up_and_leaves_nothing_behind(client: Client) -> None:
    async def leave_early() -> None:
        options = {"logit_bias": [["<|im_end|>", False]]}
        async with client.generate("tiny", "Hi", think=False, options=options) as chunks:
            async for _ in chunks:
                raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await leave_early()

    assert await client.is_running()


async def test_what_a_block_raises_comes_out_of_a_tree_of_our_own_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_own(Config(data_dir=tmp_path)):
            raise LookupError("mine")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (ok(b'{"response":"Hi","done":false}\n'), "the server ended its answer half-way"),
        (ok(b'{"response":"Hi","done":false}\n', length=1000), "the connection to .* was lost"),
        (ok(b'{"response":"Hi","done":false}\n{"error":"the model died"}\n'), "^the model died$"),
        (ok(b"<html>"), "a line that is no part of an answer: '<html>'"),
        (ok(b'{"response":1,"done":true}\n'), "a line that is no part of an answer"),
        (ok(b'{"message":"Hi"}\n'), "a line that is no part of an answer"),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 5\r\n\r\noops!", "answered 502 Bad Gateway$"),
        (b"", "the connection to .* was lost"),
    ],
)
async def test_an_answer_that_is_cut_short_is_an_error(reply: bytes, message: str) -> None:
    async with canned(reply) as client:
        with pytest.raises(PowerError, match=message):
            await collect(client)


async def test_a_server_of_another_kind_is_told_from_an_empty_one() -> None:
    async with canned(ok(b'{"models": 3}')) as client:
        with pytest.raises(PowerError, match="does not speak this API"):
            await client.tags()
    async with canned(ok(b'{"models": [{"size": "large"}]}')) as client:
        with pytest.raises(PowerError, match="does not speak this API"):
            await client.tags()
