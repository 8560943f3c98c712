"""Who may talk to the server."""

from __future__ import annotations

import httpx
import pytest

from power.api.guards import Guards, is_local_host
from power.config import load_config
from tests.conftest import Serve

from .conftest import FRIEND


@pytest.mark.parametrize(
    "header",
    [
        "",
        "localhost",
        "LOCALHOST:11434",
        "127.0.0.1:11434",
        "127.9.9.9",
        "0.0.0.0:80",
        "[::1]:11434",
        "::1",
        "192.168.1.7:11434",
        "10.0.0.1",
        "printer.local",
        "api.localhost:1",
        "box.internal",
        "localhost.",
    ],
)
def test_names_of_this_machine_and_its_network_are_local(header: str) -> None:
    assert is_local_host(header)


@pytest.mark.parametrize(
    "header",
    ["evil.example", "evil.example:11434", "8.8.8.8", "localhost.evil.example", "notlocal", "[2606:4700::1]:80"],
)
def test_other_names_are_not(header: str) -> None:
    assert not is_local_host(header)


def test_a_rebound_name_is_refused(http: httpx.Client) -> None:
    response = http.get("/api/tags", headers={"Host": "evil.example"})

    assert (response.status_code, response.content) == (403, b"")


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8080", "app://obsidian.md", "tauri://x", FRIEND],
)
def test_an_allowed_origin_may_read_the_answer(http: httpx.Client, origin: str) -> None:
    response = http.get("/api/version", headers={"Origin": origin})

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://localhost:80@evil.example",
        "http://localhost:evil.example",
        f"{FRIEND}.evil.example",
        "null",
    ],
)
def test_another_origin_is_refused(http: httpx.Client, origin: str) -> None:
    response = http.post("/api/generate", headers={"Origin": origin}, json={"model": "tiny"})

    assert (response.status_code, response.content) == (403, b"")
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("said", "origin", "allowed"),
    [
        ("*", "https://anywhere.example", True),
        ("https://*.example.org", "https://app.example.org", True),
        ("https://*.example.org", "https://example.org.evil.example", False),
        ("https://*.example.org", "http://app.example.org", False),
        ("https://a.example:*", "https://a.example:8080", True),
        ("https://a.example:*", "https://a.example:8080.evil.example", False),
        ("https://a.example", "https://aXexample", False),
        (" https://a.example , https://b.example ,", "https://b.example", True),
        ("https://a.example", "HTTPS://A.EXAMPLE", True),
        ("moz-extension://*", "moz-extension://1234-5678", True),
        ("", "https://a.example", False),
        ("", "chrome-extension://abc", False),
    ],
)
def test_the_variable_says_which_other_origins_are_allowed(said: str, origin: str, allowed: bool) -> None:
    config = load_config({}, {"OLLAMA_ORIGINS": said})

    assert Guards(config).allows(origin) is allowed
    assert Guards(config).allows("http://localhost:3000")


async def test_where_all_origins_are_allowed_the_answer_says_so(serving: Serve) -> None:
    async with serving(origins=("*",)) as client:
        response = await client.get("/api/version", headers={"Origin": "https://anywhere.example"})

    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_the_server_s_own_origin_is_no_matter_of_cors(http: httpx.Client, url: str) -> None:
    response = http.get("/api/version", headers={"Origin": url})

    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response.headers


def test_a_browser_may_ask_first(http: httpx.Client) -> None:
    response = http.options("/api/chat", headers={"Origin": FRIEND, "Access-Control-Request-Method": "POST"})

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "x-stainless-os" in response.headers["Access-Control-Allow-Headers"]
    assert response.headers["Access-Control-Max-Age"] == "43200"


def test_errors_may_be_read_by_allowed_origins_too(http: httpx.Client) -> None:
    response = http.post("/api/chat", headers={"Origin": FRIEND}, content=b"{")

    assert response.status_code == 400
    assert response.headers["Access-Control-Allow-Origin"] == FRIEND
