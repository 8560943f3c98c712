"""What a hostile registry, name or redirect may try (CVE numbers are Ollama's)."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from power.config import Config
from power.errors import BadRequest, PowerError, RegistryError
from power.store import Store, blob_path, open_store
from power.store.addresses import is_nowhere, is_public, real
from power.store.auth import KNOWN_REALMS, Challenge, parse_challenge
from power.store.network import literal_addresses, open_network, proxy_for
from power.store.sources import source_of
from tests.store.conftest import Shelf
from tests.store.moving import QUICK, pulled, pushed
from tests.store.registries import FakeRegistry, Handler, fake_registry


@pytest.fixture
def model(store: Store, shelf: Shelf, fake: FakeRegistry) -> str:
    """A model that the fake registry has and the store has not."""
    name = f"{fake.host}/team/model:v1"
    path = shelf.model(f"{fake.host}/team/model/v1", ("system", "Be brief."))
    fake.manifests["team/model:v1"] = path.read_bytes()
    fake.blobs = {p.name.replace("-", ":"): p.read_bytes() for p in shelf.models_dir.glob("blobs/*")}
    store.delete(name)
    return name


@pytest.fixture
def public() -> Iterator[None]:
    """The fake registry's address counts as a public one; any other is what it is."""
    here = ipaddress.ip_address("127.0.0.1")
    with patch("power.store.network.is_public", lambda address: address == here or is_public(address)):
        yield


def redirect(fake: FakeRegistry, to: str, status: int = 307) -> None:
    def fault(request: Handler) -> bool:
        if "blobs" not in request.path:
            return False
        request.answer(status, Location=to + request.path)
        return True

    fake.fault = fault


# SSRF (CVE-2026-5530)


@pytest.mark.parametrize(
    "target",
    [
        *("http://127.0.0.2", "http://10.0.0.1", "http://192.168.1.1", "http://[::1]", "http://[::ffff:10.0.0.1]"),
        *("http://2130706434", "http://0x7f000002", "http://127.2", "http://[64:ff9b::a00:1]", "http://[fc00::1]"),
        *("http://169.254.169.254", "http://[fe80::1]", "http://0.0.0.0", "http://100.64.0.1", "http://[2002:a00:1::]"),
    ],
)
async def test_a_public_registry_cannot_send_us_into_the_network_behind_us(
    fake: FakeRegistry, public: None, target: str
) -> None:
    fake.fault = lambda request: request.answer(307, Location=f"{target}/secret")

    async with open_network(f"http://{fake.host}", insecure=False, limits=QUICK) as network:
        with pytest.raises(RegistryError, match=r"private address|no registry is"):
            async with network.open("GET", f"http://{fake.host}/v2/x", {}):
                pass


async def test_a_registry_at_home_may_send_us_to_another_machine_at_home(
    store: Store, fake: FakeRegistry, model: str
) -> None:
    with fake_registry() as other:
        other.blobs = fake.blobs
        redirect(fake, f"http://{other.host}")

        await pulled(store, model)

        assert other.requests("GET", "blobs")


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "http://", "http://[", "javascript:1"]
)
async def test_a_redirect_leads_to_http_or_nowhere(store: Store, fake: FakeRegistry, model: str, to: str) -> None:
    fake.fault = lambda request: request.answer(307, Location=to)

    with pytest.raises(RegistryError):
        await pulled(store, model)


async def test_redirects_come_to_an_end(store: Store, fake: FakeRegistry, model: str) -> None:
    redirect(fake, "")

    with pytest.raises(RegistryError, match=r"more than 10 redirects"):
        await pulled(store, model)


async def test_an_encrypted_registry_cannot_send_us_to_one_that_is_not() -> None:
    async with open_network("https://registry.example", insecure=False, limits=QUICK) as network:
        with pytest.raises(RegistryError, match=r"not encrypted"):
            network.redirected("https://registry.example/x", "http://registry.example/x")
        assert network.redirected("https://registry.example/x", "/y") == "https://registry.example/y"


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "[fe80::1]", "0.0.0.0"])
async def test_not_even_by_name_are_we_sent_to_where_clouds_keep_their_secrets(host: str) -> None:
    async with open_network(f"http://{host}", insecure=True, limits=QUICK) as network:
        with pytest.raises(RegistryError, match=r"no registry is"):
            async with network.open("GET", f"http://{host}/latest/meta-data", {}):
                pass


