"""Names and digests: what is valid, and what becomes a path."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.errors import BadRequest, ModelNotFound
from power.store import Name, blob_path, parse_digest, parse_name, parse_reference

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "parts", "shown"),
    [
        ("llama3", ("registry.ollama.ai", "library", "llama3", "latest"), "llama3:latest"),
        ("llama3:8B", ("registry.ollama.ai", "library", "llama3", "8B"), "llama3:8B"),
        ("me/mine", ("registry.ollama.ai", "me", "mine", "latest"), "me/mine:latest"),
        ("hf.co/org/repo:Q4_K_M", ("hf.co", "org", "repo", "Q4_K_M"), "hf.co/org/repo:Q4_K_M"),
        ("localhost:5000/a/b", ("localhost:5000", "a", "b", "latest"), "localhost:5000/a/b:latest"),
        ("https://hf.co/a/b:c", ("hf.co", "a", "b", "c"), "hf.co/a/b:c"),
        ("Registry.Ollama.AI/Library/x", ("Registry.Ollama.AI", "Library", "x", "latest"), "x:latest"),
    ],
)
def test_a_name_has_four_parts_and_shows_what_is_not_default(text: str, parts: tuple[str, ...], shown: str) -> None:
    name = parse_name(text)

    assert name.parts == parts
    assert str(name) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "/", "a/", "/a", "a:", ":a", "a//b", "a b", "-a", ".a", "a/.b", "../a", "a:..", "..", "a/b/c/d"),
        *("a\\b", "a\0", "a\n", "é", "a:b:c/d", "x" * 81, "a.b/c", "h/" + "n" * 81 + "/m", "a:" + "t" * 81, "a%2e"),
        *("http://", "h" * 351 + "/a/b"),
    ],
)
def test_an_invalid_name_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid model name"):
        parse_name(text)


@given(st.text(max_size=30) | st.text(alphabet="ab./:_-\\ \0", max_size=20))
def test_a_name_that_parses_is_safe_as_a_path_and_parses_back(text: str) -> None:
    try:
        name = parse_name(text)
    except BadRequest:
        return

    assert parse_name(name.full) == name
    assert all(part not in ("", ".", "..") and not set(part) & set("/\\\0") for part in name.parts)
    assert len(Path(*name.parts).parts) == 4


def test_a_reference_may_say_where_the_model_is() -> None:
    assert parse_reference(" llama3:8b:local ") == parse_name("llama3:8b")
    assert parse_reference("llama3:LOCAL") == parse_name("llama3")
    for text in ("gpt:cloud", "gpt:20b:cloud", "gpt:20b-cloud"):
        with pytest.raises(ModelNotFound, match=text):
            parse_reference(text)


def test_a_reference_says_it_once_and_is_not_empty() -> None:
    with pytest.raises(BadRequest, match="not both"):
        parse_reference("a:local:cloud")
    with pytest.raises(BadRequest, match="model is required"):
        parse_reference("  ")


def test_a_digest_in_either_spelling_names_the_same_blob() -> None:
    assert parse_digest(f"sha256:{HEX}") == parse_digest(f"sha256-{HEX.upper()}") == HEX
    assert blob_path(Path("/models"), f"sha256:{HEX}") == Path(f"/models/blobs/sha256-{HEX}")


@pytest.mark.parametrize(
    "text", ["", HEX, f"sha256:{HEX[1:]}", f"sha256:{HEX}0", f"sha512:{HEX}", f"sha256:{HEX}\n", f"sha256-../{HEX[3:]}"]
)
def test_no_other_string_becomes_a_path(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid digest"):
        blob_path(Path("/models"), text)


def test_a_name_cannot_be_made_from_unsafe_parts() -> None:
    with pytest.raises(BadRequest):
        Name("registry.ollama.ai", "library", "..", "latest")
