"""`python -m power.worker.quantize SOURCE OUT TYPE THREADS [IMATRIX]`: write a GGUF in another type.

Standard output gets lines of JSON: `{"completed": bytes, "total": bytes}` as the
tensors go by, and `{"error": …}` before a status of 1.  The process ends with
its standard input, so that it does not outlive who started it.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as c
import numpy as np
from numpy.typing import NDArray

from power.gguf import GGUF, GGUFError, open_gguf
from power.gguf.constants import FILE_TYPES
from power.worker.cores import count_cores
from power.worker.log import Log

TYPES = {name: number for number, name in FILE_TYPES.items()}
# "[  12/ 291] blk.0.attn_q.weight  - [...], type = f16, …", before each tensor is worked on.
_TENSOR = re.compile(r"\[ *\d+/ *\d+\] +(\S+)")
_SUMS, _COUNTS = ".in_sum2", ".counts"  # of an importance matrix; tools/imatrix in llama.cpp


class Failure(Exception):
    """It cannot be done; the message says why."""


class ProgressLog(Log):
    """llama.cpp's log, which is also the only place that tells how far it is."""

    def __init__(self, gguf: GGUF) -> None:
        self._sizes = {info.name: info.n_bytes for info in gguf.tensors.values()}
        self._total = sum(self._sizes.values())
        self._done = 0
        super().__init__()

    def _write(self, level: int, text: bytes, user_data: int | None) -> None:
        if match := _TENSOR.match(text.decode(errors="replace")):
            say({"completed": self._done, "total": self._total})
            self._done += self._sizes.get(match[1], 0)
        super()._write(level, text, user_data)

    def finish(self) -> None:
        say({"completed": self._total, "total": self._total})


def main(source: str, out: str, kind: str, n_threads: str, imatrix: str = "") -> int:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        quantize(Path(source), Path(out), kind, int(n_threads), Path(imatrix) if imatrix else None)
    except (Failure, GGUFError) as error:
        say({"error": str(error)})
        return 1
    return 0


def quantize(source: Path, out: Path, kind: str, n_threads: int, imatrix: Path | None) -> None:
    """Raises Failure with llama.cpp's own words, or GGUFError if a file is not what it should be."""
    log = ProgressLog(open_gguf(source))
    params = c.llama_model_quantize_default_params()
    params.ftype = TYPES[kind]
    params.nthread = n_threads or count_cores()
    if imatrix is not None:
        weights = read_imatrix(imatrix)
        table = importance_table(weights)
        params.imatrix = ctypes.cast(table, ctypes.POINTER(c.llama_model_imatrix_data))
    c.llama_backend_init()
    status = c.llama_model_quantize(os.fsencode(source), os.fsencode(out), ctypes.byref(params))
    if status:
        raise Failure(_reason(log.last_errors()) or f"llama.cpp gave up with status {status}")
    log.finish()


def read_imatrix(path: Path) -> dict[str, NDArray[np.float32]]:
    """How much each input of a tensor matters, by the tensor's name; GGUFError or Failure if the file is none."""
    gguf = open_gguf(path)
    if gguf.metadata.get("general.type") != "imatrix":
        raise Failure("the imatrix is not one: its general.type is not 'imatrix'")
    names = [name.removesuffix(_SUMS) for name in gguf.tensors if name.endswith(_SUMS)]
    found = {}
    for name in names:
        sums, counts = gguf.floats(name + _SUMS), gguf.floats(name + _COUNTS).reshape(-1, 1)
        sums = sums.reshape(len(counts), -1)
        # An expert that was never asked is as important in all its inputs.
        means = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
        if not np.isfinite(means).all():
            raise Failure(f"the imatrix has a value for {name} that is not finite")
        found[name] = np.ascontiguousarray(means.reshape(-1), np.float32)
    return found


def importance_table(weights: dict[str, NDArray[np.float32]]) -> Any:
    """The array of C structs, ended by an empty one; `weights` has to live as long."""
    table = (c.llama_model_imatrix_data * (len(weights) + 1))()
    for entry, (name, values) in zip(table, weights.items(), strict=False):
        entry.name = name.encode()
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = values.size
    return table


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _reason(errors: str) -> str:
    """The last thing it said, without the names of its functions."""
    return errors.rpartition("; ")[2].rpartition("failed to quantize: ")[2].strip()


def _leave_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
