"""Over an encrypted line."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from power.errors import RegistryError
from power.store import Store
from tests.store.conftest import Shelf
from tests.store.moving import pulled
from tests.store.registries import FakeRegistry


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """For 127.0.0.1, with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day).add_extension(here, False)
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(encoding)
        + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)
    )
    return path


@pytest.fixture
def name(store: Store, shelf: Shelf, fake: FakeRegistry, certificate: Path) -> str:
    """A model of the fake registry, which speaks TLS."""
    path = shelf.model(f"{fake.host}/team/model/v1", ("license", "x" * 20_000))
    fake.manifests["team/model:v1"] = path.read_bytes()
    fake.blobs = {p.name.replace("-", ":"): p.read_bytes() for p in shelf.models_dir.glob("blobs/*")}
    store.delete(f"{fake.host}/team/model:v1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    fake.socket = context.wrap_socket(fake.socket, server_side=True)
    return f"{fake.host}/team/model:v1"


async def test_a_pull_checks_who_is_there(store: Store, name: str) -> None:
    with pytest.raises(RegistryError, match=r"cannot reach .*certificate"):
        await pulled(store, name, insecure=False)
    with pytest.raises(RegistryError, match=r"cannot reach .*certificate"):
        await pulled(store, f"https://{name}", insecure=False)


async def test_a_pull_from_somebody_we_trust(
    store: Store, name: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    await pulled(store, name, insecure=False)

    assert store.find(name).licenses == ("x" * 20_000,)


async def test_insecure_with_https_does_not_ask_who_is_there(store: Store, name: str) -> None:
    await pulled(store, f"https://{name}")

    assert store.find(name).licenses == ("x" * 20_000,)
