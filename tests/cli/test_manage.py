"""Models are made, moved and removed from the command line, with a server and without."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from power.cli.progress import Bars, PlainLines
from power.cli.sources import local_files
from power.client import Step
from power.errors import BadRequest
from tests.store.registries import docker_registry
from tests.support import TINY
from tests.worker.models import write_model

from .conftest import Run

MODELFILE = 'FROM ./tiny.gguf\nSYSTEM """Be\nbrief."""\nPARAMETER temperature 0\nPARAMETER low_vram true\n'


@pytest.fixture
def modelfile(tmp_path: Path) -> Path:
    (tmp_path / "tiny.gguf").write_bytes(TINY.read_bytes())
    (tmp_path / "Modelfile").write_text(MODELFILE)
    return tmp_path / "Modelfile"


def test_a_model_lives_and_dies_without_a_server(power: Run, modelfile: Path) -> None:
    created = power("create", "mine", "-f", str(modelfile))
    copied = power("cp", "mine", "yours:v1")
    removed = power("rm", "mine", "nosuch")

    assert (created.returncode, created.stdout) == (0, "")
    assert created.stderr.startswith("warning: parameter low_vram is deprecated\ngathering tiny.gguf\nparsing GGUF\n")
    assert created.stderr.endswith("\nwriting manifest\nsuccess\n")
    assert copied.stdout == "copied 'mine' to 'yours:v1'\n"
    assert (removed.returncode, removed.stdout) == (1, "deleted 'mine'\n")
    assert removed.stderr == "Error: model 'nosuch' not found\n"
    assert power("show", "yours:v1", "--system").stdout == "Be\nbrief.\n"


def test_a_draft_model_is_made_shown_and_made_again(power: Run, modelfile: Path) -> None:
    write_model(modelfile.with_name("small.gguf"))
    modelfile.write_text("FROM ./tiny.gguf\nDRAFT ./small.gguf\n")

    created = power("create", "drafted", "-f", str(modelfile))
    shown = power("show", "drafted", "--modelfile").stdout
    again = power("create", "again", "-f", "-", stdin=shown)
    modelfile.write_text("FROM ./tiny.gguf\nDRAFT ./tiny.gguf\n")
    same = power("create", "same", "-f", str(modelfile))

    assert created.returncode == again.returncode == 0, created.stderr + again.stderr
    [draft] = [line for line in shown.splitlines() if line.startswith("DRAFT ")]
    assert Path(draft.removeprefix("DRAFT ")).read_bytes() == modelfile.with_name("small.gguf").read_bytes()
    assert draft in power("show", "again", "--modelfile").stdout
    assert (same.returncode, same.stderr) == (
        1,
        "Error: DRAFT must not reference the same local path as FROM: ./tiny.gguf\n",
    )


def test_a_server_gets_the_files_it_needs(power: Run, server: str, modelfile: Path) -> None:
    created = power("create", "theirs", "-f", str(modelfile), OLLAMA_HOST=server)
    again = power("create", "theirs", "-f", "-", stdin=f"FROM {modelfile.parent}", OLLAMA_HOST=server)
    removed = power("delete", "theirs", OLLAMA_HOST=server)

    assert created.returncode == again.returncode == 0, again.stderr
    assert len(re.findall("copying file sha256:", created.stderr)) in (1, 2)  # begun, and done if that is not the same
    assert "copying file" not in again.stderr
    assert removed.stdout == "deleted 'theirs'\n"


def test_a_model_that_is_missing_is_pulled_and_run(power: Run, server: str, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as host:
        name = f"{host}/team/pirate:v1"
        modelfile = "FROM tiny\nPARAMETER temperature 0"
        assert power("create", name, "-f", "-", stdin=modelfile, OLLAMA_HOST=server).returncode == 0
        pushed = power("push", name, "--insecure", OLLAMA_HOST=server)
        power("rm", name, OLLAMA_HOST=server)
        ran = power("run", name, "--insecure", "Hello, who are you?", "--think=false")

    assert pushed.stderr.endswith("pushing manifest\nsuccess\n")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    assert "pulling manifest\n" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "127.0.0.1:1/a/b:c", "hi"],
            r"model .* not found, and cannot be pulled \(pull model manifest: .*; there are: tiny",
        ),
        (["pull", "127.0.0.1:1/a/b:c"], "pull model manifest: .*"),
        (["pull", "a b"], "invalid model name"),
        (["push", "nosuch"], ".*no such file or directory"),
        (["create", "x", "-f", "nosuch"], "cannot read nosuch: No such file or directory"),
        (["create", "a b", "-f", "/dev/null"], r"\(line 1, column 1\): no FROM line"),
        (["cp", "nosuch", "b"], 'model "nosuch" not found'),
        (["rm"], r"requires at least 1 arg\(s\), only received 0"),
        (["signout"], "you are not currently signed in"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(power: Run, server: str, arguments: list[str], message: str) -> None:
    done = power(*arguments, OLLAMA_HOST=server)

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"Error: {message}", done.stderr.splitlines()[-1])


def test_signing_in_shows_where(power: Run, server: str) -> None:
    assert "https://ollama.com/connect?name=" in power("signin", OLLAMA_HOST=server).stdout


def test_shells_can_complete_the_commands(power: Run) -> None:
    assert "--quantize" in power("completion", "bash").stdout


def test_a_file_a_name_and_a_path_to_nothing_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").touch()

    assert local_files("m.gguf", tmp_path) == {"m.gguf": tmp_path / "m.gguf"}
    assert local_files("./m.gguf", tmp_path) == {"m.gguf": tmp_path / "m.gguf"}
    assert local_files("llama3.2:3b", tmp_path) == {}
    with pytest.raises(BadRequest, match="no such file"):
        local_files("./n.gguf", tmp_path)
    with pytest.raises(BadRequest, match="neither a file nor a folder"):
        local_files("/dev/null", tmp_path)


def test_one_shard_brings_the_others(tmp_path: Path) -> None:
    shards = [tmp_path / f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    for shard in shards:
        shard.touch()

    assert list(local_files("m-00002-of-00003.gguf", tmp_path).values()) == shards
    shards[0].unlink()
    with pytest.raises(BadRequest, match=r"m-00001-of-00003\.gguf is missing"):
        local_files("m-00002-of-00003.gguf", tmp_path)


def test_a_checkpoint_s_folder_brings_what_belongs_to_it(tmp_path: Path) -> None:
    for name in (
        "model-1.safetensors",
        "config.json",
        "tokenizer.model",
        "1_Pooling/config.json",
        "notes.txt",
        "x.gguf",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert set(local_files(".", tmp_path)) == {
        *("model-1.safetensors", "config.json", "tokenizer.model", "1_Pooling/config.json"),
    }


def test_a_checkpoint_cannot_have_what_lies_elsewhere_sent(tmp_path: Path) -> None:
    (tmp_path / "secret.json").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").touch()
    (tmp_path / "model" / "config.json").symlink_to(tmp_path / "secret.json")

    with pytest.raises(BadRequest, match="insecure path"):
        local_files("model", tmp_path)


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no Modelfile or safetensors files found"):
        local_files(".", tmp_path)


def test_off_a_terminal_every_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines()

    for step in steps():
        lines.show(step)

    assert capsys.readouterr().err == "pulling manifest\npulling abc\npulling abc: 100%\nsuccess\n"


def test_on_a_terminal_every_layer_has_a_bar_a_rate_and_the_time_left() -> None:
    output = io.StringIO()
    bars = Bars(Console(file=output, force_terminal=True, width=120))

    with bars:
        for step in steps():
            bars.show(step)

    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", output.getvalue()).splitlines()
    assert any(re.search(r"pulling abc +━+.* 100% +2\.0/2\.0 (kB|MB)", line) for line in shown), shown
    assert any(line.strip() == "success" for line in shown)


def steps() -> list[Step]:
    layer = [
        Step(status="pulling abc", digest="sha256:abc", total=2_000_000, completed=n) for n in (0, 1_000_000, 2_000_000)
    ]
    return [Step(status="pulling manifest"), *layer, Step(status="success")]
