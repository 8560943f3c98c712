"""The command line, end to end: a process, the embedded model, a pipe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import COMMAND, ENDLESS, PATIENCE, Environment, Run

GREEDY = ("-o", "temperature=0")


def test_a_prompt_is_answered_without_a_server(power: Run) -> None:
    done = power("run", "tiny", "Hello, who are you?", *GREEDY, "--hidethinking")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    assert done.stdout.endswith("\n")


def test_a_running_server_gives_the_same_answer(power: Run, server: str) -> None:
    question = ("run", "tiny", "Hello, who are you?", *GREEDY)

    assert power(*question, OLLAMA_HOST=server).stdout == power(*question).stdout


def test_the_prompt_is_what_is_piped_in_and_then_the_words(power: Run) -> None:
    words = ("run", "tiny", *GREEDY, "--think=false")

    assert power(*words, "who are you?", stdin="Hello,").stdout == power(*words, "Hello, who are you?").stdout


def test_thinking_can_be_shown_hidden_and_turned_off(power: Run, server: str) -> None:
    def answer(*flags: str) -> str:
        return power("run", "tiny", *flags, "What is 2 + 3?", *GREEDY, OLLAMA_HOST=server).stdout

    shown = answer("--think")
    # Whether it thinks about this is the model's affair; if it does, it does so again when that is hidden.
    thinking = re.match(r"Thinking\.\.\.\n.+\n\.\.\.done thinking\.\n\n", shown, re.DOTALL)
    assert answer("--hidethinking") == shown[thinking.end() if thinking else 0 :]
    assert "Thinking..." not in answer("--think=false")


def test_statistics_come_on_stderr(power: Run, server: str) -> None:
    done = power("run", "tiny", "Hi", "--verbose", OLLAMA_HOST=server)

    assert re.search(r"^eval count: {11}\d+ token\(s\)$", done.stderr, re.MULTILINE)
    assert re.search(r"^eval rate: {12}\d+\.\d\d tokens/s$", done.stderr, re.MULTILINE)
    assert "eval" not in done.stdout


def test_an_empty_prompt_loads_the_model_and_says_nothing(power: Run, server: str) -> None:
    done = power("run", "tiny", "", OLLAMA_HOST=server)

    assert (done.returncode, done.stdout) == (0, "")
    assert "tiny:latest" in power("ps", OLLAMA_HOST=server).stdout


def test_a_model_is_listed_shown_and_stopped(power: Run, server: str) -> None:
    assert power("run", "tiny", "Hi", OLLAMA_HOST=server).returncode == 0
    listed = power("ls", OLLAMA_HOST=server).stdout
    running = power("ps", OLLAMA_HOST=server).stdout
    shown = power("show", "tiny", OLLAMA_HOST=server).stdout
    stopped = power("stop", "tiny", OLLAMA_HOST=server)

    assert re.search(r"^tiny:latest +[0-9a-f]{12} +\S+ MB +.* ago +$", listed, re.MULTILINE)
    assert re.search(r"^tiny:latest +[0-9a-f]{12} +\S+ MB +100% CPU +\d+ +.* from now +$", running, re.MULTILINE)
    assert "architecture" in shown
    assert stopped.returncode == 0
    assert re.fullmatch(r"NAME .*\n(tiny:latest .* Stopping\.\.\. +\n)?", power("ps", OLLAMA_HOST=server).stdout)


def test_models_are_listed_and_shown_without_a_server_too(power: Run) -> None:
    assert "tiny:latest" in power("list", "TI").stdout
    assert "tiny:latest" not in power("list", "other").stdout
    assert "{%" in power("show", "tiny", "--template").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nosuch"], r"model 'nosuch(:latest)?' not found; there are: tiny"),
        (["ps"], r"could not connect to power server, run 'power serve' to start it .*"),
        (["stop", "tiny"], r"could not connect to power server, run 'power serve' to start it .*"),
        (["run", "tiny", "hi", "-o", "sed=1"], r"unknown parameter 'sed'"),
        (["run", "tiny", "hi", "--think=some"], r'invalid value for --think: "some" .*'),
        (["run", "tiny", "hi", "--keepalive", "x"], r"invalid keep_alive: .*"),
        (["run", "tiny", "hi", "--format", "yaml"], r"invalid format: 'yaml'; .*"),
        (["run", "tiny", "--nosuch"], r"Unknown option: --nosuch.*"),
        (["show"], r".*MODEL.*"),
        (["show", "tiny", "--system", "--license"], r"only one of '--license', .* can be specified"),
        (["nosuch"], r"Unknown command \"nosuch\".*"),
        (["help", "nosuch"], r"unknown command 'nosuch'"),
        (["serve", "--port", "70000"], r"--port: must be a whole number from 0 to 65535, not 70000"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(power: Run, arguments: list[str], message: str) -> None:
    done = power(*arguments)

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"Error: {message}\n", done.stderr)


def test_a_bad_setting_is_named(power: Run, environ: Environment) -> None:
    Path(environ["POWER_HOME"], "config.toml").write_text("num_paralel = 2")

    assert power("run", "tiny", "hi", OLLAMA_KEEP_ALIVE="soon").stderr.startswith("Error: unknown key num_paralel in /")


def test_another_machines_server_is_not_replaced_by_one_of_our_own(power: Run) -> None:
    # 192.0.2.0/24 is for documentation: nobody is there.
    done = power("run", "tiny", "hi", OLLAMA_HOST="http://192.0.2.1:9", NO_PROXY="*")

    assert done.returncode == 1
    assert done.stderr == "Error: could not connect to the server at http://192.0.2.1:9\n"


def test_a_taken_port_is_said_with_the_way_out(power: Run, server: str) -> None:
    done = power("serve", OLLAMA_HOST=server)

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: cannot listen on {server}: Address already in use")
    assert "--port" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_politely(environ: Environment, number: signal.Signals) -> None:
    command = [*COMMAND, "serve", "--port", "0"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listening on http://127.0.0.1:" in process.stderr.readline()
        process.send_signal(number)

        assert process.wait(PATIENCE) == 0


def test_ctrl_c_stops_an_answer(environ: Environment) -> None:
    command = [*COMMAND, "run", "tiny", "Hi", "--think=false", "-o", ENDLESS]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        begun = os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=PATIENCE)

        assert begun
        assert (process.returncode, errors) == (130, b"")
        assert rest.endswith(b"\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_leaves_nothing_behind(
    environ: Environment, tmp_path: Path, number: signal.Signals
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [*COMMAND, "run", "tiny", "Hi", "--think=false", "-o", ENDLESS]
    with subprocess.Popen(command, env=environ | {"TMPDIR": str(scratch)}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        assert list(scratch.iterdir())
        process.send_signal(number)

        assert process.wait(PATIENCE) == 128 + number
        assert list(scratch.iterdir()) == []


def test_a_reader_that_has_had_enough_ends_the_command_quietly(environ: Environment) -> None:
    command = [*COMMAND, "run", "tiny", "Hi", "--think=false", "-o", ENDLESS]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        process.stdout.close()
        _, errors = process.communicate(timeout=PATIENCE)

        assert (process.returncode, errors) == (141, b"")


@pytest.mark.parametrize("arguments", [["list"], ["run", "tiny", "Hi"]])
def test_output_that_cannot_be_written_is_said_in_one_line(environ: Environment, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )

    assert (done.returncode, done.stderr) == (1, b"Error: No space left on device\n")


def test_a_command_may_have_no_output_at_all(environ: Environment) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "run", "tiny", "Hi"],
        env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")


def test_bytes_that_are_no_text_are_asked_about_too(environ: Environment) -> None:
    done = subprocess.run(
        [*COMMAND, "run", "tiny", "--think=false", b"\xfe"],
        env=environ, input=b"\xff\x00abc", capture_output=True, timeout=PATIENCE,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"], ["run", "--help"], ["--version"]])
def test_help_brings_in_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys, power.cli\n"
        f"try: power.cli.main({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'llama_cpp', 'quart', 'hypercorn', 'httpx', 'trio', 'prompt_toolkit', 'power.serve'}\n"
        "print(*heavy & sys.modules.keys(), file=sys.stderr)\n"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    print(f"\npower {' '.join(arguments)}: {time.perf_counter() - began:.3f} s")

    assert done.stdout
    assert done.stderr == "\n"


def test_help_teaches_with_examples_and_says_where_things_are(power: Run) -> None:
    page = power("--help").stdout

    for word in ("run", "serve", "list", "ps", "show", "stop", "Examples:", "OLLAMA_HOST", "POWER_HOME", "config.toml"):
        assert word in page
    assert power().stdout == page
    assert "--keepalive" in power("help", "run").stdout


def test_the_version_is_told(power: Run) -> None:
    assert re.fullmatch(r"power version is \d+\.\d+\.\d+\n", power("--version").stdout)
