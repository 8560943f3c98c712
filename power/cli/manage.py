"""`power pull`, `push`, `cp`, `rm`, `signin` and `signout`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from power.cli.connect import open_power
from power.cli.progress import open_progress
from power.client import Client, ServerRefused
from power.config import Config
from power.errors import PowerError


async def pull_model(config: Config, model: str, insecure: bool) -> None:
    async with open_power(config) as client:
        await pull(client, model, insecure=insecure)


async def push_model(config: Config, model: str, insecure: bool, destination: str | None) -> None:
    body = {"model": model, "insecure": insecure or None, "destination": destination}
    async with open_power(config) as client:
        await _follow(client, "/api/push", body)


async def pull(client: Client, model: str, *, insecure: bool = False) -> None:
    """Have the server get a model, with its progress on stderr."""
    await _follow(client, "/api/pull", {"model": model, "insecure": insecure or None})


async def _follow(client: Client, path: str, body: Mapping[str, object]) -> None:
    async with open_progress() as show, client.follow(path, body) as steps:
        async for step in steps:
            show(step)


async def copy_model(config: Config, source: str, destination: str) -> None:
    async with open_power(config) as client:
        await client.copy(source, destination)
    print(f"copied '{source}' to '{destination}'")


async def remove_models(config: Config, models: Sequence[str]) -> None:
    """Unload and delete each; the first that cannot be ends it."""
    async with open_power(config) as client:
        for model in models:
            await _unload(client, model)
            await client.delete(model)
            print(f"deleted '{model}'")


async def _unload(client: Client, model: str) -> None:
    try:
        await client.unload(model)
    except ServerRefused as error:
        if error.status not in (400, 404):  # the deletion will say so itself, and better
            print(f"Warning: unable to stop model '{model}'", file=sys.stderr)


async def sign_in(config: Config) -> None:
    async with open_power(config) as client:
        account = await client.me()
    if name := account.get("name"):
        print(f"You are already signed in as user '{name}'")
        return
    if not account.get("signin_url"):
        raise PowerError("this server does not say where to sign in")
    print(f"To sign in, navigate to:\n\n    {account['signin_url']}\n")
    print("It ties this machine's key to an account at ollama.com, for pushing models there.", file=sys.stderr)


async def sign_out(config: Config) -> None:
    async with open_power(config) as client:
        await client.sign_out()
    print("You have signed out of ollama.com")
