"""Power's settings: defaults < `config.toml` < environment < flags.

The layers differ only in where they find values; `power.settings` says of every
setting how its values are read and what it is called in each.  The variables
are Ollama's, so that what is set for it holds here too.  Unlike Ollama, which
warns in a log and goes on with the default, a value that makes no sense is an
error: whoever sets `OLLAMA_NUM_PARALLEL=1O` wants to know.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from power.errors import ConfigError
from power.settings import SETTINGS, WIDE_CACHE_TYPES, clean, path

DEFAULT_PORT = 11434


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, checked."""

    host: str = "127.0.0.1"  # to listen on, and for the CLI to connect to
    port: int = DEFAULT_PORT  # 0: the system chooses one
    scheme: str = "http"  # for the CLI: the server may stand behind a TLS proxy
    path: str = ""  # for the CLI: and the proxy may have it under a path, "/ollama"
    data_dir: Path = Path.home() / ".power"
    models_dir: Path = Path()  # in Ollama's own layout; Path(): data_dir/models
    max_loaded_models: int = 0  # 0: three for each GPU, three without one
    memory_budget: float = math.inf  # bytes of the host's memory that models may take; inf: what is available
    keep_alive: float = 300.0  # seconds a model stays loaded after its last request; inf: for ever
    num_parallel: int = 4  # slots per model
    max_queue: int = 512  # requests that may wait for a slot, per model; and for a load, over all models
    max_queue_total: int = 2048  # requests that may wait, over all models
    prompt_lookup: int = 15  # tokens guessed ahead from the text so far, in a step and for all sequences; 0: none
    max_queue_seconds: float = math.inf  # from a request to its slot; inf: as long as it takes
    num_thread: int = 0  # 0: as many as there are physical cores
    use_mlock: bool = False
    flash_attention: bool | None = None  # None: what suits (power.gguf.memory.attention)
    gpu_layers: int = -1  # -1: as many as fit
    main_gpu: int | None = None
    gpu_overhead: int = 0  # bytes of each GPU to leave free
    # Ollama's old name for what is always so here: prefixes are shared by all requests that have them. No effect.
    multiuser_cache: bool = True
    sched_spread: bool = False  # over all GPUs, also models that one would hold
    load_timeout: float = 300.0  # seconds without progress after which a load has failed; inf: never
    drain_seconds: float = 5.0  # for running requests once the server is asked to stop
    hang_seconds: float = 30.0  # without a sign of life after which a model's process with work is killed; inf: never
    context_length: int = 4096  # tokens a sequence may use where neither request nor model says
    kv_cache_type: str = "f16"
    step_ms: int = 250  # that a decode step should take while somebody waits for the next token
    disk_bytes: int = 0  # for what prompts began with, kept in data_dir/cache over restarts; 0: nothing is kept
    slots_dir: Path | None = None  # where slots' sequences are saved on request; None: nowhere
    show_slots: bool = True  # what each slot does, to whoever asks
    pool_tokens: int = 0  # tokens all sequences of a model may have in memory; 0: context_length for each slot
    origins: tuple[str, ...] = ()  # web origins allowed beside local ones; "*" inside one stands for anything
    go_template: bool | None = None  # None: whichever of a model's two templates can do more
    objects: Literal["closed", "open"] = "closed"  # those of schemas that declare members: may they have others?
    on_unsupported: Literal["refuse", "warn"] = "refuse"  # or leave out what a grammar cannot say, and tell
    debug: bool = False
    # Bytes. Room for one picture of 100 MB in base64, the largest that Ollama's CLI sends.
    max_body_bytes: int = 128 * 2**20
    # host[:port] of token services that may have our signature, beside the registry itself.
    registry_realms: tuple[str, ...] = ()
    noprune: bool = False  # else what no model refers to is removed from the store
    nohistory: bool = False  # else `power run` keeps its lines in data_dir/history

    def __post_init__(self) -> None:
        if self.models_dir == Path():
            msgspec.structs.force_setattr(self, "models_dir", self.data_dir / "models")

    @property
    def connect_host(self) -> str:
        """The host to connect to: a server that listens everywhere listens on the loopback, too."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)

    @property
    def address(self) -> str:
        """`host:port` to connect to, for people."""
        return join_host_port(self.connect_host, self.port)

    @property
    def bind(self) -> str:
        """`host:port` to listen on, as hypercorn takes it."""
        return join_host_port(self.host, self.port)

    @property
    def url(self) -> str:
        """Where a client finds the server, without a slash at the end."""
        return f"{self.scheme}://{self.address}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Is the server's address one of this machine alone?"""
        try:
            return ipaddress.ip_address(self.connect_host).is_loopback
        except ValueError:
            return self.connect_host.lower() == "localhost"


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def home_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `config.toml` lies, and the data unless it says otherwise."""
    named = clean(environ.get("POWER_HOME", "")) or clean(environ.get("A3S_POWER_HOME", ""))
    return path(named) if named else Path.home() / ".power"


def load_config(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """The settings in force. A flag that is None was not given.

    Raises:
        ConfigError: a key nobody knows, or a value that makes no sense; the
            message names it, where it was set, and what would be right.
    """
    home = home_dir(environ)
    settings: dict[str, Any] = {"data_dir": home}
    for layer in (_file(home / "config.toml"), _environment(environ), _flags(flags or {})):
        settings |= _read(layer)
    return _consistent(Config(**settings))


def _consistent(config: Config) -> Config:
    if config.flash_attention is False and config.kv_cache_type not in WIDE_CACHE_TYPES:
        raise ConfigError(
            f"kv_cache_type {config.kv_cache_type} needs flash attention, which flash_attention = false "
            f"(OLLAMA_FLASH_ATTENTION) forbids; without it: {', '.join(WIDE_CACHE_TYPES)}"
        )
    return config


Layer = dict[str, tuple[str, Any]]
"""Setting -> what this layer calls it, for messages, and its value."""


def _read(layer: Layer) -> dict[str, Any]:
    read: dict[str, Any] = {}
    # The host first: it may bring a port along, which a port set by itself outranks.
    for name in sorted(layer, key=lambda name: name != "host"):
        label, value = layer[name]
        try:
            checked = SETTINGS[name].read(value)
        except ValueError as error:
            raise ConfigError(f"{label}: {error}, not {value!r}") from None
        read |= checked if name == "host" else {name: checked}
    return read


def _file(file: Path) -> Layer:
    try:
        values = tomllib.loads(file.read_text("utf-8-sig"))  # Windows' editors put a mark in front
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # ValueError: not TOML, or not UTF-8
        raise ConfigError(f"cannot read {file}: {error}") from None
    tables = {setting.table for setting in SETTINGS.values()} - {""}
    layer = {}
    for key, value in values.items():
        if key in tables and not isinstance(value, dict):
            raise ConfigError(f"{key} in {file}: must be a table, [{key}], not {value!r}")
        inner = value if key in tables else {key: value}
        for name, setting in inner.items():
            layer[_known(name, key if key in tables else "", file)] = (f"{name} in {file}", setting)
    return layer


def _known(name: str, table: str, file: Path) -> str:
    """`name`, if it is a key of that table of the file."""
    setting = SETTINGS.get(name)
    if setting and setting.table == table:
        return name
    keys = {(f"[{s.table}] {key}" if s.table else key): key for key, s in SETTINGS.items()}
    close = [place for place, key in keys.items() if key in difflib.get_close_matches(name, keys.values(), 1)]
    hint = f"did you mean {close[0]}?" if close else f"known are: {', '.join(keys)}"
    raise ConfigError(f"unknown key {f'[{table}] {name}' if table else name} in {file}; {hint}")


def _environment(environ: Mapping[str, str]) -> Layer:
    """The variables that are set to something: an empty one says nothing, as in Ollama."""
    found = {name: (s.variable, clean(environ.get(s.variable, ""))) for name, s in SETTINGS.items() if s.variable}
    return {name: (variable, value) for name, (variable, value) in found.items() if value}


def _flags(flags: Mapping[str, Any]) -> Layer:
    if unknown := flags.keys() - SETTINGS.keys():
        raise ConfigError(f"unknown setting {min(unknown)}; known are: {', '.join(SETTINGS)}")
    return {name: (f"--{name.replace('_', '-')}", value) for name, value in flags.items() if value is not None}
