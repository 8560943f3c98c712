r"""The values of `format`, each as the pattern that its texts match from end to end.

Sources: RFC 3339 (dates and times, Appendix A for durations), RFC 5321 (e-mail),
RFC 1123 (host names), RFC 4291 (IPv6), RFC 3986 (URI), RFC 6570 (templates),
RFC 6901 (JSON pointers), RFC 9562 (UUID).  Where a grammar would have to be
read twice to be exact, the pattern is a little narrower: no leap seconds, no
quoted local parts.
"""

from __future__ import annotations

from functools import lru_cache

from power.grammar import languages as la
from power.grammar.pattern import full_language

_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_MONTH_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DATE = rf"(?:{_YEAR}-{_MONTH_DAY}|{_LEAP_YEAR}-02-29)"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_CLOCK}:[0-5][0-9](?:\.[0-9]{{1,9}})?(?:[Zz]|[+-]{_CLOCK})"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = rf"{_LABEL}(?:\.{_LABEL})*"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*"

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_H16 = r"[0-9A-Fa-f]{1,4}"
_LS32 = rf"(?:{_H16}:{_H16}|{_IPV4})"
_IPV6 = "|".join(
    [
        rf"(?:{_H16}:){{6}}{_LS32}",
        rf"::(?:{_H16}:){{5}}{_LS32}",
        *(rf"(?:(?:{_H16}:){{0,{n}}}{_H16})?::(?:{_H16}:){{{4 - n}}}{_LS32}" for n in range(4)),
        rf"(?:(?:{_H16}:){{0,4}}{_H16})?::{_LS32}",
        rf"(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}",
        rf"(?:(?:{_H16}:){{0,6}}{_H16})?::",
    ]
)

_HEX2 = "%[0-9A-Fa-f]{2}"
_PCHAR = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_HEX2})"
_SEGMENT = rf"{_PCHAR}*"
_USER = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_HEX2})*"
_REG_NAME = rf"(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_HEX2})*"
_AUTHORITY = rf"(?:{_USER}@)?(?:\[(?:{_IPV6})\]|{_REG_NAME})(?::[0-9]{{0,5}})?"
_TAIL = rf"(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:"
_URI = rf"{_SCHEME}(?://{_AUTHORITY}(?:/{_SEGMENT})*|/?(?:{_PCHAR}+(?:/{_SEGMENT})*)?){_TAIL}"
_SEGMENT_NO_COLON = rf"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{_HEX2})+"
_RELATIVE = rf"(?://{_AUTHORITY}(?:/{_SEGMENT})*|/(?:{_PCHAR}+(?:/{_SEGMENT})*)?|(?:{_SEGMENT_NO_COLON}(?:/{_SEGMENT})*)?){_TAIL}"
_TEMPLATE_NAME = r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:[A-Za-z0-9_.]|%[0-9A-Fa-f]{2})*(?::[1-9][0-9]{0,3}|\*)?"
_TEMPLATE = rf"(?:[!#$&()*+,./0-9:;=?@A-Z\[\]_a-z~-]|{_HEX2}|\{{[+#./;?&]?{_TEMPLATE_NAME}(?:,{_TEMPLATE_NAME})*\}})*"

_POINTER = r"(?:/(?:[^~/]|~[01])*)*"
_DURATION_TIME = r"T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
_DURATION_DATE = r"(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
_DURATION = rf"P(?:{_DURATION_DATE}(?:{_DURATION_TIME})?|{_DURATION_TIME}|[0-9]+W)".replace("[0-9]+", "[0-9]{1,9}")
_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

# A safe part of what is itself the language of patterns, read alike by all engines: groups are nested three deep,
# ranges and bounds are in order, and nothing is in a class that some engine takes for an operator.
_REGEX_ESCAPE = r"\\[dDwWsStnrfv.^$*+?()\[\]{}|\\/-]"
_REGEX_RANGE = "(?:0-[1-9]|1-[2-9]|a-[b-z]|A-[B-Z])"
_REGEX_CLASS = rf"\[\^?(?:{_REGEX_RANGE}|[A-Za-z0-9_ .,:;@/!#%*+?$<>='\"(){{}}]|{_REGEX_ESCAPE})+-?\]"
_REGEX_ATOM = rf"(?:[A-Za-z0-9 _,:;<>=!@#%&~'\"/-]|{_REGEX_ESCAPE}|{_REGEX_CLASS}|\.)"
_REGEX_BOUNDS = r"\{(?:[0-9]{1,2},?|0,[0-9]{1,2}|1,[1-9][0-9]?|[2-9],(?:9|[1-9][0-9]))\}"
_REGEX_FEW = r"\{(?:[0-9],?|0,[0-9]|1,[1-9]|2,[2-9])\}"  # of a group, which may be many characters
_REGEX_PIECE = rf"(?:{_REGEX_ATOM}(?:(?:[*+?]|{_REGEX_BOUNDS})\??)?|[\^$])"


def _regex(depth: int) -> str:
    piece = _REGEX_PIECE
    for _ in range(depth):
        piece = rf"(?:{_REGEX_PIECE}|\((?:\?:)?(?:{piece}|\|)*\)(?:(?:[*+?]|{_REGEX_FEW})\??)?)"
    return rf"(?:{piece}|\|)*"


PATTERNS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": rf"{_DATE}[Tt]{_TIME}",
    "duration": _DURATION,
    "email": _EMAIL,
    "idn-email": _EMAIL,
    "hostname": _HOSTNAME,
    "idn-hostname": _HOSTNAME,
    "ipv4": _IPV4,
    "ip-address": _IPV4,  # draft-03's name
    "ipv6": _IPV6,
    "uri": _URI,
    "uri-reference": rf"(?:{_URI}|{_RELATIVE})",
    "iri": _URI,
    "iri-reference": rf"(?:{_URI}|{_RELATIVE})",
    "uri-template": _TEMPLATE,
    "url": _URI,
    "uuid": _UUID,
    "json-pointer": _POINTER,
    "relative-json-pointer": rf"(?:0|[1-9][0-9]{{0,8}})(?:#|{_POINTER})",
    "regex": _regex(3),
}
MAX_LENGTHS = {"hostname": 253, "idn-hostname": 253, "email": 254, "idn-email": 254}


@lru_cache
def language(name: str) -> la.Lang | None:
    """The texts of a format; None for a name that says nothing to us, which is then only an annotation."""
    pattern = PATTERNS.get(name)
    return None if pattern is None else full_language(pattern)
