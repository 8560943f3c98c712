"""Send one blob to a registry, unless it is there.

    HEAD  blobs/<digest>                                   200: it is there
    POST  blobs/uploads/[?mount=<digest>&from=<model>]     201: taken from another model; 202: a session's URL
    PATCH <session>       one for each part                202: the next URL
    PUT   <session>?digest=<digest>                        201: it is there now

A registry that answers PATCH with 307 wants the part elsewhere, by PUT and
without our token.  After a part broke off the session says how much it has, and
we go on from there; one that says nothing, or is gone, is begun anew.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import trio

from power.errors import RegistryError
from power.store.limits import Limits, delay
from power.store.manifest import Layer
from power.store.network import Transient
from power.store.registry import Registry, check_status, patiently

READ = 2**18  # bytes read from the blob by one visit to a thread
PART = 64 * 2**20  # bytes per PATCH

_HAS = re.compile(r"(?:bytes=)?0-(\d+)")


class _Body(httpx.AsyncByteStream):
    """Bytes of a file, from one to before another; counted and hashed as they are read."""

    def __init__(self, descriptor: int, start: int, end: int, report: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._position = start
        self._end = end
        self._report = report
        self.md5 = hashlib.md5(usedforsecurity=False)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        n_bytes = min(READ, self._end - self._position)
        if n_bytes <= 0:
            raise StopAsyncIteration
        self._report(self._position)
        data = await trio.to_thread.run_sync(self._read, n_bytes)
        self._position += len(data)
        return data

    def _read(self, n_bytes: int) -> bytes:
        data = os.pread(self._descriptor, n_bytes, self._position)
        if not data:
            raise RegistryError("a blob became shorter while it was sent")
        self.md5.update(data)
        return data


class Upload:
    """One blob on its way to a registry. Run it once."""

    def __init__(self, registry: Registry, layer: Layer, path: Path, limits: Limits) -> None:
        self._registry = registry
        self._layer = layer
        self._path = path
        self._limits = limits
        self._url = ""  # of the session
        self._sent = 0  # bytes the session has
        self._md5s: list[bytes] | None = []  # of its parts; None where a part was sent in pieces

    async def run(self, report: Callable[[int], None]) -> None:
        """Have the blob in the registry when this returns.

        `report` gets the number of bytes that are there, now and then.

        Raises:
            RegistryError: it cannot be sent.
            OSError: it cannot be read.
        """
        report(0)
        if not await patiently(self._is_there, self._limits) and not await patiently(self._begin, self._limits):
            descriptor = await trio.to_thread.run_sync(os.open, self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                await self._send_all(descriptor, report)
            finally:
                os.close(descriptor)
        report(self._layer.size)

    async def _is_there(self) -> bool:
        url = self._registry.url(f"blobs/{self._layer.digest}")
        # Whoever redirects has it. The links of some registries are for GET alone, so we do not follow.
        async with self._registry.open("HEAD", url, follow=False) as response:
            if response.status_code == 404:
                return False
            await check_status(response, 200, 301, 302, 307, 308)
            return True

    async def _begin(self) -> bool:
        """Open a session; True if the registry could take the blob from another of its models."""
        url = self._registry.url("blobs/uploads/")
        if self._layer.source:
            url += "?" + urlencode({"mount": self._layer.digest, "from": self._layer.source})
        async with self._registry.open("POST", url, {"Content-Length": "0"}, follow=False) as response:
            await check_status(response, 201, 202)
            if response.status_code == 201:
                return True
            self._go_on_at(response)
        self._sent, self._md5s = 0, []
        return False

    async def _send_all(self, descriptor: int, report: Callable[[int], None]) -> None:
        n_failed, best = 0, 0
        while True:
            try:
                while self._sent < self._layer.size:
                    await self._send_part(descriptor, report)
                await self._commit()
                return
            except Transient as error:
                n_failed = 1 if self._sent > best else n_failed + 1
                best = max(best, self._sent)
                if n_failed >= self._limits.attempts:
                    raise RegistryError(f"max retries exceeded: {error.message}") from error
                await trio.sleep(delay(self._limits, n_failed, error.retry_after))
                if await patiently(self._is_done_after_all, self._limits):
                    return

    async def _send_part(self, descriptor: int, report: Callable[[int], None]) -> None:
        end = min(self._sent + PART, self._layer.size)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(end - self._sent),
            "Content-Range": f"{self._sent}-{end - 1}",
            "X-Redirect-Uploads": "1",
        }
        bodies: list[_Body] = []

        def body() -> _Body:
            bodies.append(_Body(descriptor, self._sent, end, report))
            return bodies[-1]

        async with self._registry.open("PATCH", self._url, headers, body, follow=False) as response:
            await check_status(response, 201, 202, 204, 307)
            if response.status_code == 307:
                await self._send_elsewhere(response.headers.get("Location", ""), headers, body)
            else:
                self._go_on_at(response)
        self._sent = end
        if self._md5s is not None:
            self._md5s.append(bodies[-1].md5.digest())

    async def _send_elsewhere(self, location: str, headers: dict[str, str], body: Callable[[], _Body]) -> None:
        """PUT the part where the registry wants it; without our token, which is the registry's alone."""
        url = self._registry.network.redirected(self._url, location)
        length = {name: headers[name] for name in ("Content-Type", "Content-Length")}
        async with self._registry.network.open("PUT", url, length, body, follow=False) as response:
            await check_status(response)

    async def _commit(self) -> None:
        query = {"digest": self._layer.digest}
        if self._md5s:
            etag = hashlib.md5(b"".join(self._md5s), usedforsecurity=False).hexdigest()
            query["etag"] = f"{etag}-{len(self._md5s)}"
        url = f"{self._url}{'&' if urlsplit(self._url).query else '?'}{urlencode(query)}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": "0"}
        async with self._registry.open("PUT", url, headers, follow=False) as response:
            await check_status(response, 201, 204)

    async def _is_done_after_all(self) -> bool:
        """After a failure: True if the blob is there, else go on where the session stands, or begin another."""
        if await self._is_there():  # the commit arrived, its answer did not
            return True
        n_bytes = await self._n_received()
        if n_bytes is None:
            return await self._begin()
        if n_bytes != self._sent:
            self._sent, self._md5s = n_bytes, None
        return False

    async def _n_received(self) -> int | None:
        """How many bytes the session has; None if it does not say so, or is gone."""
        try:
            async with self._registry.open("GET", self._url, follow=False) as response:
                await check_status(response, 202, 204)
                match = _HAS.fullmatch(response.headers.get("Range", ""))
                self._go_on_at(response)
        except Transient:
            raise
        except RegistryError:
            return None
        # "0-0" is what registries say of an empty session, and would be of a single byte.
        n_bytes = int(match[1]) + 1 if match else 0
        return n_bytes if 1 < n_bytes <= self._layer.size else None

    def _go_on_at(self, response: httpx.Response) -> None:
        """The next request goes where this response says, if it says."""
        location = response.headers.get("Docker-Upload-Location") or response.headers.get("Location", "")
        if location:
            self._url = self._registry.network.redirected(str(response.url), location)
        elif not self._url:
            raise RegistryError("the registry does not say where to send the blob")
