from __future__ import annotations

from pathlib import Path

import jsonschema
import msgspec
import pytest

from cli_run import Command, process

FILE = """\
[providers.openai]
api_key = "sk-0123456789abcd"
proxy = "http://me:secret@proxy.example:3128"
headers = { x-team = "0123456789-team" }
[models."gpt-*"]
targets = ["openai/*"]
[prices.x]
input = 0.1
output = 0.2
"""


def test_effective_values_are_shown_with_their_origin(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text(FILE)
    result = gatemill("config", "show", "--origin", GATEMILL_SERVER__PORT="9000")
    lines = result.out.splitlines()
    assert "server.port = 9000  # env GATEMILL_SERVER__PORT" in lines
    assert 'server.host = "127.0.0.1"  # default' in lines
    assert 'models."gpt-*".targets.0.model = "*"  # gatemill.toml:6' in lines
    assert 'providers.openai.base_url = "https://api.openai.com/v1"  # kind openai' in lines
    assert "server.allowed_hosts = []  # default" in lines
    assert "server.openapi = true  # default" in lines
    assert not any("output_max" in line for line in lines), "unset values are left out"
    assert "#" not in gatemill("config", "show").out


def test_no_secret_is_shown(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text(FILE)
    for arguments in ((), ("--json",), ("--origin",)):
        out = gatemill("config", "show", *arguments).out
        assert "0123456789" not in out
        assert "secret" not in out.replace("alerts.secret", "")  # the name of an option
        assert "…abcd" in out
        assert "http://…@proxy.example:3128" in out


def test_json_has_everything(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(FILE)
    rows = msgspec.json.decode(gatemill("config", "show", "--json", "--config", "other.toml").out)
    values = {row["path"]: row["value"] for row in rows}
    assert values["prices.x.input"] == "0.1"
    assert values["providers.openai.ca_file"] is None
    assert values["server.allowed_hosts"] == []


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory):
    done = process("config", "schema", cwd=tmp_path_factory.mktemp("schema"))
    assert done.code == 0, done.err
    return msgspec.json.decode(done.out)


@pytest.mark.parametrize(
    ("document", "is_valid"),
    [
        ({"server": {"port": 1}}, True),
        ({"server": {"prot": 1}}, False),
        ({"providers": {"a": {"kind": "groq", "native": ["chat"]}}}, True),
        ({"providers": {"a": {"kind": "nope"}}}, False),
        ({"providers": {"openai": {"timeout": 5}}}, True),
        ({"models": {"a": {"targets": ["openai/x", {"provider": "p", "model": "m"}]}}}, True),
        ({"models": {"a": {"targets": [5]}}}, False),
        ({"prices": {"a": {"input": 0.1, "output": 3}}}, True),
    ],
)
def test_the_schema_is_one_and_describes_what_is_accepted(schema, document, is_valid) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    assert validator.is_valid(document) is is_valid
