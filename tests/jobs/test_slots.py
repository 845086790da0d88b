"""Room for jobs: shared among queues, never more than there is, and one start in twenty by age."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.job import Want
from gatemill.jobs.slots import AGED_EVERY, Slots


def found(queue: str, count: int) -> list:
    return [SimpleNamespace(job=SimpleNamespace(queue=queue)) for _ in range(count)]


def free_by_queue(slots: Slots) -> dict[str, int]:
    return {want.queue: want.free for want in slots.wants()}


def test_one_question_asks_for_all_queues_when_there_is_room():
    assert free_by_queue(Slots(12, {"a": 12, "b": 2, "c": 12}, (0,))) == {"a": 4, "b": 2, "c": 4}


def test_a_queue_that_gave_less_than_was_wanted_is_asked_again_only_after_news():
    slots = Slots(10, {"a": 10, "b": 10}, (0, 1, 2))
    wants = slots.wants()
    slots.answered(wants, found("a", 5))
    assert free_by_queue(slots) == {"a": 10}
    slots.news()
    assert set(free_by_queue(slots)) == {"a", "b"}


def test_the_last_slot_goes_round():
    slots = Slots(1, {"a": 1, "b": 1, "c": 1}, (0,))
    asked = []
    for _ in range(6):
        wants = slots.wants()
        asked += [want.queue for want in wants]
        slots.answered(wants, found(wants[0].queue, 1))
    assert sorted(asked[:3]) == ["a", "b", "c"]
    assert asked[:3] == asked[3:]


def test_the_slots_of_one_queue_are_no_more_than_its_own():
    slots = Slots(10, {"a": 3}, (0,))
    for _ in range(3):
        slots.take("a")
    assert slots.free("a") == 0
    assert slots.wants() == []
    slots.give("a")
    assert slots.wants() == [Want("a", 1, (0,))]


def test_one_start_in_twenty_of_each_queue_goes_by_age():
    slots = Slots(1, {"a": 1, "b": 1}, (0,))
    by_age = {"a": 0, "b": 0}
    for _ in range(40 * AGED_EVERY):
        (want,) = slots.wants()
        by_age[want.queue] += slots.by_age(want.queue)
        slots.answered([want], found(want.queue, 1))
    assert by_age == {"a": 20, "b": 20}


def test_a_queue_whose_next_start_goes_by_age_is_asked_alone():
    slots = Slots(100, {"a": 100, "b": 100}, (0,))
    slots.answered([Want("a", 50, (0,))], found("a", 50))
    assert slots.by_age("a")
    assert not slots.by_age("b")
    assert free_by_queue(slots) == {"a": 100}


@given(
    st.integers(1, 50),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=60),
)
def test_never_more_is_asked_for_than_there_is_room(total, by_queue, steps):
    slots = Slots(total, by_queue, (0, 1, 2))
    for queue, takes in steps:
        wants = slots.wants()
        assert sum(want.free for want in wants) <= total - slots.running
        assert all(0 < want.free <= slots.free(want.queue) for want in wants)
        if takes and slots.free(queue):
            slots.take(queue)
        elif slots.used.get(queue):
            slots.give(queue)
    assert slots.running == total or not any(map(slots.free, by_queue)) or slots.wants()
