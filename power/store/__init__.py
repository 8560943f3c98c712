"""The models on disk, in Ollama's own layout.

async with open_store(config) as store:
    model = store.find("tiny")
"""

from power.store.digest import blob_path, parse_digest
from power.store.model import StoredModel
from power.store.names import Name, parse_name, parse_reference
from power.store.opening import open_store
from power.store.pulling import pull
from power.store.pushing import push
from power.store.store import Store
from power.store.transfers import Progress

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
