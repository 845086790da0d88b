import pytest

from gatemill.core.errors import InvalidValue
from gatemill.ledger import names


@pytest.mark.parametrize("text", ["a", "0", "core-team", "anna.b_2", "a" * 63])
def test_an_id_is_small_and_plain(text):
    names.check_id(text, "team")


@pytest.mark.parametrize(
    "text", ["", "A", "-a", ".a", "_a", "a b", "a:b", "a/b", "ä", "a\n", "a" * 64]
)
def test_another_id_is_refused_with_what_it_may_hold(text):
    with pytest.raises(InvalidValue, match=r"id of a team.*1 to 63") as refused:
        names.check_id(text, "team")
    assert refused.value.param == "id"


@pytest.mark.parametrize("text", ["", "  ", "x" * 201])
def test_a_name_nobody_could_read_is_refused(text):
    with pytest.raises(InvalidValue, match="Give the user a name") as refused:
        names.check_name(text, "user")
    assert refused.value.param == "name"


@pytest.mark.parametrize("text", ["x", "Zoë & Co", "x" * 200])
def test_any_other_name_is_taken(text):
    names.check_name(text, "user")
