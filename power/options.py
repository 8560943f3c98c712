"""What a request may ask of a model: load-time and sampling options.

The names, defaults and types are Ollama's (api/types.go, `Options`), with the
older ones that its clients still send (mirostat, use_mlock, flash_attention …)
and OpenAI's `logit_bias`.  `read_options` is the only door: whatever passes it
is finite, in range and typed, so nothing unchecked ever reaches llama.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from power.errors import BadRequest

INT32 = 2**31 - 1
INT64 = 2**63 - 1
NO_LIMIT = -1
# All of these are looked at for every token, in one process with the answers of others.
MAX_STOPS = 256  # strings
MAX_TEXT = 64 * 1024  # characters, of all stop strings, or of a text whose tokens get a bias
MAX_BIASES = 16 * 1024  # tokens
POOLINGS = ("mean", "cls", "last")


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen. Crosses the wire to the worker as it is."""

    seed: int = -1  # -1: a fresh one each time; otherwise its low 32 bits count
    temperature: float = 0.8  # 0: always the likeliest token
    top_k: int = 40  # <= 0: all of the vocabulary
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64  # tokens the penalties look back on; -1: the whole context
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalize_newline: bool = True
    mirostat: int = 0  # 0 off, 1 or 2: the version
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    # (token id or text, bias added to its logit); every token of a text is biased
    logit_bias: tuple[tuple[int | str, float], ...] = ()


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is fixed when a model is loaded; another value means another load. None: the server decides."""

    num_ctx: int | None = None  # tokens one sequence may use
    num_batch: int | None = None  # tokens one decode step may take
    num_gpu: int | None = None  # layers on the GPU; -1: as many as fit
    main_gpu: int | None = None
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    num_thread: int | None = None
    num_thread_batch: int | None = None
    flash_attention: bool | None = None
    pooling: str | None = None  # how an embedding is made of those of its tokens; None: as the model's file says


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One request's options, read and checked."""

    load: LoadOptions = LoadOptions()
    sampling: Sampling = Sampling()
    num_predict: int = NO_LIMIT  # tokens; negative: until the model stops or the context is full
    num_keep: int = 4
    draft_num_predict: int = -1  # tokens that may be guessed ahead in a step; 0: none, negative: as the server likes
    think_budget: int = NO_LIMIT  # tokens of thinking, after which it is ended for the model; negative: no limit
    stop: tuple[str, ...] = ()
    deterministic: bool = False  # the same seed gives the same tokens, whatever else is computed


def read_options(*layers: Mapping[str, Any]) -> tuple[Options, list[str]]:
    """Options from `layers` of name -> JSON value, later layers over earlier ones.

    A null says nothing. Numbers for integers are cut towards zero, as Ollama does.

    Returns:
        The options, and the names that mean nothing here (for a warning).

    Raises:
        BadRequest: a value of the wrong type, not finite or out of range; the
            message and `field` name the option.
    """
    merged = {name: value for layer in layers for name, value in layer.items() if value is not None}
    known = {name: _CHECKS[name](name, value) for name, value in merged.items() if name in _CHECKS}
    options = Options(
        load=LoadOptions(**{n: v for n, v in known.items() if n in LoadOptions.__struct_fields__}),
        sampling=Sampling(**{n: v for n, v in known.items() if n in Sampling.__struct_fields__}),
        **{
            n: v
            for n, v in known.items()
            if n in ("num_predict", "num_keep", "draft_num_predict", "think_budget", "stop", "deterministic")
        },
    )
    return options, sorted(merged.keys() - _CHECKS.keys())


def _fail(name: str, what: str) -> BadRequest:
    return BadRequest(f'option "{name}" {what}', field=f"options.{name}")


def _integer(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _fail(name, "must be of type integer")
        if not math.isfinite(value) or not low <= int(value) <= high:
            raise _fail(name, f"must be between {low} and {high}, not {value}")
        return int(value)

    return check


def _number(low: float, high: float, *, above: bool = False) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _fail(name, "must be of type float32")
        # Written so that NaN, which compares false with everything, fails too.
        if not (low < value <= high if above else low <= value <= high):
            limits = f"above {low:g} and at most {high:g}" if above else f"between {low:g} and {high:g}"
            raise _fail(name, f"must be {limits}, not {value}")
        return float(value)

    return check


def _pooling(name: str, value: Any) -> str:
    if value not in POOLINGS:
        raise _fail(name, f"must be one of {', '.join(POOLINGS)}")
    return str(value)


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _fail(name, "must be of type boolean")
    return value


def _strings(name: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(item, str) for item in values):
        raise _fail(name, "must be of an array of strings")
    if len(values) > MAX_STOPS or sum(map(len, values)) > MAX_TEXT:
        raise _fail(name, f"must have at most {MAX_STOPS} strings, of {MAX_TEXT} characters together")
    # An empty stop string would match everywhere, at once; it can only be a slip.
    return tuple(item for item in values if item)


def _biases(name: str, value: Any) -> tuple[tuple[int | str, float], ...]:
    """OpenAI's `{"id": bias}` and llama-server's `[[id or text, bias], …]`."""
    if isinstance(value, Mapping):
        # In OpenAI's form every key is a token id, written as a string since JSON knows no other.
        if not all(str(key).isdecimal() and len(str(key)) <= len(str(INT32)) for key in value):
            raise _fail(name, "must have token ids as keys")
        pairs: list[Any] = [(int(key), bias) for key, bias in value.items()]
    elif isinstance(value, list | tuple):
        pairs = list(value)
    else:
        raise _fail(name, "must be an object of token id to bias, or an array of [token, bias]")
    if len(pairs) > MAX_BIASES:
        raise _fail(name, f"must have at most {MAX_BIASES} tokens")
    return tuple(_bias(name, pair) for pair in pairs)


def _bias(name: str, pair: Any) -> tuple[int | str, float]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise _fail(name, "must have pairs of a token and its bias")
    token, bias = pair
    if (
        isinstance(token, bool)
        or not isinstance(token, int | str)
        or (isinstance(token, int) and not 0 <= token <= INT32)
        or (isinstance(token, str) and len(token) > MAX_TEXT)
    ):
        raise _fail(name, f"has a token that is neither an id nor a text: {str(token)[:40]!r}")
    if bias is False:  # llama-server's "never"
        return token, -math.inf
    return token, _number(-100, 100)(name, bias)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "num_ctx": _integer(1, INT32),
    "num_batch": _integer(1, 65536),
    "num_gpu": _integer(-1, INT32),
    "main_gpu": _integer(0, 255),
    "use_mmap": _boolean,
    "use_mlock": _boolean,
    "num_thread": _integer(0, 1024),
    "num_thread_batch": _integer(0, 1024),
    "flash_attention": _boolean,
    "pooling": _pooling,
    "num_keep": _integer(-1, INT32),
    "draft_num_predict": _integer(-1, 1024),
    "seed": _integer(-INT64, 2 * INT64 + 1),
    "num_predict": _integer(-INT32, INT32),
    "think_budget": _integer(-1, INT32),
    "top_k": _integer(-1, INT32),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "typical_p": _number(0, 1),
    "repeat_last_n": _integer(-1, INT32),
    "temperature": _number(0, 100),
    "repeat_penalty": _number(0, 100, above=True),
    "presence_penalty": _number(-100, 100),
    "frequency_penalty": _number(-100, 100),
    "penalize_newline": _boolean,
    "mirostat": _integer(0, 2),
    "mirostat_tau": _number(0, 100),
    "mirostat_eta": _number(0, 1),
    "logit_bias": _biases,
    "stop": _strings,
    "deterministic": _boolean,
}
