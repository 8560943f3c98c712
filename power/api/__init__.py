"""The HTTP faces: Ollama's native API and OpenAI's, both only translating at either end of `generate`."""

from power.api.app import create_app

__all__ = ["create_app"]
