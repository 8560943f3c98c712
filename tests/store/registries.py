"""Registries to pull from and push to: Debian's `docker-registry`, and one whose faults are scripted.

Both speak the same protocol; what holds of a healthy one is tested on both.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, BaseServer, ThreadingTCPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support import PATIENCE

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

REGISTRY_CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{port}"}}
{auth}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def docker_registry(folder: Path, auth: str = "") -> Iterator[str]:
    """`host:port` of a registry that is up, with its files in `folder`."""
    if shutil.which("docker-registry") is None:
        # A fresh machine may lack it, CI may not: there its absence is a failure.
        assert not os.environ.get("CI"), "CI has to install Debian's docker-registry"
        pytest.skip("a real registry is needed: apt install docker-registry")
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(REGISTRY_CONFIG.format(root=folder / "data", port=port, auth=auth))
    with (folder / "log").open("wb") as log:
        command = ["docker-registry", "serve", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"OTEL_TRACES_EXPORTER": "none"})
    try:
        _wait_until_up(process, f"http://127.0.0.1:{port}/v2/", folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return  # it answers: 401
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise AssertionError(log.read_text())


class Handler(BaseHTTPRequestHandler):
    """The registry's protocol over the blobs and manifests of its server."""

    protocol_version = "HTTP/1.1"
    server: FakeRegistry

    def _serve(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        fault = self.server.fault
        if fault is not None and fault(self):
            return
        path = urlsplit(self.path).path
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)|/v2/(.+)/blobs/uploads/(\w*)", path)
        if match is None:
            self.answer(404)
        elif match[4]:
            self._upload(match[4], match[5])
        elif self.command == "PUT":
            self.server.manifests[f"{match[1]}:{match[3]}"] = self.body()
            self.answer(201)
        elif match[2] == "manifests":
            self.send(self.server.manifests.get(f"{match[1]}:{match[3]}"), type=MANIFEST)
        else:
            self.send(self.server.blobs.get(match[3]))

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _serve

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, data: bytes = b"", **headers: str) -> bool:
        """True, as a fault returns when it has answered."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        return True

    def send(self, data: bytes | None, type: str = "application/octet-stream") -> bool:
        """The data, or the range of it that is asked for."""
        if data is None:
            return self.answer(404)
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match is None or not self.server.has_ranges:
            return self.answer(200, data, Content_Type=type, ETag=f'"{hashlib.md5(data).hexdigest()}"')
        start, end = int(match[1]), min(int(match[2]) + 1, len(data))
        said = f"bytes {start}-{end - 1}/{len(data)}"
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        return self.answer(206, data[start:end], Content_Range=said, ETag=etag)

    def _upload(self, repository: str, session: str) -> bool:
        uploads = self.server.uploads
        query = parse_qs(urlsplit(self.path).query)
        if self.command == "POST":
            session = f"u{len(uploads)}"
            uploads[session] = b""
        elif session not in uploads:
            return self.answer(404)
        if self.command == "PATCH":
            start = int(self.headers["Content-Range"].partition("-")[0])
            if start != len(uploads[session]):
                return self.answer(416)
            uploads[session] += self.body()
        if self.command == "PUT":
            data = uploads.pop(session) + self.body()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            if digest != query["digest"][0]:
                return self.answer(400, b"DIGEST_INVALID")
            self.server.blobs[digest] = data
            return self.answer(201)
        status = 204 if self.command == "GET" else 202
        said = f"0-{max(0, len(uploads[session]) - 1)}"
        return self.answer(status, Location=f"/v2/{repository}/blobs/uploads/{session}", Range=said)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class FakeRegistry(ThreadingHTTPServer):
    """A registry in memory. `fault` is asked before every request; where it returns True, it has answered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.fault: Callable[[Handler], bool] | None = None
        self.has_ranges = True

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up are what is tested

    def requests(self, method: str, part: str) -> list[tuple[str, str, dict[str, str]]]:
        """Those of a method whose path holds `part`."""
        return [request for request in self.seen if request[0] == method and part in request[1]]


def fake_registry() -> AbstractContextManager[FakeRegistry]:
    return in_thread(FakeRegistry())


S = TypeVar("S", bound=BaseServer)


@contextmanager
def in_thread(server: S) -> Iterator[S]:
    """The server, while it serves in a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


def add_model(fake: FakeRegistry, data: bytes) -> str:
    """Have the registry serve a model of one layer and a config; its name."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    fake.blobs = {digest: data, f"sha256:{hashlib.sha256(b'{}').hexdigest()}": b"{}"}
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": len(data)}
        for digest, data in fake.blobs.items()
    ]
    fake.manifests["team/model:v1"] = json.dumps({"config": layers[1], "layers": layers[:1]}).encode()
    return f"{fake.host}/team/model:v1"


class _Forward(BaseRequestHandler):
    server: CountingProxy
    request: socket.socket

    def handle(self) -> None:
        self._count("n_open", 1)
        with socket.create_connection(self.server.target) as upstream:
            back = threading.Thread(target=self._pump, args=(upstream, self.request, "n_bytes"))
            back.start()
            self._pump(self.request, upstream, "n_sent")
            back.join()
        self._count("n_open", -1)

    def _count(self, counter: str, n: int) -> None:
        with self.server.counting:
            setattr(self.server, counter, getattr(self.server, counter) + n)

    def _pump(self, source: socket.socket, sink: socket.socket, counter: str) -> None:
        try:
            while data := source.recv(2**16):
                if counter == "n_bytes":
                    time.sleep(self.server.pause)
                self._count(counter, len(data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one end is gone: let the other know
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


class CountingProxy(ThreadingTCPServer):
    """Forwards connections to `target` ("host:port"), counts the bytes, and may be told to be slow."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        host, _, port = target.partition(":")
        self.target = host, int(port)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.n_bytes = 0  # that came back
        self.n_sent = 0
        self.n_open = 0  # connections
        self.pause = 0.0  # seconds before each piece of up to 64 KiB that comes back
        self.counting = threading.Lock()

    def __enter__(self) -> CountingProxy:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join(10)
        self.server_close()
