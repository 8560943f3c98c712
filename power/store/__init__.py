"""The models on disk, in Ollama's own layout.

async with open_store(config) as store:
    model = store.find("tiny")
"""

from power.store.digest import blob_path, parse_digest
from power.store.model import StoredModel
from power.store.names import Name, parse_name, parse_reference
from power.store.store import Store, open_store

__all__ = [
    "Name",
    "Store",
    "StoredModel",
    "blob_path",
    "open_store",
    "parse_digest",
    "parse_name",
    "parse_reference",
]
