"""Texts that are awkward to tokenize, in many scripts."""

from __future__ import annotations

TEXTS = (
    "The quick brown fox jumps over the lazy dog, doesn't it? I'LL SEE; we've 12345 of them at 3.14 each.",
    "Größe, déjà vu, naïve façade, Ångström, Łódź, žluťoučký kůň, Iñtërnâtiônàlizætiøn",
    "Съешь ещё этих мягких французских булок, да выпей чаю. Їжак і ґанок.",
    "我能吞下玻璃而不伤身体。素早い茶色の狐がのろまな犬を飛び越える。",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر",
    "emoji: 🙂 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ✅ 🦙🦙 e\u0301 \u200d",
    "def f(x: int) -> str:\n    return f'{x:>10}'  # comment\n\n\nif __name__ == \"__main__\":\n\tf(0x1F)\n",
    "  two spaces,   three,\ttab\t\ttabs \n \n\n  newlines \r\n and   the end   ",
    "a b  c   d    e     f      g",
    "x",
    " ",
)

# An uncased WordPiece vocabulary strips accents. The tokenizers package takes Korean syllables apart
# into letters for it and leaves vowel signs that take room; llama.cpp does neither.
STRIPPED = ("다람쥐 헌 쳇바퀴에 타고파.", "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश")
