"""Embeddings over HTTP, by the clients people have; MiniLM is held to an independent forward pass."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import ollama
import openai
import pytest
from tokenizers import Tokenizer

from power.config import Config
from power.gguf.convert import convert
from tests.api.conftest import running
from tests.gguf.convert.minilm import minilm
from tests.gguf.convert.reference import bert_embedding
from tests.gguf.convert.test_encoders import read_float32
from tests.support import add_model
from tests.worker.encoders import N_EMBD, write_encoder

SENTENCES = [
    "The cat sits outside, watching the birds.",
    "A man is playing guitar — très bien! 你好 Привет 🙂",
    "x",
    "Embed a text over HTTP, and compare the vector with one that was computed elsewhere.",
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("embeddings")
    config = Config(port=0, data_dir=folder, num_thread=1, context_length=512)
    convert(minilm(), folder / "minilm.gguf", type="f16")
    add_model(config.models_dir, "minilm", folder / "minilm.gguf")
    add_model(config.models_dir, "ranker", write_encoder(folder / "ranker.gguf", pooling=4))
    add_model(config.models_dir, "small", write_encoder(folder / "small.gguf"))
    with running(config) as url:
        yield url


@pytest.fixture(scope="module")
def native(ollama_client: ollama.Client) -> ollama.Client:
    return ollama_client


@pytest.fixture(scope="module")
def client(openai_client: openai.OpenAI) -> openai.OpenAI:
    return openai_client


@pytest.fixture(scope="module")
def expected() -> tuple[list[list[int]], Any]:
    """The sentences' tokens and embeddings, by others than us and llama.cpp."""
    tokenizer = Tokenizer.from_file(str(minilm() / "tokenizer.json"))
    tokenizer.no_padding()
    config, weights = json.loads((minilm() / "config.json").read_text()), read_float32(minilm() / "model.safetensors")
    tokens = [tokenizer.encode(sentence).ids for sentence in SENTENCES]
    return tokens, np.array([bert_embedding(config, weights, ids) for ids in tokens])


def cosines(one: Any, other: Any) -> Any:
    return (np.asarray(one) * np.asarray(other)).sum(1)


def test_minilm_over_http_gives_the_embeddings_of_its_checkpoint(
    native: ollama.Client, client: openai.OpenAI, expected: Any
) -> None:
    tokens, vectors = expected

    found = native.embed("minilm", SENTENCES)
    assert (cosines(found.embeddings, vectors) >= 0.9999).all()
    assert found.prompt_eval_count == sum(map(len, tokens))
    assert np.allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)
    same = client.embeddings.create(model="minilm", input=SENTENCES)
    assert (cosines([item.embedding for item in same.data], vectors) >= 0.9999).all()
    assert [item.index for item in same.data] == [0, 1, 2, 3]
    assert same.usage.prompt_tokens == same.usage.total_tokens == sum(map(len, tokens))


def test_a_text_has_the_same_vector_alone_in_a_list_and_as_tokens(client: openai.OpenAI, expected: Any) -> None:
    tokens, _ = expected

    together = [item.embedding for item in client.embeddings.create(model="minilm", input=SENTENCES).data]
    alone = [client.embeddings.create(model="minilm", input=text).data[0].embedding for text in SENTENCES]
    by_ids = [item.embedding for item in client.embeddings.create(model="minilm", input=tokens).data]
    one_of_ids = client.embeddings.create(model="minilm", input=tokens[0])
    assert (cosines(together, alone) > 0.9999).all()
    assert (cosines(together, by_ids) > 0.9999).all()
    assert one_of_ids.usage.prompt_tokens == len(tokens[0])


def test_a_text_has_the_same_vector_beside_any_load(http: httpx.Client) -> None:
    def embed(text: str) -> list[float]:
        return http.post("/api/embed", json={"model": "small", "input": text}).json()["embeddings"][0]  # type: ignore[no-any-return]

    texts = [f"{SENTENCES[n % 4]} {n % 8}"[:50] for n in range(40)]
    alone = {text: embed(text) for text in set(texts)}
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(embed, texts))

    assert np.allclose(found, [alone[text] for text in texts], atol=2e-3)


def test_base64_and_numbers_are_the_same_vector(http: httpx.Client) -> None:
    def ask(encoding_format: str) -> Any:
        body = {"model": "small", "input": "the tea", "encoding_format": encoding_format}
        return http.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    decoded = np.frombuffer(base64.b64decode(ask("BASE64")), "<f4")
    assert decoded.tolist() == ask("float")


