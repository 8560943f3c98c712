"""Durations as Ollama's clients write them: Go's `1h30m`, `300ms`, `-1.5h`.

The syntax and the messages are those of Go's `time.ParseDuration` and
`Duration.String`; `keep_alive` adds numbers of seconds and "any negative value
is for ever" (Ollama's api/types.go, `Duration.UnmarshalJSON`).
"""

from __future__ import annotations

import math
import re
from typing import Any

from power.errors import BadRequest

UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
LONGEST = 2**63 - 1  # nanoseconds; a Go duration is an int64 of them, some 292 years

_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")


def parse_duration(text: str) -> float:
    """Seconds of a Go duration.

    Raises:
        ValueError: with Go's own words; also beyond 292 years.
    """
    sign, rest = (text[:1], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if rest == "0":
        return 0.0
    nanoseconds = 0
    position = 0
    while position < len(rest) or not rest:
        match = _PART.match(rest, position)
        if not match or not (match[1] or match[2]):
            raise ValueError(f'time: invalid duration "{text}"')
        nanoseconds += _part_ns(text, match[1], match[2] or "", match[3])
        position = match.end()
    if nanoseconds > LONGEST:
        raise ValueError(f'time: invalid duration "{text}"')
    return (-nanoseconds if sign == "-" else nanoseconds) / 10**9


def _part_ns(text: str, whole: str, fraction: str, unit: str) -> int:
    if not unit:
        raise ValueError(f'time: missing unit in duration "{text}"')
    if unit not in UNITS:
        raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
    # 19 digits fill an int64; to turn megabytes of them into a number only to refuse it would take minutes.
    if len(whole.lstrip("0")) > 19:
        raise ValueError(f'time: invalid duration "{text}"')
    scale, fraction = UNITS[unit], fraction[:18].ljust(18, "0")  # no digit beyond is worth a nanosecond
    return int(whole or "0") * scale + int(fraction) * scale // 10**18


def go_duration(seconds: float) -> str:
    """`seconds` the way Go prints them: `5m0s`, `1.5s`, `300ms`; beyond 292 years, 292 years."""
    nanoseconds = min(round(abs(seconds) * 10**9), LONGEST) if math.isfinite(seconds) else LONGEST
    sign = "-" if seconds < 0 and nanoseconds else ""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        unit = next(unit for unit in ("ms", "µs", "ns") if nanoseconds >= UNITS[unit])
        return f"{sign}{_decimal(nanoseconds, UNITS[unit])}{unit}"
    minutes, rest = divmod(nanoseconds, UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{lead}{_decimal(rest, UNITS['s'])}s"


def _decimal(nanoseconds: int, unit: int) -> str:
    """nanoseconds / unit, exactly, without trailing zeros."""
    whole, rest = divmod(nanoseconds, unit)
    fraction = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else f"{whole}"


def parse_keep_alive(value: Any) -> float:
    """Seconds a model stays loaded, from a JSON (or TOML, or environment) value; `math.inf` is for ever.

    A number is seconds, a string a Go duration or a bare number of seconds;
    what is negative means for ever.  None is not a value: the caller decides
    what saying nothing means.

    Raises:
        BadRequest: with field "keep_alive".
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadRequest(
            f'keep_alive must be a number of seconds or a duration such as "5m", not {_json_type(value)}',
            field="keep_alive",
        )
    try:
        seconds = _seconds(value)
    except ValueError as error:
        raise BadRequest(f"invalid keep_alive: {error}", field="keep_alive") from None
    # Longer than Go can count is for ever too; and so is an integer too long for a float.
    return math.inf if seconds < 0 or seconds * 10**9 > LONGEST else seconds


def _seconds(value: float | str) -> float:
    if isinstance(value, str):
        text = value.strip()
        # Go refuses "-1" as a string although it takes the number; being lenient harms nobody.
        return float(text) if _NUMBER.fullmatch(text) else parse_duration(text)
    if value != value:
        raise ValueError("it is not a number")
    return math.inf if value > LONGEST else float(max(value, -1))


def _json_type(value: Any) -> str:
    names = {bool: "a boolean", list: "an array", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
