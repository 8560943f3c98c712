"""The numbers of `/metrics`, in Prometheus' terms.

One registry per server, so that two servers in one process (tests) do not add
up.  Counters say what happened since the start, gauges what is so now.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# Seconds: from a cached prompt on a GPU to a long one on two shared cores.
_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class ModelMetrics:
    """One model's children of the metrics below, looked up once."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self.running = metrics.running.labels(model)
        self.waiting = metrics.waiting.labels(model)
        self.cancelled = metrics.cancelled.labels(model)
        self.generated = metrics.tokens.labels(model, "generated")
        self.prompt = metrics.tokens.labels(model, "prompt")
        self.cached = metrics.tokens.labels(model, "cached")
        self.prefill = metrics.prefill.labels(model)
        self.decode = metrics.decode.labels(model)
        self.restarts = metrics.restarts.labels(model)
        self.load = metrics.load.labels(model)

    def finished(self, *, n_prompt: int, n_cached: int, prefill_ns: int, decode_ns: int) -> None:
        """A sequence ran to its end."""
        self.prompt.inc(n_prompt)
        self.cached.inc(n_cached)
        self.prefill.observe(prefill_ns / 1e9)
        self.decode.observe(decode_ns / 1e9)


class Metrics:
    """Every metric of a server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        model = ["model"]
        self.requests = Counter("power_requests", "HTTP requests answered", ["route", "status"], registry=registry)
        self.running = Gauge("power_requests_running", "sequences in a slot", model, registry=registry)
        self.waiting = Gauge("power_requests_waiting", "requests waiting for a slot", model, registry=registry)
        self.cancelled = Counter("power_cancelled", "sequences cancelled by a hang-up", model, registry=registry)
        self.rejected = Counter(
            "power_requests_rejected", "requests that got a 503 and Retry-After", ["reason"], registry=registry
        )
        self.tokens = Counter("power_tokens", "tokens", ["model", "kind"], registry=registry)
        self.prefill = Histogram(
            "power_prefill_seconds", "from the slot to the first token", model, buckets=_LATENCY, registry=registry
        )
        self.decode = Histogram(
            "power_decode_seconds", "from the first token to the last", model, buckets=_LATENCY, registry=registry
        )
        self.queued = Histogram(
            "power_queue_seconds",
            "from the request to its slot, loading included",
            model,
            buckets=_LATENCY,
            registry=registry,
        )
        self.load = Histogram("power_model_load_seconds", "loading a model", model, buckets=_LATENCY, registry=registry)
        self.truncated = Counter(
            "power_prompts_truncated", "prompts that did not fit and lost their oldest part", model, registry=registry
        )
        self.loaded = Gauge("power_models_loaded", "models in memory", registry=registry)
        self.evictions = Counter("power_model_evictions", "models unloaded for another one", registry=registry)
        self.restarts = Counter(
            "power_worker_restarts", "workers that died and were restarted", model, registry=registry
        )

    def of(self, model: str) -> ModelMetrics:
        return ModelMetrics(self, model)

    def accepted(self, model: str, waited: float, *, is_truncated: bool = False) -> None:
        """A request got its slot after `waited` seconds, with or without the oldest part of its prompt."""
        self.queued.labels(model).observe(waited)
        if is_truncated:
            self.truncated.labels(model).inc()

    def render(self) -> bytes:
        """The page, in Prometheus' text format."""
        return generate_latest(self.registry)
