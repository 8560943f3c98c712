"""A turn, what is remembered from one to the next, and how people type."""

from __future__ import annotations

from dataclasses import dataclass, field

from .draw import Draw


@dataclass(frozen=True)
class Turn:
    user: str
    thought: str  # one short line, said only while thinking is on
    answer: str
    skill: str


@dataclass
class Memory:
    """What the user has told so far, and the name a system message gave tiny, if any."""

    told: dict[str, str] = field(default_factory=dict)
    persona: str | None = None


BEFORE = (
    "Please, ",
    "Hey, ",
    "So, ",
    "Ok, ",
    "Hi tiny. ",
    "Quick question: ",
    "Now ",
    "And ",
    "tiny, ",
    "Hello. ",
    "Thanks. ",
)
AFTER = (" Please.", " Thanks!", " Thank you.", " please", "!", " :)", "...", " Tell me.")


def rough(draw: Draw, text: str, *, keep_case: bool = False) -> str:
    """The text as people type it: lower case, no full stop, politeness around it."""
    if not keep_case and draw.chance(0.15):
        text = text.lower()
    if draw.chance(0.12):
        text = text.rstrip(".?!")
    if draw.chance(0.06):
        text = draw.any(BEFORE) + text
    if draw.chance(0.06):
        text += draw.any(AFTER)
    return text
