"""One model in a process of its own.

`python -m power.worker FD` speaks `power.worker.wire` over the socket FD until
that socket ends.  This package holds the only imports of `llama_cpp`; the rest
of Power sees nothing of it but `power.worker.wire`.
"""
