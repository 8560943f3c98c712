"""The models on disk, in Ollama's own layout.

async with open_store(config) as store:
    model = store.find("tiny")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from power.store.digest import blob_path, parse_digest
from power.store.model import StoredModel
from power.store.names import Name, parse_name, parse_reference
from power.store.opening import open_store
from power.store.store import Store
from power.store.transfers import Progress

if TYPE_CHECKING:
    from power.store.pulling import pull
    from power.store.pushing import push

__all__ = [
    "Name",
    "Progress",
    "Store",
    "StoredModel",
    "blob_path",
    "open_store",
    "parse_digest",
    "parse_name",
    "parse_reference",
    "pull",
    "push",
]

# What speaks to registries is imported when it is first wanted: it takes 20 MB.
_HOMES = {"pull": "pulling", "push": "pushing"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'power.store' has no attribute {name!r}")
    return getattr(import_module(f"power.store.{_HOMES[name]}"), name)
