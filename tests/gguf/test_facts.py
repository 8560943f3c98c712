"""What a GGUF says of its model."""

import subprocess
import sys
from pathlib import Path

import pytest

from power.gguf import GGUFError, human_number, read_facts, template_capabilities
from tests.gguf.files import CHAT_TEMPLATE, write_small


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
    ],
)
def test_capabilities_come_from_the_template(template: str, capabilities: list[str]) -> None:
    assert template_capabilities(template) == capabilities


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
