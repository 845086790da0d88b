"""The composition root: what configured names turn into."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest

import databases
from gatemill import __version__, house
from gatemill.core.call import Timeouts
from gatemill.core.clock import FakeClock
from gatemill.house import providers, root
from gatemill.local.builtin.engine import Builtins
from gatemill.local.shelf import Shelf
from gatemill.providers import anthropic, openai
from gatemill.upstream.inline import Inline
from gatemill.upstream.pool import Pool
from gatemill.upstream.proxied import Proxied
from gateway_parts import Kept, numbers
from settings_files import loaded

THREE = """
[providers.openai]
api_key = "sk-one"
[providers.claude]
kind = "anthropic"
api_key = "sk-two"
[providers.echo]
[models.fast]
targets = ["openai/gpt-4o-mini", { provider = "claude", model = "claude-3-5-haiku-latest", weight = 3 }]
fallbacks = ["spare"]
output_max = 500
[models.spare]
targets = ["echo/echo"]
[models."gpt-*"]
targets = ["openai/*"]
"""


@asynccontextmanager
async def built(folder, text: str = THREE, **flags: Any):
    """A house of this configuration, and closed again."""
    settings = loaded(folder, text, server__data_dir=str(folder / "data"), **flags)
    clock = FakeClock(1_763_000_000.0)
    databases.lay(settings.settings.data_dir)
    ledger = house.open_ledger(settings.settings, clock)
    made = house.build(settings, ledger, clock, (Kept(), False))
    try:
        yield made
    finally:
        await made.close()


async def target(folder, text: str, name: str = "m"):
    async with built(folder, text) as made:
        return made.gateway.routes.find(name).targets[0]


def headers(folder, text: str) -> dict[str, str]:
    """Headers that go to the provider `p`; no name occurs twice."""
    provider = loaded(folder, text).settings.providers["p"]
    made = providers.headers_of(provider)
    found = dict(made)
    assert len(found) == len(made), made
    assert found.pop("user-agent") == f"gatemill/{__version__}"
    return found


async def version(folder, text: str) -> str:
    async with built(folder, text) as made:
        return made.gateway.version


# --- Providers -----------------------------------------------------------------------------------


async def test_each_kind_of_provider_has_its_transport(tmp_path):
    text = THREE + '[providers.far]\nkind = "openai"\nproxy = "http://127.0.0.1:3128"\n'
    async with built(tmp_path, text) as made:
        kinds = {name: type(transport) for name, transport in made.transports.items()}
    own = {"builtin": Builtins, "local": Shelf}
    assert kinds == {"openai": Pool, "claude": Pool, "echo": Inline, "far": Proxied, **own}


async def test_echo_answers_in_this_process_for_nothing(tmp_path):
    one = await target(tmp_path, THREE, "spare")
    assert isinstance(one.transport, Inline)
    assert one.dialect is openai
    assert one.settings.native == {"chat", "embeddings"}
    assert one.price.input == one.price.output == 0


async def test_targets_of_one_provider_share_its_connections(tmp_path):
    async with built(tmp_path) as made:
        routes = made.gateway.routes
        assert routes.find("fast").targets[0].transport is made.transports["openai"]
        assert routes.find("gpt-4").targets[0].transport is made.transports["openai"]


async def test_a_dialect_is_that_of_the_kind(tmp_path):
    async with built(tmp_path) as made:
        dialects = [one.dialect for one in made.gateway.routes.find("fast").targets]
    assert dialects == [openai, anthropic]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('kind = "openai"\napi_key = "sk-1"', {"authorization": "Bearer sk-1"}),
        ('kind = "groq"\napi_key = "gsk"', {"authorization": "Bearer gsk"}),
        (
            'kind = "azure"\napi_key = "az"\nbase_url = "https://x.test/openai/v1"',
            {"api-key": "az"},
        ),
        (
            'kind = "openai"\napi_key = "sk-1"\norganization = "org"\nproject = "proj"',
            {
                "authorization": "Bearer sk-1",
                "openai-organization": "org",
                "openai-project": "proj",
            },
        ),
        ('kind = "openai"\nbase_url = "http://127.0.0.1:1/v1"', {}),
        ('kind = "ollama"\nbase_url = "http://127.0.0.1:1/v1"', {}),
    ],
)
def test_a_key_goes_where_the_vendor_looks_for_it(tmp_path, text, expected):
    assert headers(tmp_path, f"[providers.p]\n{text}\n") == expected


def test_anthropics_key_has_its_own_header_beside_the_version(tmp_path):
    found = headers(tmp_path, '[providers.p]\nkind = "anthropic"\napi_key = "sk-ant"\n')
    assert found["x-api-key"] == "sk-ant"
    assert "anthropic-version" in found
    assert "authorization" not in found


def test_configured_headers_are_added_in_lower_case(tmp_path):
    text = '[providers.p]\nkind = "openai"\napi_key = "k"\n[providers.p.headers]\nX-Team = "blue"\n'
    assert headers(tmp_path, text) == {"authorization": "Bearer k", "x-team": "blue"}


def test_a_configured_header_replaces_ours(tmp_path):
    text = '[providers.p]\nkind = "openai"\napi_key = "k"\n[providers.p.headers]\nAuthorization = "Basic x"\n'
    assert headers(tmp_path, text) == {"authorization": "Basic x"}


async def test_azure_with_a_version_has_the_deployment_in_its_path(tmp_path):
    text = """
