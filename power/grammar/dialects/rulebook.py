"""GBNF rules that are gathered from several places under names of their own."""

from __future__ import annotations

from power.grammar.compose import literal, renamed, up_to
from power.grammar.spelling import SHARED


class Rulebook:
    """Rules by name, as text."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def add(self, name: str, body: str) -> str:
        """A rule; it gets another name if that one is taken by another rule."""
        free, n = name, 1
        while self._bodies.get(free, body) != body:
            free, n = f"{name}-{n}x", n + 1
        self._bodies[free] = body
        return free

    def include(self, grammar: str, name: str) -> str:
        """All rules of a compiled schema; what they share with those of other schemas is there once."""
        rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines() if " ::= " in line)
        names = {rule: rule if rule in SHARED else f"{name}-{rule}" for rule in rules}
        for rule, body in rules.items():
            self._bodies[names[rule]] = renamed(body, names)
        return names["root"]

    def text_before(self, tag: str) -> str:
        """Any text whose first `tag` is its end."""
        if tag not in self._texts:
            name = f"text{len(self._texts)}-before"
            for line in up_to(tag, name):
                rule, _, body = line.partition(" ::= ")
                self._bodies[rule] = body
            self._texts[tag] = f"{name}-0"
        return self._texts[tag]

    def print(self, root: str) -> str:
        """The grammar, with `root` for its first rule's body."""
        return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in self._bodies.items())]) + "\n"


def marks(text: str) -> str:
    """Marks as templates write them; where they have line ends, a model may have others."""
    parts: list[str] = []
    for n, part in enumerate(text.split("\n")):
        if n and (not parts or parts[-1] != LINES):
            parts.append(LINES)
        if part.strip() or (part and n == 0):
            parts.append(literal(part))
    return " ".join(parts)


LINES = "[ \\n]{0,8}"