async def test_the_address_that_was_checked_is_the_one_connected_to(fake: FakeRegistry) -> None:
    answers = iter(["127.0.0.1", "10.0.0.1"])  # the second answer, had anybody asked again

    async def resolve(host: str, port: int) -> list[ipaddress.IPv4Address]:
        return [ipaddress.IPv4Address(next(answers))]

    _, _, port = fake.host.partition(":")
    with patch("power.store.addresses.resolve", resolve):
        async with open_network(f"http://rebinding.example:{port}", insecure=False, limits=QUICK) as network:
            async with network.open("GET", f"http://rebinding.example:{port}/v2/", {}) as response:
                pass

    assert response.status_code == 404
    assert fake.seen[0][2]["Host"] == f"rebinding.example:{port}"
    assert next(answers) == "10.0.0.1"


@given(st.integers(0, 2**32 - 1))
def test_an_address_in_another_guise_is_judged_as_itself(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    guises = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
        *literal_addresses(str(number)),
        *literal_addresses(hex(number)),
    ]

    assert {real(guise) for guise in guises} == {address}
    assert {is_public(guise) for guise in guises} == {is_public(address)}
    assert {is_nowhere(guise) for guise in guises} == {is_nowhere(address)}


# Credentials


def token_needed(fake: FakeRegistry, realm: str) -> None:
    """The registry wants the token that its own /token gives."""

    def fault(request: Handler) -> bool:
        if request.path.startswith("/token"):
            request.answer(200, b'{"token": "secret"}')
        elif request.headers.get("Authorization") != "Bearer secret":
            request.answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="here",scope="a b"')
        else:
            return False
        return True

    fake.fault = fault


async def test_a_token_is_earned_with_the_key_and_asked_for_once(store: Store, fake: FakeRegistry, model: str) -> None:
    token_needed(fake, f"http://{fake.host}/token?x=1")

    await pulled(store, model)

    asked = fake.requests("GET", "/token")
    assert len(asked) == 1
    assert asked[0][1].startswith("/token?x=1&service=here&scope=a&scope=b&ts=")
    assert asked[0][2]["Authorization"].startswith("AAAAC3NzaC1lZDI1NTE5")


@pytest.mark.parametrize("realm", ["http://{other}/token", "http://{home}@{other}/token", "http://{other}#{home}"])
async def test_our_signature_goes_to_no_stranger(store: Store, fake: FakeRegistry, model: str, realm: str) -> None:
    """CVE-2025-51471."""
    with fake_registry() as other:
        token_needed(fake, realm.format(other=other.host, home=fake.host))

        with pytest.raises(RegistryError, match=r"does not match original host"):
            await pulled(store, model)

        assert other.seen == []


async def test_our_signature_goes_where_the_user_allows_it(shelf: Shelf, fake: FakeRegistry, model: str) -> None:
    with fake_registry() as other:
        other.fault = lambda request: request.answer(200, b'{"access_token": "secret"}')
        token_needed(fake, f"http://{other.host}/token")
        config = Config(
            data_dir=shelf.models_dir.parent, models_dir=shelf.models_dir, registry_realms=(other.host.upper(),)
        )

        async with open_store(config) as store:
            await pulled(store, model, store.limits)

        assert len(other.seen) == 1


async def test_a_redirect_to_another_host_takes_no_token_along(store: Store, fake: FakeRegistry, model: str) -> None:
    with fake_registry() as other:
        other.blobs = fake.blobs
        token_needed(fake, f"http://{fake.host}/token")
        ask = fake.fault
        assert ask is not None

        def fault(request: Handler) -> bool:
            if ask(request):
                return True
            if "blobs" in request.path:
                request.answer(307, Location=f"http://{other.host}{request.path}")
                return True
            return False

        fake.fault = fault

        await pulled(store, model)

        assert other.seen
        assert not any("Authorization" in headers for _, _, headers in other.seen)


