"""Which addresses a pull or push may connect to.

A name may be made by a stranger, and so may the redirect of a registry: neither
may turn this server into a hand that reaches into the network behind it (SSRF).

- The registry that was *named* may be anywhere, since people keep registries at
  home; but not at a link-local address, where clouds keep their secrets.
- Where a registry *sends* us must be a public address, unless the registry is
  itself at a private one or the user said `insecure`.

A host's name is resolved once, every address checked, and the connection made
to the very address that was checked: an answer that changes between the check
and the connection (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import httpcore
import trio

from power.errors import RegistryError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

READ = 2**18  # bytes

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in an IPv6 one


def real(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """May anybody's server be there?"""
    address = real(address)
    return address.is_global and not address.is_multicast


def is_nowhere(address: Address) -> bool:
    """Can no registry be there? Link-local (with the clouds' metadata services), multicast and the like."""
    address = real(address)
    return address.is_link_local or address.is_multicast or address.is_unspecified


async def resolve(host: str, port: int) -> list[Address]:
    """Every address of a host name, as the system resolves it ("2130706433" is one, too)."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"cannot resolve {host}: {error}") from error
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


Check = Callable[[str, list[Address]], None]
"""Raises RegistryError if the host of these addresses may not be connected to."""


class _WideStream(httpcore.AsyncNetworkStream):
    """A connection of which more is read at a time.

    httpcore asks for 64 KiB, each of which passes through a dozen functions: on a busy machine that, not the
    line, decided how fast a download was.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max(max_bytes, READ), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _WideStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to nothing but addresses that were checked."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._trio = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await resolve(host, port)
        self._check(host, addresses)
        error: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                stream = await self._trio.connect_tcp(str(address), port, timeout, local_address, socket_options)
                return _WideStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise RegistryError("a registry is not a socket file")

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)
