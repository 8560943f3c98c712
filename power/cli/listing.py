"""`power list`, `power ps`, `power show` and `power stop`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from power.cli.connect import open_power, open_running
from power.cli.human import human_bytes, human_processor, human_time, human_until
from power.cli.show import overview, part
from power.cli.tables import table
from power.client import Client, Listed, Running, ServerRefused, Shown
from power.config import Config
from power.errors import PowerError


async def list_models(config: Config, prefix: str) -> None:
    async with open_power(config) as client:
        models = await client.tags()
    print(models_table(model for model in models if model.name.lower().startswith(prefix.lower())), end="")


async def list_running(config: Config, prefix: str) -> None:
    async with open_running(config) as client:
        models = await client.ps()
    print(running_table(model for model in models if model.name.startswith(prefix)), end="")


async def show_model(config: Config, model: str, what: str, verbose: bool) -> None:
    async with open_power(config) as client:
        shown = await known(client, model, verbose=verbose)
    print(part(shown, what) if what else overview(shown, verbose=verbose), end="")


async def stop_model(config: Config, model: str) -> None:
    async with open_running(config) as client:
        try:
            await client.unload(model)
        except ServerRefused as error:
            if error.status != 404:
                raise
            raise PowerError(f'couldn\'t find model "{model}" to stop') from None


async def known(client: Client, model: str, *, verbose: bool = False) -> Shown:
    """What there is to know of a model.

    Raises:
        PowerError: there is no such model; the message names those there are.
    """
    try:
        return await client.show(model, verbose=verbose)
    except ServerRefused as error:
        if error.status != 404:
            raise
        raise await not_found(client, str(error)) from None


async def not_found(client: Client, what: str) -> PowerError:
    """The error that says so, and what there is instead."""
    names = ", ".join(entry.name.removesuffix(":latest") for entry in await client.tags())
    return PowerError(f"{what}; {f'there are: {names}' if names else 'there are no models yet'}")


def models_table(models: Iterable[Listed]) -> str:
    now = datetime.now(UTC)
    rows = [(m.name, m.digest[:12], human_bytes(m.size), human_time(m.modified_at, now)) for m in models]
    return table(("NAME", "ID", "SIZE", "MODIFIED"), rows)


def running_table(models: Iterable[Running]) -> str:
    now = datetime.now(UTC)
    rows = [
        (
            m.name,
            m.digest[:12],
            human_bytes(m.size),
            human_processor(m.size, m.size_vram),
            str(m.context_length),
            human_until(m.expires_at, now),
        )
        for m in models
    ]
    return table(("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"), rows)
