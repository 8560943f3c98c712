"""The numbers of `/metrics`, in Prometheus' terms.

One registry per server, so that two servers in one process (tests) do not add
up.  Counters say what happened since the start, gauges what is so now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

# Seconds: from a cached prompt on a GPU to a long one on two shared cores.
_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

# Models with a label of their own. Names can be made up by whoever may copy a model, and a label is never forgotten.
MAX_MODELS = 100
OTHER_MODELS = "other"

# What routers of model servers look for: vLLM's names (Kubernetes' Gateway API Inference Extension, KServe, KEDA).
ALIASES = {
    "power_requests_running": "vllm:num_requests_running",
    "power_requests_waiting": "vllm:num_requests_waiting",
    "power_kv_cache_usage": "vllm:kv_cache_usage_perc",
}


_Kind = Callable[..., Counter | Gauge | Histogram]
_Latency: _Kind = partial(Histogram, buckets=_LATENCY)
_MODEL = ("model",)
# By the attribute that has it: its kind, its name (a counter's page adds `_total`), what it says, its labels.
_TABLE: dict[str, tuple[_Kind, str, str, tuple[str, ...]]] = {
    "requests": (Counter, "power_requests", "HTTP requests answered", ("route", "status")),
    "running": (Gauge, "power_requests_running", "sequences in a slot", _MODEL),
    "waiting": (Gauge, "power_requests_waiting", "requests waiting for a slot", _MODEL),
    "clients_waiting": (Gauge, "power_clients_waiting", "clients with a request waiting for a slot", _MODEL),
    "oldest_wait": (Gauge, "power_queue_oldest_seconds", "how long the request waits that came first", _MODEL),
    "kv_cache_usage": (Gauge, "power_kv_cache_usage", "of the KV cache, what running sequences use (0 to 1)", _MODEL),
    "generations": (
        Counter,
        "power_generations",
        "sequences that had a slot, by how they ended: finished, cancelled (hang-up), failed",
        ("model", "outcome"),
    ),
    "rejected": (Counter, "power_requests_rejected", "requests that got a 503 and Retry-After", ("reason",)),
    "tokens": (
        Counter,
        "power_tokens",
        "usage of finished requests: prompt, of those cached, generated",
        ("model", "kind"),
    ),
    "drafts": (
        Counter,
        "power_draft_tokens",
        "tokens guessed ahead by lookup or a draft model: drafted, of those accepted",
        ("model", "kind", "source"),
    ),
    "paused": (Gauge, "power_sequences_paused", "sequences that wait for room in the KV cache to go on", _MODEL),
    "pauses": (
        Counter,
        "power_sequence_pauses",
        "times a sequence had to give its room in the KV cache to others",
        _MODEL,
    ),
    "decoded": (Counter, "power_decoded_tokens", "tokens as they were streamed, finished or not", _MODEL),
    "discarded": (Counter, "power_discarded_tokens", "tokens computed for requests that were cancelled", _MODEL),
    "prefill": (_Latency, "power_prefill_seconds", "from the slot to the first token", _MODEL),
    "decode": (_Latency, "power_decode_seconds", "from the first token to the last", _MODEL),
    "queued": (_Latency, "power_queue_seconds", "from the request to its slot, loading included", _MODEL),
    "load": (_Latency, "power_model_load_seconds", "loading a model", _MODEL),
    "truncated": (Counter, "power_prompts_truncated", "prompts that did not fit and lost their oldest part", _MODEL),
    "loaded": (Gauge, "power_models_loaded", "models in memory", ()),
    "awaited": (Gauge, "power_requests_waiting_for_memory", "requests in the line for a model to be let in", ()),
    "evictions": (Counter, "power_model_evictions", "models unloaded for another one", ()),
    "restarts": (Counter, "power_worker_restarts", "workers that died and were restarted", _MODEL),
}


class ModelMetrics:
    """One model's children of the metrics below, looked up once."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self.running = metrics.running.labels(model)
        self.waiting = metrics.waiting.labels(model)
        self.clients_waiting = metrics.clients_waiting.labels(model)
        self.oldest_wait = metrics.oldest_wait.labels(model)
        self.kv_cache_usage = metrics.kv_cache_usage.labels(model)
        self.paused = metrics.paused.labels(model)
        self.pauses = metrics.pauses.labels(model)
        self.cancelled = metrics.generations.labels(model, "cancelled")
        self.failed = metrics.generations.labels(model, "failed")
        self._finished = metrics.generations.labels(model, "finished")
        self.decoded = metrics.decoded.labels(model)
        self._prompt = metrics.tokens.labels(model, "prompt")
        self._cached = metrics.tokens.labels(model, "cached")
        self._generated = metrics.tokens.labels(model, "generated")
        self._discarded = metrics.discarded.labels(model)
        self._drafts = {
            source: [metrics.drafts.labels(model, kind, source) for kind in ("drafted", "accepted")]
            for source in ("lookup", "model")
        }
        self.prefill = metrics.prefill.labels(model)
        self.decode = metrics.decode.labels(model)
        self.restarts = metrics.restarts.labels(model)
        self.load = metrics.load.labels(model)

    def finished(self, *, n_prompt: int, n_cached: int, n_generated: int, prefill_ns: int, decode_ns: int) -> None:
        """A sequence ran to its end, and this is the usage its request is told."""
        self._finished.inc()
        self._prompt.inc(n_prompt)
        self._cached.inc(n_cached)
        self._generated.inc(n_generated)
        self.prefill.observe(prefill_ns / 1e9)
        self.decode.observe(decode_ns / 1e9)

    def drafted(self, source: Literal["lookup", "model"], n_drafted: int, n_accepted: int) -> None:
        """So many tokens were guessed for a sequence, and so many of them were right."""
        drafted, accepted = self._drafts[source]
        drafted.inc(n_drafted)
        accepted.inc(n_accepted)

    def discarded(self, *, n_prompt: int, n_cached: int, n_generated: int) -> None:
        """A sequence was cancelled after so much work."""
        self._discarded.inc(n_prompt - n_cached + n_generated)


