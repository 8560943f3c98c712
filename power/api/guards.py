"""Who may talk to the server: the Host header and web origins.

A page on the web can make a browser send requests to a server on this machine.
Two things are in its way.  CORS: what comes with an Origin is answered only if
that origin is allowed.  And against DNS rebinding, where the page's own name
suddenly means 127.0.0.1: a server that listens on the loopback only takes
requests whose Host is a name of this machine.  The lists are Ollama's
(server/routes.go, `allowedHost`; envconfig, `AllowedOrigins`).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from functools import lru_cache

from power.api.encode import Response, text_response
from power.api.requests import Request
from power.config import Config

LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")
LOCAL_ORIGINS = (
    *(f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in LOCAL_HOSTS for port in ("", ":*")),
    "app://*",
    "file://*",
    "tauri://*",
    "vscode-webview://*",
    "vscode-file://*",
)
LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
STAINLESS = (
    "arch async custom-poll-interval helper-method lang os package-version poll-helper retry-count runtime "
    "runtime-version timeout"
)
HEADERS = ", ".join(
    [
        *("Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With", "OpenAI-Beta"),
        *(f"x-stainless-{name}" for name in STAINLESS.split()),
    ]
)
MAX_AGE = str(12 * 3600)  # seconds a browser may remember a preflight's answer


class Guards:
    """Refuses requests before they are looked at, and marks the answers browsers may show."""

    def __init__(self, config: Config) -> None:
        self._checks_host = config.is_loopback
        self._allows_all = "*" in config.origins
        self._origin = _pattern([*LOCAL_ORIGINS, *config.origins])

    def check(self, request: Request) -> Response | None:
        """The answer to a request that goes no further, or None."""
        headers = request.headers
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if self._checks_host and not is_local_host(host):
            return text_response("", 403)
        if origin and not _is_same(origin, host) and not self.allows(origin):
            return text_response("", 403)
        if request.method == "OPTIONS":
            return text_response("", 204, _preflight_headers())
        return None

    def mark(self, request: Request, response: Response) -> None:
        """Let the origin's page read the response."""
        headers = request.headers
        origin = headers.get("Origin")
        if origin is None or _is_same(origin, headers.get("Host", "")) or not self.allows(origin):
            return
        response.headers["Access-Control-Allow-Origin"] = "*" if self._allows_all else origin
        response.headers["Vary"] = "Origin"

    def allows(self, origin: str) -> bool:
        return self._allows_all or self._origin.fullmatch(origin) is not None


@lru_cache(maxsize=64)  # clients say the same few names again and again
def is_local_host(header: str) -> bool:
    """Is this Host header's name one of this machine, or of its own network?"""
    name = _without_port(header).lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name in ("", "localhost", socket.gethostname().lower()) or name.endswith(LOCAL_SUFFIXES)
    return address.is_loopback or address.is_private or address.is_unspecified


def _without_port(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if header.count(":") == 1 else header


def _is_same(origin: str, host: str) -> bool:
    return origin in (f"http://{host}", f"https://{host}")


def _pattern(origins: Iterable[str]) -> re.Pattern[str]:
    """Of any of the origins; a `*` inside one stands for anything, but for a port where only a port can be."""
    patterns = (re.sub(r"(?<=:)\.\*$", r"\\d+", re.escape(origin).replace(r"\*", ".*")) for origin in origins)
    return re.compile("|".join(patterns), re.IGNORECASE)


def _preflight_headers() -> dict[str, str]:
    return {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": HEADERS,
        "Access-Control-Max-Age": MAX_AGE,
    }
