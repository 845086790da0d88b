import pytest

from gatemill.policy.paired import Part, paired, part, t_975


def test_means_and_the_interval_of_the_difference():
    found = paired([1.0, 2.0, 3.0], [2.0, 4.0, 3.0])
    assert (found.count, found.before, found.after, found.difference) == (3, 2.0, 3.0, 1.0)
    # Standard deviation 1, t of two degrees of freedom: 4.303 / sqrt(3).
    assert found.low == pytest.approx(1 - 2.4843, abs=1e-3)
    assert found.high == pytest.approx(1 + 2.4843, abs=1e-3)


def test_one_item_has_no_interval_and_none_has_nothing():
    assert paired([], []) is None
    only = paired([1.0], [5.0])
    assert (only.difference, only.low, only.high) == (4.0, None, None)


def test_equal_differences_leave_no_doubt():
    found = paired([1.0, 2.0, 7.0, 9.0], [2.0, 3.0, 8.0, 10.0])
    assert (found.low, found.difference, found.high) == (1.0, 1.0, 1.0)


def test_sides_of_different_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)],
)
def test_students_t(freedom, quantile):
    assert t_975(freedom) == pytest.approx(quantile, rel=2e-3)


def test_a_share_and_its_interval():
    assert part(0, 0) is None
    half = part(5, 10)
    assert half.share == 0.5
    assert (half.low, half.high) == (
        pytest.approx(0.2366, abs=1e-4),
        pytest.approx(0.7634, abs=1e-4),
    )
    assert part(4.5, 9) == Part(9, 0.5, part(4.5, 9).low, part(4.5, 9).high)
    nothing, everything = part(0, 5), part(5, 5)
    assert nothing.low == 0.0
    assert 0.4 < nothing.high < 0.5
    assert everything.high == 1.0
