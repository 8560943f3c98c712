"""Vectors and scores from a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from power.worker.wire import Done, LoadError, Ready, Refused
from tests.worker.encoders import N_EMBD, SEP, write_encoder
from tests.worker.harness import Worker, open_worker
from tests.worker.models import BOS, EOS, FIRST_BYTE, write_model, write_recurrent_model, write_sliding_model

TEXTS = ["the tea", "he ate", "that other thing that he ate at the tea", "x", "tea at the other"]
POOLINGS = {"mean": 1, "cls": 2, "last": 3}


def tokens_of(text: str) -> tuple[int, ...]:
    return tuple(FIRST_BYTE + byte for byte in text.encode())


@pytest.fixture(scope="module")
def encoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "encoder.gguf")


@pytest.fixture(scope="module")
def encoder(encoder_path: Path) -> Iterator[Worker]:
    with open_worker() as worker:
        assert isinstance(worker.load(encoder_path, embeds=True), Ready)
        yield worker


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    path = write_encoder(tmp_path_factory.mktemp("ranker") / "ranker.gguf", pooling=4)
    with open_worker() as worker:
        assert isinstance(worker.load(path, embeds=True), Ready)
        yield worker


def close(one: Any, other: Any, tolerance: float = 2e-3) -> bool:
    """Different batches multiply in different orders, and keys and values are halves."""
    return bool(np.allclose(one, other, atol=tolerance))


def test_vectors_have_length_one_and_come_in_the_inputs_order(encoder: Worker) -> None:
    together = encoder.vectors(*TEXTS)

    assert together.shape == (len(TEXTS), N_EMBD)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = [encoder.vectors(text)[0] for text in TEXTS]
    assert close(together, alone)
    assert not close(alone[0], alone[1], 0.02)


def test_an_encoder_loads_alone_and_does_not_generate(encoder_path: Path, fresh_worker: Worker) -> None:
    assert isinstance(fresh_worker.load(encoder_path), LoadError)


def test_requests_that_come_together_get_what_they_get_alone(encoder: Worker) -> None:
    texts = [f"{TEXTS[n % 5]} {n}" for n in range(40)]
    ids = [encoder.embed(text) for text in texts]
    answers = encoder.collect(*ids)

    alone = encoder.vectors(*texts)
    assert close([answers[id].vectors[0] for id in ids], alone)


def test_the_count_of_tokens_includes_what_is_put_around_a_text(encoder: Worker) -> None:
    id = encoder.embed("ab", (5, 6, 7))
    answer = encoder.collect(id)[id]

    assert answer.counts[1] == 3
    assert answer.counts[0] >= len("ab") + 2  # BOS and EOS
    assert answer.done is not None
    assert answer.done.n_prompt == sum(answer.counts)


def test_token_ids_are_taken_as_they_are(encoder: Worker) -> None:
    text, tokens = "zq", (BOS, FIRST_BYTE + ord("z"), FIRST_BYTE + ord("q"), EOS)

    whole = encoder.vectors((BOS, *tokens_of(" zq"), EOS), tokens)
    assert not close(whole[0], whole[1])
    assert encoder.vectors(text).shape == (1, N_EMBD)


def test_too_long_an_input_is_cut_to_what_fits(encoder: Worker) -> None:
    kept = (BOS, *tokens_of("q" * 62), EOS)
    long = encoder.vectors("q" * 300, "q" * 3000)

    assert close(long[0], long[1])
    assert encoder.collect(id := encoder.embed("q" * 300))[id].counts == [64]
    assert encoder.vectors(kept).shape == (1, N_EMBD)


def test_an_input_without_end_is_cut_to_the_same_beginning(encoder: Worker) -> None:
    long = encoder.vectors("q" * 300, "q" * 1_000_000)

    assert close(long[0], long[1])
    refused = encoder.collect(id := encoder.embed("q" * 1_000_000, truncate=False))[id].refused
    assert refused is not None
    assert "limit 64" in refused.message


def test_too_long_an_input_is_an_error_if_it_must_not_be_cut_and_bystanders_go_on(encoder: Worker) -> None:
    bystander = encoder.embed(*TEXTS)
    id = encoder.embed("x", "q" * 300, truncate=False)
    answers = encoder.collect(bystander, id)

    refused = answers[id].refused
    assert refused is not None
    assert "input 1" in refused.message
    assert "limit 64" in refused.message
    assert answers[bystander].vectors.shape == (len(TEXTS), N_EMBD)


def test_the_request_may_set_a_lower_limit(encoder: Worker) -> None:
    assert encoder.collect(id := encoder.embed("q" * 30, n_ctx=10))[id].counts == [10]
    refused = encoder.collect(id := encoder.embed("q" * 30, n_ctx=2))[id].refused
    assert refused is not None
    assert refused.message == "input after truncation exceeds maximum context length"


def test_tokens_of_another_vocabulary_are_refused(encoder: Worker) -> None:
    refused = encoder.collect(id := encoder.embed((1, 2, 10**6)))[id].refused

    assert refused is not None
    assert refused.field == "input"


def test_vectors_are_cut_and_have_length_one_again(encoder: Worker) -> None:
    whole, short = encoder.vectors("tea"), encoder.vectors("tea", n_dims=8)

    assert short.shape == (1, 8)
    assert close(short[0], whole[0, :8] / np.linalg.norm(whole[0, :8]))
    assert encoder.vectors("tea", n_dims=1000).shape == whole.shape


def test_vectors_are_left_as_they_are_when_that_is_wanted(encoder: Worker) -> None:
    raw, unit = encoder.vectors("tea", normalize=False), encoder.vectors("tea")

    assert abs(np.linalg.norm(raw) - 1) > 0.1
    assert close(raw / np.linalg.norm(raw), unit)


def test_no_input_is_no_vector(encoder: Worker) -> None:
    answer = encoder.collect(id := encoder.embed())[id]

    assert answer.done is not None
    assert answer.vectors.size == 0


def test_a_request_that_is_cancelled_ends_and_the_others_go_on(encoder: Worker) -> None:
    long = encoder.embed(*["the other thing that he ate at the tea"] * 3000)
    encoder.cancel(long)
    other = encoder.embed("tea")
    answers = encoder.collect(long, other)

    done = answers[long].done
    assert done is not None
    assert done.reason == "cancel"
    assert answers[other].vectors.shape == (1, N_EMBD)


def test_one_input_does_not_wait_for_a_request_of_thousands(encoder: Worker) -> None:
    long = encoder.embed(*["the other thing that he ate at the tea"] * 3000)
    other = encoder.embed("tea")
    first = encoder.wait_for(Done)

    assert first.id == other
    encoder.cancel(long)
    encoder.wait_for(Done, long)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_the_file_s_or_the_one_that_is_asked_for(
    encoder_path: Path, fresh_worker: Worker, tmp_path: Path, pooling: str
) -> None:
    fresh_worker.load(encoder_path, embeds=True, pooling=pooling)
    with open_worker() as other:
        other.load(write_encoder(tmp_path / "other.gguf", pooling=POOLINGS[pooling]), embeds=True)
        assert close(fresh_worker.vectors(*TEXTS), other.vectors(*TEXTS), 1e-4)


def test_a_model_without_pooling_says_how_to_get_one(fresh_worker: Worker, tmp_path: Path) -> None:
    failure = fresh_worker.load(write_encoder(tmp_path / "none.gguf", pooling=0), embeds=True)

    assert isinstance(failure, LoadError)
    assert "pooling" in failure.message


# -- decoders --


@pytest.mark.parametrize("pooling", ["", *POOLINGS])
@pytest.mark.parametrize("write", [write_model, write_sliding_model, write_recurrent_model])
def test_a_decoder_embeds_beside_what_it_generates(
    fresh_worker: Worker, tmp_path: Path, write: Any, pooling: str
) -> None:
    fresh_worker.load(write(tmp_path / "model.gguf"), pooling=pooling)
    alone = fresh_worker.answer("the tea", n_predict=30)
    vectors = [fresh_worker.vectors(text)[0] for text in TEXTS]

    id = fresh_worker.start("the tea", n_predict=30)
    embeds = [fresh_worker.embed(text) for text in TEXTS]
    answers = fresh_worker.collect(id, *embeds)
    assert answers[id].tokens == alone.tokens
    assert close([answers[embed].vectors[0] for embed in embeds], vectors, 0.02)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_long_input_is_read_in_parts_and_means_the_same(fresh_worker: Worker, tmp_path: Path, pooling: str) -> None:
    path = write_model(tmp_path / "model.gguf", n_ctx=2048)
    tokens = tuple(3 + n * n % 256 for n in range(1500))
    fresh_worker.load(path, n_ctx=2048, pooling=pooling)
    parts = fresh_worker.vectors(tokens, tokens[:1400], tokens)

    assert close(parts[0], parts[2], 1e-2)
    expected = reference(path, tokens, pooling)
    assert expected @ parts[0] > 0.999


def reference(path: Path, tokens: tuple[int, ...], pooling: str) -> Any:
    """The same by llama.cpp in one batch, pooled here."""
    import llama_cpp

    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 2048
    params.embeddings, params.pooling_type, params.n_threads = True, 0, 1
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for n, token in enumerate(tokens):
        batch.token[n], batch.pos[n], batch.n_seq_id[n], batch.logits[n] = token, n, 1, True
        batch.seq_id[n][0] = 0
    assert llama_cpp.llama_decode(context, batch) == 0
    n_embd = llama_cpp.llama_model_n_embd(model)
    rows = np.array([llama_cpp.llama_get_embeddings_ith(context, n)[:n_embd] for n in range(len(tokens))])
    found = {"mean": rows.mean(0), "cls": rows[0], "last": rows[-1]}[pooling]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return found / np.linalg.norm(found)


# -- scores --


def test_documents_are_scored_for_a_query(ranker: Worker) -> None:
    scores = ranker.vectors(*TEXTS, query="what did he eat?")

    assert scores.shape == (len(TEXTS), 1)
    assert len(set(scores[:, 0].tolist())) == len(TEXTS)
    assert close(scores, [ranker.vectors(text, query="what did he eat?")[0] for text in TEXTS], 0.02)


def test_a_pair_is_what_cross_encoders_are_trained_on(ranker: Worker) -> None:
    id = ranker.embed("cd", query="ab")
    answer = ranker.collect(id)[id]

    n_texts = 2 * len("ab") + 2  # a SentencePiece puts a space in front of each
    assert answer.counts == [n_texts + 3]  # BOS, and an EOS after each


@pytest.mark.parametrize(("adds_sep", "n_more"), [(True, 1), (False, 0)])
def test_a_separator_stands_between_them_where_the_vocabulary_wants_it(
    fresh_worker: Worker, tmp_path: Path, adds_sep: bool, n_more: int
) -> None:
    path = write_encoder(tmp_path / "sep.gguf", pooling=4, extra={"tokenizer.ggml.add_sep_token": adds_sep})
    fresh_worker.load(path, embeds=True)
    id = fresh_worker.embed("cd", query="ab")

    assert fresh_worker.collect(id)[id].counts == [9 + n_more]
    assert SEP == FIRST_BYTE


def test_the_model_s_own_template_is_used_and_a_query_cannot_fill_it(fresh_worker: Worker, tmp_path: Path) -> None:
    template = {"tokenizer.chat_template": "x", "tokenizer.chat_template.rerank": "Q:{query}\nD:{document}</s>"}
    fresh_worker.load(write_encoder(tmp_path / "own.gguf", pooling=4, extra=template), embeds=True)
    id = fresh_worker.embed("zz", query="{document}")

    n_text = len(" Q:{document}") + len("\nD:zz")
    assert fresh_worker.collect(id)[id].counts[0] <= n_text + 1
    one, other = fresh_worker.vectors("zz", "zx", query="{document}")
    assert not close(one, other, 1e-5)


def test_a_long_document_is_cut_or_an_error(ranker: Worker) -> None:
    id = ranker.embed("q" * 500, query="ab")
    assert ranker.collect(id)[id].counts == [64]

    refused = ranker.collect(id := ranker.embed("q" * 500, query="ab", truncate=False))[id].refused
    assert isinstance(refused, Refused)
    assert "document 0" in refused.message
    refused = ranker.collect(id := ranker.embed("q", query="b" * 500))[id].refused
    assert isinstance(refused, Refused)
    assert "limit" not in refused.message


@pytest.mark.parametrize(("name", "query"), [("encoder", "q"), ("ranker", None)])
def test_a_model_does_what_it_is_for(request: pytest.FixtureRequest, name: str, query: str | None) -> None:
    worker: Worker = request.getfixturevalue(name)
    refused = worker.collect(id := worker.embed("x", query=query))[id].refused

    assert refused is not None
    assert "rerank" in refused.message
