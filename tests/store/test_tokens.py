"""A real registry that wants tokens, the service that gives them to our key, and the key itself."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from power.errors import RegistryError, StoreError
from power.store import Store
from power.store.auth import load_key
from power.store.limits import Limits
from tests.store.conftest import Shelf
from tests.store.moving import QUICK, pulled, pushed
from tests.store.registries import docker_registry, in_thread

SERVICE = "test-registry"
ISSUER = "test-issuer"


def encode(value: bytes | dict[str, Any]) -> str:
    data = json.dumps(value).encode() if isinstance(value, dict) else value
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class TokenServer(ThreadingHTTPServer):
    """Gives a token to whoever signs the question with an ed25519 key; pushing only to the keys it knows."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TokenHandler)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.may_push: set[str] = set()
        self.n_given = 0
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(name, name, self._key.public_key(), 1, now - day, now + day)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())

    def token(self, scopes: list[str], may_push: bool) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 2)
            allowed = [action for action in actions.split(",") if may_push or action == "pull"]
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        claims = {"iss": ISSUER, "sub": "", "aud": SERVICE, "exp": now + 60, "nbf": now - 60, "iat": now}
        signed = f"{encode(head)}.{encode({**claims, 'jti': str(self.n_given), 'access': access})}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"


class _TokenHandler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        url = f"http://{self.headers['Host']}{self.path}"
        key, _, signature = self.headers.get("Authorization", ":").partition(":")
        body = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
        # The key is OpenSSH's wire format: its last 32 bytes are the point.
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[-32:])
        public.verify(base64.b64decode(signature), f"GET,{url},{body}".encode())
        query = parse_qs(urlsplit(self.path).query)
        assert query["service"] == [SERVICE]
        assert abs(int(query["ts"][0]) - time.time()) < 60
        assert len(query["nonce"][0]) == 22
        self.server.n_given += 1
        answer = json.dumps({"token": self.server.token(query.get("scope", []), key in self.server.may_push)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def token_server() -> AbstractContextManager[TokenServer]:
    return in_thread(TokenServer())


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with token_server() as server:
        yield server


@pytest.fixture
def host(tokens: TokenServer, tmp_path: Path) -> Iterator[str]:
    bundle = tmp_path / "root.pem"
    bundle.write_bytes(tokens.certificate.public_bytes(serialization.Encoding.PEM))
    realm = f"http://{tokens.host}/token"
    auth = f"auth: {{token: {{realm: '{realm}', service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: '{bundle}'}}}}"
    with docker_registry(tmp_path / "registry", auth) as host:
        yield host


async def test_a_model_goes_to_a_registry_with_tokens_and_comes_back(
    store: Store, shelf: Shelf, tokens: TokenServer, host: str
) -> None:
    path = shelf.model(f"{host}/team/model/v1", ("system", "Be brief."))
    before = path.read_bytes()
    tokens.may_push.add(load_key(store.data_dir).public_base64)
    limits = Limits(backoff=0.01, realms=(tokens.host,))

    await pushed(store, f"{host}/team/model:v1", limits=limits)
    n_given = tokens.n_given
    store.delete(f"{host}/team/model:v1")
    await pulled(store, f"{host}/team/model:v1", limits)

    assert path.read_bytes() == before
    assert store.find(f"{host}/team/model:v1").system == "Be brief."
    assert n_given < 5
    assert tokens.n_given == n_given + 1


async def test_a_key_that_may_not_push_is_told_so(store: Store, shelf: Shelf, tokens: TokenServer, host: str) -> None:
    shelf.model(f"{host}/team/model/v1")

    with pytest.raises(RegistryError, match=r"^unauthorized: access denied$"):
        await pushed(store, f"{host}/team/model:v1", limits=Limits(backoff=0.01, realms=(tokens.host,)))


async def test_a_token_service_elsewhere_has_to_be_allowed(
    store: Store, shelf: Shelf, tokens: TokenServer, host: str
) -> None:
    shelf.model(f"{host}/team/model/v1")

    with pytest.raises(RegistryError, match=f'^realm host "{tokens.host}" does not match original host "{host}"$'):
        await pushed(store, f"{host}/team/model:v1", limits=QUICK)
    assert tokens.n_given == 0


def test_the_key_is_made_once_and_is_opensshs(tmp_path: Path) -> None:
    key = load_key(tmp_path / "data")

    path = tmp_path / "data/id_ed25519"
    assert path.read_bytes().startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "data/id_ed25519.pub").read_text() == f"{key.public_line}\n"
    assert key.public_line == f"ssh-ed25519 {key.public_base64}"
    assert load_key(tmp_path / "data").public_line == key.public_line
    assert [entry.name for entry in (tmp_path / "data").iterdir() if entry.name[0] == "."] == []


def test_the_place_to_connect_an_account_names_the_key(tmp_path: Path) -> None:
    key = load_key(tmp_path)

    url = urlsplit(key.connect_url("my host"))

    assert url.query.startswith("name=my%20host&key=")
    encoded = parse_qs(url.query)["key"][0]
    assert base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode() == key.public_line


def test_a_file_that_is_no_such_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_text("nonsense")
    with pytest.raises(StoreError, match="id_ed25519 cannot be used"):
        load_key(tmp_path)

    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    (tmp_path / "id_ed25519").write_bytes(other)
    with pytest.raises(StoreError, match="not an ed25519 key"):
        load_key(tmp_path)