def test_dimensions_cut_and_normalise_again(native: ollama.Client, client: openai.OpenAI) -> None:
    whole = np.array(native.embed("minilm", "the tea").embeddings[0])
    short = native.embed("minilm", "the tea", dimensions=64).embeddings[0]

    assert np.allclose(short, whole[:64] / np.linalg.norm(whole[:64]), atol=1e-3)
    assert len(client.embeddings.create(model="minilm", input="the tea", dimensions=64).data[0].embedding) == 64
    assert len(native.embed("minilm", "the tea", dimensions=10_000).embeddings[0]) == 384


def test_the_reply_has_ollama_s_fields_in_its_order(http: httpx.Client) -> None:
    reply = http.post("/api/embed", json={"model": "small", "input": ["a", ""]}).json()

    order = ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert list(reply) == [name for name in order if name in reply]  # a load that took no time is left out
    assert reply["model"] == "small"
    assert [len(vector) for vector in reply["embeddings"]] == [N_EMBD, N_EMBD]
    assert reply["total_duration"] > 0


@pytest.mark.parametrize("given", [None, "", []])
def test_without_input_the_model_is_loaded_and_that_is_all(http: httpx.Client, given: Any) -> None:
    reply = http.post("/api/embed", json={"model": "small", "input": given})

    assert reply.json() == {"model": "small", "embeddings": []}
    assert "small:latest" in [model["name"] for model in http.get("/api/ps").json()["models"]]


def test_keep_alive_is_kept(http: httpx.Client) -> None:
    http.post("/api/embed", json={"model": "small", "input": "a", "keep_alive": 0})
    patience = time.monotonic() + 60
    while any(model["name"] == "small:latest" for model in http.get("/api/ps").json()["models"]):
        assert time.monotonic() < patience  # its process takes a moment to end

    http.post("/api/embed", json={"model": "small", "input": "a", "keep_alive": -1})
    [small] = [model for model in http.get("/api/ps").json()["models"] if model["name"] == "small:latest"]
    assert int(small["expires_at"][:4]) > 2100
    assert small["context_length"] == 64


def test_the_legacy_route_takes_one_prompt(native: ollama.Client, http: httpx.Client) -> None:
    legacy = native.embeddings("minilm", "the tea").embedding

    assert np.dot(legacy, native.embed("minilm", "the tea").embeddings[0]) > 0.9999
    assert http.post("/api/embeddings", json={"model": "minilm", "prompt": ""}).json() == {"embedding": []}


def test_the_legacy_route_leaves_vectors_of_old_conversions_as_they_are(http: httpx.Client) -> None:
    # A BERT whose tokenizer is none of BERT's.
    vector = http.post("/api/embeddings", json={"model": "small", "prompt": "the tea"}).json()["embedding"]

    assert abs(np.linalg.norm(vector) - 1) > 0.1


def test_too_long_an_input_is_cut_unless_that_is_forbidden(http: httpx.Client) -> None:
    long = {"model": "small", "input": ["a", "q" * 500]}

    assert http.post("/api/embed", json=long).json()["prompt_eval_count"] > 64
    refused = http.post("/api/embed", json=long | {"truncate": False})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("the input length exceeds the context length")
    assert "limit 64" in refused.json()["error"]


def test_num_ctx_is_a_limit_too(http: httpx.Client) -> None:
    body = {"model": "small", "input": "q" * 30, "options": {"num_ctx": 8}}

    assert http.post("/api/embed", json=body).json()["prompt_eval_count"] == 8
    refused = http.post("/api/embed", json=body | {"options": {"num_ctx": 2}})
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "input after truncation exceeds maximum context length",
    )


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"model": "small", "input": 1}, 400, "invalid input type"),
        ({"model": "small", "input": ["a", 1]}, 400, "invalid input type"),
        ({"model": "small", "input": [[1, 2]]}, 400, "invalid input type"),
        ({"model": "small", "input": {"a": 1}}, 400, "invalid input type"),
        ({"input": "a"}, 404, "model '' not found"),
        ({"model": "nothing", "input": "a"}, 404, 'model "nothing" not found, try pulling it first'),
        ({"model": "small", "input": "a", "options": {"pooling": "max"}}, 400, "pooling"),
        ({"model": "small", "input": ["a"] * 20_000}, 400, "at most 16384"),
        ({"model": "ranker", "input": "a"}, 400, "reranker"),
    ],
)
def test_what_cannot_be_embedded_is_told(http: httpx.Client, body: Any, status: int, error: str) -> None:
    reply = http.post("/api/embed", json=body)

    assert reply.status_code == status
    assert error in reply.json()["error"]


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"input": None}, 400, "invalid input"),
        ({"input": []}, 400, "invalid input"),
        ({"input": 3}, 400, "invalid input type"),
        ({"input": ["a", 3]}, 400, "item 1"),
        ({"input": [[1], []]}, 400, "item 1"),
        ({"input": [[1, -1]]}, 400, "item 0"),
        ({"input": [10**6]}, 400, "vocabulary"),
        (
            {"input": "a", "encoding_format": "hex"},
            400,
            "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64'].",
        ),
        ({"input": "a", "model": "nothing"}, 404, "not found"),
    ],
)
def test_openai_s_errors_have_openai_s_envelope(
    http: httpx.Client, fields: dict[str, Any], status: int, error: str
) -> None:
    reply = http.post("/v1/embeddings", json={"model": "small"} | fields)

    assert reply.status_code == status
    assert error in reply.json()["error"]["message"]
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_an_empty_text_has_an_embedding_on_v1(client: openai.OpenAI) -> None:
    found = client.embeddings.create(model="minilm", input="")

    assert found.usage.prompt_tokens == 2  # [CLS] [SEP]


