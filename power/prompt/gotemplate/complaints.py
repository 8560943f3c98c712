"""What the parser could not read, in Go's words."""

from __future__ import annotations

import re

from lark import Token, UnexpectedInput

SPACE = " \t\r\n"  # what trim markers take away


def complaint(text: str, error: UnexpectedInput) -> tuple[int, str]:
    """Where and what, in Go's words where it has some for it."""
    token: Token | None = getattr(error, "token", None)
    at = error.pos_in_stream if token is None or token.type == "$END" else token.start_pos
    rest = text[len(text) if at is None or (token is not None and token.type == "$END") else at :].lstrip(SPACE)
    at = len(text) - len(rest)
    opened = text.rfind("{{", 0, at)
    if not rest:
        expected = set(getattr(error, "expected", ()) or getattr(error, "allowed", ()) or ())
        return (at, "unexpected EOF") if "TEXT" in expected else (opened, "unclosed action")
    return at, _unexpected(rest, text[opened + 2 : at].lstrip("-" + SPACE))


_UNTERMINATED = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
}
_VALUED = ("if", "range", "with", "block", "template")


def _unexpected(rest: str, before: str) -> str:
    """About what stands in an action where it may not; `before` is the action so far."""
    words = before.split()
    context = words[-1] if words and words[-1] in _VALUED else "command"
    if re.match("-?}}", rest):
        unclosed = before.count("(") > before.count(")")
        return "unclosed left paren" if unclosed else f"missing value for {context}"
    if rest.startswith("/*"):
        return "comment ends before closing delimiter" if "*/" in rest else "unclosed comment"
    if rest[0] in _UNTERMINATED and not re.match(r"""(["'])(?:(?!\1)[^\\\n]|\\[^\n])*\1|`[^`]*`""", rest):
        return _UNTERMINATED[rest[0]]
    if rest[0] == ")":
        return "unexpected right paren"
    lexeme = re.match(r"\w+|.", rest, re.DOTALL)
    return (
        f'unexpected "{lexeme[0] if lexeme else rest[0]}" in {"operand" if words and context == "command" else context}'
    )
