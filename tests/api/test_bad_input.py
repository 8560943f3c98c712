"""What a client may do wrong: the right status, a message that says where, and no harm to others."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from .conftest import BODY_LIMIT, ask

ROUTES = ("/api/generate", "/api/chat", "/v1/chat/completions", "/v1/completions")
POSTS = (*ROUTES, "/api/show")


@pytest.fixture(autouse=True)
def _others_are_unharmed(http: httpx.Client) -> Iterator[None]:
    yield
    assert http.post("/api/chat", json=ask(stream=False, options={"num_predict": 1})).status_code == 200


def message(response: httpx.Response) -> str:
    """The error's text, out of the envelope that the route must use."""
    error = response.json()["error"]
    if not response.request.url.path.startswith("/v1/"):
        assert isinstance(error, str)
        return error
    assert error.keys() == {"message", "type", "param", "code"}
    return str(error["message"])


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "missing request body"),
        (b"{", "invalid JSON"),
        (b"[1]", "expected object, got array"),
        (b'{"model": "\xfe"}', "not UTF-8"),
        (b'{"model": 7}', '"model"'),
        (b'{"model": "tiny", "options": {"temperature": NaN}}', 'in "temperature"'),
        (b'{"x":' * 100_000, "nested too deeply"),
        (b"[" * 100_000, "invalid"),
        (b'{"options":{"temperature":' + b"9" * 5000 + b"}}", "options"),
    ],
)
def test_a_body_that_is_wrong(http: httpx.Client, path: str, body: bytes, said: str) -> None:
    response = http.post(path, content=body)

    assert response.status_code == 400
    assert said in message(response)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"num_ctx": -1}, "num_ctx"),
        ({"num_ctx": 0}, "num_ctx"),
        ({"num_predict": 10**30}, "num_predict"),
        ({"top_k": 1e300}, "top_k"),
        ({"repeat_last_n": -2}, "repeat_last_n"),
        ({"seed": []}, "seed"),
        ({"stop": [5]}, "stop"),
        ({"stop": ["a"] * 257}, "stop"),
        ({"stop": ["a" * 70_000]}, "stop"),
        ({"logit_bias": {"9" * 5000: 1}}, "logit_bias"),
        ({"logit_bias": [[5, 1]] * 20_000}, "logit_bias"),
        ({"logit_bias": [["a" * 70_000, 1]]}, "logit_bias"),
        ({"mirostat": 3}, "mirostat"),
        ({"use_mmap": "yes"}, "use_mmap"),
    ],
)
def test_an_option_that_is_wrong_is_named(http: httpx.Client, path: str, options: dict[str, Any], named: str) -> None:
    response = http.post(path, json=ask(prompt="Hello", options=options))

    assert response.status_code == 400
    assert named in message(response)


@pytest.mark.parametrize("path", ["/api/generate", "/v1/completions"])
def test_of_a_key_that_stands_twice_the_last_counts(http: httpx.Client, path: str) -> None:
    """As in Go and in Python: nobody reads another request than the one that is run."""
    body = (
        b'{"model":"nobody","prompt":"x","options":{"temperature":"hot"},"model":"nowhere","options":{},"prompt":"y"}'
    )

    response = http.post(path, content=body)

    assert response.status_code == 404
    assert "nowhere" in message(response)


@pytest.mark.parametrize("path", ROUTES)
def test_a_number_beyond_all_floats_is_named(http: httpx.Client, path: str) -> None:
    body = b'{"model":"tiny","prompt":"x","messages":[{"role":"user","content":"x"}],"options":{"temperature":1e999}}'

    response = http.post(path, content=body)

    assert response.status_code == 400
    assert "temperature" in message(response)


@pytest.mark.parametrize("path", POSTS)
def test_a_model_that_is_not_there(http: httpx.Client, path: str) -> None:
    response = http.post(path, json=ask(model="nobody", prompt="Hello", stream=True, options={}))

    assert response.status_code == 404
    assert message(response) == f"model '{'nobody:latest' if path == '/api/show' else 'nobody'}' not found"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/generate", 404, "model '' not found"),
        ("/api/chat", 400, "model is required"),
        ("/api/show", 400, "model is required"),
        ("/v1/chat/completions", 400, "model is required"),
        ("/v1/completions", 400, "model is required"),
    ],
)
def test_no_model(http: httpx.Client, path: str, status: int, said: str) -> None:
    response = http.post(path, json=ask(model="", prompt="Hello"))

    assert response.status_code == status
    assert message(response) == said


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", ["../../etc/passwd", "a b", "a:b:c", "/", "x" * 500, "\x00", "a/../b", ".."])
def test_a_name_that_is_none(http: httpx.Client, path: str, name: str) -> None:
    response = http.post(path, json=ask(model=name, prompt="Hello"))

    assert response.status_code == 400
    assert message(response) == "invalid model name"


