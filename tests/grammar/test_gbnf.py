"""GBNF as a language: read, checked, printed."""

import ctypes
from pathlib import Path

import llama_cpp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from power.grammar import JSON_GRAMMAR, GrammarError, check_gbnf, parse_gbnf
from power.grammar.expressions import Alt, Chars, Expr, Ref, Repeat, Seq, Text, alt, seq
from power.grammar.printing import print_rules


@pytest.mark.parametrize(
    "grammar",
    [
        JSON_GRAMMAR,
        'root ::= "a"',
        'root ::= "a" |',
        'root ::= ("a"\n  | "b" # a comment\n)* # another\n\n# and one more\n',
        "root ::=\n  a-1\r\n\r\na-1 ::= [^\\x00-\\x1F\\]\\-^] .",
        'root ::= "\\u00e9\\U0001F600\\t\\\\\\"" [a-]{2} [\\[]{1,} [x]{ 0, 3 }',
        'root ::= (a b)? | b+\na ::= "x"?\nb ::= "y" root',
    ],
)
def test_what_llama_cpp_reads_is_read(grammar: str) -> None:
    check_gbnf(grammar)

    assert _loads(grammar)


@pytest.mark.parametrize(
    ("grammar", "line", "column", "why"),
    [
        ('root ::= "a" x\ny ::= "b"', 1, 14, "'x' is not defined"),
        ('a ::= "a"', 1, 1, "no rule 'root'"),
        ('root ::= "a"\nroot ::= "b"', 2, 1, "defined twice"),
        ('x ::= "a"\nroot ::= root "a"', 2, 1, "left recursive"),
        ('root ::= a\na ::= b? root | "y"\nb ::= "z"', 1, 1, "left recursive"),
        ('root ::= a b "x"\na ::= c\nb ::= root\nc ::= ""', 1, 1, "left recursive"),
        ('root ::= (a?)*\na ::= "x"', 1, 1, "may be empty"),
        ("root ::= a+\na ::= b\nb ::= [x]*", 1, 1, "may be empty"),
        ('root ::= "a"{3,1}', 1, 13, "out of order"),
        ('root ::= "a"{0,5000}', 1, 13, "more than 2000"),
        ('root ::= ("a" ("b" "c"?){40}){100}', 1, 1, "more than 2000 rules"),
        ('root ::= ""*', 1, 12, "nothing to repeat"),
        ("root ::= []", 1, 10, "empty character class"),
        ("root ::= [z-a]", 1, 10, "out of order"),
        ('root ::= "\\q"', 1, 10, "unknown escape"),
        ('root ::= "\\xg0"', 1, 10, "2 digits"),
        ('root ::= "\\U00FFFFFF"', 1, 10, "end of Unicode"),
        ("root ::= <[12]>", 1, 10, "references to tokens"),
        ("root = 1", 1, 6, "unexpected '='"),
        ('root ::= "a"\n| "b"', 2, 1, "unexpected '|'"),
        ('root ::= ("a"', 1, 14, "unexpected end|ends too early"),
        ('root ::= "a\0"', 1, 12, "NUL"),
        ("root ::= " + "(" * 200 + ")" * 200, 1, 110, "nested deeper"),
        ("", 1, 1, "no rule 'root'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(grammar: str, line: int, column: int, why: str) -> None:
    with pytest.raises(GrammarError, match=why) as caught:
        check_gbnf(grammar)

    assert (caught.value.line, caught.value.field) == (line, "grammar")
    assert caught.value.column == column or "ends" in caught.value.message or "end of line" in caught.value.message


def test_a_search_that_would_take_llama_cpp_for_ever_is_refused() -> None:
    rules = "\n".join(f'r{n} ::= r{n + 1} "a" | r{n + 1} "b"' for n in range(40))

    with pytest.raises(GrammarError, match="ways"):
        check_gbnf(f'root ::= r0\n{rules}\nr40 ::= "x"')


EXPRESSIONS = st.recursive(
    st.builds(Text, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=3))
    | st.builds(lambda a, b: Chars(((min(a, b), max(a, b)),)), st.integers(1, 0x3FF), st.integers(1, 0x3FF))
    | st.sampled_from([Ref("a"), Chars(((0, 0x10FFFF),)), Chars(((1, 0x40), (0x50, 0x10FFFF)))]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda items: seq(*items)),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: alt(*items)),
        st.builds(Repeat, inner, st.integers(0, 2), st.sampled_from([None, 2, 3])),
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(EXPRESSIONS)
def test_what_is_printed_reads_back_the_same(body: Expr) -> None:
    text = print_rules({"root": seq(Text("r"), body), "a": Text("x")}, "root")

    assert _plain(parse_gbnf(text).rules["root"]) == _plain(seq(Text("r"), body))
    assert _loads(text) or _weighs_too_much(text)


def _weighs_too_much(text: str) -> bool:
    """Repeats of what may be empty without end are left recursion for llama.cpp; the checker finds them."""
    with pytest.raises(GrammarError):
        check_gbnf(text)
    return True


def _plain(expr: Expr) -> Expr:
    """Without differences that only the constructors make."""
    match expr:
        case Seq():
            return seq(*map(_plain, expr.items))
        case Alt():
            return alt(*map(_plain, expr.options))
        case Repeat():
            return Repeat(_plain(expr.item), expr.low, expr.high)
    return expr


def _loads(grammar: str) -> bool:
    """Whether llama.cpp's parser takes the grammar; it needs no vocabulary for that, but its C++ name."""
    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libllama.so"))
    load = library._Z23llama_grammar_init_implPK11llama_vocabPKcS3_bPS3_mPKim
    load.restype = ctypes.c_void_p
    c = ctypes
    load.argtypes = (
        c.c_void_p, c.c_char_p, c.c_char_p, c.c_bool, c.c_void_p, c.c_size_t, c.c_void_p, c.c_size_t,
    )  # fmt: skip
    pointer = load(None, grammar.encode(), b"root", False, None, 0, None, 0)
    if pointer:
        free = library._Z23llama_grammar_free_implP13llama_grammar
        free.argtypes = [ctypes.c_void_p]
        free(pointer)
    return bool(pointer)
