"""The position scanner against tomllib: every key path has the line where its last segment stands."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatemill.settings.lines import lines


def paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    else:
        children = []
    found = {path} if path else set()
    for key, child in children:
        found |= paths(child, (*path, key))
    return found


def test_every_form_of_key_has_its_line() -> None:
    text = """\
# a comment with [brackets] and = signs
a = 1
"b c" = "x # not a comment ] }"   # a comment
'd.e' = '''
a long [
literal'''
f.g . h = \"\"\"
two quotes at the end\\\"\"\"\"\"\"
[t]
u = [ 1, [2,
  3], # comment ]
  { v = 1, w.x = "]" },
]
[t.deep."q\\u0041"]
y = 1979-05-27 07:32:00
[[list]]
n = 1
[list.sub]
m = 2
[[list]]
n = 3
"""
    assert tomllib.loads(text)["t"]["deep"]["qA"]
    found = lines(text)
    assert found == {
        ("a",): 2,
        ("b c",): 3,
        ("d.e",): 4,
        ("f",): 7,
        ("f", "g"): 7,
        ("f", "g", "h"): 7,
        ("t",): 9,
        ("t", "u"): 10,
        ("t", "u", 0): 10,
        ("t", "u", 1): 10,
        ("t", "u", 1, 0): 10,
        ("t", "u", 1, 1): 11,
        ("t", "u", 2): 12,
        ("t", "u", 2, "v"): 12,
        ("t", "u", 2, "w"): 12,
        ("t", "u", 2, "w", "x"): 12,
        ("t", "deep"): 14,
        ("t", "deep", "qA"): 14,
        ("t", "deep", "qA", "y"): 15,
        ("list",): 20,
        ("list", 0): 16,
        ("list", 0, "n"): 17,
        ("list", 0, "sub"): 18,
        ("list", 0, "sub", "m"): 19,
        ("list", 1): 20,
        ("list", 1, "n"): 21,
    }


def test_windows_line_ends_count_once() -> None:
    assert lines('a = 1\r\n\r\n[b]\r\nc = "x"\r\n') == {("a",): 1, ("b",): 3, ("b", "c"): 4}


def test_a_header_written_after_its_child_is_where_the_table_stands() -> None:
    assert lines("[a.b]\n[a]\nc = 1\n") == {("a",): 2, ("a", "b"): 1, ("a", "c"): 3}


# --- Generated documents -------------------------------------------------------------------------

KEYS = st.text(st.sampled_from("aB3_-. \"'#[]=\\é"), max_size=4)
TEXTS = st.text(st.sampled_from("ab\"'#[]{}=.,\\\n\t é"), max_size=8)


def basic(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(sign, sign) for sign in text) + '"'


def key_text(key: str, quote: int) -> str:
    if key and key.isascii() and key.replace("-", "").replace("_", "").isalnum() and quote < 2:
        return key
    if quote == 3 and "'" not in key:
        return f"'{key}'"
    return basic(key)


SCALARS = st.one_of(
    st.integers(-99, 99).map(str),
    st.booleans().map(lambda flag: str(flag).lower()),
    st.just("1979-05-27 07:32:00"),
    st.just("6.5e3"),
    TEXTS.map(basic),
    TEXTS.filter(lambda text: "'" not in text and "\n" not in text).map(lambda t: f"'{t}'"),
    TEXTS.filter(lambda text: "'''" not in text and not text.endswith("'")).map(
        lambda t: f"'''\n{t}'''"
    ),
    TEXTS.map(lambda t: '"""\n' + t.replace("\\", "\\\\").replace('"', '\\"') + '"""'),
    st.just('"""a"" b"""""'),
    st.just("'''a'' b'''''"),
)
GAPS = st.sampled_from(["", " ", "\n", "\n  # ] } , =\n  "])


@st.composite
def values(draw: st.DrawFn, depth: int = 2, *, inline: bool = False) -> str:
    kind = draw(st.integers(0, 3)) if depth else 0
    if kind == 2:
        parts = draw(st.lists(values(depth - 1, inline=inline), max_size=3))
        return "[" + ",".join(draw(GAPS) + part + draw(GAPS) for part in parts) + "]"
    if kind == 3:
        keys = draw(st.lists(KEYS, max_size=3, unique=True))
        pairs = [
            f"{key_text(key, draw(st.integers(0, 3)))} = {draw(values(depth - 1, inline=True))}"
            for key in keys
        ]
        return "{ " + ", ".join(pairs) + " }"
    return draw(SCALARS)


@st.composite
def documents(draw: st.DrawFn) -> str:
    parts: list[str] = []
    for _ in range(draw(st.integers(0, 5))):
        names = draw(st.lists(KEYS, min_size=1, max_size=3))
        dotted = " . ".join(key_text(name, draw(st.integers(0, 3))) for name in names)
        form = draw(st.integers(0, 3))
        if form == 0:
            parts.append(f"[{dotted}]")
        elif form == 1:
            parts.append(f"[[ {dotted} ]] # [x]")
        else:
            parts.append(f"{dotted}={draw(values())} # c")
        parts.append(draw(st.sampled_from(["", "# only a comment", "\t"])))
    return "\n".join(parts) + "\n"


# The machine that runs the tests may be busy; slowness is not what this looks for.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_every_path_that_tomllib_sees_has_a_line_and_no_other(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # names met twice, mostly; the scanner promises nothing about those
    found = lines(text)
    assert set(found) == paths(document)
    rows = text.split("\n")
    for path, line in found.items():
        last = path[-1]
        if isinstance(last, str):
            row = rows[line - 1]
            assert any(key_text(last, quote) in row for quote in (0, 3)) or basic(last) in row
