"""Modelfiles are read as Ollama reads them, refused with their place, and written back."""

from __future__ import annotations

import codecs
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.errors import BadRequest
from power.store.modelfile import KEYWORDS, ROLES, Command, Modelfile, ModelfileError, quote, read_modelfile
from power.store.modelfile_recipe import recipe_of, typed_parameter


def commands(text: str | bytes) -> list[tuple[str, str, str]]:
    return [(command.keyword, command.name, command.value) for command in read_modelfile(text).commands]


@pytest.mark.parametrize(
    "text",
    [
        "FROM foo",
        "from foo\n",
        "  \tFrOm   foo  \t\r\n",
        "# a remark\n\n  # another\nFROM foo",
        'FROM "foo"',
        'FROM """foo"""',
        "\ufeffFROM foo",
        codecs.BOM_UTF8 + b"FROM foo",
        codecs.BOM_UTF16_LE + "FROM foo".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "FROM foo\r\n".encode("utf-16-be"),
        "\fFROM f\x00oo\x07\n\x1a",
    ],
)
def test_case_spaces_comments_quotes_and_encodings_do_not_matter(text: str | bytes) -> None:
    assert commands(text) == [("from", "", "foo")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("SYSTEM a # b", ("system", "", "a # b")),
        ("SYSTEM don't", ("system", "", "don't")),
        ('SYSTEM say "x"', ("system", "", 'say "x"')),
        ('SYSTEM "one\ntwo"  ', ("system", "", "one\ntwo")),
        ('SYSTEM """\none\n\n"two"\n"""', ("system", "", '\none\n\n"two"\n')),
        ('SYSTEM """he said "x""""', ("system", "", 'he said "x"')),
        ('SYSTEM ""', ("system", "", "")),
        ("SYSTEM ", ("system", "", "")),
        ('SYSTEM """"""', ("system", "", "")),
        ('SYSTEM """a"""b\n# c\n"""', ("system", "", 'a"""b\n# c\n')),
        ("PARAMETER stop <|end|>", ("parameter", "stop", "<|end|>")),
        ("parameter  temperature\t0.5", ("parameter", "temperature", "0.5")),
        ('PARAMETER stop "\n"', ("parameter", "stop", "\n")),
        ("MESSAGE user hello there", ("message", "user", "hello there")),
        ('MESSAGE  assistant """\nhi"""', ("message", "assistant", "\nhi")),
        ("TEMPLATE {{ .Prompt }}", ("template", "", "{{ .Prompt }}")),
        ("SYSTEM 你好 🙂", ("system", "", "你好 🙂")),
        ("ADAPTER ./a b.gguf", ("adapter", "", "./a b.gguf")),
        ("Renderer qwen3", ("renderer", "", "qwen3")),
        ("REQUIRES 0.14.0", ("requires", "", "0.14.0")),
    ],
)
def test_a_value_is_the_rest_of_the_line_or_what_is_quoted(line: str, expected: tuple[str, str, str]) -> None:
    assert commands(f"FROM foo\n{line}\nLICENSE x") == [("from", "", "foo"), expected, ("license", "", "x")]


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("", "no FROM line", 1, 1),
        ("PARAMETER top_k 1\n", "no FROM line", 2, 1),
        ("FROM", "FROM needs a value", 1, 1),
        ("FROM\nfoo", "FROM needs a value", 1, 1),
        ("FROM  \n", "FROM needs a value", 1, 5),
        ("FROM a\r\nFRUM b", "command must be one of", 2, 1),
        ("FROM a\r  FROM1 b", "command must be one of", 2, 3),
        ("FROM a\nMESSAGE bot hi", "message role must be one of", 2, 9),
        ("FROM a\nMESSAGE User hi", "message role must be one of", 2, 9),
        ("FROM a\nPARAMETER top-k 1", "a parameter is written", 2, 11),
        ("FROM a\nPARAMETER top_k\n", "a parameter is written", 2, 11),
        ('FROM ""\n', "FROM needs a value", 1, 5),
        ("FROM a\nADAPTER \x07", "ADAPTER needs a value", 2, 8),
        ("FR\x00OM a", "command must be one of", 1, 1),
        ('FROM a\nSYSTEM """b\nc', "is not closed", 2, 7),
        ('FROM a\nSYSTEM "b" c\n', "is not closed", 2, 7),
        ('FROM a\nSYSTEM """b"" \n', "is not closed", 2, 7),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line_and_column(
    text: str, message: str, line: int, column: int
) -> None:
    with pytest.raises(ModelfileError, match=re.escape(message)) as caught:
        read_modelfile(text)

    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"(line {line}, column {column}): ")


