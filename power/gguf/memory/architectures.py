"""Which architectures keep what: tables out of the pinned llama.cpp.

From llm_arch_is_recurrent and llm_arch_is_hybrid (src/llama-arch.cpp), create_memory
(src/llama-model.cpp) and load_arch_hparams (src/models/*.cpp); tests/gguf/test_estimate.py
reads those again.
"""

from __future__ import annotations

# No cache at all: the whole text is one batch (llama_model::create_memory).
WITHOUT_CACHE = frozenset(
    "bert jina-bert-v2 jina-bert-v3 nomic-bert nomic-bert-moe neo-bert eurobert modern-bert gemma-embedding"
    " wavtokenizer-dec dream llada llada-moe rnd1".split()
)
RECURRENT = frozenset("mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7".split())
# Both kinds of memory in every layer; elsewhere a layer without KV heads is the recurrent one.
BOTH_IN_EACH = frozenset(["falcon-h1"])
HYBRID = BOTH_IN_EACH | frozenset(
    "jamba plamo2 granitehybrid lfm2 lfm2moe nemotron_h nemotron_h_moe qwen3next kimi-linear bailingmoe3 kimi-k3"
    " glm5-next qwen35 qwen35moe qwen4exp minimax-01".split()
)
# Of which every n-th layer attends, unless attention.recurrent_layers says which.
EVERY_NTH = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "qwen4exp": 4, "minimax-01": 8}
# Architectures that slide, with the period of their pattern where the file does not give one
# (0: it always does). All others ignore attention.sliding_window, phi3 on purpose.
SLIDING = {
    "afmoe": 4, "cohere2": 4, "cohere2moe": 4, "exaone-moe": 4, "exaone4": 4, "gemma2": 2, "gemma3": 6, "gemma3n": 5,
    "laguna": 4, "llama4": 4, "mellum": 4, "muse-glimmer": 4, "olmo2": 4, "gpt-oss": 2, "plamo3": 8, "smallthinker": 4,
    "gemma4": 0, "granite_swa": 0, "maple": 0, "mimo2": 0, "spark2_5": 0, "step35": 0, "lfm2": 0, "lfm2moe": 0,
}  # fmt: skip
FULL_FIRST = frozenset(["cohere2moe", "laguna", "smallthinker"])  # the full layer opens the period
# Of these llama.cpp leaves the last layers, which guess tokens ahead, in the file.
SKIPS_LAST = frozenset(
    "bailingmoe3 cohere2moe deepseek2 deepseek32 deepseek4 glm-dsa glm4moe glm5-next hy_v3 mimo2 nemotron_h"
    " nemotron_h_moe qwen35 qwen35moe qwen3next step35".split()
)
DEFAULT_WINDOW = {"llama4": 8192, "exaone4": 4096}
# Layers from this one on use the cache of an earlier one.
CACHED_LAYERS = {"gemma3n": 20}
