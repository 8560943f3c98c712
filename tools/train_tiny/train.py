"""The training loop: a fixed number of steps over generated batches, with checkpoints."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

from . import model, optimiser
from .batches import PROMPT_WEIGHT, Batch, batches
from .model import Params, Shape

LR = 0.008  # Adam's, for the embedding and the norms
LR_MATRIX = 0.02  # Muon's
N_WARM_UP = 50
COOL_DOWN = 0.6  # the last part of the run, in which both rates fall to zero
CHECKPOINT_SECONDS = 60
# Rows whose gradients are taken at once.  What a step keeps for its way back is
# 70 kB a token: 512 tokens' fit the cache, 4096 tokens' do not.  Measured: 1.4 times as fast.
PART_TOKENS = 512

Step: TypeAlias = Callable[..., tuple[Params, optimiser.State, jax.Array]]


def train(
    shape: Shape,
    tokenizer: Tokenizer,
    *,
    n_steps: int,
    minutes: float,
    seed: int,
    out: Path,
    n_done: int = 0,
    chunk: int = 0,
) -> Params:
    """Train from nothing, or go on with `weights.npz` after `n_done` steps and with chunk `chunk` of the data.

    The run ends after `n_steps`, or after `minutes` on a machine too slow for them; the rates fall to zero by then
    either way. `out` gets `weights.npz` every minute and at the end, and `log.jsonl`.
    """
    params = load(out / "weights.npz") if n_done else model.fresh(shape, seed)
    state = optimiser.start(params)
    step = _step(shape)
    before = _last(out / "log.jsonl") if n_done else {"tokens": 0, "seconds": 0.0}
    began = saved = time.monotonic()
    n_tokens, losses = int(before["tokens"]), []
    with (out / "log.jsonl").open("a" if n_done else "w", encoding="utf-8") as log:
        for i, batch in enumerate(batches(tokenizer, seed=seed, chunk=chunk), n_done):
            elapsed = time.monotonic() - began
            by_time = elapsed / (60 * minutes)
            done = max(i / n_steps, n_done / n_steps + (1 - n_done / n_steps) * by_time)
            if done >= 1:
                break
            rate = min(1.0, (i - n_done + 1) / N_WARM_UP, (1 - done) / COOL_DOWN)
            params, state, loss = step(params, state, _arrays(batch), jnp.float32(rate))
            n_tokens += int((batch.segments > 0).sum())
            losses.append(float(loss))
            if i % 20 == 19:
                line = {"step": i + 1, "loss": round(float(np.mean(losses)), 4), "tokens": n_tokens}
                line |= {"rate": round(rate, 3), "seconds": round(before["seconds"] + elapsed, 1)}
                print(json.dumps(line), file=log, flush=True)
                losses = []
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save(params, out / "weights.npz")
                saved = time.monotonic()
    save(params, out / "weights.npz")
    return params


def save(params: Params, path: Path) -> None:
    """Written beside and moved into place, so that a reader never finds half a file."""
    part = path.with_suffix(".part.npz")
    np.savez(part, **{name: np.asarray(w) for name, w in params.items()})  # type: ignore[arg-type]
    os.replace(part, path)


def load(path: Path) -> Params:
    with np.load(path) as file:
        return {name: jnp.asarray(file[name]) for name in file.files}


def _last(log: Path) -> dict[str, float]:
    return dict(json.loads(log.read_text(encoding="utf-8").splitlines()[-1]))


def _arrays(batch: Batch) -> tuple[Any, ...]:
    return batch.tokens, batch.positions, batch.segments, batch.places, batch.targets, batch.weights


def _step(shape: Shape) -> Step:
    def loss(params: Params, arrays: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        *inputs, targets, weights = arrays
        logits = model.logits(params, shape, *inputs)
        chosen = jnp.take_along_axis(logits, targets[:, :, None], axis=-1)[:, :, 0]
        wrong = jax.nn.logsumexp(logits, axis=-1) - chosen
        # Reported: the loss on tiny's own words alone.
        return jnp.sum(wrong * weights), jnp.sum(wrong * (weights > PROMPT_WEIGHT))

    def gradients(params: Params, arrays: tuple[jax.Array, ...]) -> tuple[Params, jax.Array]:
        """Summed over a few rows at a time, whose activations stay in the cache."""
        n_rows, size = arrays[0].shape
        n = max(1, PART_TOKENS // size)
        parts = tuple(a.reshape(n_rows // n, n, *a.shape[1:]) for a in arrays)

        def add(total: tuple[Params, jax.Array], part: tuple[jax.Array, ...]) -> tuple[tuple[Params, jax.Array], None]:
            grads, own = jax.grad(loss, has_aux=True)(params, part)
            return (jax.tree.map(jnp.add, total[0], grads), total[1] + own), None

        nothing = jax.tree.map(jnp.zeros_like, params), jnp.zeros(())
        total: tuple[Params, jax.Array] = jax.lax.scan(add, nothing, parts)[0]
        return total

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(
        params: Params, state: optimiser.State, arrays: tuple[jax.Array, ...], rate: jax.Array
    ) -> tuple[Params, optimiser.State, jax.Array]:
        weights = arrays[-1]
        grads, own = gradients(params, arrays)
        grads = jax.tree.map(lambda g: g / jnp.sum(weights), grads)
        params, state = optimiser.update(params, grads, state, lr=LR * rate, lr_matrix=LR_MATRIX * rate)
        return params, state, own / jnp.maximum(jnp.sum(weights > PROMPT_WEIGHT), 1)

    compiled: Step = step
    return compiled
