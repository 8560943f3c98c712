"""`/api/me` and `/api/signout`: the account at ollama.com that this server does not have.

Who is signed in is known there alone, by the key that registries get to see.  So
the answers are those of somebody who is not; the first says where to change that.
"""

from __future__ import annotations

import socket

import trio

from power.api.encode import Response, json_response
from power.api.requests import Request
from power.generate import Power
from power.store.auth import load_key


async def me(power: Power, request: Request) -> Response:
    url = await trio.to_thread.run_sync(signin_url, power)
    return json_response({"error": "unauthorized", "signin_url": url}, 401)


async def signout(power: Power, request: Request, key: str = "") -> Response:
    """Also the older route that names the key; there is but one."""
    return json_response({"error": "you are not currently signed in"}, 401)


def signin_url(power: Power) -> str:
    """Where a person lets this machine's key speak for an account."""
    return load_key(power.store.data_dir).connect_url(socket.gethostname())
