"""Tensors' packed blocks to float32 and back, as ggml does it, bit for bit.

dequantise(file.tensor("output.weight"), file.tensors["output.weight"].type)
quantise(weights, TYPE_NAMED["Q8_0"])
"""

from power.gguf.blocks.dequantise import dequantise, dequantise_into
from power.gguf.blocks.fields import block_dtype, swap_order
from power.gguf.blocks.quantise import QUANTISABLE, quantise

__all__ = ["QUANTISABLE", "block_dtype", "dequantise", "dequantise_into", "quantise", "swap_order"]
