"""`power gguf verify`: is the file whole, and are its numbers numbers?

Opening has checked the structure and every range. What is left is what only the
tensors' bytes can show: scales that are infinite or no numbers, as a broken
quantisation leaves them and from where they spread through every answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from power.cli.gguf_files import Progress, find_file, open_file, progress_bar
from power.cli.tables import section
from power.errors import PowerError
from power.gguf import GGUF, GGUFError, TensorInfo, facts_of
from power.gguf.memory import human_size

INTEGERS = ("I8", "I16", "I32", "I64")
PIECE_BYTES = 2**22


class Finding(NamedTuple):
    where: str
    what: str


def verify_file(file: str, *, quick: bool, hashes: bool, as_json: bool) -> int:
    """The command's status: 1 if anything is wrong."""
    find_file(file)  # of a name that nobody knows, there is nothing to verify
    try:
        gguf = open_file(file)
        facts = facts_of(gguf)
    except GGUFError as error:
        return _report(file, [Finding("structure", error.message)], {}, as_json)
    findings = list(_check_layers(gguf, facts.n_layers))
    digests: dict[str, str] = {}
    if not quick:
        with progress_bar("Verifying") as progress:
            findings += _check_numbers(gguf, progress)
    if hashes:
        with progress_bar("Hashing") as progress:
            digests = _hash_all(gguf, progress)
    summary = f"{len(gguf.metadata)} values, {len(gguf.tensors)} tensors, {human_size(gguf.size)}"
    return _report(f"{gguf.path}: {summary}", findings, digests, as_json)


def _check_layers(gguf: GGUF, n_layers: int) -> Iterator[Finding]:
    """A model that says how many layers it has, has tensors in each of them, and in no others."""
    found = set()
    for name in gguf.tensors:
        number = name.removeprefix("blk.").partition(".")[0]
        if name.startswith("blk.") and number.isdecimal():
            found.add(int(number))
    if not found:
        return
    for layer in sorted(set(range(n_layers)) - found)[:10]:
        yield Finding(f"layer {layer}", f"has no tensors, but there should be {n_layers} layers")
    for layer in sorted(found - set(range(n_layers)))[:10]:
        yield Finding(f"layer {layer}", f"has tensors, but there should be {n_layers} layers only")


def _check_numbers(gguf: GGUF, progress: Progress) -> list[Finding]:
    findings: list[Finding] = []
    n_done, n_all = 0, sum(info.n_bytes for info in gguf.tensors.values())
    for info in gguf.tensors.values():
        progress(n_done, n_all)
        findings += _check_tensor(gguf, info)
        n_done += info.n_bytes
    return findings


def _check_tensor(gguf: GGUF, info: TensorInfo) -> Iterator[Finding]:
    if info.type.name in INTEGERS:
        return
    n_seen = n_bad = first = 0
    try:
        for values in gguf.float_pieces(info.name):
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size and not n_bad:
                first = n_seen + int(bad[0])
            n_bad += bad.size
            n_seen += values.size
    except PowerError as error:  # the file became shorter, the disk failed, or nobody can unpack this type
        yield Finding(info.name, error.message)
    if n_bad:
        row = f"element {first}, block {first // info.type.block}"
        yield Finding(info.name, f"{n_bad} of {info.n_elements} values are NaN or infinite (the first is {row})")


def _hash_all(gguf: GGUF, progress: Progress) -> dict[str, str]:
    """SHA-256 of every file, by its name, and of every tensor."""
    digests = {}
    n_done, n_all = 0, gguf.size + sum(info.n_bytes for info in gguf.tensors.values())
    parts: list[tuple[str, Any]] = [(f.path.name, f.pieces(0, f.size, PIECE_BYTES)) for f in gguf.files]
    parts += [(name, gguf.pieces(name, PIECE_BYTES)) for name in gguf.tensors]
    for name, pieces in parts:
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
            n_done += len(piece)
            progress(n_done, n_all)
        digests[name] = digest.hexdigest()
    return digests


def _report(title: str, findings: list[Finding], digests: dict[str, str], as_json: bool) -> int:
    if as_json:
        wrong = [finding._asdict() for finding in findings]
        print(json.dumps({"ok": not findings, "findings": wrong, "sha256": digests}, ensure_ascii=False, indent=2))
        return int(bool(findings))
    for name, digest in digests.items():
        print(f"{digest}  {name}")
    print(section("Wrong", findings) if findings else f"{title}\nAll is well.\n", end="")
    return int(bool(findings))
