"""What the guards find in texts that nobody looked at while they were made. `pytest -s` shows the table."""

import sys
from collections import Counter

import pytest

import heldout
from gatemill.guards import pii, secrets
from gatemill.guards.scan import Scan

EXACT = ("card", "iban", "ssn", "email", "secret")
EXACT_RECALL_MIN = 0.98
PHONE_RECALL_MIN = 0.90
FALSE_ALARMS_MAX = 0.01


@pytest.fixture(scope="module")
def scan() -> Scan:
    patterns = [("pii", pattern) for pattern in pii.patterns((), {}, 256)]
    return Scan([*patterns, *(("secrets", pattern) for pattern in secrets.patterns(()))])


@pytest.fixture(scope="module")
def found(scan) -> list[tuple[heldout.Text, frozenset[str]]]:
    return [(text, _kinds(scan, text.text)) for text in heldout.texts()]


def _kinds(scan: Scan, text: str) -> frozenset[str]:
    findings = scan.find(text.encode())
    return frozenset("secret" if each.guard == "secrets" else each.kind for each in findings)


def _recall(found, *kinds: str, language: str | None = None) -> tuple[int, int]:
    wanted = [
        kind in seen
        for text, seen in found
        if language in {None, text.language}
        for kind in kinds
        if kind in text.kinds
    ]
    return sum(wanted), len(wanted)


def test_the_texts_are_many_of_both_languages_and_each_is_there_once():
    texts = heldout.texts()
    assert len({text.text for text in texts}) == len(texts) >= 500
    halves = Counter((text.language, bool(text.kinds)) for text in texts)
    assert min(halves.values()) >= 120
    assert len(halves) == 4


def test_what_is_made_for_the_texts_has_the_check_digits_it_should_have():
    for text in heldout.texts():
        assert "{" not in text.text or not heldout._PLACE.search(text.text), text.line
    assert heldout._luhn("7992739871") == "79927398713"  # the example of ISO/IEC 7812
    assert heldout._iban(_Fixed("370400440532013000"), "DE plain") == "DE89370400440532013000"


class _Fixed(heldout.Source):
    def __init__(self, text: str) -> None:
        self._text = text

    def of(self, letters: str, count: int) -> str:
        return self._text[:count]


@pytest.mark.parametrize("kind", EXACT)
def test_what_has_a_form_of_its_own_is_found(kind, found):
    hits, wanted = _recall(found, kind)
    assert hits / wanted >= EXACT_RECALL_MIN, f"{kind}: {hits} of {wanted}"


def test_phone_numbers_are_found_in_the_forms_that_people_write(found):
    hits, wanted = _recall(found, "phone")
    assert hits / wanted >= PHONE_RECALL_MIN, f"{hits} of {wanted}"


def test_what_only_looks_like_it_is_let_through(found):
    clean = [seen for text, seen in found if not text.kinds]
    alarms = sum(map(bool, clean))
    assert alarms / len(clean) <= FALSE_ALARMS_MAX, f"{alarms} of {len(clean)}"


def test_a_text_is_not_taken_for_what_it_does_not_hold(found):
    wrong = sum(bool(seen - text.kinds) for text, seen in found)
    assert wrong / len(found) <= FALSE_ALARMS_MAX, f"{wrong} of {len(found)}"


def test_the_table_has_a_row_for_each_kind_and_language(found, capsys):
    rows = [
        (kind, language, *_recall(found, kind, language=language))
        for kind in (*EXACT, "phone", "ip")
        for language in heldout.LANGUAGES
    ]
    with capsys.disabled():
        for kind, language, hits, wanted in rows:
            sys.stdout.write(f"\n{kind:8} {language:8} {hits:3} of {wanted:3}")
    assert all(wanted for *_, wanted in rows)
