import pytest
from bench.figures import Spread

from bench import figures


def test_a_ratio_is_taken_within_each_round_before_the_median():
    # The machine slows down from round to round; both slow down with it.
    assert figures.ratio([50.0, 40.0, 10.0], [100.0, 80.0, 20.0]) == Spread(0.5, 0.5, 0.5)


def test_a_ratio_tells_the_ends_of_its_rounds():
    assert figures.ratio([1.0, 2.0, 9.0], [2.0, 2.0, 3.0]) == Spread(1.0, 0.5, 3.0)


def test_a_subject_with_fewer_rounds_is_compared_in_those():
    assert figures.ratio([10.0, 20.0, 30.0], [5.0]) == Spread(2.0, 2.0, 2.0)


def test_rounds_at_or_below_zero_do_not_count():
    assert figures.ratio([-3.0, 4.0, 1.0], [1.0, 2.0, 0.0]) == Spread(2.0, 2.0, 2.0)
    assert figures.ratio([-3.0], [1.0]) is None
    assert figures.ratio([], [1.0]) is None


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        (["nginx", "gatemill", "litellm"], [("gatemill", "nginx"), ("gatemill", "litellm")]),
        (["nginx", "litellm"], [("litellm", "nginx")]),
        (["nginx", "mine", "litellm"], [("mine", "nginx"), ("mine", "litellm")]),
        (["direct", "nginx"], []),
        ([], []),
    ],
)
def test_ours_is_compared_with_each_of_the_others(subjects, expected):
    assert figures.pairs(subjects) == expected


def test_ratios_leave_out_rows_that_do_not_compare_and_subjects_without_values():
    tally = figures.Tally()
    for name, cpu_us in (("nginx", 20.0), ("gatemill", 50.0)):
        tally.rate("chat", name, cpu_us, 1000.0)
        tally.add("failed", name, 1.0)
    tally.add("start_s", "gatemill", 1.0)
    assert figures.ratios(tally.figures, ["nginx", "gatemill"]) == {
        "chat_per_cpu_s": {"gatemill/nginx": Spread(0.4, 0.4, 0.4)},
        "chat_per_s": {"gatemill/nginx": Spread(1.0, 1.0, 1.0)},
    }


def test_percentiles_are_values_that_were_measured():
    values = list(range(1, 101))
    assert figures.percentile(values, 0.5) == 51
    assert figures.percentile(values, 0.99) == 100
    assert figures.percentile([7], 0.99) == 7
