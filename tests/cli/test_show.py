"""What `power show` makes of what the server says."""

from __future__ import annotations

import pytest

from power.cli.show import overview, part
from power.client import Details, Shown, Tensor

SHOWN = Shown(
    license="MIT\n\nSecond line\nThird line",
    parameters='stop                           "<|im_end|>"\ntemperature                    0.7',
    system="You are tiny.",
    details=Details(family="llama", parameter_size="1.26M", quantization_level="Q8_0"),
    model_info={
        "general.architecture": "llama",
        "llama.context_length": 2048,
        "llama.embedding_length": 128,
        "tokenizer.ggml.tokens": ["a", "b", "c", "d"],
    },
    tensors=(Tensor(name="output.weight", type="Q8_0", shape=(128, 1536)),),
    capabilities=("completion", "tools"),
)


def test_the_overview_has_a_section_for_each_thing_there_is_to_say() -> None:
    lines = [line.rstrip() for line in overview(SHOWN).splitlines()]

    assert lines == [
        "  Model",
        "    architecture        llama",
        "    parameters          1.26M",
        "    context length      2048",
        "    embedding length    128",
        "    quantization        Q8_0",
        "",
        "  Capabilities",
        "    completion",
        "    tools",
        "",
        "  Parameters",
        '    stop           "<|im_end|>"',
        "    temperature    0.7",
        "",
        "  System",
        "    You are tiny.",
        "",
        "  License",
        "    MIT",
        "    Second line",
        "    ...",
        "",
    ]


def test_the_memory_that_loading_takes_is_told_for_what_context() -> None:
    sizes = {"weights": 2**30, "kv": 3 * 2**29, "state": 0, "compute": 2**26, "output": 2**20, "projector": 0}
    memory = {"num_parallel": 4, "context_length": 4096, "total": 2**30 * 5 // 2, **sizes}
    lines = [line.rstrip() for line in overview(Shown(memory=memory)).splitlines()]

    assert lines[lines.index("  Memory") :] == [
        "  Memory",
        "    weights                        1.0 GiB",
        "    KV cache of 4 × 4096 tokens    1.5 GiB",
        "    computing                      65 MiB",
        "    total                          2.5 GiB",
        "",
    ]


def test_verbose_adds_metadata_and_tensors_with_lists_cut_short() -> None:
    text = overview(SHOWN, verbose=True)

    assert "    tokenizer.ggml.tokens     [a b c ...+1 more]" in text
    assert "    output.weight    Q8_0    [128 1536]" in text


def test_of_a_model_that_says_nothing_nothing_is_shown() -> None:
    assert overview(Shown()) == ""


@pytest.mark.parametrize(("what", "text"), [("system", "You are tiny.\n"), ("template", "")])
def test_a_part_is_printed_as_it_is(what: str, text: str) -> None:
    assert part(SHOWN, what) == text
