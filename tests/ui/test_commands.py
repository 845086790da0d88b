"""Pages tell people what to type. Rule: each of these commands is one, with the options that it is given."""

from __future__ import annotations

import re
import shlex
from html import unescape
from pathlib import Path

import pytest

import gatemill.ui
from gatemill.cli.commands import tree
from gatemill.policy.incidents import RULES

COMMANDS = tree()
TEMPLATES = sorted((Path(gatemill.ui.__file__).parent / "templates").glob("*.html"))
TOLD = [
    (path.name, re.sub(r"{{.*?}}", "1", unescape(line)))
    for path in TEMPLATES
    for line in re.findall(r"(?<=>)gatemill [^<]+(?=<)", path.read_text())
]
# In sentences: a command ends where its sentence goes on.
REMEDIES = [
    (name, line)
    for name, rule in RULES.items()
    for line in re.findall(r"gatemill [a-z0-9 -]+(?:,[a-z]+)?", rule.remedy)
]


@pytest.mark.parametrize(("where", "line"), [*TOLD, *REMEDIES])
def test_what_a_page_says_to_type_is_a_command(where, line):
    name, *words = shlex.split(line)
    command = COMMANDS
    context = None
    while hasattr(command, "commands") and words and words[0] in command.commands:
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
        name = words.pop(0)
        command = context.command.commands[name]
    # A group that does nothing by itself would show its help. What is missing or unknown raises.
    assert not hasattr(command, "commands") or command.invoke_without_command, (where, line)
    command.make_context(name, words, parent=context)


def test_the_commands_of_pages_are_found():
    assert len(TOLD) > 15
    assert len(REMEDIES) > 4
