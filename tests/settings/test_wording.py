"""Whatever stands in the file: either settings, or errors with a place and plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatemill.settings import ConfigErrors, load
from gatemill.settings.schema import keys_at

TEXTS = ("", "x", "${NO}", "file:/no", "a/b", "openai", "http://h/v1", "echo/*", "long" * 30)
SCALARS = st.one_of(
    st.sampled_from(("true", "0", "-1", "7", "1.5", "nan", "inf", "1979-05-27")),
    st.sampled_from(TEXTS).map(lambda text: f'"{text}"'),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(["model", "provider", "x"]), inner, max_size=2).map(
            lambda table: "{" + ", ".join(f"{k} = {v}" for k, v in table.items()) + "}"
        ),
    ),
    max_leaves=4,
)


def options(path: tuple[str, ...]) -> list[str]:
    return [".".join((*path, key)) for key in keys_at(path)]


ALL = [
    *options(()),
    *(option for section in keys_at(()) for option in options((section,))),
    *options(("providers", "vllm")),
    *options(("providers", "vllm", "timeout")),
    *options(("models", "m")),
    *options(("prices", "p")),
    "providers.vllm.headers.h",
    "models.m.nothing",
]


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(ALL), VALUES), max_size=4, unique_by=lambda p: p[0]))
def test_any_value_anywhere_is_taken_or_explained(
    tmp_path: Path, pairs: list[tuple[str, str]]
) -> None:
    file = tmp_path / "gatemill.toml"
    file.write_text("".join(f"{path} = {value}\n" for path, value in pairs))
    try:
        result = load(file, {}, {}, lister=None)
    except ConfigErrors as refused:
        for error in refused.errors:
            text = str(error)
            assert text.startswith(f"{file}:"), text
            assert error.message
            for jargon in ("pydantic", "Input should", "tuple", "instance", "http://errors"):
                assert jargon not in text
    else:
        shown: Any = result.settings.model_dump(mode="json")
        assert msgspec.json.encode(shown)


def test_an_address_that_cannot_be_taken_is_quoted_without_its_password(tmp_path: Path) -> None:
    file = tmp_path / "gatemill.toml"
    file.write_text('[stores]\ncounters = "redas://u:hush@[h/0?password=hush&x=1"\n')
    with pytest.raises(ConfigErrors) as refused:
        load(file, {}, {}, lister=None)
    (error,) = refused.value.errors
    assert str(error).endswith('found "redas://…@[h/0?password=…&x=1"')
