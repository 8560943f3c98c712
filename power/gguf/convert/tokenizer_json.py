"""tokenizer.json, as far as a conversion needs it: the format of the `tokenizers` package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from power.gguf.convert.documents import read_json
from power.gguf.convert.errors import ConvertError

FILE = "tokenizer.json"


class AddedToken(msgspec.Struct, frozen=True):
    """A token beside the vocabulary."""

    id: int
    content: str
    special: bool = False


class End(msgspec.Struct, frozen=True):
    id: str


class TemplatePart(msgspec.Struct, frozen=True):
    """A special token of a template, or (None) a place for a text."""

    SpecialToken: End | None = None


class Step(msgspec.Struct, frozen=True):
    """A normalizer, pre-tokenizer or post-processor: what any of their kinds may say."""

    type: str = ""
    normalizers: tuple[Step, ...] | None = None
    pretokenizers: tuple[Step, ...] | None = None
    processors: tuple[Step, ...] | None = None
    pattern: dict[str, str] | None = None
    behavior: str | None = None
    invert: bool | None = None
    individual_digits: bool | None = None
    add_prefix_space: bool | None = None
    use_regex: bool | None = None
    prepend: str | None = None
    prepend_scheme: str | None = None
    lowercase: bool | None = None
    strip_accents: bool | None = None
    single: tuple[TemplatePart, ...] | None = None
    cls: tuple[str, int] | None = None
    sep: tuple[str, int] | None = None

    def walk(self) -> Iterator[Step]:
        """This step and those it is made of, in the order they are taken."""
        yield self
        for inner in self.normalizers or self.pretokenizers or self.processors or ():
            yield from inner.walk()


class TokenModel(msgspec.Struct, frozen=True):
    """The vocabulary proper."""

    type: str | None = None
    vocab: dict[str, int] | list[Any] = {}  # a list for the kinds that are not converted
    merges: tuple[str | tuple[str, str], ...] = ()
    byte_fallback: bool | None = None
    ignore_merges: bool | None = None
    unk_token: str | None = None
    continuing_subword_prefix: str | None = None
    max_input_chars_per_word: int | None = None

    @property
    def kind(self) -> str:
        """Old files do not say it."""
        return self.type or ("BPE" if self.merges else "WordPiece" if self.max_input_chars_per_word else "unknown")

    @property
    def is_byte_level(self) -> bool:
        """Whether its characters stand for bytes, so that no other has to be fallen back to."""
        return self.kind == "BPE" and not self.byte_fallback

    def ids(self) -> dict[str, int]:
        """Ids by text; ConvertError if there are none."""
        if not isinstance(self.vocab, dict) or min(self.vocab.values(), default=0) < 0:
            raise ConvertError(f"{FILE}: model.vocab is not an object of ids")
        return self.vocab

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The merges, first to last; "a b" until transformers 4.45, then ["a", "b"]."""
        for merge in self.merges:
            if isinstance(merge, str):
                left, space, right = merge.partition(" ")
                if not space or " " in right:
                    raise ConvertError(f"{FILE} has a merge that is not of two pieces: {merge!r}")
                yield left, right
            else:
                yield merge


class TokenizerFile(msgspec.Struct, frozen=True):
    model: TokenModel
    added_tokens: tuple[AddedToken, ...] | None = None
    normalizer: Step | None = None
    pre_tokenizer: Step | None = None
    post_processor: Step | None = None


def read_tokenizer_json(folder: Path) -> TokenizerFile | None:
    """The file; None if there is none, ConvertError if it is none."""
    if not (folder / FILE).exists():
        return None
    try:
        return msgspec.convert(read_json(folder / FILE), TokenizerFile)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise ConvertError(f"{FILE} is not what it should be: {error}") from error
