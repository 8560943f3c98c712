"""A client of the native API, Power's or Ollama's, as the CLI needs it."""

from power.client.client import Client, open_client
from power.client.values import (
    Chunk,
    Details,
    Listed,
    Progress,
    Running,
    ServerRefused,
    Shown,
    Step,
    Tensor,
    Usage,
)

__all__ = [
    "Chunk",
    "Client",
    "Details",
    "Listed",
    "Progress",
    "Running",
    "ServerRefused",
    "Shown",
    "Step",
    "Tensor",
    "Usage",
    "open_client",
]
