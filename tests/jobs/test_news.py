"""Word of a change reaches those who watch, and nobody else."""

from __future__ import annotations

from gatemill.jobs.news import News


async def test_word_wakes_those_who_watch_this_job():
    news = News()
    with news.of("job_1") as one, news.of("job_1") as two, news.of("job_2") as other:
        assert news.listeners == 3
        news.tell("job_1")
        await one.wait(30)
        await two.wait(30)
        assert one.heard.is_set()
        assert not other.heard.is_set()
    assert news.listeners == 0


async def test_who_hears_nothing_goes_on_after_its_patience():
    with News().of("job_1") as ear:
        await ear.wait(0.001)
        assert not ear.heard.is_set()


async def test_word_that_came_before_the_wait_counts():
    news = News()
    with news.of("job_1") as ear:
        ear.forget()
        news.tell("job_1")
        await ear.wait(30)
        ear.forget()
        assert not ear.heard.is_set()


def test_word_without_listeners_is_lost_quietly():
    news = News()
    news.tell("job_1")
    assert news.listeners == 0
