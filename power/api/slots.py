"""`/slots` and `/slots/{id}`, as llama-server has them: what each slot of a model does; its sequence in a file.

llama-server serves one model; here `model` (in the query, or in the body) says
which, and may be left out while exactly one is in memory.  No texts are shown:
whoever may look at a server need not read what others say to it.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any, Literal, cast

from power.api.encode import Response, json_response
from power.api.props import described
from power.api.requests import Request, body_decoder, claim_of, decode, read_body
from power.api.tokens import Body, only_model
from power.errors import BadRequest, NotSupported, Overloaded
from power.generate import Power
from power.options import LoadOptions
from power.sched import Sitting
from power.worker.wire import SlotActed, SlotAction

ACTIONS = ("save", "restore", "erase")
MAX_NAME = 255  # bytes; as much as file systems take
# What llama-server's `fs_validate_filename` (common/common.cpp) refuses, besides control characters.
BAD_CHARACTERS = frozenset('/\\:*?"<>|\N{FULLWIDTH FULL STOP}\N{DIVISION SLASH}\N{SET MINUS}\ufffd\ufeff')


class ActionBody(Body, kw_only=True):
    filename: str | None = None


_action_body = body_decoder(ActionBody)


async def look(power: Power, request: Request) -> Response:
    """What each slot does, or did last. Loads nothing: a model that is not in memory has no slots."""
    if not power.config.show_slots:
        raise NotSupported("this server does not show its slots (show_slots)")
    running = power.models.running()
    name = request.args.get("model") or (only_model(power) if running else "")
    stored = await power.find(name) if name else None
    found = next((one for one in running if stored and one.model.path == stored.path), None)
    slots = [_slot(sitting, found.context_length) for sitting in found.sittings] if found else []
    if request.args.get("fail_on_no_slot") and all(slot["is_processing"] for slot in slots):
        raise Overloaded("no slot available", reason="no-slot", retry_after=1)
    return json_response(slots)


def _slot(sitting: Sitting, n_ctx: int) -> dict[str, Any]:
    slot = {"id": sitting.slot, "n_ctx": n_ctx, "speculative": False, "is_processing": sitting.is_processing}
    start = sitting.start
    if not sitting.id or start is None:
        return slot
    n_decoded = max(0, sitting.n_tokens - sitting.n_prompt)
    n_left = max(0, start.n_predict - n_decoded) if start.n_predict >= 0 else -1
    next_token = {"has_next_token": sitting.is_processing, "n_remain": n_left, "n_decoded": n_decoded}
    return slot | {
        "n_ctx": start.n_ctx or n_ctx,
        "speculative": bool(start.n_draft),
        "id_task": sitting.id,
        "n_prompt_tokens": sitting.n_prompt,
        "n_prompt_tokens_processed": sitting.n_prompt - sitting.n_cached,
        "n_prompt_tokens_cache": sitting.n_cached,
        "params": described(start.sampling, start.n_predict, start.n_keep, start.n_probs),
        "next_token": [next_token],
    }


async def act(power: Power, request: Request, slot: str) -> Response:
    """Save, restore or erase what a slot's last sequence has left behind."""
    folder = power.config.slots_dir
    if folder is None:
        raise NotSupported("this server does not save slots: [cache] slots_dir says where")
    kind = request.args.get("action", "")
    if kind not in ACTIONS:
        raise BadRequest(f"action must be one of {', '.join(ACTIONS)}", field="action")
    content = await read_body(request, power.config.max_body_bytes)
    body = decode(_action_body, content) if content or kind != "erase" else ActionBody()
    number = _number(slot, power.config.num_parallel)
    path = "" if kind == "erase" else str(_path(folder, body.filename))
    stored = await power.find(request.args.get("model") or body.model or only_model(power))
    if "completion" not in stored.capabilities:
        raise BadRequest(f'"{stored.name}" has no slots to save: it does not generate', field="model")
    action = SlotAction(id=0, slot=number, kind=cast(Literal["save", "restore", "erase"], kind), path=path)
    async with power.models.acquire(stored, LoadOptions(), None, claim_of(request, body)) as use:
        done = await use.model.ask(action)
    assert isinstance(done, SlotActed)
    return json_response(_done(action, done, body.filename))


def _done(action: SlotAction, done: SlotActed, filename: str | None) -> dict[str, Any]:
    if action.kind == "erase":
        return {"id_slot": action.slot, "n_erased": done.n_tokens}
    tokens, size, took = {
        "save": ("n_saved", "n_written", "save_ms"),
        "restore": ("n_restored", "n_read", "restore_ms"),
    }[action.kind]
    return {
        "id_slot": action.slot,
        "filename": filename,
        tokens: done.n_tokens,
        size: done.n_bytes,
        "timings": {took: done.ns / 1e6},
    }


def _number(slot: str, n_slots: int) -> int:
    if not (slot.isascii() and slot.isdecimal() and len(slot) < 10 and int(slot) < n_slots):
        raise BadRequest(f"invalid slot ID: it has to be from 0 to {n_slots - 1}", field="id_slot")
    return int(slot)


def _path(folder: Path, filename: str | None) -> Path:
    if filename is None:
        raise BadRequest("filename is required", field="filename")
    if not is_file_name(filename):
        raise BadRequest("invalid filename", field="filename")
    return folder / filename


def is_file_name(name: str) -> bool:
    """Whether it is one file's name, on any system, and nothing else."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    strange = any(character in BAD_CHARACTERS or unicodedata.category(character) == "Cc" for character in name)
    return 0 < size <= MAX_NAME and not strange and ".." not in name and name[0] not in " ." and name[-1] not in " ."
