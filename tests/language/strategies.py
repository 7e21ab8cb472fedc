"""Random source text and values for hypothesis: right ones, spaced as nobody would."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from terrarium.language import values
from terrarium.language.values import Value

NAMES = st.sampled_from(["a", "b", "name", "x1", "each", "var", "tags-x", "_u", "größe"])
WORDS = st.sampled_from(
    ["", "a", "b c", "$", "$${x}", "%%{if}", "é", "\\n", '\\"', "\\u00e9", "{", "#", "//", "=", "%"]
)
GAPS = st.sampled_from(["", " ", "  ", "\t"])
SPACE = st.sampled_from([" ", "  ", "\t"])
NUMBERS = st.sampled_from(["0", "1", "42", "1.5", "1e3", "0.10", "12345678901234567890"])


def _joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


def _listed(opening: str, item: st.SearchStrategy[str], closing: str) -> st.SearchStrategy[str]:
    return st.lists(item, max_size=3).map(lambda items: opening + ", ".join(items) + closing)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||"])
    traversal = _joined(NAMES, st.sampled_from([".b", "[0]", '["k"]', ".*.c", "[*].d", ".0", ""]))
    plain = st.one_of(traversal, NUMBERS)
    return st.one_of(
        _joined(st.just("("), GAPS, inner, GAPS, st.just(")")),
        _joined(plain, SPACE, operator, SPACE, plain),
        _joined(st.sampled_from(["!", "-"]), traversal),
        _joined(plain, SPACE, st.just("?"), SPACE, inner, SPACE, st.just(":"), SPACE, plain),
        _listed("[", inner, "]"),
        _listed("f(", inner, ")"),
        _listed("{ ", _joined(NAMES, GAPS, st.just("="), GAPS, inner), " }"),
        _joined(st.just("[for "), NAMES, st.just(" in "), inner, st.just(" :"), SPACE, inner, st.just(" if "), plain, st.just("]")),
        _joined(st.just("{for k, v in "), inner, st.just(" : k => "), inner, st.just("...}")),
        _joined(st.just('"'), WORDS, st.just("${"), GAPS, inner, GAPS, st.just("}"), WORDS, st.just('x"')),
        _joined(st.just('"'), WORDS, st.just("%{ if "), plain, st.just(" }"), WORDS, st.just("%{ else }-%{ endif }"), st.just('"')),
    )  # fmt: skip


EXPRESSIONS = st.recursive(
    st.one_of(NUMBERS, NAMES, st.sampled_from(["true", "null"]), WORDS.map(lambda w: f'"{w}."')), _grow, max_leaves=8
)
COMMENTS = st.sampled_from(["", "", "", " # note", " // note", " /* note */"])
ATTRIBUTES = _joined(GAPS, NAMES, GAPS, st.just("="), GAPS, EXPRESSIONS, COMMENTS, st.just("\n"))
HEREDOCS = _joined(
    GAPS, NAMES, st.just(" = <<-EOT\n"), SPACE, WORDS.map(lambda w: w.replace("\\", "")), st.just("${a}\n EOT\n")
)
LINES = st.one_of(ATTRIBUTES, ATTRIBUTES, HEREDOCS, st.sampled_from(["\n", "# alone\n", "  /* two\n lines */\n"]))


def _block(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    labels = st.lists(st.sampled_from([' "l"', ' "a b"', ' "é"']), max_size=2).map("".join)
    head = _joined(GAPS, NAMES, labels, SPACE, st.just("{\n"))
    return st.tuples(head, st.lists(inner, max_size=4).map("".join), GAPS).map(lambda p: f"{p[0]}{p[1]}{p[2]}}}\n")


BODIES = st.recursive(LINES, _block, max_leaves=6)
FILES = st.lists(BODIES, max_size=5).map("".join)
"""Files without mistakes but for arguments which are set twice."""

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn")), max_size=8).map(values.nfc)
KEYS = st.text(string.ascii_letters + " :-#é", max_size=4)


def _nested(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.one_of(
        st.lists(inner, max_size=3).map(values.tuple_of), st.dictionaries(KEYS, inner, max_size=3).map(values.object_of)
    )


VALUES = st.recursive(
    st.one_of(
        TEXTS.map(values.string),
        st.integers(-(10**30), 10**30).map(values.number),
        st.decimals(-1000, 1000, places=3).map(lambda d: values.number(d.as_integer_ratio()[0])),
        st.booleans().map(values.boolean),
        st.just(values.null()),
    ),
    _nested,
    max_leaves=10,
)
"""Values as `jsondecode` makes them: of tuples, objects, and primitives."""
