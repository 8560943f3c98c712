"""What may be set: the table of settings, and how a value of each is read.

A reader takes a value of the TOML file or the text of a variable or flag, and
returns the checked value or raises ValueError with what would be right.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from power.durations import parse_keep_alive
from power.errors import BadRequest

# What llama.cpp can keep keys and values in: ggml's type names, as its own --cache-type-k takes them.
KV_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
WIDE_CACHE_TYPES = ("f32", "f16", "bf16")  # the others need flash attention, llama.cpp says

Reader = Callable[[Any], Any]


def clean(value: str) -> str:
    """Without the spaces and quotes that a shell or an env file may have left around it."""
    return value.strip().strip("\"'").strip()


def _integer(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return read


def _or_default(default: int, read: Reader) -> Reader:
    """0 for "you decide", as Ollama's variables have it."""
    return lambda value: read(value) or default


def _boolean(value: Any) -> bool:
    words = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
    if str(value).lower() not in words:
        raise ValueError("must be true or false")
    return words[str(value).lower()]


def _debug(value: Any) -> bool:
    return str(value) == "2" or _boolean(value)  # Ollama's 2 is "trace"


def path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("must be a path")
    return Path(value).expanduser().absolute()


def _keep_alive(value: Any) -> float:
    try:
        return parse_keep_alive(value)
    except BadRequest:
        raise ValueError('must be seconds, or a duration such as "5m" or "1h30m" (negative: for ever)') from None


def _seconds(value: Any) -> float:
    seconds = _keep_alive(value)
    if math.isinf(seconds):
        raise ValueError("must be seconds or a duration, and not negative")
    return seconds


def _limit(value: Any) -> float:
    return _keep_alive(value) or math.inf  # 0 and less: no limit


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def _size(value: Any) -> int:
    """Bytes: a whole number, or a text such as "12GiB" (powers of 1024) or "12GB" (of 1000)."""
    match = (
        _SIZE.fullmatch(str(value).strip()) if isinstance(value, str | int) and not isinstance(value, bool) else None
    )
    if match is None:
        raise ValueError('must be a number of bytes, or a size such as "12GiB"')
    base = 1024 if match[3] else 1000
    n_bytes = float(match[1]) * float(base) ** " kmgt".index(match[2].lower() or " ")
    if n_bytes >= 2**62:
        raise ValueError("must be less than 4 EiB")
    return int(n_bytes)


def _kv_cache_type(value: Any) -> str:
    if value not in KV_CACHE_TYPES:
        raise ValueError(f"must be one of {', '.join(KV_CACHE_TYPES)}")
    return str(value)


def _word(*words: str) -> Reader:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be {' or '.join(words)}")
        return str(value)

    return read


def _origins(value: Any) -> tuple[str, ...]:
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError("must be a list of origins such as https://app.example.org")
    return tuple(entry.strip() for entry in entries if entry.strip())


def _realms(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(host, str) and _HOST.fullmatch(host) for host in value
    ):
        raise ValueError("must be a list of hosts such as auth.example.org or auth.example.org:5001")
    return tuple(value)


_HOST = re.compile(r"[\w.-]+(?::\d{1,5})?|\[[0-9a-fA-F:.]+\](?::\d{1,5})?", re.ASCII)
_ADDRESS = re.compile(r"(?:(?P<scheme>https?)://)?(?P<authority>[^/\s?#@]*)(?P<path>/(?!/)[^\s?#]*)?")
_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[\w.-]*))(?::(?P<port>.*))?")
_NO_HOST = "must be a host, host:port or http://host:port/path"


def _host(value: Any) -> dict[str, Any]:
    """`[scheme://]host[:port][/path]`: what of it was said, as settings (Ollama's envconfig/config.go, `Host`)."""
    match = _ADDRESS.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match or not match[0]:
        raise ValueError(_NO_HOST)
    host, port = _split_host_port(match["authority"])
    said: dict[str, Any] = {
        "host": host,
        "path": (match["path"] or "").rstrip("/"),
        "scheme": match["scheme"] or "http",
    }
    if port:
        return said | {"port": _PORT(port)}
    return said | ({"port": 443 if match["scheme"] == "https" else 80} if match["scheme"] else {})


