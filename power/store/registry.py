"""A registry: manifests and blobs of one repository, over the Docker registry's HTTP API, version 2.

    GET  /v2/<repository>/manifests/<tag>
    GET  /v2/<repository>/blobs/<digest>         and HEAD
    POST /v2/<repository>/blobs/uploads/         see upload.py

The first request is anonymous; a 401 with a bearer challenge is answered with a
token, once per request.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import trio

from power.errors import RegistryError
from power.store.auth import Challenge, key_for, parse_challenge
from power.store.limits import Limits, delay
from power.store.manifest import MANIFEST_TYPE, MAX_JSON
from power.store.network import Content, Network, Transient, Unreachable, read_small

T = TypeVar("T")

OCI_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class NotThere(RegistryError):
    """The registry has no such manifest or blob."""

    def __init__(self) -> None:
        super().__init__("file does not exist")


class Registry:
    """One repository (`namespace/model`) of the registry that is the network's home."""

    def __init__(self, network: Network, repository: str, data_dir: Path, limits: Limits) -> None:
        self.network = network
        self._base = f"{network.home}/v2/{repository}"
        self._data_dir = data_dir
        self._limits = limits
        self._token = ""
        self._asking = trio.Lock()  # one task asks for a token, the others use it
        self._direct: dict[str, str] = {}  # digest -> where the registry has sent us for it

    def url(self, path: str) -> str:
        return f"{self._base}/{path}"

    async def manifest(self, tag: str) -> bytes:
        """The manifest's bytes as they are; NotThere, or another RegistryError."""
        accept = {"Accept": f"{MANIFEST_TYPE}, {OCI_MANIFEST_TYPE}"}
        async with self.open("GET", self.url(f"manifests/{tag}"), accept) as response:
            await check_status(response)
            return await read_small(response, MAX_JSON)

    @asynccontextmanager
    async def open_blob(self, digest: str, start: int, end: int | None) -> AsyncIterator[httpx.Response]:
        """The response with the blob's bytes from `start` to before `end`, or (200) all of them.

        Where the registry redirects to another host, later requests go there at
        once, until it refuses one.
        """
        url = self._direct.get(digest) or self.url(f"blobs/{digest}")
        wanted = {} if end is None else {"Range": f"bytes={start}-{end - 1}"}
        async with self.open("GET", url, wanted) as response:
            if response.status_code >= 400 and self._direct.pop(digest, ""):
                raise Transient(f"{response.url.host} answers {response.status_code}")  # the link may have expired
            await check_status(response)
            if not self.network.is_home(str(response.url)):
                self._direct[digest] = str(response.url)
            yield response

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
        *,
        follow: bool = True,
    ) -> AsyncIterator[httpx.Response]:
        """The response to a request, whatever its status but 401, which is answered with a token once."""
        for is_last in (False, True):
            token = self._token
            authorized = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
            async with self.network.open(method, url, authorized, content, follow=follow) as response:
                if response.status_code != 401 or not self.network.is_home(str(response.url)):
                    yield response
                    return
                challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
            if is_last or challenge is None:
                break
            await self._authenticate(challenge, token)
        raise RegistryError("unauthorized: access denied")

    async def _authenticate(self, challenge: Challenge, refused: str) -> None:
        async with self._asking:
            if self._token != refused:
                return  # somebody asked meanwhile
            challenge.check(self.network.home, self._limits.realms)
            url = challenge.url()
            header = {"Authorization": await trio.to_thread.run_sync(key_for, self._data_dir, url)}
            async with self.network.open("GET", url, header, follow=False, trusted=url) as response:
                await check_status(response)
                self._token = _decode_token(await read_small(response))


async def patiently(attempt: Callable[[], Awaitable[T]], limits: Limits) -> T:
    """What it returns, tried again while it fails in a way that may pass; nobody being there at all is none."""
    n_failed = 0
    while True:
        try:
            return await attempt()
        except Unreachable:
            raise
        except Transient as error:
            n_failed += 1
            if n_failed >= limits.attempts:
                raise RegistryError(f"max retries exceeded: {error.message}") from error
            await trio.sleep(delay(limits, n_failed, error.retry_after))


async def check_status(response: httpx.Response, *expected: int) -> None:
    """Raise what a status means that is not among the expected ones (default: any 2xx).

    Raises:
        NotThere: 404.
        Transient: 408, 429 and what begins with 5: the same may work later.
        RegistryError: anything else.
    """
    status = response.status_code
    if status in expected or (not expected and response.is_success):
        return
    if status == 404:
        raise NotThere
    try:
        text = (await read_small(response)).decode("utf-8", "replace").strip()
    except (httpx.TransportError, RegistryError):
        text = ""
    message = f"{status}: {text[:1000] or response.reason_phrase}"
    if status in (408, 429) or status >= 500:
        raise Transient(message, retry_after(response.headers.get("Retry-After", "")))
    raise RegistryError(message)


def retry_after(header: str) -> float | None:
    """Seconds, from a number of them or a date (RFC 9110, 10.2.3); None if it is neither."""
    try:
        return max(0.0, float(int(header)))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""  # what OAuth calls the same


def _decode_token(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body, type=_Token)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryError(f"the token service does not answer as it should: {error}") from error
    token = answer.token or answer.access_token
    if not token or not token.isascii() or not token.isprintable():
        raise RegistryError("the token service gives no token")
    return token
