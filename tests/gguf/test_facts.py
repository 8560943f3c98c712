"""What a GGUF says of its model."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from power.gguf import GGUFError, human_number, read_facts, template_capabilities
from tests.gguf.files import CHAT_TEMPLATE, write_small
from tests.support import sdist

COMPLETES = {"completion": "general.architecture: llama"}


def test_the_facts_of_a_small_model(tmp_path: Path) -> None:
    facts = read_facts(write_small(tmp_path / "small.gguf"))

    assert (facts.architecture, facts.name) == ("llama", "small")
    assert facts.n_params == 8 * 64 + 3 * 32
    assert facts.parameter_size == "608"
    assert (facts.n_ctx_train, facts.embedding_length, facts.n_layers) == (2048, 64, 2)
    assert (facts.n_heads, facts.n_heads_kv) == (4, 2)
    assert (facts.tokenizer, facts.bos, facts.eos) == ("llama", "<s>", "</s>")
    assert facts.chat_template == CHAT_TEMPLATE
    assert facts.capabilities == ("completion",)


def test_quantization_is_what_the_file_says_or_else_its_commonest_type(tmp_path: Path) -> None:
    said = write_small(tmp_path / "said.gguf", extra={"general.file_type": 15})
    unsaid = write_small(tmp_path / "unsaid.gguf")

    assert read_facts(said).quantization == "Q4_K_M"
    assert read_facts(unsaid).quantization == "F32"


def test_capabilities_come_from_the_keys(tmp_path: Path) -> None:
    extra = {"llama.pooling_type": 1, "llama.vision.block_count": 24}

    facts = read_facts(write_small(tmp_path / "small.gguf", extra=extra))

    assert facts.capabilities == ("embedding", "vision")


@pytest.mark.parametrize(
    ("template", "capabilities"),
    [
        ("{{ messages }}", []),
        ("{% if tools %}{% endif %}", ["tools"]),
        ("<think>{{ x }}</think>", ["thinking"]),
        ("{{ message.content.split('</think>')[-1] }}", ["thinking"]),
        ("{{ message.content.split('</think>')[-1] }} reasoning_content", []),
        ("{{ message.tool_calls }}{{ '<think>\\n\\n</think>' }}", ["tools", "thinking"]),
        ("[THINK]{{ reasoning }}[/THINK]", ["thinking"]),
        ("{% if enable_thinking %}{% endif %}", ["thinking"]),
        ("<|start|>assistant<|channel|>analysis", ["thinking"]),
    ],
)
def test_capabilities_come_from_the_template(template: str, capabilities: list[str]) -> None:
    assert template_capabilities(template) == capabilities


@pytest.mark.parametrize(
    ("extra", "capabilities"),
    [
        ({"llama.pooling_type": 4}, {"rerank": "llama.pooling_type: 4"}),
        ({"llama.attention.causal": False}, {"embedding": "llama.attention.causal: false"}),
        ({"llama.audio.block_count": 32}, {"audio": "llama.audio.block_count: 32"} | COMPLETES),
        (
            {f"tokenizer.ggml.fim_{gap}_token_id": n for n, gap in enumerate(("pre", "suf", "mid"), 3)},
            COMPLETES
            | {
                "insert": "tokenizer.ggml.fim_pre_token_id, tokenizer.ggml.fim_suf_token_id,"
                " tokenizer.ggml.fim_mid_token_id: 3, 4, 5",
            },
        ),
        ({"tokenizer.ggml.fim_pre_token_id": 3}, COMPLETES),
        ({"general.type": "adapter"}, {}),
    ],
)  # fmt: skip
def test_every_capability_has_its_evidence(tmp_path: Path, extra: dict[str, Any], capabilities: dict[str, str]) -> None:
    facts = read_facts(write_small(tmp_path / "small.gguf", extra=extra))

    assert {name: str(facts.why(name)) for name in facts.capabilities} == capabilities


def test_evidence_out_of_a_template_quotes_it(tmp_path: Path) -> None:
    template = "{{ bos_token }}" + "x" * 100 + "{% if tools %}\n  {{ tools | tojson }}{% endif %}"
    facts = read_facts(_with_template(tmp_path, template))

    assert str(facts.why("tools")) == "tokenizer.chat_template: …xxxxxxxxxxxxxxxxxx{% if tools %} {{ tools | tojson…"


def test_fields_have_their_evidence_too(tmp_path: Path) -> None:
    facts = read_facts(write_small(tmp_path / "small.gguf"))

    assert str(facts.why("n_ctx_train")) == "llama.context_length: 2048"
    assert str(facts.why("n_heads_kv")) == "llama.attention.head_count_kv: [2, 1]"
    assert str(facts.why("n_params")) == "tensors: the elements of 2 tensors"
    assert facts.why("vision") is None


def test_heads_may_differ_from_layer_to_layer(tmp_path: Path) -> None:
    facts = read_facts(write_small(tmp_path / "small.gguf"))

    assert facts.heads == (4, 4)
    assert facts.heads_kv == (2, 1)


def test_texts_of_the_tokens_around_a_gap(tmp_path: Path) -> None:
    gap = {
        "tokenizer.ggml.prefix_token_id": 3,
        "tokenizer.ggml.suffix_token_id": 4,
        "tokenizer.ggml.middle_token_id": 5,
    }

    assert read_facts(write_small(tmp_path / "small.gguf", extra=gap)).fim_tokens == ("hello", "wörld", "▁")


def test_a_projector_sees_and_hears_but_does_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "mmproj.gguf"
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_audio_encoder", False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    facts = read_facts(path)

    assert (facts.kind, facts.capabilities) == ("projector", ("vision",))


def test_a_vocabulary_alone_can_do_nothing() -> None:
    facts = read_facts(sdist() / "vendor/llama.cpp/models/ggml-vocab-qwen2.gguf")

    assert (facts.kind, facts.capabilities, facts.tokenizer) == ("vocabulary", (), "gpt2")


@pytest.mark.parametrize(
    ("family", "capabilities"),
    [
        ("Qwen-Qwen3-0.6B", ["tools", "thinking"]),
        ("meta-llama-Llama-3.2-3B-Instruct", ["tools"]),
        ("google-gemma-2-2b-it", []),
        ("mistralai-Ministral-3-14B-Reasoning-2512", ["tools", "thinking"]),
        ("openai-gpt-oss-120b", ["tools", "thinking"]),
        ("CohereForAI-c4ai-command-r7b-12-2024-tool_use", ["tools", "thinking"]),
        ("deepseek-ai-DeepSeek-R1-Distill-Llama-8B", ["tools", "thinking"]),
    ],
)
def test_templates_of_well_known_families(family: str, capabilities: list[str]) -> None:
    template = (sdist() / f"vendor/llama.cpp/models/templates/{family}.jinja").read_text()

    assert template_capabilities(template) == capabilities


def _with_template(folder: Path, template: str) -> Path:
    path = folder / "template.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_chat_template(template)
    writer.add_tensor("token_embd.weight", np.zeros((1, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1K"),
        (124_439, "124K"),
        (1_262_976, "1.26M"),
        (7_000_000, "7M"),
        (3_212_749_888, "3.2B"),
        (8_000_000_000, "8B"),
    ],
)
def test_counts_are_written_as_ollama_writes_them(number: int, text: str) -> None:
    assert human_number(number) == text


def test_a_file_without_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))

    with pytest.raises(GGUFError, match=r"general\.architecture"):
        read_facts(path)


def test_token_ids_that_do_not_exist_have_no_text(tmp_path: Path) -> None:
    path = write_small(tmp_path / "small.gguf")
    data = path.read_bytes()
    key = b"tokenizer.ggml.bos_token_id"
    at = data.index(key) + len(key) + 4
    path.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])

    assert read_facts(path).bos == ""


def test_the_faces_of_gguf_and_store_need_no_numpy() -> None:
    check = "import power.gguf, power.store, sys; sys.exit('numpy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
