"""A client of the native API, Power's or Ollama's, as the CLI needs it.

One `Client` talks to one server, over TCP or over the Unix socket of a tree in
this very process.  Answers come as `Chunk`s inside an `async with`; leaving the
block hangs up, and a server stops generating when its client hangs up.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import httpx
import msgspec

from power.client.lines import chunks, given, steps
from power.client.values import Chunk, Listed, Running, ServerRefused, Shown, Step
from power.config import Config
from power.errors import PowerError, ServerUnreachable

# Seconds. A server on this machine accepts at once or never; an answer may take as long as it takes.
JSON = {"Content-Type": "application/json"}
TIMEOUTS = httpx.Timeout(None, connect=5.0)


class _Models(msgspec.Struct, frozen=True):
    models: tuple[dict[str, Any], ...] = ()


T = TypeVar("T")


@asynccontextmanager
async def open_client(server: Config | str) -> AsyncIterator[Client]:
    """A client of the server at a configured address, a URL, or `unix:PATH`."""
    url = server if isinstance(server, str) else server.url
    path = url.removeprefix("unix:") if url.startswith("unix:") else None
    transport = httpx.AsyncHTTPTransport(uds=path) if path else None
    base = "http://localhost" if path else url
    # Proxies of the environment are for the world, not for this machine.
    trust_env = isinstance(server, Config) and not server.is_loopback
    async with httpx.AsyncClient(base_url=base, transport=transport, timeout=TIMEOUTS, trust_env=trust_env) as http:
        yield Client(http, url)


class Client:
    """Calls of the native API.

    All of them raise ServerUnreachable when nobody answers, ServerRefused with
    the server's own text, and PowerError when the answer is cut short.
    """

    def __init__(self, http: httpx.AsyncClient, address: str) -> None:
        self._http = http
        self.address = address

    async def is_running(self) -> bool:
        """Does a server answer? One that refuses the connection is known at once."""
        try:
            await self._http.head("/")
        except httpx.TransportError:
            return False
        return True

    async def version(self) -> str:
        return str((await self._call("GET", "/api/version", None, dict[str, Any])).get("version", ""))

    async def tags(self) -> list[Listed]:
        """The stored models, newest first."""
        reply = await self._call("GET", "/api/tags", None, _Models)
        return [self._convert(model, Listed) for model in reply.models]

    async def ps(self) -> list[Running]:
        """The loaded models."""
        reply = await self._call("GET", "/api/ps", None, _Models)
        return [self._convert(model, Running) for model in reply.models]

    async def show(self, model: str, *, verbose: bool = False) -> Shown:
        reply = await self._call("POST", "/api/show", {"model": model, "verbose": verbose}, dict[str, Any])
        return self._convert({name: value for name, value in reply.items() if value is not None}, Shown)

    async def load(self, model: str, *, options: Mapping[str, Any] | None = None, keep_alive: Any = None) -> None:
        """Have the model in memory."""
        body = {"model": model, "options": dict(options or {}), "keep_alive": keep_alive}
        await self._call("POST", "/api/generate", given(body), dict[str, Any])

    async def unload(self, model: str) -> None:
        """Have the model leave memory once nobody uses it."""
        await self.load(model, keep_alive=0)

    @asynccontextmanager
    async def generate(self, model: str, prompt: str, **fields: Any) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Answer a prompt; `fields` as in the body of /api/generate, None for what is not said."""
        async with self._stream("/api/generate", {"model": model, "prompt": prompt, **fields}) as chunks:
            yield chunks

    @asynccontextmanager
    async def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], **fields: Any
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Answer a conversation; `fields` as in the body of /api/chat, None for what is not said."""
        async with self._stream("/api/chat", {"model": model, "messages": list(messages), **fields}) as chunks:
            yield chunks

    @asynccontextmanager
    async def follow(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Step]]:
        """Have /api/pull, /api/push or /api/create do its work, whose steps these are; leaving the block stops it."""
        async with self._lines(path, body) as lines, aclosing(steps(lines)) as events:
            yield events

    async def copy(self, source: str, destination: str) -> None:
        await self._send("POST", "/api/copy", {"source": source, "destination": destination})

    async def delete(self, model: str) -> None:
        await self._send("DELETE", "/api/delete", {"model": model})

    async def me(self) -> dict[str, Any]:
        """The account; where nobody is signed in, `signin_url` says where to."""
        with self._transport_errors():
            response = await self._http.post("/api/me")
        if response.is_error and response.status_code != 401:
            raise _refusal(response)
        return self._decode(response.content, dict[str, Any])

    async def sign_out(self) -> None:
        await self._send("POST", "/api/signout", None)

    async def has_blob(self, digest: str) -> bool:
        with self._transport_errors():
            response = await self._http.head(f"/api/blobs/{digest}")
        if response.is_error and response.status_code != 404:
            raise _refusal(response)
        return not response.is_error

    async def put_blob(self, digest: str, size: int, chunks: AsyncIterable[bytes]) -> None:
        """Upload a file of that many bytes."""
        headers = {"Content-Length": str(size)}
        with self._transport_errors():
            response = await self._http.post(f"/api/blobs/{digest}", content=chunks, headers=headers)
        if response.is_error:
            raise _refusal(response)

    @asynccontextmanager
    async def _stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Chunk]]:
        async with self._lines(path, body) as lines, aclosing(chunks(lines)) as events:
            yield events

    @asynccontextmanager
    async def _lines(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[str]]:
        with self._transport_errors():
            async with self._http.stream("POST", path, **_json(given(body))) as response:
                if response.is_error:
                    await response.aread()
                    raise _refusal(response)
                lines = response.aiter_lines()
                try:
                    yield lines
                finally:
                    await _hang_up(response, lines)

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> None:
        with self._transport_errors():
            response = await self._http.request(method, path, **_json(body))
        if response.is_error:
            raise _refusal(response)

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None, type: type[T]) -> T:
        with self._transport_errors():
            response = await self._http.request(method, path, **_json(body))
        if response.is_error:
            raise _refusal(response)
        return self._decode(response.content, type)

    @contextmanager
    def _transport_errors(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ServerUnreachable(f"could not connect to a server at {self.address}") from error
        except httpx.TransportError as error:
            raise PowerError(f"the connection to {self.address} was lost: {error or type(error).__name__}") from error

    def _decode(self, content: bytes, type: type[T]) -> T:
        try:
            return msgspec.json.decode(content, type=type)
        except msgspec.DecodeError as error:
            raise PowerError(f"{self.address} does not speak this API: {error}") from error

    def _convert(self, value: Any, type: type[T]) -> T:
        try:
            return msgspec.convert(value, type)
        except msgspec.ValidationError as error:
            raise PowerError(f"{self.address} does not speak this API: {error}") from error


def _json(body: Mapping[str, Any] | None) -> dict[str, Any]:
    """A body for httpx, in ASCII: of a command line, bytes that are no UTF-8 are half pairs, which only escapes say."""
    return {} if body is None else {"content": json.dumps(body).encode(), "headers": JSON}


def _refusal(response: httpx.Response) -> ServerRefused:
    try:
        error = msgspec.json.decode(response.content)["error"]
    except (msgspec.DecodeError, KeyError, TypeError):
        error = f"{response.url} answered {response.status_code} {response.reason_phrase}"
    return ServerRefused(str(error), response.status_code)


async def _hang_up(response: httpx.Response, lines: AsyncIterator[str]) -> None:
    """Close the connection, and with it the generators that httpx reads it through.

    They are nested, and closing the outer one leaves the others to the garbage
    collector, which Trio warns about. Reading on from a closed connection ends
    them all.
    """
    await response.aclose()
    with suppress(httpx.TransportError, httpx.StreamError):
        async for _ in lines:
            pass