async def test_a_part_that_is_sent_elsewhere_takes_no_token_along(
    store: Store, shelf: Shelf, fake: FakeRegistry
) -> None:
    shelf.model(f"{fake.host}/team/up/v1")
    with fake_registry() as other:
        other.fault = lambda request: bool(request.body()) and request.answer(200)
        token_needed(fake, f"http://{fake.host}/token")
        ask = fake.fault
        assert ask is not None

        def fault(request: Handler) -> bool:
            if ask(request):
                return True
            if request.command == "PATCH":
                fake.uploads[request.path.rpartition("/")[2]] += request.body()
                request.answer(307, Location=f"http://{other.host}/bucket")
                return True
            return False

        fake.fault = fault

        await pushed(store, f"{fake.host}/team/up:v1")

        assert other.seen
        assert not any("Authorization" in headers for _, _, headers in other.seen)


async def test_a_registry_that_is_never_content_is_given_up(store: Store, fake: FakeRegistry, model: str) -> None:
    token_needed(fake, f"http://{fake.host}/token")
    ask = fake.fault
    assert ask is not None
    challenge = f'Bearer realm="http://{fake.host}/token"'
    fake.fault = lambda request: (
        ask(request) if "/token" in request.path else request.answer(401, WWW_Authenticate=challenge)
    )

    with pytest.raises(RegistryError, match=r"unauthorized: access denied"):
        await pulled(store, model)
    assert len(fake.seen) == 3


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"token": "a\\nb"}', b"{" * 10**5, b'{"token": 1}'])
async def test_a_token_that_is_none_is_refused(store: Store, fake: FakeRegistry, model: str, answer: bytes) -> None:
    token_needed(fake, f"http://{fake.host}/token")
    ask = fake.fault
    assert ask is not None
    fake.fault = lambda request: request.answer(200, answer) if "/token" in request.path else ask(request)

    with pytest.raises(RegistryError):
        await pulled(store, model)


def test_an_encrypted_registry_has_no_token_service_that_is_not() -> None:
    with pytest.raises(RegistryError, match=r"not encrypted"):
        Challenge("http://registry.example/token").check("https://registry.example")
    Challenge("https://registry.example/token").check("https://registry.example")
    for registry, (realm,) in KNOWN_REALMS.items():
        Challenge(f"https://{realm}/token").check(f"https://{registry}")


@given(st.text())
def test_any_challenge_is_read_or_passed_over(text: str) -> None:
    for header in (text, f"Bearer {text}", f'Bearer realm="https://{text}"'):
        challenge = parse_challenge(header)
        if challenge is not None:
            try:
                challenge.check("https://registry.example")
            except RegistryError:
                continue
            assert challenge.realm.lower().startswith("https://registry.example")


# Paths (CVE-2024-37032, CVE-2026-7020)


