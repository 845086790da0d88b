import importlib.util
import itertools
from datetime import UTC, date, datetime, time
from importlib.metadata import version
from pathlib import Path

import genai_prices
import msgspec
import pytest
from genai_prices import types as g
from genai_prices.data import providers
from genai_prices.data_snapshot import get_snapshot

import gatemill
from gatemill.core.call import Usage
from gatemill.core.errors import InvalidType, InvalidValue
from gatemill.policy.price import cost_pico
from gatemill.policy.price_table import Clause, PriceBook, PriceTable, Table

DATA = Path(gatemill.__file__).parent / "data"
SHIPPED = (DATA / "prices.json").read_bytes()
COMPILED = date.fromisoformat(msgspec.json.decode(SHIPPED, type=Table).compiled)
NOW_S = datetime.combine(COMPILED, time(12), UTC).timestamp()
NEXT_YEAR_S = datetime(COMPILED.year + 1, 7, 1, 12, tzinfo=UTC).timestamp()
BILLABLE = {
    *("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"),
    *("cache_write_1h_mtok", "input_audio_mtok", "output_audio_mtok", "requests_kcount"),
    *("web_searches_kcount", "storage_searches_kcount"),  # billed beside tokens
    "cache_audio_read_mtok",  # finer than our usage
}
USAGES = [
    Usage(input=1_000, output=300),
    Usage(input=123_457, cache_read=10_001, output=7, reasoning=991),
    Usage(input=199_990, cache_read=10, output=50),
    Usage(input=199_990, cache_read=10, cache_write=1, output=50),
    Usage(input=900_001, cache_read=80_000, cache_write=70_001, output=30_000),
    Usage(input=1_001, cache_write=30, cache_write_1h=170_003, output=9),
    Usage(input=500, input_audio=901, output=10, output_audio=333),
]
VENDORS = [
    *("openai", "anthropic", "google", "azure", "aws", "mistral", "deepseek", "groq"),
    *("x-ai", "cohere", "together", "fireworks", "perplexity", "moonshotai", "zai"),
]


@pytest.fixture(scope="module")
def table():
    return PriceTable(SHIPPED)


def spellings(match):
    """Names that a matcher of genai-prices was written for."""
    match match:
        case g.ClauseOr():
            return [name for part in match.or_ for name in spellings(part)]
        case g.ClauseEquals():
            return [match.equals]
        case g.ClauseStartsWith():
            return [match.starts_with, f"{match.starts_with}-20260102", f"{match.starts_with}x"]
        case g.ClauseContains():
            return [match.contains, f"eu.{match.contains}-v1:0"]
    return []


def names_of(vendor):
    found = {name for m in vendor.models for name in (m.id, *spellings(m.match))}
    return sorted(found | {name.upper() for name in itertools.islice(sorted(found), 5)})


def theirs(model, vendor, usage, at_s):
    """What genai-prices bills, in pico-dollars; at the dearest hour, which is what we bill."""
    reported = genai_prices.Usage(
        input_tokens=usage.prompt,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_written,
        cache_write_1h_tokens=usage.cache_write_1h,
        input_audio_tokens=usage.input_audio,
        output_tokens=usage.completion,
        output_audio_tokens=usage.output_audio,
    )
    noon = datetime.fromtimestamp(at_s, UTC)
    varies = isinstance(model.prices, list) and any(
        isinstance(price.constraint, g.TimeOfDateConstraint) for price in model.prices
    )
    moments = [noon.replace(hour=hour) for hour in (2, 8, 14, 20)] if varies else [noon]
    return max(
        model.calc_price(reported, vendor, genai_request_timestamp=moment).total_price * 10**12
        for moment in moments
    )


def is_billable(model):
    """Billed in tokens and requests, as far as usage tells them apart, now and in future."""
    now = datetime.fromtimestamp(NOW_S, UTC)
    announced = model.prices if isinstance(model.prices, list) else []
    later = [p for p in announced if getattr(p.constraint, "start_date", COMPILED) > COMPILED]
    prices = [model.get_prices(now), *(price.prices for price in later)]
    given = [{key for key, value in vars(price).items() if value is not None} for price in prices]
    return all(keys <= BILLABLE and keys & {"input_mtok", "output_mtok"} for keys in given)


@pytest.mark.parametrize("at_s", [NOW_S, NEXT_YEAR_S], ids=["now", "next year"])
@pytest.mark.parametrize("vendor_id", VENDORS)
def test_prices_agree_with_genai_prices(table, vendor_id, at_s):
    vendor = next(provider for provider in providers if provider.id == vendor_id)
    compared = 0
    for name in names_of(vendor):
        try:
            _, model = get_snapshot().find_provider_model(name, vendor, None, None)
        except LookupError:
            assert table.price(vendor_id, name, at_s) is None, name
            continue
        price = table.price(vendor_id, name, at_s)
        assert (price is not None) == is_billable(model), name
        if price is None:
            continue
        for usage in USAGES:
            exact = theirs(model, vendor, usage, at_s)
            # A rate that is no whole number of pico-dollars per token is rounded, once.
            assert abs(cost_pico(price, usage) - exact) <= 1 + rounding(price, exact, usage), name
            compared += 1
    assert compared >= 3 * len(USAGES)


def rounding(price, exact, usage):
    return 0 if exact == int(exact) else (usage.prompt + usage.completion) // 2