class Metrics:
    """Every metric of a server."""

    requests: Counter
    generations: Counter
    rejected: Counter
    tokens: Counter
    drafts: Counter
    pauses: Counter
    decoded: Counter
    discarded: Counter
    truncated: Counter
    evictions: Counter
    restarts: Counter
    running: Gauge
    waiting: Gauge
    clients_waiting: Gauge
    oldest_wait: Gauge
    kv_cache_usage: Gauge
    paused: Gauge
    loaded: Gauge
    awaited: Gauge
    prefill: Histogram
    decode: Histogram
    queued: Histogram
    load: Histogram

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for attribute, (kind, name, help, labels) in _TABLE.items():
            setattr(self, attribute, kind(name, help, labels, registry=self.registry))
        self._labels: set[str] = set()
        self.registry.register(_Aliases(self.running, self.waiting, self.kv_cache_usage))

    def of(self, model: str) -> ModelMetrics:
        return ModelMetrics(self, self._label(model))

    def accepted(self, model: str, waited: float, *, is_truncated: bool = False) -> None:
        """A request got its slot after `waited` seconds, with or without the oldest part of its prompt."""
        label = self._label(model)
        self.queued.labels(label).observe(waited)
        if is_truncated:
            self.truncated.labels(label).inc()

    def _label(self, model: str) -> str:
        if model not in self._labels and len(self._labels) >= MAX_MODELS:
            return OTHER_MODELS
        self._labels.add(model)
        return model

    def render(self) -> bytes:
        """The page, in Prometheus' text format."""
        return generate_latest(self.registry)


class _Aliases(Collector):
    """The same numbers again, under the names that others look for."""

    def __init__(self, *gauges: Gauge) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for gauge in self._gauges:
            for family in gauge.collect():
                alias = GaugeMetricFamily(ALIASES[family.name], family.documentation, labels=["model_name"])
                for sample in family.samples:
                    alias.add_metric([sample.labels["model"]], sample.value)
                yield alias