[providers.azure]
api_key = "k"
base_url = "https://x.openai.azure.com/openai"
api_version = "2024-10-21"
[models.m]
targets = ["azure/my-gpt"]
"""
    one = await target(tmp_path, text)
    path = "/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert one.dialect.route("chat", one) == path


async def test_azure_without_a_version_takes_the_model_from_the_body(tmp_path):
    text = """
[providers.azure]
api_key = "k"
base_url = "https://x.openai.azure.com/openai/v1"
[models.m]
targets = ["azure/my-gpt"]
"""
    one = await target(tmp_path, text)
    assert one.dialect.route("chat", one) == "/chat/completions"


async def test_settings_of_a_provider_reach_its_targets(tmp_path):
    text = """
[server]
unsupported_parameters = "refuse"
[providers.p]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
native = ["chat"]
output_default = 77
[providers.p.timeout]
connect_s = 1
first_token_s = 2
between_chunks_s = 3
total_s = 4
[models.m]
targets = ["p/x"]
"""
    one = await target(tmp_path, text)
    assert one.timeouts == Timeouts(1.0, 2.0, 3.0, 4.0)
    assert one.settings.native == {"chat"}
    assert one.settings.output_default == 77
    assert one.settings.refuse_hints
    assert one.label == "p/x"


@pytest.mark.parametrize(
    "operation", ["chat", "completions", "embeddings", "responses", "messages"]
)
async def test_an_operation_that_is_configured_as_native_has_a_path(tmp_path, operation):
    text = f"""
[providers.p]
kind = "vllm"
base_url = "http://127.0.0.1:1/v1"
native = ["chat", "{operation}"]
[models.m]
targets = ["p/x"]
"""
    one = await target(tmp_path, text)
    assert one.dialect.route(operation, one).startswith("/")


# --- Models --------------------------------------------------------------------------------------


async def test_a_model_has_its_targets_weights_fallbacks_and_limit(tmp_path):
    async with built(tmp_path) as made:
        fast = made.gateway.routes.find("fast")
    assert [one.label for one in fast.targets] == [
        "openai/gpt-4o-mini",
        "claude/claude-3-5-haiku-latest",
    ]
    assert fast.weights == (1.0, 3.0)
    assert [one.label for one in fast.fallbacks] == ["echo/echo"]
    assert (fast.output_max, fast.owner) == (500, "openai, claude")


async def test_a_single_target_needs_no_weights(tmp_path):
    async with built(tmp_path) as made:
        assert made.gateway.routes.find("spare").weights is None


async def test_a_pattern_gives_the_asked_name_and_its_price(tmp_path):
    async with built(tmp_path) as made:
        (one,) = made.gateway.routes.find("gpt-4o-mini").targets
    assert (one.model, one.label) == ("gpt-4o-mini", "openai/gpt-4o-mini")
    assert one.price.input > 0


async def test_any_model_of_a_provider_is_reached_directly(tmp_path):
    async with built(tmp_path) as made:
        (one,) = made.gateway.routes.find("openai/o1/odd:name").targets
        assert (one.provider, one.model, one.price) == ("openai", "o1/odd:name", None)
        assert made.gateway.routes.find("claude/claude-3-5-haiku-latest").targets[0].price
        assert made.gateway.routes.find("nobody/x") is None
        assert "openai/*" not in made.gateway.routes.exact


async def test_direct_models_can_be_switched_off(tmp_path):
    async with built(tmp_path, "[server]\ndirect_models = false\n" + THREE) as made:
        assert made.gateway.routes.find("openai/gpt-4o") is None
        assert made.gateway.routes.find("fast")


async def test_a_configured_pattern_replaces_the_direct_one(tmp_path):
    text = THREE + '[models."openai/*"]\ntargets = ["echo/echo"]\n'
    async with built(tmp_path, text) as made:
        (one,) = made.gateway.routes.find("openai/x").targets
    assert one.label == "echo/echo"


async def test_a_target_that_a_fallback_names_again_is_asked_once(tmp_path):
    text = """
