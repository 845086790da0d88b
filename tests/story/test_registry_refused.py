"""What a registry refuses, by the field at fault: bad input, bad moves, files that are not what was meant."""

from __future__ import annotations

from registry_play import EXAMPLES, PRODUCTION, alias, made, predicted

BAD = [
    ("/v1/models", {"name": "taken", "task": "classify"}, 409, "name"),
    ("/v1/models", {"name": "mood", "task": "classify"}, 409, "name"),
    ("/v1/models", {"name": "a/b", "task": "classify"}, 400, "name"),
    ("/v1/models", {"name": "x", "task": "sing"}, 400, "task"),
    ("/v1/models", {"name": "x"}, 400, "task"),
    ("/v1/models", {"name": "x", "kind": "prompt", "task": "embed"}, 400, "task"),
    ("/v1/models", {"name": "x", "kind": "thing"}, 400, "kind"),
    (
        "/v1/models",
        {"name": "x", "task": "embed", "description": "a" * 2001},
        400,
        "description",
    ),
    ("/v1/models", {"name": "x", "task": "embed", "owner": "me"}, 400, "owner"),
    ("/v1/models/none/versions", {"source": "builtin:sentiment"}, 404, "name"),
    ("/v1/models/mood/versions", {}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "nowhere:x"}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "builtin:hash-512"}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "builtin:none"}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "hf:a/b@main"}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "mlflow:a@b"}, 400, "source"),
    (
        "/v1/models/mood/versions",
        {"source": "builtin:sentiment", "engine": "onnx"},
        400,
        "engine",
    ),
    (
        "/v1/models/mood/versions",
        {"source": "builtin:sentiment", "sha256": "a" * 64},
        400,
        "options",
    ),
    ("/v1/models/mood/versions", {"source": "file:/x", "sha256": "xyz"}, 400, "sha256"),
    (
        "/v1/models/mood/versions",
        {"source": "file:/x", "options": {"command": []}},
        400,
        "options.command",
    ),
    ("/v1/models/mood/versions", {"source": "file:/no/such/folder"}, 424, None),
    ("/v1/models/mood/versions", {"source": "builtin:sentiment", "l2": 1}, 400, "l2"),
    (
        "/v1/models/mood/versions",
        {"source": "builtin:sentiment", "card": "a" * 16385},
        400,
        "card",
    ),
    (
        "/v1/models/mood/versions",
        {"source": "builtin:sentiment", "metrics": {"a": "b" * 16385}},
        400,
        "metrics",
    ),
    ("/v1/models/mood/versions", {"template": "hi"}, 400, "source"),
    ("/v1/models/mood/versions", {"template": "hi", "source": "file:/x"}, 400, "template"),
    ("/v1/models/mood/versions", {"examples": EXAMPLES[:3]}, 400, "examples"),
    ("/v1/models/mood/versions", {"examples": EXAMPLES[:8]}, 400, "examples"),
    ("/v1/models/mood/versions", {"examples": EXAMPLES[:9]}, 400, "examples"),
    (
        "/v1/models/mood/versions",
        {"examples": [*EXAMPLES, {"text": "", "label": "x"}]},
        400,
        "examples.16.text",
    ),
    (
        "/v1/models/mood/versions",
        {"examples": EXAMPLES, "embedding_model": "echo/echo"},
        400,
        "embedding_model",
    ),
    (
        "/v1/models/mood/versions",
        {"examples": EXAMPLES, "embedding_model": "none"},
        404,
        "model",
    ),
    ("/v1/models/mood/aliases/production/rollback", {"reason": "why"}, 404, "alias"),
    ("/v1/models/mood/versions/1/render", {}, 404, "prompt_id"),
    ("/v1/models/mood/versions/x/render", {}, 404, "version"),
]


async def test_bad_input_is_refused_by_name(ask):
    await made(ask, "builtin:sentiment")
    for path, body, status, param in BAD:
        said = await ask("POST", path, body)
        assert (said.status, said.json["error"]["param"]) == (status, param), (body, said.body)
    # The others keep serving.
    assert (await predicted(ask, "mood")).json["version"] == "mood:1"


async def test_bad_moves_are_refused_and_nothing_moves(ask):
    await made(ask, "builtin:sentiment")
    for body, status, param in (
        (alias(9), 404, "version"),
        (alias(0), 400, "version"),
        (alias(1, ""), 400, "reason"),
        ({"version": 1}, 400, "reason"),
        (alias(1, if_current=3), 409, "if_current"),
    ):
        said = await ask("PUT", PRODUCTION, body)
        assert (said.status, said.json["error"]["param"]) == (status, param), said.body
    said = await ask("PUT", "/v1/models/mood/aliases/Production", alias(1))
    assert (said.status, said.json["error"]["param"]) == (400, "alias")
    assert (await ask("GET", "/v1/models/mood")).json["aliases"] == {}
    assert (await ask("GET", "/v1/models/mood/events")).json["data"] == []


async def test_a_pickle_and_other_files_than_meant_are_refused(ask, tmp_path):
    await made(ask, "builtin:sentiment")
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04\x95")
    source = f"file:{folder}"
    said = await ask("POST", "/v1/models/mood/versions", {"source": source})
    assert said.status == 424 and "pickle" in said.json["error"]["message"].lower(), said.body
    (folder / "pytorch_model.bin").unlink()
    (folder / "model.onnx").write_bytes(b"no graph")
    said = await ask("POST", "/v1/models/mood/versions", {"source": source, "sha256": "0" * 64})
    assert said.status == 424 and "sha" in said.json["error"]["message"].lower(), said.body
    # Files that nobody could open are found out before the alias moves.
    said = await ask("POST", "/v1/models/mood/versions", {"source": source})
    assert said.status == 201 and len(said.json["sha256"]) == 64
    await ask("PUT", PRODUCTION, alias(1))
    said = await ask("PUT", PRODUCTION, alias(2))
    assert said.status == 424, said.body
    assert (await predicted(ask, "mood")).json["version"] == "mood:1"
