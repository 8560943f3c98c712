"""A model's settings out of config.json, each checked to be what it is used as.

`Settings.count("hidden_size")` is an int above zero or a ConvertError that names the
setting; what a file leaves out falls back to the default given, if one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from power.gguf.convert.errors import ConvertError

MAX_COUNT = 2**31 - 1  # llama.cpp counts in int32
MAX_FLOAT = 3.4e38  # the largest float32, nearly


class Settings(NamedTuple):
    """The settings of one object of config.json; `where` is its name for people."""

    values: Mapping[str, Any]
    where: str = "config.json"

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None

    def count(self, key: str, default: int | None = None) -> int:
        """An integer above zero."""
        value = self._get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not 0 < value <= MAX_COUNT:
            raise self.wrong(key, f"is {value!r}, not a number from 1 to {MAX_COUNT}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number that a float32 can hold."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_FLOAT:
            raise self.wrong(key, f"is {value!r}, not a number of reasonable size")
        return float(value)

    def positive(self, key: str, default: float | None = None) -> float:
        """A number above zero."""
        value = self.number(key, default)
        if value <= 0:
            raise self.wrong(key, f"is {value}, not above zero")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"is {value!r}, not true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"is {value!r}, not a text")
        return value

    def numbers(self, key: str) -> list[float]:
        values = self._get(key, None)
        if not isinstance(values, list):
            raise self.wrong(key, f"is {values!r}, not a list")
        return [Settings({key: value}, self.where).number(key) for value in values]

    def group(self, key: str) -> Settings:
        """The object under `key`; an empty one if there is none."""
        value = self.values.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.wrong(key, f"is {value!r}, not an object")
        return Settings(value, f"{self.where}: {key}")

    def over(self, defaults: Mapping[str, Any]) -> Settings:
        """These settings, with defaults for what is left out or null."""
        return Settings({**defaults, **{k: v for k, v in self.values.items() if v is not None}}, self.where)

    def wrong(self, key: str, what: str) -> ConvertError:
        return ConvertError(f"{self.where}: {key} {what}")

    def _get(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        if value is None:
            value = default
        if value is None:
            raise self.wrong(key, "is missing")
        return value
