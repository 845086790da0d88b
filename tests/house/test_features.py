"""A house whose features come from Feast."""

from __future__ import annotations

import msgspec

from api import api
from feast_server import Server, column
from house_for_tests import opened

NOW = ("2099-01-01T00:00:00Z",)
ANSWER = {
    "metadata": {"feature_names": ["customer_id", "stats__tier"]},
    "results": [column(["c1"], ["PRESENT"], NOW), column(["gold"], ["PRESENT"], NOW)],
}
CONFIG = """
[models.strong]
targets = ["echo/strong"]
[models.cheap]
targets = ["echo/cheap"]
[models.best.by_feature]
feature = "customer.tier"
models = {{ gold = "strong" }}
default = "cheap"
[features]
budget_ms = 5000
cache_s = {cache_s}
[features.feast]
url = "http://127.0.0.1:{port}"
"""
SET = {
    "entity": "customer",
    "source": "feast",
    "join_key": "customer_id",
    "features": [{"name": "tier", "type": "string", "default": "free", "ref": "stats:tier"}],
}


async def test_what_feast_knows_decides_who_answers_also_after_a_reload(tmp_path):
    server = Server()
    server.body = msgspec.json.encode(ANSWER)
    port = await server.start()
    config = CONFIG.format(port=port, cache_s=0.0)
    async with opened(tmp_path, config) as gate, api(gate) as asking:
        await asking.good("PUT", "/v1/feature_sets/stats", SET)

        async def answered():
            answer = await asking.chat(model="best", entities={"customer": "c1"})
            return answer.headers["x-gatemill-model"]

        assert await answered() == "echo/strong"
        (tmp_path / "gatemill.toml").write_text(CONFIG.format(port=port, cache_s=60.0))
        await asking.good("POST", "/api/v1/config/reload")
        assert await answered() == "echo/strong"
        count = len(server.asked)
        server.status = 500
        assert await answered() == "echo/strong"  # from memory
        assert len(server.asked) == count
        page = (await asking("GET", "/metrics")).body.decode()
        assert f"gatemill_features_feast_questions_total {count}.0" in page  # a reload forgets none
        (tmp_path / "gatemill.toml").write_text(CONFIG.format(port=port, cache_s=0.0))
        await asking.good("POST", "/api/v1/config/reload")
        assert await answered() == "echo/cheap"
        assert await answered() == "echo/cheap"  # it is left alone for a while
        assert len(server.asked) == count + 1
    await server.stop()
