"""The prompts of `/v1/completions`: texts, token ids, or pieces of both as llama-server takes them.

A text is put into the model's template, tokens go in as they are.  Pieces, such as
`[1, 306, "am here", 29889]`, become tokens first: only the model can tell which.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from power.api.openai_bodies import CompletionBody, are_tokens
from power.errors import BadRequest
from power.generate import Generation, Power
from power.options import LoadOptions
from power.planning import read_request_options
from power.sched.model import Model
from power.worker.wire import Detokenize, Detokenized, Tokenize, Tokenized


async def with_plain_prompts(power: Power, body: CompletionBody) -> CompletionBody:
    """The body with texts and token ids alone; raises BadRequest."""
    given = body.prompt
    prompts = given if isinstance(given, list) and not are_pieces(given) else [given]
    if not body.model or not any(are_pieces(prompt) or isinstance(prompt, dict) for prompt in prompts):
        return body
    return replace(body, prompt=[await _plain(power, body.model, item, i) for i, item in enumerate(prompts)])


def are_pieces(item: Any) -> bool:
    """Whether it is one prompt, of texts and token ids."""
    if not isinstance(item, list) or not any(isinstance(piece, str) for piece in item):
        return False
    others = [piece for piece in item if not isinstance(piece, str)]
    return are_tokens(others)


async def _plain(power: Power, model: str, prompt: Any, index: int) -> Any:
    if isinstance(prompt, dict):
        text = prompt.get("prompt_string")
        if not isinstance(text, str):
            raise BadRequest(f'invalid "prompt[{index}].prompt_string": expected a string', field="prompt")
        if prompt.get("multimodal_data"):
            raise BadRequest(f"prompt[{index}].multimodal_data: a completion takes no pictures", field="prompt")
        return text
    return await _tokens(power, model, prompt) if are_pieces(prompt) else prompt


async def _tokens(power: Power, model: str, pieces: list[str | int]) -> list[int]:
    tokens: list[int] = []
    async with _asking(power, model, LoadOptions()) as asked:
        for index, piece in enumerate(pieces):
            if isinstance(piece, int):
                tokens.append(piece)
                continue
            answer = await asked.ask(Tokenize(0, piece, add_special=index == 0))
            assert isinstance(answer, Tokenized)
            tokens += answer.tokens
    return tokens


async def text_of(power: Power, prompt: Generation) -> str:
    """The prompt as a text, also where it came as tokens."""
    if not prompt.context:
        return prompt.prompt
    options = read_request_options(await power.find(prompt.model), prompt.options)
    async with _asking(power, prompt.model, options.load) as asked:
        try:
            answer = await asked.ask(Detokenize(0, prompt.context))
        except BadRequest as error:
            raise BadRequest(error.message, field="prompt") from None
    assert isinstance(answer, Detokenized)
    return answer.text


@asynccontextmanager
async def _asking(power: Power, model: str, options: LoadOptions) -> AsyncIterator[Model]:
    async with power.models.acquire(await power.find(model), options) as use:
        yield use.model