def test_a_chat_model_embeds_as_well(native: ollama.Client) -> None:
    chat = [{"role": "user", "content": "Who are you?"}]
    still = {"temperature": 0, "seed": 1, "num_predict": 12}
    before = native.chat("tiny", chat, options=still).message.content
    one, same, other = native.embed("tiny", ["Hello!", "Hello!", "What is 2 + 3?"]).embeddings

    assert np.dot(one, same) > 0.9999
    assert np.dot(one, other) < 0.9999
    last = native.embed("tiny", "Hello!", options={"pooling": "last"}).embeddings[0]
    assert np.dot(one, last) < 0.999
    assert native.chat("tiny", chat, options=still).message.content == before


def test_capabilities_say_what_a_model_is_for(native: ollama.Client, http: httpx.Client) -> None:
    assert native.show("minilm").capabilities == ["embedding"]
    assert http.post("/api/show", json={"model": "ranker"}).json()["capabilities"] == ["rerank"]
    refused = http.post("/api/generate", json={"model": "minilm", "prompt": "x"})
    assert (refused.status_code, refused.json()["error"]) == (400, '"minilm" does not support generate')
    assert native.show("minilm").modelinfo


def test_embeddings_are_counted_like_any_other_prompt(http: httpx.Client) -> None:
    def counted() -> float:
        lines = http.get("/metrics").text.splitlines()
        found = [
            line for line in lines if line.startswith("power_tokens_total") and "small" in line and "prompt" in line
        ]
        return float(found[0].split()[-1]) if found else 0.0

    before = counted()
    count = http.post("/api/embed", json={"model": "small", "input": ["a", "the tea"]}).json()["prompt_eval_count"]

    assert counted() - before == count


# -- rerank --

DOCUMENTS = ["the tea", "he ate", "that other thing that he ate at the tea", "x"]


