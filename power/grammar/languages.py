"""Regular languages as values: regular expressions with intersection and complement.

Everything that constrains a text -- patterns, lengths, formats, the words of an
`enum`, the names that are left for additional properties -- is one of these.
Constructors simplify, so that equal languages are mostly equal values, and
`derive` (Brzozowski, 1964: what may follow after one character) turns any of
them into an automaton.

`key` is a number made of a value's content alone: it orders the members of a
union the same way in every process, so equal schemas compile equally.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from power.grammar import charset
from power.grammar.charset import Ranges


class Lang(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """A set of texts; `nullable` says whether the empty text is one of them."""

    key: int
    nullable: bool


class Chars(Lang, frozen=True, cache_hash=True, gc=False):
    """The texts of one character out of `ranges`; without ranges, the empty language."""

    ranges: Ranges


class Words(Lang, frozen=True, cache_hash=True, gc=False):
    """These texts, sorted, at least one."""

    words: tuple[str, ...]


class Cat(Lang, frozen=True, cache_hash=True, gc=False):
    """One part after the other, at least two."""

    parts: tuple[Lang, ...]


class Either(Lang, frozen=True, cache_hash=True, gc=False):
    """Any of the options, at least two, ordered by key."""

    options: tuple[Lang, ...]


class Both(Lang, frozen=True, cache_hash=True, gc=False):
    """What is in all parts, at least two, ordered by key."""

    parts: tuple[Lang, ...]


class Not(Lang, frozen=True, cache_hash=True, gc=False):
    """Every text that is not in `inner`."""

    inner: Lang


class Repeat(Lang, frozen=True, cache_hash=True, gc=False):
    """`item` from `low` to `high` times; `high` None means no end. A nullable item has `low` 0."""

    item: Lang
    low: int
    high: int | None


class Residue(Lang, frozen=True, cache_hash=True, gc=False):
    """Texts whose digits, read after a number that leaves `rest`, make a multiple of `modulus`.

    Other characters count nothing.
    """

    modulus: int
    rest: int


def chars(ranges: Ranges) -> Lang:
    return Chars(hash((1, ranges)), False, ranges) if ranges else NONE


def words(texts: Iterable[str]) -> Lang:
    ordered = tuple(sorted(set(texts)))
    if not ordered:
        return NONE
    key = hash((2, tuple(hash(tuple(map(ord, text))) for text in ordered)))
    return Words(key, ordered[0] == "", ordered)


NONE = Chars(hash((1,)), False, ())
ANY = chars(charset.ALL)
EPSILON = words([""])
# Nothing else makes a language equal to NONE or to this one, so `is` finds them.
ALL: Lang = Repeat(hash((4, ANY.key, 0, -1)), True, ANY, 0, None)


def cat(*parts: Lang) -> Lang:
    flat: list[Lang] = []
    for part in parts:
        if part is NONE:
            return NONE
        for piece in part.parts if isinstance(part, Cat) else (part,):
            if piece == EPSILON:
                continue
            if flat and _is_word(piece) and _is_word(flat[-1]):
                flat[-1] = words([flat[-1].words[0] + piece.words[0]])  # type: ignore[attr-defined]
            elif flat and piece is ALL and flat[-1] is ALL:
                continue
            else:
                flat.append(piece)
    if len(flat) < 2:
        return flat[0] if flat else EPSILON
    return Cat(hash((3, *[part.key for part in flat])), all(part.nullable for part in flat), tuple(flat))


def _is_word(lang: Lang) -> bool:
    return isinstance(lang, Words) and len(lang.words) == 1


def repeat(item: Lang, low: int = 0, high: int | None = None) -> Lang:
    if item is NONE:
        return EPSILON if low == 0 else NONE
    if high == 0 or item == EPSILON:
        return EPSILON
    if low == high == 1:
        return item
    if low == 0 and high is None and item == ANY:
        return ALL
    if item.nullable:
        low = 0
    if isinstance(item, Repeat) and max(item.low, low) <= 1 and item.high is None and (item.low == 0 or high is None):
        # (x*)+, (x+)*, (x*){0,5} and the like are x* or x+.
        return repeat(item.item, min(item.low, low), None)
    return Repeat(hash((4, item.key, low, -1 if high is None else high)), low == 0, item, low, high)


def either(*options: Lang) -> Lang:
    seen: dict[Lang, None] = {}
    ranges: list[tuple[int, int]] = []
    texts: list[str] = []
    for option in options:
        for piece in option.options if isinstance(option, Either) else (option,):
            if isinstance(piece, Chars):
                ranges += piece.ranges
            elif isinstance(piece, Words):
                texts += piece.words
            else:
                seen[piece] = None
    if ALL in seen or any(isinstance(lang, Not) and lang.inner in seen for lang in seen):
        return ALL
    if ranges:
        seen[chars(charset.normal(ranges))] = None
    if texts:
        seen[words(texts)] = None
    if len(seen) < 2:
        return next(iter(seen), NONE)
    flat = tuple(sorted(seen, key=_key))
    return Either(hash((5, *[lang.key for lang in flat])), any(lang.nullable for lang in flat), flat)


def _key(lang: Lang) -> int:
    return lang.key


def both(*parts: Lang) -> Lang:
    seen: dict[Lang, None] = {}
    finite: Words | None = None
    low, high = 0, None
    for part in parts:
        for piece in part.parts if isinstance(part, Both) else (part,):
            if isinstance(piece, Words) and (finite is None or len(piece.words) < len(finite.words)):
                seen |= {finite: None} if finite else {}
                finite = piece
            elif isinstance(piece, Repeat) and piece.item == ANY:
                low = max(low, piece.low)
                high = piece.high if high is None else high if piece.high is None else min(high, piece.high)
            else:
                seen[piece] = None
    if (low, high) != (0, None):
        seen[length(low, high)] = None
    if finite is not None:
        return words(text for text in finite.words if all(matches(lang, text) for lang in seen))
    if NONE in seen or any(isinstance(lang, Not) and lang.inner in seen for lang in seen):
        return NONE
    sets = [lang for lang in seen if isinstance(lang, Chars)]
    if len(sets) > 1:
        ranges = sets[0].ranges
        for one in sets[1:]:
            ranges = charset.intersection(ranges, one.ranges)
        return both(chars(ranges), *(lang for lang in seen if not isinstance(lang, Chars)))
    return _both(seen)


def _both(seen: dict[Lang, None]) -> Lang:
    if len(seen) < 2:
        return next(iter(seen), ALL)
    excluded = [lang.inner for lang in seen if isinstance(lang, Not)]
    if len(excluded) > 1:
        return both(*(lang for lang in seen if not isinstance(lang, Not)), negation(either(*excluded)))
    flat = tuple(sorted(seen, key=_key))
    return Both(hash((6, *[lang.key for lang in flat])), all(lang.nullable for lang in flat), flat)


def negation(inner: Lang) -> Lang:
    if isinstance(inner, Not):
        return inner.inner
    if inner is NONE:
        return ALL
    if inner is ALL:
        return NONE
    return Not(hash((7, inner.key)), not inner.nullable, inner)


def length(low: int, high: int | None) -> Lang:
    """Every text of `low` to `high` characters."""
    return NONE if high is not None and low > high else repeat(ANY, low, high)


def residue(modulus: int, rest: int = 0) -> Lang:
    return ALL if modulus == 1 else Residue(hash((8, modulus, rest)), rest == 0, modulus, rest)


# The states of an automaton have most of their parts in common.
@lru_cache(maxsize=20_000)
def derive(lang: Lang, point: int) -> Lang:
    """What may follow in `lang` after the character `point`."""
    match lang:
        case Chars():
            return EPSILON if charset.contains(lang.ranges, point) else NONE
        case Words():
            first = chr(point)
            return words(text[1:] for text in lang.words if text[:1] == first)
        case Cat():
            return _derive_cat(lang.parts, point)
        case Either():
            return either(*(derive(option, point) for option in lang.options))
        case Both():
            return both(*(derive(part, point) for part in lang.parts))
        case Not():
            return negation(derive(lang.inner, point))
        case Repeat():
            high = None if lang.high is None else lang.high - 1
            return cat(derive(lang.item, point), repeat(lang.item, max(lang.low - 1, 0), high))
        case Residue():
            digit = point - 48
            return residue(lang.modulus, (10 * lang.rest + digit) % lang.modulus) if 0 <= digit <= 9 else lang
    raise AssertionError(lang)


def _derive_cat(parts: tuple[Lang, ...], point: int) -> Lang:
    options = []
    for index, part in enumerate(parts):
        options.append(cat(derive(part, point), *parts[index + 1 :]))
        if not part.nullable:
            break
    return either(*options)


def matches(lang: Lang, text: str) -> bool:
    if isinstance(lang, Words):
        return text in lang.words
    if isinstance(lang, Not):
        return not matches(lang.inner, text)
    if isinstance(lang, Both):
        return all(matches(part, text) for part in lang.parts)
    if isinstance(lang, Either):
        return any(matches(option, text) for option in lang.options)
    if isinstance(lang, Repeat) and lang.item == ANY:
        return lang.low <= len(text) <= (len(text) if lang.high is None else lang.high)
    for char in text:
        lang = derive(lang, ord(char))
        if lang is NONE:
            return False
    return lang.nullable


def nonempty(lang: Lang) -> Lang:
    """The language without the empty text."""
    if not lang.nullable:
        return lang
    match lang:
        case Words():
            return words(lang.words[1:])
        case Either():
            return either(*(nonempty(option) for option in lang.options))
        case Repeat() if not lang.item.nullable:
            return repeat(lang.item, 1, lang.high)
        case Repeat():
            return cat(nonempty(lang.item), lang) if lang.high is None else both(lang, length(1, None))
        case Cat():
            first, rest = lang.parts[0], cat(*lang.parts[1:])
            return either(cat(nonempty(first), rest), nonempty(rest))
    return both(lang, length(1, None))


def lengths(lang: Lang) -> tuple[int, int | None]:
    """A range that holds the lengths of all texts; (0, None) where nothing better is known."""
    match lang:
        case Chars():
            return 1, 1
        case Words():
            sizes = [len(text) for text in lang.words]
            return min(sizes), max(sizes)
        case Repeat():
            low, high = lengths(lang.item)
            return low * lang.low, None if high is None or lang.high is None else high * lang.high
        case Cat() | Either() | Both():
            return _lengths_of_parts(lang)
    return 0, None


def _lengths_of_parts(lang: Cat | Either | Both) -> tuple[int, int | None]:
    all_lengths = [lengths(part) for part in (lang.options if isinstance(lang, Either) else lang.parts)]
    lows = [low for low, _ in all_lengths]
    highs = [high for _, high in all_lengths if high is not None]
    bounded = len(highs) == len(all_lengths)
    if isinstance(lang, Cat):
        return sum(lows), sum(highs) if bounded else None
    if isinstance(lang, Either):
        return min(lows), max(highs) if bounded else None
    return max(lows), min(highs) if highs else None
