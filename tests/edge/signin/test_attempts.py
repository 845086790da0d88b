from gatemill.edge.signin.attempts import (
    ADDRESSES_MAX,
    FAILURES_MAX,
    NOTES_MAX,
    WINDOW_S,
    Attempts,
)


def test_an_address_waits_after_its_last_failure_and_until_the_window_is_over():
    attempts = Attempts()
    for number in range(FAILURES_MAX):
        assert attempts.wait_s("10.0.0.1", 100.0) == 0.0, number
        attempts.failed("10.0.0.1", 100.0)
    assert attempts.wait_s("10.0.0.1", 101.0) == WINDOW_S - 1
    assert attempts.wait_s("10.0.0.2", 101.0) == 0.0
    assert attempts.wait_s("10.0.0.1", 100.0 + WINDOW_S) == 0.0
    attempts.failed("10.0.0.1", 100.0 + WINDOW_S)
    assert attempts.wait_s("10.0.0.1", 100.0 + WINDOW_S) == 0.0


def test_a_success_forgets_the_failures():
    attempts = Attempts()
    for _ in range(FAILURES_MAX):
        attempts.failed("10.0.0.1", 0.0)
    attempts.succeeded("10.0.0.1")
    assert attempts.wait_s("10.0.0.1", 1.0) == 0.0


def test_a_network_of_ipv6_is_one_address_and_a_word_is_itself():
    attempts = Attempts()
    for number in range(FAILURES_MAX):
        attempts.failed(f"2001:db8:1:2::{number:x}", 0.0)
        attempts.failed("", 0.0)
    assert attempts.wait_s("2001:db8:1:2:ffff::1", 0.0) > 0
    assert attempts.wait_s("2001:db8:1:3::1", 0.0) == 0
    assert attempts.wait_s("", 0.0) > 0


def test_the_table_is_bounded_and_forgets_the_oldest():
    attempts = Attempts()
    for _ in range(FAILURES_MAX):
        attempts.failed("old", 0.0)
    for number in range(ADDRESSES_MAX):
        attempts.failed(f"a{number}", 1.0)
    assert len(attempts._failed) == ADDRESSES_MAX
    assert attempts.wait_s("old", 1.0) == 0.0


def test_the_audit_log_gets_the_first_and_the_last_and_never_too_many():
    attempts = Attempts()
    noted = [attempts.failed("one", 0.0) for _ in range(FAILURES_MAX + 3)]
    assert [at for at, said in enumerate(noted) if said] == [0, FAILURES_MAX - 1]
    many = [attempts.failed(f"a{number}", 0.0) for number in range(2 * NOTES_MAX)]
    assert sum(many) == NOTES_MAX - 2
    assert attempts.failed("later", WINDOW_S)