class Unread:
    """Chunks that nobody may read."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError


EVIL = ["..", "../..", "/etc/passwd", "a\0b", "%2e%2e", "..\\..", ".", "~", "a" * 10_000, "a/../b", "con\n", "\ud800"]


@given(st.text() | st.sampled_from(EVIL) | st.lists(st.sampled_from([*EVIL, "a", "/", ":", "://"])).map("".join))
def test_whatever_is_asked_for_stays_in_the_store(text: str) -> None:
    models_dir = Path("/models")
    store = Store(models_dir)
    paths = []
    places: tuple[Callable[[], Path], ...] = (
        lambda: blob_path(models_dir, text),
        lambda: blob_path(models_dir, f"sha256:{text}"),
        lambda: store.manifests.path(source_of(text, insecure=True).name),
        lambda: store.manifests.path(source_of(f"http://h/{text}.gguf", insecure=True).name),
        lambda: store.manifests.path(source_of(f"h/n/{text}", insecure=True).name),
    )
    for make in places:
        try:
            paths.append(make())
        except BadRequest:
            continue

    for path in paths:
        assert path.is_relative_to(models_dir)
        assert ".." not in path.parts
        assert len(path.relative_to(models_dir).parts) in (2, 5)


@pytest.mark.parametrize("evil", EVIL)
async def test_no_route_into_the_store_takes_a_path(store: Store, shelf: Shelf, evil: str) -> None:
    shelf.model("registry.ollama.ai/library/good/latest")
    before = sorted(shelf.models_dir.parent.rglob("*"))

    calls: tuple[Callable[[], object], ...] = (
        lambda: store.delete(evil),
        lambda: store.copy("good", evil),
        lambda: store.copy(evil, "copy"),
        lambda: store.has_blob(evil),
        lambda: store.open_blob(f"sha256:{evil}"),
        lambda: store.delete_blob(f"sha256-{evil}"),
        lambda: store.hold([evil]),
    )
    for call in calls:
        with pytest.raises(PowerError):
            call()
    with pytest.raises(BadRequest):
        await store.put_blob(Unread(), f"sha256:{evil}")

    assert sorted(shelf.models_dir.parent.rglob("*")) == before


async def test_a_part_that_is_a_link_is_not_followed(
    store: Store, fake: FakeRegistry, model: str, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for digest in fake.blobs:
        (store.blobs.folder / f"{digest.replace(':', '-')}-partial").symlink_to(victim)
    store.blobs.folder.mkdir(exist_ok=True)

    await pulled(store, model)

    assert victim.read_bytes() == b"precious"


# Proxies


def test_proxies_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert proxy_for("https://registry.example/v2/") == ""

    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "internal.example")

    assert proxy_for("https://registry.example/v2/") == "http://proxy.example:3128"
    assert proxy_for("https://a.internal.example/v2/") == ""
    assert proxy_for("https://127.0.0.1:5000/v2/") == ""
    assert proxy_for("http://registry.example/v2/") == ""
    monkeypatch.setenv("ALL_PROXY", "socks5h://proxy.example:1080")
    assert proxy_for("http://registry.example/v2/") == "socks5h://proxy.example:1080"
    monkeypatch.setenv("ALL_PROXY", "socks4://proxy.example")
    with pytest.raises(RegistryError, match=r"socks4"):
        proxy_for("http://registry.example/v2/")


async def test_a_pull_goes_through_the_proxy(
    store: Store, fake: FakeRegistry, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy for plain HTTP gets the whole URL; the fake registry answers it as if it were the host."""
    monkeypatch.setenv("HTTP_PROXY", f"http://{fake.host}")
    monkeypatch.setenv("NO_PROXY", "")

    def strip(request: Handler) -> bool:
        request.path = request.path.removeprefix("http://registry.example")
        return False

    fake.fault = strip

    await pulled(store, "registry.example/team/model:v1")

    assert store.find("registry.example/team/model:v1").system == "Be brief."
    assert fake.seen[0][1] == "http://registry.example/v2/team/model/manifests/v1"


async def test_a_pull_goes_through_a_socks_proxy(
    store: Store, fake: FakeRegistry, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given the host's name, and not an address: what a name means is the proxy's to know."""
    asked: list[str] = []

    async def relay(stream: trio.SocketStream) -> None:
        async with stream:
            assert await read_exactly(stream, 3) == b"\x05\x01\x00"  # version 5, one method: no password
            await stream.send_all(b"\x05\x00")
            assert await read_exactly(stream, 4) == b"\x05\x01\x00\x03"  # connect, to a name
            name = await read_exactly(stream, (await read_exactly(stream, 1))[0])
            asked.append(f"{name.decode()}:{int.from_bytes(await read_exactly(stream, 2))}")
            await stream.send_all(b"\x05\x00\x00\x01" + bytes(6))
            host, _, port = fake.host.partition(":")
            async with await trio.open_tcp_stream(host, int(port)) as upstream, trio.open_nursery() as nursery:
                nursery.start_soon(pump, upstream, stream, nursery.cancel_scope)
                nursery.start_soon(pump, stream, upstream, nursery.cancel_scope)

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, relay, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")

        await pulled(store, "registry.example/team/model:v1")

        nursery.cancel_scope.cancel()
    assert set(asked) == {"registry.example:80"}
    assert store.find("registry.example/team/model:v1").system == "Be brief."


async def read_exactly(stream: trio.SocketStream, n_bytes: int) -> bytes:
    data = b""
    while len(data) < n_bytes:
        data += await stream.receive_some(n_bytes - len(data))
    return data


async def pump(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in source:
            await sink.send_all(data)
    scope.cancel()
