"""Fixtures: a model written once, workers that have it loaded or nothing yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import llama_cpp.llama_cpp as c
import pytest

from power.worker.vocab import Vocab
from power.worker.wire import Ready
from tests.support import TINY
from tests.worker.harness import Worker, open_worker
from tests.worker.models import write_model

_QUIET = c.llama_log_callback(lambda level, text, data: None)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "bytes.gguf")


@pytest.fixture(scope="module")
def worker(model_path: Path) -> Iterator[Worker]:
    """A worker with the model loaded, for all tests of a module: each leaves it with nothing running."""
    with open_worker() as worker:
        assert isinstance(worker.load(model_path), Ready)
        yield worker


@pytest.fixture
def fresh_worker() -> Iterator[Worker]:
    """A worker without a model."""
    with open_worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def vocab() -> Iterator[Vocab]:
    """That of the embedded model, in this process."""
    c.llama_log_set(_QUIET, None)
    c.llama_backend_init()
    params = c.llama_model_default_params()
    params.vocab_only = True
    model = c.llama_model_load_from_file(str(TINY).encode(), params)
    yield Vocab(c.llama_model_get_vocab(model))
    c.llama_model_free(model)
