"""How the parsers that Ollama's models name by `PARSER` read, by what they are called.

A model from Ollama's library may come without a template that could be asked.  Its
config names the parser instead: a syntax and the marks of thinking, by a family's name.
"""

from __future__ import annotations

import msgspec

from power.grammar.dialects.dialect import HERMES, Dialect, Syntax
from power.grammar.dialects.taught import DEEPSEEK_R1 as COGITO
from power.grammar.dialects.taught import LFM2
from power.stream.blocks import Thinking
from power.stream.thinking import Tags


class Written(msgspec.Struct, frozen=True):
    """How a family answers."""

    dialect: Dialect | None
    tags: Tags | None = None
    opens_thinking: bool = False  # its prompts end inside of thinking, where it thinks at all
    may_repeat: bool = False  # and it may open that once more
    channels: bool = False

    @property
    def thinking(self) -> Thinking | None:
        """How it marks thinking, where it thinks."""
        if self.tags is None:
            return None
        opening, closing = self.tags
        begun, channels = self.opens_thinking, self.channels
        return Thinking(open=opening, close=closing, ending=f"{closing}\n\n", begun=begun, channels=channels)


THINK = ("<think>", "</think>")

DEEPSEEK = Dialect(
    syntax=Syntax.ARGUMENTS,
    section_open="<｜tool▁calls▁begin｜>",
    section_close="<｜tool▁calls▁end｜>",
    call_open="<｜tool▁call▁begin｜>",
    call_close="<｜tool▁call▁end｜>",
    name_end="<｜tool▁sep｜>",
    silent=("<｜tool▁outputs▁begin｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "<｜tool▁outputs▁end｜>"),
)
MISTRAL = Dialect(syntax=Syntax.ARGUMENTS, call_open="[TOOL_CALLS]", name_end="[ARGS]")
QWEN_CODER = Dialect(
    syntax=Syntax.PARAMETERS,
    call_open="<tool_call>\n<function=",
    call_close="\n</function>\n</tool_call>",
    separator="\n",
    name_end=">",
    key_open="\n<parameter=",
    key_ends=(("string", ">\n"),),
    value_close="\n</parameter>",
)
GLM = Dialect(
    syntax=Syntax.PARAMETERS,
    call_open="<tool_call>",
    call_close="\n</tool_call>",
    separator="\n",
    key_open="\n<arg_key>",
    key_ends=(("string", "</arg_key>\n<arg_value>"),),
    value_close="</arg_value>",
)
COHERE = Dialect(
    syntax=Syntax.OBJECT,
    section_open="<|START_ACTION|>[",
    section_close="]<|END_ACTION|>",
    separator=",",
    name_key="tool_name",
    arguments_key="parameters",
    keys=("tool_call_id", "tool_name", "parameters"),
    content_open=("<|START_TEXT|>", "<|START_RESPONSE|>"),
    content_close=("<|END_TEXT|>", "<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>"),
)
GEMMA = Dialect(
    syntax=Syntax.BRACES,
    call_open="<|tool_call>call:",
    call_close="<tool_call|>",
    name_end="{",
    quote='<|"|>',
    silent=("<|tool_response>", "<tool_response|>"),
)
FUNCTION_GEMMA = Dialect(
    syntax=Syntax.BRACES,
    call_open="<start_function_call>call:",
    call_close="<end_function_call>",
    name_end="{",
    quote="<escape>",
)
OLMO = Dialect(
    syntax=Syntax.PYTHON,
    section_open="<function_calls>",
    section_close="</function_calls>",
    separator="\n",
    python_words=False,
)
HARMONY = Dialect(syntax=Syntax.CHANNEL, parallel=False)

_PARSERS: dict[str, Written] = {
    "cohere": Written(COHERE, ("<|START_THINKING|>", "<|END_THINKING|>"), True),
    "deepseek3": Written(DEEPSEEK, THINK, True),
    "functiongemma": Written(FUNCTION_GEMMA),
    "gemma4": Written(GEMMA, ("<|channel>thought", "<channel|>")),
    "glm-4.6": Written(GLM, THINK),
    "glm-4.7": Written(GLM, THINK, True),
    "glm-ocr": Written(GLM, THINK),
    "harmony": Written(HARMONY, ("<|channel|>analysis<|message|>", "<|end|>"), channels=True),
    "lfm2": Written(LFM2, THINK),
    "lfm2-thinking": Written(LFM2, THINK),
    "ministral": Written(MISTRAL, ("[THINK]", "[/THINK]"), True, True),
    "nemotron-3-nano": Written(QWEN_CODER, THINK, True, True),
    "olmo3": Written(OLMO),
    "olmo3-think": Written(None, THINK, True),
    "passthrough": Written(None),
    "qwen3": Written(HERMES),
    "qwen3-coder": Written(QWEN_CODER),
    "qwen3-thinking": Written(HERMES, THINK, True, True),
    "qwen3-vl-instruct": Written(HERMES),
    "qwen3-vl-thinking": Written(HERMES, THINK, True),
    "ornith": Written(QWEN_CODER, THINK, True, True),
    "nemotron-3.5-nano": Written(QWEN_CODER, THINK, True, True),
    "cogito": Written(COGITO, THINK, True),
    "gemma4-no-thinking": Written(GEMMA),
    "laguna": Written(GLM, THINK),
    "poolside-v1": Written(GLM, THINK),
    "qwen3.5": Written(QWEN_CODER, THINK, True, True),
    "thinking": Written(None, THINK),
}


def written(parser: str) -> Written | None:
    """How a named parser reads; None for one that is not known."""
    return _PARSERS.get(parser)
