"""Where each key of a TOML text stands. Rule: the text is valid; tomllib has read it before.

tomllib keeps no positions, and a parser that does is a dependency. Walking valid TOML needs only
its brackets, strings and comments. Source: TOML 1.0, toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
# Up to two quotes may stand right before the three that close a long string.
_BASIC_LONG = re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL)
_LITERAL_LONG = re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def lines(text: str) -> dict[Path, int]:
    """Line (1-based) of every key path; list elements are counted from 0.

    A table named by its own header has that header's line, one that exists only as a prefix has
    the line where it first occurs.
    """
    return _Walk(text).run()


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0  # moved by every method that reads
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._found: dict[Path, int] = {}
        self._lengths: dict[Path, int] = {}  # of lists of tables, written by _header

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return self._found
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match is not None, f"not TOML at line {self._line()}"
        self._at = match.end()
        return match.group()

    def _header(self) -> Path:
        many = self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        keys = self._keys()
        self._at += 2 if many else 1
        path = self._below((), keys[:-1])
        path = (*path, keys[-1])
        self._found[path] = self._line()
        if many:
            index = self._lengths.get(path, 0)
            self._lengths[path] = index + 1
            path = (*path, index)
            self._found[path] = self._line()
        return path

    def _below(self, table: Path, keys: list[str]) -> Path:
        """The table that `keys` lead to; a list of tables on the way stands for its last element."""
        path = table
        for key in keys:
            path = (*path, key)
            self._found.setdefault(path, self._line())
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        keys = self._keys()
        path = (*self._below(table, keys[:-1]), keys[-1])
        self._found[path] = self._line()
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        """A dotted key; ends before what is neither space nor part of it."""
        keys = []
        while True:
            self._skip(_SPACE)
            keys.append(self._key())
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> str:
        first = self._text[self._at]
        if first == '"':
            value: str = tomllib.loads(f"k = {self._skip(_BASIC)}")["k"]
            return value
        if first == "'":
            return self._skip(_LITERAL)[1:-1]
        return self._skip(_BARE_KEY)

    def _value(self, path: Path) -> None:
        rest = self._text[self._at : self._at + 3]
        if rest.startswith("["):
            self._list(path)
        elif rest.startswith("{"):
            self._inline(path)
        elif rest == '"""':
            self._skip(_BASIC_LONG)
        elif rest == "'''":
            self._skip(_LITERAL_LONG)
        elif rest.startswith('"'):
            self._skip(_BASIC)
        elif rest.startswith("'"):
            self._skip(_LITERAL)
        else:
            self._skip(_SCALAR)

    def _list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "]":
                self._at += 1
                return
            self._found[(*path, index)] = self._line()
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while True:
            # TOML 1.1 allows line ends and comments here; tomllib decides what is valid.
            self._skip(_BLANK)
            if self._text[self._at] == "}":
                self._at += 1
                return
            self._pair(path)
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
