import pytest

from bench import table
from bench_result import result


def test_the_table_says_command_machine_figures_ratios_and_notes():
    assert table.render(result()) == (
        "`python -m bench`, 2026-11-21, 2 cores of Some CPU, 25 GB, Linux 6, Python 3.11.7.\n"
        "\n"
        "| measure | nginx | Gatemill | LiteLLM | Gatemill / nginx | Gatemill / LiteLLM |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| chat, requests per CPU second (more is better) | 42,000 | 16,800 | - | 0.40x | - |\n"
        "| latency on top of the upstream's, p50 µs (less is better) | 200 | -1 | - | - | - |\n"
        "| failed or cut-short requests | 0 | 3 | - | - | - |\n"
        "\n"
        "- nginx 1.22.1: 1 worker.\n"
        "- Gatemill 0.1.0: all on.\n"
        "- LiteLLM: 1 worker.\n"
        "- A note.\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1,234x"), (45.67, "45.7x"), (2.345, "2.35x"), (0.42, "0.42x"), (0.0021, "0.0021x")],
)
def test_a_ratio_has_the_digits_it_is_worth(value, text):
    assert table.times(value) == text
