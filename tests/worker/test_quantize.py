"""Every type that may be asked for is one that llama.cpp makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from power.gguf import read_facts
from power.store.create_request import QUANTIZED_TO
from tests.support import PATIENCE
from tests.worker.models import write_model

# Those with large grids are left to those who ask: llama.cpp computes their neighbours for half a minute first.
KINDS = [kind for kind in QUANTIZED_TO if not kind.startswith(("IQ1", "IQ2", "IQ3", "Q2_K_S"))]
PROGRAM = """
import sys
from pathlib import Path
from power.worker.quantize import quantize
source, *kinds = sys.argv[1:]
for kind in kinds:
    quantize(Path(source), Path(source).with_name(f"{kind}.gguf"), kind, 1, None)
"""


def test_every_type_is_made_and_says_what_it_is(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.gguf", n_embd=256, n_layer=1)

    command = [sys.executable, "-c", PROGRAM, str(source), *KINDS]
    subprocess.run(command, check=True, capture_output=True, timeout=2 * PATIENCE)

    made = {kind: read_facts(tmp_path / f"{kind}.gguf").quantization for kind in KINDS}
    assert made == {kind: kind for kind in KINDS}
    assert len(KINDS) > 20
