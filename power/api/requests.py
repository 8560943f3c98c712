"""A request's body: read within bounds, decoded into a typed value.

Bytes are counted as they come, so a body without a length is bounded too; JSON
is decoded straight into the route's Struct, and what does not fit is told with
the place it stands at (`invalid "messages[0].role": expected str, got int`).
"""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from typing import Any, Protocol, TypeVar

import msgspec
import trio
from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody

from power.claim import Claim, client_id, read_claim
from power.errors import BadRequest, BodyTooLarge, BodyTooSlow

BODY_SECONDS = 60.0  # for a body to come, plus a second for each BODY_RATE bytes of it
BODY_RATE = 64 * 1024
BODY_BUFFER = 1024 * 1024  # bytes that may wait for a handler to read them; more wait in the client
LINGER_SECONDS = 2.0  # for the rest of a body that nobody wants
THINK_LEVELS = ("high", "medium", "low", "max")
KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:')
# The key is looked for this close before an error. The pattern may take quadratic
# time on a crafted text, so the text has to be short.
KEY_WINDOW = 1024

# JavaScript's strings may be cut in the middle of a character, and then hold half of one, which it writes as an
# escape. Ollama reads that as U+FFFD. The first two alternatives, an escaped backslash and a whole pair, stay.
HALF_PAIR = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

T = TypeVar("T")


class Body(TrioBody):
    """A request's body on its way in. Quart's own takes all a client sends, however slowly it is read."""

    _room = trio.Event()

    async def __anext__(self) -> bytes:
        data = await super().__anext__()
        self._room.set()
        return data

    async def wait_room(self) -> None:
        """Until there is room for more, or no more to come."""
        while len(self._data) > BODY_BUFFER and not self._complete.is_set():
            self._room = trio.Event()
            await self._room.wait()


class Request(TrioRequest):
    """An HTTP request."""

    body_class = Body
    exchange: AsyncExitStack  # what has to live until the answer's last byte is out
    is_read = False  # the end of its body has been seen


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body, of at most `limit` bytes.

    Raises:
        BodyTooLarge: it has more, or says so.
        BodyTooSlow: it trickles.
        BadRequest: it is compressed.
    """
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise BadRequest("compressed request bodies are not supported")
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    body = bytearray()
    with trio.move_on_after(BODY_SECONDS) as scope:
        async for data in request.body:
            body += data
            scope.deadline += len(data) / BODY_RATE
            if len(body) > limit:
                raise _too_large(limit)
        request.is_read = True
        return bytes(body)
    raise BodyTooSlow("the request body did not arrive in time")


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the request body is larger than the limit of {limit} bytes")


async def drain_body(request: Request) -> None:
    """Read what the handler has not, for a while, before the answer ends.

    Closing a connection on unread bytes resets it, and the client never sees why
    it was refused; and Hypercorn's HTTP/1 loses count of a request that is
    answered before its end has been read.
    """
    with trio.move_on_after(LINGER_SECONDS):
        async for _ in request.body:
            pass


def body_decoder(type: type[T]) -> msgspec.json.Decoder[T]:
    # `float` turns the 1e999 of an untyped field into an infinity, which the option
    # it is for then refuses by its name; msgspec's own error would not have it.
    return msgspec.json.Decoder(type, float_hook=float)


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The value `body` writes; JSON's null stands for an empty object, and half a surrogate pair for U+FFFD.

    Raises:
        BadRequest: it is empty, no JSON, or has something of the wrong type.
    """
    if not body.strip():
        raise BadRequest("missing request body")
    try:
        return decoder.decode(b"{}" if body.strip() == b"null" else body)
    except msgspec.ValidationError as error:
        raise _mistyped(str(error)) from None
    except msgspec.DecodeError as error:
        if (mended := HALF_PAIR.sub(_mend, body)) != body:
            return decode(decoder, mended)
        raise BadRequest(_malformed(str(error), body)) from None
    except UnicodeDecodeError:
        raise BadRequest(_not_utf8(body)) from None
    except RecursionError:
        raise BadRequest("invalid JSON: nested too deeply") from None


def _mend(match: re.Match[bytes]) -> bytes:
    return match[0] if match[1] is None else rb"\ufffd"


def convert(value: Any, type: type[T], field: str) -> T:
    """`value`, which stood at `field` of a body, as a `type`; raises BadRequest like `decode`."""
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        raise _mistyped(str(error), field) from None


def _mistyped(error: str, prefix: str = "") -> BadRequest:
    what, _, path = error.partition(" - at `$")
    field = (prefix + path.rstrip("`")).lstrip(".")
    what = what.replace(" | null", "").replace("`", "")
    what = what[:1].lower() + what[1:]
    return BadRequest(f'invalid "{field}": {what}' if field else f"invalid request body: {what}", field=field or None)


def _malformed(error: str, body: bytes) -> str:
    what = error.removeprefix("JSON is malformed: ")
    match = re.fullmatch(r"(.*) \(byte (\d+)\)", what)
    if match is None:
        return "invalid JSON: it ends too early"
    what, position = match[1], int(match[2])
    keys = KEY.findall(body[max(0, position - KEY_WINDOW) : position])
    place = f', in "{keys[-1].decode(errors="replace")}"' if keys else ""
    return f"invalid JSON at byte {position}{place}: {what}"


def _not_utf8(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"invalid JSON at byte {error.start}: not UTF-8"
    return "invalid JSON: not UTF-8"


def read_think(value: Any) -> bool | str | None:
    """`think` as it came: on, off, a level, or nothing said."""
    if value is None or isinstance(value, bool) or value in THINK_LEVELS:
        return value  # type: ignore[no-any-return]  # narrowed by the line above
    if isinstance(value, str):
        raise BadRequest(
            f'invalid think value: "{value}" (must be "high", "medium", "low", "max", true, or false)', field="think"
        )
    raise BadRequest(
        'think must be a boolean or string ("high", "medium", "low", "max", true, or false)', field="think"
    )


def read_probs(wanted: bool | None, top: int | None) -> int | None:
    """How many alternatives to report per token; None: no log probabilities at all."""
    if not 0 <= (top or 0) <= 20:
        raise BadRequest("top_logprobs must be between 0 and 20", field="top_logprobs")
    return (top or 0) if wanted else None


class Claiming(Protocol):
    """A body that may say how its request is to be queued."""

    @property
    def priority(self) -> int | None: ...
    @property
    def max_queue_seconds(self) -> float | None: ...


def claim_of(request: Request, body: Claiming) -> Claim:
    """Who asks, by key or else by address, and how urgently; raises BadRequest."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else request.headers.get("X-Api-Key", "")
    address = (request.scope.get("client") or ("",))[0]
    return read_claim(client_id(key, address), body.priority, body.max_queue_seconds)


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    function: _Function
    type: str | None = None


def read_tools(tools: list[dict[str, Any]] | None) -> tuple[dict[str, Any], ...]:
    """The tools, untouched, once they are known to have the shape of tools."""
    convert(tools or [], list[_Tool], "tools")
    return tuple(tools or ())