def test_bytes_that_are_no_text_are_refused_with_their_place() -> None:
    with pytest.raises(ModelfileError, match=r"\(line 2, column 8\): not UTF-8"):
        read_modelfile(b"FROM a\nSYSTEM \xff")
    with pytest.raises(ModelfileError, match="not UTF-16-LE"):
        read_modelfile(codecs.BOM_UTF16_LE + b"F")


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(BadRequest, match="longer than"):
        read_modelfile(b"FROM a\n" + b"#" * 2**22)


def test_reading_takes_time_in_proportion_to_the_length() -> None:
    assert len(read_modelfile("FROM a\n" * 20_000).commands) == 20_000
    # A quote that never closes, and as many places as there are where it might.
    with pytest.raises(ModelfileError):
        read_modelfile('FROM a\nSYSTEM """' + ' """ x' * 100_000)


values = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('"\n\r\t #'), max_size=40).filter(
    lambda text: re.search(r'"""[ \t]*[\r\n]', text) is None
)
filled = values.filter(bool)
a_command = (
    st.builds(Command, st.sampled_from(["system", "template", "license"]), values)
    | st.builds(Command, st.sampled_from(["from", "adapter", "renderer", "parser", "requires", "draft"]), filled)
    | st.builds(Command, st.just("parameter"), filled, st.from_regex(r"[A-Za-z0-9_]+", fullmatch=True))
    | st.builds(Command, st.just("message"), values, st.sampled_from(ROLES))
)


@given(st.lists(a_command))
def test_what_is_written_is_read_back(made: list[Command]) -> None:
    modelfile = Modelfile((Command("from", "base"), *made))

    read = read_modelfile(str(modelfile))

    assert commands(str(read)) == [(c.keyword, c.name, c.value) for c in modelfile.commands]


@given(st.lists(a_command), st.sampled_from(["utf-16-le", "utf-16-be"]))
def test_the_encoding_changes_nothing(made: list[Command], encoding: str) -> None:
    text = str(Modelfile((Command("from", "base"), *made)))

    assert commands(("\ufeff" + text).encode(encoding)) == commands(text)


@given(st.lists(st.sampled_from([*KEYWORDS, *ROLES, '"', '"""', " ", "\n", "\r\n", "\t", "#", "x", "0.5"])))
def test_any_text_is_read_or_refused_with_a_place_inside_it(parts: list[str]) -> None:
    text = "".join(parts)
    error = refusal_of(text)
    if error is None:
        read = read_modelfile(text)

        assert commands(str(read)) == commands(text)
    else:
        lines = re.split(r"\r\n|\r|\n", text)

        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1


def refusal_of(text: str) -> ModelfileError | None:
    try:
        read_modelfile(text)
    except ModelfileError as error:
        return error
    return None


def test_a_value_that_no_quotes_can_hold_is_told() -> None:
    with pytest.raises(ValueError):
        quote('a"""\nb')


def test_a_recipe_has_typed_parameters_and_all_stops() -> None:
    recipe = recipe_of(
        read_modelfile(
            "FROM a\nPARAMETER temperature 0.5\nPARAMETER top_k 3\nPARAMETER top_k 4\nPARAMETER stop 1\n"
            "PARAMETER stop [b]\nPARAMETER use_mmap false\nPARAMETER low_vram true\nMESSAGE user hi"
        )
    )

    assert recipe.parameters == {"temperature": 0.5, "top_k": 4, "stop": ["1", "[b]"], "use_mmap": False}
    assert recipe.warnings == ("parameter low_vram is deprecated",)
    assert [(message.role, message.content) for message in recipe.messages] == [("user", "hi")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("PARAMETER warmth 1", "(line 2, column 1): unknown parameter 'warmth'"),
        ("PARAMETER top_k many", 'option "top_k" must be of type integer'),
        ("PARAMETER temperature NaN", 'option "temperature" must be'),
        ("PARAMETER use_mmap maybe", 'option "use_mmap" must be of type boolean'),
        ("REQUIRES soon", "requires must be a valid semver (e.g. 0.14.0)"),
    ],
)
def test_a_recipe_refuses_what_no_model_can_have(line: str, message: str) -> None:
    with pytest.raises(ModelfileError, match=re.escape(message)):
        recipe_of(read_modelfile(f"FROM a\n{line}"))


def test_a_stop_is_text_whatever_it_looks_like() -> None:
    assert typed_parameter("stop", "12") == "12"
