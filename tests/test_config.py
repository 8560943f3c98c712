"""Settings from the file, the environment and flags."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.config import Config, load_config
from power.errors import ConfigError
from power.settings import SETTINGS


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def load(home: Path, toml: str = "", flags: dict[str, Any] | None = None, **environ: str) -> Config:
    (home / "config.toml").write_text(toml, "utf-8")
    return load_config(flags, {"POWER_HOME": str(home), **environ})


def test_without_any_settings_the_defaults_hold(home: Path) -> None:
    config = load_config({}, {"POWER_HOME": str(home)})

    assert config == Config(data_dir=home)
    assert config.models_dir == home / "models"
    assert config.url == "http://127.0.0.1:11434"
    assert (config.num_parallel, config.max_queue, config.max_loaded_models) == (4, 512, 0)
    assert (config.keep_alive, config.load_timeout, config.context_length) == (300, 300, 4096)


def test_a_flag_beats_the_environment_beats_the_file(home: Path) -> None:
    toml = "num_parallel = 1\nmax_queue = 1\nkv_cache_type = 'q8_0'"
    config = load(home, toml, {"num_parallel": 3, "max_queue": None}, OLLAMA_NUM_PARALLEL="2", OLLAMA_MAX_QUEUE="2")

    assert (config.num_parallel, config.max_queue, config.kv_cache_type) == (3, 2, "q8_0")


def test_every_key_of_the_file_is_read(home: Path) -> None:
    config = load(
        home,
        f"""
        host = "0.0.0.0"
        port = 8080
        data_dir = "{home}/data"
        max_loaded_models = 2
        keep_alive = "10m"
        num_parallel = 8
        max_queue = 64
        num_thread = 6
        use_mlock = true
        flash_attention = true
        load_timeout = 60
        context_length = 8192
        kv_cache_type = "q8_0"
        origins = ["https://app.example.org"]
        debug = true
        max_body_bytes = 1048576
        registry_realms = ["auth.example.org", "[::1]:5001"]
        nohistory = true
        [gpu]
        gpu_layers = 20
        main_gpu = 1
        [grammar]
        objects = "open"
        on_unsupported = "warn"
        """,
    )

    assert config == Config(
        host="0.0.0.0",
        port=8080,
        data_dir=home / "data",
        max_loaded_models=2,
        keep_alive=600,
        num_parallel=8,
        max_queue=64,
        num_thread=6,
        use_mlock=True,
        flash_attention=True,
        load_timeout=60,
        context_length=8192,
        kv_cache_type="q8_0",
        origins=("https://app.example.org",),
        debug=True,
        max_body_bytes=1048576,
        registry_realms=("auth.example.org", "[::1]:5001"),
        nohistory=True,
        gpu_layers=20,
        main_gpu=1,
        objects="open",
        on_unsupported="warn",
    )


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("OLLAMA_MODELS", "/srv/models", "models_dir", Path("/srv/models")),
        ("OLLAMA_KEEP_ALIVE", "-1", "keep_alive", math.inf),
        ("OLLAMA_KEEP_ALIVE", "1h30m", "keep_alive", 5400),
        ("OLLAMA_KEEP_ALIVE", " '30' ", "keep_alive", 30),
        ("OLLAMA_MAX_LOADED_MODELS", "0", "max_loaded_models", 0),
        ("OLLAMA_NUM_PARALLEL", "2", "num_parallel", 2),
        ("OLLAMA_MAX_QUEUE", "0", "max_queue", 0),
        ("OLLAMA_LOAD_TIMEOUT", "0", "load_timeout", math.inf),
        ("OLLAMA_LOAD_TIMEOUT", "90s", "load_timeout", 90),
        ("OLLAMA_CONTEXT_LENGTH", "0", "context_length", 4096),
        ("OLLAMA_CONTEXT_LENGTH", "8192", "context_length", 8192),
        ("OLLAMA_FLASH_ATTENTION", "1", "flash_attention", True),
        ("OLLAMA_FLASH_ATTENTION", "False", "flash_attention", False),
        ("OLLAMA_FLASH_ATTENTION", "", "flash_attention", None),
        ("OLLAMA_KV_CACHE_TYPE", "q4_0", "kv_cache_type", "q4_0"),
        ("OLLAMA_ORIGINS", "http://a, app://*,", "origins", ("http://a", "app://*")),
        ("OLLAMA_DEBUG", "2", "debug", True),
        ("OLLAMA_DEBUG", "0", "debug", False),
        ("OLLAMA_GPU_OVERHEAD", "1073741824", "gpu_overhead", 2**30),
        ("OLLAMA_SCHED_SPREAD", "1", "sched_spread", True),
        ("OLLAMA_MULTIUSER_CACHE", "1", "multiuser_cache", True),
        ("OLLAMA_NUM_GPU", "-1", "gpu_layers", -1),
        ("OLLAMA_NOHISTORY", "1", "nohistory", True),
        ("POWER_GRAMMAR_OBJECTS", "open", "objects", "open"),
        ("POWER_GRAMMAR_ON_UNSUPPORTED", "warn", "on_unsupported", "warn"),
    ],
)
def test_ollamas_variables_mean_what_they_mean_there(
    home: Path, variable: str, text: str, name: str, value: object
) -> None:
    assert getattr(load(home, flags=None, **{variable: text}), name) == value


# The table of Ollama's envconfig/config_test.go, but for its bad ports, which it replaces and we refuse.
@pytest.mark.parametrize(
    ("text", "bind", "url"),
    [
        ("", "127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("1.2.3.4", "1.2.3.4:11434", "http://1.2.3.4:11434"),
        (":1234", "0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("1.2.3.4:1234", "1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("example.com", "example.com:11434", "http://example.com:11434"),
        ("example.com:1234", "example.com:1234", "http://example.com:1234"),
        ("[::1]", "[::1]:11434", "http://[::1]:11434"),
        ("[::]", "[::]:11434", "http://[::1]:11434"),
        ("::1", "[::1]:11434", "http://[::1]:11434"),
        ("[::1]:1337", "[::1]:1337", "http://[::1]:1337"),
        (" 1.2.3.4 ", "1.2.3.4:11434", "http://1.2.3.4:11434"),
        ('"1.2.3.4"', "1.2.3.4:11434", "http://1.2.3.4:11434"),
        ("' 1.2.3.4 '", "1.2.3.4:11434", "http://1.2.3.4:11434"),
        ("http://1.2.3.4", "1.2.3.4:80", "http://1.2.3.4:80"),
        ("http://1.2.3.4:4321", "1.2.3.4:4321", "http://1.2.3.4:4321"),
        ("https://1.2.3.4", "1.2.3.4:443", "https://1.2.3.4:443"),
        ("https://example.com/ollama", "example.com:443", "https://example.com:443/ollama"),
        ("example.com:56789/ollama/", "example.com:56789", "http://example.com:56789/ollama"),
        ("0.0.0.0", "0.0.0.0:11434", "http://127.0.0.1:11434"),
    ],
)
def test_a_host_is_read_in_all_its_forms(home: Path, text: str, bind: str, url: str) -> None:
    config = load(home, OLLAMA_HOST=text)

    assert (config.bind, config.url) == (bind, url)


def test_a_host_without_a_port_leaves_the_port_as_it_was(home: Path) -> None:
    assert load(home, "port = 8080", OLLAMA_HOST="0.0.0.0").bind == "0.0.0.0:8080"
    assert load(home, "port = 8080", OLLAMA_HOST="0.0.0.0:99").bind == "0.0.0.0:99"
    assert load(home, flags={"host": "::1"}, OLLAMA_HOST="0.0.0.0:99").bind == "[::1]:99"


def test_a_port_set_by_itself_outranks_the_one_in_the_host(home: Path) -> None:
    assert load(home, flags={"port": 1, "host": "1.2.3.4:5"}).bind == "1.2.3.4:1"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("10.0.0.1", False),
        ("a.example", False),
    ],
)
def test_a_loopback_address_is_known_as_one(host: str, loopback: bool) -> None:
    assert Config(host=host).is_loopback is loopback


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OLLAMA_HOST", "1.2.3.4:66000"),
        ("OLLAMA_HOST", ":-1"),
        ("OLLAMA_HOST", "host:port"),
        ("OLLAMA_HOST", "1.2.3.4:1:2"),
        ("OLLAMA_HOST", "[::1"),
        ("OLLAMA_HOST", "[nonsense]:1"),
        ("OLLAMA_HOST", "ftp://host"),
        ("OLLAMA_HOST", "two words"),
        ("OLLAMA_KEEP_ALIVE", "soon"),
        ("OLLAMA_LOAD_TIMEOUT", "never"),
        ("OLLAMA_NUM_PARALLEL", "1O"),
        ("OLLAMA_NUM_PARALLEL", "-1"),
        ("OLLAMA_NUM_PARALLEL", "9" * 5000),
        ("OLLAMA_MAX_QUEUE", "1.5"),
        ("OLLAMA_MAX_LOADED_MODELS", "many"),
        ("OLLAMA_CONTEXT_LENGTH", "8k"),
        ("OLLAMA_FLASH_ATTENTION", "maybe"),
        ("OLLAMA_KV_CACHE_TYPE", "q3"),
        ("OLLAMA_DEBUG", "loud"),
        ("OLLAMA_NUM_GPU", "all"),
    ],
)
def test_a_bad_value_is_refused_with_the_variable_and_what_would_be_right(home: Path, variable: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{variable}: must be .*, not '"):
        load(home, flags=None, **{variable: text})


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("num_paralel = 2", r"unknown key num_paralel in .*config\.toml; did you mean num_parallel\?"),
        ("gpu_layers = 2", r"unknown key gpu_layers in .*; did you mean \[gpu\] gpu_layers\?"),
        ("[gpu]\nlayers = 2", r"unknown key \[gpu\] layers in .*; did you mean \[gpu\] gpu_layers\?"),
        ("[gpu]\nport = 2", r"unknown key \[gpu\] port in .*; did you mean port\?"),
        ("qqqq = 2", r"unknown key qqqq in .*; known are: host, port"),
        ("gpu = 1", r"gpu in .*: must be a table, \[gpu\], not 1"),
        ("port = 70000", r"port in .*: must be a whole number from 0 to 65535, not 70000"),
        ("port = true", r"port in .*: must be a whole number .* not True"),
        ("port = 1.5", r"port in .*: must be a whole number .* not 1\.5"),
        ("use_mlock = 'perhaps'", r"use_mlock in .*: must be true or false, not 'perhaps'"),
        ("origins = [1]", r"origins in .*: must be a list of origins"),
        ("registry_realms = ['https://a/']", r"registry_realms in .*: must be a list of hosts such as auth"),
        ("registry_realms = 'a'", r"registry_realms in .*: must be a list of hosts"),
        ("keep_alive = []", r"keep_alive in .*: must be seconds, or a duration"),
        ("data_dir = 3", r"data_dir in .*: must be a path, not 3"),
        ("port = ", r"cannot read .*config\.toml: Invalid value"),
    ],
)
def test_a_mistake_in_the_file_is_named(home: Path, toml: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        load(home, toml)


def test_a_bad_flag_is_named_as_it_was_typed(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--num-parallel: must be a whole number from 0 to 255, not '5000'"):
        load(home, flags={"num_parallel": "5000"})
    with pytest.raises(ConfigError, match=r"^unknown setting nonsense"):
        load(home, flags={"nonsense": 1})


def test_a_file_may_begin_with_a_byte_order_mark(home: Path) -> None:
    (home / "config.toml").write_text("port = 1234", "utf-8-sig")

    assert load_config({}, {"POWER_HOME": str(home)}).port == 1234


def test_a_file_that_is_not_text_is_an_error_that_names_it(home: Path) -> None:
    (home / "config.toml").write_bytes(b"\xff")

    with pytest.raises(ConfigError, match=r"^cannot read .*config\.toml: 'utf-8' codec"):
        load_config({}, {"POWER_HOME": str(home)})


def test_the_home_of_the_reference_system_is_honoured(home: Path) -> None:
    other = home / "other"

    assert load_config({}, {"A3S_POWER_HOME": str(home)}).data_dir == home
    assert load_config({}, {"A3S_POWER_HOME": str(home), "POWER_HOME": str(other)}).data_dir == other
    assert load_config({}, {}).data_dir == Path.home() / ".power"


def test_every_setting_is_on_its_page_with_its_variable() -> None:
    page = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text("utf-8")
    rows = {line.split(" | ")[0]: line for line in page.splitlines()}

    for name, setting in SETTINGS.items():
        row = rows[f"| `[{setting.table}] {name}`" if setting.table else f"| `{name}`"]
        assert setting.variable in row
    assert {row.partition("`")[2].partition("`")[0].rpartition(" ")[2] for row in rows if row.startswith("| `")} == set(
        SETTINGS
    )


@given(
    st.sampled_from(sorted(SETTINGS)),
    st.text(max_size=20) | st.integers() | st.floats() | st.booleans() | st.lists(st.text()),
)
def test_a_reader_takes_any_value_or_says_what_would_be_right(name: str, value: Any) -> None:
    try:
        SETTINGS[name].read(value)
    except ValueError as error:
        message = str(error)
    else:
        message = "must be anything"

    assert message.startswith("must be ")


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("0", 0), ("1024", 1024), ("2GiB", 2 * 2**30), ("1.5 gb", 15 * 10**8), ("512 MiB", 2**29)]
)
def test_sizes_are_bytes_or_say_their_unit(home: Path, text: str, n_bytes: int) -> None:
    assert load_config({}, {"POWER_HOME": str(home), "OLLAMA_GPU_OVERHEAD": text}).gpu_overhead == n_bytes


@pytest.mark.parametrize("text", ["-1", "much", "9 XiB", "1e30", "9999999 TiB", "12 Gibibytes"])
def test_a_size_that_is_none_is_refused_by_its_name(home: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="OLLAMA_GPU_OVERHEAD: must be "):
        load_config({}, {"POWER_HOME": str(home), "OLLAMA_GPU_OVERHEAD": text})


def test_settings_that_llama_cpp_refuses_together_are_refused_here(home: Path) -> None:
    with pytest.raises(ConfigError, match="kv_cache_type q8_0 needs flash attention"):
        load_config({}, {"POWER_HOME": str(home), "OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": "0"})
