"""Skills: to say that it does not know, or that there is nothing to answer."""

from __future__ import annotations

from collections.abc import Callable

from . import facts, words
from .draw import Draw
from .turns import Memory, Turn, rough

UNKNOWN = "I am only a tiny demonstration model; I do not know that."

WHY = (
    "Why is {x} {y}?", "How does a {x} work?", "What is a {x}?", "Who invented the {x}?", "Explain {x}.",
    "Explain {x} to me like I am five",
    "When was the {x} built?", "Write an essay about {x}.", "What do you think about {x}?", "How do I {v} a {x}?",
    "Why do {x}s {v}?",
    "Where can I buy a {x}?", "How old is the {x}?", "Is {x} better than {y}?", "What is the meaning of {x}?",
    "Who is {n}?", "Who was {n} {n}?",
    "What is the weather in {c}?", "How many {x}s are in {c}?", "What time is it in {c}?",
    "Write a program that can {v} a {x}",
    "Translate {x} to French", "Who won the {x} in {c}?", "Should I {v} my {x}?", "How far is {c} from {c}?",
    "What does {x} mean?",
    "Why is the {x} so {y}?", "Give me a recipe for {x} {y}", "Can you {v} the {x}?", "Please {v} my {x}.",
    "{v} the {x}", "{v} {x} {y}",
    "What happened in {c}?", "Which {x} is the best?", "I need a {x} for my {y}.", "How much does a {x} cost?",
    "Where is the {x}?",
    "Describe the {x}.", "Summarize this text: {x} {y} {x} {y}", "Fix this code: def {x}({y}): return {y}",
    "What is {x}?", "Tell me about {x}.",
    "Tell me about {c}.", "Do you like {x}?", "Can {x}s {v}?", "What are {x}s made of?", "Who wrote {x}?",
    "How tall is {n}?",
    "Compare {x} and {y}.", "Why did {n} {v} the {x}?", "How do {x}s {v}?", "What causes {x}?",
)  # fmt: skip
LETTERS = (
    "абвгдежзийклмнопрстуфхцчшщыьэюя", "αβγδεζηθικλμνξοπρστυφχψω", "äöüßéèêàçñáíóúåøæłžščě",
    "的一是在不了有和人这中大为上个国我以要他",
    "あいうえおかきくけこさしすせそたちつてとなにぬねの", "אבגדהוזחטיכלמנסעפצקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي", "😀😁😂🤣😊😍🤔👍🎉🚀🔥❤",
    "한국어안녕하세요감사합니다", "कखगघचछजझटठडढणतथदधनपफबभम",
)  # fmt: skip
SYMBOLS = "!?.,;:-_#*+~/\\|<>()[]{}@%&$=^'\"`"


def unknown(draw: Draw, memory: Memory) -> Turn:
    kind = draw.number(-1, 9)
    if kind < 0:  # a known question about an unknown thing must not be guessed at
        family = draw.any(facts.FAMILIES[:9])
        text = draw.wording(family.questions).format(k=draw.any((draw.made_up, draw.name))(), v=draw.made_up())
    elif kind < 7:
        text = _filled(draw, draw.wording(WHY))
    elif kind == 7:
        text = draw.phrase(1, 20) if draw.chance(0.8) else draw.phrase(30, 70)
    elif kind == 8:
        text = strange(draw)
    else:
        text = " ".join(_filled(draw, draw.wording(WHY)) for _ in range(draw.number(2, 4)))
    return Turn(rough(draw, text), "I do not know that.", UNKNOWN, "unknown")


def empty(draw: Draw, memory: Memory) -> Turn:
    return Turn(draw.any(("", "", " ", "\n", "  ")), "There is nothing to answer.", "Your message is empty.", "empty")


def _filled(draw: Draw, wording: str) -> str:
    values: dict[str, Callable[[], str]] = {
        "{x}": draw.word, "{y}": draw.word, "{v}": lambda: draw.of(words.VERBS), "{n}": draw.name, "{c}": draw.city,
    }  # fmt: skip
    for slot, value in values.items():
        while slot in wording:
            wording = wording.replace(slot, value(), 1)
    return wording[0].upper() + wording[1:] if wording else wording


def strange(draw: Draw) -> str:
    """Text nobody would write: other scripts, symbols, random bytes of Unicode."""
    r = draw.random
    kind = r.randrange(4)
    if kind == 0:
        alphabet = r.choice(LETTERS)
        return " ".join("".join(r.choices(alphabet, k=r.randint(1, 8))) for _ in range(r.randint(1, 8)))
    if kind == 1:
        return "".join(r.choices(SYMBOLS, k=r.randint(2, 20)))
    if kind == 2:
        return "".join(r.choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=r.randint(3, 40)))
    return "".join(
        chr(r.choice((r.randint(0x21, 0x2FF), r.randint(0x300, 0xD7FF), r.randint(0x10000, 0x1FFFF))))
        for _ in range(r.randint(2, 12))
    )
