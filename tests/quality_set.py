"""Questions with known answers: first lines of the standard library's docstrings, and what follows them."""

from __future__ import annotations

import importlib
import inspect
import warnings
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# Their docstrings are prose; none of them does anything when it is imported.
MODULES = (
    *("argparse", "ast", "asyncio", "base64", "bisect", "calendar", "cmd", "codecs", "collections"),
    *(
        "configparser",
        "contextlib",
        "csv",
        "datetime",
        "decimal",
        "difflib",
        "dis",
        "email.message",
    ),
    *("enum", "filecmp", "fractions", "functools", "glob", "gzip", "heapq", "html", "http.client"),
    *(
        "imaplib",
        "inspect",
        "io",
        "ipaddress",
        "itertools",
        "json",
        "linecache",
        "locale",
        "logging",
    ),
    *("mailbox", "math", "mimetypes", "multiprocessing.pool", "numbers", "operator", "optparse"),
    *("os", "pathlib", "pdb", "pickle", "pickletools", "platform", "plistlib", "poplib", "pprint"),
    *("queue", "quopri", "random", "sched", "selectors", "shelve", "shlex", "shutil", "signal"),
    *("smtplib", "socket", "socketserver", "sqlite3", "ssl", "statistics", "string", "struct"),
    *("subprocess", "symtable", "sysconfig", "tarfile", "tempfile", "textwrap", "threading"),
    *(
        "timeit",
        "tokenize",
        "trace",
        "traceback",
        "tracemalloc",
        "types",
        "typing",
        "unittest.case",
    ),
    *("urllib.parse", "urllib.request", "uuid", "warnings", "wave", "weakref", "xml.sax.handler"),
    *("zipfile", "zipimport", "zlib"),
)
QUESTION_WORDS = (4, 25)
ANSWER_WORDS = (15, 250)


class Pair(NamedTuple):
    """A question, and the only passage that counts as its answer."""

    question: str
    answer: str


def pairs(most: int) -> list[Pair]:
    """The first so many pairs; the same in every run of one Python."""
    found: dict[str, Pair] = {}
    answers: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what is only looked at
        every = [pair for name in MODULES for pair in _of(importlib.import_module(name))]
    for pair in every:
        if pair.question not in found and pair.answer not in answers:
            found[pair.question] = pair
            answers.add(pair.answer)
    return list(found.values())[:most]


def _of(module: ModuleType) -> Iterator[Pair]:
    seen: set[int] = set()
    for name in sorted(vars(module)):
        thing = vars(module)[name]
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        inner = (
            [vars(thing)[each] for each in sorted(vars(thing))] if inspect.isclass(thing) else []
        )
        for one in (thing, *inner):
            text = getattr(one, "__doc__", None)
            if isinstance(text, str) and id(text) not in seen:
                seen.add(id(text))
                yield from _pair(text)


def _pair(text: str) -> Iterator[Pair]:
    first, _, rest = inspect.cleandoc(text).partition("\n\n")
    question, answer = " ".join(first.split()), rest.strip()
    if (
        QUESTION_WORDS[0] <= len(question.split()) <= QUESTION_WORDS[1]
        and ANSWER_WORDS[0] <= len(answer.split()) <= ANSWER_WORDS[1]
    ):
        yield Pair(question, answer)
