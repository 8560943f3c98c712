"""`power gguf`: the commands as a person gives them; as a process where the process is what matters."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
import pytest

from power.cli import main
from power.gguf import open_gguf
from tests.gguf.convert.checkpoints import decoder_shapes, random_weights, write_checkpoint
from tests.gguf.convert.test_decoders import BASE, CONFIGS
from tests.gguf.convert.vocabularies import write_byte_bpe
from tests.gguf.files import CHAT_TEMPLATE, TOKENS, write_small
from tests.support import TINY

from .conftest import COMMAND, PATIENCE, Environment, Run


class Done(NamedTuple):
    status: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """`command("show", path)`: the command in this process."""
    monkeypatch.setenv("POWER_HOME", str(tmp_path / "home"))
    for name in ("OLLAMA_MODELS", "OLLAMA_CONTEXT_LENGTH", "OLLAMA_KV_CACHE_TYPE", "OLLAMA_NUM_PARALLEL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(["gguf", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out, err)

    return run


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_small(tmp_path / "small.gguf")


def rows(text: str) -> list[list[str]]:
    """The cells of a table."""
    return [[cell.strip() for cell in line.split("    ") if cell.strip()] for line in text.splitlines()]


# -- show and get --


def test_a_file_is_shown_with_the_evidence_for_what_is_said(command: Command, small: Path) -> None:
    done = command("show", small)

    assert (done.status, done.err) == (0, "")
    assert ["context length", "2048", "llama.context_length"] in rows(done.out)
    assert ["completion", "general.architecture: llama"] in rows(done.out)
    assert ["llama.attention.head_count_kv", "int32[2]", "[2, 1]"] in rows(done.out)
    assert ["tokenizer.ggml.tokens", "string[8]", "[<unk>, <s>, </s>, …]"] in rows(done.out)
    assert ["test.float32", "float32", "0.5"] in rows(done.out)
    assert ["F32", "1 tensors", "2.0 KiB"] in rows(done.out)


def test_tensors_are_listed_when_asked_for(command: Command, small: Path) -> None:
    assert ["output.weight", "F16", "32 × 3", "0.2 KiB"] in rows(command("show", small, "--tensors").out)


def test_everything_comes_as_json(command: Command, small: Path) -> None:
    shown = json.loads(command("show", small, "--json").out)

    assert shown["facts"]["heads_kv"] == [2, 1]
    assert shown["evidence"]["completion"] == {"source": "general.architecture", "text": "llama"}
    assert shown["metadata"]["test.bools"] == [True, False, True]
    assert shown["metadata"]["tokenizer.ggml.tokens"] == TOKENS
    assert shown["tensors"][1] == {
        "name": "output.weight", "type": "F16", "shape": [32, 3], "file": 0,
        "start": shown["tensors"][0]["start"] + 2048, "size": 192,
    }  # fmt: skip


def test_a_model_of_the_store_goes_by_its_name(command: Command) -> None:
    assert command("get", "tiny", "general.name") == Done(0, "tiny\n", "")


def test_who_is_neither_a_file_nor_a_model_is_named(command: Command) -> None:
    assert command("show", "nobody").err == "Error: there is no file 'nobody', and no model of that name\n"
    assert command("show", "nobody.gguf").err.startswith("Error: nobody.gguf: cannot be opened: No such file")


def test_text_is_printed_as_it_is_and_the_rest_as_json(command: Command, small: Path) -> None:
    assert command("get", small, "tokenizer.chat_template").out == CHAT_TEMPLATE + "\n"
    assert command("get", small, "test.uint64").out == f"{2**64 - 1}\n"
    assert command("get", small, "test.bools").out == "[true, false, true]\n"
    assert json.loads(command("get", small, "tokenizer.ggml.tokens").out) == TOKENS


def test_a_key_that_is_not_there_has_suggestions(command: Command, small: Path) -> None:
    done = command("get", small, "general.nam")

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("Error: there is no key 'general.nam'; did you mean general.name")


# -- set and remove --


def test_a_value_keeps_its_type(command: Command, small: Path) -> None:
    before = open_gguf(small)
    done = command("set", small, "test.uint8", "7")
    after = open_gguf(small)

    assert (done.status, done.out, done.err) == (0, "", f"{small} is written\n")
    assert after.metadata["test.uint8"] == 7
    assert {key: after.metadata.field(key).type for key in after.metadata} == {
        key: before.metadata.field(key).type for key in before.metadata
    }
    assert all((after.tensor(name) == before.tensor(name)).all() for name in before.tensors)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("general.name", "12", "12"),
        ("test.float32", "3", 3.0),
        ("test.bool", "false", False),
        ("test.floats", "[1, 2.5]", [1.0, 2.5]),
        ("test.strings", '["a", "12"]', ["a", "12"]),
        ("new.text", "some words", "some words"),
        ("new.number", "-5", -5),
        ("new.float", "2.5", 2.5),
        ("new.flag", "true", True),
        ("new.list", "[1, 2]", [1, 2]),
        ("new.object", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_what_is_set_is_what_is_got(command: Command, small: Path, key: str, text: str, value: object) -> None:
    assert command("set", small, key, text).status == 0

    got = open_gguf(small).metadata[key]
    assert (got.tolist() if isinstance(got, np.ndarray) else got) == value


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("test.uint8", "red"), 'test.uint8 is of type uint8, which "red" is not'),
        (("test.uint8", "1.5"), "test.uint8 is of type uint8, which 1.5 is not"),
        (("test.uint8", "true"), "test.uint8 is of type uint8, which true is not"),
        (("test.uint8", "256"), "256"),
        (("test.floats", "1"), "test.floats is a list, which has to be given as JSON"),
        (("test.uint8", "[1]"), "test.uint8 is no list"),
        (("test.bools", "[1]"), "test.bools is of type bool, which 1 is not"),
        (("new.key", "1", "--type", "int128"), "'int128' is no type; there are uint8, int8,"),
        (("new.key", "@missing.txt"), "missing.txt cannot be read: No such file or directory"),
        (("general.alignment", "33", "--type", "uint32"), "general.alignment is 33, not a power of two"),
    ],
)
def test_what_cannot_be_set_leaves_the_file_as_it_was(
    command: Command, small: Path, arguments: tuple[str, ...], error: str
) -> None:
    before = small.read_bytes()
    done = command("set", small, *arguments)

    assert done.status == 1
    assert error in done.err
    assert small.read_bytes() == before
    assert [path.name for path in small.parent.iterdir() if path.is_file()] == ["small.gguf"]


def test_a_value_comes_out_of_a_file_and_goes_into_another(command: Command, small: Path, tmp_path: Path) -> None:
    before = small.read_bytes()
    (tmp_path / "template.jinja").write_text("{{ messages }}\n")
    out = tmp_path / "out.gguf"
    done = command("set", small, "tokenizer.chat_template", f"@{tmp_path / 'template.jinja'}", "--output", out)

    assert done.status == 0
    assert open_gguf(out).metadata["tokenizer.chat_template"] == "{{ messages }}\n"
    assert small.read_bytes() == before


def test_setting_a_value_back_gives_the_same_file(command: Command, small: Path) -> None:
    before = small.read_bytes()
    command("set", small, "general.name", "a name that is much longer than before")
    command("set", small, "general.name", "small")

    assert small.read_bytes() == before


def test_keys_are_removed_all_or_none(command: Command, small: Path) -> None:
    missing = command("remove", small, "test.bool", "test.none")
    assert missing.status == 1
    assert "test.bool" in open_gguf(small).metadata

    done = command("remove", small, "test.bool", "test.int8")
    assert done.status == 0
    assert not {"test.bool", "test.int8"} & set(open_gguf(small).metadata)


# -- split and merge --


def test_a_model_is_split_and_merged_again(command: Command, tmp_path: Path) -> None:
    done = command("split", TINY, tmp_path / "part", "--max-size", "500K")
    parts = [Path(line) for line in done.out.splitlines()]
    merged = command("merge", parts[-1], tmp_path / "whole.gguf")

    assert (done.status, merged.status) == (0, 0)
    assert [part.name for part in parts] == [f"part-{n}-of-00003.gguf" for n in ("00001", "00002", "00003")]
    assert (tmp_path / "whole.gguf").read_bytes() == TINY.read_bytes()
    assert "in 3 files" in command("show", parts[1]).out


def test_files_that_are_there_are_kept_unless_forced(command: Command, small: Path, tmp_path: Path) -> None:
    arguments = ("split", small, tmp_path / "part", "--max-tensors", "1")
    first, second, third = command(*arguments), command(*arguments), command(*arguments, "--force")

    assert (first.status, second.status, third.status) == (0, 1, 0)
    assert "part-00001-of-00002.gguf is there already; --force replaces it" in second.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "say how to split it"),
        (("--max-size", "much"), "'much' is no size; write it like 500M or 2G"),
        (("--max-size", "0G"), "'0G' is no size"),
        (("--max-tensors", "0"), "--max-tensors must be at least 1"),
    ],
)
def test_how_to_split_has_to_be_said(
    command: Command, small: Path, tmp_path: Path, arguments: tuple[str, ...], error: str
) -> None:
    assert error in command("split", small, tmp_path / "part", *arguments).err


def test_a_whole_model_cannot_be_merged(command: Command, small: Path, tmp_path: Path) -> None:
    assert command("merge", small, tmp_path / "out.gguf").err == "Error: small.gguf is not split\n"


def test_the_metadata_of_a_split_model_are_in_its_first_file(command: Command, small: Path, tmp_path: Path) -> None:
    parts = command("split", small, tmp_path / "part", "--max-tensors", "1").out.splitlines()

    assert "only that has the metadata" in command("set", parts[1], "general.name", "x").err
    assert command("set", parts[0], "general.name", "renamed").status == 0
    assert command("get", parts[1], "general.name").out == "renamed\n"


# -- verify --


def test_a_whole_file_is_well(command: Command) -> None:
    done = command("verify", TINY)

    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("\nAll is well.\n")


def test_hashes_are_those_of_the_bytes(command: Command) -> None:
    lines = command("verify", TINY, "--quick", "--hashes").out.splitlines()
    tensor = hashlib.sha256(open_gguf(TINY).tensor_bytes("output_norm.weight").tobytes()).hexdigest()

    assert lines[0] == f"{hashlib.sha256(TINY.read_bytes()).hexdigest()}  tiny.gguf"
    assert f"{tensor}  output_norm.weight" in lines


def test_values_that_are_no_numbers_are_found(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "nan.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    values = np.ones((4, 32), np.float32)
    values[2, 5:7] = np.nan, np.inf
    writer.add_tensor("bad.weight", values)
    packed = gguf.quantize(np.ones((2, 64), np.float32), gguf.GGMLQuantizationType.Q8_0)
    packed[1, :2] = 0x00, 0x7C  # the scale of the third block: infinite
    writer.add_tensor("packed.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    done = command("verify", path)
    found = json.loads(command("verify", path, "--json").out)

    assert done.status == 1
    assert [
        "bad.weight",
        "2 of 128 values are NaN or infinite (the first is element 69, block 69)",
    ] in rows(done.out)
    assert [finding["where"] for finding in found["findings"]] == ["bad.weight", "packed.weight"]
    assert "block 2)" in found["findings"][1]["what"]
    assert command("verify", path, "--quick").status == 0


def test_a_file_that_was_cut_short_is_found(command: Command, small: Path) -> None:
    small.write_bytes(small.read_bytes()[:-100])
    done = command("verify", small)

    assert done.status == 1
    assert "structure" in done.out
    assert "output.weight" in done.out


def test_layers_without_tensors_are_found(command: Command, small: Path, tmp_path: Path) -> None:
    path = tmp_path / "layers.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    for layer in (0, 1, 3):
        writer.add_tensor(f"blk.{layer}.attn_q.weight", np.ones((1, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    done = command("verify", path)

    assert done.status == 1
    assert [row[0] for row in rows(done.out)[1:] if row] == ["layer 2", "layer 3"]


# -- estimate --


def test_an_estimate_has_the_numbers_for_each_purpose(command: Command) -> None:
    done = command("estimate", TINY, "--ctx", "1024", "--parallel", "2", "--available", "1G")

    assert done.status == 0
    assert ["tokens of each", "1024 of 2048"] in rows(done.out)
    assert ["KV cache", "5.0 MiB"] in rows(done.out)
    assert ["available", "1.0 GiB", "fits"] in rows(done.out)
    assert ["largest context", "2048 tokens", "for 2 requests"] in rows(done.out)


def test_layers_on_a_gpu_are_told_apart(command: Command) -> None:
    found = json.loads(command("estimate", TINY, "--gpu-layers", "3", "--json").out)

    assert {name: device["layers"] for name, device in found["devices"].items()} == {"CPU": 3, "GPU": 2}
    assert found["total"] == sum(device["total"] for device in found["devices"].values())


def test_the_configuration_says_what_was_not_asked(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_NUM_PARALLEL", "3")
    monkeypatch.setenv("OLLAMA_KV_CACHE_TYPE", "q8_0")
    settings = json.loads(command("estimate", TINY, "--ctx", "512", "--json").out)["settings"]

    assert (settings["n_ctx"], settings["kv_type"]) == (3 * 512, "q8_0")


def test_too_little_memory_is_said_so(command: Command) -> None:
    done = command("estimate", TINY, "--available", "1M")

    assert ["available", "1.0 MiB", "does not fit"] in rows(done.out)
    assert ["largest context", "none fits", "for 4 requests"] in rows(done.out)


@pytest.mark.parametrize("flag", ["--ctx", "--parallel", "--batch"])
def test_impossible_numbers_are_refused(command: Command, flag: str) -> None:
    assert command("estimate", TINY, flag, "0").err == f"Error: {flag} must be at least 1, not 0\n"


# -- convert --


def test_what_is_no_checkpoint_is_refused(command: Command, tmp_path: Path) -> None:
    done = command("convert", tmp_path / "none", tmp_path / "out.gguf")

    assert (done.status, done.out) == (1, "")
    assert "none is not a directory; a checkpoint is one, with config.json and weights in it" in done.err


def test_a_checkpoint_becomes_a_file(command: Command, tmp_path: Path) -> None:
    config = {**BASE, **CONFIGS["qwen3"]}
    write_checkpoint(tmp_path / "checkpoint", config, random_weights(decoder_shapes(config)))
    write_byte_bpe(tmp_path / "checkpoint")
    out = tmp_path / "out.gguf"
    first, second = (command("convert", tmp_path / "checkpoint", out, "--type", "q8_0") for _ in range(2))

    assert (first.status, first.out, first.err) == (0, "", f"{out} is ready\n")
    assert ["quantization", "Q8_0", "general.file_type"] in rows(command("show", out).out)
    assert (second.status, second.err) == (1, f"Error: {out} is there already; --force replaces it\n")


# -- the process --


def test_help_teaches_and_comes_without_numpy(power: Run) -> None:
    group, one = power("gguf", "--help"), power("gguf", "set", "--help")

    assert "power gguf estimate model.gguf --ctx 32768 --parallel 4" in group.stdout
    assert "@PATH stands for what is in that file." in one.stdout
    assert (group.returncode, one.returncode) == (0, 0)


def test_the_command_line_imports_neither_numpy_nor_trio_for_its_help(environ: Environment) -> None:
    check = "import power.cli.app, sys; sys.exit(bool({'numpy', 'trio', 'rich.progress'} & set(sys.modules)))"

    assert subprocess.run([COMMAND[0], "-c", check], env=environ, timeout=PATIENCE, check=False).returncode == 0


def test_a_broken_file_is_one_line_and_a_status(power: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(40))
    done = power("gguf", "show", str(tmp_path / "broken.gguf"))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: broken.gguf: ")
    assert done.stderr.count("\n") == 1


def test_progress_is_shown_on_a_terminal_only(environ: Environment, tmp_path: Path) -> None:
    arguments = [*COMMAND, "gguf", "verify", str(TINY)]
    quiet = subprocess.run(arguments, env=environ, capture_output=True, timeout=PATIENCE, check=True)
    terminal, of_process = pty.openpty()
    done = subprocess.run(
        arguments, env=environ, stdout=subprocess.PIPE, stderr=of_process, timeout=PATIENCE, check=True
    )
    os.close(of_process)
    shown = os.read(terminal, 65536)
    os.close(terminal)

    assert quiet.stderr == b""
    assert b"Verifying" in shown
    assert done.stdout == quiet.stdout
