"""Special tokens by what they are for, and the chat templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from power.gguf.convert.documents import read_json_if_there, read_text
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.tokenizer_json import Step, TokenizerFile
from power.gguf.convert.vocabulary import Vocabulary

# llama.cpp's keys; `seperator` is how it spells it (src/llama-arch.cpp).
_KEYS = {
    "bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding", "cls": "cls", "mask": "mask",
}  # fmt: skip
# What ends a turn rather than a text, as llama.cpp recognises it by its text.
_END_OF_TURN = ("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|eot|>", "<|end_of_turn|>", "<|turn_end|>")
_END_OF_MESSAGE = ("<|eom_id|>",)


def special_tokens(
    folder: Path, tokenizer: TokenizerFile | None, vocabulary: Vocabulary, n_vocab: int
) -> dict[str, Any]:
    """The keys of special ids, and of which are added to a text unasked."""
    config = read_json_if_there(folder / "tokenizer_config.json")
    model = read_json_if_there(folder / "config.json")
    inner = model.get("text_config")
    model = {**(inner if isinstance(inner, dict) else {}), **model}
    generation = read_json_if_there(folder / "generation_config.json")
    special_map = read_json_if_there(folder / "special_tokens_map.json")
    id_of = {token.text: number for number, token in sorted(vocabulary.tokens.items(), reverse=True)}
    ids: dict[str, int] = {}
    for name in _KEYS:
        text = _text(config.get(f"{name}_token")) or _text(special_map.get(f"{name}_token"))
        sources = [id_of.get(text or ""), model.get(f"{name}_token_id"), generation.get(f"{name}_token_id")]
        found = next((number for source in sources for number in _ids(source) if number < n_vocab), None)
        if found is not None:
            ids[name] = found
    processor = tokenizer.post_processor if tokenizer else None
    first, last = _template(processor, id_of)
    _complete(ids, first, last)
    metadata: dict[str, Any] = {f"tokenizer.ggml.{_KEYS[name]}_token_id": number for name, number in ids.items()}
    metadata |= _turn_ends(vocabulary, ids, [*_ids(generation.get("eos_token_id")), *_ids(model.get("eos_token_id"))])
    return metadata | _added_unasked(config, tokenizer, ids, first, last)


def chat_templates(folder: Path) -> dict[str, Any]:
    """The keys of the chat templates: the default one, and others by name.

    Raises:
        ConvertError: what is there is no template.
    """
    templates = dict(_templates(folder))
    metadata: dict[str, Any] = {}
    if "default" in templates:
        metadata["tokenizer.chat_template"] = templates.pop("default")
    if templates:
        metadata["tokenizer.chat_templates"] = sorted(templates)
        metadata |= {f"tokenizer.chat_template.{name}": text for name, text in sorted(templates.items())}
    return metadata


def _templates(folder: Path) -> Iterator[tuple[str, str]]:
    """Later ones take the place of earlier ones of the same name: files go over the configuration."""
    for document in ("tokenizer_config.json", "chat_template.json"):
        template = read_json_if_there(folder / document).get("chat_template")
        if isinstance(template, str):
            yield "default", template
        elif template is not None:
            yield from _named(template, document)
    if (folder / "chat_template.jinja").exists():
        yield "default", read_text(folder / "chat_template.jinja")
    for path in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        yield path.stem, read_text(path)


def _named(templates: Any, where: str) -> Iterator[tuple[str, str]]:
    for entry in templates if isinstance(templates, list) else [templates]:
        name, text = (entry.get("name"), entry.get("template")) if isinstance(entry, Mapping) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str):
            raise ConvertError(f"{where}: chat_template is neither a text nor a list of names and templates")
        yield name, text


def _complete(ids: dict[str, int], first: int | None, last: int | None) -> None:
    """BERT's [CLS] and [SEP] begin and end a text, which llama.cpp calls bos and eos."""
    for name, other, seen in (("bos", "cls", first), ("eos", "sep", last)):
        if name not in ids and (found := ids.get(other, seen)) is not None:
            ids[name] = found


def _added_unasked(
    config: Mapping[str, Any],
    tokenizer: TokenizerFile | None,
    ids: Mapping[str, int],
    first: int | None,
    last: int | None,
) -> dict[str, bool]:
    """tokenizer.json says what really happens, where there is one; tokenizer_config.json what was meant to."""
    said = {name: config.get(f"add_{name}_token") for name in ("bos", "eos")}
    if tokenizer and tokenizer.post_processor:
        said = {
            "bos": first is not None and first == ids.get("bos"),
            "eos": last is not None and last == ids.get("eos"),
        }
    elif tokenizer and not any(isinstance(value, bool) for value in said.values()):
        said = {"bos": False, "eos": False}
    # What is not known cannot be added; llama.cpp would take token 11.
    return {
        f"tokenizer.ggml.add_{name}_token": value and name in ids
        for name, value in said.items()
        if isinstance(value, bool)
    }


def _template(processor: Step | None, id_of: Mapping[str, int]) -> tuple[int | None, int | None]:
    """The ids that a tokenizer.json puts before and after a text."""
    for step in processor.walk() if processor else ():
        if step.type == "TemplateProcessing" and step.single:
            ends = [part.SpecialToken for part in (step.single[0], step.single[-1])]
            first, last = (id_of.get(end.id) if end else None for end in ends)
            return first, last
        if step.type in ("BertProcessing", "RobertaProcessing") and step.cls and step.sep:
            return id_of.get(step.cls[0]), id_of.get(step.sep[0])
    return None, None


def _turn_ends(vocabulary: Vocabulary, ids: Mapping[str, int], ends: list[int]) -> dict[str, int]:
    """Of several ends that a model may write, those that end a turn or a message."""
    found: dict[str, int] = {}
    for number in ends:
        text = vocabulary.tokens[number].text if number in vocabulary.tokens else ""
        for key, texts in (("eot", _END_OF_TURN), ("eom", _END_OF_MESSAGE)):
            if text in texts and number != ids.get("eos"):
                found.setdefault(f"tokenizer.ggml.{key}_token_id", number)
    return found


def _text(value: Any) -> str | None:
    """A token's text, given plainly or as the object that transformers makes of it."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _ids(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [number for number in values if type(number) is int and number >= 0]