[providers.echo]
[models.a]
targets = ["echo/one", "echo/two"]
fallbacks = ["b", "c"]
[models.b]
targets = ["echo/two", "echo/three"]
[models.c]
targets = ["echo/three"]
"""
    async with built(tmp_path, text) as made:
        route = made.gateway.routes.find("a")
    assert [one.label for one in route.fallbacks] == ["echo/three"]


# --- Prices --------------------------------------------------------------------------------------


async def test_the_shipped_price_holds_until_the_configuration_has_another(tmp_path):
    shipped = (await target(tmp_path, THREE, "fast")).price
    assert shipped.input == 150_000
    own = THREE + '[prices."gpt-4o-mini"]\ninput = 2\noutput = 8\ncache_read = 0.5\n'
    price = (await target(tmp_path, own, "fast")).price
    assert (price.input, price.output, price.cache_read) == (2_000_000, 8_000_000, 500_000)
    assert (price.cache_write, price.tiers) == (2_000_000, ())


async def test_a_price_for_one_provider_comes_before_one_for_the_model(tmp_path):
    own = THREE + (
        '[prices."gpt-4o-mini"]\ninput = 2\noutput = 8\n'
        '[prices."openai/gpt-4o-mini"]\ninput = 3\noutput = 9\n'
    )
    assert (await target(tmp_path, own, "fast")).price.input == 3_000_000


async def test_an_unknown_model_has_no_price(tmp_path):
    text = (
        '[providers.vllm]\nbase_url = "http://127.0.0.1:1/v1"\n[models.m]\ntargets = ["vllm/own"]\n'
    )
    assert (await target(tmp_path, text)).price is None


# --- Version and parts ---------------------------------------------------------------------------


async def test_the_version_is_the_same_for_the_same_configuration(tmp_path):
    assert await version(tmp_path, THREE) == await version(tmp_path, THREE + "\n# a comment\n")
    assert len(await version(tmp_path, THREE)) == 12


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sk-one", "sk-uno"),
        ("sk-one", "sk-one-"),
        ("weight = 3", "weight = 4"),
        ("gpt-4o-mini", "gpt-4o"),
        ("output_max = 500", ""),
        ("[providers.echo]", '[providers.echo]\nheaders = { x = "1" }'),
    ],
)
async def test_the_version_changes_with_every_setting_and_every_secret(tmp_path, old, new):
    assert await version(tmp_path, THREE) != await version(tmp_path, THREE.replace(old, new))


async def test_the_version_changes_when_two_secrets_change_places(tmp_path):
    swapped = THREE.replace("sk-one", "sk-x").replace("sk-two", "sk-one").replace("sk-x", "sk-two")
    assert await version(tmp_path, THREE) != await version(tmp_path, swapped)


async def test_the_version_changes_when_a_secret_moves_to_the_next_field(tmp_path):
    text = '[providers.p]\nkind = "openai"\napi_key = "{}"\nheaders = {{ x = "{}" }}\n'
    left, right = text.format("sk-ab", "cd"), text.format("sk-a", "bcd")
    assert await version(tmp_path, left) != await version(tmp_path, right)


async def test_limits_reach_the_gateway(tmp_path):
    text = THREE + "[limits]\nrequests_in_flight = 1\njson_depth = 9\n"
    async with built(tmp_path, text, server__request_timeout_s=12.0) as made:
        assert made.gateway.json_depth_max == 9
        assert made.gateway.request_timeout_s == 12.0
        made.gateway.gate.enter()
        with pytest.raises(Exception, match="in flight"):
            made.gateway.gate.enter()


async def test_every_surface_is_there_under_its_name(tmp_path):
    async with built(tmp_path) as made:
        assert {name: one.NAME for name, one in made.gateway.surfaces.items()} == {
            name: name for name in (*root.SURFACES, "predict_text", "moderations")
        }


async def test_counts_of_ledger_and_log_are_metrics(tmp_path):
    async with built(tmp_path) as made:
        made.access.dropped = 3
        seen = numbers(made.gateway.meter)
    assert seen["ledger_rows_pending{}"] == 0
    assert seen["ledger_rows_written_total{}"] == 0
    assert seen["log_batches_dropped_total{}"] == 0
    assert seen["access_lines_dropped_total{}"] == 3


async def test_closing_writes_what_the_log_still_holds(tmp_path):
    async with built(tmp_path) as made:
        writer = made.access._writer
        from gatemill.core.errors import InvalidApiKey
        from gatemill.gateway.parts import Caller
        from gatemill.gateway.settle import refused

        refused(made.gateway, "chat", Caller(None, 0.0), "req_9", InvalidApiKey("no"))
        assert writer.data == b""
    assert b"req_9" in writer.data


class _Stuck:
    closings = 0

    async def close(self) -> None:
        self.closings += 1
        raise OSError("stuck")


async def test_a_part_that_cannot_be_closed_leaves_none_of_the_others_open(tmp_path):
    stuck = _Stuck()
    with pytest.raises(OSError, match="stuck"):
        async with built(tmp_path) as made:
            made.transports.update(one=stuck, other=stuck)
    assert stuck.closings == 2
    assert made.ledger._closed
