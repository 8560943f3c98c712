"""Clients that send as slowly as they can, to hold what others could use."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio
from hypercorn.protocol import h11

from power import listen
from power.api import requests

from .conftest import Serve
from .support import PATIENCE, wait_until


async def trickle(client: httpx.AsyncClient, head: bytes, rest: bytes) -> bytes:
    """What the server says until it hangs up, to somebody who sends `rest` for ever, letter by letter."""
    said = b""
    host, port = client.base_url.host, client.base_url.port or 80
    async with await trio.open_tcp_stream(host, port) as stream, trio.open_nursery() as nursery:

        async def send() -> None:
            await stream.send_all(head)
            while True:
                for letter in rest:
                    try:
                        await stream.send_all(bytes([letter]))
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        return
                    await trio.sleep(0.01)

        nursery.start_soon(send)
        with trio.fail_after(PATIENCE):
            try:
                async for data in stream:
                    said += data
            except trio.BrokenResourceError:
                pass
        nursery.cancel_scope.cancel()
    return said


async def test_a_head_that_does_not_end_is_hung_up_on(serving: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "IDLE_SECONDS", 0.2)
    async with serving() as client:
        said = await trickle(client, b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nX-More: ", b"a")

        assert said in (b"", b"HTTP/1.1 400 \r\nconnection: close\r\n\r\n")
        assert (await client.get("/api/version")).status_code == 200


async def test_a_body_that_does_not_end_is_answered_and_hung_up_on(
    serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(requests, "LINGER_SECONDS", 0.2)
    async with serving() as client:
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        said = await trickle(client, head, b" ")

        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"the request body did not arrive in time" in said
        assert (await client.get("/api/version")).status_code == 200


async def test_who_asks_nothing_more_is_hung_up_on(serving: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "IDLE_SECONDS", 0.2)
    async with serving() as client:
        host, port = client.base_url.host, client.base_url.port or 80
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(PATIENCE):
                said = b"".join([data async for data in stream])

        assert said.endswith(b"Ollama is running")


async def test_a_head_without_measure_is_refused(serving: Serve) -> None:
    async with serving() as client:
        said = await trickle(client, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-More: " + b"a" * 70_000, b"a")

        assert said.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
        assert (await client.get("/api/version")).status_code == 200


async def test_many_who_say_nothing_keep_nobody_waiting(serving: Serve) -> None:
    async with serving() as client:
        host, port = client.base_url.host, client.base_url.port or 80
        silent = [await trio.open_tcp_stream(host, port) for _ in range(200)]
        for stream in silent:
            await stream.send_all(b"POST /api/chat HTTP/1.1\r\n")

        assert (await client.get("/api/version")).status_code == 200
        for stream in silent:
            await stream.aclose()


async def test_what_goes_wrong_in_a_connection_ends_no_other(
    serving: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise KeyError("of the parser")

    async with serving() as client:
        assert (await client.get("/")).status_code == 200
        with monkeypatch.context() as patch:
            patch.setattr(h11.H11Protocol, "_create_stream", fail)
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/")

        assert (await client.get("/")).status_code == 200
    assert "a connection failed" in caplog.text


async def test_a_client_that_says_more_and_hangs_up_in_mid_answer_leaves_nothing_behind(
    serving: Serve, endless: Path
) -> None:
    body = b'{"model":"m","prompt":"x","raw":true,"options":{"num_predict":1000}}'
    head = b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving({"m": endless}) as client:
        await client.post("/api/generate", json={"model": "m"})
        n_before = n_descriptors()
        for _ in range(3):
            async with await trio.open_tcp_stream(client.base_url.host, client.base_url.port or 80) as stream:
                await stream.send_all(head + body + b"GET /api/version HTTP/1.1\r\n")
                await stream.receive_some(1)

        await wait_until(lambda: n_descriptors() <= n_before)


def n_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
