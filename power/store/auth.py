"""Who we are to a registry: an ed25519 key, and the tokens it earns.

The key is OpenSSH's, `id_ed25519` and `id_ed25519.pub` in the data folder, made
when it is first needed.  It signs what is asked of the host that gives out
tokens; the private half leaves the disk in no form.

A registry answers 401 with a challenge that names where to get a token (RFC
6750, and the "token authentication" of the Docker registry).  Whoever can
answer 401 could name any place, and have our signature sent there (CVE-2025-51471
in Ollama): the place must be the registry itself, or one that the user allowed.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from power.errors import RegistryError, StoreError
from power.store.files import explained, sync_directory, write_whole

FILE = "id_ed25519"
EMPTY = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()

# Token services that are not at their registry's own address, and known to be its.
KNOWN_REALMS = {"registry-1.docker.io": ("auth.docker.io",)}


class Key:
    """An ed25519 key pair."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @property
    def public_line(self) -> str:
        """`ssh-ed25519 AAAA…`, as in the `.pub` file."""
        openssh = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        return self._private.public_key().public_bytes(*openssh).decode()

    @property
    def public_base64(self) -> str:
        return self.public_line.split()[1]

    def sign(self, text: str) -> str:
        """The header `<public key>:<signature>`, both base64."""
        return f"{self.public_base64}:{base64.b64encode(self._private.sign(text.encode())).decode()}"

    def connect_url(self, hostname: str) -> str:
        """Where a person ties this key to an account."""
        key = base64.urlsafe_b64encode(self.public_line.encode()).decode().rstrip("=")
        return f"https://ollama.com/connect?name={quote(hostname, safe='')}&key={key}"


def load_key(data_dir: Path) -> Key:
    """The key of the data folder, which is made if it is not there.

    Raises:
        StoreError: it cannot be read or written, or is none.
    """
    path = data_dir / FILE
    with explained(f"use the key {path}", data_dir):
        if not path.exists():
            _write_new(path)
            write_whole(path.with_suffix(".pub"), BytesIO(f"{_read(path).public_line}\n".encode()))
        return _read(path)


def _read(path: Path) -> Key:
    try:
        private = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise StoreError(f"the key {path} cannot be used: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StoreError(f"the key {path} cannot be used: it is not an ed25519 key")
    return Key(private)


def _write_new(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{FILE}.{secrets.token_hex(4)}")
    try:
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(pem)
            os.fsync(file.fileno())
        # A link, since it does not replace: of two who do this at once, both use the first one's.
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)


class Challenge(msgspec.Struct, frozen=True):
    """What a 401 asks for."""

    realm: str  # URL that gives tokens
    service: str = ""
    scopes: tuple[str, ...] = ()

    def url(self, now: float | None = None, nonce: str | None = None) -> str:
        """The realm with its questions, dated and numbered so that no answer fits twice."""
        query = [("service", self.service), *(("scope", scope) for scope in self.scopes)]
        query.append(("ts", str(int(time.time() if now is None else now))))
        query.append(("nonce", nonce or base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")))
        return f"{self.realm}{'&' if urlsplit(self.realm).query else '?'}{urlencode(query)}"

    def check(self, registry_url: str, allowed: Iterable[str] = ()) -> None:
        """Is the realm somewhere our signature may go? RegistryError if not.

        It may go to the registry's own `host[:port]`, and to those allowed, and never
        from an encrypted registry over a line that is not.
        """
        realm, registry = urlsplit(self.realm), urlsplit(registry_url)
        hosts = {registry.netloc.lower(), *(host.lower() for host in allowed)}
        hosts.update(KNOWN_REALMS.get(registry.netloc.lower(), ()))
        if realm.netloc.lower() not in hosts:
            raise RegistryError(f'realm host "{realm.netloc}" does not match original host "{registry.netloc}"')
        if realm.scheme != "https" and realm.scheme != registry.scheme:
            raise RegistryError(f'realm "{self.realm}" is not encrypted, and the registry is')


_PAIR = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


def parse_challenge(header: str) -> Challenge | None:
    """The `WWW-Authenticate` header's bearer challenge, or None if it has none."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    said = {match[1].lower(): match[2] if match[2] is not None else match[3] for match in _PAIR.finditer(rest[:4096])}
    realm = said.get("realm", "")
    if not realm.startswith(("http://", "https://")) or not realm.isascii() or not realm.isprintable():
        return None
    try:
        urlsplit(realm)
    except ValueError:  # an address in brackets that is none
        return None
    return Challenge(realm, said.get("service", ""), tuple(said.get("scope", "").split()))


def key_for(data_dir: Path, url: str, method: str = "GET") -> str:
    """The Authorization header for a request to a realm."""
    return load_key(data_dir).sign(f"{method},{url},{EMPTY}")
