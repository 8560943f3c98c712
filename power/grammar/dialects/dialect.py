"""How a family of models writes tool calls: a value that reader, writer and grammar share.

A call stands between marks, alone or in a section with others:

    section_open (call_open … call_close separator)* section_close

and what is between its marks follows one of a few syntaxes.  The texts are as the
template writes them; readers take any whitespace where they have some.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

# Where texts around a call's name hold its id, its number, or the name once more.
ID, INDEX, NAME = "\0id\0", "\0index\0", "\0name\0"


CDATA = ("<![CDATA[", "]]>")
_MARK = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")  # what a token of its own may stand for


class Syntax(Enum):
    """What a call is, between its marks."""

    OBJECT = "a JSON object that holds name and arguments"
    ARGUMENTS = "the name, then the arguments as a JSON object"
    PARAMETERS = "the name, then each argument between tags of its own"
    ELEMENTS = "the name, then each argument as an element that is named after it"
    PYTHON = "a Python call with keyword arguments"
    BRACES = "the name, then an object with bare keys and strings in marks"
    CHANNEL = "a message to the tool, as OpenAI's harmony has it"


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One way to write calls."""

    syntax: Syntax
    section_open: str = ""
    section_close: str = ""
    call_open: str = ""  # up to the name; of objects and Python calls: up to their beginning
    call_close: str = ""
    separator: str = ""
    parallel: bool = True  # several calls in one answer
    first_index: int = 0  # what INDEX counts from

    # OBJECT
    name_key: str = "name"
    arguments_key: str = "arguments"
    id_key: str = ""
    wrapper_key: str = ""  # the key of an object around the two
    fields: tuple[tuple[str, str], ...] = ()  # others that are always there: key and JSON value
    keys: tuple[str, ...] = ("name", "arguments")  # all of them, in order
    escaped: bool = False  # the arguments are JSON in a string
    keyed: bool = False  # {name: arguments}

    name_end: str = ""  # between name and arguments; syntaxes with the name outside

    # PARAMETERS
    key_open: str = ""
    key_ends: tuple[tuple[str, str], ...] = ()  # JSON type and what stands between key and value then
    value_close: str = ""
    python_words: bool = False  # True, False and None rather than JSON's
    cdata: bool = False  # texts that look like tags stand in <![CDATA[…]]>

    quote: str = ""  # BRACES: around strings
    element: str = ""  # ELEMENTS: before each tag

    # Around an answer's text.
    content_open: tuple[str, ...] = ()
    content_close: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()  # what stands around tools' results: marks that are nobody's words

    @property
    def opening(self) -> str:
        """Everything before the first name or call."""
        return self.section_open + self.call_open

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts whose tokens a reader has to see, even if they are control tokens."""
        if self.syntax is Syntax.CHANNEL:
            return ("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>")
        ends = [end for _, end in self.key_ends]
        around = (self.section_open, self.section_close, self.call_open, self.call_close, self.separator, self.name_end)
        texts = (*around, self.key_open, *ends, self.value_close, self.quote, self.element)
        return tuple(dict.fromkeys(mark for text in texts for mark in _MARK.findall(text)))

    @property
    def repeats_section(self) -> bool:
        """Whether an answer may have several sections.

        A template that loops over calls between two tags shows nothing but tags of a
        section, though its model was taught to put each call between tags.
        """
        return bool(self.section_close.strip()) and not self.call_open.strip() and not self.section_open.endswith("[")

    @property
    def is_typed(self) -> bool:
        """Whether the text of a parameter says if it is a string."""
        return len({end for _, end in self.key_ends}) > 1

    def key_end(self, kind: str) -> str:
        """What stands between a key and a value of a JSON type."""
        return dict(self.key_ends).get(kind) or self.key_ends[0][1]


HERMES = Dialect(syntax=Syntax.OBJECT, call_open="<tool_call>\n", call_close="\n</tool_call>", separator="\n")
