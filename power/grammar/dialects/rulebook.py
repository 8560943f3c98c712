"""GBNF rules that are gathered from several places under names of their own.

Tools are alike: a date, a list of texts, an argument called `path`.  What says the
same is there once, so that the grammar of sixty tools can still be followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from power.grammar.compose import literal, names_in, renamed, up_to
from power.grammar.spelling import SHARED


class Rulebook:
    """Rules by name, as text."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._named: dict[str, str] = {}  # rules of schemas, by their bodies

    def add(self, name: str, body: str) -> str:
        """A rule; it gets another name if that one is taken by another rule."""
        free, n = name, 1
        while self._bodies.get(free, body) != body:
            free, n = f"{name}-{n}x", n + 1
        self._bodies[free] = body
        return free

    def add_all(self, lines: Iterable[str]) -> None:
        """Rules as lines of a grammar, under names that are theirs alone."""
        for line in lines:
            name, _, body = line.partition(" ::= ")
            self._bodies[name] = body

    def include(self, grammar: str, name: str) -> str:
        """All rules of a compiled schema; what they share with those of other schemas is there once."""
        rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines() if " ::= " in line)
        names = {rule: rule if rule in SHARED else f"{name}-{rule}" for rule in rules}
        for rule in _children_first(rules):
            body = renamed(rules[rule], names)
            # A rule that comes back to itself has its own name in it, and is never another's like.
            names[rule] = self._named.setdefault(body, names[rule])
            self._bodies[names[rule]] = body
        return names["root"]

    def text_before(self, tag: str) -> str:
        """Any text whose first `tag` is its end."""
        if tag not in self._texts:
            name = f"text{len(self._texts)}-before"
            self.add_all(up_to(tag, name))
            self._texts[tag] = f"{name}-0"
        return self._texts[tag]

    def print(self, root: str) -> str:
        """The grammar, with `root` for its first rule's body."""
        return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in self._bodies.items())]) + "\n"


def _children_first(rules: dict[str, str]) -> Iterator[str]:
    """The rules that `root` needs, each behind those that it refers to, as far as they do not refer to each other."""
    seen = {"root"}
    path = [("root", iter(names_in(rules["root"])))]
    while path:
        rule, others = path[-1]
        other = next((each for each in others if each in rules and each not in seen), None)
        if other is None:
            yield rule
            path.pop()
        else:
            seen.add(other)
            path.append((other, iter(names_in(rules[other]))))


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