def _split_host_port(authority: str) -> tuple[str, str]:
    """The host, an IP address in its shortest form, and the port's text or ""; ":1234" means every address."""
    try:
        return str(ipaddress.ip_address(authority)), ""  # an IPv6 address without brackets would match nothing below
    except ValueError:
        match = _HOST_PORT.fullmatch(authority)
    if not match or (match["v6"] and not _is_v6(match["v6"])):
        raise ValueError(_NO_HOST)
    host, port = match["v6"] or match["name"], match["port"] or ""
    return host or ("0.0.0.0" if port else "127.0.0.1"), port


def _is_v6(text: str) -> bool:
    try:
        return bool(ipaddress.IPv6Address(text).compressed)
    except ValueError:
        return False


_PORT = _integer(0, 65535)


class Setting(msgspec.Struct, frozen=True):
    """How one setting is read, and where it may be set."""

    read: Reader
    variable: str = ""
    table: str = ""


SETTINGS: dict[str, Setting] = {
    "host": Setting(_host, "OLLAMA_HOST"),
    "port": Setting(_PORT),
    "data_dir": Setting(path),
    "models_dir": Setting(path, "OLLAMA_MODELS"),
    "max_loaded_models": Setting(_integer(0, 1024), "OLLAMA_MAX_LOADED_MODELS"),
    "memory_budget": Setting(lambda value: _size(value) or math.inf),
    "keep_alive": Setting(_keep_alive, "OLLAMA_KEEP_ALIVE"),
    "num_parallel": Setting(_or_default(4, _integer(0, 255)), "OLLAMA_NUM_PARALLEL"),
    "max_queue": Setting(_integer(0, 2**20), "OLLAMA_MAX_QUEUE"),
    "max_queue_total": Setting(_integer(0, 2**20)),
    "max_queue_seconds": Setting(_limit),
    "prompt_lookup": Setting(_integer(0, 64)),
    "num_thread": Setting(_integer(0, 1024)),
    "use_mlock": Setting(_boolean),
    "flash_attention": Setting(_boolean, "OLLAMA_FLASH_ATTENTION"),
    "load_timeout": Setting(_limit, "OLLAMA_LOAD_TIMEOUT"),
    "drain_seconds": Setting(_seconds),
    "hang_seconds": Setting(_limit),
    "context_length": Setting(_or_default(4096, _integer(0, 2**31 - 1)), "OLLAMA_CONTEXT_LENGTH"),
    "kv_cache_type": Setting(_kv_cache_type, "OLLAMA_KV_CACHE_TYPE"),
    "go_template": Setting(_boolean, "OLLAMA_GO_TEMPLATE"),
    "origins": Setting(_origins, "OLLAMA_ORIGINS"),
    "debug": Setting(_debug, "OLLAMA_DEBUG"),
    "multiuser_cache": Setting(_boolean, "OLLAMA_MULTIUSER_CACHE"),
    "max_body_bytes": Setting(_integer(1024, 2**40)),
    "registry_realms": Setting(_realms),
    "nohistory": Setting(_boolean, "OLLAMA_NOHISTORY"),
    "noprune": Setting(_boolean, "OLLAMA_NOPRUNE"),
    "step_ms": Setting(_integer(1, 60_000), table="sched"),
    "disk_bytes": Setting(_integer(0, 2**50), table="cache"),
    "slots_dir": Setting(path, table="cache"),
    "show_slots": Setting(_boolean),
    "pool_tokens": Setting(_integer(0, 2**31 - 1), table="cache"),
    "gpu_layers": Setting(_integer(-1, 2**31 - 1), "OLLAMA_NUM_GPU", "gpu"),
    "gpu_overhead": Setting(_size, "OLLAMA_GPU_OVERHEAD", "gpu"),
    "sched_spread": Setting(_boolean, "OLLAMA_SCHED_SPREAD", "gpu"),
    "main_gpu": Setting(_integer(0, 255), table="gpu"),
    "objects": Setting(_word("closed", "open"), "POWER_GRAMMAR_OBJECTS", "grammar"),
    "on_unsupported": Setting(_word("refuse", "warn"), "POWER_GRAMMAR_ON_UNSUPPORTED", "grammar"),
}
