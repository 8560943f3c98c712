from __future__ import annotations

from power.worker.log import MIB, Log

# As llama.cpp says it with two GPUs (src/llama-model.cpp, llama-kv-cache.cpp, llama-context.cpp).
LINES = """\
load_tensors:        CUDA0 model buffer size =  1024.00 MiB
load_tensors:   CPU_Mapped model buffer size =   100.50 MiB
llama_context:  CUDA_Host  output buffer size =     1.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =    64.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =    16.00 MiB
llama_memory_recurrent:      CUDA1 RS buffer size =     2.00 MiB
llama_context:      CUDA0 compute buffer size =   300.00 MiB
llama_context:      CUDA0 compute buffer size =   310.00 MiB
"""


def test_what_is_allocated_where_is_read_from_the_log() -> None:
    log = Log()
    for line in LINES.splitlines(keepends=True):
        log._write(2, line.encode(), None)

    assert log.kv_bytes == 82 * MIB
    assert log.device_bytes == {
        "CUDA0": (1024 + 80 + 310) * MIB,
        "CPU_Mapped": int(100.5 * MIB),
        "CUDA_Host": MIB,
        "CUDA1": 2 * MIB,
    }
