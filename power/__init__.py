"""Power: a local LLM server and CLI.

The layers, and who may lean on whom (`tests/test_layers.py` keeps it so)::

    api  cli  serve  client           faces, and the one place where everything is opened
    generate                          the one path: typed request -> events
    sched  store                      trio: slots and processes; files
    worker                            its own process: blocking code, no trio, the only importer of llama_cpp
    gguf  grammar  stream  prompt     pure: text and bytes in, values out; no trio, no network
    errors  events  messages  options  config  metrics     values; import nothing of ours
"""

__version__ = "0.1.0"