@pytest.mark.parametrize(
    ("vendor", "name", "same_as"),
    [
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("OpenAI ", "GPT-4o", "gpt-4o"),
        ("azure", "gpt-4o-2024-08-06", "gpt-4o"),  # resold
        ("openai", "gpt-4o-20240806", "gpt-4o-2024-08-06"),
    ],
)
def test_a_dated_or_resold_name_has_its_models_price(table, vendor, name, same_as):
    assert table.price(vendor, name, NOW_S) == table.price("openai", same_as, NOW_S) is not None


def test_a_compact_date_that_is_no_date_is_left_alone(table):
    assert table.price("openai", "gpt-4o-20240230", NOW_S) is None


def test_a_vendor_is_known_by_its_other_names(table):
    name = "gemini-2.5-pro"
    assert table.price("vertex-ai", name, NOW_S) == table.price("google", name, NOW_S) is not None


@pytest.mark.parametrize(
    ("vendor", "name"),
    [("nobody", "gpt-4o"), ("openai", "gpt-unheard-of"), ("", ""), ("openai", "gpt-image-1")],
)
def test_what_is_unknown_has_no_price_instead_of_a_price_of_nothing(table, vendor, name):
    assert table.price(vendor, name, NOW_S) is None


def test_a_price_says_where_it_came_from(table):
    assert table.price("openai", "gpt-4o", NOW_S).source == table.source
    assert table.source == f"genai-prices {version('genai-prices')}, compiled {COMPILED}"


def test_the_built_in_provider_is_known_to_cost_nothing(table):
    price = table.price("echo", "anything", NOW_S)
    assert cost_pico(price, USAGES[0]) == 0
    assert price.source.startswith("prices.toml, checked 20")


def test_a_configured_price_wins_and_the_one_with_the_provider_wins_most(table):
    book = PriceBook(
        table,
        {"gpt-4o": {"input": 1, "output": 2}, "backup/gpt-4o": {"input": 3, "output": 4}},
    )
    assert book.price("main", "openai", "gpt-4o", NOW_S).input == 1_000_000
    assert book.price("backup", "openai", "gpt-4o", NOW_S).input == 3_000_000
    assert book.price("main", "openai", "gpt-4o", NOW_S).source == "config"
    mini = book.price("main", "openai", "gpt-4o-mini", NOW_S)
    assert mini == table.price("openai", "gpt-4o-mini", NOW_S)
    assert book.price("main", "nobody", "own-model", NOW_S) is None


def test_a_configured_price_may_be_nothing(table):
    book = PriceBook(table, {"gpt-4o": {"input": 0, "output": 0}})
    assert cost_pico(book.price("main", "openai", "gpt-4o", NOW_S), USAGES[0]) == 0


def test_a_mistake_in_a_configured_price_is_named(table):
    with pytest.raises(InvalidValue) as refused:
        PriceBook(table, {"fast": {"input": -1, "output": 1}})
    assert refused.value.param == "prices.fast.input"
    with pytest.raises(InvalidType) as refused:
        PriceBook(table, {"fast": 2.5})
    assert refused.value.param == "prices.fast"


def one_vendor(models):
    vendors = {"shop": {"models": models}}
    head = {"source": "test 1", "compiled": "2026-01-01", "notice": "", "aliases": []}
    return PriceTable(msgspec.json.encode(head | {"vendors": vendors}))


def test_the_price_in_force_is_the_latest_that_has_begun():
    prices = [[0, [[0, 1, 1, 1, 1, 1, 1, 1]]], [100, [[0, 2, 2, 2, 2, 2, 2, 2]]]]
    shop = one_vendor([{"names": ["m"], "prices": prices}])
    assert [shop.price("shop", "m", now_s).input for now_s in (-5.0, 99.9, 100.0)] == [1, 1, 2]


def test_the_first_model_that_fits_is_taken_even_without_a_price():
    shop = one_vendor(
        [
            {"names": ["m-special"]},
            {"rules": [["starts", "m"]], "prices": [[0, [[0, 1, 1, 1, 1, 1, 1, 1]]]]},
        ]
    )
    assert shop.price("shop", "m-special", 0.0) is None
    assert shop.price("shop", "m-other", 0.0).input == 1


@pytest.mark.parametrize(
    ("clause", "fits", "fails"),
    [
        (Clause("equals", "ab"), "ab", "abc"),
        (Clause("starts", "ab"), "abc", "cab"),
        (Clause("ends", "ab"), "cab", "abc"),
        (Clause("contains", "ab"), "cabc", "acb"),
        (Clause("regex", r"^a\d$"), "a1", "xa1"),
        (Clause("all", "", (Clause("starts", "a"), Clause("ends", "b"))), "acb", "abc"),
        (Clause("any", "", (Clause("starts", "a"), Clause("ends", "b"))), "ac", "ca"),
    ],
)
def test_a_clause_fits_what_its_kind_says(clause, fits, fails):
    assert clause.fits(fits)
    assert not clause.fits(fails)


def test_the_shipped_table_is_what_the_script_makes_of_its_sources():
    if f'"genai-prices {version("genai-prices")}"'.encode() not in SHIPPED:
        pytest.skip("another version of genai-prices is installed than the table was made from")
    script = Path(__file__).parents[2] / "scripts" / "compile_prices.py"
    spec = importlib.util.spec_from_file_location("compile_prices", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.compiled(COMPILED, (DATA / "prices.toml").read_text()) == SHIPPED
