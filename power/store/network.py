"""HTTP for pulls and pushes: redirects, proxies, time-outs and the rules of `addresses`.

A `Network` is made for one transfer and knows its *home*, the registry that was
named.  Credentials are for home alone, whatever redirects say.
"""

from __future__ import annotations

import ipaddress
import platform
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx

import power
from power.errors import RegistryError
from power.store.addresses import Address, GuardedBackend, is_nowhere, is_public
from power.store.limits import Limits

MAX_REDIRECTS = 10
PROXIES = ("http://", "https://", "socks5://", "socks5h://")  # of either socks, the proxy resolves the names
MAX_BODY = 2**16  # bytes of an error's text or a token's JSON

# Ollama's is "ollama/<version> (<arch> <os>) Go/<version>", and some hosts look for the first word.
USER_AGENT = (
    f"power/{power.__version__} (compatible; ollama; {platform.machine()} {platform.system().lower()}) "
    f"Python/{platform.python_version()}"
)

Content = Callable[[], httpx.AsyncByteStream]
"""Makes a request's body, anew for every attempt; the Content-Length is the caller's to say."""


class Bytes(httpx.AsyncByteStream):
    """A body that is at hand."""

    def __init__(self, data: bytes) -> None:
        self._rest = [data]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


class Transient(RegistryError):
    """It did not work this time; `retry_after` is the seconds the other side asks us to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(Transient):
    """Nobody answered there."""


class Network:
    """HTTP to one registry and to wherever it sends us. Opened by `open_network`."""

    def __init__(self, home: str, clients: AsyncExitStack, *, insecure: bool, limits: Limits) -> None:
        self.home = home  # scheme://host[:port]
        self._clients = clients
        self._insecure = insecure
        self._limits = limits
        self._opened: dict[tuple[bool, str], httpx.AsyncClient] = {}
        self._home_is_private = False

    def is_home(self, url: str) -> bool:
        return _origin(url) == _origin(self.home) is not None

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: Content | None = None,
        *,
        follow: bool = True,
        trusted: str = "",
    ) -> AsyncIterator[httpx.Response]:
        """The response to a request, with its body still to be read; redirects are followed if asked for.

        An Authorization header goes to home, and to the very URL `trusted`, and nowhere else. The
        redirects that led to the response are its `history`.

        Raises:
            Unreachable: nobody answers.
            Transient: the connection broke, or was silent for too long.
            RegistryError: we were sent where we do not go.
        """
        history: list[httpx.Response] = []
        while len(history) <= MAX_REDIRECTS:
            may_know = self.is_home(url) or url == trusted
            sent = {name: value for name, value in headers.items() if name != "Authorization" or may_know}
            response = await self._send(method, url, sent, content)
            try:
                if not (follow and response.has_redirect_location):
                    response.history = history
                    yield response
                    return
                history.append(response)
                url = self.redirected(url, response.headers["Location"])
            except httpx.TransportError as error:
                raise _explained(error, url) from error
            finally:
                await response.aclose()
        raise RegistryError(f"more than {MAX_REDIRECTS} redirects")

    async def _send(self, method: str, url: str, headers: Mapping[str, str], content: Content | None) -> httpx.Response:
        try:
            client = await self._client(url)
            # Without compression: what is measured, resumed and hashed are the bytes themselves.
            host = httpx.URL(url).netloc.decode("ascii")
            headers = {"Host": host, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
            request = httpx.Request(method, url, headers=headers, stream=content() if content else None)
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise Unreachable(f"cannot reach {urlsplit(url).netloc}: {_text(error)}") from error
        except httpx.TransportError as error:
            raise _explained(error, url) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
            raise RegistryError(f"invalid URL {url!r}: {error}") from error

    def redirected(self, url: str, location: str) -> str:
        """Where a redirect leads; RegistryError if that is nowhere we go."""
        try:
            target = urljoin(url, location)
            scheme, host = urlsplit(target).scheme, urlsplit(target).hostname
        except ValueError as error:
            raise RegistryError(f"redirected to {location!r}, which is no URL") from error
        if scheme not in ("http", "https") or not host or not is_plain(target):
            raise RegistryError(f"redirected to {target!r}, which is neither http nor https")
        if scheme == "http" and url.startswith("https:") and not self._insecure:
            raise RegistryError(f"redirected from {urlsplit(url).netloc} to {target!r}, which is not encrypted")
        return target

    def _check_home(self, host: str, addresses: list[Address]) -> None:
        _check_somewhere(host, addresses)
        self._home_is_private = not any(map(is_public, addresses))

    def _check_away(self, host: str, addresses: list[Address]) -> None:
        _check_somewhere(host, addresses)
        if not (self._insecure or self._home_is_private or all(map(is_public, addresses))):
            raise RegistryError(f"{urlsplit(self.home).netloc} redirects to {host}, which is a private address")

    async def _client(self, url: str) -> httpx.AsyncClient:
        proxy = proxy_for(url)
        key = self.is_home(url), proxy
        if proxy:
            # The proxy resolves names itself; what can be seen from here is an address in the URL.
            self._check_literal(url)
        if key not in self._opened:
            self._opened[key] = await self._clients.enter_async_context(self._new_client(*key))
        return self._opened[key]

    def _check_literal(self, url: str) -> None:
        if addresses := literal_addresses(urlsplit(url).hostname or ""):
            (self._check_home if self.is_home(url) else self._check_away)(url, addresses)

    def _new_client(self, is_home: bool, proxy: str) -> httpx.AsyncClient:
        guard = GuardedBackend(self._check_home if is_home else self._check_away)
        transport = (
            httpx.AsyncHTTPTransport(verify=not self._insecure, proxy=proxy)
            if proxy
            else _GuardedTransport(guard, self._insecure)
        )
        return httpx.AsyncClient(
            transport=transport, trust_env=False, timeout=httpx.Timeout(self._limits.stall, pool=None)
        )


@asynccontextmanager
async def open_network(home: str, *, insecure: bool, limits: Limits) -> AsyncIterator[Network]:
    """HTTP to the registry `home` (scheme://host[:port]); `insecure` lets it redirect to anything."""
    async with AsyncExitStack() as clients:
        yield Network(home, clients, insecure=insecure, limits=limits)


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport, over connections to checked addresses."""

    def __init__(self, guard: GuardedBackend, insecure: bool) -> None:
        super().__init__(verify=not insecure)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(verify=not insecure), network_backend=guard, max_connections=None
        )


@asynccontextmanager
async def body_of(response: httpx.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body's bytes as they come; it may be left before they end.

    httpx reads through several generators, one inside the other. Left half-way they would be finished some time
    later by the garbage collector, about which trio complains; so they are run into the closed connection.
    """
    chunks = response.aiter_raw()
    try:
        yield chunks
    finally:
        await response.aclose()
        with suppress(httpx.HTTPError, httpx.StreamError):
            async for _ in chunks:
                pass


async def read_small(response: httpx.Response, limit: int = MAX_BODY) -> bytes:
    """The whole body; RegistryError if it has more bytes than that, or is compressed."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise RegistryError(f"{response.url.host} answers compressed, though it was asked not to")
    body = bytearray()
    async with body_of(response) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit:
                raise RegistryError(f"{response.url.host} answers with more than {limit} bytes")
    return bytes(body)


def proxy_for(url: str) -> str:
    """The proxy to use for a URL by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, or ""."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    is_local = host == "localhost" or any(address.is_loopback for address in literal_addresses(host))
    if not proxy or is_local or urllib.request.proxy_bypass(parts.netloc):
        return ""
    if "://" not in proxy:
        return f"http://{proxy}"
    if not proxy.startswith(PROXIES):
        raise RegistryError(f"proxies of this kind are not supported: {proxy.partition('://')[0]}")
    return proxy


def literal_addresses(host: str) -> list[Address]:
    """The address that a host in a URL is by itself ("10.0.0.1", "0x7f.1", "::1"), or nothing if it is a name."""
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        return [ipaddress.IPv4Address(socket.inet_aton(host))]
    except (OSError, ValueError):
        return []


def is_plain(url: str) -> bool:
    """Is it without the characters over which readers of URLs differ?"""
    return url.isascii() and url.isprintable() and not set(url) & set(" \\")


def _check_somewhere(host: str, addresses: list[Address]) -> None:
    if any(map(is_nowhere, addresses)):
        raise RegistryError(f"{host} is an address where no registry is")


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port, as the client that will connect reads them; two readers may differ over an odd URL."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    return parsed.scheme, parsed.raw_host.decode().lower(), parsed.port or {"http": 80, "https": 443}.get(parsed.scheme)


def _explained(error: httpx.TransportError, url: str) -> Transient:
    host = urlsplit(url).netloc
    if isinstance(error, httpx.TimeoutException):
        return Transient(f"{host} was silent for too long")
    return Transient(f"the connection to {host} broke: {_text(error)}")


def _text(error: BaseException) -> str:
    """What it says, or what the one says that caused it: "certificate verify failed" lies some way down."""
    while not str(error) and (error.__cause__ or error.__context__):
        error = error.__cause__ or error.__context__ or error
    if "WRONG_VERSION_NUMBER" in str(error):  # OpenSSL's word for whatever is not TLS
        return "it does not speak HTTPS; plain HTTP is for those who say insecure"
    return str(error) or type(error).__name__
