import pytest
from bench.failures import BenchStopped
from bench.machine import Cores

from bench import machine


def test_the_gateway_has_a_core_of_its_own_where_there_are_two():
    assert machine.cores({3, 1, 2}) == Cores(gateway=(3,), load=(1, 2))
    assert machine.cores({0}) == Cores(gateway=(0,), load=(0,))


def test_a_missing_tool_is_named_with_its_package_and_code_2(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchStopped, match="apt-get install nghttp2-client nginx-light") as stopped:
        machine.require_tools({"nginx", "h2load"})
    assert stopped.value.code == 2


def test_the_processor_is_the_one_the_kernel_names():
    assert machine.processor_name("processor: 0\nmodel name\t: Some CPU @ 2 GHz\n") == (
        "Some CPU @ 2 GHz"
    )
    assert machine.processor_name("") == machine.platform.machine()
