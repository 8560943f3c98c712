"""The web application: which handler answers what, and a request's way through it.

A request is one nursery with two tasks, quart-trio's: one reads what the client
says, the other answers it, and whoever ends first ends the other.  So a client
that hangs up cancels its handler, wherever that waits.  What has to live as long
as the answer is being sent is entered on the request's `exchange`.

Quart is used for its requests, responses and routes.  Its signals, sessions and
hooks are stepped over: nothing here uses them, and they cost every request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from typing import cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent
from quart.ctx import RequestContext, WebsocketContext
from quart.typing import ResponseTypes
from quart.utils import encode_headers
from quart.wrappers.response import DataBody
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException, NotFound

from power.api import (
    blobs,
    embeddings,
    listing,
    manage,
    native,
    openai,
    props,
    rerank,
    show,
    slots,
    status,
    tokens,
)
from power.api.encode import Response, text_response
from power.api.errors import error_response, power_error_in, routing_response
from power.api.guards import Guards
from power.api.requests import Body, Request, drain_body
from power.errors import Overloaded
from power.generate import Power

Handler = Callable[..., Awaitable[Response]]


def on_demand(module: str, name: str) -> Handler:
    """A handler of a module that is only imported when somebody asks for it.

    What speaks to registries or writes models brings along a third of the memory
    that all of the server takes, and most servers hardly ever do either.
    """

    async def handle(power: Power, request: Request, **arguments: str) -> Response:
        handlers = await trio.to_thread.run_sync(import_module, f"power.api.{module}")
        return cast(Response, await getattr(handlers, name)(power, request, **arguments))

    return handle


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", status.root),
    ("GET", "/health", status.health),
    ("GET", "/health/live", status.live),
    ("GET", "/health/ready", status.ready),
    ("GET", "/v1/health", status.ready),
    ("GET", "/metrics", status.metrics),
    ("GET", "/api/version", status.version),
    ("GET", "/api/tags", listing.tags),
    ("GET", "/api/ps", listing.ps),
    ("POST", "/api/show", show.show),
    ("POST", "/api/create", on_demand("create", "create")),
    ("POST", "/api/pull", on_demand("pull", "pull")),
    ("POST", "/api/push", on_demand("pull", "push")),
    ("POST", "/api/copy", manage.copy),
    ("DELETE", "/api/delete", manage.delete),
    ("GET", "/api/blobs/<digest>", blobs.get),
    ("POST", "/api/blobs/<digest>", blobs.put),
    ("DELETE", "/api/blobs/<digest>", blobs.delete),
    ("POST", "/api/me", on_demand("account", "me")),
    ("POST", "/api/signout", on_demand("account", "signout")),
    ("DELETE", "/api/user/keys/<key>", on_demand("account", "signout")),
    ("POST", "/api/generate", native.generate),
    ("POST", "/api/chat", native.chat),
    ("POST", "/api/embed", embeddings.native),
    ("POST", "/api/embeddings", embeddings.legacy),
    ("GET", "/v1/models", listing.list_models),
    ("GET", "/v1/models/<path:id>", listing.retrieve_model),
    ("POST", "/v1/chat/completions", openai.chat_completions),
    ("POST", "/v1/completions", openai.completions),
    ("POST", "/v1/embeddings", embeddings.openai),
    ("POST", "/v1/rerank", rerank.rerank),
    ("POST", "/v1/reranking", rerank.rerank),
    ("POST", "/v2/rerank", rerank.rerank),
    ("POST", "/rerank", rerank.rerank),
    ("POST", "/reranking", rerank.rerank),
    ("GET", "/props", props.get),
    ("POST", "/props", props.post),
    ("GET", "/slots", slots.look),
    ("POST", "/slots/<slot>", slots.act),
    ("POST", "/tokenize", tokens.tokenize),
    ("POST", "/detokenize", tokens.detokenize),
    ("POST", "/apply-template", tokens.apply_template),
)


class Exchange(TrioASGIHTTPConnection):
    """One request and its response, which share an exit stack."""

    _is_answered = False  # the last byte is on its way

    def _create_request_from_scope(self, send: ASGISendCallable) -> Request:
        # Of a target like `?a=b` no path is left, and Quart looks at its first character.
        self.scope["path"] = self.scope["path"] or "/"
        return cast(Request, super()._create_request_from_scope(send))

    async def handle_messages(  # type: ignore[override]  # quart-trio's, too, takes the nursery
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        body = cast(Body, request.body)
        while (event := await receive())["type"] == "http.request":
            body.append(event["body"])
            if not event["more_body"]:
                body.set_complete()
            await body.wait_room()
        # Hypercorn says "disconnect" after an answer's end, too, while it makes the connection ready for the next
        # request, or closes it; and it does that in our task. Cancelled there, it would do neither, and the connection
        # would stay open for ever.
        if not self._is_answered:
            nursery.cancel_scope.cancel()

    async def handle_request(  # type: ignore[override]  # quart-trio's, too, takes the nursery
        self, nursery: trio.Nursery, request: Request, send: ASGISendCallable
    ) -> None:
        with cast(App, self.app).under_way:
            async with AsyncExitStack() as stack:
                request.exchange = stack
                response = await self.app.handle_request(request)
                await self._send_response(self._noting_the_end(send), response, request)
        nursery.cancel_scope.cancel()

    def _noting_the_end(self, send: ASGISendCallable) -> ASGISendCallable:
        async def noting(message: ASGISendEvent) -> None:
            self._is_answered = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        return noting

    async def _send_response(  # type: ignore[override]  # there the request is not needed
        self, send: ASGISendCallable, response: ResponseTypes, request: Request
    ) -> None:
        if not isinstance(response, Response) or not isinstance(response.response, DataBody):
            await super()._send_response(send, response)
            return
        headers = encode_headers(response.headers)
        body = response.response.data
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        if not request.is_read:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            body = b""
            await drain_body(request)
        await send({"type": "http.response.body", "body": body, "more_body": False})


class UnderWay:
    """How many exchanges there are; each is a block."""

    def __init__(self) -> None:
        self._n = 0
        self._none = trio.Event()
        self._none.set()

    def __enter__(self) -> None:
        if not self._n:
            self._none = trio.Event()
        self._n += 1

    def __exit__(self, *_: object) -> None:
        self._n -= 1
        if not self._n:
            self._none.set()

    async def wait_none(self) -> None:
        """Until the last one has ended."""
        await self._none.wait()


class App(QuartTrio):
    """Routes of one server's `Power`."""

    asgi_http_class = Exchange
    request_class = Request

    def __init__(self, power: Power) -> None:
        super().__init__("power.api", static_folder=None)
        # Bodies are bounded by their reader, responses by nothing: a generation takes as long as it takes.
        self.config.update(MAX_CONTENT_LENGTH=None, RESPONSE_TIMEOUT=None, BODY_TIMEOUT=None)
        self.under_way = UnderWay()
        self._power = power
        self._guards = Guards(power.config)
        self._requests = power.metrics.requests
        self._rejected = power.metrics.rejected
        for method, path, handler in ROUTES:
            self.add_url_rule(
                path,
                endpoint=f"{method} {path}",
                methods=[method],
                view_func=partial(handler, power),
                provide_automatic_options=False,
            )

    async def full_dispatch_request(self, request_context: RequestContext | None = None) -> Response:
        """The answer to a request, whatever happens; only cancellation comes out as an exception."""
        assert request_context is not None
        request = cast(Request, request_context.request)
        response = self._guards.check(request) or await self._respond(request, request_context)
        if self._power.is_stopping:
            response.headers["Connection"] = "close"
        self._guards.mark(request, response)
        route = request.url_rule.rule if request.url_rule else "other"
        self._requests.labels(route, response.status_code).inc()
        return response

    async def full_dispatch_websocket(self, websocket_context: WebsocketContext | None = None) -> Response:
        """Nobody speaks WebSocket here."""
        return text_response("404 page not found", 404)

    async def _respond(self, request: Request, context: RequestContext) -> Response:
        if isinstance(request.routing_exception, HTTPException):
            return self._unrouted(request.routing_exception, context)
        assert request.url_rule is not None
        handler = cast(Handler, self.view_functions[request.url_rule.endpoint])
        try:
            if self._power.is_stopping and request.method != "GET":
                raise self._power.stopping()
            return await handler(request, **(request.view_args or {}))
        except Exception as error:
            if isinstance(ours := power_error_in(error), Overloaded):
                self._rejected.labels(ours.reason).inc()
            return error_response(request.path, error)

    def _unrouted(self, error: HTTPException, context: RequestContext) -> Response:
        """A path that is one of ours but for a slash at its end is redirected there."""
        path, method = context.request.path, context.request.method
        bare = path.rstrip("/")
        if isinstance(error, NotFound) and bare != path and self._is_route(bare, method, context):
            return text_response("", 301 if method in ("GET", "HEAD") else 307, {"Location": bare})
        return routing_response(error)

    def _is_route(self, path: str, method: str, context: RequestContext) -> bool:
        return context.url_adapter is not None and context.url_adapter.test(path, method)


def create_app(power: Power) -> App:
    """The ASGI application that serves `power`; the caller keeps it open meanwhile."""
    return App(power)
