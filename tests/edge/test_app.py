"""What every control route does alike: methods, and callers who leave."""

import pytest

from peer import ask as asked
from peer import peer, plain


async def test_a_method_that_a_path_has_not_is_told_all_that_it_has(ask):
    said = await ask("PUT", "/api/v1/keys")
    assert said.status == 405
    assert said.headers["allow"] == "GET, POST"
    assert said.json["detail"] == "Use GET, POST on this path."


async def test_a_caller_who_hangs_up_in_mid_body_is_no_failure_of_ours(gate, ask, caplog):
    async with peer(gate) as client:
        await client.send(plain(gate, "/v1/jobs", "POST", "content-length: 100") + b"{")
        await client.turn()
    await ask.good("GET", "/v1/jobs")
    assert "Exception in ASGI application" not in caplog.text


@pytest.mark.parametrize(
    "line",
    ["x-forwarded-for: 9.9.9.9", "X-Real-IP: 9.9.9.9", "forwarded: for=9.9.9.9", "via: 1.1 x"],
)
async def test_metrics_are_open_at_home_and_not_to_whom_a_proxy_passes_on(gate, line):
    at_home = b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    passed_on = at_home.replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode())
    assert (await asked(gate, at_home)).status == 200
    assert (await asked(gate, passed_on)).status == 401
    assert (await asked(gate, plain(gate, "/metrics", "GET", line))).status == 200


async def test_what_an_admin_changes_is_in_the_audit_log_and_what_is_refused_is_not(gate, ask):
    await ask.good("DELETE", "/v1/recordings?all=true&model=gm-abcdefghij-" + "a" * 43)
    await ask.good("POST", "/api/v1/config/reload?dry_run=true")
    assert (await ask("DELETE", "/v1/recordings")).status == 400
    entries = (await ask.good("GET", "/api/v1/audit?limit=3"))["data"]
    told = [(one["action"], one["kind"], one["object_id"], one["detail"]) for one in entries]
    assert told[:2] == [
        ("reload", "config", "", {"dry_run": "true"}),
        ("delete", "recording", "", {"all": "true", "model": "[secret]"}),
    ]
    assert {one["actor"] for one in entries[:2]} == {gate.key.split("-")[1]}
    assert entries[2]["action"] == "create"