@pytest.mark.parametrize("path", POSTS)
def test_a_body_over_the_limit(http: httpx.Client, path: str) -> None:
    response = http.post(path, json=ask(prompt="x" * BODY_LIMIT))

    assert response.status_code == 413
    assert str(BODY_LIMIT) in message(response)


@pytest.mark.parametrize("path", POSTS)
def test_a_body_over_the_limit_that_does_not_say_its_length(http: httpx.Client, path: str) -> None:
    response = http.post(path, content=(b"x" * 65536 for _ in range(BODY_LIMIT // 65536 + 1)))

    assert response.status_code == 413


def test_a_body_over_the_limit_is_refused_before_it_is_there(url: str) -> None:
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=60) as client:
        client.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n{")
        head = client.recv(65536)

    assert head.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br", "deflate", "gzip, identity"])
def test_a_compressed_body_cannot_be_a_bomb(http: httpx.Client, path: str, encoding: str) -> None:
    bomb = gzip.compress(b'{"model":"tiny","prompt":"' + b" " * 50 * BODY_LIMIT + b'"}')

    response = http.post(path, headers={"Content-Encoding": encoding}, content=bomb)

    assert response.status_code == 400
    assert message(response) == "compressed request bodies are not supported"


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/api/chat", {"think": "deep"}, "invalid think value"),
        ("/api/chat", {"think": 5}, "think must be"),
        ("/api/chat", {"format": "yaml"}, "invalid format"),
        ("/api/chat", {"keep_alive": "soon"}, "keep_alive"),
        ("/api/chat", {"keep_alive": True}, "keep_alive"),
        ("/api/chat", {"top_logprobs": 21}, "top_logprobs must be between 0 and 20"),
        ("/api/chat", {"tools": [{"type": "function"}]}, "tools[0]"),
        ("/api/chat", {"messages": "hello"}, "messages"),
        ("/api/chat", {"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content"),
        ("/api/chat", {"messages": [{"role": "user", "images": ["?"]}]}, "messages[0].images[0]"),
        ("/api/generate", {"prompt": 5}, "prompt"),
        ("/api/generate", {"prompt": "x", "context": ["a"]}, "context[0]"),
        ("/api/generate", {"prompt": "x", "context": [-1]}, "context"),
        ("/api/generate", {"prompt": "x", "context": [10**6]}, "context"),
        ("/api/generate", {"prompt": "x", "context": [2**40]}, "context"),
        ("/api/generate", {"prompt": "x", "raw": True, "system": "s"}, "raw mode does not support"),
        ("/api/generate", {"prompt": "x", "suffix": "y"}, "does not support insert"),
        ("/api/generate", {"prompt": "x", "images": ["AAAA"]}, "does not support images"),
    ],
)
def test_a_field_that_is_wrong(http: httpx.Client, path: str, fields: dict[str, Any], said: str) -> None:
    response = http.post(path, json=ask() | fields)

    assert response.status_code == 400, response.text
    assert said in message(response)


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nowhere", 404, "404 page not found"),
        ("POST", "/v1/nowhere", 404, "404 page not found"),
        ("GET", "/api/chat", 405, "405 method not allowed"),
        ("DELETE", "/", 405, "405 method not allowed"),
        ("POST", "/v1/models", 405, "405 method not allowed"),
    ],
)
def test_a_route_that_is_none(http: httpx.Client, method: str, path: str, status: int, text: str) -> None:
    response = http.request(method, path)

    assert (response.status_code, response.text) == (status, text)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/tags/", 301), ("POST", "/api/chat/", 307)])
def test_a_slash_too_many_is_redirected(http: httpx.Client, method: str, path: str, status: int) -> None:
    response = http.request(method, path)

    assert response.status_code == status
    assert response.headers["Location"] == path.rstrip("/")


@pytest.mark.parametrize("path", ["/%", "/%ff", "//", "/v1/models/%00", "/v1/models/" + "x/" * 200, "/\u00e9"])
def test_a_strange_path_is_answered(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code in (200, 301, 308, 400, 404)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET ? HTTP/1.1", 200),
        ("GET http://localhost/ HTTP/1.1", 200),
        ("OPTIONS * HTTP/1.1", 204),
        ("BREW / HTTP/1.1", 405),
        ("CONNECT x:1 HTTP/1.1", 404),
        ("GET nowhere HTTP/1.1", 404),
        ("GET / HTTP/1.1\r\nContent-Length: two", 400),
        ("nonsense", 400),
        (
            "GET /api/chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            404,
        ),
        ("GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", 200),
        ("PRI * HTTP/2.0", 404),
    ],
)
def test_a_strange_request_is_answered(url: str, request_line: str, status: int) -> None:
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=60) as client:
        client.sendall(f"{request_line}\r\nHost: localhost\r\n\r\n".encode())
        answer = client.recv(65536)

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"<html" not in answer