def test_documents_come_in_the_order_of_their_relevance(http: httpx.Client) -> None:
    body = {"model": "ranker", "query": "what did he eat?", "documents": DOCUMENTS}
    reply = http.post("/v1/rerank", json=body).json()

    scores = [result["relevance_score"] for result in reply["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert sorted(result["index"] for result in reply["results"]) == [0, 1, 2, 3]
    assert reply["object"] == "list"
    assert reply["model"] == "ranker"
    assert reply["usage"]["prompt_tokens"] == reply["usage"]["total_tokens"] > 0
    raw = http.post("/v1/rerank", json=body | {"raw_scores": True}).json()["results"]
    assert [result["index"] for result in raw] == [result["index"] for result in reply["results"]]
    assert np.allclose(1 / (1 + np.exp([-result["relevance_score"] for result in raw])), scores, atol=1e-2)


def test_usage_counts_every_pair(http: httpx.Client) -> None:
    def usage(*documents: str) -> int:
        body = {"model": "ranker", "query": "q", "documents": documents}
        return http.post("/v1/rerank", json=body).json()["usage"]["total_tokens"]  # type: ignore[no-any-return]

    assert usage("a", "bcd") == usage("a") + usage("bcd")


def test_the_openai_client_embeds_one_text_and_several(client: openai.OpenAI) -> None:
    one = client.embeddings.create(model="small", input="the tea").data[0].embedding
    several = client.embeddings.create(model="small", input=["a", "the tea"], encoding_format="float")

    assert several.data[1].embedding == pytest.approx(one, abs=1e-4)
    assert [item.index for item in several.data] == [0, 1]
    assert several.usage.prompt_tokens == several.usage.total_tokens > 0


@pytest.mark.parametrize(("top_n", "n"), [(None, 4), (1, 1), (4, 4), (99, 4)])
@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank", "/v1/reranking", "/reranking"])
def test_top_n_are_returned(http: httpx.Client, path: str, top_n: int | None, n: int) -> None:
    body = {"model": "ranker", "query": "what?", "documents": DOCUMENTS, "top_n": top_n}

    assert len(http.post(path, json=body).json()["results"]) == n


def test_documents_are_returned_when_that_is_wanted(http: httpx.Client) -> None:
    documents = [{"text": text} for text in DOCUMENTS]
    body = {"model": "ranker", "query": "what?", "documents": documents, "return_documents": True}
    results = http.post("/v1/rerank", json=body).json()["results"]

    assert all(result["document"] == {"text": DOCUMENTS[result["index"]]} for result in results)


def test_tei_s_clients_name_no_model_and_get_a_list(http: httpx.Client) -> None:
    body = {"query": "what?", "texts": DOCUMENTS}
    found = http.post("/rerank", json=body | {"return_text": True}).json()

    assert [set(item) for item in found] == [{"index", "score", "text"}] * 4
    assert found[0]["text"] == DOCUMENTS[found[0]["index"]]
    assert [item["score"] for item in found] == sorted((item["score"] for item in found), reverse=True)
    raw = http.post("/rerank", json=body | {"raw_scores": True}).json()
    assert [item["index"] for item in raw] == [item["index"] for item in found]
    too_long = http.post("/rerank", json={"query": "what?", "texts": ["q" * 500]})
    assert too_long.status_code == 400
    assert http.post("/rerank", json={"query": "what?", "texts": ["q" * 500], "truncate": True}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"documents": []}, "documents"),
        ({"documents": None}, "documents"),
        ({"documents": 123}, "documents"),
        ({"documents": [1, 2]}, "documents"),
        ({"documents": [{"title": "x"}]}, "documents"),
        ({"query": None}, "query"),
        ({"query": 3}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"model": "minilm"}, '"minilm" does not support reranking'),
        ({"model": "tiny"}, '"tiny" does not support reranking'),
    ],
)
def test_what_cannot_be_ranked_is_told(http: httpx.Client, fields: dict[str, Any], error: str) -> None:
    reply = http.post("/v1/rerank", json={"model": "ranker", "query": "q", "documents": ["a"]} | fields)

    assert reply.status_code == 400
    assert error in reply.json()["error"]["message"]


# -- tokens --


def test_a_text_becomes_tokens_and_a_text_again(http: httpx.Client) -> None:
    text = "Hello, wörld! 🙂"
    tokens = http.post("/tokenize", json={"model": "tiny", "content": text}).json()["tokens"]

    assert http.post("/detokenize", json={"model": "tiny", "tokens": tokens}).json() == {"content": text}
    pieces = http.post("/tokenize", json={"model": "tiny", "content": text, "with_pieces": True}).json()["tokens"]
    assert [piece["id"] for piece in pieces] == tokens
    data = b"".join(p.encode() if isinstance(p := item["piece"], str) else bytes(p) for item in pieces)
    assert data.decode() == text


def test_special_tokens_are_added_and_read_when_that_is_wanted(http: httpx.Client, expected: Any) -> None:
    tokens, _ = expected
    body = {"model": "minilm", "content": SENTENCES[0]}

    assert http.post("/tokenize", json=body | {"add_special": True}).json()["tokens"] == tokens[0]
    assert http.post("/tokenize", json=body).json()["tokens"] == tokens[0][1:-1]
    sep = {"model": "minilm", "content": "[SEP]"}
    assert http.post("/tokenize", json=sep).json()["tokens"] == [102]
    assert http.post("/tokenize", json=sep | {"parse_special": False}).json()["tokens"] != [102]


def test_the_template_is_applied_and_no_more(http: httpx.Client) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello!"}]}
    prompt = http.post("/apply-template", json=body).json()["prompt"]

    assert "Hello!" in prompt
    assert prompt != "Hello!"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"model": "tiny"}),
        ("/tokenize", {"model": "tiny", "content": 3}),
        ("/detokenize", {"model": "tiny", "tokens": [10**6]}),
        ("/detokenize", {"model": "tiny", "tokens": [-1]}),
        ("/detokenize", {"model": "tiny", "tokens": ["a"]}),
        ("/apply-template", {"model": "tiny", "messages": []}),
    ],
)
def test_what_makes_no_tokens_is_told(http: httpx.Client, path: str, body: Any) -> None:
    reply = http.post(path, json=body)

    assert reply.status_code == 400
    assert reply.json()["error"]
