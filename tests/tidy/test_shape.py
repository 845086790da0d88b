"""The shape of the code, as tests: sizes, words, and that everything stands where one looks for it."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "gatemill"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
_MODULES = sorted(SOURCE.rglob("*.py"))
_TESTS = sorted((ROOT / "tests").rglob("*.py"))
_TOOLS = sorted(
    path for name in ("bench", "scripts", "fuzz") for path in (ROOT / name).rglob("*.py")
)
_NAMES_BANNED = {"utils", "helpers", "common", "base", "manager", "misc", "util", "helper"}
# Written in two halves, so that this file does not find itself.
_WORDS_BANNED = (
    "TO" + "DO",
    "FIX" + "ME",
    "XX" + "X",
    "NotImplemented" + "Error",
    "unittest." + "mock",
)


def _told(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_and_no_function_is_too_long():
    found = [
        _told(path)
        for path in _MODULES + _TESTS + _TOOLS
        if path.read_text().count("\n") > FILE_LINES_MAX
    ]
    for path in _MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    found.append(f"{_told(path)}: {node.name} has {length} lines")
    assert not found


def test_every_file_opens_with_its_purpose():
    silent = [path for path in _MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not [_told(path) for path in silent], "say what the file is for"


def test_no_banned_word():
    banned = re.compile(rf"\b(?:{'|'.join(map(re.escape, _WORDS_BANNED))})\b")
    paths = _MODULES + _TESTS
    assert not [_told(path) for path in paths if banned.search(path.read_text())]
    assert not [_told(path) for path in paths if path.stem in _NAMES_BANNED]


def test_exceptions_are_caught_blindly_in_four_places_only():
    found = [
        str(path.relative_to(SOURCE))
        for path in _MODULES
        if re.search(r"except (Exception|BaseException)\b|except:", path.read_text())
    ]
    # The ledger's thread hands every failure to the future that somebody waits for; a job's failure is
    # an outcome; the library of tokenizers raises nothing more precise.
    places = {"edge/faults.py", "ledger/writer.py", "jobs/runner.py"}
    assert set(found) <= {*places, "local/onnx_model/encoding.py"}


def test_only_the_outermost_doors_read_the_environment():
    found = [
        str(path.relative_to(SOURCE))
        for path in _MODULES
        if re.search(
            r"\bos\.environ\[|\bos\.environ\.\w|return os\.environ\b|\bgetenv\(", path.read_text()
        )
    ]
    doors = ("cli/", "library/", "local/guard.py")  # the guard is a program of its own
    assert not [name for name in found if not name.startswith(doors)]


def test_test_folders_mirror_the_rooms():
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    tested = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert not (rooms - {"data"}) - tested


def test_the_architecture_names_every_room():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    rooms = [path for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert not [room.name for room in rooms if f"`{room.name}/`" not in text]


def test_every_dependency_has_its_reason():
    project = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert block
    names = re.findall(r'"([a-z0-9-]+)', block[1])
    assert 5 < len(names) <= 25
    reasons = (ROOT / "docs" / "decisions" / "002-dependencies.md").read_text()
    assert not [name for name in names if f"`{name}`" not in reasons]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy"],
        ["lint-imports"],
        ["vulture"],
        ["deptry", "src"],
    ],
    ids=lambda command: command[0] + ("-" + command[1] if len(command) > 1 else ""),
)
def test_tools_are_content(command: list[str]):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_names_a_registry_host():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    host = re.compile(r"https?://[^/ \"]*(py" + "pi|pythonhost" + "ed|npm" + "js)")
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".lock", ".txt", ".json", ""} and path.is_file():
            assert not host.search(path.read_text(errors="replace")), name
