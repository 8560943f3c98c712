"""Models that exist only as far as prompts need them."""

from __future__ import annotations

import msgspec

from power.gguf import Facts
from power.messages import Message


class Config(msgspec.Struct, frozen=True, kw_only=True):
    renderer: str = ""
    parser: str = ""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    name: str = "m"
    facts: Facts
    template: str | None = None  # in Go's language
    config: Config = Config()
    family: str = "llama"
    system: str = ""
    messages: tuple[Message, ...] = ()
    go_template: bool | None = None


def model(
    jinja: str | None,
    *,
    go: str | None = None,
    system: str = "",
    messages: tuple[Message, ...] = (),
    name: str = "m",
    named: dict[str, str] | None = None,
    config: Config | None = None,
    family: str = "llama",
    fim_tokens: tuple[str, ...] = (),
    go_template: bool | None = None,
) -> Model:
    facts = Facts(
        architecture="llama", name=name, n_params=1, quantization="F32", n_ctx_train=1, embedding_length=1,
        n_layers=1, n_heads=1, n_heads_kv=1, tokenizer="llama", chat_template=jinja, bos="<s>", eos="</s>",
        capabilities=(), chat_templates=named or {}, fim_tokens=fim_tokens,
    )  # fmt: skip
    return Model(
        name=name, facts=facts, template=go, config=config or Config(), family=family, system=system, messages=messages,
        go_template=go_template,
    )  # fmt: skip
