"""A link that signs in once, and what the shell offers after TAB."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from cli_run import Command
from gatemill.cli import completing


def test_a_link_is_made_for_an_admin_key(gatemill: Command, monkeypatch) -> None:
    assert gatemill("ui").err.startswith("gatemill: there is no database at data/gatemill.db")
    gatemill("keys", "create", "app")
    result = gatemill("ui")
    assert (result.code, result.err.splitlines()[0]) == (
        1,
        "gatemill: no key may see the dashboard",
    )
    gatemill("keys", "create", "reader", "--scopes", "admin:read")
    assert "as reader (" in gatemill("ui").err
    gatemill("keys", "create", "boss", "--admin")
    result = gatemill("ui")
    assert result.out.startswith("http://127.0.0.1:8700/ui/login?token=")
    assert "as boss (" in result.err
    told = msgspec.json.decode(gatemill("ui", "--json", "--url", "https://g.example/").out)
    assert told["url"].startswith("https://g.example/ui/login?token=")
    listed = msgspec.json.decode(gatemill("keys", "ls", "--json").out)
    (app,) = [one["id"] for one in listed if one["name"] == "app"]
    assert "may not see the dashboard" in gatemill("ui", "--of-key", app).err
    gatemill("keys", "revoke", told["key"])
    assert "no key that works has the id" in gatemill("ui", "--of-key", told["key"]).err
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda link: bool(opened.append(link)))
    assert "no browser could be started" in gatemill("ui", "--open").err
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ('host = "0.0.0.0"\nport = 9000', "http://127.0.0.1:9000/"),
        ('host = "::"\nadmin_port = 9001\nadmin_host = "::1"', "http://[::1]:9001/"),
    ],
)
def test_the_link_leads_where_administration_is_answered(gatemill, tmp_path, server, url) -> None:
    (tmp_path / "gatemill.toml").write_text(f"[server]\n{server}\n")
    gatemill("keys", "create", "boss", "--admin")
    assert gatemill("ui").out.startswith(url)
    (tmp_path / "gatemill.toml").write_text('[auth]\npublic_url = "https://mill.example"\n')
    assert gatemill("ui").out.startswith("https://mill.example/ui/login?token=")


class Models(BaseHTTPRequestHandler):
    said = b'{"data": [{"id": "echo"}, {"id": "gpt-*"}, {"id": "embed"}, {"id": "fast"}]}'

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *args: object) -> None:
        pass


def test_models_of_the_running_gateway_are_offered(monkeypatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Models) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("GATEMILL_URL", f"http://127.0.0.1:{server.server_address[1]}/v1")
        monkeypatch.setenv("GATEMILL_API_KEY", "k")
        assert completing.models("e") == ["echo", "embed"]
        assert completing.models("fast,e") == ["fast,echo", "fast,embed"]
        monkeypatch.setattr(Models, "said", b"<html>")
        assert completing.models("") == []
        monkeypatch.setattr(Models, "said", b"[]")
        assert completing.models("") == []
        server.shutdown()
        thread.join()
    assert completing.models("") == []
