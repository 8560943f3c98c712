"""llama_cpp's C API without the rest of the package.

`import llama_cpp.llama_cpp` first runs the package's own `__init__`, which
imports its high-level API: jinja2, chat formats, a disk cache.  None of that is
used here, and it costs each worker 15 MB and a tenth of a second of its load.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec


def import_bindings_alone() -> None:
    """From now on, in this process, `import llama_cpp.…` imports that module and nothing else."""
    if "llama_cpp" not in sys.modules and (spec := find_spec("llama_cpp")) is not None:
        sys.modules["llama_cpp"] = module_from_spec(spec)  # has the package's path, and has not run
